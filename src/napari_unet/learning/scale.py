"""The scale to learn at: where objects are far wider than those that a model finds best, a coarser one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import common_pixel_size
from napari_unet.inference.policy import DEFAULT_RESCALING
from napari_unet.inference.scale import magnification
from napari_unet.models.model import Model
from napari_unet.objects.size import diameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.info import ModelInfo

LEAST = 3
"""Objects that it takes to tell how wide they are."""

WHOLE = 0.9
"""Share of an object's pixels that the user vouches for, from which on it counts."""

FIRST = 0.75
"""How wide all objects are, by those that were corrected: of cells in phase contrast, the median of the six that stand
out most is 1.2 to 1.4 times that of all."""

NEW = 30.0
"""Diameter, in pixels, of the objects that a network made from nothing works at, where they are far wider."""


def at_fitting_scale(model: Model, material: Sequence[AnnotatedCrop]) -> Model:
    """Return the model that learning begins with: the same, at the scale that fits what is to be learned from.

    Where somebody said how wide the objects are, it remembers that for images like these. Else, objects are measured
    that were corrected or reviewed; where they are far wider than the model finds them best, it is given a coarser
    scale. It is never given a finer one: to enlarge an image adds no detail, and may do harm (docs/decisions/0012).
    """
    if not model.info.finds_objects or not material:
        return model
    return _scaled(model, [one.image for one in material], partial(_seen, material))


def at_scale_of_labels(model: Model, images: Sequence[Image], labels: Sequence[NDArray[Any]]) -> Model:
    """Return a model at the scale that fits densely labelled images, as `at_fitting_scale` does for corrections.

    Parameters
    ----------
    model : Model
    images : sequence of Image
    labels : sequence of ndarray of int, axes (T, Z, Y, X)
    """
    if not model.info.finds_objects:
        return model

    def seen(info: ModelInfo) -> float | None:
        found = [_times(i, info) * diameters(frame) for i, view in zip(images, labels, strict=True) for frame in view]
        widths = np.concatenate([np.zeros(0), *found])
        return float(np.median(widths)) if len(widths) else None

    return _scaled(model, images, seen)


def _scaled(model: Model, images: Sequence[Image], seen: Callable[[ModelInfo], float | None]) -> Model:
    """Return a model at the scale that fits images, by what somebody said of them, or else by what is seen there."""
    info = model.info
    if info.diameter is None and not info.is_untrained:
        return model
    said = [image.diameter for image in images if image.diameter is not None]
    if info.diameter is None:
        wide = float(np.median(said)) if said else seen(info)
        if wide is None:
            return model
        info = info.model_copy(update={"diameter": NEW if wide > DEFAULT_RESCALING.diameter_tolerance * NEW else wide})
    info = fitting(info, images, None if said else seen(info))
    return model if info is model.info else Model(model.net, info)


def fitting(info: ModelInfo, images: Sequence[Image], wide: float | None) -> ModelInfo:
    """Return the description of a model at the scale that fits images, so that it knows it for images like these.

    Parameters
    ----------
    info : ModelInfo
    images : sequence of Image
    wide : float or None
        Pixels of the network that the objects are wide, as it looks at them now; None: that is as somebody said.
    """
    far = wide is not None and info.diameter is not None and wide > DEFAULT_RESCALING.diameter_tolerance * info.diameter
    said = any(image.diameter is not None for image in images)
    if info.diameter is None or not (far or said):
        return info
    times = info.diameter / wide if wide is not None and far else 1.0
    zoom = tuple(times * z for z in magnification(images[0], info))
    across = (zoom[-2] * zoom[-1]) ** 0.5
    if across == 1 and info.image_diameter is None:
        return info
    size = common_pixel_size(images, info.spec.ndim)
    known = {
        "image_diameter": None if across == 1 else info.diameter / across,
        "pixel_size": info.pixel_size if size is None else tuple(s / z for s, z in zip(size, zoom, strict=True)),
    }
    return info.model_copy(update=known)


def rescales(before: Model, model: Model, material: Sequence[AnnotatedCrop]) -> bool:
    """Return whether a model looks at these images at another scale than one before."""
    return any(magnification(one.image, before.info) != magnification(one.image, model.info) for one in material)


def _times(image: Image, info: ModelInfo) -> float:
    """Return how many pixels of the network one of an image is wide."""
    return magnification(image, info)[-1]


def _seen(material: Sequence[AnnotatedCrop], info: ModelInfo) -> float | None:
    """Return how wide the objects are, in pixels of the network as it looks at these images now; None for too few."""
    widths = [np.zeros(0)]
    for one in material:
        widths += [_times(one.image, info) * found for found in _widths(one, info.spec.ndim)]
    all_of_them = np.concatenate(widths)
    return float(np.median(all_of_them)) if len(all_of_them) >= LEAST else None


def _widths(one: AnnotatedCrop, ndim: int) -> Iterator[NDArray[np.float64]]:
    """Yield how wide the objects are that the user vouches for: plane by plane, or of a volume at once."""
    labels, counts, reviewed = one.part.labels, one.part.mask("supervised"), one.part.reviewed
    planes = [(labels, counts, reviewed)] if ndim == 3 else zip(labels, counts, reviewed, strict=True)
    for ids, vouched, checked in planes:
        accepted = _within(ids, checked)
        yield diameters(np.where(np.isin(ids, accepted), ids, 0))
        corrected = np.setdiff1d(_within(ids, vouched), accepted)
        yield FIRST * diameters(np.where(np.isin(ids, corrected), ids, 0))


def _within(ids: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the objects that lie in a mask."""
    present, numbers, pixels = np.unique(ids, return_inverse=True, return_counts=True)
    inside = np.bincount(numbers.reshape(ids.shape)[mask], minlength=len(present))
    return np.asarray(present[(inside >= WHOLE * pixels) & (present > 0)])
