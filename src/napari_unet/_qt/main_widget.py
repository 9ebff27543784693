"""The dock widget "U-Net": files, image and model, a tab for each job, and a status line, over one controller."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QLineEdit, QScrollArea, QTabWidget, QVBoxLayout, QWidget
from superqt.utils import QSignalDebouncer

from napari_unet._qt import tour
from napari_unet._qt.canvas_sketch import CanvasSketch, canvas_of
from napari_unet._qt.focus import in_visual_order, outline_focus
from napari_unet._qt.images_dock import ImagesDock
from napari_unet._qt.keys import BoundKeys
from napari_unet._qt.objects_table import ObjectsTable, make_tall
from napari_unet._qt.panels import (
    CorrectPanel,
    DecisionBar,
    ImagePanel,
    LearnPanel,
    ResultsPanel,
    SegmentPanel,
    SegmentProgress,
    WalkPanel,
)
from napari_unet._qt.panels.opening import ProjectDrops, accept_files, dropped_files
from napari_unet._qt.status import StatusLine
from napari_unet._qt.wheel import keep_from_wheel
from napari_unet._qt.workers import QtRunner, warm_up
from napari_unet.layers.controller import Controller
from napari_unet.layers.preferences import Preferences

if TYPE_CHECKING:
    import napari

COUNT_AFTER = 150
"""Milliseconds without an edit after which the corrections are counted."""
TOUR_AFTER = 500
"""Milliseconds after which the tour begins, where it was not seen yet: by then the window has its layout."""
KEEP_TICK = 10_000
"""Milliseconds after which it is asked again whether something unsaved is to be kept aside."""
NOTE_TICK = 200
"""Milliseconds after which it is asked again whether something has changed, which is noted within a second or two."""
OBJECTS_SHARE = 0.38
"""Of the height of the window that the table of objects has at first, below the canvas."""
GO_ON_AFTER, GO_ON_LATER = 900, 2500
"""Milliseconds after a gesture has corrected an object of the walk until the next one is shown: long enough to see what
came of it; longer where more of the same may follow."""
GUESS_AFTER = 2000
"""Milliseconds after an image was chosen, if nothing else was begun by then, after which a model is guessed."""


class UNetWidget(QWidget):
    """Segment the selected image with a U-Net, correct the result, and let the network learn from it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Injected by napari.

    Attributes
    ----------
    attended : bool
        Whether a person sits before it, and not a program: there is no tour for that.
    """

    attended = True

    def __init__(self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer: Any = napari_viewer
        self.runner = QtRunner()
        self.controller = Controller(napari_viewer, self.runner)
        self.preferences = Preferences()
        self._prefer()
        self.image_panel = ImagePanel(self.controller)
        self.segment_panel = SegmentPanel(self.controller)
        self.correct_panel = CorrectPanel(self.controller)
        self.walk_panel = WalkPanel(self.controller)
        self.learn_panel = LearnPanel(self.controller)
        self.results_panel = ResultsPanel(self.controller)
        self.progress = SegmentProgress(self.controller)
        self.decision = DecisionBar(self.controller)
        self.status = StatusLine("Open an image and press Segment.")
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.addTab(_Page(self.segment_panel), "Segment")
        self.tabs.addTab(_Page(self.walk_panel, self.correct_panel), "Correct")
        self.tabs.addTab(_Page(self.learn_panel), "Learn")
        self.tabs.addTab(_Page(self.results_panel), "Results")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(4)
        outer.addWidget(self.image_panel)
        outer.addWidget(self.tabs, 1)
        # Below the tabs: whichever is open, and on a small screen too, these are seen.
        for widget in (self.progress, self.decision, self.status):
            outer.addWidget(widget)
        self.setMinimumWidth(300)
        self.controller.workspace.said.connect(self.status.show_message)
        if (message := self.controller.workspace.last_said) is not None:  # before there was a line to say it on
            self.status.show_message(message)
        # Painting fires many hints a second; the corrections are counted when the hand rests for a moment.
        self._count_soon = QSignalDebouncer(parent=self)
        self._count_soon.setTimeout(COUNT_AFTER)
        self._count_soon.triggered.connect(self.controller.workspace.count_corrections)
        self.controller.workspace.edited.connect(lambda: self._count_soon.throttle())
        self._keep_unsaved = QTimer(self)
        self._keep_unsaved.setInterval(KEEP_TICK)
        self._keep_unsaved.timeout.connect(self.controller.autosave.tick)
        self._guess_model = QSignalDebouncer(parent=self)
        self._guess_model.setTimeout(GUESS_AFTER)
        self._guess_model.triggered.connect(self.controller.gallery.guess)
        self.controller.workspace.layer_chosen.connect(lambda: self._guess_model.throttle())
        self._guess_model.throttle()  # of the image that is there already
        self._note_changes = QTimer(self)
        self._note_changes.setInterval(NOTE_TICK)
        self._note_changes.timeout.connect(self.controller.autosave.note)
        self._note_changes.start()
        self._walk_on = QTimer(self)
        self._walk_on.setSingleShot(True)
        self._walk_on.timeout.connect(self.controller.walk.go_on)
        self.controller.walk.mended.connect(self._on_mended)
        self.preferences.changed.connect(self._prefer)
        self.controller.recovery.search()
        self._keep_unsaved.start()
        self._keys = BoundKeys(self.viewer, self.controller, self.preferences)
        controller = self.controller
        for owner in (controller.overlays, controller.walk, controller.ghosts, controller.results.marks):
            _tidy_when_idle(owner)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self._closed = False
        self._objects: ObjectsTable | None = None
        self._objects_dock: Any = None
        self.controller.object_table.wanted.connect(self.show_objects_table)
        self._project_drops: ProjectDrops | None = None
        self._sketch: CanvasSketch | None = None
        self.images = ImagesDock(self.viewer, self.controller)
        self.image_panel.project.open.menu().addAction("List of images", self.images.show)
        self.tour: tour.Tour | None = None
        self.setAcceptDrops(True)
        for line in self.findChildren(QLineEdit):
            line.setAcceptDrops(False)  # a file that is dropped there is meant for the panel, not as text
        in_visual_order(self)
        outline_focus()
        keep_from_wheel(self)
        warm_up()
        # Closing the main window tells a docked widget nothing; it is destroyed with the window.
        this = weakref.ref(self)
        self.destroyed.connect(lambda: _close_down(this()))

    def show_objects_table(self) -> None:
        """Show the list of objects: beside the list of images where that is open, else below the canvas."""
        if self._objects is None:
            self._objects = ObjectsTable(self.controller)
        if self._objects.parent() is None:  # at first, and where napari has taken it out of a dock that was closed
            beside = self.images.is_open
            self._objects_dock = self.viewer.window.add_dock_widget(
                self._objects, name="Objects", area="left" if beside else "bottom", tabify=beside
            )
            if not beside:
                make_tall(self._objects, OBJECTS_SHARE)
        self._objects_dock.show()
        self._objects_dock.raise_()

    def show_tab(self, title: str) -> None:
        """Bring the tab of that title to the front."""
        titles = [self.tabs.tabText(index) for index in range(self.tabs.count())]
        self.tabs.setCurrentIndex(titles.index(title))

    def greet(self) -> None:
        """Begin the tour soon, for whoever sees the panel for the first time."""
        if not tour.seen():
            tour.note_seen()
            QTimer.singleShot(TOUR_AFTER, self.show_tour)

    def show_tour(self) -> None:
        """Show what is where, in a few bubbles."""
        if not self._closed and self.tour is None:
            self.tour = tour.Tour(self)
            self.tour.destroyed.connect(self._on_tour_ended)

    def close_down(self) -> None:
        """Stop all work and let go of the viewer; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self._keep_unsaved.stop()
        self._count_soon.cancel()
        self._guess_model.cancel()
        self._walk_on.stop()
        if self.tour is not None:
            self.tour.end()
        if self._project_drops is not None:
            self._project_drops.release()
        if self._sketch is not None:
            self._sketch.release()
        self._note_changes.stop()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.controller.close()
        self.runner.close()
        self.image_panel.release()
        self.images.release()
        self.preferences.release()
        self._keys.release()

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Stop all work when the widget is closed as a window of its own."""
        self.close_down()
        super().closeEvent(event)

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Stop all work when the dock is closed, out of which napari takes the widget; hiding it stops nothing."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_down()
        super().changeEvent(event)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take over the projects that are dropped on the canvas, now that there is a window around."""
        if self._project_drops is None and not self._closed and self.window() is not self:
            self._project_drops = ProjectDrops(self.controller, self.window())
            if self.attended:
                self.greet()
        if self._sketch is None and not self._closed and (canvas := canvas_of(self)) is not None:
            self._sketch = CanvasSketch(self.controller, canvas)
        super().showEvent(event)

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Say that files and folders can be dropped here."""
        accept_files(event)

    def dropEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Open files and folders that are dropped here."""
        if paths := dropped_files(event, self.controller):
            self.controller.open(paths)

    def _on_tour_ended(self) -> None:
        self.tour = None

    def _prefer(self) -> None:
        """Do as the preferences say."""
        preferences, controller = self.preferences, self.controller
        self.runner.threads = preferences["computing", "threads"]
        controller.choose_device(preferences["computing", "device"])
        controller.autosave.on = preferences["saving", "recovery"]
        controller.segment_all.scheduler = preferences["computing", "scheduler"].strip()

    def _on_mended(self, more: bool) -> None:
        self._walk_on.start(GO_ON_LATER if more else GO_ON_AFTER)

    def _on_removed(self, event: Any = None) -> None:
        self.runner.tidy_soon()


class _Page(QScrollArea):
    """Panels one below the other, scrolled up and down where there is no room for all."""

    def __init__(self, *panels: QWidget) -> None:
        super().__init__()
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(6, 6, 6, 4)
        for panel in panels:
            layout.addWidget(panel)
        layout.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it scrolls to what in it has the focus
        self.setWidget(inner)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size at which nothing is cut off at the sides."""
        room = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + room, super().minimumSizeHint().height())


def _tidy_when_idle(owner: Any) -> None:
    """Remove the layers that are left over: whoever removes others has to be done with that before."""
    owner.orphaned.connect(lambda: QTimer.singleShot(0, owner.tidy))


def _close_down(widget: UNetWidget | None) -> None:
    if widget is not None:
        widget.close_down()
