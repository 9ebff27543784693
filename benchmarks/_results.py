"""Write a benchmark's figures with what they were measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_unet.benchmarks.report import report

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write `figures` to ``results/<name>-<gpu or cpu>.json``, over those of an earlier run on such a machine."""
    result = report(name, figures)
    path = RESULTS / f"{name}-{'gpu' if result['machine']['gpu'] else 'cpu'}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten to {path}")
    return path
