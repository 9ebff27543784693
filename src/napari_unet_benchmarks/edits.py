"""How well one gesture splits an object or adds a missing one.

    napari-unet benchmark edits --data DATA [--objects 100]

DATA: see `recipes/README.md`. Models segment validation images, which nothing was chosen on, and the gestures get the
maps that come of it. The labels are the true ones, so that each gesture has one error to mend (pieces that lie apart
are objects of their own: in one image of tissue an id stands for several nuclei):

- *split*: two true objects that touch are made one, with the seam between them. A hand clicks in each, at random where
  a pixel lies at least 0.4 times as deep as the deepest; draws a line along the border, shifted by a tenth of the
  smaller one's width and turned by 10 degrees (standard deviations); or asks for the object to be cut free.
- *add*: a true object is taken away, and a hand points into it in the same way. *scrolled*: the best of 4 steps either
  way, as a person would take it. *prediction*: the best match among the objects that the model finds by itself.

An edit is right where every object that it makes has an intersection over union of at least 0.75 with the true one.
Shares are given with 95 % intervals (Wilson 1927), over all objects, and over those that the model got wrong: pairs of
which it made one object, and objects that no object of its own matches with an IoU of 0.5. Beside the gestures: a
watershed of the distance map from the same clicks, the same clicks without maps, and the line cut where it was drawn.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import expand_labels, watershed

from napari_unet import load_model, segment
from napari_unet.errors import EditError
from napari_unet.objects.adding import suggested
from napari_unet.objects.boxes import box_around, grown
from napari_unet.objects.maps import Maps
from napari_unet.objects.splitting import cut_free, split_by_line, split_by_seeds
from napari_unet.objects.stitch import best_matches
from napari_unet_benchmarks.intervals import share_interval
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_unet.models.model import Model

SETS = {
    "nuclei, BBBC039": ("nuclei", "nuclei_bbbc039/val", ("",)),
    "nuclei, tissue": ("nuclei", "nuclei_tissue_bsst265/val", ("",)),
    "cells_phase, T98G": ("cells_phase", "cells_phase_t98g", ("06", "23", "37")),
}
RIGHT = 0.75
SEAM = 1.5
"""Objects touch if they do when each is grown by so many pixels: in some data sets a line of background parts them."""

DEEP, SHIFT, TURN = 0.4, 0.1, 10.0
"""The hand: how deep it clicks, and how far off it draws, by the width of an object and in degrees."""

STEPS = range(-4, 5)
MIN_PIXELS = 20
"""Pixels of the smallest objects that are taken."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """An image of a set: the truth and the prediction, axes (Y, X), the maps (K, Y, X), and their threshold."""

    truth: NDArray[np.int32]
    prediction: NDArray[np.int32]
    maps: Maps
    foreground: float = 0.5

    @property
    def typical_size(self) -> float:
        """Median size of the true objects, pixels."""
        sizes = np.bincount(self.truth.ravel())[1:]
        return float(np.median(sizes[sizes > 0]))

    def touching(self) -> list[tuple[int, int]]:
        """Return the pairs of true objects that touch along four pixels or more."""
        wide, found = expand_labels(self.truth, SEAM), []
        for axis in (0, 1):
            lines = np.moveaxis(wide, axis, 0)
            both = np.sort(np.stack([lines[:-1].ravel(), lines[1:].ravel()]), axis=0)
            found.append(both[:, (both[0] != both[1]) & (both[0] > 0)])
        pairs, counts = np.unique(np.concatenate(found, axis=1), axis=1, return_counts=True)
        sizes = np.bincount(self.truth.ravel())
        return [
            (int(a), int(b))
            for (a, b), n in zip(pairs.T, counts, strict=True)
            if n >= 4 and min(sizes[[a, b]]) >= MIN_PIXELS
        ]


def segmented(model: Model, folder: Path, names: tuple[str, ...]) -> list[Segmented]:
    """Segment the images of a folder whose names begin so."""
    found = []
    for path in sorted((folder / "images").glob("*.tif")):
        if path.name.startswith(names):
            image = tifffile.imread(path)
            result = segment(image, model, axes="YXC" if image.ndim == 3 else "YX", device="cpu", keep_maps=True)
            assert result.maps is not None
            shape = image.shape[:2]
            values = result.maps.reshape(-1, *shape).astype(np.float16)
            maps = Maps(values, model.info.outputs, result.task.zoom)
            truth = label(tifffile.imread(folder / "labels" / path.name), background=0, connectivity=2).astype(np.int32)
            found.append(Segmented(truth, result.labels.reshape(shape), maps, model.info.decoding.foreground))
    return found


class Hand:
    """Where somebody clicks and draws, who sees the true objects."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def click(self, mask: NDArray[np.bool_]) -> tuple[int, int]:
        """Return a point somewhere about the middle of an object, (y, x)."""
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = self.rng.choice(np.argwhere(depth >= DEEP * depth.max()))
        return int(y), int(x)

    def line(self, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the ends of a line between two objects, axes (2, 2)."""
        away = [ndimage.distance_transform_edt(~mask) for mask in (one, other)]
        border = np.argwhere((abs(away[0] - away[1]) <= 1) & (away[0] < 4) & (away[1] < 4))
        middle = border.mean(0)
        across = np.argwhere(other).mean(0) - np.argwhere(one).mean(0)
        across /= np.hypot(*across)
        along = np.array([-across[1], across[0]])
        if len(border) > 3 and np.hypot(*np.ptp(border, axis=0)) >= 4:
            along = np.linalg.eigh(np.cov((border - middle).T))[1][:, -1]
        reach = max(3.0, float(abs((border - middle) @ along).max()) + 3)
        turn = self.rng.normal(0, math.radians(TURN))
        along = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ along
        middle = middle + across * self.rng.normal(0, SHIFT * math.sqrt(min(one.sum(), other.sum())))
        return np.array([middle - reach * along, middle + reach * along])


@dataclass(frozen=True, eq=False)
class Pair:
    """Two true objects made one, axes (Y, X), and what a hand does about it."""

    labels: NDArray[np.int32]
    maps: Maps
    ids: tuple[int, int]
    true: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    clicks: tuple[list[tuple[int, int]], list[tuple[int, int]]]
    line: NDArray[np.float64]
    new_id: int

    @classmethod
    def of(cls, image: Segmented, ids: tuple[int, int], hand: Hand) -> Pair:
        """Merge two objects and the seam between them."""
        first, second = (image.truth == i for i in ids)
        seam = np.isin(expand_labels(image.truth, SEAM), ids) & (image.truth == 0)
        seam &= ndimage.binary_closing(first | second, np.ones((3, 3), bool), iterations=2)
        labels = np.where(first | second | seam, ids[0], image.truth)
        clicks = [hand.click(first)], [hand.click(second)]
        line, new_id = hand.line(first, second), int(labels.max()) + 1
        return cls(labels, image.maps, ids, (first, second), clicks, line, new_id)

    def score(self, after: NDArray[np.int32]) -> float:
        """Return the intersection over union of the worse of the two objects that are in the labels after an edit."""
        parts = [after == i for i in (self.ids[0], *range(self.new_id, int(after.max()) + 1))]
        return min(max(_iou(part, mask) for part in parts) for mask in self.true)

    def by_clicks(self) -> NDArray[np.int32]:
        """Click in each."""
        return split_by_seeds(self.labels, self.maps, self.clicks, self.new_id).applied(self.labels)

    def by_line(self) -> NDArray[np.int32]:
        """Draw a line across."""
        return split_by_line(self.labels, self.maps, self.line, self.new_id).applied(self.labels)

    def free(self) -> NDArray[np.int32]:
        """Cut the object free."""
        return cut_free(self.labels, self.maps, self.ids[0], self.new_id).applied(self.labels)

    def by_clicks_without_maps(self) -> NDArray[np.int32]:
        """Click in each, where no maps are kept."""
        return split_by_seeds(self.labels, None, self.clicks, self.new_id).applied(self.labels)

    def by_watershed(self) -> NDArray[np.int32]:
        """Flood the distance map from the clicks."""
        mask = self.labels == self.ids[0]
        box = box_around(mask)
        assert box is not None
        box = grown(box, 4, mask.shape)
        near = self.maps.within(box)
        middles, seeds = near.middles(), np.zeros(mask[box].shape, np.int32)
        assert middles is not None
        for number, ((y, x),) in enumerate(self.clicks, start=1):
            seeds[y - box[0].start, x - box[1].start] = number
        parts = watershed(-ndimage.gaussian_filter(middles, near.in_pixels(1.0)), seeds, mask=mask[box])
        result = self.labels.copy()
        result[box][parts == 2] = self.new_id
        return result

    def as_drawn(self) -> NDArray[np.int32]:
        """Cut along the line."""
        edit = split_by_line(self.labels, self.maps, self.line, self.new_id, band=0.01)
        return edit.applied(self.labels)


SPLITS: dict[str, Callable[[Pair], NDArray[np.int32]]] = {
    "two clicks": Pair.by_clicks,
    "line across": Pair.by_line,
    "cut free": Pair.free,
    "two clicks, no maps": Pair.by_clicks_without_maps,
    "two clicks, watershed": Pair.by_watershed,
    "line, cut as drawn": Pair.as_drawn,
}


def splits(images: list[Segmented], count: int, hand: Hand) -> dict[str, Any]:
    """Merge pairs of true objects and split them again in several ways."""
    every = [(image, pair) for image in images for pair in image.touching()]
    table = Table()
    for index in hand.rng.permutation(len(every))[:count]:
        image, ids = every[index]
        pair = Pair.of(image, ids, hand)
        first, second = (int(np.bincount(image.prediction[mask]).argmax()) for mask in pair.true)
        for name, way in SPLITS.items():
            begin = time.perf_counter()
            try:
                score = pair.score(way(pair))
            except EditError:
                score = 0.0
            table.take(name, score, time.perf_counter() - begin, wrong=first == second > 0)
    return table.figures()


def additions(images: list[Segmented], count: int, hand: Hand) -> dict[str, Any]:
    """Take true objects away and point at where they were."""
    every = []
    for image in images:
        sizes = np.bincount(image.truth.ravel())
        matches = best_matches(image.truth, image.prediction)
        every += [(image, i, share) for i, (share, _) in matches.items() if sizes[i] >= MIN_PIXELS]
    missed = [entry for entry in every if entry[2] < 0.5]
    table = Table()
    for group, wrong in ((every, False), (missed, True)):
        for index in hand.rng.permutation(len(group))[:count]:
            image, true_id, share = group[index]
            true = image.truth == true_id
            labels, point, size = np.where(true, 0, image.truth), hand.click(true), image.typical_size
            for name, steps in (("point", range(1)), ("point, scrolled", STEPS)):
                begin = time.perf_counter()
                found = [
                    suggested(image.maps, labels, point, size, foreground=image.foreground, grow=step) for step in steps
                ]
                seconds = (time.perf_counter() - begin) / len(steps)
                score = max((_iou_in(s.box, s.mask, true) for s in found if s is not None), default=0.0)
                table.take(name, score, seconds, wrong, everyone=not wrong)
            table.take("prediction", share, 0.0, wrong, everyone=not wrong)
    return table.figures()


class Table:
    """What came of the edits, by name: intersections over union, and which of them were of errors of the model."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[float, bool, bool]]] = {}
        self.seconds: dict[str, list[float]] = {}

    def take(self, name: str, score: float, seconds: float, wrong: bool, everyone: bool = True) -> None:
        """Note an edit: how good it is, and whether the object is one that the model got wrong, or one of all."""
        self.rows.setdefault(name, []).append((score, wrong, everyone))
        self.seconds.setdefault(name, []).append(seconds)

    def figures(self) -> dict[str, Any]:
        """Return the shares that are right."""
        result: dict[str, Any] = {}
        for name, rows in self.rows.items():
            values, wrong, everyone = (np.array(column) for column in zip(*rows, strict=True))
            result[name] = {
                "all": share_right(values[everyone.astype(bool)]),
                "the model's errors": share_right(values[wrong.astype(bool)]),
                "milliseconds": round(1000 * float(np.median(self.seconds[name])), 1),
            }
        return result


def share_right(values: NDArray[np.float64]) -> dict[str, Any]:
    """Return the share that reaches the intersection over union that counts, with a 95 % interval, and the mean."""
    n = len(values)
    if not n:
        return {"objects": 0}
    right = values >= RIGHT
    low, high = share_interval(int(right.sum()), n)
    return {
        "objects": n,
        "right": round(float(right.mean()), 3),
        "from": low,
        "to": high,
        "mean iou": round(float(values.mean()), 3),
    }


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _iou_in(box: tuple[slice, ...], mask: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    shared = int((mask & true[box]).sum())
    return shared / (int(mask.sum()) + int(true.sum()) - shared)


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    for kind, ways in figures.items():
        for way, row in ways.items():
            parts = []
            for group in ("all", "the model's errors"):
                found = row[group]
                if found["objects"]:
                    parts.append(
                        f"{group} {found['right']:.2f} ({found['from']:.2f} to {found['to']:.2f}, n {found['objects']})"
                    )
            yield f"  {kind:<6} {way:<22} {'  '.join(parts)}  {row['milliseconds']} ms"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=100, help="most objects of a kind (default 100)")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures: dict[str, Any] = {}
    for name in arguments.only:
        model, folder, names = SETS[name]
        images = segmented(load_model(model), arguments.data / folder, names)
        hand = Hand()
        figures[name] = {
            "images": len(images),
            "split": splits(images, arguments.objects, hand),
            "add": additions(images, arguments.objects, hand),
        }
        print(f"\n{name}: {len(images)} images", flush=True)
        for line in _lines({kind: figures[name][kind] for kind in ("split", "add")}):
            print(line, flush=True)
    if arguments.only == list(SETS):
        write_result("edits", {"right from": RIGHT, "sets": figures})


if __name__ == "__main__":
    main()
