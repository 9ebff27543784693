"""A scripted person who mends the errors of a segmentation in a window, by mouse and keys, and takes them back.

What it does about each kind of error: see `proofreading`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt

from napari_unet._qt.window import live_until
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.preferences import DEFAULTS
from napari_unet_benchmarks.annotator_model import Kind, unsteady
from napari_unet_benchmarks.hand import Hand
from napari_unet_benchmarks.proofreading_paths import around, between, deepest, outline_stroke, through

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet_benchmarks.object_errors import ObjectError

RIGHT = 0.75
"""From this IoU on an object is left as it is."""

MAX_RESIZES = 2
BRUSH = 3
"""Diameter of the brush, pixels, which this person sets once for all."""

IN_VIEW = 4.0
"""How many times as wide as the objects what is in view is."""

MAX_ZOOM = 12.0
"""Pixels of the screen for one of the image."""

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier


@dataclass(slots=True)
class Mended:
    """What came of one error."""

    image: str
    kind: str
    before: float
    after: float = 0.0
    gestures: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)
    undone: bool = True
    perfect: float | None = None
    """IoU after a perfect cut, or a perfect merge, that leaves the outline as the model drew it."""


class Person:
    """Mends the errors of what is in the window, who sees the true objects.

    Parameters
    ----------
    viewer, widget
        A window with a segmented image.
    truth : ndarray of int, axes (Y, X)
    seed : int
        Of the unsteady eye.
    """

    def __init__(self, viewer: Any, widget: Any, truth: NDArray[np.int32], seed: int = 0) -> None:
        self._viewer, self._controller, self._hand = viewer, widget.controller, Hand(viewer)
        self._layer = widget.controller.session.labels_layer
        self._layer.brush_size = BRUSH
        self._truth, self._seen = truth, unsteady(truth, np.random.default_rng(seed))
        self._sizes = np.bincount(truth.ravel())
        self._steps: list[NDArray[Any]] = []
        self._row = Mended("", "", 0)
        self._doomed = np.zeros(truth.shape, bool)

    @property
    def labels(self) -> NDArray[Any]:
        """What is shown now, axes (Y, X)."""
        return np.asarray(self._layer.data).reshape(self._truth.shape)

    def mend(self, error: ObjectError, image: str) -> Mended:
        """Mend an error, and take it back again; return what it took, and how good it was."""
        self._doomed = np.isin(self.labels, error.predicted)
        self._row, self._steps = Mended(image, error.kind.value, self._score(error)), []
        self._look(np.isin(self._truth, error.true) | self._doomed)
        ways: dict[Kind, Callable[[ObjectError], None]] = {
            Kind.MERGED: self._split,
            Kind.SPLIT: self._merge,
            Kind.MISSED: self._add,
            Kind.SPURIOUS: self._delete,
            Kind.OUTLINE: self._outline,
        }
        ways[error.kind](error)
        hopeless = error.kind is Kind.OUTLINE and not self._steps  # the same stroke was refused just now
        if error.kind is not Kind.SPURIOUS and not hopeless and self._score(error) < RIGHT:
            self._outline(error)
        self._row.after = self._score(error)
        self._take_back()
        return self._row

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
            path = min(paths, key=lambda way: float(np.hypot(*np.diff(way, axis=0).T).sum()))
            if not self._drag(path, CONTROL) and not self._click(deepest(whole), CONTROL):
                return

    def _merge(self, error: ObjectError) -> None:
        self._drag(through(self.labels, self._true(error.true[0]), error.predicted), SHIFT)

    def _add(self, error: ObjectError) -> None:
        true, (one,) = self._true(error.true[0]), error.true
        if len(error.predicted) > 1:
            self._drag(through(self.labels, true, error.predicted), SHIFT | CONTROL)
        elif error.predicted:
            self._click(deepest(self.labels == error.predicted[0]), SHIFT | CONTROL)
        free = true & (self.labels == 0)
        place = deepest(free if free.any() else true)
        if not self._click(place, SHIFT):
            self._draw_around(true)
            return
        for _ in range(MAX_RESIZES):
            label, iou = self._match(one)
            if iou >= RIGHT or not label:
                return
            smaller = np.count_nonzero(self.labels == label) > self._sizes[one]
            if not self._press_key(DEFAULTS["keys"]["shrink_object" if smaller else "add_object"], place):
                return

    def _draw_around(self, true: NDArray[np.bool_]) -> None:
        self._row.gestures += 1  # the button of the tool
        self._controller.gestures.choose_tool("add")
        self._drag(around(true), NONE)
        self._controller.gestures.choose_tool(None)

    def _delete(self, error: ObjectError) -> None:
        self._click(deepest(self.labels == error.predicted[0]), SHIFT | CONTROL)

    def _outline(self, error: ObjectError) -> None:
        worst = min(error.true, key=lambda t: self._match(t)[1])
        label, _ = self._match(worst)
        if not label:
            return
        try:
            path = outline_stroke(self._true(worst), self.labels, label, BRUSH)
        except ValueError:
            return
        if self._controller.gestures.tool != "outline":
            self._press_key(DEFAULTS["keys"]["outline_tool"], path[:1])
        self._drag(path, NONE)

    # -- eyes --------------------------------------------------------------------------------------------------------

    def _true(self, one: int) -> NDArray[np.bool_]:
        return self._any([one])

    def _any(self, ids: Sequence[int]) -> NDArray[np.bool_]:
        seen = np.isin(self._seen, ids)
        return seen if seen.any() else np.isin(self._truth, ids)

    def _match(self, one: int) -> tuple[int, float]:
        """Return the label that matches a true object best, 0 if none, and its IoU."""
        labels, sizes = self.labels, np.bincount(self.labels.ravel())
        shared = np.bincount(labels[self._truth == one], minlength=len(sizes))
        iou = shared / (sizes + self._sizes[one] - shared)
        iou[0] = 0
        best = int(iou.argmax())
        return best, float(iou[best])

    def _score(self, error: ObjectError) -> float:
        if error.kind is Kind.SPURIOUS:
            return 1 - float(self.labels[self._doomed].astype(bool).mean())
        return min(self._match(t)[1] for t in error.true)

    def _look(self, mask: NDArray[np.bool_]) -> None:
        """Go to some objects, and so near that they are a part of what is in view."""
        places = np.argwhere(mask)
        low, high = places.min(axis=0), places.max(axis=0) + 1
        size = self._hand.native.size()
        camera = camera_of(self._viewer)
        camera.center = (0, *(low + high) / 2 - 0.5)
        wide = IN_VIEW * max(8.0, *(high - low))
        camera.zoom = min(MAX_ZOOM, min(size.width(), size.height()) / wide)
        self._drawn()

    # -- hands -------------------------------------------------------------------------------------------------------

    def _click(self, place: NDArray[np.float64], modifiers: Any) -> bool:
        return self._drag(place, modifiers)

    def _drag(self, path: NDArray[np.float64], modifiers: Any) -> bool:
        """Click, or drag; return whether that changed anything."""
        hand, places = self._hand, [(float(y), float(x)) for y, x in path]
        hand.press(*places[0], modifiers=modifiers)
        live_until(lambda: False, 0.05)  # napari leaves out moves that come right after a press
        for place in places[1:]:
            hand.move(*place, modifiers=modifiers)
            live_until(lambda: False, 0.04)
        return self._made(lambda: hand.release(*places[-1], modifiers=modifiers))

    def _press_key(self, key: str, place: NDArray[np.float64]) -> bool:
        """Press a key, such as "Shift-I", where the mouse points."""
        *held, letter = key.split("-")
        self._hand.point_at(*place[0])
        live_until(lambda: False, 0.05)
        return self._made(lambda: self._hand.key(getattr(Qt.Key, f"Key_{letter}"), SHIFT if held else NONE))

    def _made(self, act: Callable[[], object]) -> bool:
        before, begin, tool = np.array(self._layer.data), time.perf_counter(), self._controller.gestures.tool
        act()
        self._drawn()
        self._row.gestures += 1
        changed = not np.array_equal(before, self._layer.data)
        if changed:
            self._row.seconds.append(round(time.perf_counter() - begin, 4))
            self._steps.append(before)
        elif tool == self._controller.gestures.tool:
            self._row.refused += 1
        live_until(lambda: False, 0.1)
        return changed

    def _take_back(self) -> None:
        """Press Ctrl+Z once for each gesture, and lay tools away."""
        while self._steps:
            self._hand.key(Qt.Key.Key_Z, CONTROL)
            self._row.undone &= np.array_equal(self._layer.data, before := self._steps.pop())
            if not np.array_equal(self._layer.data, before):
                self._layer.data_setitem(np.nonzero(self._layer.data != before), before[self._layer.data != before])
        self._controller.gestures.choose_tool(None)
        live_until(lambda: False, 0.05)

    def _drawn(self) -> None:
        """Wait until the canvas has been drawn, once, with all that has changed."""
        self._hand.wait_until_drawn()
