"""How long the first click on *Segment* takes, in a window that was just opened: to the first pixels on the canvas.

    napari-unet benchmark first_click [--rounds 5] [--beside SRC]

Each round is a new process. It opens napari, the panel and an image (the sample of nuclei, repeated to 1024 x 1024
pixels), waits as long as a person needs to find the button (0 or 3 s), and presses the mouse on it. Counted are, from
the press:

- *handler*: seconds until the window can take the next event; *handler CPU*: those of the main thread's processor
- *first pixels*: seconds until the canvas has been drawn with the first objects
- *all*: seconds until all is segmented and told
- *longest pause*: of the main thread, between the press and the first pixels; a timer of 10 ms
- *CPU*: seconds of all cores that the process took from the press to the first pixels. Beside other programs these
  vary less than the others.

`ready` is the time from the start of the process to the wait, `load` the system's load (processes that want to run, on
the average of a minute) at the end. All is measured in turn, another version (`--beside`) too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZE = 1024
WAITS = (0.0, 3.0)
"""Seconds between the open window and the click."""

LONGEST = 120.0
"""Seconds after which a round is given up."""


def one_round(wait: float, size: int = SIZE) -> dict[str, Any]:
    """Open a window and click, in this process; return the times in seconds."""
    begin = time.perf_counter()
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from napari_unet._qt.window import close_window, open_window
    from napari_unet.layers.samples import nuclei_2d
    from napari_unet_benchmarks.heart import Heart

    viewer, widget = open_window()
    (data, _, _) = nuclei_2d()[0]
    data = np.asarray(data)
    repeats = [-(-size // n) for n in data.shape]
    viewer.add_image(np.tile(data, repeats)[:size, :size], name="nuclei")
    drawn = _Drawn(viewer, widget.controller)
    _live(None, 0.2)  # until the window has its layout and was drawn
    ready = time.perf_counter() - begin
    _live(None, wait)
    said = list[tuple[float, str]]()
    widget.controller.workspace.said.connect(lambda message: said.append((time.perf_counter(), message.text)))
    heart, cpu, own, click = Heart(), time.process_time(), time.thread_time(), time.perf_counter()
    QTest.mouseClick(widget.segment_panel.button, Qt.MouseButton.LeftButton)
    handled, own = time.perf_counter(), time.thread_time() - own
    _live(lambda: drawn.at is not None, LONGEST)
    spent, gaps = time.process_time() - cpu, heart.gaps()
    _live(lambda: not widget.controller.busy, LONGEST)
    done = time.perf_counter()
    close_window(viewer, widget, 60)
    if drawn.at is None:
        raise RuntimeError("No object came on the canvas.")
    return {
        "ready": round(ready, 3),
        "handler": round(handled - click, 4),
        "handler CPU": round(own, 4),
        "first pixels": round(drawn.at - click, 3),
        "all": round(done - click, 3),
        "longest pause": round(gaps["max"] / 1000, 3),
        "CPU": round(spent, 3),
        "said": [(round(at - click, 3), text) for at, text in said],
    }


def _live(done: Callable[[], bool] | None, seconds: float) -> None:
    """Let the window live until something is true, or for so long; it sleeps where nothing happens, as in use."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end, look = QEventLoop(), QTimer(), QTimer()
    end.setSingleShot(True)
    end.timeout.connect(loop.quit)
    end.start(round(1000 * seconds))
    if done is not None:
        look.timeout.connect(lambda: done() and loop.quit())
        look.start(20)
    loop.exec()


class _Drawn:
    """Notes when the canvas was first drawn with objects."""

    def __init__(self, viewer: Any, controller: Any) -> None:
        self.at: float | None = None
        self._controller = controller
        viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(self._on_draw, position="last")

    def _on_draw(self, _: object) -> None:
        session = self._controller.session
        if self.at is None and session is not None and np.asarray(session.labels_layer.data).any():
            self.at = time.perf_counter()


def run(rounds: int, beside: Path | None = None) -> dict[str, Any]:
    """Measure in new processes, and return the figures by version and by the seconds waited."""
    sources = {"this version": Path(__file__).resolve().parents[1]} | ({"beside": beside} if beside else {})
    rows: dict[tuple[str, float], list[dict[str, Any]]] = {(name, wait): [] for name in sources for wait in WAITS}
    for number in range(rounds):
        for name, wait in rows:
            command = [sys.executable, "-m", "napari_unet_benchmarks.first_click", "--wait", str(wait)]
            environment = os.environ | {"PYTHONPATH": str(sources[name])}
            ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if ended.returncode:
                raise RuntimeError(ended.stderr)
            row = json.loads(ended.stdout.strip().splitlines()[-1])
            rows[name, wait].append(row | {"load": round(os.getloadavg()[0], 1)})
            print(f"  round {number + 1}, {name}, after {wait:g} s: {rows[name, wait][-1]}", flush=True)
    return {f"{name}, click after {wait:g} s": summary(each) | {"rounds": each} for (name, wait), each in rows.items()}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median, the lowest and the highest of each time."""
    found: dict[str, Any] = {}
    for name in ("ready", "handler", "handler CPU", "first pixels", "all", "longest pause", "CPU", "load"):
        values = [row[name] for row in rows]
        found[name] = {"median": round(statistics.median(values), 4), "from": min(values), "to": max(values)}
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="new windows for each wait (default 5)")
    parser.add_argument("--wait", type=float, help="one round in this process, after so many seconds")
    parser.add_argument("--beside", type=Path, help="the folder src of another version, which is measured in turn")
    arguments = parser.parse_args()
    if arguments.wait is not None:
        print(json.dumps(one_round(arguments.wait)))
        return
    figures = run(arguments.rounds, arguments.beside)
    for name, row in figures.items():
        print(name, {key: value for key, value in row.items() if key != "rounds"})
    from napari_unet_benchmarks.results import write_result  # loads torch, which the rounds time

    write_result("first_click", {"size": SIZE, "rounds": arguments.rounds, **figures})


if __name__ == "__main__":
    main()
