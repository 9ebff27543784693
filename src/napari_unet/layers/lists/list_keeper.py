"""Opening, adding to, and saving the work list: what has to be done with the image in view before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_unet.layers.lists.image_switch import ImageSwitch
    from napari_unet.layers.lists.segment_all import SegmentAll
    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.layers.workspace import Workspace


def _nothing() -> None:
    """Do nothing."""


class ListKeeper:
    """Opens and saves the list as a whole: the image in view is stored first.

    Parameters
    ----------
    workspace : Workspace
    work_list : WorkList
    image_switch : ImageSwitch
        Stores the image in view.
    segment_all : SegmentAll
        Writes into the folder of the list: it has to be at rest when that becomes another.
    """

    def __init__(
        self, workspace: Workspace, work_list: WorkList, image_switch: ImageSwitch, segment_all: SegmentAll
    ) -> None:
        self._workspace, self._list = workspace, work_list
        self._switch, self._segment_all = image_switch, segment_all

    @property
    def saved_as(self) -> Path | None:
        """Where the user has saved the list; None: nowhere yet."""
        return self._list.saved_as

    @property
    def name(self) -> str:
        """What the list is called."""
        return self._list.folder.stem if self._list.folder is not None else "images"

    def beside_images(self) -> Path | None:
        """Return the folder to save a list in, as proposed: where it is saved, or beside the folder of its images."""
        if self._list.saved_as is not None:
            return self._list.saved_as.parent
        return self._list.file(0).parent.parent if self._list.images else None

    def add(self, paths: Sequence[Path]) -> bool:
        """Add images to the list, or begin one; return whether it began. See `WorkList.add`."""
        return self._list.add(paths)

    def open(self, path: Path, then: Callable[[], object] = _nothing) -> bool:
        """Open a list in place of the present one, whose image in view is stored; return whether it began.

        Parameters
        ----------
        path : Path
            The folder of a list, or the file in it.
        then : callable, optional
            Called when it is read.
        """
        if self._refused():
            return False

        def read() -> None:
            self._list.open(path)
            then()

        self._switch.leave(read)
        return True

    def save(self, path: Path | None = None) -> bool:
        """Save the image in view into the list, or the list in a new place; return whether it began.

        Parameters
        ----------
        path : Path, optional
            Of its folder, under a name that nothing has yet. None: the list was saved before.
        """
        if path is None:
            if self._list.saved_as is None:
                self._workspace.say("Choose where to save the list.", "error")
                return False
            self._switch.store(self._tell_saved)
            return True
        if self._refused():
            return False
        self._switch.store(lambda: self._list.save(path))
        return True

    def _tell_saved(self) -> None:
        folder = self._list.saved_as
        if folder is not None:
            self._list.write()
            self._workspace.say(f"Saved in {folder.name}. Use Open… to continue another day.", "done")

    def _refused(self) -> bool:
        """Say that it has to wait, where something writes into the folder of the list."""
        if self._segment_all.busy or self._segment_all.writing:
            self._workspace.say("Segment all is under way. Press Stop first.", "error")
            return True
        if self._switch.busy:
            self._workspace.say("Another image is being opened. Wait until that is done.", "error")
            return True
        return False
