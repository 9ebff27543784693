"""What programs that are gone have left behind unsaved: taken up again, or let go of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.projects.recovery import Copy, LeftBehind, left_behind
from napari_unet.projects.work_list import is_work_list

if TYPE_CHECKING:
    from napari_unet.layers.lists.list_keeper import ListKeeper
    from napari_unet.layers.projects.autosave import Autosave
    from napari_unet.layers.projects.old_copies import OldCopies
    from napari_unet.layers.projects.projects import Projects


class Recovery:
    """Copies that were left behind.

    Parameters
    ----------
    projects : Projects
        Opens them.
    list_keeper : ListKeeper
        Opens those that are lists of images.
    old_copies : OldCopies
        Removes them.
    autosave : Autosave
        Leaves some behind in this window, too: of layers that were deleted.

    Attributes
    ----------
    left : list of LeftBehind
        What there was when `search` was called last, the newest first.
    """

    changed = Signal()  # what is left behind

    def __init__(self, projects: Projects, list_keeper: ListKeeper, old_copies: OldCopies, autosave: Autosave) -> None:
        self._projects, self._keeper, self._old_copies = projects, list_keeper, old_copies
        self._autosave = autosave
        self.left: list[LeftBehind] = []
        projects.changed.connect(self._on_projects)
        autosave.left_behind.connect(self.search)

    def search(self) -> None:
        """Find out what programs that are gone have left behind."""
        self.left, rubbish = left_behind()
        self._old_copies.remove(rubbish)
        self.changed.emit()

    def recover(self, left: LeftBehind) -> None:
        """Take up what was left behind: it is opened, and is then not saved yet."""
        if is_work_list(left.path):
            self._keeper.open(left.path, self.search)
        else:
            self._projects.open(left.path)

    def discard(self, left: LeftBehind) -> None:
        """Let go of what was left behind, for good."""
        self._old_copies.discard(Copy.claim(left.path))
        self.search()

    def close(self) -> None:
        """Follow no longer."""
        self._projects.changed.disconnect(self._on_projects)
        self._autosave.left_behind.disconnect(self.search)

    def _on_projects(self) -> None:
        """Search again when a project was opened or saved: what was left behind may be another."""
        if self.left and not self._projects.busy:
            self.search()
