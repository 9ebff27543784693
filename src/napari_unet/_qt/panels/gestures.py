"""A row of tools that change objects, and the page that says how the mouse does it by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QMessageBox, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_unet.layers.proofreading.gesture_help import help_rows

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.proofreading.gesture_tool import Tool

TOOLS: dict[Tool, str] = {
    "merge": "Drag from one object into others: they become one. Without this button: Shift + drag.",
    "split": "Draw a line across an object, or click once in each of its parts. Without this button: Ctrl + drag.",
    "add": "Click where an object is missing, or draw around it. Shift + wheel or drag: larger, smaller.",
    "outline": "Draw out of an object and back to add to it, across it to cut a piece off.",
    "delete": "Click an object, or drag across several. Without this button: Ctrl + Shift + click.",
}
"""What the buttons say when pointed at."""

KEYS: dict[Tool, str] = {"split": "cut_free", "add": "add_object", "outline": "outline_tool", "delete": "delete_object"}
"""Actions whose keys do much the same as the buttons."""


class GestureTools(QWidget):
    """Buttons that choose what the mouse does to objects, and one that shows the help.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._gestures = controller, controller.gestures
        self.buttons: dict[Tool, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(2)
        for tool, tip in TOOLS.items():
            button = self._button(tool.capitalize(), tip)
            button.setCheckable(True)
            button.clicked.connect(lambda checked, tool=tool: self._gestures.choose_tool(tool if checked else None))
            row.addWidget(button, 1)
            self.buttons[tool] = button
        self.help = self._button("?", "")
        self.help.setFixedWidth(28)
        self.help.clicked.connect(self.show_help)
        row.addWidget(self.help)
        self.slice_only = QCheckBox("In this slice only")
        self.slice_only.setToolTip("Change objects in the slice in view; else through all slices.")
        self.slice_only.toggled.connect(self._on_slice_only)
        self.later_frames = QCheckBox("At all later time points too")
        self.later_frames.setToolTip("Merge and delete at this time point and all later ones; else at this one only.")
        self.later_frames.toggled.connect(self._on_later_frames)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.slice_only)
        layout.addWidget(self.later_frames)
        self._box: QMessageBox | None = None
        self._gestures.tool_changed.connect(self._show_tool)
        self._gestures.help_wanted.connect(self.show_help)
        controller.workspace.image_changed.connect(self._show_options)
        controller.workspace.session_opened.connect(self._show_options)
        self._keys = controller.workspace.keys
        self._keys.changed.connect(self._show_keys)
        self._show_keys()
        self._show_options()

    def show_help(self) -> None:
        """Show what mouse and keys do, beside the work that goes on."""
        if self._box is None:
            self._box = QMessageBox(self)
            self._box.setWindowTitle("Correct objects with mouse and keys")
            self._box.setTextFormat(Qt.TextFormat.RichText)
            self._box.setModal(False)
        rows = "".join(
            f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td style='white-space:nowrap'>{how}&nbsp;&nbsp;</td>"
            f"<td>{what}</td></tr>"
            for name, how, what in help_rows(self._keys)
        )
        where = "On the labels layer of a result, in pan/zoom mode (key 6). Ctrl is Cmd on macOS."
        also = "Ctrl+Z takes a gesture back. Each is a correction to learn from."
        self._box.setText(f"{where}<table cellspacing='6'>{rows}</table>{also}")
        self._box.show()

    def _show_keys(self) -> None:
        """Say which keys do the same as the buttons."""
        for tool, tip in TOOLS.items():
            key = self._keys.of(KEYS[tool]) if tool in KEYS else ""
            self.buttons[tool].setToolTip(f"{tip} Ctrl+Z takes it back.{f' Key: {key}.' if key else ''}")
        key = self._keys.of("show_help")
        self.help.setToolTip(f"What mouse and keys do to objects{f' ({key})' if key else ''}.")

    @staticmethod
    def _button(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Esc, and the keys of gestures, are the canvas's
        button.setStyleSheet("padding: 4px 2px;")  # else the row is wider than the panel
        return button

    def _show_tool(self) -> None:
        for tool, button in self.buttons.items():
            button.setChecked(tool == self._gestures.tool)

    def _show_options(self, _: Any = None) -> None:
        session = self._controller.session
        self.slice_only.setVisible(session is not None and session.joins_slices)
        with signals_blocked(self.slice_only):
            self.slice_only.setChecked(self._gestures.slice_only)
        self.later_frames.setVisible(session is not None and session.image.n_frames > 1)
        with signals_blocked(self.later_frames):
            self.later_frames.setChecked(self._gestures.later_frames)

    def _on_later_frames(self, checked: bool) -> None:
        self._gestures.later_frames = checked

    def _on_slice_only(self, checked: bool) -> None:
        self._gestures.slice_only = checked
