"""A question before something is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def confirmed(parent: QWidget, title: str, text: str, more: str, action: str) -> bool:
    """Ask whether something may be done, and return the answer; Enter and Escape are a no.

    Parameters
    ----------
    parent : QWidget
    title, text, more : str
        Of the box: its title, the question, and what comes of it.
    action : str
        What the button says that does it.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle(title)
    box.setText(text)
    box.setInformativeText(more)
    does_it = box.addButton(action, QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole))
    box.exec()
    return box.clickedButton() is does_it
