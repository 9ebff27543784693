"""Write a benchmark's figures with what they were measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet_benchmarks.report import report, write_figures

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write `figures` to ``<name>-<gpu or cpu>.json`` in `RESULTS`, over those of an earlier run on such a machine."""
    path = write_figures(report(name, figures), RESULTS, name)
    print(f"\nwritten to {path}")
    return path
