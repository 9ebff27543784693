"""How two models do on the same places, and how much of the difference chance may have made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from napari_unet.learning.held_out import SQUARE
from napari_unet.objects.stitch import best_matches, overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.held_out import HeldOutRegion


THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Intersections over union at which an object counts as found; the score is the mean over them."""

RESAMPLES = 2000

CONFIDENCE = 0.95

FORGETTING = 0.02
"""Most that the score on the base data may fall."""

_CLASSES = 64
"""Most classes that a model has."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores of two models on the same places.

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
        """Whether the new model is better beyond the noise, and breaks nothing that was accepted."""
        return self.low > 0 and not self.broken


def compare(
    exams: Sequence[HeldOutRegion], before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], *, instances: bool
) -> Comparison:
    """Compare the labels that two models gave on exams.

    Parameters
    ----------
    exams : sequence of Exam
        At least one.
    before, after : sequence of ndarray of int, axes ([Z,] Y, X)
        Of the old and the new model, one for each exam.
    instances : bool
        Whether ids are objects, or classes.
    """
    tally = _tally_objects if instances else _tally_classes
    parts = [tally(*trio) for trio in zip(exams, before, after, strict=True)]
    hits, wholes = (np.concatenate([part[i] for part in parts]) for i in (0, 1))  # (n, 2 models, thresholds or classes)
    if not len(hits):
        return Comparison(1.0, 1.0, 0.0, 0.0, 0)
    draws = np.random.default_rng(0).multinomial(len(hits), np.full(len(hits), 1 / len(hits)), RESAMPLES)
    drawn = _score(np.tensordot(draws, hits, 1), np.tensordot(draws, wholes, 1))
    low, high = np.quantile(drawn[:, 1] - drawn[:, 0], [1 - CONFIDENCE, CONFIDENCE])
    old, new = _score(hits.sum(0), wholes.sum(0))
    broken = sum(_broken(*trio) for trio in zip(exams, before, after, strict=True)) if instances else 0
    return Comparison(float(old), float(new), float(low), float(high), len(hits), broken)


def _score(hits: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over the last axis of hits / wholes, where there is anything; 1 where there is nothing at all."""
    ratio = np.divide(hits, wholes, out=np.full(hits.shape, np.nan), where=wholes > 0)
    filled = np.where(np.isnan(ratio), 0, ratio).sum(-1)
    known = (~np.isnan(ratio)).sum(-1)
    return np.where(known, filled / np.maximum(known, 1), 1.0)


def _tally_objects(
    exam: HeldOutRegion, before: NDArray[Any], after: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count what is found, and what is found, missed or false, for each group of objects that overlap.

    Axes (groups, 2 models, thresholds).
    """
    layers = [np.where(exam.mask, ids, 0) for ids in (exam.labels, before, after)]
    present = [np.unique(layer[layer > 0]) for layer in layers]
    offsets = np.cumsum([0, *map(len, present)])
    links = [_links(layers, present, offsets, a, b) for a, b in ((0, 1), (0, 2), (1, 2))]
    rows, columns = (np.concatenate([link[i] for link in links]) for i in (0, 1))
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(offsets[-1], offsets[-1]))
    n_groups, group = sparse.csgraph.connected_components(graph, directed=False)
    hits = np.zeros((n_groups, 2, len(THRESHOLDS)))
    wholes = np.zeros_like(hits)
    truth_groups = group[: offsets[1]]
    for model, layer in enumerate(layers[1:]):
        best = _best_iou(layers[0], layer, present[0])
        found = best[:, None] >= np.array(THRESHOLDS)
        np.add.at(hits[:, model], truth_groups, found)
        np.add.at(wholes[:, model], truth_groups, 1 - found.astype(float))
        np.add.at(wholes[:, model], group[offsets[model + 1] : offsets[model + 2]], 1.0)
    return hits, wholes


def _links(
    layers: list[NDArray[Any]], present: list[NDArray[Any]], offsets: NDArray[Any], a: int, b: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second, _ = overlaps(layers[a], layers[b])
    return offsets[a] + np.searchsorted(present[a], first), offsets[b] + np.searchsorted(present[b], second)


def _best_iou(truth: NDArray[Any], predicted: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.float64]:
    """Return the largest intersection over union of each true object; over one half it is that of one object only."""
    best = best_matches(truth, predicted)
    return np.array([best[i][0] for i in ids.tolist()])


def _broken(exam: HeldOutRegion, before: NDArray[Any], after: NDArray[Any]) -> int:
    """Count the accepted objects, lying mostly in the place, that the old model finds and the new one does not."""
    truth = np.where(exam.mask, exam.labels, 0)
    ids, inside = np.unique(truth[truth > 0], return_counts=True)
    whole = dict(zip(*np.unique(exam.labels, return_counts=True), strict=True))
    accepted = [2 * n > whole[i] and int(i) not in exam.corrected for i, n in zip(ids, inside, strict=True)]
    old, new = (_best_iou(truth, np.where(exam.mask, labels, 0), ids) for labels in (before, after))
    return int(np.count_nonzero((old >= 0.5) & (new < 0.5) & np.array(accepted, bool)))


def _tally_classes(
    exam: HeldOutRegion, before: NDArray[Any], after: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count, for each small square: (squares, 2 models, classes) twice the common pixels, and the pixels of both."""
    squares = np.zeros(exam.mask.shape, np.int64)
    for axis, size in enumerate(exam.mask.shape):
        step = SQUARE if axis >= exam.mask.ndim - 2 else size
        index = np.arange(size) // step
        squares = squares * (size // step + 1) + index.reshape([-1 if a == axis else 1 for a in range(squares.ndim)])
    numbers, square = np.unique(squares[exam.mask], return_inverse=True)
    truth = np.minimum(exam.labels[exam.mask], _CLASSES - 1)
    hits = np.zeros((len(numbers), 2, _CLASSES))
    wholes = np.zeros_like(hits)
    for model, layer in enumerate((before, after)):
        predicted = layer[exam.mask]
        same = truth == predicted
        np.add.at(hits[:, model], (square[same], truth[same]), 2.0)
        for values in (truth, predicted):
            np.add.at(wholes[:, model], (square, values), 1.0)
    return hits, wholes
