"""Measure how often the model that seems to fit an image best is the one that does, and how often a doubt is right.

    napari-unet benchmark which_model --data DATA [--half report] [--images N]

Every shipped model is tried on fields of all kinds of images in DATA (`inference.which_model`), and scored against the
labels (AP at IoU 0.50). Reported are

- **right first**: of the fields on which some model reaches an AP of 0.2, those on which the model that is guessed
  reaches the highest AP, or at most 0.02 less.
- **false alarms**: of the results of models of objects that reach more than 0.6, those that the window doubts.
- **hits**: of those that reach less than 0.2, those that it doubts, or in which there is no object.
- **wrong advice**: of the models that are the best on a field, those beside which another one is said to fit better.

Images are divided by their names, before the first run: "choose", on which the numbers of `ModelChoicePolicy` were
chosen, and "report", on which nothing was. An image that a shipped model has learned from, or that its decoding was
chosen on, belongs to "choose"; where a model has learned from some files of a set, all others belong to "report".
Other sets are divided by a checksum of the file's name. `em_membranes_isbi2012`, which no model is for, is only
reported on. Of a field whose labels are classes, objects are the connected parts of class 1. What a model of classes
finds on a field of objects counts as nothing, since it tells no objects apart; it is scored where its own classes are
labelled. A volume is scored in three dimensions, with the slices of a 2D model joined.
"""

from __future__ import annotations

import argparse
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.inference.credibility import seems_right
from napari_unet.inference.field import Field, field_of
from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE
from napari_unet.inference.which_model import models_for, ranked, try_models
from napari_unet.io.readers import read_image, read_labels
from napari_unet.objects.targets import pieces_of_classes
from napari_unet_benchmarks.results import write_result
from napari_unet_benchmarks.shipped import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

MOST = 12
"""Images of a kind and half, the first by name: else one set would be most of the figures."""

SETS = (
    "nuclei_dsb2018/val", "nuclei_bbbc039/val", "nuclei_tissue_bsst265/train", "nuclei_tissue_bsst265/val",
    "nuclei_cytospin_bsst265/train", "nuclei_cytospin_bsst265/val", "histology_tnbc/train", "histology_tnbc/val",
    "tissue_codex_expert/train", "tissue_cellbindb_demo/train", "embryo3d_bbbc050", "embryo3d_bbbc050_more/train",
    "cells_phase_t98g", "cells_junctions_mdck_zo1/train", "cells_junctions_mdck_zo1/val",
    "bacteria_ecoli_colicoords/train", "bacteria_ecoli_colicoords/val", "axons_sem", "em_membranes_isbi2012",
)  # fmt: skip

UNSEEN = {
    "cells_phase_t98g": ("06", "23", "37"),
    "axons_sem": ("sub-rat4", "sub-rat5"),
    "embryo3d_bbbc050": ("Emb02", "Emb06", "Emb08"),
    "embryo3d_bbbc050_more/train": ("Emb02", "Emb06", "Emb08"),
}
"""Sets that a shipped model has learned from, and how the names of those files begin that it has not."""

LEARNED = (
    "nuclei_tissue_bsst265/train", "nuclei_cytospin_bsst265/train", "histology_tnbc/train", "tissue_codex_expert/train",
    "tissue_cellbindb_demo/train", "cells_junctions_mdck_zo1/train", "bacteria_ecoli_colicoords/train",
)  # fmt: skip
"""Sets that a shipped model has learned from since the numbers were chosen. What stands beside them (".../val") stays
divided by checksums, since some of it has been chosen on."""

ONLY_REPORTED = "em_membranes_isbi2012"
CLASSES = ("axons_sem", "em_membranes_isbi2012")
FOUR_CORNERS = ("cells_phase_t98g", "axons_sem", "tissue_codex_expert")
"""Sets of few, large images, of which the four corners are taken instead of the middle."""

GOOD, BAD, SOME, AS_GOOD = 0.6, 0.2, 0.2, 0.02
SMALLEST_PIECE = 60
"""Pixels of a piece of class 1 that counts as an object."""


@dataclass(frozen=True, eq=False)
class Case:
    """A field with the objects in it; `name` is that of its file."""

    kind: str
    name: str
    field: Field
    truth: NDArray[np.int32]


def half_of(folder: str, path: Path) -> str:
    """Return the half, "choose" or "report", that an image belongs to."""
    if folder == ONLY_REPORTED:
        return "report"
    if folder in LEARNED:
        return "choose"
    if folder in UNSEEN:
        return "report" if path.stem.startswith(UNSEEN[folder]) else "choose"
    return "report" if zlib.crc32(path.name.encode()) % 2 else "choose"


def kind_of(folder: str, path: Path) -> str:
    """Return the kind of an image: its set, and what begins its name where a set holds several."""
    first = folder.split("/")[0].replace("_more", "")
    return f"{first} {path.stem.split('_')[0]}" if first.startswith(("nuclei_dsb", "bacteria")) else first


def cases(data: Path, half: str, most: int) -> Iterator[Case]:
    """Yield the fields of a half."""
    count: dict[str, int] = defaultdict(int)
    for folder in SETS:
        for path in sorted((data / folder / "images").glob("*.tif")):
            kind = kind_of(folder, path)
            if half_of(folder, path) != half or count[kind] >= most:
                continue
            count[kind] += 1
            image = read_image(path)
            truth = image.canonical_labels(read_labels(data / folder / "labels" / path.name))[0]
            for middle in _middles(image.space[1:], kind):
                yield _case(kind, path.name, replace(image, source=None), truth, middle)


def _middles(shape: tuple[int, ...], kind: str) -> Iterator[tuple[int, int]]:
    height, width = shape
    if kind not in FOUR_CORNERS or min(shape) < 1.4 * DEFAULT_MODEL_CHOICE.field_width:
        yield height // 2, width // 2
        return
    for y in (0, height):
        for x in (0, width):
            yield y, x


def _case(kind: str, name: str, image: Any, truth: NDArray[Any], middle: tuple[int, int]) -> Case:
    field = field_of(image, (0, image.size("Z") // 2, *map(float, middle)))
    height, width = field.image.space[1:]
    y, x = (
        min(max(0, at - size // 2), n - size)
        for at, size, n in zip(middle, (height, width), truth.shape[1:], strict=True)
    )
    depth = field.image.size("Z")
    z = image.size("Z") // 2 - field.plane
    objects = truth[z : z + depth, y : y + height, x : x + width]
    objects = objects if field.image.is_volume else objects[0]
    if kind in CLASSES:
        objects = _pieces(objects)
    return Case(kind, name, field, objects.astype(np.int32))


def _pieces(classes: NDArray[Any]) -> NDArray[np.int32]:
    pieces = pieces_of_classes(classes == 1)
    large = np.bincount(pieces.ravel()) >= SMALLEST_PIECE
    large[0] = False
    return np.where(large[pieces], pieces, 0).astype(np.int32)


def segmented(case: Case, name: str) -> tuple[float, bool]:
    """Return the AP at IoU 0.50 that a model reaches on a field, and whether the window doubts the result.

    A model of classes is scored where its own classes are labelled; on other fields it has found no objects.
    """
    model, image = load_model(name), case.field.image
    result = segment(image, model, device="cpu", keep_maps=True)
    labels, maps = result.labels, result.maps
    assert maps is not None
    if model.info.finds_objects:
        z = slice(None) if model.info.spec.ndim == 3 else case.field.plane
        ids = image.canonical_labels(labels)[0]
        doubted = not seems_right(maps[:, 0, z], ids[z], model.info, result.task.zoom)
    elif case.kind == "axons_sem":
        labels, doubted = _pieces(labels), False
    else:
        return 0.0, False
    return float(evaluate([case.truth], [labels.astype(np.int32)]).to_dict()["ap"]["0.50"]), doubted


def judged(scores: Mapping[str, float], found: Mapping[str, tuple[float, bool]]) -> dict[str, list[bool]]:
    """Return what a field adds to the figures, as lists of true and false."""
    first, best = max(scores, key=lambda name: scores[name]), max(ap for ap, _ in found.values())
    own = {name for name, (ap, _) in found.items() if ap >= best - AS_GOOD} if best >= SOME else set()
    clearly = DEFAULT_MODEL_CHOICE.clearly_better
    objects = [found[name] for name in found if load_model(name).info.finds_objects]
    return {
        "right first": [first in own] if own else [],
        "false alarms": [doubted for ap, doubted in objects if ap > GOOD],
        "hits": [doubted for ap, doubted in objects if ap < BAD],
        "wrong advice": [first not in own and scores[first] - scores[name] >= clearly for name in own],
    }


def interval(right: int, n: int) -> list[float]:
    """Return the 95 % interval of a share (Wilson's)."""
    if not n:
        return [0.0, 1.0]
    z, share = 1.96, right / n
    middle, half = share + z * z / (2 * n), z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return [round(max(0.0, (middle + sign * half) / (1 + z * z / n)), 3) for sign in (-1, 1)]


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of some fields: how many of how many, as a share, with its interval."""
    found: dict[str, Any] = {"fields": len(rows), "objects": sum(row["objects"] for row in rows)}
    for name in ("right first", "false alarms", "hits", "wrong advice"):
        told = [bool(value) for row in rows for value in row["judged"][name]]
        if told:
            yes = sum(told)
            found[name] = {
                "of": len(told),
                "n": yes,
                "share": round(yes / len(told), 3),
                "95 %": interval(yes, len(told)),
            }
    return found


def run(data: Path, half: str, most: int = MOST) -> dict[str, Any]:
    """Try all shipped models on all fields of a half."""
    rows = []
    for case in cases(data, half, most):
        names = [name for name in models_for(case.field.image) if name in SHIPPED]
        trials = ranked(list(try_models(case.field, names, device="cpu")))
        scores = {trial.name: trial.score for trial in trials}
        found = {trial.name: segmented(case, trial.name) for trial in trials}
        row = {
            "kind": case.kind, "name": case.name, "objects": len(np.unique(case.truth)) - 1,
            "estimated": {name: round(value, 3) for name, value in scores.items()},
            "AP": {name: round(ap, 3) for name, (ap, _) in found.items()},
            "doubted": [name for name, (_, doubted) in found.items() if doubted],
            "judged": judged(scores, found),
        }  # fmt: skip
        _tell(row)
        rows.append(row)
    kinds = {str(row["kind"]) for row in rows}
    figures = {kind: summed([row for row in rows if row["kind"] == kind]) for kind in sorted(kinds)}
    figures["all"] = summed(rows)
    for kind, row in figures.items():
        print(f"{kind:>26} {row}", flush=True)
    for row in rows:
        del row["judged"]
    return {"half": half, "policy": DEFAULT_MODEL_CHOICE.model_dump(), "kinds": figures, "each": rows}


def _tell(row: Mapping[str, Any]) -> None:
    """Print a field: of each model the estimate, the AP, and "?" where the result is doubted."""
    each = [
        f"{name} {value:.2f} ({row['AP'][name]:.2f}{'?' * (name in row['doubted'])})"
        for name, value in row["estimated"].items()
    ]
    print(f"  {row['kind']:>24} {row['name']:34} {'  '.join(each)}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", choices=("choose", "report"), default="report")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--images", type=int, default=MOST, help="most images of a kind; with fewer no result is written"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = run(arguments.data, arguments.half, arguments.images)
    if arguments.half == "report" and arguments.images == MOST:
        write_result("which_model", found)


if __name__ == "__main__":
    main()
