"""Outlines as COCO JSON (https://cocodataset.org, the format of instances), which many training programs read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.atomic import check_suffix, completed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CocoImage:
    """A plane that annotations belong to.

    Attributes
    ----------
    file_name : str
        Of the image that it is a plane of.
    height, width : int
        Pixels.
    z, t : int or None
        Slice and time point, from 0; None: the image has no such axis.
    """

    file_name: str
    height: int
    width: int
    z: int | None = None
    t: int | None = None

    def to_dict(self, number: int) -> dict[str, Any]:
        """Return it as it is written, with its id."""
        found: dict[str, Any] = {
            "id": number,
            "file_name": self.file_name,
            "height": self.height,
            "width": self.width,
        }
        return found | {name: at for name, at in (("slice", self.z), ("time", self.t)) if at is not None}


@dataclass(frozen=True, slots=True, eq=False)
class CocoObject:
    """An object in a plane.

    Attributes
    ----------
    label : int
        Written as ``label``, beside the running number that COCO wants as ``id``.
    image : CocoImage
    polygons : sequence of sequences of ndarray, shape (corners, 2), axes (Y, X)
        The parts of the object, each its outer ring and then its holes; rings are not closed. Pixel corners.
    category : str
    """

    label: int
    image: CocoImage
    polygons: Sequence[Sequence[NDArray[Any]]]
    category: str = "object"

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is written, but for the ids: polygons, or where it has holes run lengths of its pixels."""
        rings = [ring for rings in self.polygons for ring in rings]
        corners = np.concatenate([rings[0] for rings in self.polygons])
        (top, left), (bottom, right) = corners.min(0).tolist(), corners.max(0).tolist()
        holes = len(rings) > len(self.polygons)
        outline: Any = [ring[:, ::-1].ravel().tolist() for ring in rings]  # x1, y1, x2, y2, ...
        return {
            "label": self.label,
            "segmentation": _run_lengths(rings, self.image.height, self.image.width) if holes else outline,
            "area": float(sum(_signed_area(ring) for ring in rings)),
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
        }


def write_coco(
    path: str | os.PathLike[str],
    objects: Iterable[CocoObject],
    images: Sequence[CocoImage],
    *,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> int:
    """Write objects to a COCO file, which has its name only when it is complete.

    Coordinates are x and y in pixels, (0, 0) the upper left corner of the image. Beside what COCO wants, annotations
    have the ``label`` of the object, and images their ``slice`` and ``time``, which other programs ignore.

    Parameters
    ----------
    path : path
        Ends in .json.
    objects : iterable of CocoObject
        Written one after the other.
    images : sequence of CocoImage
        All planes, those without objects too.
    provenance : mapping, optional
        How it was made, for the member ``info``.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    int
        Annotations written.

    Raises
    ------
    FileFormatError
        If the file exists and may not be replaced, its name has another ending, or it cannot be written.
    """
    path = Path(path)
    check_suffix(path, (".json",))
    numbers = {image: number for number, image in enumerate(images, 1)}
    categories: dict[str, int] = {}
    count = 0
    info = {"description": "Outlines of objects", **({} if provenance is None else {"provenance": provenance})}
    with completed(path, overwrite=overwrite) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"info": {json.dumps(info, allow_nan=False)},\n"licenses": [],\n')
        listed = [image.to_dict(number) for image, number in numbers.items()]
        file.write(f'"images": {json.dumps(listed)},\n"annotations": [')
        for count, one in enumerate(objects, 1):
            category = categories.setdefault(one.category, len(categories) + 1)
            ids = {"id": count, "image_id": numbers[one.image], "category_id": category}
            text = json.dumps(ids | one.to_dict(), allow_nan=False, separators=(",", ":"))
            file.write(("\n" if count == 1 else ",\n") + text)
        if not categories:
            categories["object"] = 1
        kinds = [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()]
        file.write(f'\n],\n"categories": {json.dumps(kinds)}}}\n')
    return count


def _signed_area(ring: NDArray[Any]) -> float:
    """Return the area within a ring (Y, X), negative if it is a hole."""
    y, x = ring.astype(np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _run_lengths(rings: Sequence[NDArray[Any]], height: int, width: int) -> dict[str, Any]:
    """Return the pixels within rings, by the even-odd rule, as uncompressed run lengths, column by column."""
    from skimage.measure import grid_points_in_poly

    corners = np.concatenate(rings)
    top, left = np.floor(corners.min(0)).astype(int)
    bottom, right = np.ceil(corners.max(0)).astype(int)
    mask = np.zeros((bottom - top, right - left), bool)
    for ring in rings:
        mask ^= grid_points_in_poly(mask.shape, ring - [top + 0.5, left + 0.5])  # middles of pixels
    x, y = np.nonzero(mask.T)
    at = (x + left) * height + y + top
    starts = np.flatnonzero(np.diff(at, prepend=-2) != 1)
    first, last = at[starts], at[np.append(starts[1:] - 1, len(at) - 1)] if len(at) else at
    edges = np.stack([first, last + 1], 1).ravel()
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    return {"size": [height, width], "counts": counts.tolist()}
