"""A session on disk: what was segmented, corrected, reviewed and learned, to be continued later."""
