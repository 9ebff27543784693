"""What was corrected, and what was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.panels.gestures import GestureTools
from napari_unet._qt.panels.parts import count
from napari_unet._qt.panels.propagation import GivenLabelsButton, SlicesAndFrames
from napari_unet._qt.panels.seeing import SeeingRow
from napari_unet.layers.display.overlay import CORRECTED, REVIEWED

if TYPE_CHECKING:
    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.controller import Controller


class CorrectPanel(QWidget):
    """What was corrected, and what is marked as reviewed."""

    HINT = "Paint, erase, fill or undo on the result as in any labels layer. Every edit is a correction."

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        hint = QLabel(self.HINT)
        hint.setWordWrap(True)
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.reviewed = QPushButton()
        self.reviewed.setToolTip(
            "All that is in view is right: it is learned from, and no longer changed by Segment. Press again to undo."
        )
        self.more = QPushButton()
        self.more.setToolTip("Mark the slice or one object as reviewed.")
        self.more.setFixedWidth(28)
        menu = QMenu(self)
        self.more.setMenu(menu)
        self._in_view, self._slice, self._object = self._reviewed_actions(menu)
        buttons = QHBoxLayout()
        pair = QHBoxLayout()
        pair.setSpacing(1)
        pair.addWidget(self.reviewed, 1)
        pair.addWidget(self.more)
        buttons.addLayout(pair, 1)
        self.tools = GestureTools(controller)
        self.overlay = QCheckBox("Show")
        self.overlay.setToolTip("Show on the image what is corrected and what is reviewed.")
        legend = QLabel(
            f"<span style='color:{CORRECTED}'>■</span> corrected &nbsp; "
            f"<span style='color:{REVIEWED}'>■</span> reviewed"
        )
        shown = QHBoxLayout()
        shown.addWidget(self.overlay)
        shown.addWidget(legend)
        shown.addStretch(1)
        self.seeing = SeeingRow(controller)
        self.zero = QComboBox()
        self.zero.addItems(["Class 0 is background", "Class 0 is not labelled"])
        self.zero.setToolTip(
            "Whether class 0, where you erased or reviewed, is learned as background, or is not learned from."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(hint)
        layout.addWidget(GivenLabelsButton(controller))
        layout.addWidget(self.counts)
        layout.addWidget(self.tools)
        layout.addLayout(buttons)
        layout.addLayout(shown)
        layout.addWidget(self.seeing)
        layout.addWidget(self.zero)
        layout.addWidget(SlicesAndFrames(controller))
        self.reviewed.clicked.connect(lambda: controller.toggle_reviewed())
        self.overlay.toggled.connect(controller.overlays.show)
        self.zero.activated.connect(self._on_zero)
        controller.workspace.corrected.connect(self.show_summary)
        controller.workspace.image_changed.connect(lambda: self.show_summary(None))
        controller.workspace.image_changed.connect(self._show_zero)
        controller.workspace.segmenting.connect(self._show_zero)  # that is when a result is made
        controller.overlays.switched.connect(self._show_overlay)
        controller.workspace.keys.changed.connect(self._show_keys)
        self._show_keys()
        self.show_summary(None)
        self._show_zero()
        self._show_overlay()

    def show_summary(self, summary: Summary | None) -> None:
        """Show how much was corrected and reviewed."""
        if summary is None or not summary.anything:
            self.counts.setText("<i>Nothing corrected or reviewed yet.</i>")
            return
        corrected = "Only ids changed" if summary.changed_pixels else "Nothing corrected"
        if summary.corrected_pixels:
            pixels, objects = count(summary.corrected_pixels, "pixel"), count(summary.corrected_objects, "object")
            corrected = f"<b>{pixels}</b> corrected in <b>{objects}</b>"
        share = summary.reviewed_share
        percent = f"{share:.0%}" if share >= 0.01 or not share else "less than 1%"
        self.counts.setText(f"{corrected}; <b>{percent}</b> of the image reviewed.")

    def _reviewed_actions(self, menu: QMenu) -> tuple[Any, Any, Any]:
        """Add what can be marked as reviewed to a menu; return the actions."""
        controller = self._controller
        in_view, one_slice, one_object = (menu.addAction("") for _ in range(3))
        in_view.triggered.connect(lambda: controller.toggle_reviewed("view"))
        one_slice.triggered.connect(lambda: controller.toggle_reviewed("slice"))
        one_object.setEnabled(False)  # whoever has just clicked in the menu points at no object
        return in_view, one_slice, one_object

    def _show_keys(self) -> None:
        """Show which keys do the same as the buttons."""
        keys = self._controller.workspace.keys
        self.reviewed.setText(keys.beside("Reviewed", "review_view"))
        self._in_view.setText(keys.beside("What is in view", "review_view"))
        self._slice.setText(keys.beside("This slice", "review_slice"))
        key = keys.of("review_object")
        self._object.setVisible(bool(key))
        self._object.setText(f"The object under the cursor: point at it and press {key}")

    def _show_overlay(self) -> None:
        self.overlay.setChecked(self._controller.overlays.shown)

    def _show_zero(self) -> None:
        background = self._controller.reviewer.zero_is_background
        self.zero.setVisible(background is not None)
        self.zero.setCurrentIndex(int(background is False))

    def _on_zero(self, index: int) -> None:
        self._controller.reviewer.zero_is_background = index == 0
