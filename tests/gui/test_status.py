"""The status line: a sentence on two lines, details on demand, and nothing that is pushed about."""

from __future__ import annotations

import pytest

SHORT = "Nothing has changed in view."
LONG = "A sentence that takes more than the two lines that there is room for. " * 2


def test_a_short_sentence_has_no_details(widget):
    widget.controller.say(SHORT)
    assert widget.status.label.text() == widget.status.text() == SHORT
    assert not widget.status.more.isVisible()
    assert not widget.status.fold.isVisible()


def test_details_are_shown_on_demand_and_folded_by_the_next_sentence(widget, click):
    widget.controller.say(SHORT, details="Numbers.")
    assert not widget.status.fold.isVisible()
    click(widget.status.more)
    assert widget.status.fold.isVisible()
    assert widget.status.details.text() == "Numbers."
    widget.controller.say(SHORT, details="Other numbers.")
    assert not widget.status.fold.isVisible()


@pytest.mark.parametrize("details", ["", "Numbers."])
def test_what_does_not_fit_stands_in_the_details_as_a_whole(widget, details):
    widget.controller.say(LONG, "error", details)
    shown = widget.status.label.text()
    assert shown.endswith("…")
    assert LONG.startswith(shown[:-1])
    assert widget.status.text() == LONG
    assert widget.status.details.text() == "\n".join(filter(None, (LONG, details)))
    assert widget.status.more.isVisible()


def test_no_sentence_moves_anything(widget, qtbot):
    def sizes() -> tuple[int, int]:
        qtbot.wait(50)
        return widget.width(), widget.status.y()

    widget.controller.say(SHORT)
    before = sizes()
    for text in (LONG, LONG.replace(" ", ""), SHORT):
        widget.controller.say(text, "done", "Numbers.")
        assert sizes() == before
