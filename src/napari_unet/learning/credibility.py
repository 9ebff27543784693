"""How credible what a model makes of some images is, without labels: how far it agrees with itself, and how sure it is.

Objects that somebody corrected come out right once a model has learned them, whatever it has become elsewhere. What it
makes of all that lies around them tells more (docs/decisions/0029-check.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.inference.credibility import estimated_ap
from napari_unet.learning.crops import CropReader
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.tiling.engine import predict_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.crops import Box
    from napari_unet.learning.policy import Policy
    from napari_unet.models.model import Model


def estimated_score(
    model: Model, crops: Sequence[AnnotatedCrop], device: torch.device, policy: Policy = DEFAULT_POLICY
) -> float | None:
    """Return the AP at IoU 0.50 that a model is expected to reach around what is corrected or reviewed, 0 to 1.

    The mean over images, of each a field (a plane, or a part of a volume); None for a model of classes.

    Parameters
    ----------
    model : Model
    crops : sequence of AnnotatedCrop
        Only where they lie counts.
    device : torch.device
        Where the network runs.
    policy : Policy
    """
    if not model.info.finds_objects:
        return None
    by_image = {id(one.image): one for one in crops}  # of each image the last one
    scores = []
    for one in list(by_image.values())[: policy.promotion.max_estimated]:
        reader = CropReader(one.image, model, one.channels, policy.scale.rescaling)
        box = _field(one, policy.promotion.estimated_shapes[model.info.spec.ndim], reader.pixels)
        maps = predict_maps(model.net, reader.read(one.part.frame, box), device=device)
        scores.append(estimated_ap(maps, model.decode(maps), model.info))
    return float(np.mean(scores)) if scores else None


def _field(one: AnnotatedCrop, shape: Sequence[int], pixels: float) -> Box:
    """Return the box (Z, Y, X) of a field in the image around what is supervised, or the middle of that.

    `shape` is in pixels of the network, of which one is `pixels` of the image wide along Y and X.
    """
    supervised, corner = one.part.mask("supervised"), one.part.corner
    z = int(supervised.sum((1, 2)).argmax())
    middles = [z, *((int(hit.min()) + int(hit.max())) // 2 for hit in np.nonzero(supervised[z]))]
    wanted = shape[0], round(shape[1] * pixels), round(shape[2] * pixels)
    box = []
    for size, first, middle, width in zip(one.image.space, corner, middles, wanted, strict=True):
        start = max(0, min(first + middle - width // 2, size - width))
        box.append(slice(start, min(size, start + width)))
    return box[0], box[1], box[2]
