"""How far a model is from what is wanted of it on some images, and so how much it has to change.

It makes *many errors* if it is wrong about many of the objects. The images are *out of its domain* if that is so even
with outlines aside. Where all is labelled, objects are counted. Where somebody corrects what is worst, areas are
compared: out of its domain a model may find hundreds of specks, of which nobody corrects more than a few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.credibility import feature_deviation
from napari_unet.learning.crops import CropReader, moved, subimage_slices, with_context
from napari_unet.learning.held_out import HeldOutRegion, predict_regions
from napari_unet.learning.nearby import near_corrections
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.stitch import match_ids, mostly_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.crops import Box
    from napari_unet.learning.policy import DomainShiftPolicy, Policy
    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model

NEW_DOMAIN = "new_domain"
"""In the recipe of a model: whether it has learned images of another domain than the first of its line was made for."""

_FOUND = 0.5
"""Intersection over union from which on an object is found; two objects cannot both reach it with a third."""


@dataclass(frozen=True, slots=True)
class ObjectErrors:
    """How many objects a model is wrong about.

    Attributes
    ----------
    total : int
        Objects that there are, or that it finds.
    wrong : int
        Those of them that it misses, that are none, or of which the outline is wrong.
    missed : int
        Those that it misses, or that are none.
    """

    total: int = 0
    wrong: int = 0
    missed: int = 0

    def are_many(self, policy: DomainShiftPolicy = DEFAULT_POLICY.domain_shift) -> bool:
        """Whether many are wrong."""
        return self.wrong >= max(policy.min_objects, policy.min_share * self.total)

    def are_out_of_domain(self, policy: DomainShiftPolicy = DEFAULT_POLICY.domain_shift) -> bool:
        """Whether many are missed, or are none."""
        return self.missed >= max(policy.min_objects, policy.min_share * self.total)

    def __add__(self, other: ObjectErrors) -> ObjectErrors:
        return ObjectErrors(self.total + other.total, self.wrong + other.wrong, self.missed + other.missed)


def out_of_domain_by_corrections(
    crops: Sequence[AnnotatedCrop], *, outlines: bool = False, policy: Policy = DEFAULT_POLICY
) -> bool:
    """Return whether objects that were missed, or none, make up most of what the user has seen while correcting.

    By area, and not by number. A model that misses a few lone objects of a large image is not out of its domain: they
    must also make up something of all that there is.

    Parameters
    ----------
    crops : sequence of AnnotatedCrop
    outlines : bool
        Whether an object with a wrong outline counts as one that was missed: for a model that has begun to learn
        another domain, outlines are what comes next.
    policy : Policy
    """
    numbers = policy.domain_shift
    found_iou = numbers.outline_iou if outlines else _FOUND
    counts = np.array([_missed_area(one, found_iou, policy) for one in crops], np.int64).reshape(-1, 4)
    missed, wrong_area, area_near, area = counts.sum(axis=0).tolist()
    return bool(
        missed >= numbers.min_objects
        and wrong_area >= numbers.min_area_share_near * area_near
        and wrong_area >= numbers.min_area_share * area
    )


def looks_out_of_domain(
    model: Model, image: NDArray[np.float32], policy: DomainShiftPolicy = DEFAULT_POLICY.domain_shift
) -> bool:
    """Return whether a volume looks to a network unlike those that it has learned: its features have other means.

    In a volume that it does not know, a network finds a few large objects that are none, and nobody corrects all of
    them; so corrections alone do not tell. False in planes, where they do.

    Parameters
    ----------
    model : Model
    image : ndarray of float32, axes (C, [Z,] Y, X)
        As the network sees it: normalised and rescaled.
    policy : DomainShiftPolicy
    """
    if model.info.spec.ndim == 2:
        return False
    deviation = feature_deviation(model, image, policy.compared_shape)
    return deviation is not None and deviation > policy.max_deviation


def _missed_area(crop: AnnotatedCrop, found_iou: float, policy: Policy) -> tuple[int, int, int, int]:
    """Return how many objects were missed or spurious, and pixels: of these, of those near corrections, of all."""
    part, labels = crop.part, crop.labels
    touched, predicted = part.corrections.touched, part.corrections.prediction[0]
    if not (part.corrections.instances and touched):
        return 0, 0, 0, 0
    same = match_ids(predicted, labels, found_iou)
    missed = set(np.unique(labels[np.isin(part.labels, list(touched))]).tolist()) - {0} - same.keys()
    spurious = touched & (set(np.unique(predicted).tolist()) - {0} - set(same.values()))
    wrong = np.isin(labels, list(missed)) | np.isin(predicted, list(spurious))
    corrected, objects = part.mask("corrected"), (labels > 0) | (predicted > 0)
    near = objects & (corrected | near_corrections(part, corrected, policy=policy.split))
    return len(missed) + len(spurious), int(wrong.sum()), int(near.sum()), int(objects.sum()) + part.elsewhere


def errors_on_labels(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None],
    device: torch.device,
    policy: Policy = DEFAULT_POLICY,
) -> ObjectErrors:
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
    policy : Policy
    """
    if not model.info.finds_objects:
        return ObjectErrors()
    regions, pixels = [], 0
    for region in _regions(model, images, labels, supervised, policy):
        regions.append(region)
        pixels += region.mask.size
        if pixels >= policy.domain_shift.max_pixels:
            break
    predicted = predict_regions(regions, model, device)
    counts = (_count(*pair, policy.domain_shift.outline_iou) for pair in zip(regions, predicted, strict=True))
    return sum(counts, ObjectErrors())


def _regions(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None],
    policy: Policy,
) -> Iterator[HeldOutRegion]:
    """Yield the planes, or volumes, of which something is known; of a large one, a part."""
    ndim = model.info.spec.ndim
    for image, ids, known in zip(images, labels, supervised, strict=True):
        reader = CropReader(image, model, policy=policy.scale.rescaling)
        for frame in range(len(ids)):
            for z in subimage_slices(ids.shape[1], ndim):
                mask = np.ones(ids[frame, z].shape, bool) if known is None else known[frame, z]
                if not mask.any():
                    continue
                box = _around_known(mask, ndim, reader.pixels, policy.domain_shift.max_region_width)
                truth, here = reader.fit(ids[frame, z][box]), reader.fit(mask[box])
                yield HeldOutRegion(reader.read(frame, moved(box, (z.start, 0, 0))), truth, here)


def _around_known(mask: NDArray[np.bool_], ndim: int, pixels: float, max_width: int) -> Box:
    """Return the box (Z, Y, X) of what is known, or of a large one what lies around a pixel in the midst of it.

    `max_width` is in pixels of the network, of which one is `pixels` of the image wide.
    """
    deep, *sides = with_context(mask, ndim, pixels)
    known, width = np.flatnonzero(mask), round(max_width * pixels)
    z, row, _ = np.unravel_index(known[len(known) // 2], mask.shape)
    midst = row, np.median(np.flatnonzero(mask[z, row]))
    starts = [
        max(side.start, min(int(at) - width // 2, side.stop - width)) for side, at in zip(sides, midst, strict=True)
    ]
    y, x = (slice(a, min(side.stop, a + width)) for side, a in zip(sides, starts, strict=True))
    return deep, y, x


def _count(region: HeldOutRegion, found: NDArray[np.int32], outline_iou: float) -> ObjectErrors:
    """Return how many of the objects that lie mostly in a region are wrong."""
    same, alike = (match_ids(region.labels, found, iou) for iou in (_FOUND, outline_iou))  # found -> truth
    truth, predicted = (set(mostly_within(ids, region.mask).tolist()) for ids in (region.labels, found))
    spurious = len(predicted - same.keys())
    missed = len(truth - set(same.values())) + spurious
    outlines = len(truth & (set(same.values()) - set(alike.values())))
    return ObjectErrors(len(truth) + spurious, missed + outlines, missed)


def has_new_domain(info: ModelInfo) -> bool:
    """Return whether a model has learned images of another domain than the first of its line was made for."""
    return bool(info.recipe.get(NEW_DOMAIN))
