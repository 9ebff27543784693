"""How much is lost when a window is killed: while somebody paints, makes gestures, learns, or saves.

    xvfb-run -a -s "-screen 0 1920x1200x24" napari-unet benchmark faults [--kills 50] [--keep FILE]

A real window is opened on the sample, which is segmented, and mouse events do what a hand would. At a random moment,
1 to 12 seconds after the first thing was done, the process is killed (SIGKILL). Then what a person would open next is
opened: the copy of unsaved work that the program left behind or, if it left none, the saved project. Each stroke and
each gesture was noted when its event had been handled, with pixels and the labels that they had got; these are looked
up. Lost are the seconds from the first thing that is missing until the kill; none, if nothing is. *Unreadable* is a
copy or a project that is there and cannot be opened.

- *painting*: stroke after stroke with napari's brush.
- *gesturing*: objects are split along a line, and deleted.
- *learning*: strokes, while the network learns from them again and again, for three seconds each time. A model that
  was there and is not found afterwards is lost, like a stroke; one that is not in the copy, but in the file that every
  learned model has, is counted apart.
- *learned*: the same, but killed 0 to 3 seconds after the window has said that there is a new model, while it may not
  be on the disk yet.
- *saving*: strokes, while the project is saved every two seconds.

With ``--keep`` each kill is appended to a file, and those in it are not repeated.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet_benchmarks.recovery import kill_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

KINDS = ("painting", "gesturing", "learning", "learned", "saving")
FIRST, LAST = 1.0, 12.0
"""Seconds from the first thing done until the kill."""

LEARNED_LAST = 3.0
"""Seconds from the first model until the kill, at most."""

LEARNS, MODEL = ("learning", "learned"), "model"
LEARNING_SECONDS, SAVE_EVERY, PATIENCE = 3.0, 2.0, 300.0


# -- the window that is killed ---------------------------------------------------------------------------------------


def work(kind: str, log: str, project: str) -> None:
    """Work in a window until somebody kills this process, and note what is done."""
    from napari_unet._qt.window import live_until, open_window
    from napari_unet.layers.samples import nuclei_2d
    from napari_unet_benchmarks.hand import strokes

    viewer, widget = open_window()
    controller = widget.controller
    for data, options, _ in nuclei_2d():
        viewer.add_image(data, **options)
    assert controller.segment()
    live_until(lambda: not controller.busy, PATIENCE)
    session = controller.session
    assert session is not None
    layer = session.labels_layer
    viewer.layers.selection.active = layer
    controller.autosave.on = True
    live_until(lambda: False, 2.0)
    with open(log, "w", buffering=1) as file:

        def note(number: int, label: int, pixel: tuple[int, int]) -> None:
            file.write(f"{time.time()} {number} {label} {pixel[0]} {pixel[1]}\n")

        def learned(number: int) -> None:
            if number:
                file.write(f"{time.time()} {MODEL} {number}\n")

        meanwhile = _meanwhile(kind, controller, Path(project), learned)

        def wait(seconds: float) -> None:
            meanwhile()
            live_until(lambda: False, seconds)

        if kind == "gesturing":
            _gestures(viewer, layer, wait, note)
        else:
            strokes(viewer, layer, 3600, wait, lambda label, pixel: note(label, label, pixel))


def _meanwhile(kind: str, controller: Any, project: Path, learned: Callable[[int], object]) -> Callable[[], None]:
    """Return what is to be called again and again: it learns or saves, if that is what it is about."""
    if kind in LEARNS:
        controller.workspace.learning_seconds = LEARNING_SECONDS
        controller.history.changed.connect(lambda: learned(_models(controller.history)))

        def learn() -> None:
            if not controller.busy and controller.session.summary.anything:
                controller.learn()

        return learn
    if kind == "saving":
        last = time.monotonic()

        def save() -> None:
            nonlocal last
            if time.monotonic() - last > SAVE_EVERY and not controller.projects.busy:
                last = time.monotonic()
                controller.projects.save(project)

        return save
    return lambda: None


def _models(known: Any) -> int:
    """Return how many models were learned, of a history or a project."""
    return int(sum(one.learned for one in known.generations)) + (known.waiting is not None)


def _model_files(home: Path) -> int:
    """Return how many models that were learned lie in files of their own, whether a project names them or not."""
    from napari_unet.models.checkpoint import load_model_file
    from napari_unet.models.store import list_models

    shipped = {load_model_file(entry.path).sha256() for entry in list_models() if entry.shipped}
    return len({load_model_file(path).sha256() for path in (home / "learned").glob("*/*.safetensors")} - shipped)


def _gestures(viewer: Any, layer: Any, wait: Callable[[float], None], note: Callable[..., None]) -> None:
    """Split and delete objects, one after the other, with keys held."""
    from qtpy.QtCore import Qt
    from scipy import ndimage

    from napari_unet_benchmarks.hand import Hand

    hand, control, shift = Hand(viewer), Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    scale = np.asarray(layer.scale, float)[-2:]
    layer.mode = "pan_zoom"
    plane = np.array(layer.data)
    rng = np.random.default_rng()
    for number, (label, box) in enumerate(enumerate(ndimage.find_objects(plane), 1)):
        if box is None or min(b.stop - b.start for b in box) < 8:
            continue
        y = (box[0].start + box[0].stop) / 2
        x = np.nonzero(plane[int(y)] == label)[0].mean() if (plane[int(y)] == label).any() else None
        if x is None:
            continue
        if number % 2:
            ends = [(y, box[1].start - 2.0), (y, box[1].stop + 1.0)]
            pixels = [(box[0].start + 2, box[1]), (box[0].stop - 3, box[1])]
            places = [(row, int(np.nonzero(plane[row] == label)[0].mean())) for row, _ in pixels]
            _drag(hand, [np.clip(end, 1, np.array(plane.shape) - 2) * scale for end in ends], control)
        else:
            places = [(int(y), int(x))]
            _drag(hand, [np.array([y, x]) * scale] * 2, control | shift)
        for place in places:
            note(number, int(layer.data[place]), place)
        wait(rng.uniform(0.1, 0.8))
    while True:
        wait(0.1)


def _drag(hand: Any, path: list[Any], keys: Any) -> None:
    hand.press(*path[0], modifiers=keys)
    for share in (0.3, 0.7, 1.0):
        hand.move(*(path[0] + share * (path[1] - path[0])), modifiers=keys)
    hand.release(*path[1], modifiers=keys)


# -- what is left of it ----------------------------------------------------------------------------------------------


def missing(told: list[tuple[float, int, int, tuple[int, int]]], labels: NDArray[Any] | None) -> dict[int, float]:
    """Return the strokes or gestures that are missing in labels (Y, X), and when the first of each was made.

    Parameters
    ----------
    told : list
        Time, number of the stroke, label, and pixel (Y, X), in their order. A pixel may have got several labels.
    labels : ndarray of int, optional
        None: nothing was found.
    """
    by_pixel = defaultdict(list)
    for when, number, label, pixel in told:
        by_pixel[pixel].append((when, number, label))
    found: dict[int, float] = {}
    for pixel, entries in by_pixel.items():
        have = None if labels is None else int(labels[pixel])
        kept = max((index for index, (_, _, label) in enumerate(entries) if label == have), default=-1)
        for when, number, _ in entries[kept + 1 :]:
            found[number] = min(when, found.get(number, when))
    return found


def killed(kind: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Kill a window some seconds after the first thing was done in it; return what is lost."""
    home, log, project = folder / f"home-{time.time_ns()}", folder / "log.txt", folder / "saved.unetproj"
    for path in (log, *folder.glob("saved*")):
        subprocess.run(["rm", "-rf", str(path)], check=True)
    command = [sys.executable, __file__, "--work", kind, "--log", str(log), "--project", str(project)]
    moment = kill_after(command, home, log, seconds, word=MODEL if kind == "learned" else "")
    lines = [line.split() for line in log.read_text().splitlines()]
    told = [
        (float(t), int(n), int(label), (int(y), int(x))) for t, n, label, y, x in (li for li in lines if len(li) == 5)
    ]
    models = [(float(t), int(n)) for t, _, n in (li for li in lines if len(li) == 3)]
    copies = [path for path in (home / "recovery").glob("*/*.unetproj") if path.parent.suffix != ".gone"]
    opened, unreadable = _opened([*copies, project])
    lost = missing(told, None if opened is None else opened.labels)
    since = [*lost.values()]
    n_models = 0 if opened is None else _models(opened)
    files = _model_files(home)
    lost_models = [when for when, n in models if n > max(n_models, files)]
    since += lost_models[:1]
    return {
        "kind": kind,
        "after": round(seconds, 1),
        "done": len({number for _, number, _, _ in told}),
        "strokes lost": len(lost),
        "models": max((n for _, n in models), default=0),
        "models lost": len({n for _, n in models if n > max(n_models, files)}),
        "models in their file only": len({n for _, n in models if n_models < n <= files}),
        "seconds lost": round(moment - min(since), 2) if since else 0.0,
        "unreadable": unreadable,
    }


def _opened(paths: list[Path]) -> tuple[Any, int]:
    """Return the first project there that can be opened, and how many cannot."""
    from napari_unet.errors import UNetError
    from napari_unet.projects.description import FILE
    from napari_unet.projects.project import Project

    found, unreadable = None, 0
    for path in paths:
        if (path / FILE).exists():
            try:
                project = Project.open(path)
            except UNetError as error:
                print(f"  {path} cannot be opened: {error}", flush=True)
                unreadable += 1
                continue
            found = found or project
    return found, unreadable


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of some kills."""
    lost = [row["seconds lost"] for row in rows]
    return {
        "kills": len(rows),
        "done": sum(row["done"] for row in rows),
        "strokes lost": sum(row["strokes lost"] for row in rows),
        "models": sum(row["models"] for row in rows),
        "models lost": sum(row["models lost"] for row in rows),
        "models in their file only": sum(row["models in their file only"] for row in rows),
        "seconds lost": {"median": statistics.median(lost), "max": max(lost), "all": lost},
        "unreadable": sum(row["unreadable"] for row in rows),
    }


def measure(kills: int, path: Path | None) -> None:
    """Kill, look, and write the figures."""
    from napari_unet_benchmarks.kept_runs import keep, kept
    from napari_unet_benchmarks.results import write_result

    rows = kept(path)
    rng = random.Random(0)
    ranges = {"learned": (0.0, LEARNED_LAST)}
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    plan = [(kind, rng.uniform(*ranges.get(kind, (FIRST, LAST)))) for kind in kinds]
    with tempfile.TemporaryDirectory() as name:
        for number, (kind, seconds) in enumerate(plan[len(rows) :], len(rows) + 1):
            rows.append(killed(kind, Path(name), seconds))
            print(f"  {number:>3} {rows[-1]}", flush=True)
            keep(path, rows[-1])
    figures = {kind: summary([row for row in rows if row["kind"] == kind]) for kind in KINDS[: len(rows)]}
    for kind, found in figures.items():
        print(f"{kind}: {found}", flush=True)
    write_result("faults", summary(rows) | {"kinds": figures})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="file that each kill is appended to, and that is gone on with")
    for hidden in ("--work", "--log", "--project"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(arguments.work, arguments.log, arguments.project)
    else:
        measure(arguments.kills, arguments.keep)


if __name__ == "__main__":
    main()
