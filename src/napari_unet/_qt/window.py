"""A viewer with the widget docked, driven by a program instead of a person: for the demo and the benchmark."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QEventLoop, QTimer

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


LOOK_EVERY = 5
"""Milliseconds after which it is looked again whether what was waited for has come."""


def live_until(done: Callable[[], bool], seconds: float) -> bool:
    """Let the window live until something is true, or for so long; return whether it came true.

    Qt's own loop runs meanwhile, as it does for a person: it wakes up when there is something to do. One that asks
    again and again takes the interpreter away from whatever learns or segments.
    """
    end = time.perf_counter() + seconds
    loop, timer = QEventLoop(), QTimer()
    found: list[bool | Exception] = []

    def look() -> None:
        if found:
            return
        try:
            came = done()
        except Exception as error:  # noqa: BLE001 - Qt would swallow it, or end the program
            found.append(error)
        else:
            if came or time.perf_counter() > end:
                found.append(came)
        if found:
            loop.quit()

    look()
    if not found:
        timer.timeout.connect(look)
        timer.start(LOOK_EVERY)
        loop.exec_()
        timer.stop()
    if isinstance(found[0], Exception):
        raise found[0]
    return bool(found[0])
