"""Benchmarks that need no data of their own: `napari-unet benchmark NAME`."""
