"""The demonstration: a sample opened, segmented, corrected and learned from, in the real window."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import napari
import numpy as np

from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet._version import __version__
from napari_unet.errors import UNetError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.io.readers import read_labels
from napari_unet.io.writers import write_labels
from napari_unet.layers.samples import nuclei_stack
from napari_unet.objects.stitch import best_matches
from napari_unet.progress import Stopwatch, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet._qt.main_widget import UNetWidget

LEARNING_SECONDS = 30
CORRECTED_OBJECTS = 2
_PATIENCE = 600.0


def run_demo(out: Path, *, headless: bool, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Open the sample stack in napari and segment it; return when the window is closed.

    Parameters
    ----------
    out : Path
        Folder for what the headless demo writes: ``before.png``, ``after.png``, ``labels.tif``, ``report.json``.
    headless : bool
        Go on without anybody at the screen: correct two objects, learn from them, segment again.
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
    viewer, widget = open_window()
    for data, kwargs, _ in nuclei_stack():
        viewer.add_image(data, **kwargs)
    if not headless:
        widget.controller.autosave.on = True
        widget.greet()
        widget.controller.segment()
        napari.run()
        return None
    widget.controller.workspace.said.connect(lambda message: say(message.text))
    widget.controller.workspace.progressed.connect(lambda p: say(f"  {p.done} of {p.total} {p.what}"))
    try:
        return _whole_job(viewer, widget, out)
    finally:
        close_window(viewer, widget, _PATIENCE)


def _whole_job(viewer: Any, widget: UNetWidget, out: Path) -> dict[str, Any]:
    """Press the buttons one after the other, as a person would."""
    controller, watch = widget.controller, Stopwatch()
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("napari_unet") / "samples" / "nuclei_stack_reference.tif") as path:
        truth = read_labels(path)

    widget.segment_panel.button.click()
    _wait(lambda: not controller.busy)
    session = controller.session
    if session is None:
        raise UNetError("The sample could not be segmented: " + widget.status.text())
    labels = session.labels_layer
    before = labels.data.copy()
    _screenshot(viewer, out / "before.png")

    frame, _ = session.plane
    mended = [_correct_worst(labels, truth[frame], frame) for _ in range(CORRECTED_OBJECTS)]
    controller.refresh_corrections()
    corrected = session.summary
    where = session.labels != session.corrections.prediction
    drawn = session.labels[where]

    widget.learn_panel.seconds.setValue(LEARNING_SECONDS)
    widget.learn_panel.button.click()
    _wait(lambda: not controller.busy)
    losses = widget.learn_panel.plot.losses
    widget.segment_panel.button.click()
    _wait(lambda: not controller.busy)
    _screenshot(viewer, out / "after.png")
    write_labels(out / "labels.tif", labels.data, session.image.axes, session.image.pixel_size, overwrite=True)

    model = controller.model
    assert model is not None  # the sample was segmented with it
    others = [t for t in range(len(truth)) if t != frame]
    report = {
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
        "seconds": round(watch.seconds, 1),
    }
    (out / "report.json").write_text(json.dumps(report, indent=1))
    return report


def _correct_worst(layer: Any, truth: NDArray[Any], frame: int) -> dict[str, Any]:
    """Redraw the object whose outline is worst, by ordinary edits of the labels layer; tell what was done."""
    labels = np.asarray(layer.data[frame])
    found, sizes_truth = best_matches(truth, labels), np.bincount(truth.ravel())
    worst = max(found, key=lambda i: (1 - found[i][0]) * sizes_truth[i])
    iou, label = found[worst]
    if iou < 0.3:
        label = int(layer.data.max()) + 1  # it was missed, or swallowed by another one: that one keeps the rest
    mask = truth == worst
    for where, value in (((labels == label) & ~mask, 0), (mask, label)):
        rows, columns = np.nonzero(where)
        layer.data_setitem((np.full_like(rows, frame), rows, columns), value)
    return {"label": label, "iou_before": round(iou, 3)}


def _score(truth: NDArray[Any], labels: NDArray[Any], frames: list[int]) -> float:
    scores = evaluate([truth[t] for t in frames], [np.asarray(labels[t]) for t in frames])
    return round(float(scores.to_dict()["ap"]["0.50"]), 4)


def _screenshot(viewer: Any, path: Path) -> None:
    live_until(lambda: False, 0.5)
    viewer.screenshot(path=str(path), canvas_only=False, flash=False)


def _wait(done: Callable[[], bool]) -> None:
    """Let the window live until something is true."""
    if not live_until(done, _PATIENCE):
        raise UNetError(f"The demo did not come to its end within {format_seconds(_PATIENCE)}.")
