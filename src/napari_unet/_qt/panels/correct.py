"""What was corrected, and what was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGroupBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet._qt.panels.parts import count

if TYPE_CHECKING:
    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.controller import Controller


class CorrectPanel(QGroupBox):
    """What was corrected, and the field in view marked as reviewed."""

    HINT = "Paint, erase, fill or undo on the result as in any napari labels layer. Every edit is a correction."

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Correct", parent)
        hint = QLabel(self.HINT)
        hint.setWordWrap(True)
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.reviewed = QPushButton("Reviewed  (R)")
        self.reviewed.setToolTip(
            "Everything in view is right as it is now: what agrees counts for learning too, and no later segmentation "
            "changes it. Press again to take it back."
        )
        layout = QVBoxLayout(self)
        for widget in (hint, self.counts, self.reviewed):
            layout.addWidget(widget)
        self.reviewed.clicked.connect(lambda: controller.toggle_reviewed())
        controller.corrected.connect(self.show_summary)
        controller.image_changed.connect(lambda: self.show_summary(None))
        self.show_summary(None)

    def show_summary(self, summary: Summary | None) -> None:
        """Show how much was corrected and reviewed."""
        if summary is None or not summary.anything:
            self.counts.setText("<i>Nothing corrected or reviewed yet.</i>")
            return
        corrected = "Nothing corrected"
        if summary.corrected_pixels:
            pixels, objects = count(summary.corrected_pixels, "pixel"), count(summary.corrected_objects, "object")
            corrected = f"<b>{pixels}</b> corrected in <b>{objects}</b>"
        share = summary.reviewed_share
        percent = f"{share:.0%}" if share >= 0.01 or not share else "less than 1%"
        self.counts.setText(f"{corrected}; <b>{percent}</b> of the image reviewed.")
