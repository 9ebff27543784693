"""A simulated person who mends a segmentation: the worst place first, at what it would cost a human.

It sees what a person would: the labels, and, as an expert does in the image, where the objects end, give or take a
pixel. Differences too thin to be seen stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.evaluation.metrics import contingency
from napari_unet.guidance.effort import Effort, brush_length, length, outline
from napari_unet.objects.targets import boundaries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

UNSTEADY = 0.7
"""Standard deviation, in pixels, of where a hand draws an outline."""

TREMBLE = 4.0
"""Pixels along an outline over which the hand strays to the same side."""

GOOD = 0.75
"""An object whose intersection over union is this or more is left as it is."""

LIKE = 0.25
"""Below this intersection over union an object is not mended but drawn anew."""

PART = 0.1
"""A piece that covers less of an object than this is no part of it."""

REACH = 64
"""Width, in pixels, of what the brush corrects at a time where labels are classes."""

MIN_REGION_PIXELS = 12
"""Wrong regions of fewer pixels are not corrected."""


class Kind(StrEnum):
    """What was wrong."""

    MISSED = "missed"
    SPURIOUS = "spurious"
    MERGED = "merged"
    SPLIT = "split"
    OUTLINE = "outline"
    REGION = "region"  # of a wrong class


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One thing that a person does.

    Attributes
    ----------
    kind : Kind
        What was wrong.
    pixels : ndarray of bool, axes (Y, X)
        What is changed.
    values : ndarray of int32, one for each of those pixels
        New labels.
    seconds : float
        What it costs.
    follows_up : bool
        Whether it finishes what an earlier one has begun: what the user answers for is still wrong there.
    """

    kind: Kind
    pixels: NDArray[np.bool_]
    values: NDArray[np.int32]
    seconds: float
    follows_up: bool = False

    def apply(self, labels: NDArray[Any]) -> None:
        """Write the new labels (Y, X)."""
        labels[self.pixels] = self.values


@dataclass(frozen=True, slots=True)
class _Flaw:
    """Something wrong: with the true object, the predicted one, or both; `wrong` counts its pixels."""

    kind: Kind
    wrong: int
    true: int = 0
    predicted: tuple[int, ...] = ()


class Annotator:
    """Knows how one field should look, and corrects what is shown of it.

    Parameters
    ----------
    truth : ndarray of int, axes (Y, X)
        True objects, or classes.
    instances : bool
        Whether ids are objects.
    effort : Effort
        What things cost.
    seed : int
        Seeds the hand's unsteadiness.

    Attributes
    ----------
    truth : ndarray of int32, axes (Y, X)
        As this person would draw it.
    """

    def __init__(
        self, truth: NDArray[Any], *, instances: bool = True, effort: Effort | None = None, seed: int = 0
    ) -> None:
        self.instances = instances
        self.effort = effort or Effort()
        self.truth = unsteady(truth, np.random.default_rng(seed)).astype(np.int32)

    def next_edit(self, labels: NDArray[Any], vouched: NDArray[np.bool_] | None = None) -> Edit | None:
        """Return how the worst place is mended, or None where all is well.

        Parameters
        ----------
        labels : ndarray of int, axes (Y, X)
            As they are now.
        vouched : ndarray of bool, axes (Y, X), optional
            The pixels that the user already answers for: what is wrong there comes first, because it would be learned.
        """
        return self._worst_object(labels, vouched) if self.instances else self._worst_region(labels)

    def edits(self, labels: NDArray[Any]) -> list[Edit]:
        """Return how each wrong object (not class) is mended, as if it were the only one.

        Parameters
        ----------
        labels : ndarray of int, axes (Y, X)
            As they are now.
        """
        return [self._mend(labels, flaw, follows_up=False) for flaw in self._flaws(labels)]

    def review(self) -> float:
        """Return the seconds that it takes to look at all of the field and mark it as reviewed."""
        return self.effort.review(self.truth.shape)

    def draw_all(self) -> float:
        """Return the seconds that it takes to draw `truth` from nothing: every object, or all but the largest class."""
        seconds = 0.0
        if self.instances:
            for label in np.unique(self.truth[self.truth > 0]):
                seconds += self.effort.strokes(length(outline(self.truth == label)))
            return seconds
        classes, counts = np.unique(self.truth, return_counts=True)
        for value in classes[np.argsort(counts)[:-1]]:
            pieces, number = ndimage.label(self.truth == value)
            seconds += self.effort.strokes(brush_length(pieces > 0, self.effort.brush), number)
        return seconds

    # -- objects ---------------------------------------------------------------------------------------------------

    def _worst_object(self, labels: NDArray[Any], vouched: NDArray[np.bool_] | None) -> Edit | None:
        flaws = list(self._flaws(labels))
        if not flaws:
            return None
        begun, touched = set[int](), set[int]()
        if vouched is not None and vouched.any():
            share = np.bincount(self.truth[vouched], minlength=int(self.truth.max()) + 1)
            begun = set(np.flatnonzero(share > PART * np.bincount(self.truth.ravel())).tolist())
            touched = set(np.unique(labels[vouched]).tolist())
        ranked = [(flaw.true in begun if flaw.true else flaw.predicted[0] in touched, flaw) for flaw in flaws]
        follows_up, worst = max(ranked, key=lambda entry: (entry[0], entry[1].wrong))
        return self._mend(labels, worst, follows_up)

    def _flaws(self, labels: NDArray[Any]) -> Iterator[_Flaw]:
        """Yield what is wrong with each true object that is not found well, and predicted ones that are none."""
        true_ids, ids = np.unique(self.truth[self.truth > 0]), np.unique(labels[labels > 0])
        table = contingency(self.truth, labels).toarray()
        shared, sizes_true, sizes = table[1:, 1:], table.sum(1)[1:], table.sum(0)[1:]
        iou = shared / np.maximum(sizes_true[:, None] + sizes - shared, 1)
        covers = shared > 0.5 * sizes_true[:, None]
        for row, true in enumerate(true_ids.tolist()):
            best = int(iou[row].argmax()) if len(ids) else 0
            if len(ids) and iou[row, best] >= GOOD:
                continue
            parts = np.flatnonzero((shared[row] > 0.5 * sizes) & (shared[row] >= PART * sizes_true[row]))
            around = [column for column in np.flatnonzero(covers[row]) if covers[:, column].sum() > 1]
            if len(parts) > 1:
                parts = parts[np.argsort(-shared[row, parts])]
                yield _Flaw(Kind.SPLIT, int(shared[row, parts[1:]].sum()), true, tuple(ids[parts].tolist()))
            elif around:
                yield _Flaw(Kind.MERGED, int(shared[row, around[0]]), true, (int(ids[around[0]]),))
            elif len(ids) and iou[row, best] >= LIKE and iou[:, best].argmax() == row:
                wrong = int(sizes_true[row] + sizes[best] - 2 * shared[row, best])
                yield _Flaw(Kind.OUTLINE, wrong, true, (int(ids[best]),))
            else:
                pieces = ids[shared[row] > 0.5 * sizes]
                yield _Flaw(Kind.MISSED, int(sizes_true[row]), true, tuple(pieces.tolist()))
        if len(ids):
            none = (table[0, 1:] > 0.5 * sizes) & ~covers.any(0) & (iou.max(0, initial=0) < LIKE)
            for column in np.flatnonzero(none):
                yield _Flaw(Kind.SPURIOUS, int(sizes[column]), predicted=(int(ids[column]),))

    def _mend(self, labels: NDArray[Any], flaw: _Flaw, follows_up: bool) -> Edit:
        effort, drawn = self.effort, self.truth == flaw.true
        shown = np.isin(labels, flaw.predicted) if flaw.predicted else np.zeros(labels.shape, bool)
        whole = effort.strokes(length(outline(drawn)))
        value: int | NDArray[np.int32] = int(labels.max()) + 1
        if flaw.kind is Kind.MISSED:
            pixels, value = drawn | shown, np.where(drawn, value, 0)[drawn | shown]
            rest = np.unique(labels[shown & ~drawn])  # of the pieces that lay there, what sticks out is erased
            seconds = whole + len(rest) * (effort.point + effort.press)
        elif flaw.kind is Kind.SPURIOUS:
            pixels, value, seconds = shown, 0, effort.clicks(1) + effort.press  # background is chosen by a key
        elif flaw.kind is Kind.SPLIT:
            value = flaw.predicted[0]
            pixels, seconds = shown & (labels != value), effort.clicks(len(flaw.predicted))  # one picked, others filled
        elif flaw.kind is Kind.MERGED:
            pixels = drawn & shown
            cut = outline(pixels) & ~ndimage.binary_dilation(boundaries(labels))
            seconds = effort.strokes(length(cut), number=2)  # and filled
        else:
            pixels, seconds = self._redraw(drawn, shown)
            if seconds > whole + effort.clicks(1):  # then it is erased first
                pixels, seconds = drawn ^ shown, whole + effort.clicks(1)
            value = np.where(drawn[pixels], flaw.predicted[0], 0)
        values = np.broadcast_to(np.asarray(value, np.int32), int(np.count_nonzero(pixels)))
        return Edit(flaw.kind, pixels, values, seconds, follows_up)

    def _redraw(self, drawn: NDArray[np.bool_], shown: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], float]:
        """Return where an outline strays visibly, and the seconds that it takes to draw it anew there."""
        wrong = drawn ^ shown
        pixels = visible(wrong) if visible(wrong).any() else wrong
        redrawn = outline(drawn) & ndimage.binary_dilation(pixels)
        pieces = ndimage.label(pixels, np.ones((3, 3)))[1]
        return pixels, self.effort.strokes(length(redrawn), pieces)

    # -- classes ---------------------------------------------------------------------------------------------------

    def _worst_region(self, labels: NDArray[Any]) -> Edit | None:
        """Mend the largest piece of one class at the place where most is wrong."""
        wrong = visible(labels != self.truth)
        density = ndimage.uniform_filter(wrong.astype(np.float32), REACH, mode="constant")
        middle = np.unravel_index(int(density.argmax()), density.shape)
        place = tuple(slice(max(0, int(m) - REACH // 2), int(m) + REACH // 2) for m in middle)
        best = np.zeros(wrong[place].shape, bool)
        for value in np.unique(self.truth[place][wrong[place]]):
            pieces, _ = ndimage.label(wrong[place] & (self.truth[place] == value))
            piece = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
            best = max(best, piece, key=np.count_nonzero)
        if np.count_nonzero(best) < MIN_REGION_PIXELS:
            return None
        pixels = np.zeros(wrong.shape, bool)
        pixels[place] = best
        seconds = self.effort.strokes(brush_length(best, self.effort.brush))
        return Edit(Kind.REGION, pixels, self.truth[pixels], seconds)


def unsteady(truth: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Return labels (Y, X) as a hand draws them: every outline strays smoothly, by about a pixel."""
    places = np.indices(truth.shape)
    for axis, size in enumerate(truth.shape):
        stray = ndimage.gaussian_filter(rng.normal(size=truth.shape), TREMBLE)
        places[axis] = np.clip(places[axis] + np.rint(stray * (UNSTEADY / stray.std())), 0, size - 1)
    return np.asarray(truth[tuple(places)])


def visible(wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the wrong pixels (Y, X) that somebody would notice: not those of slivers one or two pixels thin."""
    return np.asarray(ndimage.binary_dilation(ndimage.binary_opening(wrong)) & wrong)
