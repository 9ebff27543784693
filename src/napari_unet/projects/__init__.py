"""A sitting on disk: what was segmented, corrected, reviewed and learned, to be taken up again."""
