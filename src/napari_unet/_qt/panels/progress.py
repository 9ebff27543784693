"""How far a segmentation has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QProgressBar, QWidget

from napari_unet.progress import Progress, format_seconds

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

TICKS = 1000
"""Of the whole bar."""


class SegmentProgress(QProgressBar):
    """How far a segmentation has come, and the time left; not seen while none is under way or was stopped."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._told = Progress(0, 0)
        self.setFormat("not started")
        self.setRange(0, TICKS)
        self.setValue(0)  # without a value it shows no text
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # nothing is pushed about when it comes and goes
        self.setSizePolicy(policy)
        self.hide()
        self._running = False
        controller.workspace.segmenting.connect(self._on_segmenting)
        controller.workspace.progressed.connect(self._on_progress)
        controller.workspace.layer_chosen.connect(self._on_layer)

    def _on_segmenting(self, running: bool) -> None:
        self._running = running
        if running:
            self.show()
            self._told = Progress(0, 0)
            self.setRange(0, 0)
            self.setFormat("")
            return
        told = self._told
        self.setRange(0, TICKS)
        self.setValue(round(TICKS * told.done / max(1, told.total)))
        if not told.done:
            self.setFormat("stopped")
        elif told.done < told.total:
            self.setFormat(f"stopped at {told.fraction:.0%}")
        self.setVisible(0 < told.done < told.total)

    def _on_layer(self) -> None:
        if not self._running:
            self.hide()  # how far it came is true of the layer before

    def _on_progress(self, progress: Progress) -> None:
        if self._told.total and progress.fraction < self._told.fraction:
            return  # a tile whose objects were looked for while the next one was under way
        self._told = progress
        self.setRange(0, TICKS)
        self.setValue(round(TICKS * progress.fraction))
        self.setFormat(_in_words(progress))


def _in_words(progress: Progress) -> str:
    """Return how much is done, and the time left."""
    done = f"{progress.fraction:.0%}"
    return (
        f"{done}, {format_seconds(progress.remaining)} left" if progress.remaining and progress.fraction < 1 else done
    )
