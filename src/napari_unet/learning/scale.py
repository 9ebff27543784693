"""The scale to learn at: where objects are far wider than those that a model finds best, a coarser one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import common_pixel_size
from napari_unet.inference.scale import magnification
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model
from napari_unet.objects.size import diameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.policy import ScalePolicy
    from napari_unet.models.info import ModelInfo


def at_fitting_scale(model: Model, crops: Sequence[AnnotatedCrop], policy: ScalePolicy = DEFAULT_POLICY.scale) -> Model:
    """Return the model that learning begins with: the same, at the scale that fits what is to be learned from.

    Where somebody said how wide the objects are, the model takes that for images like these. Else, objects are measured
    that were corrected or reviewed; where they are far wider than the model finds them best, it is given a coarser
    scale. It is never given a finer one: to enlarge an image adds no detail, and may do harm (docs/decisions/0012).

    Parameters
    ----------
    model : Model
    crops : sequence of AnnotatedCrop
    policy : ScalePolicy
    """
    if not model.info.finds_objects or not crops:
        return model
    return _rescaled(model, [one.image for one in crops], partial(_corrected_diameter, crops, policy=policy), policy)


def at_scale_of_labels(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    policy: ScalePolicy = DEFAULT_POLICY.scale,
) -> Model:
    """Return a model at the scale that fits densely labelled images, as `at_fitting_scale` does for corrections.

    Parameters
    ----------
    model : Model
    images : sequence of Image
    labels : sequence of ndarray of int, axes (T, Z, Y, X)
    policy : ScalePolicy
    """
    if not model.info.finds_objects:
        return model

    def labelled_diameter(info: ModelInfo) -> float | None:
        pairs = zip(images, labels, strict=True)
        found = [_zoom(image, info, policy) * diameters(frame) for image, view in pairs for frame in view]
        widths = np.concatenate([np.zeros(0), *found])
        return float(np.median(widths)) if len(widths) else None

    return _rescaled(model, images, labelled_diameter, policy)


def _rescaled(
    model: Model, images: Sequence[Image], measured: Callable[[ModelInfo], float | None], policy: ScalePolicy
) -> Model:
    """Return a model at the scale that fits images, by what somebody said of them, or else by what is measured there.

    `measured` returns the diameter of the objects in pixels of the network, at the scale of a model.
    """
    info = model.info
    if info.diameter is None and not info.is_untrained:
        return model
    said = [image.diameter for image in images if image.diameter is not None]
    if info.diameter is None:
        diameter = float(np.median(said)) if said else measured(info)
        if diameter is None:
            return model
        far = diameter > policy.rescaling.diameter_tolerance * policy.untrained_diameter
        info = info.model_copy(update={"diameter": policy.untrained_diameter if far else diameter})
    info = with_fitting_scale(info, images, None if said else measured(info), policy)
    return model if info is model.info else Model(model.net, info)


def with_fitting_scale(
    info: ModelInfo, images: Sequence[Image], diameter: float | None, policy: ScalePolicy = DEFAULT_POLICY.scale
) -> ModelInfo:
    """Return the description of a model that takes images like these at the scale that fits them.

    Parameters
    ----------
    info : ModelInfo
    images : sequence of Image
    diameter : float or None
        Of the objects, in pixels of the network at its present scale; None: that scale is as somebody said.
    policy : ScalePolicy
    """
    said = any(image.diameter is not None for image in images)
    if info.diameter is None:
        return info
    far = diameter is not None and diameter > policy.rescaling.diameter_tolerance * info.diameter
    if not (far or said):
        return info
    factor = info.diameter / diameter if diameter is not None and far else 1.0
    zoom = tuple(factor * z for z in magnification(images[0], info, policy.rescaling))
    in_plane = (zoom[-2] * zoom[-1]) ** 0.5
    if in_plane == 1 and info.image_diameter is None:
        return info
    size = common_pixel_size(images, info.spec.ndim)
    known = {
        "image_diameter": None if in_plane == 1 else info.diameter / in_plane,
        "pixel_size": info.pixel_size if size is None else tuple(s / z for s, z in zip(size, zoom, strict=True)),
    }
    return info.model_copy(update=known)


def rescales(
    before: Model, model: Model, crops: Sequence[AnnotatedCrop], policy: ScalePolicy = DEFAULT_POLICY.scale
) -> bool:
    """Return whether a model takes these images at another scale than one before."""
    infos = before.info, model.info
    zooms = ([magnification(one.image, info, policy.rescaling) for info in infos] for one in crops)
    return any(old != new for old, new in zooms)


def _zoom(image: Image, info: ModelInfo, policy: ScalePolicy) -> float:
    """Return how many pixels of the network one of an image is wide."""
    return magnification(image, info, policy.rescaling)[-1]


def _corrected_diameter(crops: Sequence[AnnotatedCrop], info: ModelInfo, policy: ScalePolicy) -> float | None:
    """Return the typical diameter of the objects, in pixels of the network at its present scale; None for too few."""
    found = [np.zeros(0)]
    for one in crops:
        found += [_zoom(one.image, info, policy) * widths for widths in _vouched_diameters(one, info.spec.ndim, policy)]
    widths = np.concatenate(found)
    return float(np.median(widths)) if len(widths) >= policy.min_objects else None


def _vouched_diameters(one: AnnotatedCrop, ndim: int, policy: ScalePolicy) -> Iterator[NDArray[np.float64]]:
    """Yield the diameters of the objects that the user vouches for: plane by plane, or of a volume at once.

    Those of objects that were corrected, and not only accepted, are brought to what is typical of all.
    """
    labels, counts, reviewed = one.part.labels, one.part.mask("supervised"), one.part.reviewed
    planes = [(labels, counts, reviewed)] if ndim == 3 else zip(labels, counts, reviewed, strict=True)
    for ids, vouched, checked in planes:
        accepted = _within(ids, checked, policy.min_vouched_share)
        yield diameters(np.where(np.isin(ids, accepted), ids, 0))
        corrected = np.setdiff1d(_within(ids, vouched, policy.min_vouched_share), accepted)
        yield policy.typical_to_corrected * diameters(np.where(np.isin(ids, corrected), ids, 0))


def _within(ids: NDArray[np.int32], mask: NDArray[np.bool_], min_share: float) -> NDArray[np.int32]:
    """Return the objects of which at least a share of the pixels lies in a mask."""
    present, numbers, pixels = np.unique(ids, return_inverse=True, return_counts=True)
    inside = np.bincount(numbers.reshape(ids.shape)[mask], minlength=len(present))
    return np.asarray(present[(inside >= min_share * pixels) & (present > 0)])
