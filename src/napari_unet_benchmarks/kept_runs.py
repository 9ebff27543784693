"""Finished runs of a long benchmark: kept one by one, so that the same command goes on where it was stopped."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def kept(path: Path | None) -> list[Any]:
    """Return the runs in a file, one in each line; of a line that was cut off, when the machine was, nothing."""
    runs = []
    for line in path.read_text().splitlines() if path is not None and path.exists() else []:
        with suppress(json.JSONDecodeError):
            runs.append(json.loads(line))
    return runs


def keep(path: Path | None, *runs: Any) -> None:
    """Add runs to a file, for good when this returns; None: they are not kept."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_off = path.exists() and not path.read_text().endswith("\n") and path.stat().st_size > 0
    with path.open("a") as file:
        file.write(("\n" if cut_off else "") + "".join(json.dumps(run) + "\n" for run in runs))
        file.flush()
        os.fsync(file.fileno())
