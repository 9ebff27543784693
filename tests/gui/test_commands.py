"""Commands of the palette and the menus, run as napari runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from napari._app_model import get_app_model

from napari_unet.layers.preferences import PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def run(viewer: Any) -> Callable[[str], None]:
    """Runs a command of the plugin as napari's palette does."""

    def run(name: str) -> None:
        get_app_model().commands.execute_command(f"{PLUGIN}.{name}").result()

    return run


def test_segment(run, viewer, squares, widget, wait_idle):
    viewer.add_image(squares(), name="image")
    widget.show_tab("Learn")
    run("segment")
    wait_idle(widget)
    assert widget.tabs.tabText(widget.tabs.currentIndex()) == "Segment"
    assert "Found 9 objects" in widget.status.text()


def test_learn_without_corrections_says_what_is_missing(run, widget, errors):
    run("learn")
    assert errors(widget)
    assert widget.tabs.tabText(widget.tabs.currentIndex()) == "Learn"


def test_help_on_gestures(run, widget):
    run("correct")
    assert widget.correct_panel.tools._box.isVisible()
    widget.correct_panel.tools._box.close()


def test_the_panel_is_docked_where_it_is_not(run, viewer, dock):
    assert not viewer.window.dock_widgets
    run("segment")
    (there,) = viewer.window.dock_widgets.values()
    assert there is dock(), "it is the panel that the menu shows too"
    assert there.status.text().startswith("There is no image to segment.")


def test_menus_name_the_commands(viewer):
    menus = get_app_model().menus
    for menu, names in {
        "napari/layers/segment": {"widget", "segment"},
        "napari/layers/annotate": {"correct", "learn"},
    }.items():
        commands = {getattr(item, "command", None) and item.command.id for item in menus.get_menu(menu)}
        ours = {f"{PLUGIN}.{name}" for name in names}
        assert {c for c in commands if c and c.startswith(f"{PLUGIN}.")} >= ours - {f"{PLUGIN}.widget"}
