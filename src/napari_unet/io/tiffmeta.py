"""Pixel size and channel names of TIFF files: from OME-XML, ImageJ, microscope makers or plain tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_unet.axes import PixelSize
from napari_unet.io.units import length
from napari_unet.limits import MAX_PRINTED, PIXEL_SIZE, in_words, printed_dpi, within

if TYPE_CHECKING:
    from xml.etree import ElementTree

    Lengths = tuple[float | None, float, float]

_OF_PRINT = ("inch", "in", "inches", "cm", "centimeter", "centimetre")
_SAY = "Give the right one with --pixel-size, or as the layer's scale."


def tiff_pixel_size(tif: Any, series: Any, ome: ElementTree.Element | None) -> tuple[PixelSize | None, str]:
    """Return the pixel size of an image in an open TIFF file, None if it is not known, and a note, mostly empty.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The file.
    series : tifffile.TiffPageSeries
        The image.
    ome : Element, optional
        Its ``Pixels`` element in the OME-XML.
    """
    name = tif.filehandle.name
    if ome is not None:
        return plausible(_ome_size(ome), name)
    if tif.is_ome:
        return None, ""
    if tif.is_imagej:
        metadata = tif.imagej_metadata or {}
        if "unit" in metadata:
            unit = str(metadata["unit"]).strip().lower()
            return plausible(_imagej_size(metadata, _per_unit(series)), name, printed=unit in _OF_PRINT)
    if tif.is_lsm:
        metadata = tif.lsm_metadata or {}
        return plausible(_lengths(*(length(metadata.get(f"VoxelSize{letter}"), "m") for letter in "ZYX")), name)
    if tif.is_stk:
        return plausible(_stk_size(tif.stk_metadata or {}), name)
    if tif.is_svs:
        found = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", tif.pages[0].description)
        size = length(found.group(1), "um") if found else None
        return plausible(_lengths(None, size, size), name)
    return plausible(_plain_size(series), name, printed=True)


def plausible(lengths: Lengths | None, name: str, *, printed: bool = False) -> tuple[PixelSize | None, str]:
    """Return the pixel size that a file gives if it occurs in microscopy; else None, and a note for the user.

    Parameters
    ----------
    lengths : tuple of float, optional
        Micrometres along Z (None: not known), Y and X.
    name : str
        Of the file.
    printed : bool
        Whether it comes from tags that are meant for printers.
    """
    if lengths is None:
        return None, ""
    z, y, x = lengths
    dpi = printed_dpi(y, x)
    if dpi is not None or (printed and max(y, x) > MAX_PRINTED):
        dpi = dpi or round(25_400 / max(y, x))
        return (
            None,
            f"{name} has the print resolution of {dpi} dpi ({x:.4g} µm a pixel), which is no pixel size. {_SAY}",
        )
    wrong = [size for size in (y, x) if not within(size, PIXEL_SIZE)]
    if wrong:
        return None, f"{name} gives a pixel size of {wrong[0]:.3g} µm, which is not from {in_words(PIXEL_SIZE)}. {_SAY}"
    if z is not None and not within(z, PIXEL_SIZE):
        note = f"{name} gives a distance of slices of {z:.3g} µm, which is not from {in_words(PIXEL_SIZE)}. {_SAY}"
        return PixelSize(y=y, x=x), note
    return PixelSize(y=y, x=x, z=z), ""


def tiff_channel_names(tif: Any, ome: ElementTree.Element | None, n_channels: int) -> tuple[str, ...]:
    """Return the names of the channels of an image in a TIFF file; empty unless there are `n_channels` of them."""
    names: list[str] = []
    if ome is not None:
        names = [c.get("Name") or "" for c in ome.findall("{*}Channel")]
    elif tif.is_imagej:
        labels = (tif.imagej_metadata or {}).get("Labels") or []
        names = [str(label).strip() for label in ([labels] if isinstance(labels, str) else labels)]
        if names == names[:n_channels] * (len(names) // max(1, n_channels)):  # one a plane; channels follow each other
            names = names[:n_channels]
    return tuple(names) if len(names) == n_channels and all(names) else ()


def _lengths(z: float | None, y: float | None, x: float | None) -> Lengths | None:
    """Return a pixel size; if only one of Y and X is known, the other is the same."""
    y, x = y or x, x or y
    return None if y is None or x is None else (z, y, x)


def _ome_size(pixels: ElementTree.Element) -> Lengths | None:
    sizes = []
    for letter in "ZYX":
        unit = pixels.get(f"PhysicalSize{letter}Unit", "µm")  # the default of the OME schema
        sizes.append(length(pixels.get(f"PhysicalSize{letter}"), unit))
    return _lengths(*sizes)


def _imagej_size(metadata: dict[str, Any], per_unit: tuple[float, float]) -> Lengths | None:
    unit = str(metadata["unit"])
    y = length(1 / per_unit[0], unit) if per_unit[0] else None
    x = length(1 / per_unit[1], unit) if per_unit[1] else None
    spacing = metadata.get("spacing")
    z = length(abs(spacing), str(metadata.get("zunit", unit))) if isinstance(spacing, int | float) else None
    return _lengths(z, y, x)


def _stk_size(metadata: dict[str, Any]) -> Lengths | None:
    unit = str(metadata.get("CalibrationUnits", ""))
    distances = metadata.get("ZDistance")
    z = length(distances[0], unit) if distances is not None and len(distances) else None
    return _lengths(z, length(metadata.get("YCalibration"), unit), length(metadata.get("XCalibration"), unit))


def _plain_size(series: Any) -> Lengths | None:
    tag = series.keyframe.tags.get("ResolutionUnit")
    try:
        unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag is not None else 1)
    except (TypeError, ValueError):
        return None
    per_unit = _per_unit(series)
    if unit is None or not all(per_unit) or per_unit == (1, 1):  # what programs write if they do not know it
        return None
    return _lengths(None, length(1 / per_unit[0], unit), length(1 / per_unit[1], unit))


def _per_unit(series: Any) -> tuple[float, float]:
    """Return the pixels per unit along Y and X, 0 where they are not known."""
    values = []
    for name in ("YResolution", "XResolution"):
        tag = series.keyframe.tags.get(name)
        try:
            numerator, denominator = tag.value
            values.append(numerator / denominator)
        except (AttributeError, TypeError, ValueError, ZeroDivisionError):
            values.append(0.0)
    return values[0], values[1]
