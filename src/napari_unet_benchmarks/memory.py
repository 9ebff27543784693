"""How much memory files of growing size take, from zarr to zarr, by the program as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.zarr_writer import create_zarr
from napari_unet_benchmarks.report import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (1024, 4096, 10_240)


def run(
    sizes: Sequence[int] = SIZES, model: str = "nuclei", device: str = "cpu", say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the square images, pixels.
    model : str
        Name or file of the model.
    device : str
        Where the network runs.
    say : callable
        Called with lines for people.
    """
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "image.zarr"), Path(folder, "labels.zarr")
            write_image(source, size)
            words = [sys.executable, "-m", "napari_unet.cli", "segment", source, "-o", target, "--model", model]
            words += ["--device", device, "--json"]
            done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True)
        (result,) = json.loads(done.stdout.splitlines()[-1])["results"]
        kept = ("n_objects", "seconds", "tiles", "tile_shape", "halo", "mode", "peak_rss_mb")
        rows.append({"size": size} | {name: result[name] for name in kept})
        say(f"  {size}×{size}: {result['peak_rss_mb']} MB, {result['seconds']} s, {result['n_objects']} objects")
    return report("memory", {"model": model, "rows": rows})


def write_image(path: Path, size: int) -> None:
    """Write an image with as many round nuclei as a dense culture has, a strip at a time."""
    array = create_zarr(path, (size, size), "YX", None, np.uint16, name=path.stem)
    rng = np.random.default_rng(0)
    for top in range(0, size, 1024):
        y, x = np.indices((min(1024, size - top), size), np.float32)
        y += top
        # Every nucleus of the grid has a place, a radius and a brightness of its own.
        cell = (y // 44).astype(int) * 10_007 + (x // 44).astype(int)
        away = np.hypot(y % 44 - 22 - cell % 5 + 2, x % 44 - 22 - cell % 7 + 3) / (11 + cell % 6)
        light = (900 + cell % 11 * 250) * np.clip(4 * (1 - away), 0, 1)
        array[top : top + len(y)] = np.clip(light + rng.normal(400, 60, y.shape), 0, 65_535).astype(np.uint16)
