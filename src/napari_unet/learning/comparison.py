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
    from napari_unet.learning.policy import Policy

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
        Between these the gain lies, by a paired bootstrap over objects that overlap in no model (Efron and Tibshirani
        1993): with 95 % confidence it is more than `low`, and less than `high`.
    n : int
        What was drawn: objects with all that overlaps them, or small squares.
    broken : int
        Objects that the user accepted as the old model made them, and the new one no longer finds.
    """

    before: float
    after: float
    low: float
    high: float
    n: int
    broken: int = 0

    @property
    def better(self) -> bool:
        """Whether the new model is better beyond the noise, and loses nothing that was accepted."""
        return self.low > 0 and not self.broken

    def __str__(self) -> str:
        lost = f" It no longer finds {counted(self.broken, 'object')} that you accepted." if self.broken else ""
        return (
            f"On {counted(self.n, 'reviewed place')} kept for the comparison: {self.before:.0%} right before, "
            f"{self.after:.0%} now; the difference is {100 * self.low:+.0f} to {100 * self.high:+.0f} points "
            f"(95% confidence).{lost}"
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
    broken = 0
    if instances:
        broken = sum(_broken(*trio, scoring.found_iou) for trio in zip(regions, before, after, strict=True))
    return Comparison(float(old), float(new), float(low), float(high), len(hits), broken)


def _score(hits: NDArray[Any], totals: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over the last axis of hits / totals, where there is anything; 1 where there is nothing at all."""
    ratio = np.divide(hits, totals, out=np.full(hits.shape, np.nan), where=totals > 0)
    filled = np.where(np.isnan(ratio), 0, ratio).sum(-1)
    known = (~np.isnan(ratio)).sum(-1)
    return np.where(known, filled / np.maximum(known, 1), 1.0)


def _tally_objects(
    region: HeldOutRegion, before: NDArray[Any], after: NDArray[Any], thresholds: Sequence[float]
) -> Tally:
    """Count objects found, and objects found, missed or false, for each group of objects that overlap."""
    layers = [np.where(region.mask, ids, 0) for ids in (region.labels, before, after)]
    present = [np.unique(layer[layer > 0]) for layer in layers]
    offsets = np.cumsum([0, *map(len, present)])
    links = [_links(layers, present, offsets, a, b) for a, b in ((0, 1), (0, 2), (1, 2))]
    rows, columns = (np.concatenate([link[i] for link in links]) for i in (0, 1))
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(offsets[-1], offsets[-1]))
    n_groups, group = sparse.csgraph.connected_components(graph, directed=False)
    hits = np.zeros((n_groups, 2, len(thresholds)))
    totals = np.zeros_like(hits)
    truth_groups = group[: offsets[1]]
    for model, layer in enumerate(layers[1:]):
        best = _best_iou(layers[0], layer, present[0])
        found = best[:, None] >= np.array(thresholds)
        np.add.at(hits[:, model], truth_groups, found)
        np.add.at(totals[:, model], truth_groups, 1 - found.astype(float))
        np.add.at(totals[:, model], group[offsets[model + 1] : offsets[model + 2]], 1.0)
    return hits, totals


def _links(
    layers: list[NDArray[Any]], present: list[NDArray[Any]], offsets: NDArray[Any], a: int, b: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second, _ = overlaps(layers[a], layers[b])
    return offsets[a] + np.searchsorted(present[a], first), offsets[b] + np.searchsorted(present[b], second)


def _best_iou(truth: NDArray[Any], predicted: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.float64]:
    """Return the largest intersection over union of each true object; over one half it is that of one object only."""
    best = best_matches(truth, predicted)
    return np.array([best[i][0] for i in ids.tolist()])


def _broken(region: HeldOutRegion, before: NDArray[Any], after: NDArray[Any], found_iou: float) -> int:
    """Count the accepted objects, mostly within the region, that the old model finds and the new one does not."""
    truth = np.where(region.mask, region.labels, 0)
    ids, inside = np.unique(truth[truth > 0], return_counts=True)
    pixels = dict(zip(*np.unique(region.labels, return_counts=True), strict=True))
    accepted = [2 * n > pixels[i] and int(i) not in region.corrected for i, n in zip(ids, inside, strict=True)]
    old, new = (_best_iou(truth, np.where(region.mask, labels, 0), ids) for labels in (before, after))
    return int(np.count_nonzero((old >= found_iou) & (new < found_iou) & np.array(accepted, bool)))


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
