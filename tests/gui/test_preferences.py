"""The page of preferences: what it offers, and that the window does as it says."""

from __future__ import annotations

import ast
import re
from importlib import resources
from typing import Any

import pytest
import yaml
from qtpy.QtCore import Qt

from napari_unet._qt.keys import VERBS
from napari_unet._qt.workers import QtRunner
from napari_unet.layers.keys import shown
from napari_unet.layers.preferences import DEFAULTS, PLUGIN, Preferences

settings = pytest.importorskip("napari.settings")
pytestmark = pytest.mark.skipif(
    not hasattr(settings, "get_plugin_settings"), reason="napari before 0.9 has no such page"
)


@pytest.fixture
def page(widget: Any) -> Any:
    """The plugin's settings, put back afterwards."""
    page = settings.get_plugin_settings(PLUGIN)
    yield page
    for section, names in DEFAULTS.items():
        for name, value in names.items():
            setattr(getattr(page, section), name, value)


def manifest() -> dict[str, Any]:
    text = resources.files("napari_unet").joinpath("napari.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["contributions"]["configurations"]


def test_the_manifest_says_the_same_as_the_code():
    said = {
        section: {name: properties["default"] for name, properties in content["properties"].items()}
        for section, content in manifest().items()
    }
    assert said == DEFAULTS
    assert set(VERBS) == set(DEFAULTS["keys"])


def test_every_preference_is_on_the_page(page):
    for section, names in DEFAULTS.items():
        for name, default in names.items():
            assert getattr(getattr(page, section), name) == default


def test_another_key_does_what_the_first_did(page, widget, viewer, tiny, squares, click, canvas, look, wait_idle):
    viewer.add_image(squares(), name="image")
    assert widget.controller.choose_model(tiny)
    click(widget.segment_panel.button)
    wait_idle(widget)
    look()
    page.keys.review_view = "Ctrl-Y"
    canvas.key(Qt.Key.Key_R)
    assert not widget.controller.session.corrections.reviewed.any(), "the key of before does nothing now"
    canvas.key(Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert widget.controller.session.corrections.reviewed.all()
    wait_idle(widget)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("nonsense", "'nonsense' is no key: 'delete object' has no key now. Its usual key is D."),
        ("Shift-", "'Shift-' is no key: 'delete object' has no key now. Its usual key is D."),
        ("R", "'R' has another job: 'delete object' has no key now. Its usual key is D."),
    ],
)
def test_a_key_that_cannot_be(page, widget, errors, key, said):
    page.keys.delete_object = key
    assert errors(widget) == [said]
    assert "review_view" in widget._keys._bound.values()
    assert "delete_object" not in widget._keys._bound.values()
    page.keys.delete_object = "D"
    assert widget._keys._bound["D"] == "delete_object"


def test_no_key_at_all(page, widget, errors):
    page.keys.delete_object = " "
    assert "delete_object" not in widget._keys._bound.values()
    assert not errors(widget)


def test_sentences_and_tips_name_the_keys_that_are_set(page, widget, errors):
    panel, tools, keys = widget.walk_panel, widget.correct_panel.tools, widget.controller.workspace.keys
    assert (panel.next.text(), panel.previous.text()) == ("Next  (N)", "Previous  (⇧P)")
    assert tools.buttons["split"].toolTip().endswith("Key: S.")
    page.keys.next_suspect, page.keys.cut_free, page.keys.review_view = "Ctrl-Y", "Shift-F4", " "
    assert panel.next.text() == "Next  (Ctrl+Y)"
    assert tools.buttons["split"].toolTip().endswith("Key: Shift+F4.")
    assert widget.correct_panel.reviewed.text() == "Reviewed"
    tools.show_help()
    assert "Ctrl + click or Shift+F4<" in tools._box.text().replace("&nbsp;", "")
    tools._box.close()
    widget.controller.walk.previous()
    assert errors(widget)[-1] == "Nothing is segmented yet. Press Segment first."
    assert keys.named("next_suspect") == "Ctrl+Y"
    assert keys.named("review_view") == "Reviewed", "a button does the same"
    page.keys.take_suggestion = ""
    assert keys.named("take_suggestion") == "(no key)"
    with pytest.raises(KeyError):
        keys.of("next_suspects")


def test_no_sentence_has_a_default_key_in_it():
    """A sentence that names a key asks which one is set."""
    default = {shown(key) for key in DEFAULTS["keys"].values()}
    named = re.compile(r"(?<![\w+-])(?:[Pp]ress|[Kk]ey:?) (?:Shift\+)?([A-Z])\b(?!\w)")
    shifted = re.compile(r"Shift\+[A-Z]\b")
    found = []
    for room in ("_qt", "layers"):
        for path in (resources.files("napari_unet") / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name != "keys.py":
                    hits = [*named.findall(node.value), *shifted.findall(node.value)]
                    found += [f"{path.name}: {node.value}" for hit in hits if hit in default]
    assert found == []


def test_device_threads_and_recovery(page, widget, errors):
    assert widget.controller.workspace.device == "auto"
    page.computing.device = "cpu"
    assert widget.controller.workspace.device == "cpu"
    assert widget.segment_panel.device.currentText() == "cpu"
    page.computing.threads = 3
    assert widget.runner.threads == 3
    page.computing.scheduler = " tcp://node1:8786 "
    assert widget.controller.segment_all.scheduler == "tcp://node1:8786"
    page.saving.recovery = False
    assert not widget.controller.autosave.on
    page.saving.recovery = True
    assert widget.controller.autosave.on
    assert not errors(widget)


def test_a_device_that_is_not_there(page, widget, errors):
    page.computing.device = "mps"
    (said,) = errors(widget)
    assert said == "There is no device 'mps' on this machine; there is cpu (or auto)."
    assert widget.controller.workspace.device == "auto"


def test_a_closed_window_follows_no_more(page, widget, errors):
    widget.close_down()
    page.computing.device = "cpu"
    page.keys.delete_object = "Ctrl-Y"
    assert widget.controller.workspace.device == "auto"
    assert not errors(widget)


def test_without_such_pages(monkeypatch):
    monkeypatch.delattr(settings, "get_plugin_settings")
    preferences = Preferences()
    assert preferences["keys", "delete_object"] == "D"
    assert preferences["computing", "device"] == "auto"
    preferences.release()
    assert QtRunner().threads == 0
