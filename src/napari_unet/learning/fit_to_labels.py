"""How objects are read out of a model's maps, fitted to images that are labelled as a whole.

What was chosen for the objects that a model learned first does not hold for others: where these are half as wide, an
object has an eighth of the voxels, and all are smaller than the smallest that is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import Cancelled
from napari_unet.learning.crops import CropReader, subimage_slices
from napari_unet.learning.fitting import FitRegion, fit_decoding, other_seeds
from napari_unet.learning.held_out import HeldOutRegion
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model, resolve_device
from napari_unet.objects.maps import Maps
from napari_unet.tiling.engine import predict_maps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.policy import Policy
    from napari_unet.progress import CancelToken

Slices = tuple[slice, ...]


def fitted_to_labels(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None],
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    policy: Policy = DEFAULT_POLICY,
) -> Model:
    """Return a model with the settings that get most objects of labelled images right; the same where none are better.

    Parameters
    ----------
    model : Model
        After learning.
    images : sequence of Image
    labels : sequence of ndarray of int, axes (T, Z, Y, X)
    supervised : sequence of ndarray of bool, axes (T, Z, Y, X)
        The pixels that count; None: all.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        If it is set, the model is returned as it is.
    policy : Policy

    Notes
    -----
    Of each image about as many pixels are looked at, from its middle, together `FittingPolicy.max_pixels` at most.
    """
    if not model.info.finds_objects or (cancel is not None and cancel.cancelled):
        return model
    runs_on, outputs = resolve_device(device), model.info.outputs
    regions = []
    for one in labelled_regions(model, images, labels, supervised, policy.fitting.max_pixels, policy=policy):
        maps = Maps(predict_maps(model.net, one.image, device=runs_on), outputs)
        regions.append(FitRegion(maps, one.labels, one.mask, one.mask))
    now, others = model.info.decoding, other_seeds(model.info, policy.fitting)
    try:
        fitted = fit_decoding(
            regions, now, cancel, new_domain=True, may_lower=True, others=others, policy=policy.fitting
        )
    except Cancelled:
        return model
    if fitted.decoding == model.info.decoding:
        return model
    return Model(model.net, model.info.with_decoding(fitted.decoding))


def labelled_regions(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None],
    max_pixels: int,
    *,
    policy: Policy = DEFAULT_POLICY,
) -> Iterator[HeldOutRegion]:
    """Yield parts of labelled images at the scale of a model, normalised, from the middle of each.

    Parameters
    ----------
    model : Model
    images : sequence of Image
    labels : sequence of ndarray of int, axes (T, Z, Y, X)
    supervised : sequence of ndarray of bool, axes (T, Z, Y, X)
        The pixels that count; None: all.
    max_pixels : int
        Pixels of the network in all of them, about; of each image as many.
    policy : Policy
    """
    most = max(1, max_pixels // max(1, len(images)))
    for image, view, mask in zip(images, labels, supervised, strict=True):
        yield from _regions(model, image, view, mask, most, policy)


def _regions(
    model: Model,
    image: Image,
    labels: NDArray[Any],
    supervised: NDArray[np.bool_] | None,
    max_pixels: int,
    policy: Policy,
) -> Iterator[HeldOutRegion]:
    """Yield what there is to judge settings on in one image, at the scale of the model."""
    info = model.info
    reader = CropReader(image, model, policy=policy.scale.rescaling)
    parts = [(t, z) for t in range(image.n_frames) for z in subimage_slices(image.size("Z"), info.spec.ndim)]
    if supervised is not None:
        parts = [(t, z) for t, z in parts if supervised[t, z].any()]
    for frame, z in parts[len(parts) // 2 :] + parts[: len(parts) // 2]:
        box = _middle(z, labels.shape[-2:], round(max_pixels * reader.pixels**info.spec.ndim))
        inside = np.ones(labels[frame][box].shape, bool) if supervised is None else supervised[frame][box]
        if not inside.any():
            continue
        ids, mask = reader.fit(labels[frame][box]), reader.fit(inside)
        yield HeldOutRegion(reader.read(frame, box), ids, mask)
        max_pixels -= ids.size
        if max_pixels <= 0:
            return


def _middle(z: slice, plane: tuple[int, ...], pixels: int) -> tuple[slice, slice, slice]:
    """Return the box (Z, Y, X) of the middle of a plane with about so many pixels, of all slices together."""
    width = max(1, int((pixels / (z.stop - z.start)) ** 0.5))
    y, x = (slice(max(0, (n - width) // 2), max(0, (n - width) // 2) + min(n, width)) for n in plane)
    return z, y, x
