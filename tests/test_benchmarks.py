"""Benchmarks run, and what they assert of the result holds; times are not tested."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from napari_unet.benchmarks import tiling
from napari_unet.benchmarks.report import in_turn, ratio
from napari_unet.cli import app
from napari_unet.tiling import budget


def test_tiling(monkeypatch):
    monkeypatch.setitem(tiling.SPECS, 2, tiling.SPECS[2].model_copy(update={"features": 2}))
    monkeypatch.setitem(budget.MOST, 2, 1_000_000)
    result = CliRunner().invoke(app, ["benchmark", "tiling", "--size", "1300", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["benchmark"] == "tiling"
    assert figures["plan"]["tiles"] > 1
    assert figures["largest error"] < 1e-4
    assert figures["labels that differ"] == 0
    assert figures["largest error of monai"] > 100 * figures["largest error"]
    assert figures["decoding"]["objects"] > 2000
    assert {"system", "cores", "torch"} <= figures["machine"].keys()


def test_tiling_of_a_volume(monkeypatch):
    monkeypatch.setitem(tiling.SPECS, 3, tiling.SPECS[3].model_copy(update={"features": 2, "levels": 2}))
    monkeypatch.setitem(budget.MOST, 3, 2_000_000)
    result = CliRunner().invoke(app, ["benchmark", "tiling", "--volume", "--size", "256", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["shape"] == [64, 256, 256]
    assert figures["plan"]["tiles"] > 1
    assert figures["largest error"] < 1e-4
    assert figures["labels that differ"] == 0
    assert figures["largest error of monai"] > 100 * figures["largest error"]


def test_memory():
    result = CliRunner().invoke(app, ["benchmark", "memory", "--size", "256", "--size", "300", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert [row["size"] for row in figures["rows"]] == [256, 300]
    assert all(20 < row["n_objects"] < 60 for row in figures["rows"])
    assert all(100 < row["peak_rss_mb"] < 3000 for row in figures["rows"])


def test_calls_are_timed_in_turn():
    order: list[str] = []
    seconds = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_ratio():
    assert ratio([2.0, 3.0, 8.0], [1.0, 1.0, 2.0]) == {"median": 3.0, "least": 2.0, "most": 4.0}
