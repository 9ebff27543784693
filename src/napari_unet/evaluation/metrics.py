"""Scores of segmentations against the truth: instances, classes, and membranes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage, sparse
from scipy.optimize import linear_sum_assignment

from napari_unet.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

THRESHOLDS = tuple(f"{0.5 + 0.05 * step:.2f}" for step in range(10))
"""Intersections over union at which objects count as found."""

Task = Literal["instances", "semantic", "membranes"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a set of images; which of them are there depends on the task.

    Attributes
    ----------
    n_images : int
        Images scored.
    n_truth, n_pred : int or None
        Objects.
    ap, ap_per_image, f1 : dict or None
        By threshold of the intersection over union: TP / (TP + FP + FN) pooled over the images, its mean over the
        images, and 2 TP / (2 TP + FP + FN), pooled.
    pq : float or None
        Panoptic quality at 0.5 (Kirillov et al. 2019), pooled.
    seg : float or None
        Mean intersection over union of each true object with the one that covers more than half of it (Cell Tracking
        Challenge, Maska et al. 2014), pooled.
    dice, iou : float
        Of the foreground; for classes the mean over the classes other than 0.
    dice_per_class, iou_per_class : dict or None
        By class.
    v_rand, v_info, pixel_f1 : float or None
        Of membranes (Arganda-Carreras et al. 2015): agreement of the cells between them, and of the membrane pixels.
    """

    n_images: int
    dice: float
    iou: float
    n_truth: int | None = None
    n_pred: int | None = None
    ap: dict[str, float] | None = None
    ap_per_image: dict[str, float] | None = None
    f1: dict[str, float] | None = None
    pq: float | None = None
    seg: float | None = None
    dice_per_class: dict[str, float] | None = None
    iou_per_class: dict[str, float] | None = None
    v_rand: float | None = None
    v_info: float | None = None
    pixel_f1: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the scores that there are, in the order of `napari-unet evaluate --json`."""
        order = (
            "n_images", "n_truth", "n_pred", "ap", "ap_per_image", "f1", "pq", "seg", "dice", "iou", "dice_per_class",
            "iou_per_class", "v_rand", "v_info", "pixel_f1",
        )  # fmt: skip
        return {name: getattr(self, name) for name in order if getattr(self, name) is not None}


def evaluate(
    truth: NDArray[Any] | Sequence[NDArray[Any]],
    predicted: NDArray[Any] | Sequence[NDArray[Any]],
    task: Task = "instances",
) -> Scores:
    """Score label images against the truth.

    Parameters
    ----------
    truth, predicted : ndarray of int, or a sequence of them
        Axes ([T,] [Z,] Y, X). Instances: object ids, 0 is background. Semantic: classes. Membranes: 1 inside a cell, 0
        membrane. An array is one image, whatever its axes.
    task : {"instances", "semantic", "membranes"}
        What the labels mean.

    Returns
    -------
    Scores
        Where there is nothing to find and nothing was found, a score is 1.

    Raises
    ------
    LabelsError
        If the images do not fit together, or hold no whole numbers.
    """
    truths = [truth] if isinstance(truth, np.ndarray) else list(truth)
    predictions = [predicted] if isinstance(predicted, np.ndarray) else list(predicted)
    if len(truths) != len(predictions):
        raise LabelsError(f"There are {len(truths)} true and {len(predictions)} predicted label images.")
    if not truths:
        raise LabelsError("There is no label image to score.")
    for index, (a, b) in enumerate(zip(truths, predictions, strict=True)):
        if a.shape != b.shape:
            raise LabelsError(f"Image {index + 1}: the truth has the shape {a.shape}, the prediction {b.shape}.")
        for array, what in ((a, "truth"), (b, "prediction")):
            if array.dtype.kind not in "biu":
                raise LabelsError(f"Image {index + 1}: the {what} is of {array.dtype}; labels are whole numbers.")
    if task == "semantic":
        return _score_classes(truths, predictions)
    if task == "membranes":
        return _score_membranes(truths, predictions)
    if task != "instances":
        raise LabelsError(f"The task {task!r} is not known; there is instances, semantic and membranes.")
    return _score_instances(truths, predictions)


def _score_instances(truths: list[NDArray[Any]], predictions: list[NDArray[Any]]) -> Scores:
    found = np.zeros((len(truths), len(THRESHOLDS)))
    n_truth, n_pred = np.zeros(len(truths)), np.zeros(len(truths))
    matched_iou, seg_sum = 0.0, 0.0
    both = either = 0
    total = 0
    for index, (truth, predicted) in enumerate(zip(truths, predictions, strict=True)):
        table = contingency(truth, predicted)
        iou, covered = _object_iou(table)
        n_truth[index], n_pred[index] = iou.shape
        for column, threshold in enumerate(THRESHOLDS):
            rows, columns = _match(iou, float(threshold))
            found[index, column] = len(rows)
            if column == 0:
                matched_iou += float(iou[rows, columns].sum())
        # At most one prediction covers more than half of a true object, so the sum has one term a row.
        seg_sum += float(np.where(covered > 0.5, iou, 0.0).sum())
        inside, outside = truth > 0, predicted > 0
        both += int(np.count_nonzero(inside & outside))
        either += int(np.count_nonzero(inside | outside))
        total += int(np.count_nonzero(inside)) + int(np.count_nonzero(outside))
    pooled, objects = found.sum(0), n_truth.sum() + n_pred.sum()
    per_image = _ratio(found, (n_truth + n_pred)[:, None] - found).mean(0)
    return Scores(
        n_images=len(truths),
        n_truth=int(n_truth.sum()),
        n_pred=int(n_pred.sum()),
        ap=_by_threshold(_ratio(pooled, objects - pooled)),
        ap_per_image=_by_threshold(per_image),
        f1=_by_threshold(_ratio(2 * pooled, np.full(len(THRESHOLDS), objects))),
        pq=float(_ratio(2 * matched_iou, objects)),
        seg=float(_ratio(seg_sum, n_truth.sum())) if n_truth.sum() or not n_pred.sum() else 0.0,
        dice=float(_ratio(2 * both, total)),
        iou=float(_ratio(both, either)),
    )


def contingency(truth: NDArray[Any], predicted: NDArray[Any]) -> sparse.csr_array:
    """Return how many pixels each pair of labels shares; row and column 0 are background, 1, 2, ... the sorted ids."""
    rows, columns = _ranks(truth), _ranks(predicted)
    shape = (int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1)
    return sparse.coo_array((np.ones(rows.size, np.int64), (rows, columns)), shape=shape).tocsr()


def _ranks(labels: NDArray[Any]) -> NDArray[np.intp]:
    ids, inverse = np.unique(labels, return_inverse=True)
    ranks = np.cumsum(ids > 0)
    return np.asarray(ranks[inverse.ravel()], np.intp)


def _object_iou(table: sparse.csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersection over union of each true with each predicted object, and the share of the true one covered."""
    sizes_truth = np.asarray(table.sum(1), float).ravel()[1:, None]
    sizes_pred = np.asarray(table.sum(0), float).ravel()[None, 1:]
    shared = table.toarray()[1:, 1:].astype(float)
    return shared / np.maximum(sizes_truth + sizes_pred - shared, 1), shared / np.maximum(sizes_truth, 1)


def _match(iou: NDArray[np.float64], threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One-to-one pairs, as many as there can be, whose intersection over union reaches a threshold."""
    # An object matches only those it overlaps that far: the assignment is solved on these alone. A hair's breadth is
    # allowed for, since 0.55 cannot be written exactly in binary.
    good = iou >= threshold - 1e-9
    rows, columns = np.flatnonzero(good.any(1)), np.flatnonzero(good.any(0))
    part = np.where(good, 1 + iou, 0.0)[np.ix_(rows, columns)]
    a, b = linear_sum_assignment(part, maximize=True)
    hit = part[a, b] > 0
    return rows[a[hit]], columns[b[hit]]


def _score_classes(truths: list[NDArray[Any]], predictions: list[NDArray[Any]]) -> Scores:
    classes = np.unique(np.concatenate([np.unique(array) for array in [*truths, *predictions]]))
    dice, iou = {}, {}
    for value in classes:
        both = either = 0
        for truth, predicted in zip(truths, predictions, strict=True):
            both += int(np.count_nonzero((truth == value) & (predicted == value)))
            either += int(np.count_nonzero((truth == value) | (predicted == value)))
        dice[str(int(value))] = float(_ratio(2 * both, both + either))
        iou[str(int(value))] = float(_ratio(both, either))
    named = [str(int(value)) for value in classes if value] or [str(int(value)) for value in classes]
    return Scores(
        n_images=len(truths),
        dice=float(np.mean([dice[name] for name in named])),
        iou=float(np.mean([iou[name] for name in named])),
        dice_per_class=dice,
        iou_per_class=iou,
    )


def _score_membranes(truths: list[NDArray[Any]], predictions: list[NDArray[Any]]) -> Scores:
    """Score the cells between membranes, as objects and as a partition of all images, and the membrane pixels."""
    rand, info = np.zeros(3), np.zeros(3)
    both = either = 0
    all_cells: list[NDArray[Any]] = []
    all_found: list[NDArray[Any]] = []
    for truth, predicted in zip(truths, predictions, strict=True):
        cells, found = ndimage.label(truth > 0)[0], ndimage.label(predicted > 0)[0]
        inside = cells > 0  # the membrane of the truth belongs to no cell, so it is not scored
        rand_terms, info_terms = _rand_and_information(cells[inside], found[inside])
        rand += rand_terms
        info += info_terms
        membrane, found_membrane = truth == 0, predicted == 0
        both += int(np.count_nonzero(membrane & found_membrane))
        either += int(np.count_nonzero(membrane)) + int(np.count_nonzero(found_membrane))
        all_cells.append(cells)
        all_found.append(found)
    return replace(
        _score_instances(all_cells, all_found),
        v_rand=float(_ratio(2 * rand[0], rand[1] + rand[2])),
        v_info=float(_ratio(2 * info[0], info[1] + info[2])),
        pixel_f1=float(_ratio(2 * both, either)),
    )


def _rand_and_information(truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Joint and two single terms of V_Rand and V_Info over the pixels within true cells, weighted by their number.

    V_Rand is the F-score of sum p_ij^2 against sum t_j^2 and sum s_i^2; V_Info is twice the mutual information over the
    sum of the entropies.
    """
    if not truth.size:
        return np.zeros(3), np.zeros(3)
    table = contingency(truth, predicted)
    joint = table.data / truth.size
    rows, columns = np.asarray(table.sum(1)).ravel() / truth.size, np.asarray(table.sum(0)).ravel() / truth.size
    rand = np.array([(joint**2).sum(), (rows**2).sum(), (columns**2).sum()])
    entropies = [-float(np.sum(p[p > 0] * np.log(p[p > 0]))) for p in (joint, rows, columns)]
    information = np.array([entropies[1] + entropies[2] - entropies[0], entropies[1], entropies[2]])
    return rand * truth.size, information * truth.size


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """`part` / `whole`, and 1 where both are 0: nothing to find, and nothing found."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.where(whole > 0, part / np.maximum(whole, 1e-300), 1.0)


def _by_threshold(values: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(THRESHOLDS, values, strict=True)}
