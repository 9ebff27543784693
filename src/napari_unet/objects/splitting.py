"""One object made several, along the border that the maps show and not along the mouse."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError
from napari_unet.objects.basins import basins_by_prominence
from napari_unet.objects.boxes import grown, relative, union
from napari_unet.objects.edits import MIN_SIZE, Edit, box_of, largest_piece, next_id, pixels
from napari_unet.objects.geodesic import divided, joined
from napari_unet.objects.maps import SMOOTHING, Maps, crossing_cost
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MARGIN = 4
"""Pixels of the maps around an object that are looked at, for smoothing."""

LINE_BAND = 0.25
"""How far from a drawn line the cut may run, as a share of the width across it of the smaller part."""

MIN_LINE_SHARE = 0.5
"""A line cuts the objects that it crosses by this share of the way from side to side, or else the one most crossed."""

PROMINENCES = (0.5, 0.3, 0.2, 0.12, 0.07, 0.04)
"""How much the middles of two objects stand out above the saddle between them: tried from the clearest on."""

MIN_BASIN_SHARE = 0.1
"""Share of an object that a basin of the maps has at least, to be parted from the rest."""

TOP_SHARE = 0.3
"""Share of a basin that says where its object is, in its middle."""

_FAR = 1e6  # pixels: no line is drawn as far as that


def split_by_seeds(
    labels: NDArray[Any],
    maps: Maps | None,
    seeds: Sequence[ArrayLike],
    new_id: int | None = None,
    *,
    min_size: int = MIN_SIZE,
) -> Edit:
    """Divide the object, or the objects, that seeds lie in, into one part for each seed.

    A part keeps the id of the object that most of it comes from, the largest first; the others get new ids. A part
    with seeds in several objects takes what is nearest to them from each.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    maps : Maps or None
        Of the same pixels; None: the cut follows the shape of the object.
    seeds : sequence of array-like, each of the axes (n, ndim)
        Points ([z,] y, x) in each part: one click, several, or a stroke. Those in the background are ignored.
    new_id : int, optional
        The next free id; None: one more than the largest.
    min_size : int
        Pixels that each part has at least.

    Returns
    -------
    Edit
        The parts cover the objects, and each hangs together by the faces of pixels. Pieces of an object that no seed
        lies in stay as they are.

    Raises
    ------
    EditError
        If there are fewer than two seeds, one is in no object, two are in the same place, or a part would be too small.
    """
    if len(seeds) < 2:
        raise EditError("To split an object, give a point in each part: two are needed at least.")
    places = [pixels(seed, labels.shape) for seed in seeds]
    under = [labels[tuple(place.T)] for place in places]
    ids = [int(i) for i in dict.fromkeys(np.concatenate(under).tolist()) if i > 0]
    if not ids:
        raise EditError("There is no object under these points.")
    for number, values in enumerate(under, start=1):
        if not (values > 0).any():
            raise EditError(f"Point {number} lies in no object. Put it inside the object to split.")
    box = grown(box_of(labels, ids), MARGIN, labels.shape)
    region = np.isin(labels[box], ids)
    corner = [s.start for s in box]
    marked = np.zeros(region.shape, np.int32)
    for number, (place, values) in enumerate(zip(places, under, strict=True), start=1):
        where = tuple((place[values > 0] - corner).T)
        if marked[where].any():
            raise EditError("Two points lie in the same place. Put one into each part.")
        marked[where] = number
    cost = crossing_cost(None if maps is None else maps.within(box), region)
    marked = joined(cost, region, marked)
    parts = divided(cost, region, marked)
    return _shared_out(labels, box, parts, new_id, min_size)


def split_by_line(
    labels: NDArray[Any],
    maps: Maps | None,
    line: ArrayLike,
    new_id: int | None = None,
    *,
    min_size: int = MIN_SIZE,
    band: float = LINE_BAND,
) -> Edit:
    """Divide the objects that a line is drawn across.

    What lies away from the line says which side it is of; near the line the cut follows the maps. A line that begins or
    ends within an object is prolonged to its outline. In a volume the line cuts through all slices of the objects.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    maps : Maps or None
        Of the same pixels; None: the cut follows the shape of the object.
    line : array-like of float, axes (n, ndim) or (n, 2)
        Points along the line, in their order; of a volume's only y and x count, and the objects in all of its slices
        below it, or in slice z where the points say it.
    new_id : int, optional
        The next free id; None: one more than the largest.
    min_size : int
        Pixels that each part has at least; smaller pieces beside the line stay with a part.
    band : float
        How far from the line the cut may run, as a share of the width of the smaller part across the line.

    Raises
    ------
    EditError
        If the line lies outside the image or crosses no object from side to side.
    """
    points = np.asarray(line, np.float64)
    points = points.reshape(-1, points.shape[-1] if points.ndim > 1 else labels.ndim)
    ids = _crossed(labels, points)
    if not ids:
        raise EditError("The line crosses no object.")
    cuts = []
    for label in ids:
        box = grown(box_of(labels, [label]), MARGIN, labels.shape)
        cut = _across(labels[box] == label, points[:, -2:] - [s.start for s in box[-2:]], min_size, band)
        if cut is not None:
            cuts.append((box, *cut))
    if not cuts:
        raise EditError(f"The line does not divide object {ids[0]}. Draw it from side to side.")
    longest = max(share for *_, share in cuts)
    cuts = [cut for cut in cuts if cut[-1] >= min(MIN_LINE_SHARE, longest)]
    outer = union(*(box for box, *_ in cuts))
    after = labels[outer].astype(np.int64)
    first, made = next_id(labels, new_id), list[int]()
    for box, seeds, _ in cuts:
        region = labels[box] == labels[box][seeds > 0][0]
        cost = crossing_cost(None if maps is None else maps.within(box), region)
        edit = _shared_out(labels, box, divided(cost, region, seeds), first + len(made), min_size)
        inner = relative(edit.box, outer)
        changed = edit.changed(labels)
        after[inner][changed] = edit.labels[changed]
        made += edit.made
    return Edit.of(labels, outer, after, "The line divides no object.", made)


def cut_free(
    labels: NDArray[Any],
    maps: Maps | None,
    label: int,
    new_id: int | None = None,
    *,
    min_size: int = MIN_SIZE,
    typical_size: float | None = None,
) -> Edit:
    """Part an object from all that was merged with it: one object for each middle that the maps show in it.

    The saddles between middles are taken from the deepest on, until there are two parts, or about as many as objects of
    the typical size make. Where the maps show one middle only, the shape of the object decides: narrow places are cut.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    maps : Maps or None
        Of the same pixels; None: the cuts follow the shape of the object.
    label : int
        The object.
    new_id : int, optional
        The next free id; None: one more than the largest.
    min_size : int
        Pixels that each part has at least.
    typical_size : float, optional
        Pixels of the objects in the image, if it is known.

    Raises
    ------
    EditError
        If there is no such object, or it shows no second middle.
    """
    box = grown(box_of(labels, [label]), MARGIN, labels.shape)
    region = labels[box] == label
    near = None if maps is None else maps.within(box)
    size = int(np.count_nonzero(region))
    wanted = 2 if typical_size is None else max(2, round(size / typical_size))
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[(slice(1, -1),) * region.ndim]
    shape = np.asarray(depth / depth.max(), np.float32)
    shown = None if near is None else near.middles()
    smoothing = (SMOOTHING,) * region.ndim if near is None else near.in_pixels(SMOOTHING)
    for heights in ([shown] if shown is not None else []) + [shape]:
        seeds = _middles(ndimage.gaussian_filter(heights, smoothing), region, wanted, min_size)
        if seeds is not None:
            parts = divided(crossing_cost(near, region), region, seeds)
            if min(np.bincount(parts[parts > 0])[1:]) >= min_size:
                return _shared_out(labels, box, parts, new_id, min_size)
    raise EditError(f"Object {label} shows no second middle. Draw a line across it to split it.")


def _middles(
    heights: NDArray[np.float32], region: NDArray[np.bool_], wanted: int, min_size: int
) -> NDArray[np.int32] | None:
    """Return the pixels around each middle, at the prominence that gives about as many as wanted; None for one."""
    least = max(min_size, MIN_BASIN_SHARE * np.count_nonzero(region) * 2 / wanted)
    best: tuple[int, NDArray[np.int32]] | None = None
    for basins in basins_by_prominence(heights, region, PROMINENCES):
        sizes = np.bincount(basins.ravel())
        sizes[0] = 0
        large = np.flatnonzero(sizes >= least)
        if len(large) < 2:
            continue
        if best is None or abs(len(large) - wanted) < abs(best[0] - wanted):
            seeds = np.zeros(region.shape, np.int32)
            for number, basin in enumerate(large, start=1):
                inside = basins == basin
                seeds[largest_piece(inside & (heights >= np.quantile(heights[inside], 1 - TOP_SHARE)))] = number
            best = len(large), seeds
        if len(large) >= wanted:
            break
    return None if best is None else best[1]


def _crossed(labels: NDArray[Any], points: NDArray[np.float64]) -> list[int]:
    """Return the objects under a line, those with the most pixels under it first."""
    drawn = _line(points[:, -2:], labels.shape[-2:])
    if labels.ndim == 2:
        values = labels[tuple(drawn)]
    elif points.shape[1] == labels.ndim:
        z = pixels(points[:1, :1], labels.shape[:1])[0, 0]
        values = labels[(z, *drawn)]
    else:
        values = labels[(slice(None), *drawn)]
    ids, counts = np.unique(values[values > 0], return_counts=True)
    return [int(i) for i in ids[np.argsort(-counts, kind="stable")]]


def _line(points: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.intp]:
    """Return the pixels of an image that a line goes through, axes (2, n), in their order."""
    from skimage.draw import line

    if len(points) < 2:
        raise EditError("A line needs two points at least.")
    if not (np.abs(points) < _FAR).all():  # nor are they numbers, perhaps
        raise EditError("The line lies outside the image.")
    ends = np.floor(points + 0.5).astype(np.intp)
    found = np.concatenate([line(*a, *b) for a, b in itertools.pairwise(ends)], axis=1)
    inside = ((found >= 0) & (found < np.reshape(shape, (2, 1)))).all(0)
    if not inside.any():
        raise EditError("The line lies outside the image.")
    return np.asarray(found[:, inside], np.intp)


def _across(
    mask: NDArray[np.bool_], points: NDArray[np.float64], min_size: int, band: float
) -> tuple[NDArray[np.int32], float] | None:
    """Return the seeds on either side of a line across one object, and how much of the way was drawn; None: no sides.

    Seeds are what lies away from the line; 0 within the band beside it.
    """
    flat = np.asarray(mask.any(tuple(range(mask.ndim - 2))))
    drawn = np.zeros(flat.shape, bool)
    try:
        drawn[tuple(_line(points, flat.shape))] = True
        longer = _prolonged(points, flat)
        whole = np.zeros(flat.shape, bool)
        whole[tuple(_line(longer, flat.shape))] = True
    except EditError:
        return None
    chord = int(np.count_nonzero(whole & flat))
    share = np.count_nonzero(drawn & flat) / max(1, chord)
    away = np.asarray(ndimage.distance_transform_edt(~whole), np.float32)
    pieces, count = ndimage.label(mask & ~whole)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    # Of an object that lies in several places, one that the line does not divide stays as it is.
    place_of = np.zeros(count + 1, np.intp)
    place_of[pieces.ravel()] = ndimage.label(mask)[0].ravel()
    divided_there = np.bincount(place_of[sizes >= min_size], minlength=2) >= 2
    sides = [int(k) for k in np.flatnonzero(sizes >= min_size) if divided_there[place_of[k]]]
    if not sides:
        return None
    distance = np.broadcast_to(away, mask.shape)
    widths = [float(distance[pieces == side].max()) for side in sides]
    width = band * min(widths)
    seeds = np.zeros(mask.shape, np.int32)
    for number, (side, most) in enumerate(zip(sides, widths, strict=True), start=1):
        seeds[largest_piece((pieces == side) & (distance >= min(width, most)))] = number
    return seeds, share


def _prolonged(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a line (n, 2) that goes on straight at both ends as far as it lies within a mask (Y, X)."""
    result = points
    for _ in range(2):
        result = result[::-1]
        end = result[-1]
        far = np.flatnonzero(np.hypot(*(result - end).T) >= 5)
        back = result[far[-1]] if far.size else result[0]
        length = float(np.hypot(*(end - back)))
        if length == 0:
            raise EditError("The line is only a point.")
        steps = np.arange(0, sum(mask.shape) + 1)[:, None] * (end - back) / length + end
        at = np.floor(steps + 0.5).astype(np.intp)
        within = ((at >= 0) & (at < mask.shape)).all(1)
        inside = within.copy()
        inside[within] = mask[tuple(at[within].T)]
        outside = np.flatnonzero(~inside)
        result = np.concatenate([result, steps[: outside[0] + 1 if outside.size else len(steps)][-1:]])
    return result


def _shared_out(
    labels: NDArray[Any], box: tuple[slice, ...], parts: NDArray[np.int32], new_id: int | None, min_size: int
) -> Edit:
    """Return the edit that makes an object of each part: with the id that most of it had, one to one, or a new one."""
    from skimage.measure import label

    part = labels[box]
    pieces = np.asarray(label(parts, background=0, connectivity=1), np.int32)  # seeds apart make objects apart
    sizes = np.bincount(pieces.ravel())
    if sizes[1:].min() < min_size:
        raise EditError(f"A part would have only {sizes[1:].min()} pixels; the least is {min_size}.")
    old, number, counts = overlaps(part, pieces)
    table = np.zeros(len(sizes), np.int64)
    for index in np.lexsort((number, -counts)):
        if not table[number[index]] and old[index] not in table:
            table[number[index]] = old[index]
    fresh = np.flatnonzero(table[1:] == 0) + 1
    first = next_id(labels, new_id, max(1, len(fresh)))
    table[fresh] = made = np.arange(first, first + len(fresh))
    after = np.where(pieces > 0, table[pieces], part)
    return Edit.of(labels, box, after, "These objects are apart already, just so.", made.tolist())
