"""Whoever works by keyboard sees where he is, and Tab goes on to what is seen next; no viewer is opened here."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt import focus


def order(whole: QWidget, names: list[str]) -> list[str]:
    """Return the names among these of what Tab stops at, from the first on; Qt has named parts of its own."""
    found, one = [], whole.nextInFocusChain()
    while one is not whole:
        if one.objectName() in names and one.focusPolicy() & Qt.FocusPolicy.TabFocus:
            found.append(one.objectName())
        one = one.nextInFocusChain()
    return found


def named(kind: Any, name: str) -> Any:
    widget = kind()
    widget.setObjectName(name)
    return widget


def test_tab_goes_as_one_reads_whatever_was_made_first(qtbot: Any) -> None:
    whole, form_of, grid_of = QWidget(), QWidget(), QWidget()
    qtbot.addWidget(whole)
    last, fourth, second, third = (named(QPushButton, name) for name in ("last", "4", "2", "3"))
    form = QFormLayout(form_of)
    form.addRow("Second", second)
    form.insertRow(0, "First", named(QSpinBox, "1"))
    grid = QGridLayout(grid_of)
    grid.addWidget(fourth, 1, 0)
    grid.addWidget(third, 0, 0)
    tabs = named(QTabWidget, "")
    tabs.tabBar().setObjectName("bar")
    page = QScrollArea()
    page.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    inside = QWidget()
    QVBoxLayout(inside).addWidget(named(QCheckBox, "in the tab"))
    page.setWidget(inside)
    tabs.addTab(page, "A")
    layout = QVBoxLayout(whole)
    for part in (form_of, grid_of, tabs, last):
        layout.addWidget(part)
    focus.in_visual_order(whole)
    names = ["1", "2", "3", "4", "bar", "in the tab", "last"]
    assert order(whole, names) == names


@pytest.fixture
def window(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> QWidget:
    """A window of two buttons and a line, as if it were the plugin's."""
    monkeypatch.setattr(focus, "_is_ours", lambda widget: widget.window().objectName() == "ours")
    whole = named(QWidget, "ours")
    qtbot.addWidget(whole)
    layout = QVBoxLayout(whole)
    for kind, name in ((QPushButton, "one"), (QLineEdit, "two"), (QPushButton, "three")):
        layout.addWidget(named(kind, name))
    focus.outline_focus()  # one for the whole program: in other tests there may have been a window
    whole.resize(200, 150)
    whole.show()
    whole.activateWindow()
    qtbot.waitUntil(whole.isActiveWindow)
    return whole


def framed(window: QWidget) -> list[str]:
    """Return the names of the widgets that have a frame over them, pixel by pixel."""
    frames = [one for one in window.findChildren(focus._Frame) if one.isVisible()]
    widgets = [one for one in window.findChildren(QWidget) if one.objectName()]
    return [one.objectName() for one in widgets for frame in frames if frame.geometry() == one.geometry()]


def test_what_has_the_focus_is_outlined_and_nothing_moves(window: QWidget) -> None:
    places = [child.geometry() for child in window.findChildren(QWidget)]
    parts = [window.findChild(QWidget, name) for name in ("one", "two", "three")]
    for part in parts:
        part.setFocus(Qt.FocusReason.TabFocusReason)
        assert framed(window) == [part.objectName()]
    assert [child.geometry() for child in window.findChildren(QWidget)][: len(places)] == places
    window.resize(300, 200)
    QApplication.processEvents()
    assert framed(window) == ["three"], "it goes where the button goes"
    parts[2].hide()
    assert "three" not in framed(window)


def test_a_click_outlines_nothing_and_is_let_through(window: QWidget) -> None:
    one, three = (window.findChild(QPushButton, name) for name in ("one", "three"))
    clicked: list[str] = []
    one.clicked.connect(lambda: clicked.append("one"))
    three.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.mouseClick(window.windowHandle(), Qt.MouseButton.LeftButton, pos=one.mapTo(window, QPoint(5, 5)))
    assert clicked == ["one"]
    assert framed(window) == []
    one.setFocus(Qt.FocusReason.TabFocusReason)
    three.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.mouseClick(window.windowHandle(), Qt.MouseButton.LeftButton, pos=three.mapTo(window, QPoint(5, 5)))
    assert framed(window) == ["three"]


def test_what_is_napari_s_is_left_alone(window: QWidget) -> None:
    window.setObjectName("napari")
    window.findChild(QWidget, "three").setFocus(Qt.FocusReason.TabFocusReason)
    assert framed(window) == []


def test_a_widget_that_goes_takes_its_outline_along(window: QWidget, qtbot: Any) -> None:
    one = window.findChild(QWidget, "one")
    one.setFocus(Qt.FocusReason.TabFocusReason)
    one.setParent(None)
    assert framed(window) in ([], ["two"])
    one.deleteLater()
    window.findChild(QWidget, "three").setFocus(Qt.FocusReason.TabFocusReason)
    assert framed(window) == ["three"]
