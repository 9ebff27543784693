"""The dialog that asks where a list of images is saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_unet.projects.work_list import SUFFIX

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_unet.layers.controller import Controller


def choose_where_to_save(parent: QWidget, controller: Controller) -> None:
    """Ask where to save the list of images, and save it there."""
    keeper, title = controller.list_keeper, "Save the list, with the labels of all images"
    start = keeper.beside_images() or Path.home()
    chosen, _ = QFileDialog.getSaveFileName(
        parent, title, str(start / f"{keeper.name}{SUFFIX}"), f"Lists of images (*{SUFFIX})"
    )
    if chosen:
        keeper.save(Path(chosen))
