"""Make the pictures of the README and the documentation: an afternoon in the real window, most at 1280 x 800.

make screenshots
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_unet._qt.demo import in_own_home
from napari_unet._qt.demo_afternoon import Afternoon
from napari_unet._qt.export_dialog import ExportDialog
from napari_unet._qt.objects_table import ObjectsTable
from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet.layers.samples import histology

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = Path(__file__).parent / "images"
SIZE = 1280, 800
STAGES = "list", "drawn", "walk", "results"
"""Stages of the afternoon of which there are pictures."""
HIGHER = 1280, 1000
"""Of the picture of the table of objects, which at 800 has room for few rows below the layer controls."""
TABLE = 480, 420
"""Width and height of that table, pixels: it is at the left, beside the list of images, and a user would drag it so."""
TO_REST = 0.7
"""Seconds after which the window has drawn all."""
FRAME = "#8a8d91"
"""Colour of the line around a dialog."""


def main() -> None:
    """Do the afternoon of the demo, and take a picture at each stage."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, in_own_home():
        with window() as (viewer, widget):
            gallery(viewer, widget)
        with window() as (viewer, widget):
            Afternoon(widget, Path(folder), lambda stage: at_stage(viewer, widget, stage)).run()


@contextmanager
def window() -> Iterator[tuple[Any, Any]]:
    """Open a window of the size of the pictures, and close it."""
    viewer, widget = open_window()
    viewer.window.resize(*SIZE)
    try:
        yield viewer, widget
    finally:
        close_window(viewer, widget, 60)


def gallery(viewer: Any, widget: Any) -> None:
    """Take the picture of *Which model?*, asked about the sample of histology."""
    for data, kwargs, _ in histology():
        viewer.add_image(data, **kwargs)
    widget.image_panel.which.click()
    live_until(lambda: not widget.controller.gallery.busy, 60)
    keep(viewer, "gallery", widget.image_panel.gallery)


def at_stage(viewer: Any, widget: Any, stage: str) -> None:
    """Take the pictures of a stage."""
    print(f"Picture of {stage}")
    if stage not in STAGES:
        return
    viewer.reset_view()
    keep(viewer, stage)
    if stage == "results":
        widget.results_panel.export.click()
        live_until(lambda: False, TO_REST)
        (dialog,) = [each for each in QApplication.topLevelWidgets() if isinstance(each, ExportDialog)]
        dialog.folder.value = Path("/home/me/results")
        keep(viewer, "export", dialog)
        dialog.reject()
        viewer.window.resize(*HIGHER)
        widget.show_objects_table()
        live_until(lambda: False, TO_REST)
        main = viewer.window._qt_window
        docks = [dock for dock in main.findChildren(QDockWidget) if dock.findChild(ObjectsTable)]
        for pixels, direction in zip(TABLE, (Qt.Orientation.Horizontal, Qt.Orientation.Vertical), strict=True):
            main.resizeDocks(docks, [pixels], direction)
        viewer.reset_view()
        keep(viewer, "table")


def keep(viewer: Any, name: str, dialog: Any = None) -> None:
    """Write a picture of the window, with a dialog in front of it if there is one."""
    live_until(lambda: False, TO_REST)
    path = IMAGES / f"{name}.png"
    viewer.screenshot(path=str(path), canvas_only=False, flash=False)
    picture = Image.open(path).convert("RGB")
    if dialog is not None:  # a window of its own, which the screenshot leaves out
        dialog.grab().save(str(path))
        front = ImageOps.expand(Image.open(path).convert("RGB"), border=2, fill=FRAME)
        picture.paste(front, tuple((a - b) // 2 for a, b in zip(picture.size, front.size, strict=True)))
    picture.save(path, optimize=True)


if __name__ == "__main__":
    main()
