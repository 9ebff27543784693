"""The pictures of the imports in docs/architecture.md: what they show is what the code does."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest.importorskip("grimp")  # comes with import-linter; `make test` installs it

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "make_imports_picture.py"
MAX_ROOMS = 24


@pytest.fixture(scope="module")
def script():
    spec = spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def imports(script):
    return script.room_imports()


@pytest.mark.parametrize("name", ["imports.svg", "layers.svg"])
def test_a_picture_is_the_one_that_the_script_makes_now(script, name):
    shown = (script.IMAGES / name).read_text(encoding="utf-8")
    assert shown == script.pictures()[name], "make figures"


def test_all_pictures_are_in_the_document(script):
    text = (SCRIPT.parent / "architecture.md").read_text(encoding="utf-8")
    assert [f"](images/{name})" in text for name in script.pictures()] == [True, True]


def test_arrows_point_down_and_inward(script, imports):
    """To find rows at all means that there is no circle."""
    rows = script.rows(imports)
    rings = ["core", "layers", "window", "outside"]
    for room, others in imports.items():
        assert all(rows[other] < rows[room] for other in others)
        assert all(rings.index(script.ring(other)) <= rings.index(script.ring(room)) for other in others)
    assert max(rows[room] for room in rows if script.ring(room) == "core") < rows["layers"] < rows["_qt"]


def test_a_newcomer_can_take_in_the_rooms(script, imports):
    assert len(imports) <= MAX_ROOMS
    assert len(script.layers_imports()) <= MAX_ROOMS


def test_the_layers_are_put_together_by_the_controller_and_know_jobs_and_images_first(script):
    imports = script.layers_imports()
    rows = script.rows(imports)
    assert all(rows[other] < rows[room] for room, others in imports.items() for other in others)
    assert not any("controller" in others for others in imports.values())
    assert imports["image"] == imports["jobs"] == set()


def test_what_longer_ways_imply_is_left_out_and_nothing_else(script):
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert script.reduced(imports) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}


def test_a_circle_is_told(script):
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        script.rows({"a": {"b"}, "b": {"a", "c"}, "c": set()})
