"""napari labels layers to files: the writer command of the manifest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import CANONICAL, PixelSize, Placement, guess_axes
from napari_unet.io.atomic import Protected
from napari_unet.io.units import length
from napari_unet.io.writers import write_labels

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
    own = _noted(meta).get("source")
    if own and not isinstance(full, np.ndarray):
        protected.add(Path(str(own)), "the file that these labels are read from and painted in")
    protected.check(Path(path))
    axes = layer_axes(tuple(full.shape), meta)
    size, where = layer_pixel_size(axes, meta), placement_of(axes, meta)
    return [str(write_labels(path, full, axes, size, overwrite=True, placement=where))]


def _open_images() -> list[Path]:
    """Return the files of the image layers in the window, whoever read them."""
    if not {"napari", "qtpy"} <= set(sys.modules):  # there is no window, and asking for it would load Qt
        return []
    import napari

    from napari_unet.layers.adapter import source_of

    viewer = napari.current_viewer()
    layers = [] if viewer is None else [layer for layer in viewer.layers if isinstance(layer, napari.layers.Image)]
    return [path for layer in layers if (path := source_of(layer)) is not None]


def _noted(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the reader noted of a layer."""
    noted = (meta.get("metadata") or {}).get("napari_unet")
    return noted if isinstance(noted, dict) else {}


def layer_axes(shape: tuple[int, ...], meta: Mapping[str, Any]) -> str:
    """Return the axes of a layer: from its axis labels, else as the reader noted them, else guessed."""
    labels = "".join(str(label).upper() for label in meta.get("axis_labels") or ())
    for axes in (labels, str(_noted(meta).get("axes", ""))):
        fits = len(axes) == len(shape) == len(set(axes))
        if fits and set("YX") <= set(axes) <= set(CANONICAL) - {"C"}:
            return axes
    return guess_axes(shape)


def placement_of(axes: str, meta: Mapping[str, Any]) -> Placement | None:
    """Return where a layer lies; None where it is at the origin, or its numbers are not those of its axes."""
    scale, translate = meta.get("scale"), meta.get("translate")
    if scale is None or translate is None or not len(scale) == len(translate) == len(axes):
        return None
    space = [letter in "ZYX" for letter in axes]
    scale = tuple(float(s) if where and float(s) > 0 else 1.0 for s, where in zip(scale, space, strict=True))
    translate = tuple(float(t) if where else 0.0 for t, where in zip(translate, space, strict=True))
    units = meta.get("units")
    each = [units] * len(axes) if units is None or isinstance(units, str) else list(units)
    names = tuple("" if unit is None or str(unit) == "pixel" else str(unit) for unit in each)
    names = tuple(name if where else "" for name, where in zip(names, space, strict=False))
    known = set(scale) != {1.0} or any(translate)
    return Placement(axes, scale, translate, names) if known and len(names) == len(axes) else None


def layer_pixel_size(axes: str, meta: Mapping[str, Any]) -> PixelSize | None:
    """Return the pixel size of a layer in micrometres, or None if its units are not those of a length."""
    scale, units = meta.get("scale"), meta.get("units")
    if scale is None or units is None:
        return None
    each = [str(units)] * len(axes) if isinstance(units, str) else [str(unit) for unit in units]
    found = {letter: length(value, unit) for letter, value, unit in zip(axes, scale, each, strict=False)}
    y, x = found.get("Y"), found.get("X")
    return None if y is None or x is None else PixelSize(y=y, x=x, z=found.get("Z"))
