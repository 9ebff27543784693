"""Where a correction is worth most: what is unsure, where errors lie, and what it costs to correct them."""
