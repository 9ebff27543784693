"""The scale to learn at: where objects are far wider than those that a model finds best, a coarser one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import common_pixel_size
from napari_unet.inference.scale import magnification
from napari_unet.learning.crops import subimage_slices
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model
from napari_unet.objects.size import depths, diameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.policy import ScalePolicy
    from napari_unet.models.info import ModelInfo


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """How large objects are, in pixels of the network at its present scale.

    Attributes
    ----------
    diameter : float
        In a plane.
    depth : float, optional
        In a volume: slices that an object is in. None: not known.
    """

    diameter: float
    depth: float | None = None


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
    return _rescaled(model, [one.image for one in crops], partial(_corrected_size, crops, policy=policy), policy)


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

    def labelled_size(info: ModelInfo) -> ObjectSize | None:
        zooms = [magnification(image, info, policy.rescaling) for image in images]
        frames = [(zoom, frame) for zoom, view in zip(zooms, labels, strict=True) for frame in view]
        volumes = frames if info.spec.ndim == 3 else []
        widths = [zoom[-1] * diameters(frame) for zoom, frame in frames]
        return _typical(widths, [zoom[0] * depths(frame) for zoom, frame in volumes], 1)

    return _rescaled(model, images, labelled_size, policy)


def _rescaled(
    model: Model, images: Sequence[Image], measured: Callable[[ModelInfo], ObjectSize | None], policy: ScalePolicy
) -> Model:
    """Return a model at the scale that fits images, by what somebody said of them, or else by what is measured there.

    `measured` returns the size of the objects, at the scale of a model.
    """
    info = model.info
    if info.diameter is None and not info.is_untrained:
        return model
    said = [image.diameter for image in images if image.diameter is not None]
    if info.diameter is None:
        size = ObjectSize(float(np.median(said))) if said else measured(info)
        if size is None:
            return model
        diameter = size.diameter
        far = diameter > policy.rescaling.diameter_tolerance * policy.untrained_diameter
        info = info.model_copy(update={"diameter": policy.untrained_diameter if far else diameter})
    info = with_fitting_scale(info, images, None if said else measured(info), policy)
    return model if info is model.info else Model(model.net, info)


def with_fitting_scale(
    info: ModelInfo, images: Sequence[Image], size: ObjectSize | None, policy: ScalePolicy = DEFAULT_POLICY.scale
) -> ModelInfo:
    """Return the description of a model that takes images like these at the scale that fits them.

    Volumes lose slices only as far as their objects are deeper, too, than those that the model finds best: what is 30
    pixels wide in 6 slices could hardly be seen in 3.

    Parameters
    ----------
    info : ModelInfo
    images : sequence of Image
    size : ObjectSize or None
        Of the objects; None: the scale is as somebody said.
    policy : ScalePolicy
    """
    said = any(image.diameter is not None for image in images)
    if info.diameter is None:
        return info
    far = size is not None and size.diameter > policy.rescaling.diameter_tolerance * info.diameter
    if not (far or said):
        return info
    factors = _factors(size, info.diameter, info.spec.ndim) if size is not None and far else (1.0,) * info.spec.ndim
    zoom = tuple(f * z for f, z in zip(factors, magnification(images[0], info, policy.rescaling), strict=True))
    in_plane = (zoom[-2] * zoom[-1]) ** 0.5
    if in_plane == 1 and info.image_diameter is None:
        return info
    pixels = common_pixel_size(images, info.spec.ndim)
    known = {
        "image_diameter": None if in_plane == 1 else info.diameter / in_plane,
        "depth_ratio": None if zoom[0] <= in_plane else zoom[0] / in_plane,
        "pixel_size": info.pixel_size if pixels is None else tuple(p / z for p, z in zip(pixels, zoom, strict=True)),
    }
    return info.model_copy(update=known)


def _factors(size: ObjectSize, best: float, ndim: int) -> tuple[float, ...]:
    """Return the factor on the magnification of each axis that brings objects to the diameter `best`.

    Z has that of Y and X where the depth is not known.
    """
    in_plane = best / size.diameter
    if ndim == 2:
        return in_plane, in_plane
    depth = in_plane if size.depth is None else min(1.0, max(in_plane, best / size.depth))
    return depth, in_plane, in_plane


def rescales(
    before: Model, model: Model, crops: Sequence[AnnotatedCrop], policy: ScalePolicy = DEFAULT_POLICY.scale
) -> bool:
    """Return whether a model takes these images at another scale than one before."""
    infos = before.info, model.info
    zooms = ([magnification(one.image, info, policy.rescaling) for info in infos] for one in crops)
    return any(old != new for old, new in zooms)


def _typical(
    widths: Sequence[NDArray[np.float64]], deep: Sequence[NDArray[np.float64]], least: int
) -> ObjectSize | None:
    """Return the medians of what was measured; None for fewer objects than `least`."""
    diameter, depth = np.concatenate([np.zeros(0), *widths]), np.concatenate([np.zeros(0), *deep])
    if len(diameter) < least:
        return None
    return ObjectSize(float(np.median(diameter)), float(np.median(depth)) if len(depth) >= least else None)


def _corrected_size(crops: Sequence[AnnotatedCrop], info: ModelInfo, policy: ScalePolicy) -> ObjectSize | None:
    """Return the typical size of the objects, at the present scale of a model; None for too few."""
    widths, deep = [], []
    for one in crops:
        zoom = magnification(one.image, info, policy.rescaling)
        for vouched, factor in _vouched(one, policy):
            widths.append(factor * zoom[-1] * diameters(vouched))
            if one.ndim == 3:
                slices = depths(vouched)
                deep.append(factor * zoom[0] * slices[slices > 1])  # one slice tells nothing of the depth
    return _typical(widths, deep, policy.min_objects)


def _vouched(one: AnnotatedCrop, policy: ScalePolicy) -> Iterator[tuple[NDArray[np.int32], float]]:
    """Yield the objects that the user vouches for: plane by plane, or of a volume at once.

    With them a factor that brings those that were corrected, and not only accepted, to the size that is typical of all.
    What lies in the ring around a corrected object, and nobody has touched, is no measure: it may be specks.
    """
    labels, counts, reviewed = one.labels, one.part.mask("supervised"), one.part.reviewed
    touched = np.isin(one.part.labels, list(one.part.corrections.touched))
    for z in subimage_slices(len(labels), one.ndim):
        ids = labels[z]
        accepted = _within(ids, reviewed[z], policy.min_vouched_share)
        yield np.where(np.isin(ids, accepted), ids, 0), 1.0
        ids = np.where(touched[z] & ~np.isin(ids, accepted), ids, 0)
        corrected = _within(ids, counts[z], policy.min_vouched_share)
        yield np.where(np.isin(ids, corrected), ids, 0), policy.typical_to_corrected


def _within(ids: NDArray[np.int32], mask: NDArray[np.bool_], min_share: float) -> NDArray[np.int32]:
    """Return the objects of which at least a share of the pixels lies in a mask."""
    present, numbers, pixels = np.unique(ids, return_inverse=True, return_counts=True)
    inside = np.bincount(numbers.reshape(ids.shape)[mask], minlength=len(present))
    return np.asarray(present[(inside >= min_share * pixels) & (present > 0)])
