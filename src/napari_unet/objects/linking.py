"""Objects of a time series followed from frame to frame, by how much they overlap; and where they are in each frame.

An object is the one of the frame before with which it shares most, one to one, so that the sum of all intersections
over unions is largest (assignment problem: Kuhn, 1955, doi:10.1002/nav.3800020109). Objects that move by more than
their width between two frames do not overlap and are not linked. A cell that divides goes on in one of its daughters;
the other one begins anew. An object that is missing in one frame begins anew after it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.objects.label_images import COUNTED_IDS
from napari_unet.objects.outline import Outline
from napari_unet.objects.stitch import Matcher, mostly_within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set

    from numpy.typing import NDArray

MIN_FRAME_IOU = 0.1
"""Intersection over union from which objects of two frames can be the same one: cells move. Not tuned on any data."""

SAME_ID = 1e-9
"""What a pair of the same id has more than its intersection over union: enough to decide between equal sums."""


def assigned(ious: dict[tuple[int, int], float], min_iou: float = MIN_FRAME_IOU) -> dict[int, int]:
    """Return which second id of some pairs goes with which first one, one to one: the sum is as large as can be.

    Where two ways are as good, pairs of the same id go together: what was linked once is linked the same way again.

    Parameters
    ----------
    ious : dict
        (first id, second id) to intersection over union, as of `Matcher.ious`.
    min_iou : float
        Pairs with less are left out.
    """
    pairs = [(a, b, iou + SAME_ID * (a == b)) for (a, b), iou in ious.items() if iou >= min_iou]
    if not pairs:
        return {}
    firsts, rows = np.unique([first for first, _, _ in pairs], return_inverse=True)
    seconds, columns = np.unique([second for _, second, _ in pairs], return_inverse=True)
    values = np.array([iou for _, _, iou in pairs])
    # Objects that overlap in groups are few, and a table of all pairs would not fit into memory.
    size = len(firsts) + len(seconds)
    graph = coo_array((values, (rows, columns + len(firsts))), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for pair, row in enumerate(rows.tolist()):
        members[int(group[row])].append(pair)
    found: dict[int, int] = {}
    for some in members.values():
        own_rows, row = np.unique(rows[some], return_inverse=True)
        own_columns, column = np.unique(columns[some], return_inverse=True)
        table = np.zeros((len(own_rows), len(own_columns)))
        table[row, column] = values[some]
        for r, c in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            if table[r, c] > 0:
                found[int(seconds[own_columns[c]])] = int(firsts[own_rows[r]])
    return found


def linked_ids(
    labels: NDArray[Any], prediction: NDArray[Any], last_id: int, *, min_iou: float = MIN_FRAME_IOU
) -> Iterator[tuple[int, dict[int, int]]]:
    """Yield for each frame but the first which ids to replace by which, so that an object has one id in all frames.

    An object that goes on from no other keeps its id unless an earlier object has it, and then gets a new one. Where
    somebody has given an object the id of one in the frame before, it keeps that, wherever the two are. A second call,
    after the ids were replaced, yields nothing.

    Parameters
    ----------
    labels, prediction : ndarray of int, axes (T, Z, Y, X)
        The labels, and what the program had predicted. Each frame is copied when it is its turn, before the ids of the
        one before are yielded: they may be replaced meanwhile.
    last_id : int
        Largest id given so far; new ones are larger.
    min_iou : float
        Intersection over union from which objects can be the same.

    Yields
    ------
    int, dict
        The frame, and old id to new id, of ids that change. To be applied to the frame's labels and prediction.
    """
    before = np.array(labels[0])
    before_ids = _ids(before)
    tracks = {label: label for label in before_ids}
    taken = set(before_ids) | _ids(prediction[0])
    last_id = max(last_id, 0, *filter(_counts, taken))
    for frame in range(1, len(labels)):
        now, predicted = np.array(labels[frame]), np.array(prediction[frame])
        present = _ids(now)
        chosen = (present & set(tracks)) & _given_by_hand(now, predicted)
        ious = _ious(before, now)
        ious = {(a, b): iou for (a, b), iou in ious.items() if a not in chosen and b not in chosen}
        links = assigned(ious, min_iou) | {label: label for label in chosen}
        new = {label: tracks[old] for label, old in links.items()}
        used = set(new.values())
        for label in sorted((present | _ids(predicted)) - set(new)):
            if label in taken or label in used:
                last_id += 1
                new[label] = last_id
            else:
                new[label] = label
                last_id = max(last_id, label) if _counts(label) else last_id
            used.add(new[label])
        taken |= used
        tracks = {label: new[label] for label in present}
        before = now
        changed = {old: label for old, label in new.items() if old != label}
        if changed:
            yield frame, changed


def _counts(label: int) -> bool:
    return label < COUNTED_IDS


def positions(labels: NDArray[Any], ids: Iterable[int] | None = None) -> NDArray[np.float64]:
    """Return where the objects of a time series are: the mean position of their pixels.

    Parameters
    ----------
    labels : ndarray of int, axes (T, Z, Y, X)
    ids : iterable of int, optional
        The objects; None: all.

    Returns
    -------
    ndarray of float, axes (n, 5)
        Id, time point, and position (Z, Y, X) in pixels, sorted by id and time.
    """
    wanted = None if ids is None else np.array(sorted(ids))
    rows = []
    for frame, volume in enumerate(labels):
        sums: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(4))
        for z, plane in enumerate(volume):
            y, x = np.nonzero(plane)
            found, which = np.unique(plane[y, x], return_inverse=True)
            counts = np.bincount(which, minlength=len(found))
            along = [np.bincount(which, weights, minlength=len(found)) for weights in (y, x)]
            for label, n, sum_y, sum_x in zip(found.tolist(), counts, *along, strict=True):
                sums[label] += (n, n * z, sum_y, sum_x)
        rows += [(label, frame, *(total[1:] / total[0])) for label, total in sums.items()]
    result = np.array(rows, float).reshape(-1, 5)
    if wanted is not None:
        result = result[np.isin(result[:, 0], wanted)]
    return result[np.lexsort((result[:, 1], result[:, 0]))]


def lost_objects(before: NDArray[Any], now: NDArray[Any], z: int = 0) -> list[Outline]:
    """Return the objects in one slice of a frame that are nowhere in the next frame.

    Parameters
    ----------
    before, now : ndarray of int, axes (Z, Y, X)
    z : int
        The slice.
    """
    plane = before[z]
    lost = np.array(sorted(_ids(plane) - _ids(now)))
    if not lost.size:
        return []
    place = np.searchsorted(lost, plane).clip(max=len(lost) - 1)
    numbers = np.where(lost[place] == plane, place + 1, 0)
    boxes = ndimage.find_objects(numbers)
    return [
        Outline(label, (box[0], box[1]), numbers[box] == index)
        for index, (label, box) in enumerate(zip(lost.tolist(), boxes, strict=True), 1)
    ]


def _ids(labels: NDArray[Any]) -> set[int]:
    return set(np.unique(labels).tolist()) - {0}


def _ious(before: NDArray[Any], now: NDArray[Any]) -> dict[tuple[int, int], float]:
    matcher = Matcher()
    for first, second in zip(before, now, strict=True):
        matcher.add(first, second)
    return matcher.ious()


def _given_by_hand(labels: NDArray[Any], prediction: NDArray[Any]) -> Set[int]:
    """Return the objects of a frame (Z, Y, X) of which the program had predicted less than half with that id."""
    changed = labels != prediction
    if not changed.any():
        return set()
    return set(mostly_within(labels, changed).tolist())
