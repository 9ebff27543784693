"""How two models do on the same regions, and how much of the difference chance may have made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.stitch import best_matches, overlaps
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.held_out import HeldOutRegion
    from napari_unet.learning.policy import Policy, PromotionPolicy

MAX_CLASSES = 64
"""Classes that a model has at most."""

Tally = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""What is found, and the largest number that could be; axes (n, 2 models, thresholds or classes)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores of two models on the same regions.

    Attributes
    ----------
    before, after : float
        Mean over IoU 0.5 to 0.9 of TP / (TP + FP + FN), or the mean Dice of the classes.
    low, high : float
        Between these 90 % of the gains lie, by a paired bootstrap over objects that overlap in no model (Efron and
        Tibshirani 1993): with 95 % confidence it is more than `low`, and with as much it is less than `high`.
    n : int
        What was drawn: objects with all that overlaps them, or small squares.
    """

    before: float
    after: float
    low: float
    high: float
    n: int

    def surely_worse(self, policy: PromotionPolicy = DEFAULT_POLICY.promotion) -> bool:
        """Whether the new model is worse beyond what chance makes of a few objects."""
        return self.n >= policy.min_compared and self.high < 0

    def __str__(self) -> str:
        return (
            f"{self.before:.0%} right before, {self.after:.0%} now; the difference is {100 * self.low:+.0f} to "
            f"{100 * self.high:+.0f} points (90% interval, {counted(self.n, 'place')})."
        )


def compare(
    regions: Sequence[HeldOutRegion],
    before: Sequence[NDArray[Any]],
    after: Sequence[NDArray[Any]],
    *,
    instances: bool,
    policy: Policy = DEFAULT_POLICY,
) -> Comparison:
    """Compare the labels that two models gave on held-out regions.

    Parameters
    ----------
    regions : sequence of HeldOutRegion
        At least one.
    before, after : sequence of ndarray of int, axes ([Z,] Y, X)
        Of the old and the new model, one for each region.
    instances : bool
        Whether ids are objects, or classes.
    policy : Policy
    """
    scoring = policy.promotion
    tallies = [
        _tally_objects(*trio, scoring.iou_thresholds) if instances else _tally_classes(*trio, policy.split.piece_width)
        for trio in zip(regions, before, after, strict=True)
    ]
    hits, totals = (np.concatenate([tally[i] for tally in tallies]) for i in (0, 1))
    if not len(hits):
        return Comparison(1.0, 1.0, 0.0, 0.0, 0)
    draws = np.random.default_rng(0).multinomial(len(hits), np.full(len(hits), 1 / len(hits)), scoring.resamples)
    drawn = _score(np.tensordot(draws, hits, 1), np.tensordot(draws, totals, 1))
    low, high = np.quantile(drawn[:, 1] - drawn[:, 0], [1 - scoring.confidence, scoring.confidence])
    old, new = _score(hits.sum(0), totals.sum(0))
    return Comparison(float(old), float(new), float(low), float(high), len(hits))


def _score(hits: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over the last axis of hits / totals, where there is anything; 1 where there is nothing at all."""
    ratio = np.divide(hits, totals, out=np.full(hits.shape, np.nan), where=totals > 0)
    filled = np.where(np.isnan(ratio), 0, ratio).sum(-1)
    known = (~np.isnan(ratio)).sum(-1)
    return np.where(known, filled / np.maximum(known, 1), 1.0)


def _tally_objects(
    region: HeldOutRegion, before: NDArray[Any], after: NDArray[Any], thresholds: Sequence[float]
) -> Tally:
    """Count objects found, and objects found, missed or false, for each group of objects that overlap.

    An object smaller than others counts by its size: a speck that is found or not is not a cell.
    """
    layers = [np.where(region.mask, ids, 0) for ids in (region.labels, before, after)]
    present, weights = zip(*(_weighted(layer, _typical_size(region.labels)) for layer in layers), strict=True)
    offsets = np.cumsum([0, *map(len, present)])
    links = [_links(layers, present, offsets, a, b) for a, b in ((0, 1), (0, 2), (1, 2))]
    rows, columns = (np.concatenate([link[i] for link in links]) for i in (0, 1))
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(offsets[-1], offsets[-1]))
    n_groups, group = sparse.csgraph.connected_components(graph, directed=False)
    hits = np.zeros((n_groups, 2, len(thresholds)))
    totals = np.zeros_like(hits)
    for model, layer in enumerate(layers[1:]):
        best = best_matches(layers[0], layer)
        ious, partners = (np.array([best[i][k] for i in present[0].tolist()]) for k in (0, 1))
        found = ious[:, None] >= np.array(thresholds)
        false = np.stack([~np.isin(present[model + 1], partners[column]) for column in found.T], axis=1)
        np.add.at(hits[:, model], group[: offsets[1]], found * weights[0][:, None])
        np.add.at(totals[:, model], group[: offsets[1]], np.broadcast_to(weights[0][:, None], found.shape))
        mine = group[offsets[model + 1] : offsets[model + 2]]
        np.add.at(totals[:, model], mine, false * weights[model + 1][:, None])
    return hits, totals


def _typical_size(labels: NDArray[Any]) -> float:
    """Return the median size of objects, pixels; 1 where there are none."""
    sizes = np.unique(labels[labels > 0], return_counts=True)[1]
    return float(np.median(sizes)) if len(sizes) else 1.0


def _weighted(labels: NDArray[Any], typical: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the ids of the objects, and their size as a share of the typical one, at most 1."""
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    return ids, np.minimum(sizes / typical, 1.0)


def _links(
    layers: Sequence[NDArray[Any]], present: Sequence[NDArray[Any]], offsets: NDArray[Any], a: int, b: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second, _ = overlaps(layers[a], layers[b])
    return offsets[a] + np.searchsorted(present[a], first), offsets[b] + np.searchsorted(present[b], second)


def _tally_classes(region: HeldOutRegion, before: NDArray[Any], after: NDArray[Any], piece_width: int) -> Tally:
    """Count, for each piece and class, twice the common pixels, and the pixels of both."""
    pieces, piece = np.unique(piece_numbers(region.mask.shape, piece_width)[region.mask], return_inverse=True)
    truth = np.minimum(region.labels[region.mask], MAX_CLASSES - 1)
    hits = np.zeros((len(pieces), 2, MAX_CLASSES))
    totals = np.zeros_like(hits)
    for model, layer in enumerate((before, after)):
        predicted = layer[region.mask]
        same = truth == predicted
        np.add.at(hits[:, model], (piece[same], truth[same]), 2.0)
        for values in (truth, predicted):
            np.add.at(totals[:, model], (piece, values), 1.0)
    return hits, totals


def piece_numbers(shape: tuple[int, ...], width: int, *, each_slice: bool = False) -> NDArray[np.int64]:
    """Return the number of the piece that each pixel ([Z,] Y, X) lies in: squares, through all slices or in each."""
    numbers = np.zeros(shape, np.int64)
    for axis, size in enumerate(shape):
        in_plane = axis >= len(shape) - 2
        step = width if in_plane else 1 if each_slice else size
        index = (np.arange(size) // step).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        numbers = numbers * (size // step + 1) + index
    return numbers
