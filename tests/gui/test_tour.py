"""The tour: once, in few bubbles, beside what they are about, and never in the way."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, Qt

from napari_unet._qt import tour


@pytest.fixture
def newcomer(own_home):
    (own_home / "tour-seen").unlink()


def test_it_comes_once(newcomer, dock, qtbot, own_home):
    widget = dock()
    qtbot.waitUntil(lambda: widget.tour is not None)
    assert (own_home / "tour-seen").exists()
    widget.tour.end()
    qtbot.waitUntil(lambda: widget.tour is None)
    widget.hide()
    widget.show()
    qtbot.wait(2 * 500)
    assert widget.tour is None


def test_next_leads_through_the_tabs(widget, qtbot):
    widget.show_tab("Results")
    widget.show_tour()
    bubble, said = widget.tour, []
    window = widget.window()
    for number, stop in enumerate(tour.STOPS):
        assert bubble.where.text() == f"{number + 1} of {len(tour.STOPS)}"
        assert widget.tabs.tabText(widget.tabs.currentIndex()) == stop.tab
        assert window.rect().contains(bubble.geometry())
        target = stop.target(widget)
        over = bubble.geometry().translated(-target.mapTo(window, QPoint(0, 0)))
        assert not target.rect().intersects(over), "what it is about can be seen"
        said.append(bubble.text.text())
        qtbot.mouseClick(bubble.next, Qt.MouseButton.LeftButton)
    assert len(set(said)) == len(tour.STOPS) <= 5
    assert max(map(len, said)) <= 100
    qtbot.waitUntil(lambda: widget.tour is None)
    assert widget.tabs.tabText(widget.tabs.currentIndex()) == "Results", "as before"


@pytest.mark.parametrize("size", [(800, 600), (1900, 1100)])
def test_it_stays_in_a_window_of_another_size(widget, qtbot, size):
    widget.show_tour()
    widget.window().resize(*size)
    qtbot.waitUntil(lambda: widget.window().rect().contains(widget.tour.geometry()))
    qtbot.mouseClick(widget.tour.leave, Qt.MouseButton.LeftButton)


def test_escape_and_closing_end_it(widget, qtbot):
    widget.show_tour()
    qtbot.keyClick(widget.tour, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: widget.tour is None)
    widget.show_tour()
    widget.close_down()
    qtbot.waitUntil(lambda: widget.tour is None)


def test_a_window_that_is_closed_meanwhile(widget, viewer):
    widget.show_tour()
    viewer.close()
    widget.close_down()
