"""Does a window's memory stay as it is: rounds of work, after each of which all layers are removed.

    xvfb-run -a -s "-screen 0 1920x1200x24" napari-unet benchmark window_memory [--rounds 27] [--seconds 6]

A round is: open the sample (520 x 696), segment it, erase three objects, learn for six seconds, undo, go back, remove
all layers. Beside it, at the same time, in a process of their own each: `napari`, three layers of that size added and
removed; and `segment`, where nothing is learned. What a round costs is the slope of the resident memory (RSS) over the
rounds; the first third, in which libraries are loaded and caches filled, is left out. After every round are counted:
sessions, arrays of corrections, networks in memory, and the bytes of all torch tensors that are alive.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import Any

import numpy as np
import psutil

WAYS = ("napari", "segment", "all of it")


def alive() -> dict[str, float]:
    """Count what could be held on to."""
    import torch

    from napari_unet.corrections.corrections import Corrections
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.nets.unet import UNet

    gc.collect()
    found = {"sessions": 0, "corrections": 0, "networks": 0, "tensors, MB": 0.0}
    for thing in gc.get_objects():
        kind = type(thing)
        for name, wanted in (("sessions", LayerSession), ("corrections", Corrections), ("networks", UNet)):
            found[name] += issubclass(kind, wanted)
        if issubclass(kind, torch.Tensor):
            found["tensors, MB"] += thing.numel() * thing.element_size() / 1e6
    return {name: round(value, 1) for name, value in found.items()}


def plain(viewer: Any, live: Any) -> None:
    """Add three layers and remove them: napari's own."""
    pixels = np.random.default_rng(0).integers(0, 255, (520, 696)).astype(np.uint8)
    viewer.add_image(pixels)
    viewer.add_labels(np.zeros((520, 696), np.int32))
    viewer.add_labels(np.zeros((520, 696), np.uint8))
    live(0.5)
    viewer.layers.clear()
    live(0.5)


def work(viewer: Any, widget: Any, live: Any, until: Any, *, learn: bool) -> None:
    """Do a round of work."""
    from napari_unet.layers.samples import nuclei_2d

    controller = widget.controller
    for data, options, _ in nuclei_2d():
        viewer.add_image(data, **options)
    widget.segment_panel.button.click()
    until(lambda: not controller.busy)
    layer = controller.session.labels_layer
    if learn:
        ids = np.unique(layer.data)[1:4]
        for label in ids:
            layer.data_setitem(np.nonzero(layer.data == label), 0)
            live(0.2)
        widget.learn_panel.button.click()
        until(lambda: not controller.busy)
        if controller.history.waiting is not None:
            widget.decision.use.click()
            until(lambda: not controller.busy)
        layer.undo()
        live(0.2)
        controller.revert()
        until(lambda: not controller.busy)
    live(0.5)
    viewer.layers.clear()
    live(1.0)


def rounds(way: str, number: int, seconds: float) -> None:
    """Do the rounds, and print what was measured after each."""
    from napari_unet._qt.window import live_until, open_window

    viewer, widget = open_window()
    widget.controller.autosave.on = True
    widget.controller.workspace.learning_seconds = seconds

    def live(seconds: float) -> None:
        live_until(lambda: False, seconds)

    def until(done: Any) -> None:
        assert live_until(done, 600)
        live(0.3)

    process, found = psutil.Process(), []
    for _ in range(number):
        if way == "napari":
            plain(viewer, live)
        else:
            work(viewer, widget, live, until, learn=way != "segment")
        counts = alive()
        live(2.5)  # a second after the last job has ended, memory is given back to the system
        found.append({"rss, MB": round(process.memory_info().rss / 1e6, 1)} | counts)
        print(json.dumps(found[-1]), flush=True)
    os._exit(0)


def slope(values: list[float]) -> float:
    """Return what a round adds, MB: the first third left out."""
    kept = values[len(values) // 3 :]
    return round(float(np.polyfit(np.arange(len(kept)), kept, 1)[0]), 2)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=27)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        rounds(arguments.way, arguments.rounds, arguments.seconds)
        return
    from napari_unet_benchmarks.results import write_result

    figures: dict[str, Any] = {"rounds": arguments.rounds, "learning, seconds": arguments.seconds}
    with ExitStack() as stack:
        runs = {}
        for way in WAYS:
            home = stack.enter_context(tempfile.TemporaryDirectory())
            command = [sys.executable, __file__, "--way", way, "--rounds", str(arguments.rounds)]
            command += ["--seconds", str(arguments.seconds)]
            environment = os.environ | {"NAPARI_UNET_HOME": home}
            runs[way] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for way, run in runs.items():
            rows = [json.loads(line) for line in run.communicate()[0].splitlines() if line.startswith("{")]
            assert len(rows) == arguments.rounds, f"{way} did not come to its end"
            values = [row["rss, MB"] for row in rows]
            figures[way] = {"MB a round": slope(values), "rss, MB": values, "after the last": rows[-1]}
            print(way, figures[way], flush=True)
    for way in WAYS[1:]:
        figures[way]["MB a round above napari's"] = round(
            figures[way]["MB a round"] - figures["napari"]["MB a round"], 2
        )
    write_result("window_memory", figures)


if __name__ == "__main__":
    main()
