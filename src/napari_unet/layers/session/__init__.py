"""One image and its labels: what was segmented, what was edited since, and the maps that are kept."""
