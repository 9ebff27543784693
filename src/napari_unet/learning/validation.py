"""Scores on labelled images: of weights on their way, in parts of the images, and of a model, in whole ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest

from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.learning.fit_to_labels import labelled_regions
from napari_unet.learning.fitting import FitRegion, fit_decoding, other_seeds
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model, resolve_device
from napari_unet.objects.maps import Maps
from napari_unet.tiling.engine import predict_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.learning.labelled import LabelledImages
    from napari_unet.learning.policy import Policy
    from napari_unet.nets.unet import UNet
    from napari_unet.progress import CancelToken

IOU = "0.50"


@dataclass(frozen=True, slots=True)
class ImageScore:
    """How a model does on labelled images.

    Attributes
    ----------
    value : float
        Objects: TP / (TP + FP + FN) at an IoU of 0.5, pooled over the images. Classes: the mean Dice.
    objects : int or None
        True objects; None where labels are classes.
    images : int
    interval : (float, float) or None
        With 95 % confidence `value` lies between these (Wilson's interval), if objects were independent; None for
        classes.
    """

    value: float
    objects: int | None
    images: int
    interval: tuple[float, float] | None = None


def image_score(
    model: Model,
    labelled: LabelledImages,
    indices: Sequence[int] | None = None,
    device: str = "auto",
    cancel: CancelToken | None = None,
) -> ImageScore:
    """Segment labelled images as a user would, and score the result.

    Parameters
    ----------
    model : Model
    labelled : LabelledImages
    indices : sequence of int, optional
        Which of the images; None: all.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional

    Raises
    ------
    Cancelled
        If `cancel` is set.
    """
    truths, found = [], []
    for index in range(len(labelled.images)) if indices is None else indices:
        if cancel is not None:
            cancel.check()
        truth, known = labelled.as_stored(index, labelled.labels[index]), labelled.supervised[index]
        labels = segment(labelled.images[index], model, device=device).labels
        truths.append(truth)
        found.append(labels if known is None else np.where(labelled.as_stored(index, known), labels, 0))
    scores = evaluate(truths, found, task=model.info.task)
    if scores.ap is None or scores.f1 is None or scores.n_truth is None or scores.n_pred is None:
        return ImageScore(float(scores.dice), None, len(truths))
    both = scores.n_truth + scores.n_pred
    hits = round(scores.f1[IOU] * both / 2)
    share = binomtest(hits, max(1, both - hits)).proportion_ci(method="wilson")
    return ImageScore(scores.ap[IOU], scores.n_truth, len(truths), (float(share.low), float(share.high)))


class Validation:
    """Parts of labelled images, on which weights are compared while a model learns.

    Parameters
    ----------
    model : Model
        Gives scale, normalisation, and how objects are read out of maps.
    labelled : LabelledImages
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    policy : Policy
    """

    def __init__(
        self, model: Model, labelled: LabelledImages, device: str = "auto", policy: Policy = DEFAULT_POLICY
    ) -> None:
        self._info, self._device = model.info, resolve_device(device)
        # What parts objects, and the smallest one, are chosen anew in each check: those of other objects would hide
        # what was learned. Thresholds are not.
        self._fitting = policy.fitting.model_copy(update={"rounds": 0})
        self._regions = list(
            labelled_regions(
                model, labelled.images, labelled.labels, labelled.supervised, policy.validation.max_pixels,
                policy=policy,
            )
        )  # fmt: skip

    def score(self, net: UNet) -> float:
        """Return how much is right with some weights, 0..1.

        Objects: mean over several IoU of TP / (TP + FP + FN). Classes: mean Dice.
        """
        info, objects = self._info, self._info.finds_objects
        images = [region.image for region in self._regions]
        maps = list(predict_all(net, images, softmax=not objects, device=self._device))
        if objects:
            parts = [
                FitRegion(Maps(values, info.outputs), region.labels, region.mask, region.mask)
                for values, region in zip(maps, self._regions, strict=True)
            ]
            others = other_seeds(info, self._fitting)
            return fit_decoding(
                parts, info.decoding, new_domain=True, may_lower=True, others=others, policy=self._fitting
            ).after
        model = Model(net, info)
        truths: list[Any] = [np.where(region.mask, region.labels, 0) for region in self._regions]
        found = [np.where(one.mask, model.decode(m), 0) for one, m in zip(self._regions, maps, strict=True)]
        return float(evaluate(truths, found, task="semantic").dice)
