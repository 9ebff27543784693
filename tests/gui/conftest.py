"""A real viewer with the plugin docked as its manifest says, and a model that needs no time.

Every test here also asserts, when it is over, that napari was told of no error or warning, that the window never
blamed the program, and that no worker is left.
"""

from __future__ import annotations

import gc
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")
os.environ["NAPARI_CONFIG"] = ""  # the preferences of whoever runs the tests are neither read nor written

import numpy as np
import pytest
import tifffile
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QThreadPool, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QStackedWidget, QTabWidget

from hand_made import bright
from napari_unet._qt import workers
from napari_unet._qt.tour import note_seen
from napari_unet.layers.image.geometry import camera_of
from napari_unet.models.store import save_model
from napari_unet.tiling import budget
from napari_unet.tiling.engine import Predictor
from napari_unet_benchmarks.hand import LEFT, NO_KEY, Hand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_unet._qt.main_widget import UNetWidget
    from napari_unet.layers.controller import Message
    from napari_unet.models.model import Model

MOUSE = (
    QEvent.Type.MouseMove,
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseButtonRelease,
    QEvent.Type.MouseButtonDblClick,
    QEvent.Type.Enter,
    QEvent.Type.Leave,
    QEvent.Type.HoverMove,
)

workers._try_model = lambda: None  # in the background: it would take the turns of tests that count tiles

PATIENCE = 120_000
"""Milliseconds that a test waits for a job: far more than any takes."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/gui/" in item.path.as_posix():
            item.add_marker(pytest.mark.gui)
            # napari tells a plugin by a FutureWarning that it reached for something private.
            item.add_marker(pytest.mark.filterwarnings("error::FutureWarning"))


@pytest.fixture(autouse=True, scope="session")
def _modules_are_not_searched() -> None:
    """napari's `make_napari_viewer` collects garbage thrice a test, most of the time among all that was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _short_messages(short_messages: None) -> None:
    """No test makes the window say more than it has room for."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))
    note_seen()  # the tour is for whoever sees the window for the first time
    return tmp_path / "home"


# -- models ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_model() -> Callable[..., Model]:
    def make(name: str = "tiny", **settings: Any) -> Model:
        return bright(name, **settings)

    return make


@pytest.fixture
def tiny(own_home: Path) -> str:
    """Name of a model in the user's folder that takes no time."""
    save_model(bright("tiny"), "tiny")
    return "tiny"


def bright_squares(shape: tuple[int, ...] = (96, 96), n: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """Return an image of `n` x `n` bright squares, the same in all planes."""
    image = np.zeros(shape, dtype)
    height, width = shape[-2:]
    for row in range(n):
        for column in range(n):
            y, x = (2 * row + 1) * height // (2 * n), (2 * column + 1) * width // (2 * n)
            image[..., y - 5 : y + 5, x - 5 : x + 5] = 100
    return image


@pytest.fixture
def squares() -> Callable[..., np.ndarray]:
    return bright_squares


# -- the window ------------------------------------------------------------------------------------------------------


class Notifications:
    def __init__(self) -> None:
        self.records: list[Any] = []

    def __call__(self, notification: Any) -> None:
        if NotificationSeverity(notification.severity) >= NotificationSeverity.WARNING:
            self.records.append(notification)


@pytest.fixture
def notifications() -> Iterator[list[Any]]:
    """What napari would show as an error or a warning; there must be none."""
    seen = Notifications()
    notification_manager.notification_ready.connect(seen)
    yield seen.records
    notification_manager.notification_ready.disconnect(seen)
    assert not seen.records, [str(record) for record in seen.records]


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """Waits for as long as a job may take where much else runs; by itself it gives up after five seconds."""
    qtbot.waitUntil = partial(qtbot.waitUntil, timeout=PATIENCE)
    return qtbot


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], notifications: list[Any]) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1000, 800)
    return viewer


@pytest.fixture
def dock(viewer: Any, qtbot: Any, tiny: str) -> Iterator[Callable[[], UNetWidget]]:
    """Docks the widget through the manifest; at the end nothing may be left of its work."""
    made: list[UNetWidget] = []

    def make() -> UNetWidget:
        widget = _docked(viewer, made)
        QApplication.processEvents()  # the canvas gets its size, to which napari then fits the first image
        return widget

    yield make
    for widget in made:
        widget.close_down()
        qtbot.waitUntil(lambda widget=widget: not widget.runner.busy)
        faults = [message.text for message in widget.messages if "error in the plugin" in message.text]
        assert not faults
    assert QThreadPool.globalInstance().waitForDone(PATIENCE)


def _docked(viewer: Any, made: list[UNetWidget]) -> UNetWidget:
    """Return the widget docked in a viewer, which notes what it says; a new one is added to those made."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-unet-interactive", "U-Net")
    if widget not in made:
        widget.messages = []
        widget.controller.workspace.said.connect(widget.messages.append)
        made.append(widget)
    return widget


@pytest.fixture
def another_window(make_napari_viewer: Callable[..., Any]) -> Iterator[Callable[[], UNetWidget]]:
    """Docks the widget in another viewer, as on the next day, or after a crash."""
    made: list[UNetWidget] = []
    yield lambda: _docked(make_napari_viewer(show=True), made)
    for widget in made:
        widget.close_down()


@pytest.fixture
def image_file(tmp_path: Path, squares: Any) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, squares((4, 96, 96)), imagej=True, metadata={"axes": "ZYX"})
    return path


@pytest.fixture
def widget(dock: Callable[[], UNetWidget]) -> UNetWidget:
    """The docked widget with the tiny model chosen."""
    widget = dock()
    assert isinstance(widget.viewer, PublicOnlyProxy), "the manifest's way hands over a proxy"
    assert widget.controller.choose_model("tiny")
    return widget


@pytest.fixture
def open_image(widget: UNetWidget, wait_idle: Callable[[UNetWidget], None]) -> Callable[[Path], None]:
    """Opens a file in the widget's viewer, with its axes and pixel size, and waits until it is there."""

    def open_it(path: Path) -> None:
        assert widget.controller.open(path)
        wait_idle(widget)

    return open_it


@pytest.fixture
def drop() -> Callable[..., bool]:
    """Drags something from a file manager onto a widget and drops it there; returns whether it was taken."""

    def onto(target: Any, *urls: Path | str) -> bool:
        mime = QMimeData()
        mime.setUrls([QUrl(url) if isinstance(url, str) else QUrl.fromLocalFile(str(url)) for url in urls])
        copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
        none = Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(QPoint(9, 9), copy, mime, left, none)
        enter.ignore()
        QApplication.sendEvent(target, enter)
        if not enter.isAccepted():
            return False
        event = QDropEvent(QPointF(9, 9), copy, mime, left, none)
        event.ignore()
        QApplication.sendEvent(target, event)
        return True

    return onto


@pytest.fixture
def click(qtbot: Any) -> Callable[[Any], None]:
    """Presses a button with the mouse, in its tab if it is in one."""

    def press(button: Any) -> None:
        page = button
        while (above := page.parentWidget()) is not None:
            if isinstance(above, QStackedWidget) and isinstance(tabs := above.parentWidget(), QTabWidget):
                tabs.setCurrentWidget(page)
            page = above
        assert button.isEnabled(), f"{button.text()!r} cannot be pressed"
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    return press


@pytest.fixture
def wait_idle(qtbot: Any) -> Callable[[UNetWidget], None]:
    """Waits until no job runs and the corrections are counted."""

    def wait(widget: UNetWidget) -> None:
        qtbot.waitUntil(lambda: not widget.controller.busy and not widget.runner.busy)
        widget._count_soon.flush()

    return wait


@pytest.fixture
def errors() -> Callable[[UNetWidget], list[str]]:
    """Sentences that the window said as errors."""

    def of(widget: UNetWidget) -> list[str]:
        messages: list[Message] = widget.messages
        return [message.text for message in messages if message.level == "error"]

    return of


class _OwnHand(QObject):
    """Keeps from a widget what the window system tells of its own mouse, which rests wherever the last test left it."""

    def __init__(self, widget: Any) -> None:
        super().__init__(widget)
        self.sends = False
        widget.installEventFilter(self)

    def eventFilter(self, _: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        return not self.sends and event.type() in MOUSE


class Canvas(Hand):
    """The mouse and the keys on the canvas, at positions in data pixels."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        super().__init__(viewer)
        self._qtbot = qtbot
        self._own = _OwnHand(self.native)

    def move(self, y: float, x: float, button: Any = LEFT, modifiers: Any = NO_KEY) -> None:
        super().move(y, x, button, modifiers)
        self._qtbot.wait(40)  # vispy and napari both thin out moves in quick succession

    def drag(self, *path: tuple[float, float], modifiers: Any = NO_KEY) -> None:
        self.press(*path[0], modifiers=modifiers)
        for place in path[1:]:
            self.move(*place, modifiers=modifiers)
        self.release(*path[-1], modifiers=modifiers)

    def click(self, y: float, x: float, modifiers: Any = NO_KEY) -> None:
        self.press(y, x, modifiers=modifiers)
        self.release(y, x, modifiers=modifiers)

    def key(self, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        self._qtbot.keyClick(self.native, key, modifier)

    def send(self, kind: QEvent.Type, y: float, x: float, button: Any, held: Any, modifiers: Any) -> None:
        self._own.sends = True
        try:
            super().send(kind, y, x, button, held, modifiers)
        finally:
            self._own.sends = False


@pytest.fixture
def canvas(viewer: Any, qtbot: Any) -> Canvas:
    return Canvas(viewer, qtbot)


@pytest.fixture
def look(viewer: Any) -> Callable[..., None]:
    """Shows all of the image, or a part; layers are told what is in view when the canvas is drawn, so that is done."""

    def at(center: tuple[float, float] | None = None, *, closer: float = 1.0, zoom: float | None = None) -> None:
        QApplication.processEvents()  # sliders and docks that came meanwhile change the canvas
        viewer.reset_view()
        if center is not None:
            camera_of(viewer).center = (0, *center)
        camera_of(viewer).zoom = zoom or camera_of(viewer).zoom * closer
        QApplication.processEvents()
        viewer.window._qt_viewer.canvas.on_draw(None)

    return at


# -- jobs that take as long as a test wants --------------------------------------------------------------------------


class Gate:
    """Lets a network's tiles through one by one."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(0)
        self.passed = 0

    def let(self, tiles: int) -> None:
        """Let so many more tiles be computed."""
        self._free.release(tiles)

    def wait(self) -> None:
        assert self._free.acquire(timeout=PATIENCE / 1000), "a tile waited in vain"
        self.passed += 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    call = Predictor.__call__

    def wait_and_call(self: Predictor, block: np.ndarray) -> np.ndarray:
        gate.wait()
        return call(self, block)

    monkeypatch.setattr(Predictor, "__call__", wait_and_call)
    yield gate
    gate.let(10_000)


@pytest.fixture
def many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut planes of 96 pixels into several tiles."""
    monkeypatch.setitem(budget.MAX_PIXELS, 2, 3_000)
    monkeypatch.setattr(budget, "MIN_PIXELS", 3_000)


@pytest.fixture(autouse=True)
def _no_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is guessed unasked: whether that comes before a test's next step would be luck."""
    monkeypatch.setattr("napari_unet._qt.main_widget.GUESS_AFTER", 10**9)


@pytest.fixture(autouse=True)
def no_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk does not go on by itself, unless a test wants that."""
    for name in ("GO_ON_AFTER", "GO_ON_LATER"):
        monkeypatch.setattr(f"napari_unet._qt.main_widget.{name}", 10**9)
