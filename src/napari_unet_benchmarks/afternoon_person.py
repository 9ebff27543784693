"""A scripted person who mends the worst objects of the image in view by gestures, and what that costs a human."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet_benchmarks.annotator_model import GOOD, LIKE, Kind, unsteady
from napari_unet_benchmarks.object_errors import object_errors
from napari_unet_benchmarks.proofreading_paths import around, between, deepest, outline_stroke, through

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet.guidance.effort import Effort
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.proofreading.gestures import Gesture
    from napari_unet_benchmarks.object_errors import ObjectError

BRUSH = 3
"""Diameter of the brush, pixels, with which an outline is pushed in."""

IN_VAIN = 2
"""After so many clicks in a row that added nothing like the object, this person draws objects at once."""


class Tally:
    """What a person has done: gestures (clicks, keys, drags), seconds, and objects by what was wrong with them.

    Parameters
    ----------
    effort : Effort
        What things cost.
    """

    def __init__(self, effort: Effort) -> None:
        self.effort = effort
        self.gestures = self.refused = 0
        self.seconds = 0.0
        self.kinds: Counter[str] = Counter()

    def decide(self) -> None:
        """Count a look, and a decision."""
        self.seconds += self.effort.decide

    def click(self, number: int = 1, length: float = 0.0) -> None:
        """Count clicks, the last of which draws a line so many pixels long."""
        self.gestures += number
        self.seconds += number * (self.effort.point + self.effort.press) + length / self.effort.speed

    def key(self, number: int = 1) -> None:
        """Count presses of keys."""
        self.gestures += number
        self.seconds += number * self.effort.press


class Proofreader:
    """Mends the objects of the image in view, largest error first. Knows the true objects, give or take a pixel.

    Parameters
    ----------
    controller : Controller
        Of a window, or of none; the image in view is segmented.
    truth : ndarray of int, axes (Y, X)
        True objects.
    tally : Tally
        Where it is counted.
    seed : int
        Of the unsteady hand.
    """

    def __init__(self, controller: Controller, truth: NDArray[np.int32], tally: Tally, seed: int = 0) -> None:
        self._controller, self._truth, self._tally = controller, truth, tally
        self._seen = unsteady(truth, np.random.default_rng(seed))
        self._sizes = np.bincount(truth.ravel())
        self._in_vain = 0
        self._tried = set[tuple[Kind, tuple[int, ...]]]()

    @property
    def labels(self) -> NDArray[Any]:
        """What is shown now, axes (Y, X)."""
        session = self._controller.session
        assert session is not None, "it is segmented"
        return np.asarray(session.labels_layer.data).reshape(self._truth.shape)

    def mend(self, number: int) -> int:
        """Mend so many errors, and return how many there were to mend; no error is tried twice."""
        session = self._controller.session
        assert session is not None, "it is segmented"
        session.labels_layer.brush_size = BRUSH
        for count in range(number):
            errors = [e for e in object_errors(self._truth, self.labels) if (e.kind, e.true) not in self._tried]
            if not errors:
                return count
            worst = max(errors, key=self._wrong_pixels)
            if worst.true:  # of what is spurious there may be more
                self._tried.add((worst.kind, worst.true))
            self._mend(worst)
        return number

    def _mend(self, error: ObjectError) -> None:
        ways: dict[Kind, Callable[[ObjectError], None]] = {
            Kind.MERGED: self._split,
            Kind.SPLIT: self._merge,
            Kind.MISSED: self._add,
            Kind.SPURIOUS: self._delete,
            Kind.OUTLINE: self._outline,
        }
        self._tally.kinds[error.kind.value] += 1
        self._tally.key()  # the walk's key, which goes there
        self._tally.decide()
        ways[error.kind](error)
        if error.kind in (Kind.MERGED, Kind.SPLIT) and min(self._match(t)[1] for t in error.true) < GOOD:
            self._outline(error)

    # -- one way for each kind of error ------------------------------------------------------------------------------

    def _split(self, error: ObjectError) -> None:
        for _ in range(len(error.true) - 1):
            held = {t: self._match(t)[0] for t in error.true}
            shared = max(set(held.values()) - {0}, key=list(held.values()).count, default=0)
            together = [t for t in error.true if held[t] == shared]
            if not shared or len(together) < 2:
                return
            whole = self.labels == shared
            paths = [between(self._true(t), self._any([o for o in together if o != t]), whole) for t in together]
            if not self._make("split", min(paths, key=_length)) and not self._make("cut_free", deepest(whole)):
                return

    def _merge(self, error: ObjectError) -> None:
        self._make("merge", through(self.labels, self._true(error.true[0]), error.predicted))

    def _delete(self, error: ObjectError) -> None:
        self._make("delete", deepest(self.labels == error.predicted[0]))

    def _add(self, error: ObjectError) -> None:
        (one,) = error.true
        true = self._true(one)
        if error.predicted:
            self._make("delete", through(self.labels, true, error.predicted))
        free = true & (self.labels == 0)
        if self._in_vain < IN_VAIN and free.any():
            if self._make("add", deepest(free)) and self._match(one)[1] >= LIKE:
                self._in_vain = 0
                if self._match(one)[1] < GOOD:
                    self._outline(error)
                return
            self._in_vain += 1
            self._undo_unlike(one)
        self._tally.click()  # the button of the tool
        self._make("draw", around(true))

    def _undo_unlike(self, one: int) -> None:
        """Take back what was added just now, if it is there."""
        session, gestures = self._controller.session, self._controller.gestures
        if session is not None and self._added:
            self._tally.key()
            session.labels_layer.undo()
            gestures.forget()

    def _outline(self, error: ObjectError) -> None:
        worst = min(error.true, key=lambda t: self._match(t)[1])
        label, _ = self._match(worst)
        if label:
            try:
                path = outline_stroke(self._true(worst), self.labels, label, BRUSH)
            except ValueError:
                return
            self._tally.key()  # of the tool
            self._make("reshape", path)

    # -- eyes and hands ----------------------------------------------------------------------------------------------

    def _make(self, gesture: Gesture, path: NDArray[np.float64]) -> bool:
        self._tally.click(length=_length(path))
        self._added = made = self._controller.gestures.make(gesture, path)
        self._tally.refused += not made
        return made

    def _true(self, one: int) -> NDArray[np.bool_]:
        return self._any([one])

    def _any(self, ids: Sequence[int]) -> NDArray[np.bool_]:
        seen = np.isin(self._seen, ids)
        return seen if seen.any() else np.isin(self._truth, ids)

    def _match(self, one: int) -> tuple[int, float]:
        """Return the label that matches a true object best, 0 if none, and its IoU."""
        labels = self.labels
        sizes = np.bincount(labels.ravel())
        shared = np.bincount(labels[self._truth == one], minlength=len(sizes))
        iou = shared / (sizes + self._sizes[one] - shared)
        iou[0] = 0
        best = int(iou.argmax())
        return best, float(iou[best])

    def _wrong_pixels(self, error: ObjectError) -> int:
        """Return how large an error is: what catches the eye first."""
        shown, true = np.isin(self.labels, error.predicted), np.isin(self._truth, error.true)
        if error.kind is Kind.MERGED:
            sizes = [int(self._sizes[t]) for t in error.true]
            return sum(sizes) - max(sizes)
        if error.kind is Kind.SPLIT:
            return int((shown & true).sum()) - max(int((true & (self.labels == i)).sum()) for i in error.predicted)
        return int(true.sum() if error.kind is Kind.MISSED else (shown ^ true).sum())


def _length(path: NDArray[np.float64]) -> float:
    """Return the length of a way of the mouse, in pixels."""
    return float(np.hypot(*np.diff(path, axis=0).T).sum()) if len(path) > 1 else 0.0
