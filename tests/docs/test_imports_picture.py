"""The picture of the imports in docs/architecture.md: what it shows is what the code does."""

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


def test_the_picture_is_the_one_that_the_script_makes_now(script, imports):
    shown = script.PICTURE.read_text(encoding="utf-8")
    assert shown == script.picture(imports), "make figures"


def test_arrows_point_down_and_inward(script, imports):
    """To find rows at all means that there is no circle."""
    rows = script.rows(imports)
    rings = ["core", "layers", "window", "outside"]
    for room, others in imports.items():
        assert all(rows[other] < rows[room] for other in others)
        assert all(rings.index(script.ring(other)) <= rings.index(script.ring(room)) for other in others)
    assert max(rows[room] for room in rows if script.ring(room) == "core") < rows["layers"] < rows["_qt"]


def test_a_newcomer_can_take_in_the_rooms(imports):
    assert len(imports) <= MAX_ROOMS


def test_what_longer_ways_imply_is_left_out_and_nothing_else(script):
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert script.reduced(imports) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}


def test_a_circle_is_told(script):
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        script.rows({"a": {"b"}, "b": {"a", "c"}, "c": set()})
