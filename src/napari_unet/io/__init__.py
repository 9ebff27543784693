"""Reading and writing of image files; knows no napari."""
