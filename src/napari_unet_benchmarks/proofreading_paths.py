"""Where somebody who sees the true objects clicks and draws to mend one error.

All arrays have the axes (Y, X); paths are pixels (y, x), axes (n, 2), from the press of the mouse to its release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from napari_unet.objects.edits import largest_piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Path2d = NDArray[np.float64]

MOVES = 8
"""Moves of the mouse along a drag, at least."""

MAX_MOVES = 24
"""Moves of the mouse along an outline, at most."""

OVER = 4.0
"""Pixels by which a line goes on beyond the object that it cuts."""

LINE_POINTS = 6
"""Points of the true border that a line follows."""


def deepest(mask: NDArray[np.bool_]) -> Path2d:
    """Return the pixel of a mask that is furthest from its edge, axes (1, 2).

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    if not mask.any():
        raise ValueError("An empty mask has no middle.")
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.array([np.unravel_index(int(depth.argmax()), mask.shape)], float)


def through(labels: NDArray[Any], within: NDArray[np.bool_], ids: Sequence[int]) -> Path2d:
    """Return a way through the middles of some objects, or of what lies of them within a mask, from near to near."""
    middles = [deepest((labels == i) & within if ((labels == i) & within).any() else labels == i)[0] for i in ids]
    centre = np.mean(middles, axis=0)
    way = [middles.pop(int(np.argmax([np.hypot(*(m - centre)) for m in middles])))]
    while middles:
        way.append(middles.pop(int(np.argmin([np.hypot(*(m - way[-1])) for m in middles]))))
    return dense(np.array(way), MOVES)


def between(one: NDArray[np.bool_], others: NDArray[np.bool_], whole: NDArray[np.bool_]) -> Path2d:
    """Return a line along the border between a true object and others, across the object that holds them all.

    The border is where `whole` is as near to the one as to the others; the line goes on beyond its two ends.
    """
    away = [ndimage.distance_transform_edt(~mask) for mask in (one, others)]
    border = np.argwhere(whole & (abs(away[0] - away[1]) <= 1)).astype(float)
    near = np.minimum(*away)[tuple(border.astype(int).T)]
    border = border[near <= max(2.0, float(near.min(initial=np.inf)) + 2)] if len(border) else border
    if len(border) < 2:  # they touch along nothing: straight across, in the middle
        ends = np.array([deepest(one)[0], deepest(others)[0]])
        border = ends.mean(axis=0) + np.outer([-1.0, 1.0], (ends[1] - ends[0])[::-1] * [-1, 1] / 4)
    middle = border.mean(axis=0)
    along = np.linalg.eigh(np.cov((border - middle).T) + 1e-9 * np.eye(2))[1][:, -1]
    place = (border - middle) @ along
    if np.ptp(place) < 3:  # a short border says nothing of its direction: across the line from middle to middle
        across = deepest(others)[0] - deepest(one)[0]
        along = np.array([-across[1], across[0]]) / max(float(np.hypot(*across)), 1e-9)
        place = (border - middle) @ along
    bins = np.minimum(((place - place.min()) / max(float(np.ptp(place)), 1e-9) * LINE_POINTS).astype(int), 5)
    points = np.array([border[bins == n].mean(axis=0) for n in np.unique(bins)])
    return dense(np.concatenate([[_out(points[0], -along, whole)], points, [_out(points[-1], along, whole)]]), MOVES)


def outline_stroke(true: NDArray[np.bool_], labels: NDArray[Any], label: int, brush: float) -> Path2d:
    """Return a stroke that adds the largest part of a true object that is missing, or cuts off the largest too much.

    Out of the object and back where something is missing, across it where there is too much.

    Raises
    ------
    ValueError
        If there is neither.
    """
    shown = labels == label
    missing, excess = largest_piece(true & (labels == 0)), largest_piece(shown & ~true)
    if not (missing.any() or excess.any()):
        raise ValueError("Nothing is missing, and there is not too much.")
    if missing.sum() >= excess.sum():
        run = _run(_contour(true, -(brush - 1) / 2), ndimage.binary_dilation(missing, iterations=1))
        inside = shown & true if (shown & true).any() else shown
        ends = [_nearest(_shrunk(inside), point) for point in (run[0], run[-1])]
    else:
        run = _run(_contour(true, (brush - 1) / 2), ndimage.binary_dilation(excess, iterations=1))
        ends = [_nearest(labels == 0, point) for point in (run[0], run[-1])]
    return _within(_thinned(np.concatenate([[ends[0]], run, [ends[1]]])), labels.shape)


def around(true: NDArray[np.bool_]) -> Path2d:
    """Return a way around a true object, along its outline."""
    return _within(_thinned(_contour(true, 0.0)), true.shape)


def dense(points: Path2d, moves: int) -> Path2d:
    """Return a way through the same points with at least so many steps."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    if len(points) < 2 or not lengths.sum():
        return points
    steps = np.maximum(1, np.ceil(lengths / lengths.sum() * moves).astype(int))
    parts = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(points, points[1:], steps, strict=False)]
    return np.concatenate([*parts, points[-1:]])


def _out(point: NDArray[np.float64], direction: NDArray[np.float64], whole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the place, from a point on in a direction, that lies a little beyond an object, within the image."""
    end = last = np.array(whole.shape) - 1.0
    end, beyond = point.astype(float), 0.0
    while beyond < OVER:
        after = end + direction
        if (after < 0).any() or (after > last).any():
            break
        end = after
        y, x = np.rint(end).astype(int)
        beyond = 0.0 if whole[y, x] else beyond + 1
    return end


def _shrunk(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = ndimage.binary_erosion(mask, iterations=2)
    return np.asarray(inner) if inner.any() else mask


def _contour(mask: NDArray[np.bool_], grown: float) -> Path2d:
    """Return the longest closed outline of a mask made larger by so many pixels, or smaller."""
    padded = np.pad(mask, 8)
    depth = ndimage.distance_transform_edt(padded) - ndimage.distance_transform_edt(~padded)
    depth = np.where(depth > 0, depth - 0.5, depth + 0.5)
    level = max(-grown, -7.0)
    if level >= depth.max():
        level = depth.max() / 2
    return np.asarray(max(find_contours(depth, level), key=len)) - 8.0


def _run(contour: Path2d, near: NDArray[np.bool_]) -> Path2d:
    """Return the longest part of a closed outline that lies in a mask; all of it if none or all does."""
    points = contour[:-1]
    places = np.clip(np.rint(points).astype(int), 0, np.array(near.shape) - 1)
    inside = near[tuple(places.T)]
    if inside.all() or not inside.any():
        return contour
    start = int(np.flatnonzero(~inside)[0])
    order = np.roll(np.arange(len(points)), -start)
    pieces, _ = ndimage.label(inside[order])
    longest = np.bincount(pieces)[1:].argmax() + 1
    return np.asarray(points[order[pieces == longest]])


def _within(points: Path2d, shape: tuple[int, ...]) -> Path2d:
    return np.clip(points, 0, np.array(shape) - 1.0)


def _nearest(mask: NDArray[np.bool_], point: NDArray[np.float64]) -> NDArray[np.float64]:
    if not mask.any():
        return point
    places = np.argwhere(mask)
    found: NDArray[np.float64] = places[np.hypot(*(places - point).T).argmin()].astype(float)
    return found


def _thinned(points: Path2d) -> Path2d:
    """Return a way with no more moves than `MAX_MOVES`, with both ends and their neighbours."""
    if len(points) <= MAX_MOVES:
        return points
    return np.asarray(points[np.unique(np.linspace(0, len(points) - 1, MAX_MOVES).round().astype(int))])
