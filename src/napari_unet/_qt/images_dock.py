"""Docks the list of images when there is one, and again when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet._qt.work_list import WorkListDock

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class ImagesDock:
    """The list of images in a dock of its own, made when it is needed first.

    Parameters
    ----------
    viewer : napari.Viewer
    controller : Controller
    """

    def __init__(self, viewer: Any, controller: Controller) -> None:
        self._viewer, self._controller = viewer, controller
        self.widget: WorkListDock | None = None
        self._dock: Any = None
        controller.work_list.extended.connect(self._on_list)
        controller.work_list.changed.connect(self._on_list)

    def show(self) -> None:
        """Bring the list to the front."""
        if self.widget is None or self.widget.parent() is None:  # napari takes it out of a dock that is closed
            self.release()
            self.widget = WorkListDock(self._controller)
            window = self._viewer.window
            self._dock = window.add_dock_widget(self.widget, name="Images", area="left", tabify=True)
        self._dock.show()
        self._dock.raise_()

    @property
    def is_open(self) -> bool:
        """Whether the list is docked, in front or behind a tab."""
        return self.widget is not None and self.widget.parent() is not None and not self._dock.isHidden()

    def release(self) -> None:
        """Make no more pictures."""
        if self.widget is not None:
            self.widget.release()

    def _on_list(self, *_: object) -> None:
        if self._controller.work_list.images and self.widget is None:
            self.show()
