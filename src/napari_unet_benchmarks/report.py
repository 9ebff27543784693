"""What figures were measured on: without it they mean nothing."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_unet._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def report(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a benchmark with date, version, commit and machine."""
    return {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "version": __version__,
        "commit": _commit(),
        "machine": machine(),
    } | figures


def write_figures(figures: dict[str, Any], folder: Path, name: str) -> Path:
    """Write figures to ``<name>-<gpu or cpu>.json``, over those of an earlier run on such a machine; return where."""
    path = folder / f"{name}-{'gpu' if figures['machine']['gpu'] else 'cpu'}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Return what the figures depend on, without anything that names the machine or its user."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # "AVX2" or "AVX512": as much as twice the speed
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def in_turn(
    calls: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time some calls in turn, A B A B ..., so that a busy machine slows all of them alike; seconds of every round.

    With `time.process_time` as the clock they are seconds of a core, whatever else the machine does meanwhile.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = clock()
            call()
            seconds[name].append(clock() - begin)
    return seconds


def ratio(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """Return the median and the range of the ratios of times measured in turn."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    found = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


def _commit() -> str | None:
    """Return the commit of the source tree, marked where it has changes; None for an installed package.

    Results that another benchmark has just written are no change of what is measured.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
        return done.stdout.strip()

    commit = git("describe", "--always")
    changed = git("diff", "HEAD", "--name-only", "--", ":/", ":!/benchmarks/results")
    return f"{commit}-dirty" if changed else commit or None
