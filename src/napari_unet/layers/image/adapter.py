"""The core's image of a napari image layer, with its axes, pixel size and source."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet import limits
from napari_unet.axes import Image, PixelSize, Placement, guess_axes, normalize_axes
from napari_unet.errors import ImageError, UNetError
from napari_unet.layers.image.layer_meta import placement_of
from napari_unet.layers.image.revisions import revision_of

METADATA_KEY = "napari_unet"
FOR_INFORMATION = {METADATA_KEY: {"for_information": True}}
"""Metadata of layers that the program draws for somebody to look at, and that hold nobody's work."""


def is_image_layer(layer: Any) -> bool:
    """Whether a napari layer is an image (and not labels, shapes, ...)."""
    from napari.layers import Image as ImageLayer

    return isinstance(layer, ImageLayer)


def is_for_information(layer: Any) -> bool:
    """Whether the program draws a layer for somebody to look at: it is no result."""
    return bool(_metadata(layer).get("for_information"))


def level_zero(layer: Any) -> Any:
    """Return the full-resolution array of an image layer."""
    return layer.data[0] if layer.multiscale else layer.data


def layer_axes(layer: Any) -> str:
    """Return the likely axes of an image layer: of its metadata or its file, else of its axis labels, else a guess."""
    shape = tuple(level_zero(layer).shape)
    known = _metadata(layer).get("axes") or _axes_by_file(layer, shape)
    named = "".join(str(label) for label in layer.axis_labels) + ("c" if layer.rgb else "")
    for candidate in (known, named):
        if candidate:
            try:
                return normalize_axes(candidate, shape)
            except ImageError:
                continue
    try:
        return guess_axes(shape, rgb=layer.rgb)
    except ImageError as error:
        raise ImageError(f"{error} Right-click {layer.name!r} in the layer list and choose Split Stack.") from error


def axes_are_guessed(layer: Any) -> bool:
    """Return whether a layer is a stack of planes, and neither it nor its file says what these are."""
    shape = tuple(level_zero(layer).shape)
    if len(shape) != 3 or layer.rgb or layer.multiscale:
        return False
    source = source_of(layer)
    if "axes" in _metadata(layer):  # the labels of its axes were made of these
        return source is not None and _axes_in_file(str(source), shape) is None
    try:
        normalize_axes("".join(str(label) for label in layer.axis_labels), shape)
    except ImageError:
        return source is None or _axes_in_file(str(source), shape) is None
    return False


def _metadata(layer: Any) -> dict[str, Any]:
    """Return what `layers.reader` wrote into the metadata of a layer; nothing if it was opened otherwise."""
    metadata: dict[str, Any] = layer.metadata.get(METADATA_KEY, {}) if isinstance(layer.metadata, dict) else {}
    return metadata


def _axes_by_file(layer: Any, shape: tuple[int, ...]) -> str | None:
    """Return the axes that a file names of a layer that napari, or another plugin, has read from it; None: it does not.

    Only a file that holds one image of that very shape is believed. It is read once.
    """
    path = layer.source.path
    return _axes_in_file(str(path), shape) if path is not None and len(shape) > 2 else None


@lru_cache(maxsize=256)
def _axes_in_file(path: str, shape: tuple[int, ...]) -> str | None:
    from napari_unet.io.readers import said_axes_of

    try:
        return said_axes_of(path, shape)
    except (UNetError, OSError):
        return None


def source_of(layer: Any) -> Path | None:
    """Return the file that a layer was read from, by whichever plugin; None: it was made otherwise."""
    path = _metadata(layer).get("source") or layer.source.path
    return Path(path) if path else None


def channel_of(layer: Any) -> int | None:
    """Return which channel of its file a layer is; None: all of it, or not known."""
    channel: int | None = _metadata(layer).get("channel")
    return channel


def series_of(layer: Any) -> int | None:
    """Return which image of a file that holds several a layer is; None: the file holds one, or it is not known."""
    series: int | None = _metadata(layer).get("series")
    return series


def project_of(layer: Any) -> Path | None:
    """Return the project that a layer was read from as its labels."""
    path = _metadata(layer).get("project")
    return Path(path) if path else None


def axes_choices(layer: Any) -> list[str]:
    """Return the axes that an image layer may have, the likely ones first."""
    by_number = {
        2: ["YX"],
        3: ["ZYX", "TYX", "CYX"],
        4: ["TZYX", "CZYX", "ZCYX", "TCYX"],
        5: ["TCZYX", "TZCYX", "CTZYX"],
    }
    likely = layer_axes(layer)
    others = [axes + ("C" if layer.rgb else "") for axes in by_number.get(layer.ndim, [])]
    return [likely, *(axes for axes in others if axes != likely and len(set(axes)) == len(axes))]


def checked_axes(layer: Any, axes: str) -> str:
    """Return axes in capital letters after checking that an image layer may have them; see `normalize_axes`."""
    return normalize_axes(axes, tuple(level_zero(layer).shape), rgb=layer.rgb)


def _lengths(layer: Any, letters: str) -> dict[str, float]:
    """Return the scale of a layer's axes in micrometres, 0 where the unit is no length."""
    sizes: dict[str, float] = {}
    for letter, unit, scale in zip(letters, layer.units, layer.scale, strict=True):
        try:
            factor = float((1 * unit).to("micrometer").magnitude)
        except Exception:  # noqa: BLE001 - pint raises errors of its own for units that are no length
            factor = 0.0
        sizes[letter] = factor * float(scale)
    return sizes


def layer_pixel_size(layer: Any, axes: str) -> PixelSize | None:
    """Return the pixel size that a layer's scale and units say, or None where the unit is no length."""
    sizes = _lengths(layer, axes.replace("C", "") if layer.rgb else axes)
    found = {letter: size for letter, size in sizes.items() if limits.within(size, limits.PIXEL_SIZE)}
    return PixelSize(y=found["Y"], x=found["X"], z=found.get("Z")) if {"Y", "X"} <= found.keys() else None


def notes_of(layer: Any, axes: str | None) -> tuple[str, ...]:
    """Return what its user should know of how an image layer was read, and of a scale that is not believed."""
    noted = _metadata(layer).get("notes")
    notes = tuple(str(note) for note in noted) if isinstance(noted, list | tuple) else ()
    space = (axes or "").replace("C", "") if layer.rgb else axes or ""
    for letter, size in _lengths(layer, space).items() if axes else ():
        if letter in "ZYX" and size and not limits.within(size, limits.PIXEL_SIZE):
            allowed = limits.in_words(limits.PIXEL_SIZE)
            return (*notes, f"The pixel size of {size:.3g} µm along {letter} is not used: it is not from {allowed} µm.")
    return notes


def layer_image(layer: Any, axes: str | None = None) -> Image:
    """Return the core's image of a napari image layer.

    Raises
    ------
    ImageError
        If the layer is no image, or one that cannot be segmented.
    """
    if not is_image_layer(layer):
        hint = " If it is an image, right-click it in the layer list and choose Convert to Image."
        raise ImageError(
            f"{layer.name!r} is no image layer. Open an image and select it."
            + (hint if layer.__class__.__name__ == "Labels" else "")
        )
    data = level_zero(layer)
    axes = axes or layer_axes(layer)
    if layer.rgb and data.shape[-1] == 4:
        data = data[..., :3]  # what is transparent is no colour
    return Image(
        data,
        axes,
        layer_pixel_size(layer, axes),
        name=str(layer.name),
        damage=_metadata(layer).get("damage"),
        notes=notes_of(layer, axes),
        placement=_layer_placement(layer, axes),
        source=None if isinstance(data, np.ndarray) else source_of(layer),
        identity=(layer.unique_id, revision_of(layer)),
    )


def _layer_placement(layer: Any, axes: str) -> Placement | None:
    """Return where a layer lies, for what is written of it; None: at the origin."""
    if not np.any(layer.translate):
        return None
    letters = axes.replace("C", "") if layer.rgb else axes
    return placement_of(letters, {"scale": layer.scale, "translate": layer.translate, "units": layer.units})
