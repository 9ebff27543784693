"""How much is lost when a window is killed while somebody paints, and what keeping it costs the one who paints.

    xvfb-run -a -s "-screen 0 1920x1200x24" napari-unet benchmark recovery [--kills 20]

A real window is opened on an image, and stroke after stroke is painted by mouse events. At a random moment the process
is killed (SIGKILL). Then what is found in the folder of unsaved work is opened, and every pixel at which the mouse was
told to be is looked up. Lost are the seconds from the first of these that is missing until the kill; none, if none is.

Images: the sample, segmented before it is painted on; a stack of 50 x 2048 x 2048 and a plane of 16000 x 16000 pixels,
in files, with nothing segmented in them, of which a field of about 1400 pixels is in view. (Of a plane that is larger
than the textures of the graphics card, 16384 pixels here, napari draws all anew at every move: it takes seconds.)

The pauses of the main thread are the gaps between the beats of a timer while the same strokes are painted, in one
window, in turns of ten seconds with and without keeping anything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

IMAGES = {"sample": None, "50 x 2048 x 2048": (50, 2048, 2048), "16000 x 16000": (16000, 16000)}
TURN, TURNS, WARM_UP = 10.0, 8, 6.0


def image_file(folder: Path, shape: tuple[int, ...]) -> Path:
    """Return a file with random pixels, made the first time."""
    path = folder / f"{'x'.join(map(str, shape))}.tif"
    if not path.exists():
        pixels = tifffile.memmap(
            path, shape=shape, dtype=np.uint8, metadata={"axes": "ZYX"[-len(shape) :]}, bigtiff=True
        )
        rng = np.random.default_rng(0)
        for plane in pixels if len(shape) == 3 else np.split(pixels, 20):
            plane[...] = rng.integers(0, 255, plane.shape, np.uint8)
        pixels.flush()
    return path


def opened(path: str) -> tuple[Any, Any]:
    """Return a window on an image and its widget, with labels to paint on."""
    from napari_unet._qt.window import live_until, open_window
    from napari_unet.layers.reader import read_layers
    from napari_unet.layers.samples import nuclei_2d

    viewer, widget = open_window()
    for data, options, _ in read_layers(path) if path else nuclei_2d():
        viewer.add_image(data, **options)
    controller = widget.controller
    if path:
        assert controller.new_model("painted", "instances")
    else:
        widget.segment_panel.button.click()
        live_until(lambda: not controller.busy, 300)
    assert controller.session is not None
    viewer.dims.set_point([*range(viewer.dims.ndim - 2)], [0] * (viewer.dims.ndim - 2))
    viewer.layers.selection.active = controller.session.labels_layer
    if path:
        viewer.camera.zoom = 0.7  # a field of about 1400 pixels: of larger ones napari itself takes seconds to draw
    controller.autosave.on = True
    live_until(lambda: False, 2.0)
    return viewer, widget


def paint(path: str, log: str) -> None:
    """Paint until somebody kills this process, and note what."""
    from napari_unet._qt.window import live_until
    from napari_unet_benchmarks.hand import strokes

    viewer, widget = opened(path)
    with open(log, "w", buffering=1) as file:
        strokes(
            viewer,
            widget.controller.session.labels_layer,
            3600,
            lambda seconds: live_until(lambda: False, seconds),
            lambda label, pixel: file.write(f"{time.time()} {label} {pixel[0]} {pixel[1]}\n"),
        )


def pauses(path: str) -> None:
    """Print the longest pauses of the main thread while somebody paints, with and without keeping anything."""
    from napari_unet._qt.window import live_until
    from napari_unet_benchmarks.hand import strokes
    from napari_unet_benchmarks.heart import Heart

    viewer, widget = opened(path)
    found: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    layer = widget.controller.session.labels_layer
    strokes(viewer, layer, WARM_UP, lambda s: live_until(lambda: False, s), lambda *_: None)
    for turn in range(TURNS):
        way = "without" if turn % 2 else "with"
        widget.controller.autosave.on = way == "with"
        heart = Heart()
        strokes(viewer, layer, TURN, lambda s: live_until(lambda: False, s), lambda *_: None)
        found[way].append(heart.gaps())
    print(json.dumps(found), flush=True)
    os._exit(0)


def kill_after(command: list[str], home: Path, log: Path, seconds: float, *, word: str = "") -> float:
    """Start a window with a home of its own, kill it some seconds after its log begins, and return when that was.

    With a word, the seconds count from when this is in the log.
    """
    process = subprocess.Popen(command, env=os.environ | {"NAPARI_UNET_HOME": str(home)})
    while not (log.exists() and log.stat().st_size and word in log.read_text()):
        time.sleep(0.05)
        assert process.poll() is None, "the window ended"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    moment = time.time()
    process.wait()
    return moment


def killed(path: str, folder: Path, seconds: float) -> dict[str, float]:
    """Kill a window that is painted in after some seconds of painting; return how much of it is lost."""
    from napari_unet.projects.project import Project

    home, log = folder / f"home-{time.time_ns()}", folder / "log.txt"
    log.unlink(missing_ok=True)
    moment = kill_after([sys.executable, __file__, "--paint", path, "--log", str(log)], home, log, seconds)
    told = [line.split() for line in log.read_text().splitlines() if len(line.split()) == 4]
    copies = list((home / "recovery").glob("*/*.unetproj"))
    labels = Project.open(copies[0]).labels if copies else None
    if labels is not None:
        labels = labels.reshape(-1, *labels.shape[-2:])[0]
    missing = [float(when) for when, label, y, x in told if labels is None or labels[int(y), int(x)] != int(label)]
    lost = moment - min(missing) if missing else 0.0
    return {"painted for": round(seconds, 1), "lost": round(lost, 2), "moves": len(told), "missing": len(missing)}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--paint", help=argparse.SUPPRESS)
    parser.add_argument("--pauses", help=argparse.SUPPRESS)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.paint is not None:
        paint(arguments.paint, arguments.log)
    elif arguments.pauses is not None:
        pauses(arguments.pauses)
    else:
        measure(arguments.kills)


def measure(kills: int) -> None:
    """Kill, look, and write the figures."""
    from napari_unet_benchmarks.results import write_result

    rng, figures = random.Random(0), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {image: str(image_file(folder, shape)) if shape else "" for image, shape in IMAGES.items()}
        images = [*IMAGES]
        rows: dict[str, list[dict[str, float]]] = {image: [] for image in images}
        for number in range(kills):
            image = images[number % 2 * (1 + number // 2 % 2)]  # half of them on the sample
            rows[image].append(killed(paths[image], folder, rng.uniform(1, 20)))
            print(f"  {image:<18} {rows[image][-1]}", flush=True)
        for image, path in paths.items():
            lost = [row["lost"] for row in rows[image]]
            run = subprocess.run(
                [sys.executable, __file__, "--pauses", path], capture_output=True, text=True, check=True,
                env=os.environ | {"NAPARI_UNET_HOME": str(folder / "pauses")},
            )  # fmt: skip
            gaps = json.loads(run.stdout.splitlines()[-1])
            longest = {way: statistics.median(turn["max"] for turn in turns) for way, turns in gaps.items()}
            figures[image] = {
                "kills": len(lost),
                "seconds lost": {"median": statistics.median(lost), "max": max(lost), "all": lost} if lost else {},
                "pauses, milliseconds": gaps,
                "longest pause of a turn, median": longest,
                "ratio": round(longest["with"] / longest["without"], 3),
            }
            print(f"{image}: {figures[image]}", flush=True)
    lost = [row["lost"] for found in rows.values() for row in found]
    summary = {"n": len(lost), "seconds lost, median": statistics.median(lost), "seconds lost, max": max(lost)}
    write_result("recovery", summary | {"images": figures})


if __name__ == "__main__":
    main()
