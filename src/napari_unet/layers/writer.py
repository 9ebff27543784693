"""napari labels layers to files: the writer command of the manifest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.atomic import Protected
from napari_unet.io.writers import write_labels
from napari_unet.layers.image.adapter import source_of
from napari_unet.layers.image.layer_meta import axes_of, pixel_size_of, placement_of, said_by_reader

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_labels_layer(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write one labels layer; napari has asked before if a file of that name is to be replaced.

    The file of an image that is open is never replaced, nor one that labels are read from while they are shown.

    Parameters
    ----------
    path : str
        Ends in .tif, .tiff or .zarr.
    data : array-like of int
        The layer's data; of a multiscale layer the full resolution is written.
    meta : mapping
        The layer's attributes, as ``layer.as_layer_data_tuple()[1]``.

    Returns
    -------
    list of str
        The file written.

    Raises
    ------
    FileFormatError, LabelsError
        If it cannot be written.
    """
    full = data[0] if meta.get("multiscale") else data
    protected = Protected(())
    for image in _open_images():
        protected.add(image, "the file of an image that is open")
    own = said_by_reader(meta).get("source")
    if own and not isinstance(full, np.ndarray):
        protected.add(Path(str(own)), "the file that these labels are read from and painted in")
    protected.check(Path(path))
    axes = axes_of(tuple(full.shape), meta)
    size, where = pixel_size_of(axes, meta), placement_of(axes, meta)
    return [str(write_labels(path, full, axes, size, overwrite=True, placement=where))]


def _open_images() -> list[Path]:
    """Return the files of the image layers in the window, whoever read them."""
    if not {"napari", "qtpy"} <= set(sys.modules):  # there is no window, and asking for it would load Qt
        return []
    import napari

    viewer = napari.current_viewer()
    layers = [] if viewer is None else [layer for layer in viewer.layers if isinstance(layer, napari.layers.Image)]
    return [path for layer in layers if (path := source_of(layer)) is not None]
