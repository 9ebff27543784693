"""How many gestures real errors take, and how good the objects are afterwards.

    napari-unet benchmark proofreading --data DATA [--errors 10]

DATA: see `recipes/README.md`. In the real window a model segments images that it was not trained on. What is wrong is
found by the true labels (`object_errors`; pieces that lie apart are objects of their own, those of fewer than 20 pixels
are left out), and of each kind of error some are drawn at random. A scripted person, who sees the true objects (their
outlines stray as a hand's would, by 0.7 pixels), mends them one by one with mouse and key events. The view goes to each
error by itself, as the walk does, and each begins from the labels as they were segmented:

- *merged*: Ctrl + drag along the true border, for each true object but one; where that is refused, Ctrl + click
- *split*: Shift + drag from piece to piece
- *missed*: Shift + click in the middle of what is background there, then I or Shift + I up to twice if the object is
  too small or too large. What lies there instead is deleted first. Where nothing can be added: the tool *Add*, drawn
  around the object.
- *spurious*: Ctrl + Shift + click
- *outline*: the key of the tool *Outline*, and a stroke where most is missing, or most is too much

If a true object is then still matched with less than an intersection over union (IoU) of 0.75, one stroke more with the
tool *Outline* follows. Every click, key and drag counts as one gesture, whether it is refused or not; choosing the tool
counts each time. Moving and zooming the view does not.

The IoU of an error is the lowest over its true objects of that with the label that matches best; of a spurious object
it is 1 once no pixel of it is left. *gone*: 0.5 or more; *right*: 0.75 or more. Seconds are those from the release of
the mouse, or the key, to the picture. At the end Ctrl+Z is pressed once for each gesture that changed something, and
the labels have to be those before it, bit for bit. Intervals are 95 %: Wilson's for shares, a bootstrap over errors for
means. The person was written on training images.

*right by a perfect cut* says what the outlines that the model drew allow: the share of merged objects that would be
right if they were divided along the true border, and of split ones if they were joined, and nothing else were done.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch
from scipy.ndimage import distance_transform_edt

from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet_benchmarks.annotator_model import Kind
from napari_unet_benchmarks.intervals import mean_interval, share_interval
from napari_unet_benchmarks.object_errors import ObjectError, object_errors, true_pieces
from napari_unet_benchmarks.proofreading_person import RIGHT, Mended, Person
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

SETS = {
    "cells, phase contrast": ("cells_phase", "cells_phase_t98g", ("06", "23", "37")),
    "nuclei, tissue": ("nuclei", "nuclei_tissue_bsst265/val", ("",)),
    "nuclei, histology": ("nuclei", "histology_tnbc/val", ("",)),
    "nuclei, embryo slices": ("nuclei", "embryo3d_bbbc050", ("",)),
}
"""Model, folder, and what the names of the images begin with that it was not trained on."""

KINDS = (Kind.MERGED, Kind.SPLIT, Kind.MISSED, Kind.SPURIOUS, Kind.OUTLINE)
MAX_IMAGES = 12
GONE = 0.5
"""An error is gone from this IoU on."""

# -- images ------------------------------------------------------------------------------------------------------------


def images(data: Path, folder: str, names: tuple[str, ...]) -> Iterator[tuple[str, NDArray[Any], NDArray[np.int32]]]:
    """Yield names, images and true objects, of `MAX_IMAGES` files at most; of a volume, its middle slice."""
    paths = [path for path in sorted((data / folder / "images").glob("*.tif")) if path.name.startswith(names)]
    for index in np.unique(np.linspace(0, len(paths) - 1, MAX_IMAGES).astype(int)) if paths else []:
        path = paths[index]
        image, truth = tifffile.imread(path), tifffile.imread(data / folder / "labels" / path.name)
        if truth.ndim == 3:
            image, truth = image[len(truth) // 2], truth[len(truth) // 2]
        yield path.stem, image, true_pieces(truth)


def by_a_perfect_cut(truth: NDArray[np.int32], labels: NDArray[Any], error: ObjectError) -> float:
    """Return the IoU if what is merged were divided along the true border, or what is split joined."""
    whole = np.isin(labels, error.predicted)
    masks = [truth == one for one in error.true]
    nearest = np.argmin([distance_transform_edt(~mask) for mask in masks], axis=0)
    parts = [whole & (nearest == number) for number in range(len(masks))]
    return min(float((part & mask).sum() / (part | mask).sum()) for part, mask in zip(parts, masks, strict=True))


def mended(
    window: tuple[Any, Any],
    model: str,
    shown: Sequence[tuple[str, NDArray[Any], NDArray[np.int32]]],
    errors: int,
    say: Callable[[str], None] = print,
) -> tuple[list[Mended], dict[str, int]]:
    """Segment images in a window and mend some of what is wrong; return that, and how many errors there were."""
    (viewer, widget), rows, found = window, list[Mended](), dict.fromkeys((kind.value for kind in KINDS), 0)
    left, rng = dict.fromkeys(KINDS, errors), np.random.default_rng(0)
    for number, (name, image, truth) in enumerate(shown):
        layer = viewer.add_image(image, name=name, rgb=image.ndim == 3)
        viewer.layers.selection.active = layer
        assert widget.controller.choose_model(model)
        widget.controller.segment()
        live_until(lambda: not widget.controller.busy, 600)
        live_until(lambda: False, 0.5)
        viewer.layers.selection.active = widget.controller.session.labels_layer
        person = Person(viewer, widget, truth, seed=number)
        every = object_errors(truth, person.labels)
        for kind in KINDS:
            these = [error for error in every if error.kind is kind]
            found[kind.value] += len(these)
            quota = -(-left[kind] // (len(shown) - number))
            for index in rng.permutation(len(these))[:quota]:
                rows.append(person.mend(these[index], name))
                if kind in (Kind.MERGED, Kind.SPLIT):
                    rows[-1].perfect = by_a_perfect_cut(truth, person.labels, these[index])
                left[kind] -= 1
        say(f"  {name}: {len(every)} errors, {len(rows)} mended so far")
        viewer.layers.clear()
        live_until(lambda: not widget.controller.busy and not widget.runner.busy, 60)
        live_until(lambda: False, 0.2)  # Mesa crashes where the next image is drawn before the empty canvas was
    return rows, found


# -- figures -----------------------------------------------------------------------------------------------------------


def summary(rows: Sequence[Mended]) -> dict[str, Any]:
    """Return gestures, IoU, times and undo of some errors."""
    if not rows:
        return {"errors": 0}
    after, before = (np.array([getattr(row, name) for row in rows]) for name in ("after", "before"))
    seconds = np.array([sum(row.seconds) for row in rows])
    each = np.array([second for row in rows for second in row.seconds] or [0.0])
    perfect = np.array([row.perfect for row in rows if row.perfect is not None])
    return {
        "errors": len(rows),
        "right by a perfect cut": _share(perfect >= RIGHT) if len(perfect) else None,
        "gestures": _mean(np.array([row.gestures for row in rows])),
        "refused": sum(row.refused for row in rows),
        "iou before": round(float(before.mean()), 3),
        "iou": _mean(after),
        "gone": _share(after >= GONE),
        "right": _share(after >= RIGHT),
        "seconds": {"median": round(float(np.median(seconds)), 3), "worst": round(float(seconds.max()), 3)},
        "seconds of a gesture": {"median": round(float(np.median(each)), 3), "worst": round(float(each.max()), 3)},
        "undone exactly": sum(row.undone for row in rows),
    }


def _share(hits: NDArray[np.bool_]) -> dict[str, float]:
    low, high = share_interval(int(hits.sum()), len(hits))
    return {"share": round(float(hits.mean()), 3), "from": low, "to": high}


def _mean(values: NDArray[Any]) -> dict[str, float]:
    low, high = mean_interval(values)
    return {"mean": round(float(values.mean()), 3), "from": round(low, 3), "to": round(high, 3)}


def _line(name: str, row: dict[str, Any]) -> str:
    if not row["errors"]:
        return f"  {name:<10} none"
    parts = [f"{key} {_in_words(row[key])}" for key in ("gestures", "iou", "gone", "right")]
    undone = f"undone {row['undone exactly']} of {row['errors']}"
    return f"  {name:<10} n {row['errors']:<4} {'; '.join(parts)}; {row['seconds']['median']} s; {undone}"


def _in_words(row: dict[str, float]) -> str:
    first, low, high = row.values()
    return f"{first} ({low} to {high})"


def as_they_occur(mended_by_kind: dict[str, Any], found: dict[str, int]) -> float:
    """Return the mean of gestures with each kind of error weighted by how many of it there were."""
    kinds = [kind.value for kind in KINDS if mended_by_kind[kind.value]["errors"]]
    total = sum(found[kind] * mended_by_kind[kind]["gestures"]["mean"] for kind in kinds)
    return round(float(total / max(1, sum(found[kind] for kind in kinds))), 3)


def by_kind(rows: Sequence[Mended]) -> dict[str, Any]:
    """Return the figures of each kind of error, and of all."""
    kinds = {kind.value: summary([row for row in rows if row.kind == kind.value]) for kind in KINDS}
    return kinds | {"all": summary(rows)}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--errors", type=int, default=10, help="most of each kind in each kind of image (default 10)")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    every: list[Mended] = []
    figures: dict[str, Any] = {}

    def say(text: str) -> None:
        print(text, flush=True)

    window = open_window()
    try:
        for name in arguments.only:
            model, folder, names = SETS[name]
            say(f"\n{name}")
            shown = list(images(arguments.data, folder, names))
            rows, found = mended(window, model, shown, arguments.errors, say)
            figures[name] = {"images": len(shown), "errors": found, "mended": by_kind(rows)}
            figures[name]["gestures, kinds as often as they occur"] = as_they_occur(figures[name]["mended"], found)
            figures[name]["rows"] = [asdict(row) for row in rows]
            every += rows
            for kind, row in figures[name]["mended"].items():
                say(_line(kind, row))
    finally:
        close_window(*window, 60)
    counts = {kind.value: sum(figures[name]["errors"][kind.value] for name in figures) for kind in KINDS}
    figures["all images"] = {"errors": counts, "mended": by_kind(every)}
    occur = as_they_occur(figures["all images"]["mended"], counts)
    figures["all images"]["gestures, kinds as often as they occur"] = occur
    say("\nall images")
    for kind, row in figures["all images"]["mended"].items():
        say(_line(kind, row))
    if arguments.only == list(SETS):
        write_result("proofreading", {"right from": RIGHT, "gone from": GONE, "sets": figures})


if __name__ == "__main__":
    main()
