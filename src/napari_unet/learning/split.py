"""What the corrections of some images amount to: what is learned from, and what is kept aside to compare models on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_unet.corrections.corrections import RING
from napari_unet.errors import NothingToLearnError
from napari_unet.learning.crops import CropReader, field_sample, moved, with_context
from napari_unet.learning.domain_shift import has_new_domain, out_of_domain_by_corrections
from napari_unet.learning.held_out import (
    CELL,
    MAX_HELD_OUT_SHARE,
    MIN_LEFT_SHARE,
    MIN_OBJECTS,
    SQUARE,
    HeldOutRegion,
    apart,
    held_out,
    square_width,
)
from napari_unet.learning.regression import MAX_PIXELS, NearbyRegion, held_out_corrections, near_corrections, places
from napari_unet.nets.geometry import halo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.part import Part
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model
    from napari_unet.training.samples import Sample

MIN_CORRECTIONS_LEFT = 0.9
"""Share of the corrections to learn from that the distance kept from those kept aside may not take away more than."""

_FLOOR = 0.5
"""Share of the patches that the images have in equal parts, however little was corrected in each."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What is learned from, and what is kept aside.

    Attributes
    ----------
    samples : list of Sample
        Made of the corrections and of what is reviewed.
    exams : list of Exam
        Reviewed places that are not among them; may be empty.
    margin : int
        Pixels between the two.
    visits : list of Visit
        Where something was corrected, if there are no exams.
    aside : bool
        Whether some of the corrections are not among the samples.
    astray : bool
        Whether the model was wrong about so many objects that the images are of another kind than it knows.
    """

    samples: list[Sample]
    exams: list[HeldOutRegion]
    margin: int
    astray: bool = False
    visits: Sequence[NearbyRegion] = ()
    aside: bool = False


def split_annotations(
    model: Model,
    material: Sequence[AnnotatedCrop],
    border: float = 0.0,
    before: Model | None = None,
    *,
    spare: bool = False,
) -> Split:
    """Divide what is corrected and reviewed into what is learned from and what is kept aside.

    Parameters
    ----------
    model : Model
        What is to learn.
    material : sequence of Material
        From `annotated_crops`.
    border : float
        How much more a seam between two objects counts.
    before : Model, optional
        What it will be compared with, where that works at another scale.
    spare : bool
        Whether some of many corrections are to be kept aside where too little is reviewed.

    Raises
    ------
    NothingToLearnError
        If there is nothing to learn from.
    """
    ndim = model.info.spec.ndim
    parts = [one.part for one in material]
    read, read_before = _readers(model, material), _readers(before, material)
    pixels = max((reader.pixels for reader in read.values()), default=1.0)
    supervised = [_supervised(one.part, read[_key(one)].pixels) for one in material]
    held, margin = _kept_aside(model, parts, supervised, pixels)
    by_review = any(mask.any() for mask in held)
    corrected = [part.mask("corrected") for part in parts]
    if spare and not by_review:
        held = held_out_corrections(corrected, ndim)
    samples: list[Sample] = []
    exams: list[HeldOutRegion] = []
    visits: list[NearbyRegion] = []
    for one, counts, wrong, aside in zip(material, supervised, corrected, held, strict=True):
        part, reader, earlier = one.part, read[_key(one)], read_before.get(_key(one))
        learned, seen = counts, np.zeros_like(aside)
        if aside.any():
            reach = margin if by_review else _reach(model, reader.pixels)
            learned, _ = apart(counts, aside, reach, MIN_LEFT_SHARE if by_review else MIN_CORRECTIONS_LEFT)
        if not by_review:
            # At another scale, what was left alone comes out differently: nothing can be told from that.
            seen = near_corrections(part, wrong, reader.pixels) & (wrong | (before is None))
        for z in [slice(None)] if ndim == 3 else [slice(z, z + 1) for z in range(len(part.labels))]:
            corner, ids = (part.corner[0] + (z.start or 0), *part.corner[1:]), part.labels[z]
            if learned[z].any():
                focus = wrong[z] & learned[z]
                sample = field_sample(reader, model, part.frame, corner, ids, learned[z], focus, border=border)
                samples.append(replace(sample, weight=float(np.sqrt(np.count_nonzero(learned[z])))))
            if by_review and aside[z].any():
                exams.append(_exam(reader, earlier, part, ndim, z, aside[z]))
            for place in places(seen[z]):
                box = with_context(place, ndim, reader.pixels)
                predicted, kept = (reader.fit(a[z][box]) for a in (part.corrections.prediction[0], aside))
                visits.append(NearbyRegion(_exam(reader, earlier, part, ndim, z, place), predicted, kept))
    if not samples:
        raise NothingToLearnError("No pixel is corrected or reviewed yet, so there is nothing to learn from.")
    spared = not by_review and any(mask.any() for mask in held)
    astray = out_of_domain_by_corrections(parts, outlines=has_new_domain(model.info))
    return Split(_evened(samples), exams, margin, astray, _few(visits), spared)


def _few(visits: list[NearbyRegion]) -> list[NearbyRegion]:
    """Return the first of the visits, as many as do not take long to look at."""
    pixels = np.cumsum([visit.exam.mask.size for visit in visits])
    return [visit for index, visit in enumerate(visits) if not index or pixels[index] <= MAX_PIXELS]


def _reach(model: Model, pixels: float) -> int:
    """Return how far the network sees, in pixels of the image."""
    return round(max(halo(model.info.spec)[-2:]) * pixels)


def _key(one: AnnotatedCrop) -> tuple[int, tuple[int, ...]]:
    return id(one.image), one.channels


def _readers(model: Model | None, material: Sequence[AnnotatedCrop]) -> dict[tuple[int, tuple[int, ...]], CropReader]:
    """Return what reads each image with its channels, at the scale of a model; nothing for none."""
    if model is None:
        return {}
    return {key: CropReader(one.image, model, one.channels) for key, one in {_key(o): o for o in material}.items()}


def _supervised(part: Part, pixels: float) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) to learn from: the ring around a corrected object is as wide for the network."""
    mask, wider = part.mask("supervised"), round(RING * (pixels - 1))
    if not part.corrections.instances or wider < 1:
        return mask
    near = part.mask("corrected")
    for axis in (-2, -1):
        near = ndimage.maximum_filter1d(near.view(np.uint8), 2 * wider + 1, axis=axis).view(bool)
    return np.asarray(mask | (near & (part.labels == 0)))


def _evened(samples: list[Sample]) -> list[Sample]:
    """Weight the samples: in part all alike, in part by how much there is to learn from each."""
    total = sum(sample.weight for sample in samples)
    return [replace(s, weight=_FLOOR / len(samples) + (1 - _FLOOR) * s.weight / total) for s in samples]


def _kept_aside(
    model: Model, parts: Sequence[Part], supervised: list[NDArray[np.bool_]], pixels: float
) -> tuple[list[NDArray[np.bool_]], int]:
    """Return the reviewed pixels (Z, Y, X) of each part that nothing is learned from, and the distance kept from them.

    None at all where too little is reviewed, or most of it lies in one square: it is better learned from.
    """
    reviewed = [part.reviewed & mask for part, mask in zip(parts, supervised, strict=True)]
    width = square_width([part.labels for part in parts], reviewed) if model.info.finds_objects else CELL
    held = [held_out(mask, width, part.corner[1:]) for part, mask in zip(parts, reviewed, strict=True)]
    if model.info.finds_objects:
        count = sum(
            len(np.unique(part.labels[mask & (part.labels > 0)])) for part, mask in zip(parts, held, strict=True)
        )
    else:
        count = int(sum(np.count_nonzero(mask) for mask in held)) // SQUARE**2
    share = sum(map(np.count_nonzero, held)) / max(1, sum(map(np.count_nonzero, supervised)))
    if count < MIN_OBJECTS or share > MAX_HELD_OUT_SHARE:
        return [np.zeros_like(mask) for mask in reviewed], 0
    return held, min(apart(a, b, _reach(model, pixels))[1] for a, b in zip(supervised, held, strict=True))


def _exam(
    reader: CropReader, before: CropReader | None, part: Part, ndim: int, z: slice, aside: NDArray[np.bool_]
) -> HeldOutRegion:
    box = with_context(aside, ndim, reader.pixels)
    where = moved(box, (part.corner[0] + (z.start or 0), *part.corner[1:]))
    image, labels = reader.read(part.frame, where), reader.fit(part.labels[z][box])
    earlier = None if before is None else before.read(part.frame, where)
    return HeldOutRegion(image, labels, reader.fit(aside[box]), part.corrections.touched, earlier)
