"""Labels and maps: training targets, decoding, stitching."""
