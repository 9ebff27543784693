"""How objects are read out of a model's maps, fitted to images that are labelled as a whole.

What was chosen for the objects that a model learned first does not hold for others: where these are half as wide, an
object has an eighth of the voxels, and all are smaller than the smallest that is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.learning.crops import CropReader, subimage_slices
from napari_unet.learning.fitting import FitRegion, fit_decoding
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
    most = max(1, policy.fitting.max_pixels // max(1, len(images)))
    regions = [
        region
        for image, view, mask in zip(images, labels, supervised, strict=True)
        for region in _regions(model, image, view, mask, most, device, policy)
    ]
    fitted = fit_decoding(regions, model.info.decoding, new_domain=True, may_lower=True, policy=policy.fitting)
    if fitted.decoding == model.info.decoding:
        return model
    return Model(model.net, model.info.with_decoding(fitted.decoding))


def _regions(
    model: Model,
    image: Image,
    labels: NDArray[Any],
    supervised: NDArray[np.bool_] | None,
    max_pixels: int,
    device: str,
    policy: Policy,
) -> Iterator[FitRegion]:
    """Yield what there is to judge settings on in one image, at the scale of the model."""
    info, runs_on = model.info, resolve_device(device)
    reader = CropReader(image, model, policy=policy.scale.rescaling)
    parts = [(t, z) for t in range(image.n_frames) for z in subimage_slices(image.size("Z"), info.spec.ndim)]
    if supervised is not None:
        parts = [(t, z) for t, z in parts if supervised[t, z].any()]
    for frame, z in parts[len(parts) // 2 :] + parts[: len(parts) // 2]:
        box = _middle(z, labels.shape[-2:], round(max_pixels * reader.pixels**info.spec.ndim))
        inside = np.ones(labels[frame][box].shape, bool) if supervised is None else supervised[frame][box]
        if not inside.any():
            continue
        values = predict_maps(model.net, reader.read(frame, box), device=runs_on)
        ids, mask = reader.fit(labels[frame][box]), reader.fit(inside)
        yield FitRegion(Maps(values, info.outputs), ids, mask, mask)
        max_pixels -= ids.size
        if max_pixels <= 0:
            return


def _middle(z: slice, plane: tuple[int, ...], pixels: int) -> tuple[slice, slice, slice]:
    """Return the box (Z, Y, X) of the middle of a plane with about so many pixels, of all slices together."""
    width = max(1, int((pixels / (z.stop - z.start)) ** 0.5))
    y, x = (slice(max(0, (n - width) // 2), max(0, (n - width) // 2) + min(n, width)) for n in plane)
    return z, y, x
