"""From the release of the mouse to the picture: how long each gesture takes on a large image in a real window.

    napari-unet benchmark gestures [--size 4096] [--repeats 10]

The sample image, repeated and mirrored, is segmented whole, and looked at so closely that about 600 pixels are in
view. Real mouse events make each gesture on objects that are in view, and Ctrl+Z takes it back. Measured is the time
from the release of the button until the canvas has been drawn, all Qt events that came of it included; *labels* is
the part of it until napari has been given the labels, and *move* the time that one move of the mouse takes during a
drag, with the path and the outlines drawn. *suggest* is what hovering with the tool that adds costs each time, and
*nothing* what drawing the canvas takes when nothing has changed: without a graphics card, most of it. *cpu* are the
milliseconds that this process has computed meanwhile, which say more on a machine that does other things, too. Sliders
are dragged to and fro; *changed* is how often that changed something in view.
Nothing is said about how good the objects are: see `benchmark edits`.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from skimage.measure import regionprops

from napari_unet._qt.panels.decoding import LIVE_EVERY
from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.samples import nuclei_2d
from napari_unet_benchmarks.hand import Hand
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_unet.layers.inference.decoding_sliders import Slider

    Path2d = list[tuple[float, float]]

SLIDER_STEPS: dict[Slider, float] = {"sensitivity": 0.02, "separation": 0.02, "smallest": 1.0}
"""How far a slider goes with each move."""

IN_VIEW = 600
"""Pixels of the image along the shorter side of the canvas."""

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def run(size: int = 4096, repeats: int = 10, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure all gestures, and return the figures.

    Parameters
    ----------
    size : int
        Width and height of the image, pixels.
    repeats : int
        How often each gesture is made, on other objects each time.
    say : callable
        Called with lines for people.
    """
    viewer, widget = open_window()
    image = np.asarray(nuclei_2d()[0][0])
    image = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    image = np.tile(image, [-(-size // n) for n in image.shape])[:size, :size]
    viewer.add_image(image, name="image")
    controller = widget.controller
    figures: dict[str, Any] = {"size": size, "repeats": repeats}
    try:
        assert controller.choose_model("nuclei")
        controller.segment()
        live_until(lambda: not controller.busy, 3600)
        live_until(lambda: False, 2)
        session = controller.session
        assert session is not None
        figures["objects"] = session.count()
        camera = camera_of(viewer)
        camera.center = (0, size / 2, size / 2)
        camera.zoom = min(Hand(viewer).native.size().width(), Hand(viewer).native.size().height()) / IN_VIEW
        live_until(lambda: False, 1)
        figures["milliseconds"] = _Timed(viewer, controller, widget.segment_panel.adjust).gestures(repeats)
    finally:
        close_window(viewer, widget, 60)
    for name, row in figures["milliseconds"].items():
        say(f"  {name:<22} {row}")
    return figures


class _Timed:
    """Makes gestures with the mouse and takes the time."""

    def __init__(self, viewer: Any, controller: Any, panel: Any) -> None:
        self._viewer, self._controller, self._panel, self._hand = viewer, controller, panel, Hand(viewer)
        self._layer = controller.session.labels_layer
        low, high = self._hand.corners
        y, x = (slice(int(a) + 40, int(b) - 40) for a, b in zip(low, high, strict=True))
        self._in_view = y, x
        self._corner, self._part = np.array([y.start, x.start]), np.array(self._layer.data[y, x])
        self._rng = np.random.default_rng(0)
        objects = regionprops(self._part)
        border = [np.concatenate([self._part[[0, -1]].ravel(), self._part[:, [0, -1]].ravel()])]
        self._objects = [o for o in objects if o.label not in border[0] and o.area >= 100]

    def gestures(self, repeats: int) -> dict[str, dict[str, float]]:
        """Return the figures of all gestures."""
        tool = self._controller.gestures.choose_tool
        rows: dict[str, dict[str, float]] = {}
        for name, modifiers, chosen, paths in (
            ("merge, of parts", SHIFT, None, self._merges),
            ("split, line", CONTROL, None, self._lines),
            ("split, click", CONTROL, None, self._clicks),
            ("split, two clicks", None, "split", self._pairs),
            ("delete, click", SHIFT | CONTROL, None, self._clicks),
            ("delete, drag", SHIFT | CONTROL, None, self._long),
            ("outline", None, "outline", self._loops),
            ("add, drawn", None, "add", self._circles),
            ("add, click", None, "add", self._missing),
        ):
            tool(chosen)
            times: dict[str, list[float]] = {}
            for _, path in zip(range(repeats), paths(), strict=False):
                before = self._layer.data.copy()
                found = self._made(path, modifiers or Qt.KeyboardModifier.NoModifier)
                if np.array_equal(before, self._layer.data):
                    continue
                for key, value in found.items():
                    times.setdefault(key, []).append(value)
                begin = time.perf_counter()
                self._layer.undo()
                self._drawn()
                times.setdefault("undo", []).append(time.perf_counter() - begin)
                if not np.array_equal(before, self._layer.data):
                    self._layer.undo()
                assert np.array_equal(before, self._layer.data) or chosen == "add" or name.startswith("merge")
            tool(None)
            rows[name] = _in_words(times)
        rows["suggest"] = self._suggestions(repeats)
        for slider, step in SLIDER_STEPS.items():
            rows[f"slider, {slider}"] = self._slider(slider, step, repeats)
        rows["nothing"] = self._timed(self._drawn, repeats)
        return rows

    def _made(self, path: Path2d, modifiers: Any) -> dict[str, float]:
        """Make a gesture with the mouse, and return seconds."""
        hand, moves = self._hand, []
        hand.press(*path[0], modifiers=modifiers)
        live_until(lambda: False, 0.05)
        for place in path[1:]:
            begin = time.perf_counter()
            hand.move(*place, modifiers=modifiers)
            QApplication.processEvents()
            moves.append(time.perf_counter() - begin)
            live_until(lambda: False, 0.03)
        begin, cpu = time.perf_counter(), time.process_time()
        hand.release(*path[-1], modifiers=modifiers)
        found = {"labels": time.perf_counter() - begin, "labels, cpu": time.process_time() - cpu}
        self._drawn()
        found |= {"picture": time.perf_counter() - begin, "picture, cpu": time.process_time() - cpu}
        live_until(lambda: False, 0.3)
        return found | ({"move": float(np.median(moves))} if moves else {})

    def _drawn(self) -> None:
        self._hand.wait_until_drawn()

    def _slider(self, name: Slider, step: float, repeats: int) -> dict[str, float]:
        """Drag a slider to and fro, and return milliseconds from each of its moves to the picture."""
        slider, times = self._panel.sliders[name], dict[str, list[float]]()
        start = slider.value()
        changed = 0
        for number in range(2 * repeats):
            before = self._layer.data[self._in_view].copy()
            begin, cpu = time.perf_counter(), time.process_time()
            slider.setValue(start + step * (1 + min(number % 10, 10 - number % 10)))
            found = {"labels": time.perf_counter() - begin, "labels, cpu": time.process_time() - cpu}
            self._drawn()
            found |= {"picture": time.perf_counter() - begin, "picture, cpu": time.process_time() - cpu}
            for key, value in found.items():
                times.setdefault(key, []).append(value)
            changed += not np.array_equal(before, self._layer.data[self._in_view])
            live_until(lambda: False, LIVE_EVERY / 1000 + 0.02)  # sooner than it counts as resting
        slider.setValue(start)
        live_until(lambda: False, 1)
        live_until(lambda: not self._controller.sliders.busy, 3600)
        return _in_words(times) | {"changed": changed}

    def _suggestions(self, repeats: int) -> dict[str, float]:
        places = self._circles()
        return self._timed(lambda: self._controller.gestures.suggest(next(places)[0]), 3 * repeats)

    @staticmethod
    def _timed(call: Callable[[], object], repeats: int) -> dict[str, float]:
        times: dict[str, list[float]] = {"picture": [], "picture, cpu": []}
        for _ in range(repeats):
            begin, cpu = time.perf_counter(), time.process_time()
            call()
            times["picture"].append(time.perf_counter() - begin)
            times["picture, cpu"].append(time.process_time() - cpu)
            live_until(lambda: False, 0.05)
        return _in_words(times)

    # -- where -----------------------------------------------------------------------------------------------------

    def _each(self) -> Iterator[tuple[NDArray[np.float64], float]]:
        """Yield the middle of objects in view, at random, and their radius."""
        for index in self._rng.permutation(len(self._objects)):
            found = self._objects[index]
            yield np.array(found.centroid) + self._corner, found.equivalent_diameter_area / 2

    def _clicks(self) -> Iterator[Path2d]:
        for middle, radius in self._each():
            yield _around(middle, radius, (0, 0))

    def _lines(self) -> Iterator[Path2d]:
        for middle, radius in self._each():
            yield _around(middle, radius, *[(0, t) for t in np.linspace(-1.6, 1.6, 8)])

    def _pairs(self) -> Iterator[Path2d]:
        for middle, radius in self._each():
            self._made(_around(middle, radius, (-0.5, 0)), Qt.KeyboardModifier.NoModifier)
            yield _around(middle, radius, (0.5, 0))

    def _merges(self) -> Iterator[Path2d]:
        """Objects are split first, so that there is something to merge."""
        for middle, radius in self._each():
            if self._controller.gestures.make("split", _around(middle, radius, (0, -1.6), (0, 1.6))):
                yield _around(middle, radius, *[(t, 0) for t in np.linspace(-0.6, 0.6, 8)])

    def _long(self) -> Iterator[Path2d]:
        size = np.array(self._part.shape)
        for middle, _ in self._each():
            end = self._corner + np.where(middle - self._corner > size / 2, 20, 0.9 * size)
            yield _around(middle, 1, *[t * (end - middle) for t in np.linspace(0, 1, 20)])

    def _loops(self) -> Iterator[Path2d]:
        for middle, radius in self._each():
            yield _around(middle, radius, (0, 0.5), (0.5, 1.3), (0, 1.6), (-0.5, 1.3), (0, 0.5))

    def _circles(self) -> Iterator[Path2d]:
        free = np.argwhere(self._part == 0)
        while True:
            middle = self._corner + self._rng.choice(free)
            yield _around(middle, 12, *[(np.sin(a), np.cos(a)) for a in np.linspace(0, 6, 12)])

    def _missing(self) -> Iterator[Path2d]:
        """Objects are deleted first, so that there is something to add."""
        for middle, _ in self._each():
            if self._controller.gestures.make("delete", [middle]):
                yield _around(middle, 0, (0, 0))


def _around(middle: NDArray[np.float64], radius: float, *steps: Any) -> Path2d:
    """Return points about a middle, in steps of a radius."""
    return [(float(y), float(x)) for y, x in middle + radius * np.array(steps)]


def _in_words(times: dict[str, list[float]]) -> dict[str, float]:
    found: dict[str, float] = {"n": len(times.get("picture", []))}
    for name, values in times.items():
        found |= {name: round(1000 * float(np.median(values)), 1), f"{name}, worst": round(1000 * max(values), 1)}
    return found


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    write_result("gestures", run(args.size, args.repeats))


if __name__ == "__main__":
    main()
