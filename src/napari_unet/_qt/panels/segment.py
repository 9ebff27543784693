"""Segment, stop, and how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.panels.parts import fill
from napari_unet.progress import Progress, format_seconds

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.workspace import Scope


TICKS = 1000
"""Of the whole bar."""


class SegmentPanel(QGroupBox):
    """Segment, stop, and how far it has come."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Segment", parent)
        self._controller = controller
        self._told = Progress(0, 0)
        self.button = QPushButton("Segment")
        self.button.setToolTip("Find the objects in the image. What you corrected or reviewed is never changed.")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop now. What is finished stays.")
        self.stop.setEnabled(False)
        self.scope = QComboBox()
        self.scope.setToolTip("How much is segmented. What is in view comes first.")
        self.flips = QCheckBox("Average four views (slower, a little better)")
        self.flips.setToolTip(
            "Average the results of the image and its mirror images: a little better, up to four times slower."
        )
        self.bar = QProgressBar()
        self.bar.setFormat("not started")
        self.bar.setRange(0, TICKS)
        self.bar.setValue(0)  # without a value it shows no text
        buttons = QHBoxLayout()
        buttons.addWidget(self.button, 3)
        buttons.addWidget(self.stop, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addWidget(self.scope)
        layout.addWidget(self.flips)
        layout.addWidget(self.bar)
        self.button.clicked.connect(lambda: controller.segment())
        self.stop.clicked.connect(lambda: controller.stop_segmenting())
        self.scope.activated.connect(self._on_scope)
        self.flips.toggled.connect(self._on_flips)
        controller.workspace.segmenting.connect(self._on_segmenting)
        controller.workspace.progressed.connect(self._on_progress)
        controller.workspace.image_changed.connect(self._show_scope)
        self._show_scope()

    def _show_scope(self) -> None:
        stack = bool(set(self._controller.axes or "") & {"T", "Z"})
        self._scopes: list[Scope] = ["stack", "slice", "view"] if stack else ["stack", "view"]
        names = {"stack": "Whole stack" if stack else "Whole image", "slice": "This slice", "view": "What is in view"}
        if self._controller.workspace.scope not in self._scopes:
            self._controller.workspace.scope = "stack"
        fill(self.scope, [names[scope] for scope in self._scopes], self._scopes.index(self._controller.workspace.scope))

    def _on_scope(self, index: int) -> None:
        self._controller.workspace.scope = self._scopes[index]

    def _on_flips(self, on: bool) -> None:
        self._controller.workspace.flips = on

    def _on_segmenting(self, running: bool) -> None:
        self.button.setEnabled(not running)
        self.stop.setEnabled(running)
        if running:
            self._told = Progress(0, 0)
            self.bar.setRange(0, 0)
            self.bar.setFormat("")
            return
        told = self._told
        self.bar.setRange(0, TICKS)
        self.bar.setValue(round(TICKS * told.done / max(1, told.total)))
        if not told.done:
            self.bar.setFormat("stopped")
        elif told.done < told.total:
            self.bar.setFormat(f"stopped at {told.fraction:.0%}")

    def _on_progress(self, progress: Progress) -> None:
        if self._told.total and progress.fraction < self._told.fraction:
            return  # a tile whose objects were looked for while the next one was under way
        self._told = progress
        self.bar.setRange(0, TICKS)
        self.bar.setValue(round(TICKS * progress.fraction))
        self.bar.setFormat(_in_words(progress))


def _in_words(progress: Progress) -> str:
    """Return how much is done, and the time left."""
    done = f"{progress.fraction:.0%}"
    return (
        f"{done}, {format_seconds(progress.remaining)} left" if progress.remaining and progress.fraction < 1 else done
    )
