"""Object size found on the image itself: what it gains where objects are wide or small, and what it costs.

    napari-unet benchmark object_size --data DATA [--only PART ...] [--smoke]

DATA: see `recipes/nuclei.py`. Validation images of nuclei (of fluorescence every second) are made 0.5 to 4 times as
large (of large results the middle 512 x 512 pixels are taken) and segmented in three ways:

- `as it is`: at the image's own scale
- `found`: by the diameter that the model finds on the image, which is what happens where nothing is known of its scale
- `given`: by the median diameter of the labels

and as they come, whole, in the first two ways; fields of phase contrast, for which the model has a diameter of its own,
in that way too, also those that it learned from or was chosen on. AP is pooled over all images whose labels have the
same median diameter, within bins. Then it is timed on images of some sizes, in turn with segmenting them. `--only`:
some of this, the rest stays in the file as it is. `--smoke`: two images, to see that it runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tifffile
import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.axes import Image
from napari_unet.inference.diameter import find_diameter
from napari_unet.objects.size import diameters
from napari_unet.tiling.scaled import resized
from napari_unet_benchmarks.report import in_turn, ratio
from napari_unet_benchmarks.results import RESULTS, write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.models.model import Model

FACTORS = (0.5, 1.0, 2.0, 3.0, 4.0)
SCORED_WIDTH = 512
"""Width, in pixels, of what is scored of a rescaled image."""
MIN_OBJECTS = 3
"""Objects that an image has to show, to count as one of their diameter."""
BINS = (0, 8, 11, 16, 24, 34, 48, 64, 90, 130, 1000)
PHASE = {"val": ("06", "23", "37"), "learned": ("01", "03", "12", "14", "17", "28", "34"), "chosen": ("26", "39")}
"""Fields of `recipes/cells_phase.py`."""
PARTS = ("rescaled", "as they come", "phase contrast", "cost")
SIZES = (256, 512, 1024)
HUGE = 4096


@dataclass(frozen=True)
class Sample:
    """An image with its labels; `wide` is their median diameter, pixels."""

    kind: str
    image: np.ndarray
    labels: np.ndarray
    wide: float


def sample(kind: str, image: np.ndarray, labels: np.ndarray) -> Sample | None:
    """Return an image with its labels; none where these show too few objects."""
    widths = diameters(labels)
    return Sample(kind, image, labels, float(np.median(widths))) if len(widths) >= MIN_OBJECTS else None


def read(folder: Path, kind: str = "") -> list[Sample]:
    """All images of a folder with their labels; the kind begins the file's name, or is given."""
    found = []
    for path in sorted((folder / "images").glob("*.tif")):
        labels = tifffile.imread(folder / "labels" / path.name).astype(np.int32)
        found.append(sample(kind or path.name.split("_")[0], tifffile.imread(path), labels))
    return [one for one in found if one is not None]


def rescaled(one: Sample, factor: float, most: int) -> Sample | None:
    """Return the middle of an image, made larger or smaller."""
    size = round(most / factor)
    box = tuple(slice(max(0, (n - size) // 2), max(0, (n - size) // 2) + size) for n in one.labels.shape)
    image, labels = one.image[box], one.labels[box]
    shape = [round(n * factor) for n in labels.shape]
    if factor != 1:
        channels = image.transpose(2, 0, 1) if image.ndim == 3 else image[None]
        image = resized(channels.astype(np.float32), shape)
        image = image.transpose(1, 2, 0) if len(image) > 1 else image[0]
        places = [((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, labels.shape, strict=True)]
        labels = labels[np.ix_(*places)]
    return sample(one.kind, image, labels)


def segmented(one: Sample, model: Model, diameter: float | Literal["auto"] | None) -> tuple[np.ndarray, float | None]:
    """Labels of an image, and the diameter that was found on it."""
    axes = "YXC" if one.image.ndim == 3 else "YX"
    result = segment(one.image, model, axes=axes, diameter=diameter, device="cpu")
    return result.labels.astype(np.uint16), result.task.image.found_diameter


class Table:
    """Predictions of several ways, pooled by group."""

    def __init__(self) -> None:
        self._truth: dict[str, list[np.ndarray]] = {}
        self._found: dict[tuple[str, str], list[np.ndarray]] = {}

    def add(self, group: str, truth: np.ndarray, ways: dict[str, np.ndarray]) -> None:
        """Add an image."""
        self._truth.setdefault(group, []).append(truth.astype(np.uint16))
        for way, labels in ways.items():
            self._found.setdefault((group, way), []).append(labels)

    def rows(self, groups: list[str]) -> dict[str, Any]:
        """AP by group and way, pooled over its images."""
        rows: dict[str, Any] = {}
        for group in (name for name in groups if name in self._truth):
            rows[group] = {"images": len(self._truth[group])}
            for name, way in self._found:
                if name == group:
                    scores = evaluate(self._truth[group], self._found[name, way]).to_dict()
                    rows[group]["objects"] = scores["n_truth"]
                    rows[group][way] = {iou: round(scores["ap"][iou], 4) for iou in ("0.50", "0.75")}
            ways = "  ".join(f"{way} {row['0.50']:.3f}/{row['0.75']:.3f}" for way, row in rows[group].items()
                             if isinstance(row, dict))  # fmt: skip
            print(f"  {group:>22} {rows[group]['images']:4} images  {ways}", flush=True)
        return rows


def rescalings(samples: list[Sample], model: Model, factors: tuple[float, ...], most: int) -> dict[str, Any]:
    """Score rescaled images by the diameter of their objects."""
    table, errors = Table(), []
    bins = [f"{a}-{b} px" for a, b in itertools.pairwise(BINS)]
    for original in samples:
        for factor in factors:
            one = rescaled(original, factor, most)
            if one is None:
                continue
            found, diameter = segmented(one, model, None)
            ways = {
                "as it is": segmented(one, model, model.info.diameter)[0],
                "found": found,
                "given": segmented(one, model, one.wide)[0],
            }
            table.add(bins[int(np.searchsorted(BINS, one.wide, "right")) - 1], one.labels, ways)
            table.add("8 to 80 px" if 8 <= one.wide <= 80 else "beyond", one.labels, ways)
            if diameter is not None:
                errors.append(abs(float(np.log2(diameter / one.wide))))
    print("rescaled images, AP at 0.50/0.75")
    rows = table.rows([*bins, "8 to 80 px"])
    right = sum(error <= np.log2(1.5) for error in errors) / max(1, len(errors))
    print(
        f"  found within a factor of 1.5: {right:.2f} of {len(errors)}; median error 2^{statistics.median(errors):.2f}"
    )
    return {
        "by diameter": rows,
        "found on": len(errors),
        "share within a factor of 1.5": round(right, 3),
        "median factor of error": round(2 ** statistics.median(errors), 3),
    }


def originals(samples: list[Sample], model: Model) -> dict[str, Any]:
    """Score images as they come, by kind."""
    table = Table()
    for one in samples:
        ways = {
            "as it is": segmented(one, model, model.info.diameter)[0],
            "found": segmented(one, model, None)[0],
        }
        for group in (one.kind, "all"):
            table.add(group, one.labels, ways)
    print("as they come, AP at 0.50/0.75")
    return table.rows([*sorted({one.kind for one in samples}), "all"])


def phase_fields(data: Path, names: tuple[str, ...]) -> list[Sample]:
    """Return fields of cells in phase contrast."""
    folder, found = data / "cells_phase_t98g", []
    for name in names:
        image, labels = (tifffile.imread(folder / part / f"{name}.tif") for part in ("images", "labels"))
        found.append(sample("T98G", image, labels.astype(np.int32)))
    return [one for one in found if one is not None]


def phase(fields: dict[str, list[Sample]], model: Model) -> dict[str, Any]:
    """Score cells in phase contrast; the model takes them for 60 pixels wide, unless told to find out."""
    table = Table()
    for split, samples in fields.items():
        for original, factor in itertools.product(samples, (0.5, 1.0, 2.0) if split == "val" else (1.0,)):
            one = rescaled(original, factor, round(max(original.labels.shape) * factor))
            if one is not None:
                ways: dict[str, float | Literal["auto"] | None] = {"60 px": None, "found": "auto", "given": one.wide}
                table.add(f"{split}, {factor:g} times as large", one.labels,
                          {way: segmented(one, model, diameter)[0] for way, diameter in ways.items()})  # fmt: skip
    print("phase contrast, AP at 0.50/0.75")
    return table.rows([f"{split}, {factor:g} times as large" for split in PHASE for factor in (0.5, 1.0, 2.0)])


def cost(image: np.ndarray, model: Model, sizes: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """Time finding the diameter, in turn with segmenting at the image's own scale.

    The image is tiled to a size, at scales at which it takes one look or two: at half, at half and full, and at half
    and a quarter of its size.
    """
    rows = []
    for size, factor in itertools.product((*sizes, HUGE), (1.0, 0.5, 2.5)):
        if size == HUGE and factor != 1:
            continue
        part = resized(image[None].astype(np.float32), [round(n * factor) for n in image.shape])[0]
        one = Image(np.tile(part, [-(-size // n) for n in part.shape])[:size, :size], "YX")
        find, whole = partial(find_diameter, one, model, device="cpu"), partial(segment, one, model, device="cpu")
        wide = find()
        calls: dict[str, Callable[[], Any]] = {"find": find} | (
            {} if size == HUGE else {"segment": partial(whole, diameter=model.info.diameter)}
        )
        seconds = in_turn(calls, rounds)
        row: dict[str, Any] = {"size": size, "found": None if wide is None else round(wide, 1)}
        row["find_seconds"] = round(statistics.median(seconds["find"]), 3)
        if size != HUGE:
            row["share_of_segmenting"] = ratio(seconds["find"], seconds["segment"])
        rows.append(row)
        print(f"  {row}", flush=True)
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, cells, data = load_model("nuclei"), load_model("cells_phase"), arguments.data
    nuclei = read(data / "nuclei_dsb2018" / "val")
    others = read(data / "nuclei_bbbc039" / "val", "bbbc039")
    fields = {} if arguments.smoke else {split: phase_fields(data, names) for split, names in PHASE.items()}
    some = [one for one in nuclei if one.kind != "fluorescence"]
    some += [one for one in nuclei if one.kind == "fluorescence"][::2]
    factors: tuple[float, ...] = FACTORS
    sizes: tuple[int, ...] = SIZES
    rounds = 5
    if arguments.smoke:
        nuclei, some, others = nuclei[:2], nuclei[:2], []
        factors, sizes, rounds = FACTORS[1:3], SIZES[:1], 1
    work: dict[str, Callable[[], Any]] = {
        "rescaled": partial(rescalings, some, model, factors, SCORED_WIDTH),
        "as they come": partial(originals, nuclei + others, model),
        "phase contrast": partial(phase, fields, cells),
        "cost": partial(cost, (others or nuclei)[0].image, model, sizes, rounds),
    }
    file = RESULTS / "object_size-cpu.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    figures: dict[str, Any] = {"model": model.name, "sha256": model.sha256()}
    figures |= {part: work[part]() if part in arguments.only else before.get(part) for part in PARTS}
    if not arguments.smoke:
        write_result("object_size", figures)


if __name__ == "__main__":
    main()
