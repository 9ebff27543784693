"""Files that hold several images of one shape, of which each channel has its own grey values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from hand_made import squares

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("pages", "scenes", "zarr")


def values(series: int, channel: int) -> int:
    """Return the grey value of the squares in a channel of one of the images."""
    return 10 * (series + 1) + channel + 1


def pixels(series: int, shape: tuple[int, ...] = (64, 64)) -> Any:
    """Return two channels, (C, ..., Y, X)."""
    return np.stack([values(series, channel) * squares(shape) for channel in range(2)]).astype(np.uint8)


def several(path: Path, kind: str) -> Path:
    """Write three images of two channels into a TIFF, an OME-TIFF with scenes or a Zarr of Bio-Formats; return it."""
    if kind == "zarr":
        return _zarr(path.with_suffix(".zarr"))
    if kind == "scenes":
        path = path.with_suffix(".ome.tif")
    with tifffile.TiffWriter(path, ome=kind == "scenes") as tif:
        for series in range(3):
            told = {"axes": "CYX", "Name": f"scene {series}"} if kind == "scenes" else {"axes": "CYX"}
            tif.write(pixels(series), photometric="minisblack", metadata=told)
    return path


def _zarr(path: Path) -> Path:
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for series in range(3):
        group = root.create_group(str(series))
        group.create_array("0", data=pixels(series))
        axes = [{"name": name, "type": kind} for name, kind in (("c", "channel"), ("y", "space"), ("x", "space"))]
        scale = [{"type": "scale", "coordinateTransformations": None, "scale": [1, 1, 1]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path
