"""Axes, pixel size and placement from the attributes of a layer, in the form in which napari hands them to writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.axes import CANONICAL, PixelSize, Placement, guess_axes
from napari_unet.io.units import length

if TYPE_CHECKING:
    from collections.abc import Mapping


def said_by_reader(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `layers.reader` wrote into the metadata of a layer; nothing if it was opened otherwise."""
    said = (meta.get("metadata") or {}).get("napari_unet")
    return said if isinstance(said, dict) else {}


def axes_of(shape: tuple[int, ...], meta: Mapping[str, Any]) -> str:
    """Return the axes of a layer: from its axis labels, else from its metadata, else guessed."""
    labels = "".join(str(label).upper() for label in meta.get("axis_labels") or ())
    for axes in (labels, str(said_by_reader(meta).get("axes", ""))):
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


def pixel_size_of(axes: str, meta: Mapping[str, Any]) -> PixelSize | None:
    """Return the pixel size of a layer in micrometres, or None if its units are not those of a length."""
    scale, units = meta.get("scale"), meta.get("units")
    if scale is None or units is None:
        return None
    each = [str(units)] * len(axes) if isinstance(units, str) else [str(unit) for unit in units]
    found = {letter: length(value, unit) for letter, value, unit in zip(axes, scale, each, strict=False)}
    y, x = found.get("Y"), found.get("X")
    return None if y is None or x is None else PixelSize(y=y, x=x, z=found.get("Z"))
