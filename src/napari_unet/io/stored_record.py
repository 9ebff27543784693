"""The record of how labels were made, as label files hold it themselves (`writers.write_labels`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from napari_unet.io.ome import refuse_entities
from napari_unet.io.tiffs import TIFF_SUFFIXES
from napari_unet.io.zarrs import is_zarr

if TYPE_CHECKING:
    from pathlib import Path


def stored_record(path: Path) -> dict[str, Any]:
    """Return the record in a label file; empty where there is none, or none that can be read.

    Parameters
    ----------
    path : Path
        A TIFF file, in whose ImageJ *Info* or OME description it is, or an OME-Zarr folder, whose attribute
        ``napari_unet`` it is.
    """
    try:
        found = _of_zarr(path) if is_zarr(path) else _of_tiff(path) if path.suffix.lower() in TIFF_SUFFIXES else None
        record = json.loads(found) if isinstance(found, str) else found
    except Exception:  # noqa: BLE001 - decoders raise errors of many kinds on damaged files, which are told elsewhere
        return {}
    return record if isinstance(record, dict) else {}


def _of_zarr(path: Path) -> Any:
    import zarr

    return zarr.open(path, mode="r").attrs.get("napari_unet")


def _of_tiff(path: Path) -> Any:
    import tifffile

    with tifffile.TiffFile(path) as tif:
        if tif.is_imagej:
            return (tif.imagej_metadata or {}).get("Info")
        text = tif.ome_metadata
    if text is None:
        return None
    refuse_entities(text, path.name)
    return ElementTree.fromstring(text).findtext("{*}Image/{*}Description")
