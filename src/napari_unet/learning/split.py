"""The corrections of some images, split into what is learned from and what is held out to compare models on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.corrections.corrections import RING
from napari_unet.learning.annotations import CropReaders
from napari_unet.learning.crops import crop_sample, moved, subimage_slices, with_context
from napari_unet.learning.domain_shift import has_new_domain, looks_out_of_domain, out_of_domain_by_corrections
from napari_unet.learning.held_out import HeldOutRegion, held_out_squares, outside_buffer, square_width
from napari_unet.learning.held_out_images import HELD_OUT, LEARNED, digest_of, images_to_hold_out, noted
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.whole_objects import ends_along_z
from napari_unet.nets.geometry import halo
from napari_unet.objects.masks import widened
from napari_unet.training.samples import check_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.crops import CropReader
    from napari_unet.learning.policy import Policy
    from napari_unet.models.model import Model
    from napari_unet.training.samples import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What is learned from, and what is held out.

    Attributes
    ----------
    samples : list of Sample
        Made of the corrections and of what is reviewed.
    held_out : list of HeldOutRegion
        Reviewed regions that are not among them; may be empty.
    buffer : int
        Pixels between the two.
    out_of_domain : bool
        Whether the model was wrong about so many objects, or the volume looks so unlike those that it knows, that it
        is of another domain.
    held_out_masks : sequence of ndarray of bool, axes (Z, Y, X)
        The pixels of each crop that are held out, all of an image that is held out as a whole; empty where there are
        none.
    learned_images : frozenset of str
        Digests of the images that samples are of.
    held_out_images : dict
        Images that are held out as a whole: digest to name.
    """

    samples: list[Sample]
    held_out: list[HeldOutRegion]
    buffer: int
    out_of_domain: bool = False
    held_out_masks: Sequence[NDArray[np.bool_]] = ()
    learned_images: frozenset[str] = frozenset()
    held_out_images: Mapping[str, str] = field(default_factory=dict)


def split_annotations(
    model: Model,
    crops: Sequence[AnnotatedCrop],
    border: float = 0.0,
    before: Model | None = None,
    *,
    earlier: Split | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Split:
    """Split what is corrected and reviewed into what is learned from and what is held out.

    Parameters
    ----------
    model : Model
        What is to learn.
    crops : sequence of AnnotatedCrop
        From `annotated_crops`.
    border : float
        How much more a seam between two objects counts.
    before : Model, optional
        What it will be compared with, where that works at another scale.
    earlier : Split, optional
        That of the same learning, before corrections joined: what was learned from is not held out any more.
    policy : Policy

    Raises
    ------
    NothingToLearnError
        If there is nothing to learn from.
    """
    views = _views(model, before, crops, policy)
    held_out = _held_out_images(model, views, earlier, policy) or _held_out_reviewed(model, views, policy)
    by_review = any(mask.any() for mask in held_out.masks)
    samples: list[Sample] = []
    regions: list[HeldOutRegion] = []
    for view, mask in zip(views, held_out.masks, strict=True):
        whole = digest_of(view.crop.image) in held_out.images
        learned = _learned(view, mask, held_out.buffer, policy, whole=whole)
        samples += view.samples(model, learned, border)
        if by_review:
            regions += view.held_out_regions(mask)
    check_any(samples)
    out_of_domain = out_of_domain_by_corrections(crops, outlines=has_new_domain(model.info), policy=policy)
    if model.info.spec.ndim == 3 and earlier is not None:
        out_of_domain |= earlier.out_of_domain
    elif not out_of_domain:
        out_of_domain = any(looks_out_of_domain(model, sample.image, policy.domain_shift) for sample in samples)
    return Split(
        samples=_evened(samples, policy.split.equal_share),
        held_out=regions,
        buffer=held_out.buffer,
        out_of_domain=out_of_domain,
        held_out_masks=held_out.with_whole_images([view.crop for view in views]) if by_review else (),
        learned_images=frozenset(digest_of(one.image) for one in crops) - frozenset(held_out.images),
        held_out_images=held_out.images,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """An annotated crop as a network sees it.

    Attributes
    ----------
    crop : AnnotatedCrop
    reader : CropReader
        Reads its image at the scale of the model.
    reader_before : CropReader, optional
        Reads it at the scale of the model before, where that is another.
    supervised, corrected : ndarray of bool, axes (Z, Y, X)
        Pixels to learn from, and those of corrected objects.
    """

    crop: AnnotatedCrop
    reader: CropReader
    reader_before: CropReader | None
    supervised: NDArray[np.bool_]
    corrected: NDArray[np.bool_]

    def samples(self, model: Model, learned: NDArray[np.bool_], border: float) -> Iterator[Sample]:
        """Yield a sample of each plane, or of the volume, in which something is learned from (mask (Z, Y, X))."""
        frame, labels = self.crop.part.frame, self.crop.labels
        for z in self._slices():
            if learned[z].any():
                focus = self.corrected[z] & learned[z]
                sample = crop_sample(
                    self.reader, model, frame, self._corner(z), labels[z], learned[z], focus, border=border
                )
                yield replace(sample, weight=float(np.sqrt(np.count_nonzero(learned[z]))))

    def held_out_regions(self, mask: NDArray[np.bool_]) -> Iterator[HeldOutRegion]:
        """Yield a region of each plane, or of the volume, in which something is held out (mask (Z, Y, X))."""
        for z in self._slices():
            if mask[z].any():
                yield self._region(z, mask[z])

    def _slices(self) -> list[slice]:
        return subimage_slices(len(self.crop.part.labels), self.crop.ndim)

    def _corner(self, z: slice) -> tuple[int, int, int]:
        first, *rest = self.crop.part.corner
        return first + z.start, rest[0], rest[1]

    def _region(self, z: slice, mask: NDArray[np.bool_]) -> HeldOutRegion:
        frame, box = self.crop.part.frame, with_context(mask, self.crop.ndim, self.reader.pixels)
        where = moved(box, self._corner(z))
        image, labels = self.reader.read(frame, where), self.reader.fit(self.crop.labels[z][box])
        before = None if self.reader_before is None else self.reader_before.read(frame, where)
        return HeldOutRegion(image, labels, self.reader.fit(mask[box]), before)


def _views(model: Model, before: Model | None, crops: Sequence[AnnotatedCrop], policy: Policy) -> list[_View]:
    """Return the crops as a network sees them."""
    readers, earlier = CropReaders(model, policy), None if before is None else CropReaders(before, policy)
    views = []
    for one in crops:
        reader, reader_before = readers.of(one), None if earlier is None else earlier.of(one)
        views.append(_View(one, reader, reader_before, _supervised(one, reader), one.part.mask("corrected")))
    return views


def _supervised(one: AnnotatedCrop, reader: CropReader) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) to learn from: the ring around a corrected object is as wide for the network.

    For a network that sees volumes, also where objects end along Z.
    """
    part = one.part
    mask, wider = part.mask("supervised"), round(RING * (reader.pixels - 1))
    if not part.corrections.instances:
        return mask
    if wider >= 1:
        mask = np.asarray(mask | (widened(part.mask("corrected"), wider) & (part.labels == 0)))
    if one.ndim == 3:
        mask |= ends_along_z(one.labels, mask, math.ceil(reader.slices))
    return mask


@dataclass(frozen=True, slots=True, eq=False)
class _HeldOut:
    """What is held out of each crop, bool masks (Z, Y, X), and the buffer around it, pixels of the image.

    `images` are those that nothing is learned from: digest to name.
    """

    masks: list[NDArray[np.bool_]]
    buffer: int
    images: Mapping[str, str] = field(default_factory=dict)

    def with_whole_images(self, crops: Sequence[AnnotatedCrop]) -> list[NDArray[np.bool_]]:
        """Return the masks, of an image that is held out as a whole with all of its pixels."""
        return [
            np.ones_like(mask) if digest_of(crop.image) in self.images else mask
            for crop, mask in zip(crops, self.masks, strict=True)
        ]


def _held_out_images(model: Model, views: Sequence[_View], earlier: Split | None, policy: Policy) -> _HeldOut | None:
    """Return the reviewed pixels of whole images that nothing is learned from; None where there are too few."""
    digests = [digest_of(view.crop.image) for view in views]
    masks = [view.crop.part.reviewed & view.supervised for view in views]
    reviewed = {digest for digest, mask in zip(digests, masks, strict=True) if mask.any()}
    learned, before = noted(model.info, LEARNED), noted(model.info, HELD_OUT)
    if earlier is not None:
        learned, before = learned | earlier.learned_images, before.union(earlier.held_out_images)
    chosen = images_to_hold_out(reviewed, learned, before, policy.split)
    masks = [mask & (digest in chosen) for digest, mask in zip(digests, masks, strict=True)]
    if not chosen or not _suffices(model, views, masks, policy):
        return None
    names = {digest: view.crop.image.name for digest, view in zip(digests, views, strict=True) if digest in chosen}
    return _HeldOut(masks, 0, names)


def _held_out_reviewed(model: Model, views: Sequence[_View], policy: Policy) -> _HeldOut:
    """Return the reviewed pixels of each crop that nothing is learned from, and the buffer around them.

    None at all where too little is reviewed, or most of it lies in one square: it is better learned from.
    """
    numbers, reviewed = policy.split, [view.crop.part.reviewed & view.supervised for view in views]
    width = numbers.square_width
    if model.info.finds_objects:
        width = square_width([view.crop.labels for view in views], reviewed, numbers)
    pairs = zip(views, reviewed, strict=True)
    masks = [held_out_squares(mask, width, view.crop.part.corner[1:]) for view, mask in pairs]
    if not _suffices(model, views, masks, policy):
        return _HeldOut([np.zeros_like(mask) for mask in reviewed], buffer=0)
    reach = _receptive_field(model, max(view.reader.pixels for view in views))
    pairs = zip(views, masks, strict=True)
    buffers = (outside_buffer(view.supervised, mask, reach, numbers.min_left_share)[1] for view, mask in pairs)
    return _HeldOut(masks, min(buffers))


def _suffices(model: Model, views: Sequence[_View], held_out: Sequence[NDArray[np.bool_]], policy: Policy) -> bool:
    """Return whether enough is held out (masks (Z, Y, X)) to decide by, and not too much of what there is."""
    numbers = policy.split
    if model.info.finds_objects:
        pairs = zip((view.crop.labels for view in views), held_out, strict=True)
        count = sum(len(np.unique(labels[mask & (labels > 0)])) for labels, mask in pairs)
    else:
        count = int(sum(np.count_nonzero(mask) for mask in held_out)) // numbers.piece_width**2
    share = sum(map(np.count_nonzero, held_out)) / max(1, sum(np.count_nonzero(view.supervised) for view in views))
    return count >= numbers.min_held_out and share <= numbers.max_held_out_share


def _learned(
    view: _View, held_out: NDArray[np.bool_], buffer: int, policy: Policy, *, whole: bool
) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) of a crop that are learned from.

    `buffer` is that around held-out squares, pixels of the image. `whole`: the image is held out as a whole.
    """
    if whole:
        return np.zeros_like(view.supervised)
    if not held_out.any():
        return view.supervised
    return outside_buffer(view.supervised, held_out, buffer, policy.split.min_left_share)[0]


def _receptive_field(model: Model, pixels: float) -> int:
    """Return how far the network sees, in pixels of the image, of which `pixels` are one of the network."""
    return round(max(halo(model.info.spec)[-2:]) * pixels)


def _evened(samples: list[Sample], equal_share: float) -> list[Sample]:
    """Weight the samples: in part all alike, in part by how much there is to learn from each."""
    total = sum(sample.weight for sample in samples)
    return [replace(s, weight=equal_share / len(samples) + (1 - equal_share) * s.weight / total) for s in samples]
