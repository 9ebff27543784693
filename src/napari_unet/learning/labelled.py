"""Images that are labelled as a whole, checked before anything is learned from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import LabelsError, NothingToLearnError
from napari_unet.inference.content import check_content
from napari_unet.inference.task import as_image, check_depth, choose_channels
from napari_unet.io.channels import channel_number
from napari_unet.learning.one_class import only_class
from napari_unet.objects.label_images import as_ids
from napari_unet.objects.pieces import with_ids_for_pieces
from napari_unet.progress import first_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.model import Model

FIRST_CHANNEL = "The first of several channels was learned from. Name another with --channel (Python: channel)."


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with labels.

    Attributes
    ----------
    images : tuple of Image
    labels : tuple of ndarray of int, axes (T, Z, Y, X)
    supervised : tuple of ndarray of bool, axes (T, Z, Y, X)
        The pixels that count; None: all.
    notes : tuple of str
        What the user should know of them.
    """

    images: tuple[Image, ...]
    labels: tuple[NDArray[Any], ...]
    supervised: tuple[NDArray[np.bool_] | None, ...]
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        images: Sequence[Image],
        labels: Sequence[NDArray[Any]],
        ignore_label: int | None = None,
        *,
        supervised: Sequence[NDArray[np.bool_] | None] | None = None,
        instances: bool = True,
    ) -> LabelledImages:
        """Return images and labels that fit together.

        Parameters
        ----------
        images : sequence of Image
        labels : sequence of ndarray of int
            With the axes of their image but the channels.
        ignore_label : int, optional
            Pixels with this value do not count.
        supervised : sequence of ndarray of bool, optional
            The pixels that count, shaped as the labels; None: all. What other pixels hold is no error.
        instances : bool
            Whether labels are ids of objects: of an id that stands for pieces in several places (as in a mask of two
            values), each piece becomes an object, unless it is a stray stroke.

        Raises
        ------
        LabelsError
            If labels do not fit their image, or are not whole numbers from 0.
        """
        given = [None] * len(images) if supervised is None else supervised
        if not len(images) == len(labels) == len(given):
            raise LabelsError(
                f"There are {len(images)} images and {len(labels)} label images; each image needs its own."
            )
        views: list[NDArray[Any]] = []
        masks: list[NDArray[np.bool_] | None] = []
        parted: list[str] = []
        for image, truth, marked in zip(images, labels, given, strict=True):
            counts = None if marked is None else _as_mask(marked, f"The mask of supervised pixels of {image.name}")
            for array, what in ((truth, "labels"), (counts, "mask of supervised pixels")):
                if array is not None and array.shape != image.label_shape:
                    raise LabelsError(
                        f"The {what} of {image.name} have the shape {array.shape}; needed is {image.label_shape}."
                    )
            view = image.canonical_labels(truth)
            mask = None if counts is None else image.canonical_labels(counts)
            if mask is not None:  # objects go on where they do not count
                view = np.where(mask | (view > 0), view, 0)
            if ignore_label is not None:
                mask = view != ignore_label if mask is None else mask & (view != ignore_label)
                view = np.where(mask, view, 0)
            view = as_ids(view, f"The label image of {image.name}")
            if instances:
                pieces = with_ids_for_pieces(view, mask)
                if pieces is not view and _more_ids(pieces, view, mask):
                    parted.append(image.name)
                view = pieces
            views.append(view)
            masks.append(mask)
        notes: tuple[str, ...] = ()
        if parted:
            notes = (f"{first_names(parted)}: some ids stand in several places; each piece counts as an object.",)
        return cls(tuple(images), tuple(views), tuple(masks), notes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        return tuple(image.name for image in self.images)

    @property
    def n_objects(self) -> int:
        """Objects, or, where labels are classes, classes other than 0 in each image, in all images together."""
        return sum(self.objects_of(index) for index in range(len(self.images)))

    def objects_of(self, index: int) -> int:
        """Return the number of objects, or of classes other than 0, in one image."""
        return sum(int(np.count_nonzero(np.unique(frame))) for frame in self.labels[index])

    def as_stored(self, index: int, view: NDArray[Any]) -> NDArray[Any]:
        """Return labels or a mask (T, Z, Y, X) with the axes that one of the images has, but the channels."""
        axes = self.images[index].label_axes
        letters = [letter for letter in "TZYX" if letter in axes]
        kept = view.reshape([n for n, letter in zip(view.shape, "TZYX", strict=True) if letter in axes])
        return np.transpose(kept, [letters.index(letter) for letter in axes])

    def parted(self, aside: Sequence[int]) -> tuple[LabelledImages, LabelledImages]:
        """Return the other images, and those of some indices."""
        left = [index for index in range(len(self.images)) if index not in set(aside)]
        return self._only(left), self._only(aside)

    def _only(self, indices: Sequence[int]) -> LabelledImages:
        picked = ([all_[i] for i in indices] for all_ in (self.images, self.labels, self.supervised))
        images, labels, supervised = picked
        return LabelledImages(tuple(images), tuple(labels), tuple(supervised), self.notes)  # type: ignore[arg-type]

    @cached_property
    def image_digests(self) -> list[str]:
        """A SHA-256 of the pixels of each image; reads all of them."""
        return [_digest([image.read(frame) for frame in range(image.n_frames)]) for image in self.images]

    @property
    def digests(self) -> list[tuple[str, str]]:
        """A SHA-256 of the pixels of each image, and one of its labels."""
        held = zip(self.labels, self.supervised, strict=True)
        of_labels = [_digest([view] if mask is None else [view, mask]) for view, mask in held]
        return list(zip(self.image_digests, of_labels, strict=True))

    def contradictions(self) -> list[str]:
        """Return a note for each image that is there before, with other labels where both count."""
        first: dict[str, int] = {}
        pairs = ((first.setdefault(image, index), index) for index, image in enumerate(self.image_digests))
        return [
            f"{self.names[one]} and {self.names[other]} are the same image, but their labels differ."
            for one, other in pairs
            if one != other and self._differ(one, other)
        ]

    def _differ(self, one: int, other: int) -> bool:
        """Return whether labels of two images differ where both count."""
        counts = [True if (mask := self.supervised[index]) is None else mask for index in (one, other)]
        return bool(np.any((self.labels[one] != self.labels[other]) & counts[0] & counts[1]))

    def check(self, model: Model, *, corrections: bool = False) -> tuple[str, ...]:
        """Return what the user should know of them before a model learns from them.

        Parameters
        ----------
        model : Model
        corrections : bool
            Whether a part of the pixels may be all that counts: of one class, or all of them background.

        Raises
        ------
        NothingToLearnError
            If no pixel counts.
        LabelsError
            If there is nothing to learn.
        ModelMismatchError
            If the images have another number of channels than the model takes, or are planes where it takes volumes.
        ImageError
            If no pixel of an image is a number.
        """
        if not any(mask is None or mask.any() for mask in self.supervised):
            raise NothingToLearnError("No pixel of the labels counts, so there is nothing to learn from.")
        for image in self.images:
            model.check_channels(image.n_channels)
            check_depth(image, model)
        notes = self._check_content(model)
        partly = corrections and not all(mask is None or mask.all() for mask in self.supervised)
        if not model.info.finds_objects:
            pairs = zip(self.labels, self.supervised, strict=True)
            values = set().union(*(np.unique(v if mask is None else v[mask]).tolist() for v, mask in pairs))
            if len(values) < 2 and not partly:
                raise LabelsError(f"All labels are of one class ({min(values, default=0)}); there is nothing to learn.")
            _check_classes(model, int(max(values, default=0)))
            alone = only_class(model.info, values)
            return notes if alone is None else (*notes, str(alone))
        empty = [name for index, name in enumerate(self.names) if not self.objects_of(index)]
        if partly or not empty:
            return notes
        if len(empty) == len(self.images):
            raise LabelsError("No label image holds an object; there is nothing to learn.")
        return (*notes, f"{first_names(empty)}: no object is labelled; all of it counts as background.")

    def _check_content(self, model: Model) -> tuple[str, ...]:
        """Return a note for each way in which there is little to be seen in images; raise if there is nothing."""
        lacks = [(image.name, check_content(image, choose_channels(image, model))) for image in self.images]
        alike, partly = ([name for name, lack in lacks if lack == one] for one in ("one value", "some no numbers"))
        notes = [f"{first_names(alike)}: all pixels have the same value; nothing is to be seen."] if alike else []
        if partly:
            said = "some pixels are no numbers (NaN or infinite); they are taken as black or white."
            notes.append(f"{first_names(partly)}: {said}")
        return tuple(notes)


def _more_ids(pieces: NDArray[Any], labels: NDArray[Any], mask: NDArray[np.bool_] | None) -> bool:
    """Return whether there are more ids than before where pixels count."""
    both = zip(pieces, labels, [None] * len(labels) if mask is None else mask, strict=True)
    return any(len(np.unique(new[part])) > len(np.unique(old[part])) for new, old, part in both)


def _as_mask(given: Any, name: str) -> NDArray[np.bool_]:
    """Return which pixels are marked: not 0 where they are whole numbers, as in files of masks."""
    mask = np.asarray(given)
    if mask.dtype.kind not in "biu":
        raise LabelsError(f"{name} is of {mask.dtype}; it takes True and False, or whole numbers.")
    return mask if mask.dtype.kind == "b" else mask != 0


def _check_classes(model: Model, largest: int) -> None:
    n_classes = model.info.spec.out_channels
    if largest >= n_classes:
        raise LabelsError(
            f"The labels hold the class {largest}; this model has the classes 0 to {n_classes - 1}. Are they ids?"
        )


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def as_pictures(
    images: Sequence[Any],
    model: Model | None,
    axes: str | None = None,
    channel: int | str | None = None,
    what: str = "image",
) -> list[Image]:
    """Return what was handed in to learn from as images named by their number, with the channels that a model takes."""
    pictures = [as_image(data, axes, name=f"{what} {index}") for index, data in enumerate(images, start=1)]
    return [with_chosen_channels(image, model, channel) for image in pictures]


def with_chosen_channels(image: Image, model: Model | None, channel: int | str | None = None) -> Image:
    """Return an image with the channels that a model is given when it segments; None: of an untrained network, all.

    Where the first of several is taken because none was asked for, a note says so.

    Parameters
    ----------
    image : Image
    model : Model or None
    channel : int or str, optional
        Number from 0, or name, of the one to take.

    Raises
    ------
    ImageError, ModelMismatchError
        If the image has no such channel, or the model cannot take as many.
    """
    number = channel_number(image, channel)
    if model is not None:
        chosen = choose_channels(image, model, number)
        number = chosen[0] if len(chosen) < image.n_channels else None
    if number is None or image.n_channels == 1:
        return image
    if channel is None:
        image = replace(image, notes=(*image.notes, FIRST_CHANNEL))
    return image.of_channel(number)
