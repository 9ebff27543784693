"""Sets a model's thresholds by what a user corrected and reviewed: *Fit to my corrections*."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.learning.annotations import CropReaders
from napari_unet.learning.crops import moved, subimage_slices, with_margin
from napari_unet.learning.domain_shift import has_new_domain
from napari_unet.learning.fitting import FitRegion, fit_decoding, other_seeds
from napari_unet.learning.nearby import connected_parts, near_corrections
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import resolve_device
from napari_unet.objects.maps import Maps
from napari_unet.tiling.engine import predict_maps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.fitting import Fitted
    from napari_unet.learning.policy import Policy
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


def fit_to_corrections(
    model: Model,
    crops: Sequence[AnnotatedCrop],
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    held_out: Sequence[NDArray[np.bool_]] | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Fitted:
    """Return the decoding that gets most right of what is corrected and reviewed in some images.

    Parameters
    ----------
    model : Model
        It finds objects.
    crops : sequence of AnnotatedCrop
        From `annotated_crops`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
    held_out : sequence of ndarray of bool, axes (Z, Y, X), optional
        Pixels of each crop that are not looked at, because something is to be judged on them.
    policy : Policy

    Raises
    ------
    Cancelled
        If `cancel` is set.
    """
    regions = []
    pixels = 0
    for region in _regions(model, crops, device, held_out, policy):
        if cancel is not None:
            cancel.check()
        regions.append(region)
        pixels += region.labels.size
        if pixels >= policy.fitting.max_pixels:
            break
    now, new_domain = model.info.decoding, has_new_domain(model.info)
    others = other_seeds(model.info, policy.fitting) if new_domain else ()
    if _is_strange_volume(model) and (threshold := between(regions)) is not None:
        others += tuple(one.model_copy(update={"foreground": threshold}) for one in (now, *others))
    return fit_decoding(regions, now, cancel, new_domain=new_domain, others=others, policy=policy.fitting)


def _is_strange_volume(model: Model) -> bool:
    """Return whether a model sees volumes, and has learned some of another domain than it was made for."""
    return model.info.spec.ndim == 3 and has_new_domain(model.info)


def between(regions: Sequence[FitRegion]) -> float | None:
    """Return the foreground half way between the objects and the background that somebody vouches for.

    In a volume that a model does not know, the foreground rises within objects long before it falls outside of them, so
    a threshold that parts the two may be far from the present one, and no setting near that finds anything.

    Parameters
    ----------
    regions : sequence of FitRegion

    Returns
    -------
    float or None
        0.01 to 0.99; None where nobody vouches for both.
    """
    inside, outside = [], []
    for region in regions:
        foreground = region.maps.values[region.maps.outputs.index("foreground")]
        inside.append(foreground[region.vouched & (region.labels > 0)])
        outside.append(foreground[region.vouched & (region.labels == 0)])
    objects, background = np.concatenate([*inside, []]), np.concatenate([*outside, []])
    if not (len(objects) and len(background)):
        return None
    return float(np.clip((np.median(objects) + np.median(background)) / 2, 0.01, 0.99))


def _regions(
    model: Model,
    crops: Sequence[AnnotatedCrop],
    device: str,
    held_out: Sequence[NDArray[np.bool_]] | None,
    policy: Policy,
) -> Iterator[FitRegion]:
    """Yield what there is to judge settings on, at the scale of the model."""
    runs_on = resolve_device(device)
    readers = CropReaders(model, policy)
    for index, one in enumerate(crops):
        reader, part = readers.of(one), one.part
        vouched = part.mask("supervised")
        seen = vouched
        if not _is_strange_volume(model):  # there, nobody has seen all that is wrong
            seen = near_corrections(part, part.mask("corrected"), reader.pixels, policy.split) | vouched
        if held_out is not None:
            vouched, seen = vouched & ~held_out[index], seen & ~held_out[index]
        for z in subimage_slices(len(part.labels), one.ndim):
            width = round(math.sqrt(policy.fitting.max_pixels / len(seen[z])) * reader.pixels)
            numbers, boxes = connected_parts(seen[z], max(1, width))
            for number, around in enumerate(boxes, start=1):  # there may be thousands in a large image
                box = with_margin(around, numbers.shape, one.ndim, reader.pixels)
                mask = numbers[box] == number
                corner = part.corner[0] + z.start, *part.corner[1:]
                image = reader.read(part.frame, moved(box, corner))
                values = predict_maps(model.net, image, device=runs_on)
                labels, inside, near = (
                    reader.fit(array) for array in (one.labels[z][box], vouched[z][box] & mask, mask)
                )
                yield FitRegion(Maps(values, model.info.outputs), labels, inside, near)
