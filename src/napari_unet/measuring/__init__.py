"""Label files to tables and outlines: what `napari-unet measure` and `contours` do, for scripts and the window too."""
