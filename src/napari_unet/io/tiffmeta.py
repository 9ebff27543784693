"""Pixel size and channel names of TIFF files: from OME-XML, ImageJ, microscope makers or plain tags."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from napari_unet.axes import PixelSize
from napari_unet.errors import FileFormatError
from napari_unet.io.units import length

_DEFAULT_DPI = (72.0, 96.0, 150.0, 300.0)  # what software writes when it knows nothing about the scale
_LARGEST_PIXEL = 1000.0  # micrometres; a plain tag that says more is a default of 1 pixel per inch or centimetre


def refuse_entities(xml: str, name: str) -> None:
    """Refuse XML that declares entities: OME-XML has none, and they can be made to fill the memory.

    Raises
    ------
    FileFormatError
        If there is a document type declaration.
    """
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", xml, re.IGNORECASE):
        raise FileFormatError(f"{name} has a document type declaration in its OME-XML, which is not allowed there.")


def tiff_pixel_size(tif: Any, series: int) -> PixelSize | None:
    """Return the pixel size of an open TIFF file, or None if it is not known.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The file.
    series : int
        Number of the image in the file.
    """
    if tif.is_ome:
        pixels = _ome_pixels(tif.ome_metadata, series)
        return _ome_size(pixels) if pixels is not None else None
    if tif.is_imagej:
        metadata = tif.imagej_metadata or {}
        if "unit" in metadata:
            return _imagej_size(metadata, _per_unit(tif, series))
    if tif.is_lsm:
        metadata = tif.lsm_metadata or {}
        return _size(*(length(metadata.get(f"VoxelSize{letter}"), "m") for letter in "ZYX"))
    if tif.is_stk:
        return _stk_size(tif.stk_metadata or {})
    if tif.is_svs:
        found = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", tif.pages[0].description)
        size = length(found.group(1), "um") if found else None
        return _size(None, size, size)
    return _plain_size(tif, series)


def tiff_channel_names(tif: Any, series: int, n_channels: int) -> tuple[str, ...]:
    """Return the names of the channels of an open TIFF file; empty unless there are `n_channels` of them."""
    names: list[str] = []
    if tif.is_ome:
        pixels = _ome_pixels(tif.ome_metadata, series)
        names = [] if pixels is None else [c.get("Name") or "" for c in pixels.findall("{*}Channel")]
    elif tif.is_imagej:
        labels = (tif.imagej_metadata or {}).get("Labels") or []
        names = [str(label).strip() for label in ([labels] if isinstance(labels, str) else labels)]
    return tuple(names) if len(names) == n_channels and all(names) else ()


def _size(z: float | None, y: float | None, x: float | None) -> PixelSize | None:
    """Return a pixel size; what is not known of Y or X is taken from the other."""
    y, x = y or x, x or y
    return None if y is None or x is None else PixelSize(y=y, x=x, z=z)


def _ome_pixels(xml: str, series: int) -> ElementTree.Element | None:
    try:
        images = ElementTree.fromstring(xml).findall("{*}Image")
    except ElementTree.ParseError:
        return None
    return images[series].find("{*}Pixels") if series < len(images) else None


def _ome_size(pixels: ElementTree.Element) -> PixelSize | None:
    sizes = []
    for letter in "ZYX":
        unit = pixels.get(f"PhysicalSize{letter}Unit", "µm")  # the default of the OME schema
        sizes.append(length(pixels.get(f"PhysicalSize{letter}"), unit))
    return _size(*sizes)


def _imagej_size(metadata: dict[str, Any], per_unit: tuple[float, float]) -> PixelSize | None:
    unit = str(metadata["unit"])
    if unit.strip().lower() in ("inch", "in") and _meaningless(per_unit):
        return None
    y = length(1 / per_unit[0], unit) if per_unit[0] else None
    x = length(1 / per_unit[1], unit) if per_unit[1] else None
    spacing = metadata.get("spacing")
    z = length(abs(spacing), str(metadata.get("zunit", unit))) if isinstance(spacing, int | float) else None
    return _size(z, y, x)


def _stk_size(metadata: dict[str, Any]) -> PixelSize | None:
    unit = str(metadata.get("CalibrationUnits", ""))
    distances = metadata.get("ZDistance")
    z = length(distances[0], unit) if distances is not None and len(distances) else None
    return _size(z, length(metadata.get("YCalibration"), unit), length(metadata.get("XCalibration"), unit))


def _plain_size(tif: Any, series: int) -> PixelSize | None:
    tag = tif.series[series].keyframe.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag is not None else 1)
    per_unit = _per_unit(tif, series)
    if unit is None or not all(per_unit) or (unit == "inch" and _meaningless(per_unit)):
        return None
    size = _size(None, length(1 / per_unit[0], unit), length(1 / per_unit[1], unit))
    return size if size is not None and max(size.y, size.x) <= _LARGEST_PIXEL else None


def _per_unit(tif: Any, series: int) -> tuple[float, float]:
    """Return the pixels per unit along Y and X, 0 where they are not known."""
    values = []
    for name in ("YResolution", "XResolution"):
        tag = tif.series[series].keyframe.tags.get(name)
        try:
            numerator, denominator = tag.value
            values.append(numerator / denominator)
        except (AttributeError, TypeError, ValueError, ZeroDivisionError):
            values.append(0.0)
    return values[0], values[1]


def _meaningless(per_inch: tuple[float, float]) -> bool:
    return per_inch[0] == per_inch[1] and round(per_inch[0], 2) in _DEFAULT_DPI
