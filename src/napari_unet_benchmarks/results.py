"""Write a benchmark's figures with what they were measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet_benchmarks.report import report, write_figures

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


_last: dict[str, Any] = {}
"""What was written last in this process."""


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write `figures` to ``<name>-<gpu or cpu>.json`` in `RESULTS`, over those of an earlier run on such a machine."""
    result = report(name, figures)
    path = write_figures(result, RESULTS, name)
    _last.clear()
    _last.update(result)
    print(f"\nwritten to {path}")
    return path


def last_result(name: str) -> dict[str, Any]:
    """Return the result that was written last; of a run in parts or to try it out, which writes none, a note of that.

    Parameters
    ----------
    name : str
        Of the benchmark that was run.
    """
    return dict(_last) or report(name, {"note": "This run was partial, or to try it out: it writes no result."})
