"""The images of File > Open Sample, from files in the package (their sources: ``samples/README.md``)."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from napari_unet.io.readers import read_image
from napari_unet.layers.reader import image_layers

if TYPE_CHECKING:
    from napari_unet.layers.reader import LayerData


def nuclei_2d() -> list[LayerData]:
    """Return a fluorescence image of U2OS nuclei, axes Y, X."""
    return _sample("nuclei.tif", "nuclei")


def nuclei_stack() -> list[LayerData]:
    """Return five fields of U2OS nuclei, axes T, Y, X (T counts fields of view, not time)."""
    return _sample("nuclei_stack.tif", "nuclei stack")


def histology() -> list[LayerData]:
    """Return a stained section in colour, axes Y, X, C."""
    return _sample("histology.tif", "histology")


def _sample(file: str, name: str) -> list[LayerData]:
    with as_file(files("napari_unet") / "samples" / file) as path:
        return image_layers(read_image(path), name)
