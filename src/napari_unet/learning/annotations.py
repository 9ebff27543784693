"""What there is to learn from in an image: copies of the parts that its user corrected or reviewed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.corrections.part import copied_parts
from napari_unet.corrections.unknown import with_unknown_shapes
from napari_unet.inference.scale import magnification
from napari_unet.inference.task import check_depth, choose_channels
from napari_unet.learning.crops import CONTEXT, CropReader
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.pieces import with_ids_for_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.corrections.corrections import Corrections
    from napari_unet.corrections.part import Part
    from napari_unet.learning.policy import Policy
    from napari_unet.models.model import Model


@dataclass(frozen=True, eq=False)
class AnnotatedCrop:
    """What there is to learn from in a part of an image.

    Attributes
    ----------
    image : Image
    channels : tuple of int
        Those that the model is given.
    part : Part
        A copy, so that the user can go on painting. Its ids are the user's: by them it is known what is corrected.
    ndim : int
        3: what is to learn sees the part as a volume; 2: each slice is an image of its own.
    """

    image: Image
    channels: tuple[int, ...]
    part: Part
    ndim: int

    @cached_property
    def labels(self) -> NDArray[Any]:
        """What is learned, fitted to and checked on, (Z, Y, X): an id in several places is an object in each."""
        ids = self.part.labels
        if not self.part.corrections.instances:
            return ids
        frames = np.s_[None] if self.ndim == 3 else np.s_[:, None]
        return with_ids_for_pieces(ids[frames], self.part.mask("supervised")[frames]).reshape(ids.shape)


class CropReaders:
    """Reads annotated crops as a model sees them; each image is opened once.

    Parameters
    ----------
    model : Model
    policy : Policy
    """

    def __init__(self, model: Model, policy: Policy) -> None:
        self._model, self._policy = model, policy
        self._known: dict[object, CropReader] = {}

    def of(self, one: AnnotatedCrop) -> CropReader:
        """Return what reads the image of a crop."""
        key = id(one.image), one.channels
        if key not in self._known:
            self._known[key] = CropReader(one.image, self._model, one.channels, self._policy.scale.rescaling)
        return self._known[key]


def annotated_crops(
    image: Image,
    labels: NDArray[Any],
    corrections: Corrections,
    model: Model,
    channel: int | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> list[AnnotatedCrop]:
    """Return copies of what there is to learn from an image now.

    Nothing where nothing is corrected or reviewed, or where the labels are classes and the model finds objects.

    Parameters
    ----------
    image : Image
    labels : ndarray of int, axes (T, Z, Y, X)
        As they are now, corrections included.
    corrections : Corrections
        Of these labels, as of its last `update`.
    model : Model
        What is to learn.
    channel : int, optional
        The channel that is segmented; None: all, or the first where the model takes one only.
    policy : Policy

    Raises
    ------
    ImageError, ModelMismatchError
        If image and model do not fit together.
    """
    if corrections.instances != model.info.finds_objects:
        return []
    depth = labels.shape[1] if model.info.spec.ndim == 3 else 0  # a patch of a volume shows slices above and below
    margin = math.ceil(CONTEXT / min(magnification(image, model.info, policy.scale.rescaling)))
    parts = [with_unknown_shapes(one, model.info.spec.ndim) for one in copied_parts(corrections, labels, depth, margin)]
    if not parts:
        return []
    check_depth(image, model)
    channels = choose_channels(image, model, channel)
    return [AnnotatedCrop(image, channels, part, model.info.spec.ndim) for part in parts]
