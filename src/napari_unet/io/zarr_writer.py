"""Writes OME-Zarr folders (NGFF 0.4)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.units import ngff_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import zarr
    from numpy.typing import DTypeLike

    from napari_unet.axes import PixelSize, Placement


def write_zarr(
    folder: Path,
    data: Any,
    axes: str,
    pixel_size: PixelSize | None,
    dtype: DTypeLike,
    *,
    name: str,
    labels: bool = False,
    placement: Placement | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write an OME-Zarr image (NGFF 0.4, which most programs read) with one resolution, block by block.

    Parameters
    ----------
    folder : Path
        Path of the new folder.
    data : array-like (numpy, dask)
        Axes as `axes`.
    axes : str
        Axes of the data, in the order T, C, Z, Y, X.
    pixel_size : PixelSize or None
        In micrometres; None: not known, and not written.
    dtype : dtype
        Data type that is stored.
    name : str
        Name of the image in its metadata.
    labels : bool
        Whether it is a label image.
    placement : Placement, optional
        Scale, translation and units, instead of the pixel size; None: the image is at the origin.
    provenance : mapping, optional
        How it was made, for the attribute ``napari_unet``.
    """
    array = create_zarr(
        folder, data.shape, axes, pixel_size, dtype, name=name, labels=labels, placement=placement,
        provenance=provenance,
    )  # fmt: skip
    chunks = array.chunks
    steps = [range(0, n, c) for n, c in zip(data.shape[:-2], chunks[:-2], strict=True)]
    for starts in itertools.product(*steps):
        block = tuple(slice(start, start + c) for start, c in zip(starts, chunks[:-2], strict=True))
        array[block] = np.asarray(data[block]).astype(dtype, copy=False)


def create_zarr(
    folder: Path,
    shape: tuple[int, ...],
    axes: str,
    pixel_size: PixelSize | None,
    dtype: DTypeLike,
    *,
    name: str,
    labels: bool = False,
    chunks: tuple[int, ...] | None = None,
    placement: Placement | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> zarr.Array[Any]:
    """Return an array of zeros in a new OME-Zarr image, to be filled block by block; see `write_zarr`.

    `chunks` are those of the array; None: a few megabytes each.
    """
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=2)
    array = group.create_array(
        "0",
        shape=shape,
        dtype=np.dtype(dtype),
        chunks=chunks or _chunks(axes, shape),
        chunk_key_encoding={"name": "v2", "separator": "/"},
        fill_value=0,
    )
    where = _where(axes, pixel_size) if placement is None else [placement.of(letter) for letter in axes]
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": [scale for scale, _, _ in where]}]
    if any(offset for _, offset, _ in where):
        steps.append({"type": "translation", "translation": [offset for _, offset, _ in where]})
    metadata = {
        "version": "0.4",
        "name": name,
        "axes": [_axis(letter, unit) for letter, (_, _, unit) in zip(axes, where, strict=True)],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    more: dict[str, Any] = {"image-label": {"version": "0.4"}} if labels else {}
    if provenance is not None:
        more["napari_unet"] = dict(provenance)
    group.attrs.update({"multiscales": [metadata], **more})
    return array


def chunk_width(width: int, most: int) -> int:
    """Return the largest width of chunks, up to `most`, that divides a width: a chunk is then written by one tile."""
    return next(width // parts for parts in range(1, width + 1) if width % parts == 0 and width // parts <= most)


def _where(axes: str, pixel_size: PixelSize | None) -> list[tuple[float, float, str]]:
    """Return scale, translation and unit of each axis, if only the pixel size is known."""
    sizes = [pixel_size.along(letter) if pixel_size is not None and letter in "ZYX" else None for letter in axes]
    return [(1.0, 0.0, "") if size is None else (size, 0.0, "micrometer") for size in sizes]


def _axis(letter: str, unit: str) -> dict[str, str]:
    kind = {"T": "time", "C": "channel"}.get(letter, "space")
    if kind == "space":
        unit = ngff_name(unit)
    return {"name": letter.lower(), "type": kind, **({"unit": unit} if unit else {})}


def _chunks(axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of chunks of a few megabytes: planes for 2D images, blocks for volumes."""
    sizes = {"T": 1, "C": 1, "Z": 32, "Y": 256, "X": 256} if "Z" in axes else {"T": 1, "C": 1, "Y": 1024, "X": 1024}
    return tuple(min(n, sizes[letter]) for letter, n in zip(axes, shape, strict=True))
