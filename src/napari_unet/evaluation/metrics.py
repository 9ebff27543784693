"""Scores of segmentations against the truth: instances, classes, and membranes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage, sparse
from scipy.optimize import linear_sum_assignment

from napari_unet.errors import LabelsError
from napari_unet.objects.label_images import as_ids

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
        Cells are found plane by plane and scored within the true ones, where every pixel of predicted membrane is a
        segment of its own; planes are pooled by their pixels.
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
    truth, predicted : array of int (numpy, dask, zarr), or a sequence of them
        Axes ``([T,] [Z,] Y, X)``. Instances: object ids, 0 is background. Semantic: classes. Membranes: 1 inside a
        cell, 0 membrane. An array is one image, whatever its axes.
    task : {"instances", "semantic", "membranes"}
        What the labels mean.

    Returns
    -------
    Scores
        Where there is nothing to find and nothing was found, a score is 1.

    Raises
    ------
    LabelsError
        If the images do not fit together, or hold anything but whole numbers from 0.

    Notes
    -----
    At each threshold of the intersection over union, objects are matched one to one, as many as there can be. Where
    each score comes from: `Scores`.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet import evaluate
    >>> truth = np.zeros((64, 64), np.int32)
    >>> truth[8:24, 8:24], truth[40:56, 40:56] = 1, 2
    >>> predicted = np.where(truth == 2, 0, truth)  # one of two objects is missing
    >>> evaluate(truth, predicted).ap["0.50"]
    0.5
    """
    truths, predictions = _label_images(truth, "truth"), _label_images(predicted, "prediction")
    if len(truths) != len(predictions):
        raise LabelsError(f"There are {len(truths)} true and {len(predictions)} predicted label images.")
    if not truths:
        raise LabelsError("There is no label image to score.")
    for index, (a, b) in enumerate(zip(truths, predictions, strict=True)):
        if a.shape != b.shape:
            raise LabelsError(f"Image {index + 1}: the truth has the shape {a.shape}, the prediction {b.shape}.")
    if task == "semantic":
        return _score_classes(truths, predictions)
    if task == "membranes":
        return _score_membranes(truths, predictions)
    if task != "instances":
        raise LabelsError(f"The task {task!r} is not known; there is instances, semantic and membranes.")
    return _score_instances(truths, predictions)


def _label_images(given: Any, what: str) -> list[NDArray[Any]]:
    """Return one array, or each of several, in memory; `what` says which in sentences."""
    found = []
    for index, one in enumerate([given] if hasattr(given, "dtype") else given):
        if not hasattr(one, "dtype") or len(one.shape) < 2:  # rows of a list of lists are no images
            raise LabelsError(f"Image {index + 1}: the {what} is no array of two axes at least.")
        array = np.asarray(one)
        if array.dtype.kind not in "biu":
            raise LabelsError(f"Image {index + 1}: the {what} is of {array.dtype}; labels are whole numbers.")
        found.append(as_ids(array, f"Image {index + 1}: the {what}"))
    return found


def _score_instances(truths: list[NDArray[Any]], predictions: list[NDArray[Any]]) -> Scores:
    found = np.zeros((len(truths), len(THRESHOLDS)))
    n_truth, n_pred = np.zeros(len(truths)), np.zeros(len(truths))
    matched_iou, seg_sum = 0.0, 0.0
    both = either = 0
    total = 0
    for index, (truth, predicted) in enumerate(zip(truths, predictions, strict=True)):
        table = contingency(truth, predicted)
        pairs = _Overlaps.of(table)
        n_truth[index], n_pred[index] = np.subtract(table.shape, 1)
        for column, threshold in enumerate(THRESHOLDS):
            matched = _match(pairs, float(threshold))
            found[index, column] = len(matched)
            if column == 0:
                matched_iou += float(matched.sum())
        # At most one prediction covers more than half of a true object, so each counts once.
        seg_sum += float(pairs.iou[pairs.covered > 0.5].sum())
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


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """Pairs of a true and a predicted object that share pixels; there are about as many as objects."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    iou: NDArray[np.float64]
    covered: NDArray[np.float64]  # share of the true object

    @classmethod
    def of(cls, table: sparse.csr_array) -> _Overlaps:
        sizes_truth, sizes_pred = (np.asarray(table.sum(axis), float).ravel()[1:] for axis in (1, 0))
        shared = table[1:, 1:].tocoo()
        rows, columns = np.asarray(shared.row, np.intp), np.asarray(shared.col, np.intp)
        union = sizes_truth[rows] + sizes_pred[columns] - shared.data
        return cls(rows, columns, shared.data / union, shared.data / sizes_truth[rows])


def _match(pairs: _Overlaps, threshold: float) -> NDArray[np.float64]:
    """Intersection over union of the one-to-one pairs, as many as there can be, that reach a threshold."""
    # A hair's breadth is allowed for, since 0.55 cannot be written exactly in binary.
    good = pairs.iou >= threshold - 1e-9
    rows, columns, iou = pairs.rows[good], pairs.columns[good], pairs.iou[good]
    # Above one half nothing has a second partner; the few that have one, at one half exactly, are assigned.
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    if alone.all():
        return iou
    rest_rows, a = np.unique(rows[~alone], return_inverse=True)
    rest_columns, b = np.unique(columns[~alone], return_inverse=True)
    gain = np.zeros((len(rest_rows), len(rest_columns)))
    gain[a, b] = 1 + iou[~alone]
    assigned = gain[linear_sum_assignment(gain, maximize=True)]
    return np.concatenate([iou[alone], assigned[assigned > 0] - 1])


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
        cells, found = _cells(truth), _cells(predicted)
        inside = cells > 0  # the membrane of the truth belongs to no cell, so it is not scored
        rand_terms, info_terms = _rand_and_information(cells[inside], _membrane_in_pieces(found[inside]))
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


def _cells(interior: NDArray[Any]) -> NDArray[np.int32]:
    """Label what hangs together by edges within each plane (Y, X), as the challenge does: slices are far apart."""
    neighbours = np.zeros((3,) * max(interior.ndim, 2), bool)
    neighbours[(1,) * (neighbours.ndim - 2)] = ndimage.generate_binary_structure(2, 1)
    return np.asarray(ndimage.label(interior > 0, neighbours)[0], np.int32)


def _membrane_in_pieces(found: NDArray[np.int32]) -> NDArray[np.int64]:
    """Give every pixel of membrane an id of its own: within a true cell it is no cell, but breaks that one up."""
    pieces = found.astype(np.int64)
    membrane = pieces == 0
    pieces[membrane] = pieces.max(initial=0) + 1 + np.arange(np.count_nonzero(membrane))
    return pieces


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
