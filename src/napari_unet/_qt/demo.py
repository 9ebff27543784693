"""The demonstration: a sample opened, segmented, corrected and learned from, in the real window."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from importlib.resources import as_file, files
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import napari
import numpy as np

from napari_unet._qt.demo_afternoon import PATIENCE, Afternoon, draw_worst, wait
from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet._version import __version__
from napari_unet.errors import UNetError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.io.readers import read_labels
from napari_unet.io.writers import write_labels
from napari_unet.layers.samples import nuclei_stack
from napari_unet.models.store import HOME_VARIABLE
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet._qt.main_widget import UNetWidget

LEARNING_SECONDS = 15
CORRECTED_OBJECTS = 2


def run_demo(out: Path, *, headless: bool, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Open the sample stack in napari and segment it; return when the window is closed.

    Parameters
    ----------
    out : Path
        Folder for what the headless demo writes: ``before.png``, ``after.png``, ``labels.tif``, ``report.json``, and
        a folder ``afternoon``.
    headless : bool
        Go on without anybody at the screen: correct two objects, learn from them, segment again; then an afternoon
        with a list of three images. Nothing is kept outside that folder.
    say : callable
        Takes each line of what is going on.

    Returns
    -------
    dict or None
        The report of the headless demo.

    Raises
    ------
    UNetError
        If a step does not come to its end.
    """
    if not headless:
        _viewer, widget = _window_with_stack()
        widget.controller.autosave.on = True
        widget.greet()
        widget.controller.segment()
        napari.run()
        return None
    watch = Stopwatch()
    with in_own_home():
        report = _in_window(_window_with_stack(), say, lambda viewer, widget: _whole_job(viewer, widget, out))
        report["afternoon"] = run_afternoon(out / "afternoon", say)
    report["seconds"] = round(watch.seconds, 1)
    (out / "report.json").write_text(json.dumps(report, indent=1))
    return report


def run_afternoon(out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Do an afternoon's work on three images in a window of its own, with pictures of it; return the report."""
    out.mkdir(parents=True, exist_ok=True)

    def work(viewer: Any, widget: UNetWidget) -> dict[str, Any]:
        return Afternoon(widget, out, lambda stage: _screenshot(viewer, out / f"{stage}.png")).run()

    return _in_window(open_window(), say, work)


def _window_with_stack() -> tuple[Any, UNetWidget]:
    viewer, widget = open_window()
    for data, kwargs, _ in nuclei_stack():
        viewer.add_image(data, **kwargs)
    return viewer, widget


def _in_window(
    window: tuple[Any, UNetWidget], say: Callable[[str], None], work: Callable[[Any, UNetWidget], dict[str, Any]]
) -> dict[str, Any]:
    """Do some work in a window, tell what it says, and close it."""
    viewer, widget = window
    widget.controller.workspace.said.connect(lambda message: say(message.text))
    widget.controller.workspace.progressed.connect(lambda p: say(f"  {p.done} of {p.total} {p.what}"))
    try:
        return work(viewer, widget)
    finally:
        close_window(viewer, widget, PATIENCE)


@contextmanager
def in_own_home() -> Iterator[None]:
    """Keep models and recovery copies in a folder for now: the user's own are neither seen nor added to."""
    before = os.environ.get(HOME_VARIABLE)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[HOME_VARIABLE] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[HOME_VARIABLE]
            else:
                os.environ[HOME_VARIABLE] = before


def _whole_job(viewer: Any, widget: UNetWidget, out: Path) -> dict[str, Any]:
    """Press the buttons one after the other, as a person would."""
    controller = widget.controller
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("napari_unet") / "samples" / "nuclei_stack_reference.tif") as path:
        truth = read_labels(path)

    widget.segment_panel.button.click()
    wait(lambda: not controller.busy)
    session = controller.session
    if session is None:
        raise UNetError("The sample could not be segmented: " + widget.status.text())
    labels = session.labels_layer
    before = labels.data.copy()
    _screenshot(viewer, out / "before.png")

    frame, _ = session.plane
    mended = [draw_worst(labels, truth[frame], (frame,)) for _ in range(CORRECTED_OBJECTS)]
    controller.refresh_corrections()
    corrected = session.summary
    where = session.labels != session.corrections.prediction
    drawn = session.labels[where]

    widget.learn_panel.seconds.setValue(LEARNING_SECONDS)
    widget.learn_panel.button.click()
    wait(lambda: not controller.busy)
    losses = widget.learn_panel.plot.losses
    widget.segment_panel.button.click()
    wait(lambda: not controller.busy)
    _screenshot(viewer, out / "after.png")
    write_labels(out / "labels.tif", labels.data, session.image.axes, session.image.pixel_size, overwrite=True)

    model = controller.model
    assert model is not None  # the sample was segmented with it
    others = [t for t in range(len(truth)) if t != frame]
    return {
        "version": __version__,
        "model": model.name,
        "parent": model.info.parent,
        "image": {"name": session.image.name, "axes": session.image.axes, "shape": list(session.image.data.shape)},
        "objects_before": int(np.count_nonzero(np.unique(before))),
        "objects_after": session.count(),
        "corrected_objects": mended,
        "corrected_pixels": corrected.corrected_pixels,
        "learning": {
            "steps": len(losses),
            "first_loss": round(float(np.mean(losses[:3])), 4),
            "last_loss": round(float(np.mean(losses[-3:])), 4),
        },
        "corrected_pixels_kept": bool(np.array_equal(session.labels[where], drawn)),
        "ap50_other_fields": {
            "before": _score(truth, before, others),
            "after": _score(truth, labels.data, others),
        },
    }


def _score(truth: NDArray[Any], labels: NDArray[Any], frames: list[int]) -> float:
    scores = evaluate([truth[t] for t in frames], [np.asarray(labels[t]) for t in frames])
    return round(float(scores.to_dict()["ap"]["0.50"]), 4)


def _screenshot(viewer: Any, path: Path) -> None:
    live_until(lambda: False, 0.5)
    viewer.screenshot(path=str(path), canvas_only=False, flash=False)
