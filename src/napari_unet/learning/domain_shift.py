"""How far a model is from what is wanted of it on some images, and so how much it has to change.

It is *off* if it is wrong about many of the objects, and *astray* if that is so even with outlines aside: then the
images are of another kind than it knows. Where all is labelled, objects are counted; where somebody corrects what is
worst, their areas tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.learning.crops import CropReader, moved, with_context
from napari_unet.learning.held_out import HeldOutRegion, predict_regions
from napari_unet.learning.regression import near_corrections
from napari_unet.objects.stitch import match_ids, mostly_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.corrections.part import Part
    from napari_unet.learning.crops import Box
    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model

NEW_DOMAIN = "another_kind"
"""In the recipe of a model: whether it has learned images of another kind than the first of its line was made for."""


SHARE, LEAST = 1 / 3, 5
"""Many is that share of the objects, and at least so many."""

MIN_SHARE_OF_SEEN, MIN_SHARE_OF_ALL = 2 / 5, 1 / 8
"""Share of the area of the objects near corrections, and of all objects (docs/decisions/0005-holding-on.md)."""

ALIKE = 0.75
"""Intersection over union from which on an outline is right."""

MAX_PIXELS = 2**22
"""Of densely labelled images so many pixels are looked at: a few seconds."""

WIDEST = 1024
"""Pixels along Y and X of one place that is looked at."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How many objects a model is wrong about.

    Attributes
    ----------
    there : int
        Objects that there are, or that it finds.
    wrong : int
        Those of them that it misses, that are none, or of which the outline is wrong.
    missed : int
        Those that it misses, or that are none.
    """

    there: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def off(self) -> bool:
        """Whether many are wrong."""
        return self.wrong >= LEAST and self.wrong >= SHARE * self.there

    @property
    def astray(self) -> bool:
        """Whether many are missed, or are none."""
        return self.missed >= LEAST and self.missed >= SHARE * self.there

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.there + other.there, self.wrong + other.wrong, self.missed + other.missed)


def out_of_domain_by_corrections(parts: Sequence[Part], *, outlines: bool = False) -> bool:
    """Return whether objects that were missed, or none, make up most of what the user has seen while correcting.

    By area, and not by number: on images of another kind a model may find hundreds of specks, of which nobody corrects
    more than a few. A model that misses a few lone objects of a large image is not astray: they must also make up
    something of all that there is.

    Parameters
    ----------
    parts : sequence of Part
    outlines : bool
        Whether an object with a wrong outline counts as one that was missed: for a model that has begun to learn
        another kind of images, outlines are what comes next.
    """
    missed = wrong = near = total = 0
    for part in parts:
        touched, labels, predicted = part.corrections.touched, part.labels, part.corrections.prediction[0]
        if not (part.corrections.instances and touched):
            continue
        same = match_ids(predicted, labels, ALIKE if outlines else 0.5)
        lost = touched & (set(np.unique(labels).tolist()) - {0} - same.keys())
        spurious = touched & (set(np.unique(predicted).tolist()) - {0} - set(same.values()))
        corrected, objects = part.mask("corrected"), (labels > 0) | (predicted > 0)
        missed += len(lost) + len(spurious)
        wrong += int((np.isin(labels, list(lost)) | np.isin(predicted, list(spurious))).sum())
        near += int((objects & (corrected | near_corrections(part, corrected))).sum())
        total += int(objects.sum()) + part.elsewhere
    return missed >= LEAST and wrong >= MIN_SHARE_OF_SEEN * near and wrong >= MIN_SHARE_OF_ALL * total


def errors_on_labels(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None],
    device: torch.device,
) -> Errors:
    """Return how many objects of labelled images a model is wrong about, as far as a few seconds tell.

    Parameters
    ----------
    model : Model
        Of one for classes nothing is told.
    images : sequence of Image
    labels : sequence of ndarray of int, axes (T, Z, Y, X)
    supervised : sequence of ndarray of bool, axes (T, Z, Y, X), or None
        The pixels of which the labels are known; None: all.
    device : torch.device
        Where the network runs.
    """
    if not model.info.finds_objects:
        return Errors()
    exams, pixels = [], 0
    for exam in _places(model, images, labels, supervised):
        exams.append(exam)
        pixels += exam.mask.size
        if pixels >= MAX_PIXELS:
            break
    return sum(map(_count, exams, predict_regions(exams, model, device)), Errors())


def _places(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None],
) -> Iterator[HeldOutRegion]:
    """Yield the planes, or volumes, of which something is known; of a large one, a part."""
    for image, ids, known in zip(images, labels, supervised, strict=True):
        reader, ndim = CropReader(image, model), model.info.spec.ndim
        depth = [slice(None)] if ndim == 3 else [slice(z, z + 1) for z in range(ids.shape[1])]
        for frame, z in ((frame, z) for frame in range(len(ids)) for z in depth):
            mask = np.ones(ids[frame, z].shape, bool) if known is None else known[frame, z]
            if not mask.any():
                continue
            box = _around_known(mask, ndim, reader.pixels)
            truth, here = reader.fit(ids[frame, z][box]), reader.fit(mask[box])
            yield HeldOutRegion(reader.read(frame, moved(box, (z.start or 0, 0, 0))), truth, here)


def _around_known(mask: NDArray[np.bool_], ndim: int, pixels: float) -> Box:
    """Return the box (Z, Y, X) of what is known, or of a large one what lies around a pixel in the midst of it."""
    deep, *wide = with_context(mask, ndim, pixels)
    known, most = np.flatnonzero(mask), round(WIDEST * pixels)
    z, row, _ = np.unravel_index(known[len(known) // 2], mask.shape)
    midst = row, np.median(np.flatnonzero(mask[z, row]))
    begins = [max(side.start, min(int(at) - most // 2, side.stop - most)) for side, at in zip(wide, midst, strict=True)]
    y, x = (slice(a, min(side.stop, a + most)) for side, a in zip(wide, begins, strict=True))
    return deep, y, x


def _count(exam: HeldOutRegion, found: NDArray[np.int32]) -> Errors:
    """Return how many of the objects are wrong that lie mostly in the place."""
    same, alike = (match_ids(exam.labels, found, share) for share in (0.5, ALIKE))  # of what was found -> of the truth
    truth, predicted = (set(mostly_within(ids, exam.mask).tolist()) for ids in (exam.labels, found))
    lost = len(truth - set(same.values())) + len(predicted - same.keys())
    outlines = len(truth & (set(same.values()) - set(alike.values())))
    return Errors(len(truth) + len(predicted - same.keys()), lost + outlines, lost)


def has_new_domain(info: ModelInfo) -> bool:
    """Return whether a model has learned images of another kind than the first of its line was made for."""
    return bool(info.recipe.get(NEW_DOMAIN))
