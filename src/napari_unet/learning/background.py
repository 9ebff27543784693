"""Background that nobody has painted: what lies around painted objects and is in no object that is known.

Painted objects alone teach a network that everything is an object; with the narrow ring around them, that only a ring
is none. But whoever makes a model from scratch paints a few objects of many, so what is not painted is not all
background.
As long as the network knows nothing, a few pixels stand for background: what looks like an object is then taught as one
far more often than as background. Once that much is learned, what the network predicts to be an object is left out, and
the rest counts in full (docs/decisions/0011-from-scratch.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_unet.objects.targets import OF_WHOLE_OBJECTS
from napari_unet.tiling.engine import predict_maps
from napari_unet.training.samples import draw_focus, map_weights

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from napari_unet.models.model import Model
    from napari_unet.training.samples import Sample

THINNING = 5
"""Of so many pixels along Y, and along X, one counts as background while nothing is known. Data: five painted objects
in histology, phase contrast and U2OS (docs/decisions/0011-from-scratch.md)."""

_THREE_SLICES = np.ones((3, 1, 1), bool)
"""Three voxels along Z."""


def painted_pixels(model: Model, sample: Sample) -> NDArray[np.bool_]:
    """Return the pixels ([Z,] Y, X) of objects that the user vouches for."""
    foreground = model.info.outputs.index("foreground")
    return np.asarray((sample.supervised[foreground] > 0) & (sample.targets[foreground] > 0))


def surroundings(model: Model, sample: Sample, distance: float) -> NDArray[np.bool_]:
    """Return the pixels ([Z,] Y, X) that may well be background: near painted objects, and in none that is known.

    In a volume, those of the same slice; and those above and below objects that are painted in several slices.

    Parameters
    ----------
    model : Model
        For objects.
    sample : Sample
        Its targets hold all objects of the labels, also those that are only predicted.
    distance : float
        How far around painted objects, pixels.
    """
    painted = painted_pixels(model, sample)
    near = np.zeros(painted.shape, bool)
    for plane in np.ndindex(painted.shape[:-2]):
        if painted[plane].any():
            near[plane] = ndimage.distance_transform_edt(~painted[plane]) <= distance
    if painted.ndim == 3:
        near |= ndimage.binary_dilation(ndimage.binary_opening(painted, _THREE_SLICES), _THREE_SLICES)
    return np.asarray(near & (sample.targets[model.info.outputs.index("foreground")] == 0))


def thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask ([Z,] Y, X) with one of `THINNING` pixels along Y and along X."""
    grid = np.zeros_like(mask)
    grid[..., ::THINNING, ::THINNING] = True
    return grid & mask


def predicted_objects(model: Model, sample: Sample, device: torch.device) -> NDArray[np.bool_]:
    """Return the pixels ([Z,] Y, X) that a model predicts to be in objects, and those beside them."""
    maps = predict_maps(model.net, sample.image, device=device)
    foreground = maps[model.info.outputs.index("foreground")] > model.info.decoding.foreground
    return np.asarray(ndimage.binary_dilation(foreground))


def with_background(model: Model, sample: Sample, background: NDArray[np.bool_]) -> Sample:
    """Return a sample with more supervised pixels ([Z,] Y, X), all of them background."""
    outputs = model.info.outputs
    painted = painted_pixels(model, sample)
    known = (sample.supervised[outputs.index("foreground")] > 0) | background
    # An object that was cut off at unknown pixels is known as a whole once all around it is background.
    pieces = ndimage.label(painted)[0]
    cut = np.unique(pieces[painted & ~ndimage.binary_erosion(known, border_value=1)])
    complete = painted & ~np.isin(pieces, cut)
    supervised = sample.supervised.copy()
    for name, counts, weight in zip(outputs, supervised, map_weights(outputs), strict=True):
        more = background | complete if name in OF_WHOLE_OBJECTS else background
        counts[more & (counts == 0)] = weight
    objects = sample.targets[outputs.index("foreground")] > 0
    return replace(sample, supervised=supervised, focus=draw_focus(objects, known))
