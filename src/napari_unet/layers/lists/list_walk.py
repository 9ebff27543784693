"""Leads the walk from one image of the work list to the next: to the one with the most left to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.progress import counted, shortened

if TYPE_CHECKING:
    from napari_unet.layers.guidance.walk import ObjectWalk
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.lists.image_switch import ImageSwitch
    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.layers.workspace import Workspace


class ListWalk:
    """At the end of an image's walk, goes to the image of the list that has the most suspects.

    Where no numbers are known, as *Segment all* has found them, it is the next one that nobody has reviewed.

    Parameters
    ----------
    workspace : Workspace
    work_list : WorkList
    image_switch : ImageSwitch
    segmenter : Segmenter
    walk : ObjectWalk
        Walks through the objects of one image.
    """

    changed = Signal()  # whether the next step leads to another image

    def __init__(
        self,
        workspace: Workspace,
        work_list: WorkList,
        image_switch: ImageSwitch,
        segmenter: Segmenter,
        walk: ObjectWalk,
    ) -> None:
        self._workspace, self._list, self._switch = workspace, work_list, image_switch
        self._segmenter, self._walk = segmenter, walk
        self._at_end = False
        self._walked: set[tuple[str, int | None]] = set()  # images whose walk has ended, by their keys
        self._target: int | None = None  # that it is on the way to
        walk.ended.connect(self._on_ended)
        walk.changed.connect(self._on_walk)
        workspace.model_changed.connect(self._on_model)
        image_switch.changed.connect(self._on_switch)
        work_list.changed.connect(self._on_list)

    @property
    def onward(self) -> int | None:
        """Index of the image that the next step leads to; None: it stays in this one."""
        return self._most_left() if self._at_end else None

    def next(self) -> None:
        """Go to the next suspect; at the end of an image's walk, to the image with the most left to look at."""
        target = self.onward
        if target is None:
            self._walk.next()
            return
        self._at_end, self._target = False, target
        self._switch.go_to(target)
        self.changed.emit()

    @property
    def _here(self) -> int | None:
        """Index of the image that is chosen; None: it is not of the list."""
        return self._list.in_view if self._switch.shown.is_chosen else None

    def _most_left(self) -> int | None:
        """Return the image with the most suspects or, where that is not known, the next that nobody has reviewed."""
        states, here = self._list.states, self._here
        if here is None:
            return None
        order = [*range(here + 1, len(states)), *range(here)]
        left = [
            index
            for index in order
            if states[index].is_open
            and states[index].suspects != 0
            and self._list.images[index].key not in self._walked
        ]
        left = [index for index in left if not states[index].is_doubtful] or left  # they need another model first
        known = [index for index in left if states[index].suspects is not None]
        if known:
            most: int = max(known, key=self._suspects)
            return most
        fresh = [index for index in left if states[index].reviewed_share == 0] or left
        return next((index for index in fresh if states[index].kind != "to do"), fresh[0] if fresh else None)

    def _suspects(self, index: int) -> int:
        return self._list.states[index].suspects or 0

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_ended(self) -> None:
        """Say where the next step leads to."""
        here = self._here
        if here is None:
            return
        self._at_end = True
        self._walked.add(self._list.images[here].key)
        self._list.note_suspects(here, 0)
        target = self.onward
        if target is None:
            self._workspace.say("No suspect is left in any image of the list that is segmented.", "done")
        else:
            name, suspects = shortened(self._list.images[target].name, 25), self._list.states[target].suspects
            left = f" ({counted(suspects, 'suspect')})" if suspects else ""
            keys = self._workspace.keys
            onward, others = keys.of("next_suspect") or "Next", keys.of("next_object")
            rest = f", {others} to all others here" if others else ""
            self._workspace.say(f"No suspect is left. {onward} goes on to {name}{left}{rest}.", "done")
        self.changed.emit()

    def _on_walk(self) -> None:
        """Take note of what is left, and stay in this image where its walk goes on, or another is worked on."""
        here = self._here
        if here is not None and not self._switch.busy and (left := self._walk.waiting) is not None:
            self._list.note_suspects(here, left)
        if self._at_end and (self._list.in_view is None or self._walk.shows_stop):
            self._at_end = False
            self.changed.emit()

    def _on_switch(self) -> None:
        """Go on with the walk in the image that has come."""
        if self._switch.busy:
            return
        if self._at_end:
            self._at_end = False
            self.changed.emit()
        target, self._target = self._target, None
        if target is None or self._list.in_view != target:
            return
        if self._switch.shown.session is not None:
            self._walk.next()
        elif not self._segmenter.busy:
            self._workspace.say(f"{shortened(self._list.images[target].name, 40)} is not segmented yet: press Segment.")

    def _on_model(self) -> None:
        self._walked.clear()

    def _on_list(self) -> None:
        self._walked.clear()
        self._at_end, self._target = False, None
        self.changed.emit()
