"""How early the walk for classes comes to what is wrong, and what it costs.

    napari-unet benchmark where_next --data DATA

DATA: see `recipes/nuclei.py`. A model segments validation images, which nothing was chosen on; those of one kind are
laid side by side, as if they were one large image. True errors are those that the simulated annotator would mend
(`evaluation/annotator.py`): objects missed, spurious, merged, split, or with an outline that is off. Somebody goes to
one place after another and sees what lies less than 48 pixels from its middle. Reported are, for each order of places:

- the share of the errors, and of the seconds that correcting them takes, found after 10 places
- the mean of these shares over the first 40 places (the area under the curve)
- how many of the first 10 places show no error

Orders: `program`; `patches`, the network's uncertainty in cells without the thin lines along outlines;
`uncertainty`, all of it; `objects`, where most of them are; and places drawn at random.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch

from napari_unet import load_model, segment
from napari_unet.corrections.corrections import Corrections
from napari_unet.corrections.reviewing import checked_squares
from napari_unet.guidance.expected_cost import halved
from napari_unet.guidance.ranking import CELL, MIN_SPACING, cells_around
from napari_unet.guidance.where_next import Attention, uncertainty_by_cell
from napari_unet_benchmarks.annotator_model import Annotator, Kind
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.models.model import Model

SEEN, PLACES, FIRST, DRAWS = 48, 40, 10, 20
PHASE = ("06", "23", "37")
SETS: dict[str, tuple[str, str, str | tuple[str, ...]]] = {
    "nuclei, fluorescence": ("nuclei", "nuclei_dsb2018/val", "fluorescence"),
    "nuclei, histology": ("nuclei", "nuclei_dsb2018/val", "histology"),
    "nuclei, brightfield": ("nuclei", "nuclei_dsb2018/val", "brightfield"),
    "nuclei, BBBC039": ("nuclei", "nuclei_bbbc039/val", ""),
    "cells_phase, T98G": ("cells_phase", "cells_phase_t98g", PHASE),
}


@dataclass(frozen=True, eq=False)
class Shown:
    """A segmented image, where it lies in the large one, and what is wrong there: (y, x, seconds), and the kinds."""

    maps: np.ndarray
    labels: np.ndarray
    corner: tuple[int, int]
    errors: np.ndarray
    kinds: list[Kind]

    @property
    def region(self) -> tuple[slice, slice, slice]:
        """Pixels (Z, Y, X) in the large image."""
        y, x = (slice(first, first + n) for first, n in zip(self.corner, self.labels.shape, strict=True))
        return slice(0, 1), y, x


def laid_out(sizes: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return the corners of images in rows, on the grid of cells, and the size of them all."""
    cells = [tuple(-(-n // CELL) * CELL for n in size) for size in sizes]
    width = max(*(w for _, w in cells), int(sum(h * w for h, w in cells) ** 0.5))
    y = x = height = 0
    corners = []
    for h, w in cells:
        if x + w > width:
            y, x, height = y + height, 0, 0
        corners.append((y, x))
        x, height = x + w, max(height, h)
    return corners, (y + height, width)


def segmented(model: Model, folder: Path, names: str | tuple[str, ...]) -> tuple[list[Shown], tuple[int, int]]:
    """Segment the images of a folder whose names begin so, and lay them out."""
    paths = [path for path in sorted((folder / "images").glob("*.tif")) if path.name.startswith(names)]
    images = [tifffile.imread(path) for path in paths]
    corners, size = laid_out([image.shape[:2] for image in images])
    shown = []
    for path, image, corner in zip(paths, images, corners, strict=True):
        axes = "YXC" if image.ndim == 3 else "YX"
        result = segment(image, model, axes=axes, device="cpu", keep_maps=True)
        assert result.maps is not None  # they were asked for
        maps, labels = (part.reshape(*part.shape[:-4], *image.shape[:2]) for part in (result.maps, result.labels))
        edits = Annotator(tifffile.imread(folder / "labels" / path.name).astype(np.int32)).edits(labels)
        errors = [(*np.argwhere(edit.pixels).mean(0) + corner, edit.seconds) for edit in edits]
        shown.append(Shown(maps, labels, corner, np.reshape(errors, (-1, 3)), [edit.kind for edit in edits]))
    return shown, size


def program(shown: list[Shown], size: tuple[int, int]) -> Iterator[tuple[float, float]]:
    """Yield the program's places, the best first."""
    attention = Attention((1, 1, *size))
    for image in shown:
        outputs = ("foreground", "distance")
        attention.take(uncertainty_by_cell(image.maps[:, None], image.labels[None], outputs, 0, image.region), program)
    never = partial(checked_squares, Corrections((1, 1, *size)), np.zeros((1, 1, *size), np.int32), width=CELL)
    while (place := attention.next_suggestion((0, 0), never)) is not None and not place.again:
        yield place.y, place.x


def at_random(rng: np.random.Generator, image: Shown) -> np.ndarray:
    """Return a score of each cell that tells nothing."""
    return rng.uniform(0.1, 1, per_cell(image.maps[0]).shape)


def by_cells(
    shown: list[Shown], size: tuple[int, int], score: Callable[[Shown], np.ndarray]
) -> Iterator[tuple[float, float]]:
    """Yield places in the order of a score of each cell, as far apart as the program's."""
    scores = np.full(tuple(-(-n // CELL) for n in size), -np.inf)
    for image in shown:
        cells = score(image)
        row, column = (first // CELL for first in image.corner)
        scores[row : row + len(cells), column : column + cells.shape[1]] = cells
    while np.isfinite(best := scores.max()) and best > 0:
        row, column = map(int, np.unravel_index(int(scores.argmax()), scores.shape))
        yield CELL * row + (CELL - 1) / 2, CELL * column + (CELL - 1) / 2
        scores[cells_around((0, 0, row, column), MIN_SPACING)[2:]] = -np.inf


def per_cell(pixels: np.ndarray, width: int = CELL) -> np.ndarray:
    """Return the sums over cells."""
    for axis in (0, 1):
        pixels = np.add.reduceat(pixels, np.arange(0, pixels.shape[axis], width), axis=axis)
    return pixels


def uncertainty(image: Shown) -> np.ndarray:
    """Return the uncertainty of each pixel, 0..1, summed."""
    return per_cell(1 - np.abs(2 * image.maps[0].astype(float) - 1))


def patches(image: Shown) -> np.ndarray:
    """Return the least uncertainty within blocks of 2 x 2 pixels, summed."""
    return per_cell(1 - halved(np.abs(2 * image.maps[:1] - 1), np.maximum)[0], CELL // 2)


def objects(image: Shown) -> np.ndarray:
    """Count objects, each by the share of its pixels."""
    sizes = np.bincount(image.labels.ravel())
    return per_cell(np.where(image.labels > 0, 1 / sizes[image.labels], 0))


def marks(places: Iterator[tuple[float, float]], shown: list[Shown]) -> dict[str, float]:
    """Return what is found at the places."""
    errors, kinds = np.concatenate([i.errors for i in shown]), np.array([k.value for i in shown for k in i.kinds])
    when = np.full(len(errors), PLACES)  # the place at which each error is seen first
    for number, place in zip(range(PLACES), places, strict=False):
        seen = (np.abs(errors[:, :2] - place) <= SEEN).all(1)
        when[seen] = np.minimum(when[seen], number)
    early, seconds = when < FIRST, errors[:, 2]
    area = (PLACES - when) / PLACES
    return {
        "errors of the first 10": float(early.mean()),
        "seconds of the first 10": float(seconds[early].sum() / seconds.sum()),
        "area, errors": float(area.mean()),
        "area, seconds": float((area * seconds).sum() / seconds.sum()),
        "empty of the first 10": float(FIRST - len(np.unique(when[early]))),
        **{f"{kind} of the first 10": float(early[kinds == kind].mean()) for kind in sorted(set(kinds.tolist()))},
    }


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the means of some rows."""
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def cost(shape: tuple[int, int, int]) -> dict[str, float]:
    """Return the seconds that a worker takes for the cells of a result, and the window for a place; medians of 5."""
    step, wide = 40, np.hypot(*(np.mgrid[:40, :40] - 19.5))
    rows, columns = (-(-n // step) for n in shape[1:])
    middle = np.tile(np.clip(1 - wide / 14, 0, 1).astype(np.float32), (rows, columns))[: shape[1], : shape[2]]
    ids = np.kron(
        np.arange(1, rows * columns + 1, dtype=np.int32).reshape(rows, columns), np.ones((step, step), np.int32)
    )
    noise = np.random.default_rng(0).uniform(0.6, 1, shape).astype(np.float32)
    maps = np.stack([np.clip(3 * middle, 0, 1) * noise, np.broadcast_to(middle, shape)])
    labels = np.ascontiguousarray(np.broadcast_to(ids[: shape[1], : shape[2]] * (middle > 0.2), shape))
    attention, corrections = Attention((1, *shape)), Corrections((1, *shape))
    corrections.prediction[0] = labels
    settled = partial(checked_squares, corrections, labels[None], width=CELL)
    depth, height, width = shape
    whole = slice(0, depth), slice(0, height), slice(0, width)
    seconds: dict[str, list[float]] = {"cells of a result": [], "next place": [], "next place, all reviewed": []}
    for _ in range(5):
        begin = time.perf_counter()
        found = uncertainty_by_cell(maps, labels, ("foreground", "distance"), 0, whole)
        seconds["cells of a result"].append(time.perf_counter() - begin)
        attention.take(found, cost)
        for name in ("next place", "next place, all reviewed"):
            corrections.reviewed[:] = name.endswith("reviewed")
            begin = time.perf_counter()
            attention.next_suggestion((0, 0), settled)
            seconds[name].append(time.perf_counter() - begin)
    return {name: round(float(np.median(values)), 4) for name, values in seconds.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures: dict[str, object] = {}
    for name, (model, folder, names) in SETS.items():
        shown, size = segmented(load_model(model), arguments.data / folder, names)
        kinds = [kind.value for image in shown for kind in image.kinds]
        count = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        print(f"\n{name}: {len(shown)} images, {len(kinds)} errors {count}")
        ranked = {"program": [program(shown, size)]}
        ranked |= {f.__name__: [by_cells(shown, size, f)] for f in (patches, uncertainty, objects)}
        seeds = map(np.random.default_rng, range(DRAWS))
        ranked["random"] = [by_cells(shown, size, partial(at_random, rng)) for rng in seeds]
        rows = {way: mean([marks(places, shown) for places in orders]) for way, orders in ranked.items()}
        for way, row in rows.items():
            print(f"  {way:<12} {row}")
        figures[name] = {"images": len(shown), "errors": count, "ways": rows}
    costs = {" x ".join(map(str, shape)): cost(shape) for shape in ((1, 4096, 4096), (64, 512, 512))}
    print(costs)
    write_result("where_next", {"places": PLACES, "seen": SEEN, "sets": figures, "seconds": costs})


if __name__ == "__main__":
    main()
