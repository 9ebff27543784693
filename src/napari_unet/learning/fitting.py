"""The search for the settings by which most objects are read out of a network's maps as they are (`objects.decode`).

A setting is judged on what somebody vouches for, and with less weight on what was left alone near it: who corrects an
object has seen those around it. Without these, a few painted objects that were missed would always ask for the highest
sensitivity, whatever it finds elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.decode import decode_instances
from napari_unet.objects.maps import SMOOTHING, Maps
from napari_unet.objects.redecoding import Sliders
from napari_unet.objects.stitch import best_matches, overlaps
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.policy import FittingPolicy
    from napari_unet.models.info import ModelInfo
    from napari_unet.objects.decode import Decoding
    from napari_unet.progress import CancelToken


@dataclass(frozen=True, slots=True, eq=False)
class FitRegion:
    """A region that settings are judged on.

    Attributes
    ----------
    maps : Maps
        Of the network, axes (K, [Z,] Y, X).
    labels : ndarray of int, axes ([Z,] Y, X)
        As the user sees them.
    vouched, seen : ndarray of bool, axes ([Z,] Y, X)
        What was corrected or reviewed; and with it what lies so near that somebody has seen it.
    """

    maps: Maps
    labels: NDArray[Any]
    vouched: NDArray[np.bool_]
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it.

    Attributes
    ----------
    decoding : Decoding
        The present one where none is better.
    objects : int
        Objects that somebody vouches for.
    before, after : float
        Share of objects that are right with the present one and with the new one: mean over several IoU of TP / (TP +
        FP + FN), objects that were left alone counting less.
    enough : bool
        Whether there are enough objects to fit to.
    """

    decoding: Decoding
    objects: int
    before: float
    after: float
    enough: bool = True

    def __str__(self) -> str:
        return (
            f"On {counted(self.objects, 'object')} that you corrected or reviewed, and those near them: "
            f"{self.before:.0%} right before, {self.after:.0%} with the fitted settings."
        )


def other_seeds(info: ModelInfo, policy: FittingPolicy = DEFAULT_POLICY.fitting) -> tuple[Decoding, ...]:
    """Return decodings that tell touching objects apart by something else than a model's present one does.

    The foreground is learned first, and long before the maps that separate objects: until these are learned, its shape
    tells objects apart better (docs/decisions/0037-shape.md). Then the model's own way is better again.
    """
    now, own = info.decoding, info.original_decoding or info.decoding
    if now.seeds != "shape":
        shape = {"seeds": "shape", "foreground": policy.shape_foreground}
        shape |= {"prominence": policy.shape_prominence, "smoothing": SMOOTHING}
        return (now.model_copy(update=shape),)
    if own.seeds == "shape":
        return ()
    return (now.model_copy(update={name: getattr(own, name) for name in ("seeds", "prominence", "smoothing")}),)


def fitting_seconds(network: float, decoding: float, starts: int, policy: FittingPolicy) -> float:
    """Return how long `fit_decoding` takes, about: mostly one round, which tries each step of two sliders.

    Parameters
    ----------
    network, decoding : float
        Seconds that it takes to predict the regions, and to read objects out of their maps once.
    starts : int
        Decodings to begin with.
    policy : FittingPolicy
    """
    return network + starts * (1 + 2 * len(policy.steps)) * decoding


def fit_decoding(
    regions: Sequence[FitRegion],
    decoding: Decoding,
    cancel: CancelToken | None = None,
    *,
    new_domain: bool = False,
    may_lower: bool = False,
    others: Sequence[Decoding] = (),
    policy: FittingPolicy = DEFAULT_POLICY.fitting,
) -> Fitted:
    """Return the decoding that gets most objects right in some regions.

    Sensitivity and separation are changed in turn, each to the best of some values near the present one, until neither
    changes any more; the smallest object is chosen anew with each. Of all settings that are nearly as good as the best,
    by less than chance makes, the one nearest to the present one is taken.

    Parameters
    ----------
    regions : sequence of FitRegion
    decoding : Decoding
        The present one.
    cancel : CancelToken, optional
    new_domain : bool
        Whether the model has learned images of another domain. The present smallest object is then of other objects,
        and is raised to a share of those that somebody vouches for: pieces far smaller than these are noise, which is
        mostly where nobody has corrected anything.
    may_lower : bool
        Whether it is also lowered to that share, where it is larger than half of the small ones of these objects. Not
        by corrections, which are few: that lost on other fields (docs/decisions/0024-sliders.md).
    others : sequence of Decoding
        Others to begin with. What comes of one is taken where it is better, by more than chance makes.
    policy : FittingPolicy
    """
    search = _Search(regions, decoding, cancel, policy)
    before = search.score(Sliders.of(decoding))
    n_objects = search.vouched
    if n_objects < policy.min_objects:
        return Fitted(decoding, n_objects, before, before, enough=False)
    if new_domain:
        search.choose_smallest(may_lower=may_lower)
    best = search.nearest(search.best())
    fitted = Fitted(best.applied(decoding), n_objects, before, search.score(best))
    for other in others:
        one = fit_decoding(regions, other, cancel, new_domain=new_domain, may_lower=may_lower, policy=policy)
        if one.after > fitted.after + search.chance:
            fitted = replace(one, before=before)
    return fitted


class _Search:
    """The search for settings; each is decoded once.

    Parameters
    ----------
    regions : sequence of FitRegion
    decoding : Decoding
    cancel : CancelToken, optional
    policy : FittingPolicy
    """

    def __init__(
        self, regions: Sequence[FitRegion], decoding: Decoding, cancel: CancelToken | None, policy: FittingPolicy
    ) -> None:
        self._regions, self._decoding, self._cancel, self._policy = regions, decoding, cancel, policy
        self._tallies: dict[tuple[float, float], _Tally] = {}
        self._present = Sliders.of(decoding)
        tally = self._tally(self._present)
        self.vouched = int((tally.true_weights >= 1).sum())
        self.chance = policy.tolerance / max(1.0, float(tally.true_weights.sum()))
        true = tally.true_sizes[tally.true_weights >= 1]
        self._middle, self._small = (float(np.quantile(true, q)) if len(true) else 0.0 for q in (0.5, 0.1))
        least = policy.size_to_smallest * float(tally.true_sizes[tally.true_weights > 0].min(initial=self._middle))
        self._sizes = {round(min(share * self._middle, least)) for share in policy.size_shares}

    def choose_smallest(self, *, may_lower: bool) -> None:
        """Have the search begin with a smallest object that goes by those that somebody vouches for.

        It is raised, so that noise is left out; and may be lowered where it would leave out many of these objects.
        """
        policy, now = self._policy, self._present
        most = policy.size_to_smallest * self._small
        size = round(min(policy.noise_share * self._middle, most))
        self._present = replace(now, smallest=size if may_lower and now.smallest > most else max(now.smallest, size))

    def best(self) -> Sliders:
        """Return the best settings found."""
        at = self._with_best_size(self._present)
        now = self._present
        for _ in range(self._policy.rounds):
            before = at
            tried = [replace(at, sensitivity=value) for value in self._near(now.sensitivity)]
            at = self._first_best([at, *map(self._with_best_size, tried)])
            tried = [replace(at, separation=value) for value in self._near(now.separation)]
            at = self._first_best([at, *map(self._with_best_size, tried)])
            if at == before:
                break
        return at

    def nearest(self, best: Sliders) -> Sliders:
        """Return, of all settings looked at that are nearly as good as the best, the one nearest to the present one."""
        least = self.score(best) - self.chance
        at = [
            Sliders(sensitivity, separation, size)
            for sensitivity, separation in self._tallies
            for size in {*self._sizes, self._present.smallest}
        ]
        return min([best, *(one for one in at if self.score(one) >= least)], key=self._distance)

    def score(self, sliders: Sliders) -> float:
        """Return how much is right with these settings, 0..1."""
        return self._tally(sliders).score(sliders.smallest, self._policy.iou_thresholds)

    def _near(self, value: float) -> list[float]:
        return [round(min(0.98, max(0.02, value + step)), 3) for step in self._policy.steps]

    def _with_best_size(self, sliders: Sliders) -> Sliders:
        return self._first_best([sliders, *(replace(sliders, smallest=size) for size in self._sizes)])

    def _first_best(self, tried: Sequence[Sliders]) -> Sliders:
        """Return the best of some settings; of those that are as good, the one nearest to the present one."""
        return max(tried, key=lambda one: (round(self.score(one), 9), -self._distance(one)))

    def _distance(self, sliders: Sliders) -> float:
        now = self._present
        size = abs(np.log((1 + sliders.smallest) / (1 + now.smallest)))
        return float(abs(sliders.sensitivity - now.sensitivity) + abs(sliders.separation - now.separation) + size)

    def _tally(self, sliders: Sliders) -> _Tally:
        key = sliders.sensitivity, sliders.separation
        if key not in self._tallies:
            if self._cancel is not None:
                self._cancel.check()
            decoding = replace(sliders, smallest=0).applied(self._decoding)
            parts = [_Tally.of(region, decoding, self._policy) for region in self._regions]
            self._tallies[key] = _Tally.joined(parts)
        return self._tallies[key]


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """The objects that a setting finds, with none too small, and the true ones; all arrays have one axis.

    Attributes
    ----------
    sizes, weights, matches : ndarray
        Of each object found: pixels, how much it counts if it is wrong, and the largest IoU with a true object.
    of : ndarray of int
        Index of that true object; -1: none.
    true_sizes, true_weights : ndarray
        Of each true object that counts: pixels, and how much it counts.
    """

    sizes: NDArray[np.float64]
    weights: NDArray[np.float64]
    matches: NDArray[np.float64]
    true: NDArray[np.intp]
    true_sizes: NDArray[np.float64]
    true_weights: NDArray[np.float64]

    @classmethod
    def of(cls, region: FitRegion, decoding: Decoding, policy: FittingPolicy) -> _Tally:
        """Decode a region."""
        maps = region.maps
        values = np.asarray(maps.values, np.float32)
        found = decode_instances(values, maps.outputs, decoding, maps.zoom)
        ids, sizes = _ids(found)
        true_ids, true_sizes = _ids(region.labels)
        index = {int(label): i for i, label in enumerate(true_ids)}
        matches = best_matches(found, region.labels)
        iou = np.array([matches[int(i)][0] for i in ids])
        of = np.array([index.get(matches[int(i)][1], -1) for i in ids], np.intp)
        return cls(
            sizes,
            _weights(found, ids, sizes, region, policy),
            iou,
            of,
            true_sizes,
            _weights(region.labels, true_ids, true_sizes, region, policy),
        )

    @classmethod
    def joined(cls, parts: Sequence[_Tally]) -> _Tally:
        """Return the tally of several regions."""
        firsts = np.cumsum([0, *(len(part.true_sizes) for part in parts)])
        true = [np.where(part.true < 0, -1, part.true + first) for part, first in zip(parts, firsts, strict=False)]
        names = ("sizes", "weights", "matches", "true_sizes", "true_weights")
        joined = {name: np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)]) for name in names}
        return cls(**joined, true=np.concatenate([np.zeros(0, np.intp), *true]))

    def score(self, smallest: int, thresholds: Sequence[float]) -> float:
        """Return the mean over IoU of TP / (TP + FP + FN) with objects of so many pixels or more."""
        there = self.sizes >= smallest
        scores = []
        for threshold in thresholds:
            right = there & (self.matches >= threshold) & (self.true >= 0)
            found = np.zeros(len(self.true_weights), bool)
            found[self.true[right]] = True
            hits = self.true_weights[found].sum()
            false = self.weights[there & ~right].sum()
            total = self.true_weights.sum() + false
            scores.append(hits / total if total else 1.0)
        return float(np.mean(scores))


def _ids(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    ids, counts = np.unique(labels, return_counts=True)
    return ids[ids > 0], counts[ids > 0].astype(float)


def _weights(
    labels: NDArray[Any], ids: NDArray[Any], sizes: NDArray[np.float64], region: FitRegion, policy: FittingPolicy
) -> NDArray[np.float64]:
    """Return how much each object counts: one that is vouched for, one that was seen, or neither."""
    shares = []
    for mask in (region.vouched, region.seen):
        inside = np.zeros(len(ids))
        present, _, counts = overlaps(labels, mask)
        inside[np.searchsorted(ids, present)] = counts
        shares.append(inside > sizes / 2)
    return np.where(shares[0], 1.0, np.where(shares[1], policy.seen_weight, 0.0))
