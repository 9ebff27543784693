"""A stroke that does not touch the selected object is an object of its own: it is painted with an id that nothing has.

napari paints with the selected label whatever it is, so that whoever paints two missed cells one after the other would
make one object of them, which may be a third one's. A number that the user has typed is painted with as it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.corrections.identity import largest_id
from napari_unet.objects.label_images import COUNTED_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections

MAX_SEARCHED_PIXELS = 2**25
"""Most pixels of a plane in which the largest id is looked for when a stroke begins: the hand must not wait."""

_Box = tuple[slice, ...]


class Strokes:
    """Selects the label that strokes are painted with.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Labels
        What is painted on; its ids are objects.
    corrections : Corrections
        Of these labels: it knows which ids there were.
    spatial : sequence of int
        Axes of the layer along which an object goes on: not time.
    widen : callable
        Gives the layer a type that holds more ids.

    Notes
    -----
    `press`, `move` and `release` have to be called before napari's own callbacks for the mouse: then `press` selects
    what these paint with, and what `release` changes belongs to the same step of the undo history.
    """

    def __init__(
        self,
        viewer: Any,
        layer: Any,
        corrections: Corrections,
        spatial: Sequence[int],
        widen: Callable[[], None],
    ) -> None:
        self._viewer, self._layer, self._corrections = viewer, layer, corrections
        self._spatial, self._widen = frozenset(spatial), widen
        self._known = 0  # the largest id that was painted with
        self._typed: int | None = None  # an id of the user's own choice: not that of an object, nor just the next one
        self._by_hand = self._selecting = self._in_polygon = False
        self._before: int | None = None  # the label that was selected when the stroke under way began
        self._boxes: list[tuple[_Box, NDArray[np.bool_] | None]] = []  # where it went, and what was that object there
        self._last: NDArray[np.float64] | None = None
        layer.events.selected_label.connect(self._on_selected)
        layer.events.mode.connect(self._on_mode)

    def offer(self, largest: int | None = None) -> None:
        """Select a fresh id if an object has the selected one, and the user did not choose it.

        Parameters
        ----------
        largest : int, optional
            The largest id that there is, where the caller knows it: to look for it takes long.
        """
        if largest is not None and largest < COUNTED_IDS:
            self._known = max(self._known, largest)
        else:
            largest = None
        if not self._by_hand and self._before is None and self._used(self._layer.selected_label, largest):
            self._select(self.fresh_id(largest))

    def press(self, event: Any) -> None:
        """Select a fresh id if the stroke that begins is not one on the selected object."""
        layer, mode = self._layer, str(self._layer.mode)
        label = layer.selected_label
        draws = mode in ("paint", "fill", "polygon") and event.button in (1, 2) and layer.cursor != "circle_frozen"
        if not draws or label == 0 or not layer.editable or self._viewer.dims.ndisplay == 3:
            return
        begun, self._in_polygon = self._in_polygon, mode == "polygon"
        if begun or label == self._typed or not self._used(label):
            return
        position = np.asarray(layer.world_to_data(event.position), float)
        if mode == "fill":
            if self._at(position) != 0:
                return  # one object is made a part of another one
        elif self._touches(position, label):
            return
        self._select(self.fresh_id())
        if mode != "polygon":
            self._before, self._last = label, position
            self._note(position, whole=mode == "fill")

    def move(self, event: Any) -> None:
        """Take note of where the stroke goes, before napari paints there."""
        if self._before is not None and self._last is not None:
            self._note(np.asarray(self._layer.world_to_data(event.position), float), whole=self._layer.mode == "fill")

    def release(self) -> None:
        """Make the stroke a part of the object that had been selected, if it touches that."""
        before, boxes, self._before, self._boxes = self._before, self._boxes, None, []
        if before is None:
            return
        layer, label = self._layer, self._layer.selected_label
        painted: list[tuple[NDArray[np.intp], ...]] = []
        touched = False
        for box, was in boxes:
            part = np.asarray(layer.data[box])
            own = part == label
            if not own.any():
                continue
            painted.append(tuple(n + p.start for n, p in zip(np.nonzero(own), box, strict=True)))
            beside = part == before
            if was is not None:
                beside |= was
            touched = touched or (bool(beside.any()) and bool((_grown(own) & beside).any()))
        if touched:
            positions = tuple(np.concatenate(axis) for axis in zip(*painted, strict=True))
            layer.data_setitem(positions, before)
        if touched or not painted:
            self._select(before)

    def painted(self, edit: Any) -> None:
        """Take note of what an item of the undo history has painted with; a polygon is followed by another object."""
        label = self._layer.selected_label
        try:
            own = any(np.any(np.equal(_painted_with(change), label)) for change in edit or ())
        except (TypeError, IndexError):
            own = True
        if not own:
            return
        self._by_hand = False
        if label < COUNTED_IDS:
            self._known = max(self._known, label)
        if self._layer.mode == "polygon":
            self._in_polygon = False
            if label not in (0, self._typed):
                self._select(self.fresh_id())

    def close(self) -> None:
        """Follow no longer."""
        self._layer.events.selected_label.disconnect(self._on_selected)
        self._layer.events.mode.disconnect(self._on_mode)

    # -- ids -------------------------------------------------------------------------------------------------------

    def _used(self, label: int, largest: int | None = None) -> bool:
        """Whether an object has or had an id."""
        return label <= (self._largest() if largest is None else max(largest, self._known))

    def _largest(self) -> int:
        """Return the largest id that is known of, from which new objects are numbered on."""
        found = max(self._corrections.last_id, self._known)
        shown = self._layer.data[self._plane()]
        if shown.size <= MAX_SEARCHED_PIXELS:
            top = int(np.max(shown, initial=0))
            found = max(found, top if top < COUNTED_IDS else largest_id(np.asarray(shown)))
        return found

    def fresh_id(self, largest: int | None = None) -> int:
        """Return an id that nothing has or had; `largest` is the largest that there is, where the caller knows it."""
        label = (self._largest() if largest is None else max(largest, self._known)) + 1
        if label > np.iinfo(self._layer.data.dtype).max:
            self._widen()
        return label

    def _select(self, label: int) -> None:
        with self._ours():
            self._layer.selected_label = label

    @contextmanager
    def _ours(self) -> Iterator[None]:
        self._selecting = True
        try:
            yield
        finally:
            self._selecting = False

    def _on_selected(self, event: Any = None) -> None:
        label, self._by_hand = self._layer.selected_label, not self._selecting
        self._typed = label if self._by_hand and label > self._largest() + 1 else None

    def _on_mode(self, event: Any = None) -> None:
        self._in_polygon = False

    # -- positions -------------------------------------------------------------------------------------------------

    def _axes(self) -> tuple[list[int], list[int]]:
        """Return the layer's axes that are displayed, and those that a brush paints along."""
        more = self._viewer.dims.ndim - self._layer.ndim
        order = [axis - more for axis in self._viewer.dims.order if axis >= more]
        return order[-2:], sorted(order[-self._layer.n_edit_dimensions :])

    def _plane(self) -> tuple[int | slice, ...]:
        """Return where in the data the plane in view lies."""
        shown, _ = self._axes()
        point = self._layer.world_to_data(np.asarray(self._viewer.dims.point)[-self._layer.ndim :])
        return tuple(
            slice(None) if axis in shown else int(np.clip(round(float(at)), 0, n - 1))
            for axis, (at, n) in enumerate(zip(point, self._layer.data.shape, strict=True))
        )

    def _at(self, position: NDArray[np.float64]) -> int | None:
        """Return the label at a position; None beyond the image."""
        index = tuple(round(float(at)) for at in position)
        inside = all(0 <= at < n for at, n in zip(index, self._layer.data.shape, strict=True))
        return int(self._layer.data[index]) if inside else None

    def _brush(self) -> tuple[float, NDArray[np.float64]]:
        """Return the radius of napari's brush and, for each axis, by how much its pixels are longer than the shortest.

        The latter is 0 along axes that are not painted.
        """
        _, painted = self._axes()
        lengths = np.zeros(self._layer.ndim)
        lengths[painted] = np.abs(np.asarray(self._layer.scale, float)[painted])
        return self._layer.brush_size // 2 + 0.5, lengths / lengths[painted].min()

    def _box(self, *positions: NDArray[np.float64]) -> _Box:
        """Return the part of the data that a brush at some positions, and between them, touches."""
        radius, lengths = self._brush()
        box = []
        for axis, n in enumerate(self._layer.data.shape):
            at = [round(float(position[axis])) for position in positions]
            reach = int(radius / lengths[axis]) + 1 if lengths[axis] else int(axis in self._spatial)
            start, stop = max(0, min(at) - reach), min(n, max(at) + reach + 1)
            box.append(slice(start, max(start, stop)))
        return tuple(box)

    def _touches(self, position: NDArray[np.float64], label: int) -> bool:
        """Whether a brush at a position lies on an object, or beside it: in the next slice, too."""
        box = self._box(position)
        there = np.asarray(self._layer.data[box]) == label
        if not there.any():
            return False
        radius, lengths = self._brush()
        away = np.ogrid[tuple(slice(part.start, part.stop) for part in box)]
        steps = [index - round(float(at)) for index, at in zip(away, position, strict=True)]
        squares = sum((step * length) ** 2 for step, length in zip(steps, lengths, strict=True))
        brush = np.broadcast_to(np.asarray(squares) <= radius**2, there.shape).copy()
        for step, length in zip(steps, lengths, strict=True):
            brush &= (step == 0) | (length > 0)  # the brush itself lies in one slice
        return bool((_grown(brush) & there).any())

    def _note(self, position: NDArray[np.float64], *, whole: bool) -> None:
        """Take note of the part of the data that is painted next, and of the object that had been selected there."""
        assert self._last is not None
        if whole:
            self._boxes = [(self._filled(), None)]  # a fill replaces the background only
            return
        box = self._box(self._last, position)
        was = np.asarray(self._layer.data[box]) == self._before
        self._boxes.append((box, was if was.any() else None))
        self._last = position

    def _filled(self) -> _Box:
        """Return the part of the data that a fill may change, with the slices beside it."""
        _, painted = self._axes()
        box = []
        for axis, (at, n) in enumerate(zip(self._plane(), self._layer.data.shape, strict=True)):
            reach = int(axis in self._spatial)
            if axis in painted or isinstance(at, slice):
                box.append(slice(0, n))
            else:
                box.append(slice(max(0, at - reach), min(n, at + reach + 1)))
        return tuple(box)


def _painted_with(change: Any) -> Any:
    """Return the labels that a change of the undo history has painted with."""
    new = getattr(change, "new_value", None)
    return change[2] if new is None else new


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with what lies beside its pixels, by an edge or a corner of a plane."""
    return np.asarray(ndimage.binary_dilation(mask, ndimage.generate_binary_structure(mask.ndim, 2)))
