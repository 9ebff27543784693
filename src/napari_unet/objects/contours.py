"""Outlines of objects: the exact edges of their pixels, with holes, from which the labels can be drawn again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import ImageError
from napari_unet.limits import is_number
from napari_unet.objects.label_images import label_image, sections
from napari_unet.progress import Progress, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken, ProgressCallback

MAX_TOLERANCE = 100.0
"""Pixels by which a simplified outline may lie off the exact one."""

_PAIRS = 2**18
"""Of segments that are compared at a time."""

_FORWARD = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Along the upper, right, lower and left side of a pixel, with the pixel on the right hand: steps in Y and X."""

_START = ((0, 0), (0, 1), (1, 1), (1, 0))
"""Corner of a pixel at which each of these sides begins."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The outline of one object in one plane.

    Coordinates are those of pixel corners: the pixel in row i and column j is the square from (i, j) to (i + 1, j + 1),
    as in QuPath and ImageJ. In napari, where (i, j) is the middle of that pixel, take 0.5 off.

    Attributes
    ----------
    label : int
        Of the object.
    time : int or None
        Time point, from 0; None if the labels have no such axis.
    slice : int or None
        Slice along Z, from 0; None if the labels have no such axis.
    polygons : tuple of tuple of ndarray, shape (corners, 2), axes (Y, X)
        For each part of the object that hangs together by edges, its rings: first the outer one, then the holes. Whole
        numbers where nothing was simplified. A ring is not closed: its last corner is followed by its first. With X to
        the right and Y *upwards*, outer rings run counterclockwise and holes clockwise, as GeoJSON wants them.
    """

    label: int
    time: int | None
    slice: int | None
    polygons: tuple[tuple[NDArray[Any], ...], ...]


def contours(
    labels: Any,
    *,
    axes: str | None = None,
    tolerance: float = 0.0,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> list[Outline]:
    """Return the outlines of all objects, plane by plane.

    Parameters
    ----------
    labels : array-like of int (numpy, dask, zarr) or Image
        Object ids or classes, 0 is background. Any order of the axes T, Z, Y and X.
    axes : str, optional
        Of the labels, for example "TYX". None: what they say themselves, else YX, ZYX or TZYX.
    tolerance : float
        Pixels, 0 to 100, by which an outline may lie off the exact one, for fewer corners (Douglas and Peucker 1973).
        0: exact. Outlines that would cross themselves are simplified less; those of neighbours may overlap.
    progress : callable, optional
        Is told of each plane.
    cancel : CancelToken, optional
        Stops between planes, with `Cancelled`.

    Returns
    -------
    list of Outline
        By time point, slice and label. Drawn with the even-odd rule, the exact ones give the labels again.

    Raises
    ------
    LabelsError
        If the labels are not whole numbers from 0.
    ImageError
        If they cannot be used as they are, or the tolerance is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet import contours
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[2:5, 1:4] = 7
    >>> (outline,) = contours(labels)
    >>> outline.label, outline.polygons[0][0].tolist()  # corners (y, x): edges of pixels
    (7, [[2, 1], [2, 4], [5, 4], [5, 1]])
    """
    return list(trace_contours(label_image(labels, axes), tolerance, progress, cancel))


def trace_contours(
    labels: Image,
    tolerance: float = 0.0,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[Outline]:
    """Yield the outlines of all objects; one plane is held at a time. See `contours`."""
    if not is_number(tolerance) or not 0 <= tolerance <= MAX_TOLERANCE:
        raise ImageError(f"A tolerance is 0 to {MAX_TOLERANCE:g} pixels; got {tolerance!s:.40}.")
    watch, total = Stopwatch(), labels.n_frames * labels.size("Z")
    for done, (frame, z, plane) in enumerate(sections(labels, slices=True), 1):
        if cancel is not None:
            cancel.check()
        for label, polygons in plane_contours(plane[0]):
            if tolerance > 0:
                polygons = [_simplified(rings, tolerance) for rings in polygons]
            yield Outline(
                label,
                frame if "T" in labels.axes else None,
                z if "Z" in labels.axes else None,
                tuple(tuple(rings) for rings in polygons),
            )
        if progress is not None:
            progress(Progress(done, total, watch.seconds, "planes"))


def plane_contours(plane: NDArray[Any]) -> Iterator[tuple[int, list[list[NDArray[np.int64]]]]]:
    """Yield each label of a plane (Y, X), in ascending order, and the rings of each of its parts; see `Outline`."""
    pixels, sides = _edges(plane)
    if not len(pixels):
        return
    order, bounds = _loops(_next_edges(plane, pixels, sides))
    pixels, sides = pixels[order], sides[order]
    rings: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
    y, x = np.divmod(pixels, plane.shape[1])
    corners = np.stack([y, x], 1) + np.array(_START)[sides]
    values = plane.ravel()[pixels]
    for begin, end in itertools.pairwise(bounds):
        around = sides[begin:end]
        turns = np.flatnonzero(around != np.roll(around, 1))
        for ring in _without_touching(corners[begin:end][turns]):
            rings.setdefault(int(values[begin]), []).append((int(pixels[begin]), ring))
    for label in sorted(rings):
        yield label, _parts(plane, label, rings[label])


def signed_area(ring: NDArray[Any]) -> float:
    """Return the area within a ring (Y, X): positive if it runs counterclockwise, with Y upwards."""
    y, x = ring.astype(np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _edges(plane: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixel (its number) and the side of each edge between an object and something else."""
    padded = np.pad(plane, 1)
    found: list[NDArray[np.int64]] = []
    for dy, dx in ((-1, 0), (0, 1), (1, 0), (0, -1)):
        other = padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
        found.append(np.flatnonzero((plane != other) & (plane > 0)))
    sides = np.repeat(np.arange(4), [len(pixels) for pixels in found])
    return np.concatenate(found), sides


def _next_edges(plane: NDArray[Any], pixels: NDArray[np.int64], sides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which edge follows each one, so that an object goes on across edges of pixels and not across corners."""
    wide = plane.shape[1] + 2
    padded = np.pad(plane, 1).ravel()
    y, x = np.divmod(pixels, plane.shape[1])
    here = (y + 1) * wide + x + 1
    along = np.array([dy * wide + dx for dy, dx in _FORWARD])
    ahead = here + along[sides]
    beside = ahead + along[sides - 1]  # to the left of what is ahead
    straight = padded[ahead] == padded[here]
    left = straight & (padded[beside] == padded[here])
    there = np.where(left, beside, np.where(straight, ahead, here))
    turned = (sides + np.where(left, -1, np.where(straight, 0, 1))) % 4
    y, x = np.divmod(there, wide)
    size = plane.size
    wanted = turned * size + (y - 1) * plane.shape[1] + x - 1
    return np.asarray(np.searchsorted(sides * size + pixels, wanted), np.int64)  # edges are in ascending order of that


def _loops(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Return all edges loop by loop, and where each loop begins in that, with the number of all at the end."""
    successors = following.tolist()
    seen = bytearray(len(successors))
    order: list[int] = []
    bounds = [0]
    for first in range(len(successors)):
        edge = first
        while not seen[edge]:
            seen[edge] = 1
            order.append(edge)
            edge = successors[edge]
        if len(order) > bounds[-1]:
            bounds.append(len(order))
    return np.array(order, np.int64), bounds


def _without_touching(ring: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return a ring as rings that pass no corner twice: GeoJSON and most programs know no others."""
    keys = [(y, x) for y, x in ring.tolist()]
    if len(set(keys)) == len(keys):
        return [ring]
    found: list[NDArray[np.int64]] = []
    path: list[tuple[int, int]] = []
    for key in keys:
        if key in path:
            where = path.index(key)
            found.append(np.array(path[where:], np.int64))
            del path[where:]
        path.append(key)
    return [*found, np.array(path, np.int64)]


def _parts(
    plane: NDArray[Any], label: int, rings: list[tuple[int, NDArray[np.int64]]]
) -> list[list[NDArray[np.int64]]]:
    """Return the rings of an object by its parts; with each ring comes a pixel of the object beside it."""
    outer = [(pixel, ring) for pixel, ring in rings if signed_area(ring) > 0]
    holes = [(pixel, ring) for pixel, ring in rings if signed_area(ring) < 0]
    if len(outer) == 1:
        return [[outer[0][1], *(ring for _, ring in holes)]]
    if not holes:
        return [[ring] for _, ring in outer]
    points = np.concatenate([ring for _, ring in outer])
    (top, left), (bottom, right) = points.min(0), points.max(0)
    numbers, _ = ndimage.label(plane[top:bottom, left:right] == label)

    def part(pixel: int) -> int:
        y, x = divmod(pixel, plane.shape[1])
        return int(numbers[y - top, x - left])

    parts = {part(pixel): [ring] for pixel, ring in outer}
    for pixel, ring in holes:
        parts[part(pixel)].append(ring)
    return list(parts.values())


def _simplified(rings: list[NDArray[Any]], tolerance: float) -> list[NDArray[Any]]:
    """Return rings with fewer corners, as far as they then cross neither themselves nor each other."""
    from skimage.measure import approximate_polygon

    while tolerance > 0.1:
        found = []
        for ring in rings:
            fewer = approximate_polygon(np.concatenate([ring, ring[:1]]), tolerance)[:-1]
            found.append(fewer if len(fewer) > 2 else ring)
        if not _cross(found) and _nested(found, rings):
            return found
        tolerance /= 2
    return rings


def _nested(rings: list[NDArray[Any]], before: list[NDArray[Any]]) -> bool:
    """Whether holes lie within the outer ring, and all run in the direction in which they ran before."""
    from skimage.measure import points_in_poly

    same = all(signed_area(ring) * signed_area(old) > 0 for ring, old in zip(rings, before, strict=True))
    return same and all(points_in_poly(hole, rings[0]).any() for hole in rings[1:])


def _cross(rings: list[NDArray[Any]]) -> bool:
    """Whether any two segments of some rings meet, other than two that begin or end in the same corner."""
    begin = np.concatenate(rings).astype(np.float64)
    end = np.concatenate([np.roll(ring, -1, 0) for ring in rings]).astype(np.float64)
    order = np.argsort(np.minimum(begin, end)[:, 0], kind="stable")
    begin, end = begin[order], end[order]
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    # Those that begin further down, or at the same height, and no lower than it ends.
    counts = np.searchsorted(low[:, 0], high[:, 0], "right") - np.arange(len(low)) - 1
    before = np.cumsum(counts) - counts
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(before, before[first] + _PAIRS, "right")) - 1)
        part = counts[first:last]
        i = np.repeat(np.arange(first, last), part)
        j = i + 1 + np.arange(len(i)) - np.repeat(before[first:last] - before[first], part)
        near = (low[i, 1] <= high[j, 1]) & (low[j, 1] <= high[i, 1])
        i, j = i[near], j[near]
        if _meet(begin[i], end[i], begin[j], end[j]).any():
            return True
        first = last
    return False


def _meet(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], d: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether segments a-b meet c-d, whose boxes meet, elsewhere than at a shared corner."""

    def turn(p: NDArray[Any], q: NDArray[Any], r: NDArray[Any]) -> NDArray[Any]:
        pq, pr = q - p, r - p
        return np.asarray(np.sign(pq[:, 0] * pr[:, 1] - pq[:, 1] * pr[:, 0]))

    shared = [(p == q).all(1) for p in (a, b) for q in (c, d)]
    meeting = (turn(a, b, c) * turn(a, b, d) <= 0) & (turn(c, d, a) * turn(c, d, b) <= 0)
    return np.asarray(meeting & ~np.any(shared, axis=0))
