"""What dividing one image among workers costs beside one process, and what it gains.

    napari-unet benchmark cluster [--size PIXELS] [--rounds N] [--smoke]
    napari-unet benchmark cluster --voxels 0.02 0.1 0.5 [--workers N] [--smoke]

An image with as many nuclei as a dense culture has is segmented from Zarr to Zarr by one process with all cores, by one
worker, and by as many workers as there are cores, in turn, so that a busy machine slows all alike. Seconds of
processors are counted, too: other programs change them little. Workers are started, and have done the work once, before
it is timed; how long they take to start is told apart. Then small calls are made, one after the other is done, as fast
as the scheduler gives them out. No number of the program was chosen by this. `--smoke`: a small image, one round, and
no file.

With `--voxels` something else is measured: how much memory workers, scheduler and command hold for volumes of so many
thousand million voxels (`cluster_memory`; its file is cluster_memory-cpu.json).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet import load_model
from napari_unet.cluster.by_blocks import segment_by_blocks
from napari_unet.cluster.connection import local_workers
from napari_unet.cluster.queue import Job, Workers
from napari_unet.inference.files import peak_memory_mb, segment_file
from napari_unet.inference.options import SegmentOptions
from napari_unet.io.jobs import FileJob
from napari_unet.io.readers import read_labels
from napari_unet.progress import Stopwatch
from napari_unet_benchmarks import cluster_memory
from napari_unet_benchmarks.cluster_memory import loopback
from napari_unet_benchmarks.memory import write_image
from napari_unet_benchmarks.report import ratio
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.errors import UNetError

MODEL = "nuclei"
OPTIONS = SegmentOptions(device="cpu", overwrite=True)

CALLS = 300
"""Small calls by which it is measured how many jobs a second are given out."""


@dataclass
class Way:
    """One way to segment an image.

    Attributes
    ----------
    call : callable
        Segments it, and returns the report.
    processor : callable
        Returns the seconds that processors have worked for it so far.
    wall, busy, sent : list
        Of each round: seconds, seconds of processors, and bytes over this machine's loopback network.
    """

    call: Callable[[], dict[str, Any]]
    processor: Callable[[], float]
    wall: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def round(self) -> None:
        """Segment the image once."""
        before, sent, watch = self.processor(), loopback(), Stopwatch()
        self.call()
        self.wall.append(round(watch.seconds, 2))
        self.busy.append(round(self.processor() - before, 2))
        self.sent.append(loopback() - sent)


def _with_workers(client: Any, source: Path, target: Path) -> Way:
    def processor() -> float:
        return time.process_time() + float(sum(client.run(time.process_time).values()))

    return Way(lambda: segment_by_blocks(client, FileJob(source, target), MODEL, OPTIONS), processor)


class _Small:
    """Calls that do nothing; see `cluster.queue.Jobs`."""

    def __init__(self, count: int) -> None:
        self._left = count

    def take(self) -> Job | None:
        self._left -= 1
        return Job(_nothing, ()) if self._left >= 0 else None

    def done(self, job: Job, value: Any) -> None:
        pass

    def failed(self, job: Job, error: UNetError) -> None:
        raise error


def _nothing() -> None:
    pass


def run(size: int, rounds: int, calls: int = CALLS) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    size : int
        Width of the image, pixels.
    rounds : int
        How often each way is timed.
    calls : int
        See `CALLS`.
    """
    cores, model = os.cpu_count() or 1, load_model(MODEL)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source, target = folder / "image.zarr", {n: folder / f"{n}.zarr" for n in (0, 1, cores)}
        write_image(source, size)
        watch = Stopwatch()
        many = stack.enter_context(local_workers(cores))
        many.run(load_model, MODEL)
        starting = watch.seconds
        alone = stack.enter_context(local_workers(1))
        ways = {
            "one process": Way(lambda: segment_file(FileJob(source, target[0]), model, OPTIONS), time.process_time),
            "one worker": _with_workers(alone, source, target[1]),
            f"{cores} workers": _with_workers(many, source, target[cores]),
        }
        reports = [way.call() for way in ways.values()]  # prepares kernels and memory, too
        for _ in range(rounds):
            for name, way in ways.items():
                way.round()
                print(f"  {name}: {way.wall[-1]} s, {way.busy[-1]} s of processors", flush=True)
        one, single, several = ways.values()
        same = all(np.array_equal(read_labels(target[0]), read_labels(target[n])) for n in (1, cores))
        memory = [round(value) for value in many.run(peak_memory_mb).values() if value]
        watch = Stopwatch()
        Workers(many).run(_Small(calls))
        small = watch.seconds / calls
        shutil.rmtree(folder, ignore_errors=True)
    tiles, blocks = reports[-1]["tiles"], (-(-size // 2048)) ** 2
    return {
        "pixels": size**2,
        "objects": [one["n_objects"] for one in reports],
        "tiles": tiles,
        "blocks": blocks,
        "the same labels": same,
        "seconds": {name: way.wall for name, way in ways.items()},
        "seconds of processors": {name: way.busy for name, way in ways.items()},
        f"{cores} workers / one process": ratio(several.wall, one.wall),
        f"{cores} workers / one process, processors": ratio(several.busy, one.busy),
        "efficiency": ratio(single.wall, [cores * seconds for seconds in several.wall]),
        f"{cores} workers / one worker, processors": ratio(several.busy, single.busy),
        "bytes over the network for a tile, at most": round(min(several.sent) / tiles),
        "MB of each worker, at most": max(memory, default=None),
        "ms for a small call": round(1000 * small, 2),
        "seconds until workers are ready": round(starting, 1),
        "other programs at work (load)": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=6144)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--voxels", type=float, nargs="+", metavar="GVOXEL", help="measure memory instead")
    parser.add_argument("--workers", type=int, default=2, help="for --voxels")
    arguments = parser.parse_args()
    if arguments.voxels:
        figures = cluster_memory.run(arguments.voxels, arguments.workers, small=arguments.smoke)
        if not arguments.smoke:
            write_result("cluster_memory", figures)
        return
    if arguments.smoke:
        arguments.size, arguments.rounds = 512, 1
    figures = run(arguments.size, arguments.rounds, 100 if arguments.smoke else CALLS)
    for name, value in figures.items():
        print(f"{name}: {value}", flush=True)
    if not arguments.smoke:
        write_result("cluster", figures)


if __name__ == "__main__":
    main()
