"""A viewer with the widget docked, driven by a program instead of a person: for the demo and the benchmark."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtWidgets import QApplication

from napari_unet._qt.main_widget import UNetWidget

if TYPE_CHECKING:
    from collections.abc import Callable


def open_window() -> tuple[Any, UNetWidget]:
    """Return a new viewer on the screen and the widget docked in it, which keeps no copies: nobody works in it."""
    viewer = napari.Viewer(title="napari-unet-interactive", show=True)
    widget = UNetWidget(viewer)
    widget.controller.autosave.on = widget.attended = False
    viewer.window.add_dock_widget(widget, name="U-Net", area="right")
    viewer.window.resize(1500, 1000)
    return viewer, widget


def close_window(viewer: Any, widget: UNetWidget, seconds: float) -> bool:
    """Stop all work and close the viewer; return whether the work ended within that time."""
    widget.close_down()
    ended = live_until(lambda: not widget.runner.busy, seconds)
    viewer.close()
    return ended


def live_until(done: Callable[[], bool], seconds: float) -> bool:
    """Let the window live until something is true, or for so long; return whether it came true."""
    end = time.perf_counter() + seconds
    while not done():
        if time.perf_counter() > end:
            return False
        QApplication.processEvents()
        time.sleep(0.001)
    return True
