"""Objects of a plane in the order in which they are likely to be wrong, and where one may be missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.special import expit

from napari_unet.guidance.features import FEATURES, ObjectFeatures, object_features
from napari_unet.guidance.in_time import InTime, compared_in_time
from napari_unet.guidance.policy import POLICY, WalkPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.objects.maps import Maps


class Reason(IntEnum):
    """What is most remarkable about a suspect. The first are those of `features.FEATURES`, in their order."""

    UNSURE = 0
    OTHER_SHAPE = 1
    NO_MIDDLE = 2
    OPEN_BORDER = 3
    LARGE = 4
    SMALL = 5
    DENTED = 6
    LONG = 7
    TOUCHING = 8
    MISSED = 9
    ALONE = 10
    JUMP = 11
    GAP = 12


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """All objects of a plane, and places where one may be missing, the most suspect first.

    Attributes
    ----------
    ids : ndarray of int, shape (n,)
        0: an object may be missing there.
    places : ndarray of int, shape (n, 2)
        A pixel (y, x) of each.
    boxes : ndarray of int, shape (n, 4)
        First row, first column, and the row and column after the last.
    probabilities : ndarray of float, shape (n,)
        That something is wrong with it, descending.
    reasons : ndarray of int, shape (n,)
        See `Reason`.
    """

    ids: NDArray[np.int64]
    places: NDArray[np.int64]
    boxes: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    reasons: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def likely(self, policy: WalkPolicy = POLICY) -> int:
        """Return how many of them, from the first, are suspects: so likely to be wrong that they are worth a look."""
        return int(np.count_nonzero(self.probabilities >= policy.min_probability))

    def shifted(self, y: int, x: int) -> Suspects:
        """Return the same in a larger plane, in which the first pixel is at (y, x)."""
        corner = np.array([y, x, y, x])
        return replace(self, places=self.places + corner[:2], boxes=self.boxes + corner)


def joined(some: Suspects, others: Suspects) -> Suspects:
    """Return the suspects of two together; of an object that is in both, what `some` says of it."""
    new = (others.ids == 0) | ~np.isin(others.ids, some.ids)
    columns = ("ids", "places", "boxes", "probabilities", "reasons")
    found = [np.concatenate([getattr(some, name), getattr(others, name)[new]]) for name in columns]
    order = np.argsort(-found[3], kind="stable")
    return Suspects(*(values[order] for values in found))


def find_suspects(
    labels: NDArray[Any],
    maps: Maps | None = None,
    *,
    beside: Sequence[NDArray[Any]] = (),
    before: NDArray[Any] | None = None,
    after: NDArray[Any] | None = None,
    policy: WalkPolicy = POLICY,
) -> Suspects:
    """Return the objects of a plane, the most suspect first.

    Parameters
    ----------
    labels : ndarray of int, axes (Y, X)
        Instance ids, 0 is background.
    maps : Maps or None
        The network's, of the same pixels, axes (K, Y, X). None: objects are judged by size and shape alone, and nothing
        is known of what is missing.
    beside : sequence of ndarray of int, axes (Y, X)
        The slices of a volume before and after this one: an object that is larger there is not small.
    before, after : ndarray of int, axes (Y, X), optional
        The same slice at the time points before and after.
    policy : WalkPolicy

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((40, 200), int)
    >>> for n in range(9):
    ...     labels[10:20, 20 * n + 5 : 20 * n + 15] = n + 1
    >>> labels[10:30, 5:15] = 1
    >>> found = find_suspects(labels)
    >>> int(found.ids[0]), Reason(found.reasons[0]).name
    (1, 'LARGE')
    """
    features = object_features(labels, maps)
    _allow_ends(features, beside)
    parts = [_objects(features, compared_in_time(labels, features, before, after, policy), policy)]
    if maps is not None:
        parts.append(_missed(labels, maps, features, policy))
    parts.append(_gaps(labels, before, after, policy))
    ids, places, boxes, odds, reasons = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-odds, kind="stable")
    return Suspects(ids[order], places[order], boxes[order], expit(odds[order]), reasons[order])


_Part = tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]
"""Ids, places, boxes, log-odds and reasons."""

_SMALL = FEATURES.index("small")
_LONG = FEATURES.index("elongated")
_LOW_PEAK = FEATURES.index("low_peak")


def _allow_ends(features: ObjectFeatures, beside: Sequence[NDArray[Any]]) -> None:
    """Forget that an object is small or long, or has no middle, where it is larger in a slice beside this one."""
    for plane in beside:
        present, sizes = np.unique(plane[np.isin(plane, features.ids)], return_counts=True)
        there = np.zeros(len(features), np.int64)
        there[np.searchsorted(features.ids, present)] = sizes
        end = there > features.areas
        features.values[end, _SMALL] = features.values[end, _LONG] = 0
        features.values[end, _LOW_PEAK] = np.minimum(features.values[end, _LOW_PEAK], 0)


def _objects(features: ObjectFeatures, in_time: InTime, policy: WalkPolicy) -> _Part:
    judged_by_maps = bool(len(features)) and not np.isnan(features.values).any()
    weights = policy.with_maps if judged_by_maps else policy.without_maps
    by_feature = np.nan_to_num(features.values) * [weights.get(name, 0.0) for name in FEATURES]
    remarkable = by_feature - (np.median(by_feature, axis=0) if len(features) else 0)
    more = np.stack([np.zeros((len(features),)), policy.alone * in_time.alone, policy.jump * in_time.jump], axis=1)
    reasons = np.concatenate([remarkable, more], axis=1).argmax(axis=1) if len(features) else np.zeros(0, np.int64)
    odds = weights[""] + by_feature.sum(axis=1) + more.sum(axis=1)
    return features.ids, features.places, features.boxes, odds, reasons.astype(np.int64)


def _missed(labels: NDArray[Any], maps: Maps, features: ObjectFeatures, policy: WalkPolicy) -> _Part:
    """Return the pieces of foreground that no object has or touches."""
    if "foreground" not in maps.outputs:
        return _part([], [])
    foreground = maps.values[maps.outputs.index("foreground")]
    usual = float(np.median(features.areas)) if len(features) else 0.0
    free = ~ndimage.binary_dilation(labels > 0)
    pieces, count = ndimage.label(_above(foreground, policy.min_missed_foreground) & free)
    found, odds = [], []
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(sizes >= max(1.0, policy.min_missed_size * usual)) + 1
    boxes = ndimage.find_objects(pieces) if len(large) else []
    base, slope = policy.missed
    for number in large.tolist():
        box = boxes[number - 1]
        mask = pieces[box] == number
        here = np.asarray(foreground[box], np.float32)
        y, x = np.unravel_index(int(np.where(mask, here, -np.inf).argmax()), mask.shape)
        place = box[0].start + int(y), box[1].start + int(x)
        found.append((*place, box[0].start, box[1].start, box[0].stop, box[1].stop))
        odds.append(base + slope * float(here[mask].mean()))
    return _part(found, odds)


def _above(values: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Return where a map of values from 0 is above a threshold.

    float16 is compared as whole numbers, in whose order positive floats are, too: that is ten times as fast.
    """
    if values.dtype == np.float16:
        return np.asarray(np.asarray(values).view(np.uint16) > np.float16(threshold).view(np.uint16))
    return np.asarray(values > threshold)


def _gaps(labels: NDArray[Any], before: NDArray[Any] | None, after: NDArray[Any] | None, policy: WalkPolicy) -> _Part:
    """Return where an object of the time points before and after has none in this one."""
    if before is None or after is None:
        return _part([], [], Reason.GAP)
    pieces, count = ndimage.label((before > 0) & (after > 0) & (labels == 0))
    if not count:
        return _part([], [], Reason.GAP)
    present, sizes = np.unique(before[before > 0], return_counts=True)
    found = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        mask = pieces[box] == number
        owners, shared = np.unique(before[box][mask], return_counts=True)
        owner = owners[shared.argmax()]
        if shared.max() > sizes[np.searchsorted(present, owner)] / 2:
            inside = np.argwhere(mask)
            y, x = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()].tolist()
            place = box[0].start + y, box[1].start + x
            found.append((*place, box[0].start, box[1].start, box[0].stop, box[1].stop))
    return _part(found, [policy.gap] * len(found), Reason.GAP)


def _part(found: Sequence[tuple[int, ...]], odds: Sequence[float], reason: Reason = Reason.MISSED) -> _Part:
    where = np.array(found, np.int64).reshape(-1, 6)
    n = len(where)
    return np.zeros(n, np.int64), where[:, :2], where[:, 2:], np.array(odds, float), np.full(n, int(reason))
