"""What is done with objects that are chosen in the list: gone to, deleted, merged, accepted, and written to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.corrections.corrections import RING
from napari_unet.corrections.reviewing import object_mask
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io.atomic import Protected
from napari_unet.layers.image import canvas
from napari_unet.layers.image.adapter import is_image_layer, source_of
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.jobs import Job, once
from napari_unet.layers.proofreading.gesture_mouse import MAX_CLICK
from napari_unet.layers.proofreading.object_edits import MERGE_GAP, check_editable
from napari_unet.layers.proofreading.object_parts import edited_pixels
from napari_unet.measuring.files import write_table
from napari_unet.objects.boxes import grown
from napari_unet.objects.edits import merged
from napari_unet.objects.listing import table_of
from napari_unet.objects.rows import REVIEWED
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from napari_unet.layers.display.overlay import Overlays
    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.proofreading.gestures import Gestures
    from napari_unet.layers.proofreading.object_table import Key, ObjectTable
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.objects.rows import ObjectRows

MAX_ONE_BY_ONE = 200
"""Objects that are looked for one by one, each in its box; of more, the box around all of them is gone through once."""

SMALLEST, LARGEST, WANTED = 1 / 16, 1 / 2, 1 / 6
"""Shares of the view that an object takes: if less or more, the view zooms until it takes what is wanted."""


class ListedObjects:
    """Does what is asked for with the selected objects of the list.

    Parameters
    ----------
    workspace : Workspace
    table : ObjectTable
        The list; clicks on the canvas select in it.
    segmenter : Segmenter
        While it works on an image, its objects are not changed from here.
    gestures : Gestures
        While one of its tools is chosen, a click is not for the list.
    overlays : Overlays
        Outlines the selected objects.
    runner : Runner
        Where files are written.
    """

    def __init__(
        self,
        workspace: Workspace,
        table: ObjectTable,
        segmenter: Segmenter,
        gestures: Gestures,
        overlays: Overlays,
        runner: Runner,
    ) -> None:
        self._workspace, self._table, self._runner = workspace, table, runner
        self._segmenter, self._gestures, self._overlays = segmenter, gestures, overlays
        self._layer: Any = None
        table.changed.connect(self._follow)
        table.selected.connect(self._mark)

    # -- what is done ----------------------------------------------------------------------------------------------

    def go_to(self, key: Key) -> None:
        """Show an object in the middle of the view, and select its id in napari."""
        session, workspace = self._table.session, self._workspace
        numbers = self._table.numbers([key])
        if session is None or not session.alive() or not len(numbers):
            return
        try:
            canvas.check_flat(workspace.viewer, "go to an object")
        except UNetError as error:
            workspace.say_error(error)
            return
        rows, row = self._table.rows, int(numbers[0])
        low, high = rows.low[row], rows.high[row]
        z = session.plane[1]
        if not low[0] <= z < high[0]:
            z = int(np.clip(round(float(rows.centroid[row, 0])), low[0], high[0] - 1))
        wide = [max(1, part.stop - part.start) for part in session.field]
        share = max((high[1] - low[1]) / wide[0], (high[2] - low[2]) / wide[1])
        if not SMALLEST <= share <= LARGEST:
            camera_of(workspace.viewer).zoom *= WANTED / share
        y, x = (low[1:] + high[1:] - 1) / 2
        session.geometry.move_view_to(workspace.viewer, (key[0], z, float(y), float(x)))
        session.labels_layer.selected_label = key[1]

    def delete(self) -> bool:
        """Make background of the selected objects; return whether that was done."""
        return self._done(self._delete)

    def merge(self) -> bool:
        """Make one object of the selected ones; return whether that was done."""
        return self._done(self._merge)

    def accept(self) -> bool:
        """Mark the selected objects as reviewed, or take that back where all of them are; return if it was done."""
        return self._done(self._accept)

    def export(self, path: Path) -> bool:
        """Write what is listed as CSV; return whether it began.

        A file of that name is replaced, unless it is one of an image or labels that are open.
        """
        table, workspace = self._table, self._workspace
        if not len(table.shown):
            workspace.say("Nothing is listed, so there is nothing to write.", "error")
            return False
        path = path if path.suffix else path.with_suffix(".csv")
        try:
            if path.suffix.lower() != ".csv":
                raise FileFormatError(f"{path.name:.40} is no name for a table. Choose one that ends in .csv.")
            self._inputs().check(path)
        except UNetError as error:
            workspace.say_error(error)
            return False
        columns, shown = table.columns, table.shown
        self._runner.start(
            Job("Write the table"),
            once(lambda: write_table(path, table_of(columns, shown), overwrite=True)),
            lambda _: None,
            lambda _: workspace.say(f"Wrote {counted(len(shown), 'row')} to {path.name:.60}", "done", str(path)),
            workspace.say_error,
        )
        return True

    def close(self) -> None:
        """Follow clicks no longer."""
        self._listen(None)

    # -- how -------------------------------------------------------------------------------------------------------

    def _done(self, verb: Any) -> bool:
        """Do something with the selected objects, and say what was done or why not."""
        workspace = self._workspace
        try:
            session = check_editable(workspace.viewer, self._table.session)
            if self._segmenter.works_on(session):
                raise UNetError("This image is being segmented. Wait until it is done, or press Stop.")
            if session.held:
                raise UNetError("The labels are being saved. Try again in a moment.")
            rows = self._table.rows.where(self._table.numbers(self._table.selection))
            if not len(rows):
                raise UNetError("Choose objects in the table first.")
            text = verb(session, rows)
        except UNetError as error:
            workspace.say_error(error)
            return False
        workspace.corrected.emit(session.summary)
        workspace.say(text, "done")
        return True

    def _delete(self, session: LayerSession, rows: ObjectRows) -> str:
        frames = np.unique(rows.time).tolist()
        for frame in frames:
            own = rows.where(rows.time == frame)
            found = [
                np.stack(np.nonzero(np.isin(session.labels[(frame, *box)], ids)), axis=1) + [part.start for part in box]
                for box, ids in _boxes(session, own, 0)
            ]
            where = tuple(np.concatenate(found).T)
            region = _around(session, own, 0)
            starts = [part.start for part in region]
            inside = [index - start for index, start in zip(where, starts, strict=True)]
            session.edit(frame, region, inside, np.zeros(len(where[0]), session.labels.dtype))
        session.offer_id()
        undo = "Ctrl+Z takes it back." if len(frames) == 1 else "Ctrl+Z takes it back, one time point after the other."
        return f"Deleted {counted(len(rows), 'object')}. {undo}"

    def _merge(self, session: LayerSession, rows: ObjectRows) -> str:
        if len(rows) < 2:
            raise UNetError("To merge, choose two or more objects that touch.")
        frames = np.unique(rows.time)
        if len(frames) > 1:
            raise UNetError("Objects of different time points cannot be one. Choose those of one.")
        frame, region = int(frames[0]), _around(session, rows, MERGE_GAP + 1)
        part = session.labels[(frame, *region)]
        protected = session.corrections.protected_in(session.labels, frame, region)
        edit = merged(part, rows.label.tolist(), allow_gap=MERGE_GAP, protected=protected)
        session.edit_frames([edited_pixels(session.labels, frame, edit.shifted([s.start for s in region]))])
        session.offer_id()
        return f"Merged {counted(len(rows), 'object')}. Ctrl+Z takes it back."

    def _accept(self, session: LayerSession, rows: ObjectRows) -> str:
        right = not bool((rows.state == REVIEWED).all())
        for frame in np.unique(rows.time).tolist():
            boxes = _boxes(session, rows.where(rows.time == frame), RING)
            labels, parts = session.labels[frame], []
            for box, ids in boxes:
                parts.append((box, object_mask(labels[box], ids, taken_back=not right)))
                self._table.note(frame, box)
            session.review_parts(frame, parts, right=right)
        what = counted(len(rows), "object")
        if right:
            return f"Reviewed: {what} {'counts' if len(rows) == 1 else 'count'} as right."
        return f"No longer reviewed: {what}."

    def _inputs(self) -> Protected:
        """Return the files of all that is open, which nothing is written over."""
        inputs = Protected(())
        for layer in self._workspace.viewer.layers:
            path = source_of(layer)
            if path is not None:
                inputs.add(path, "a file that is open" if is_image_layer(layer) else "the file of labels that are open")
        return inputs

    # -- the canvas ------------------------------------------------------------------------------------------------

    def _mark(self) -> None:
        """Outline the selected objects."""
        session, table = self._table.session, self._table
        if session is not None and session.alive():
            self._overlays.mark(session, table.rows.where(table.numbers(table.selection)))

    def _follow(self) -> None:
        """Follow clicks on the labels that are listed."""
        session = self._table.session
        layer = None if session is None else session.labels_layer
        if layer != self._layer:
            self._listen(layer)

    def _listen(self, layer: Any) -> None:
        if self._layer is not None:
            self._layer.events.selected_label.disconnect(self._on_picked)
            if self._on_mouse in self._layer.mouse_drag_callbacks:
                self._layer.mouse_drag_callbacks.remove(self._on_mouse)
        self._layer = layer
        if layer is not None:
            layer.events.selected_label.connect(self._on_picked)
            layer.mouse_drag_callbacks.append(self._on_mouse)

    def _on_picked(self, event: Any = None) -> None:
        """Select the object that napari's pipette has picked."""
        session = self._table.session
        if session is not None and self._layer.mode == "pick":
            self._select(session, int(self._layer.selected_label))

    def _on_mouse(self, layer: Any, event: Any) -> Generator[None, None, None]:
        """Select the object that is clicked in pan/zoom mode; beside all objects, none."""
        if event.button != 1 or layer.mode != "pan_zoom" or event.modifiers or self._gestures.tool is not None:
            return
        start = np.array(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        session = self._table.session
        if session is None or np.abs(np.array(event.pos) - start).max() > MAX_CLICK:
            return
        if session.viewer.dims.ndisplay == 2:
            pixel = session.geometry.pixel_under_cursor(session.viewer)
            try:
                self._select(session, 0 if pixel is None else int(session.labels[(*session.plane, *pixel)]))
            except UNetError as error:  # the labels do not fit the image
                self._workspace.say_error(error)

    def _select(self, session: LayerSession, label: int) -> None:
        self._table.select([(session.plane[0], label)] if label else [])


def _around(session: LayerSession, rows: ObjectRows, margin: int) -> Region:
    """Return the box (Z, Y, X) around objects, with a margin in planes."""
    low, high = rows.low.min(axis=0).tolist(), rows.high.max(axis=0).tolist()
    field = tuple(slice(a, b) for a, b in zip(low[1:], high[1:], strict=True))
    y, x = grown(field, margin, session.corrections.shape[2:])
    return slice(low[0], high[0]), y, x


def _boxes(session: LayerSession, rows: ObjectRows, margin: int) -> Iterator[tuple[Region, Sequence[int]]]:
    """Yield boxes (Z, Y, X) with the ids of the objects to look for in each: all of one time point."""
    if len(rows) > MAX_ONE_BY_ONE:
        yield _around(session, rows, margin), rows.label.tolist()
        return
    for index in range(len(rows)):
        one = rows.where(np.array([index]))
        yield _around(session, one, margin), one.label.tolist()
