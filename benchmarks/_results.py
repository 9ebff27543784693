"""Write a benchmark's figures with what they were measured on."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on, without anything that names the machine or its user."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def commit() -> str:
    """Return the commit of the source tree, marked where it has changes."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=RESULTS
    )
    return described.stdout.strip() or "unknown"


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write `figures` to ``results/<name>-<gpu or cpu>.json``, over those of an earlier run on such a machine."""
    about = machine()
    path = RESULTS / f"{name}-{'gpu' if about['gpu'] else 'cpu'}.json"
    result = {"benchmark": name, "date": datetime.date.today().isoformat(), "commit": commit(), "machine": about}
    path.write_text(json.dumps(result | figures, indent=1) + "\n")
    print(f"\nwritten to {path}")
    return path
