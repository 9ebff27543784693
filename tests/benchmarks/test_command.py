"""`napari-unet benchmark NAME --json`: the result is the last line of standard output, whichever benchmark it is."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from napari_unet.cli import app
from napari_unet_benchmarks import command, results


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Stands in for every script; it writes a result unless told to try out only."""
    seen: list[list[str]] = []

    def main() -> None:
        seen.append(sys.argv[1:])
        print("told on the way")
        if "--dry" not in sys.argv:
            results.write_result("part", {"seconds": 1.5})
            results.write_result("whole", {"seconds": 2.5})

    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "_last", {})
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(command, "import_module", lambda _: SimpleNamespace(main=main))
    return seen


@pytest.mark.parametrize("name", sorted(command.SCRIPTS))
def test_every_script_takes_it(script: Any, name: str) -> None:
    ran = CliRunner().invoke(app, ["benchmark", name, "--seeds", "2", "--json"])
    assert ran.exit_code == 0, ran.output
    (line,) = ran.stdout.splitlines()
    assert (json.loads(line)["benchmark"], json.loads(line)["seconds"]) == ("whole", 2.5)
    assert "told on the way" in ran.stderr
    assert script == [["--seeds", "2"]], "a script is not told of it"


def test_a_run_that_writes_no_result_says_so(script: Any) -> None:
    ran = CliRunner().invoke(app, ["benchmark", "walk", "--dry", "--json"])
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["benchmark"] == "walk"
    assert "writes no result" in found["note"]
    assert found["machine"]["cores"]


def test_without_it_nothing_changes(script: Any) -> None:
    ran = CliRunner().invoke(app, ["benchmark", "walk"])
    assert ran.stdout.startswith("told on the way")
    assert "written to" in ran.stdout.splitlines()[-1]


def test_help_says_so() -> None:
    ran = CliRunner().invoke(app, ["benchmark", "first_click", "--help"])
    assert "--json" in ran.stdout
    assert "Example: napari-unet benchmark first_click" in ran.stdout
