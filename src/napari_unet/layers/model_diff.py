"""What a new model makes different in view: a layer that shows it, and the way to keep or refuse it place by place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.corrections.boxes import relative
from napari_unet.errors import UNetError
from napari_unet.inference.steps import SubimageDone, segment_steps
from napari_unet.inference.task import Subimage, make_task
from napari_unet.layers import adapter
from napari_unet.layers.turns import Turn
from napari_unet.objects.stitch import match_ids, renumber

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.session import LayerSession
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken

ADDED, GONE, OTHER = 1, 2, 3
COLOURS: dict[int | None, str] = {ADDED: "#35c759", GONE: "#ff5c5c", OTHER: "#ffb000", None: "transparent"}
"""Of pixels that become a part of an object, that no longer are, and that are a part of another one."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is in view: handed from the main thread to a worker."""

    session: LayerSession
    image: Image
    channel: int | None
    frame: int
    z: int
    field: tuple[slice, slice]

    @classmethod
    def at(cls, session: LayerSession, channel: int | None) -> Look | None:
        """Return what is in view now (main thread); None where nothing is."""
        try:
            (frame, z), field, _ = session.in_view("see what changes")
        except UNetError:
            return None
        return cls(session, session.image, channel, frame, z, field)

    @property
    def region(self) -> tuple[slice, slice, slice]:
        """Where that is, (Z, Y, X)."""
        return slice(self.z, self.z + 1), *self.field

    def labels(self) -> NDArray[Any]:
        """Return a copy of the labels there, axes (Z, Y, X) (main thread)."""
        return self.session.labels[(self.frame, *self.region)].copy()


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a model makes of the field in view: labels with the axes (Z, Y, X), ids from 1."""

    look: Look
    labels: NDArray[np.int32]


def look_steps(look: Look, model: Model, device: str, cancel: CancelToken) -> Generator[Seen, None, None]:
    """Segment what is in view with a model that is not in use (worker)."""
    subimage = Subimage(look.frame, None if model.info.spec.ndim == 3 else look.z)
    task = make_task(look.image, model, channel=look.channel, subimages=[subimage], field=look.field, device=device)
    for event in segment_steps(task, device=device, cancel=cancel, overlap=False):
        if isinstance(event, SubimageDone):
            whole = event.region
            place = tuple(
                slice(max(part.start - all_.start, 0), part.stop - all_.start)
                for part, all_ in zip(look.region, whole, strict=True)
            )
            yield Seen(look, event.labels[place])


class Changes:
    """The layer that shows what a new model makes different.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    NAME = "what changes"

    changed = Signal()  # whether there is something to decide on, or whether it is seen

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._turn: Turn | None = None
        self._shown: tuple[Look, NDArray[Any], NDArray[Any]] | None = None
        self._followed: tuple[Look, NDArray[Any]] | None = None

    @property
    def any(self) -> bool:
        """Whether anything has changed that can be decided on."""
        return self._shown is not None and bool((self._shown[1] != self._shown[2]).any())

    @property
    def visible(self) -> bool:
        """Whether it is seen."""
        return self._there and bool(self._layer.visible)

    @visible.setter
    def visible(self, value: bool) -> None:
        if value and self._shown is not None and self.any:
            self._draw(*self._shown)
        else:
            self._remove()
        self.changed.emit()

    def show(self, seen: Seen) -> None:
        """Show what a model that is not in use would change; protected pixels it would not."""
        look = seen.look
        if not look.session.alive():
            return
        now, labels = look.labels(), look.session.labels
        kept = look.session.corrections.protected(labels, (look.frame, look.z), look.field)[None]
        ids = renumber(seen.labels, match_ids(now, seen.labels), int(now.max(initial=0)) + 1)
        self._keep_up(look, now, np.where(kept, now, ids), visible=True)

    def follow(self, look: Look) -> None:
        """Find out, when the field has been segmented anew, what has changed there."""
        self._followed = look, look.labels()

    def segmented(self) -> None:
        """Take note of what has changed in the field that was followed; it is seen when the user wants to."""
        if self._followed is not None:
            (look, before), self._followed = self._followed, None
            if look.session.alive():
                self._keep_up(look, before, look.labels(), visible=False)

    def refuse(self) -> int:
        """Put back, in view, what was there before, as a correction of the user; return how many pixels."""
        if self._shown is None:
            return 0
        look, before, after = self._shown
        where = self._in_view(look) & (before != after)
        look.session.edit(look.frame, look.region, np.nonzero(where), before[where])
        self._keep_up(look, before, np.where(where, before, after), visible=self.visible)
        return int(np.count_nonzero(where))

    def keep(self) -> int:
        """Mark what changed in view as reviewed; return how many pixels."""
        if self._shown is None:
            return 0
        look, before, after = self._shown
        where = self._in_view(look) & (before != after)
        look.session.review(look.frame, look.region, where)
        self._keep_up(look, np.where(where, after, before), after, visible=self.visible)
        return int(np.count_nonzero(where))

    def place(self, session: LayerSession) -> None:
        """Lie where the image of a session is now, if it is about that."""
        if self._shown is not None and self._shown[0].session is session and self._there:
            look, before, _ = self._shown
            _, placement = adapter.part_of_labels(
                np.zeros(before.shape, np.uint8), look.frame, look.region, session.layer, look.image
            )
            adapter.place(self._layer, placement)

    def take_turns(self, session: LayerSession | None) -> None:
        """Be seen while the chosen image, whose session this is, is the one that it is about."""
        if self._turn is not None and self._shown is not None and self._there:
            self._turn.take(self._shown[0].session is session)
            self.changed.emit()

    def let_go(self, session: LayerSession) -> None:
        """Let go of what has changed in a session that is gone; its layer is removed by `hide`, when there is time."""
        if self._shown is not None and self._shown[0].session is session:
            self._shown = None
        if self._followed is not None and self._followed[0].session is session:
            self._followed = None

    def hide(self) -> None:
        """Take the layer away."""
        self._shown = self._followed = None
        self._remove()
        self.changed.emit()

    def _remove(self) -> None:
        if self._there:
            self._viewer.layers.remove(self._layer)
        self._layer = self._turn = None

    def _keep_up(self, look: Look, before: NDArray[Any], after: NDArray[Any], *, visible: bool) -> None:
        self._shown = look, before, after
        self.visible = visible

    @property
    def _there(self) -> bool:
        return self._layer is not None and self._layer in self._viewer.layers

    def _in_view(self, look: Look) -> NDArray[np.bool_]:
        """Return which pixels (Z, Y, X) of a field are in view now."""
        seen = np.zeros([part.stop - part.start for part in look.region], bool)
        try:
            plane, field, where = look.session.in_view("decide on what changes")
        except UNetError:
            return seen
        if plane == (look.frame, look.z):
            both = [
                slice(max(now.start, part.start), max(now.start, part.start, min(now.stop, part.stop)))
                for now, part in zip(field, look.field, strict=True)
            ]
            there, here = (relative((both[0], both[1]), origin) for origin in (look.field, field))
            seen[(0, *there)] = True if where is None else where[here]
        return seen

    def _draw(self, look: Look, before: NDArray[Any], after: NDArray[Any]) -> None:
        """Put the layer where the field is, small as that is: a layer of the whole image would take long to make."""
        values = np.zeros(before.shape, np.uint8)
        different = before != after
        values[different & (before == 0)] = ADDED
        values[different & (after == 0)] = GONE
        values[different & (before > 0) & (after > 0)] = OTHER
        data, placement = adapter.part_of_labels(values, look.frame, look.region, look.session.layer, look.image)
        self._remove()
        self._layer = adapter.add_to_look_at(self._viewer, data, self.NAME, COLOURS, 0.6, placement)
        self._turn = Turn(self._layer)
