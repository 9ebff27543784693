"""Where to look next: the walk from suspect to suspect, and the cell where a correction is worth most."""
