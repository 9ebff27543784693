"""What workers, scheduler and command hold while they segment volumes of growing size: `benchmark cluster --voxels`.

The volumes are sparse: of their Zarr only the chunks around one corner of blocks are written, with 27 cubes of which
some lie in several blocks; all else is the fill value. So a volume of any size takes no disk, and the same objects have
to come out of each. The network is the smallest that there is, with weights set by hand: what is measured is what
surrounds it. Each size has processes of its own, as a process tells only the most that it has ever held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_unet.cluster.by_blocks import segment_by_blocks
from napari_unet.cluster.connection import connected
from napari_unet.inference.files import peak_memory_mb
from napari_unet.inference.on_disk import BLOCK, OVERLAP
from napari_unet.inference.options import SegmentOptions
from napari_unet.io.jobs import FileJob
from napari_unet.io.zarr_writer import create_zarr
from napari_unet.models.checkpoint import save_model_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.normalize import Normalization
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GVOXELS = (0.02, 0.1, 0.5)
"""Sizes of the volumes, thousand million voxels."""

OBJECTS = 27
SMALL = {"block": 48, "overlap": 12}
"""Width of the blocks, and of the largest objects, voxels, to try it out."""

PATIENCE = 120.0
"""Seconds that scheduler and workers have to start."""


def loopback() -> int:
    """Return the bytes that programs of this machine have sent to each other over the network, where that is told."""
    return sum(one.bytes_sent for name, one in psutil.net_io_counters(pernic=True).items() if name.startswith("lo"))


def run(gvoxels: Sequence[float] = GVOXELS, workers: int = 2, *, small: bool = False) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    gvoxels : sequence of float
        Sizes, thousand million voxels, from the smallest.
    workers : int
    small : bool
        Whether blocks are small: to try it out.
    """
    rows = []
    for size in sorted(gvoxels):
        words = [sys.executable, "-m", __name__, str(size), str(workers), *(["small"] if small else [])]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"  {rows[-1]}", flush=True)
    first, last = rows[0], rows[-1]
    return {
        "workers": workers,
        "rows": rows,
        "the same objects": all(row["objects"] == OBJECTS for row in rows),
        "voxels, largest over smallest": round(last["voxels"] / first["voxels"], 1),
        "largest over smallest": {
            name: round(last[name] / first[name], 2) if first[name] and last[name] else None
            for name in ("MB of a worker, at most", "MB of the scheduler", "MB of the command")
        },
    }


def measure(gvoxel: float, workers: int, block: int, overlap: int) -> dict[str, Any]:
    """Segment one volume with processes that are started for it, and return what each held at most."""
    side = max(2 * block, round((gvoxel * 1e9) ** (1 / 3)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source, model = folder / "image.zarr", folder / "model.safetensors"
        write_sparse(source, side, block)
        save_model_file(threshold_model(), model)
        client = stack.enter_context(_processes(folder, workers))
        watch, sent = Stopwatch(), loopback()
        job, options = FileJob(source, folder / "labels.zarr"), SegmentOptions(device="cpu")
        report = segment_by_blocks(client, job, str(model), options, block={3: block}, overlap={3: overlap})
        seconds, sent = watch.seconds, loopback() - sent
        held = [value for value in client.run(peak_memory_mb).values() if value]
        scheduler = client.run_on_scheduler(peak_memory_mb)
    blocks = (-(-side // block)) ** 3
    return {
        "voxels": side**3,
        "blocks": blocks,
        "tiles": report["tiles"],
        "objects": report["n_objects"],
        "seconds": round(seconds, 1),
        "MB of a worker, at most": max(held, default=None),
        "MB of the scheduler": scheduler,
        "MB of the command": peak_memory_mb(),
        "kB over the network for a block, at most": round(sent / blocks / 1000, 1),
    }


def write_sparse(path: Path, side: int, block: int) -> None:
    """Write a volume of `side` voxels in each direction: zeros, and cubes of ones around the corner of eight blocks."""
    array = create_zarr(path, (side,) * 3, "ZYX", None, np.uint16, name=path.stem, chunks=(min(side, 64),) * 3)
    cubes = np.zeros((64,) * 3, np.uint16)
    for start in np.ndindex(3, 3, 3):
        cubes[tuple(slice(12 + 16 * n, 20 + 16 * n) for n in start)] = 1  # the middle ones lie on the faces
    half = min(32, block // 2)
    array[(slice(block - half, block + half),) * 3] = cubes[(slice(32 - half, 32 + half),) * 3]


def threshold_model() -> Model:
    """Return a network of 2 features that finds what is brighter than 0.5."""
    import torch

    spec = UNetSpec(ndim=3, in_channels=1, out_channels=2, features=2, levels=1, norm="none")
    net: Any = UNet(spec).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for part in (net.down[0], net.up[0].conv):
            for layer in part:
                if hasattr(layer, "weight"):
                    layer.weight[0, 0, 1, 1, 1] = 1  # passes on what it gets
        net.head.weight[:, 0] = 40
        net.head.bias.fill_(-20)
    normalization = Normalization(method="none")
    return Model(net, ModelInfo(name="threshold", spec=spec, outputs=("foreground", "distance"),
                                normalization=normalization))  # fmt: skip


@contextmanager
def _processes(folder: Path, workers: int) -> Iterator[Any]:
    """Start a scheduler and workers, each a process of one thread, and yield a client."""
    file = folder / "scheduler.json"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = ["distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", *common]
    worker = ["distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "0", *common]
    worker += ["--local-directory", str(folder)]
    started = []
    try:
        for words in (scheduler, *[worker] * workers):
            command = [sys.executable, "-m", *words]
            started.append(subprocess.Popen(command, env=environment, stdout=sys.stderr, stderr=subprocess.DEVNULL))
            watch = Stopwatch()
            while not file.exists() and watch.seconds < PATIENCE:
                time.sleep(0.1)
        with connected(str(file), patience=PATIENCE) as client:
            client.wait_for_workers(workers, timeout=PATIENCE)
            yield client
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was asked to end; now and then a worker of dask waits for itself, so not for ever."""
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    _size, _workers, *_small = sys.argv[1:]
    _wide = SMALL if _small else {"block": BLOCK[3], "overlap": OVERLAP[3]}
    print(json.dumps(measure(float(_size), int(_workers), **_wide)))
