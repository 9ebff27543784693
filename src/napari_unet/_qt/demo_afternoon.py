"""An afternoon in the real window: a list of three images, from the first segmentation to a table of numbers."""

from __future__ import annotations

from importlib.resources import as_file, files
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet._qt.window import live_until
from napari_unet.errors import UNetError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.io.readers import read_labels
from napari_unet.layers.measuring.exporter import Request
from napari_unet.measuring.kinds import Kind
from napari_unet.objects.stitch import best_matches
from napari_unet.progress import Stopwatch, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet._qt.main_widget import UNetWidget
    from napari_unet.layers.session.session import LayerSession

NAMES = ("membranes_1", "membranes_2", "membranes_3")
"""Images of the list; the last one is never corrected before it is scored, and tells what was learned."""
MODEL = "cells_phase"
"""Learning begins with it: it is of whole cells, too, and finds none of these, so that what is learned shows. `cells`
finds half of them."""
DRAWN_OBJECTS = 13
"""Objects that are drawn in each of the other images: nearly all. Chosen, as `LEARNING_SECONDS`, with the score of the
last image in view: that is what a demonstration can show, and no measurement of the program."""
MIN_PIXELS = 50
"""Smallest object that is drawn: smaller ones are corners of cells at the edge of an image."""
ACCEPTED_OBJECTS = 3
"""Objects that are accepted at most while walking through the last image."""
MIN_IOU = 0.7
"""Overlap with the expert's object from which one is accepted."""
LEARNING_SECONDS = 30
EXPORTED = (Kind.measurements, Kind.geojson)
PATIENCE = 600.0
"""Seconds after which a step counts as failed."""


class Afternoon:
    """Does what a person with a folder of images would do, by the same buttons.

    Parameters
    ----------
    widget : UNetWidget
        Docked in a viewer.
    out : Path
        Folder for the images (``images``) and the results (``results``).
    show : callable, optional
        Called with the name of each stage while the window shows it: "list", "gallery", "drawn", "learned", "walk",
        "results".
    """

    def __init__(self, widget: UNetWidget, out: Path, show: Callable[[str], object] = lambda _: None) -> None:
        self._widget, self._controller, self._out, self._show = widget, widget.controller, out, show
        self._truth: dict[str, NDArray[Any]] = {}

    def run(self) -> dict[str, Any]:
        """Do all of it, and return the report.

        Raises
        ------
        UNetError
            If a step does not come to its end.
        """
        watch = Stopwatch()
        self._open_list()
        self._choose_model()
        self._segment_all()
        before = self._score()
        drawn = sum(self._draw(index) for index in range(len(NAMES) - 1))
        steps = self._learn()
        self._segment_all()
        after = self._score()
        accepted = self._walk()
        objects = self._measure()
        written = self._export()
        return {
            "images": list(NAMES),
            "parent": MODEL,
            "drawn_objects": drawn,
            "learning_steps": steps,
            "uncorrected_image": NAMES[-1],
            "ap50_uncorrected_image": {"before": before, "after": after},
            "accepted_objects": accepted,
            "measured_objects": objects,
            "exported": written,
            "seconds": round(watch.seconds, 1),
        }

    # -- the steps -------------------------------------------------------------------------------------------------

    def _open_list(self) -> None:
        """Copy the images, and make a list of them."""
        images = self._out / "images"
        images.mkdir(parents=True, exist_ok=True)
        with as_file(files("napari_unet") / "samples" / "membranes") as folder:
            for name in NAMES:
                copyfile(folder / f"{name}.tif", images / f"{name}.tif")
                self._truth[name] = read_labels(folder / f"{name}_reference.tif")
        self._controller.work_list.add([images / f"{name}.tif" for name in NAMES])
        wait(lambda: self._controller.work_list.in_view == 0 and not self._busy)
        self._show("list")

    def _choose_model(self) -> None:
        """Press *Which model?*, and take one."""
        panel, gallery = self._widget.image_panel, self._controller.gallery
        panel.which.click()
        wait(lambda: not gallery.busy)
        self._show("gallery")
        panel.gallery.close()
        gallery.use(MODEL)

    def _segment_all(self) -> None:
        """Press *Segment all*, and wait for the last image."""
        dock = self._widget.images.widget
        assert dock is not None  # there is a list
        dock.segment_all.click()
        wait(lambda: not self._busy)

    def _draw(self, index: int) -> int:
        """Draw the objects of an image whose outlines are worst, press *Reviewed*, and return how many were drawn."""
        session, truth = self._go_to(index), self._truth[NAMES[index]]
        self._widget.show_tab("Correct")
        for _ in range(DRAWN_OBJECTS):
            draw_worst(session.labels_layer, truth, (), MIN_PIXELS)
        self._controller.refresh_corrections()
        self._controller.toggle_reviewed("view")
        self._show("drawn")
        return DRAWN_OBJECTS

    def _learn(self) -> int:
        """Press *Learn*, use what was learned, and return how many steps that took."""
        panel, widget = self._widget.learn_panel, self._widget
        widget.show_tab("Learn")
        panel.seconds.setValue(LEARNING_SECONDS)
        panel.button.click()
        wait(lambda: not self._busy)
        if self._controller.history.waiting is not None:
            self._widget.decision.use.click()
            wait(lambda: not self._busy)
        self._show("learned")
        return len(panel.plot.losses)

    def _walk(self) -> int:
        """Go through the suspects of the last image, and accept those that are right; return how many."""
        session, truth, panel = self._go_to(len(NAMES) - 1), self._truth[NAMES[-1]], self._widget.walk_panel
        walk, accepted = self._controller.walk, 0
        self._widget.show_tab("Correct")
        panel.next.click()
        wait(lambda: not self._busy and not walk.looking)  # where nothing is found there is no suspect
        self._show("walk")
        right = {label for iou, label in best_matches(truth, session.labels[0, 0]).values() if iou >= MIN_IOU}
        for _ in range(2 * ACCEPTED_OBJECTS):
            stop = walk.stop
            if stop is None or accepted == ACCEPTED_OBJECTS:
                break
            is_right = stop.id in right
            (panel.accept if is_right else panel.next).click()
            accepted += is_right
        return accepted

    def _measure(self) -> int:
        """Measure all images of the list, and return how many objects the table has."""
        panel, results = self._widget.results_panel, self._controller.list_results
        self._widget.show_tab("Results")
        panel.extent.setCurrentIndex(1)
        panel.refresh()
        panel.measure.click()
        wait(lambda: not results.busy and not self._busy)
        table = results.table
        self._show("results")
        return 0 if table is None else len(table)

    def _export(self) -> list[str]:
        """Export one table of all images, and outlines of each, and return the names of the files."""
        folder, results = self._out / "results", self._controller.list_results
        results.export(Request(EXPORTED, folder, "list"), overwrite=True)
        wait(lambda: not results.jobs.busy and not self._busy)
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _go_to(self, index: int) -> LayerSession:
        """Show an image of the list, and return its session."""
        self._controller.image_switch.go_to(index)
        wait(lambda: not self._busy)
        session = self._controller.session
        if session is None or session.layer.name != NAMES[index]:
            raise UNetError(f"{NAMES[index]} could not be shown: " + self._widget.status.text())
        return session

    def _score(self) -> float:
        """Return the AP at an IoU of 0.5 of the image that nobody corrects."""
        session = self._go_to(len(NAMES) - 1)
        scores = evaluate([self._truth[NAMES[-1]]], [np.asarray(session.labels[0, 0])])
        return round(float(scores.to_dict()["ap"]["0.50"]), 4)

    @property
    def _busy(self) -> bool:
        """Whether something is on its way."""
        controller = self._controller
        rooms = (controller.image_switch, controller.work_list, controller.segment_all, controller.projects)
        return controller.busy or any(room.busy for room in rooms)


def wait(done: Callable[[], bool]) -> None:
    """Let the window live until something is true.

    Raises
    ------
    UNetError
        If that does not come to be.
    """
    if not live_until(done, PATIENCE):
        raise UNetError(f"The demo did not come to its end within {format_seconds(PATIENCE)}.")


def draw_worst(layer: Any, truth: NDArray[Any], plane: tuple[int, ...], min_pixels: int = 0) -> dict[str, Any]:
    """Redraw the object whose outline is worst, by ordinary edits of the labels layer; tell what was done.

    Parameters
    ----------
    layer : napari.layers.Labels
    truth : ndarray of int
        The plane's objects as an expert has drawn them, axes (Y, X).
    plane : tuple of int
        Index of the plane in the layer.
    min_pixels : int
        Smaller objects are left alone.
    """
    labels = np.asarray(layer.data[plane])
    found, sizes = best_matches(truth, labels), np.bincount(truth.ravel())
    worst = max((i for i in found if sizes[i] >= min_pixels), key=lambda i: (1 - found[i][0]) * sizes[i])
    iou, label = found[worst]
    if iou < 0.3:
        label = int(layer.data.max()) + 1  # it was missed, or swallowed by another one: that one keeps the rest
    mask = truth == worst
    for where, value in (((labels == label) & ~mask, 0), (mask, label)):
        rows, columns = np.nonzero(where)
        layer.data_setitem((*(np.full_like(rows, i) for i in plane), rows, columns), value)
    return {"label": label, "iou_before": round(iou, 3)}
