"""Where rows of the list of objects may be out of date, by what napari tells of edits."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from napari_unet.layers.session.edit_events import edited_parts

if TYPE_CHECKING:
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.objects.rows import Box

MAX_BOXES = 64
"""Parts of a time point that are recounted one by one; if more have changed, all of it is counted."""

MAX_UNDONE = 200
"""Edits that are remembered, since undoing may change again where they were; napari keeps 100 of each kind."""


class ChangedParts:
    """Where rows may be out of date.

    Parameters
    ----------
    session : LayerSession, optional
        Whose; all of it is out of date at first.

    Attributes
    ----------
    unsure : bool
        Whether something was changed that no event says the place of.
    """

    def __init__(self, session: LayerSession | None = None) -> None:
        self._session = session
        self._boxes: dict[int, list[Box] | None] = {}  # by time point; None: all of it
        self._undoable: deque[tuple[int, Box]] = deque(maxlen=MAX_UNDONE)
        self.unsure = False
        self._plane = (0, 0) if session is None else session.plane
        if session is not None:
            self.note_all()

    @property
    def any(self) -> bool:
        """Whether there is anything to count."""
        return bool(self._boxes)

    def taken(self) -> dict[int, list[Box] | None]:
        """Return for each time point the parts that have changed (None: all of it), and count them as taken."""
        boxes, self._boxes, self.unsure = self._boxes, {}, False
        return boxes

    def note_all(self) -> None:
        """Note that anything may have changed."""
        if self._session is not None:
            self._boxes = dict.fromkeys(range(self._session.corrections.shape[0]))

    def note(self, event: Any) -> None:
        """Note what an event of the labels layer says."""
        session = self._session
        assert session is not None
        before, self._plane = self._plane, session.plane
        if event.type in ("paint", "labels_update"):
            try:
                parts = edited_parts(event, session.viewer, session.geometry)
            except (KeyError, ValueError, IndexError, TypeError):  # the layer has got other dimensions
                self.note_all()
                return
            for frames, z, y, x in parts:
                for frame in range(*frames.indices(session.corrections.shape[0])):
                    self.add(frame, (z, y, x))
                    if event.type == "paint":
                        self._undoable.append((frame, (z, y, x)))
        elif event.type == "data":
            self.note_all()
        elif self._plane == before:  # an undo, or something written by a script; else a slider was moved
            self.unsure = True
            for frame, box in self._undoable:
                self.add(frame, box)
            if not self._boxes:
                self.note_all()

    def note_reviewed(self) -> None:
        """Note that something was marked as reviewed: of a large image, in view."""
        session = self._session
        if session is not None:
            frame, z = session.plane
            if session.is_large:
                self.add(frame, (slice(z, z + 1), *session.field))
            else:
                self._boxes[frame] = None

    def add(self, frame: int, box: Box) -> None:
        """Note that something may have changed in a box of a time point."""
        known = self._boxes.setdefault(frame, [])
        if known is not None and box not in known:
            known.append(box)
            if len(known) > MAX_BOXES:
                self._boxes[frame] = None
