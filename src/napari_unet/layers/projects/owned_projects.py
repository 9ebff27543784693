"""Whose the projects are that sessions were saved to or opened from: one window at a time may write into each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.projects.ownership import Ownership

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace


class OwnedProjects:
    """Keeps the ownership of each session's project, and gives it up when the session closes.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._owned: dict[LayerSession, Ownership] = {}
        workspace.session_closing.connect(self._on_closing)

    def of(self, session: LayerSession | None) -> Ownership | None:
        """Return the ownership of a session's project; None: it was never saved or opened, or there is no session."""
        return None if session is None else self._owned.get(session)

    def to_own(self, session: LayerSession, folder: Path) -> Ownership:
        """Return the ownership of what a session is saved to.

        Raises
        ------
        FileFormatError
            If another window has it, or has saved it since.
        """
        own = self._owned.get(session)
        if own is None or own.path != folder.absolute():
            own = Ownership(folder.absolute())
        own.check()
        return own

    def claim(self, session: LayerSession, folder: Path) -> None:
        """Own what a session was opened from, unless another window does."""
        own = Ownership(folder)
        own.claim()
        self.note(session, own)

    def note(self, session: LayerSession, own: Ownership) -> None:
        """Take note that a session lies there now; what it lay in before is given up."""
        before = self._owned.get(session)
        if before is not None and before is not own:
            before.release()
        self._owned[session] = own

    def let_go(self, session: LayerSession, own: Ownership) -> None:
        """Own what could not be saved no longer, unless it is where the session was saved before."""
        if self._owned.get(session) is not own:
            own.release()

    def _on_closing(self, session: LayerSession) -> None:
        own = self._owned.pop(session, None)
        if own is not None:
            own.release()
