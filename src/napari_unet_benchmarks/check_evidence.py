"""All that a rule could go by to tell whether a new model is better than the one before, and whether it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.credibility import estimated_ap
from napari_unet.inference.in_memory import segment
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.nearby import near_corrections
from napari_unet.learning.split import Split, split_annotations
from napari_unet.nets import blocked
from napari_unet.nets.blocked import folded
from napari_unet.objects.stitch import best_matches, match_ids, mostly_within
from napari_unet.progress import Stopwatch, drive
from napari_unet.training.config import StepReport
from napari_unet_benchmarks.annotator_session import AnnotatorSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.interactive import Learned
    from napari_unet.models.model import Model
    from napari_unet.nets.unet import UNet
    from napari_unet_benchmarks.fields import Field

THRESHOLDS = (0.5, 0.75)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a model makes of an image: labels (Y, X), and the AP that it is expected to reach (`estimated_ap`)."""

    labels: NDArray[np.int32]
    estimate: float


class Looks:
    """What models make of images; each is computed once, and the networks are prepared once.

    Learned models are forgotten by `forget`.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], tuple[Model, Image, Found]] = {}
        self._folded: dict[int, tuple[UNet, UNet]] = {}

    def forget(self, kept: Sequence[Model]) -> None:
        """Forget all but what some models make of images."""
        ids, nets = {id(one) for one in kept}, {id(one.net) for one in kept}
        self._found = {key: one for key, one in self._found.items() if key[0] in ids}
        self._folded = {key: one for key, one in self._folded.items() if key in nets}

    def __call__(self, model: Model, image: Image) -> Found:
        """Return what a model makes of a plane."""
        key = id(model), id(image)
        if key not in self._found:
            with patch.object(blocked, "folded", self._prepared):
                result = segment(image, model, device="cpu", keep_maps=True)
            assert result.maps is not None
            labels = result.labels.reshape(result.labels.shape[-2:])
            maps = result.maps.reshape(len(result.maps), *labels.shape)
            found = Found(labels, estimated_ap(maps, labels, model.info, result.task.zoom))
            self._found[key] = model, image, found
        return self._found[key][2]

    def _prepared(self, net: UNet) -> UNet:
        if id(net) not in self._folded:
            self._folded[id(net)] = net, folded(net)
        return self._folded[id(net)][1]


class Session(AnnotatorSession):
    """An annotator's session on one plane that looks at what is known already.

    Parameters
    ----------
    shown : Field
    looks : Looks
    seed : int
    """

    def __init__(self, shown: Field, looks: Looks, seed: int) -> None:
        super().__init__(shown, seed=seed)
        self._looks = looks

    def predicted(self, model: Model, device: str) -> NDArray[Any]:
        """Return what a model makes of the image, looked up where it is known."""
        return self._looks(model, self.image).labels


def scores_on_others(model: Model, fields: Sequence[Field], looks: Looks) -> dict[str, Any]:
    """Return the pooled AP on images that nobody corrects, and of each: objects by threshold, and the estimate."""
    found = [looks(model, one.image) for one in fields]
    truths = [one.truth for one in fields]
    ap = evaluate(truths, [one.labels for one in found]).ap or {}
    images = [
        {
            "true": len(np.unique(truth[truth > 0])),
            "predicted": len(np.unique(one.labels[one.labels > 0])),
            "common": [len(match_ids(truth, one.labels, iou)) for iou in THRESHOLDS],
            "estimate": round(one.estimate, 4),
        }
        for truth, one in zip(truths, found, strict=True)
    ]
    return {"ap": ap["0.50"], "ap75": ap["0.75"], "images": images}


def learned_with_evidence(
    model: Model, opened: Sequence[Session], others: Sequence[Field], looks: Looks, steps: int, rate: float | None
) -> tuple[Model, dict[str, Any]]:
    """Learn, and return the new model with all that could tell whether it is better.

    Returns
    -------
    model : Model
    evidence : dict
        ``verdict``: what the program says. ``losses``: of every step. ``fields``: see `_field_evidence`. ``others``:
        scores on other images, before and after.

    Raises
    ------
    NothingToLearnError
        If there is nothing to learn from.
    """
    watch = Stopwatch()
    crops = [[*session.crops(model)] for session in opened]
    every = [crop for part in crops for crop in part]
    split = split_annotations(model, every)
    losses: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, StepReport):
            losses.append(round(event.loss, 5))

    settings = {"steps": steps} | ({} if rate is None else {"learning_rate": rate})
    learned = drive(learning_steps(model, every, None, "cpu", settings=settings), note)
    seconds = watch.seconds
    held_out_ids = _held_out_ids(opened, crops, split)
    return learned.model, {
        "verdict": _verdict(learned),
        "losses": losses,
        "fields": [
            _field_evidence(session, parts, [looks(one, session.image) for one in (model, learned.model)], held)
            for session, parts, held in zip(opened, crops, held_out_ids, strict=True)
        ],
        "others": {
            "before": scores_on_others(model, others, looks),
            "after": scores_on_others(learned.model, others, looks),
        },
        "seconds": seconds,
    }


def _verdict(learned: Learned) -> dict[str, Any]:
    verdict = learned.verdict
    named = {name: getattr(verdict, name) for name in ("reviewed", "retention")}
    return {name: None if one is None else asdict(one) for name, one in named.items()} | {
        "in use": verdict.should_promote(),
        "says": str(verdict),
        "out of domain": verdict.out_of_domain,
        "buffer": verdict.buffer,
        "images": len(verdict.held_out_images),
        "interpolation": learned.model.info.recipe.get("interpolation"),
        "fitted": learned.fitted is not None,
    }


def _held_out_ids(opened: Sequence[Session], crops: Sequence[Sequence[Any]], split: Split) -> list[NDArray[np.bool_]]:
    """Return the pixels (Y, X) of each image that are reviewed and not learned from."""
    masks = iter(split.held_out_masks)
    every = []
    for session, parts in zip(opened, crops, strict=True):
        held_out = np.zeros(session.labels.shape[-2:], bool)
        for crop in parts:
            mask = next(masks, None)
            if mask is not None:
                (_, y, x), (height, width) = crop.part.corner, mask.shape[-2:]
                held_out[y : y + height, x : x + width] |= mask[0]
        every.append(held_out)
    return every


def _field_evidence(
    session: Session, crops: Sequence[Any], found: Sequence[Found], held_out: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return what an open image tells.

    Of each object, as the labels are now: size, whether it was corrected, is reviewed, held out, near a correction; IoU
    of the old and the new model. Of each erased one: size, and the share of it that each model fills. Of predicted
    objects that match none: how many there are in what is reviewed, near corrections, and elsewhere. And what each
    model is expected to reach, and how many objects of the old one the new one keeps.
    """
    labels = session.labels[0, 0]
    corrections = session.corrections
    touched = corrections.touched
    reviewed, near = corrections.reviewed[0, 0], np.zeros(labels.shape, bool)
    for crop in crops:
        (_, y, x), (height, width) = crop.part.corner, crop.part.labels.shape[-2:]
        near[y : y + height, x : x + width] |= near_corrections(crop.part, crop.part.mask("corrected"))[0]
    before, after = found
    ious = [best_matches(labels, one.labels) for one in (before, after)]
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    within = [set(mostly_within(labels, mask).tolist()) for mask in (reviewed, held_out, near)]
    objects = [
        [int(size), int(i in touched), *(int(i in ids) for ids in within), *(round(iou[i][0], 3) for iou in ious)]
        for i, size in zip(ids.tolist(), sizes.tolist(), strict=True)
    ]
    predicted = corrections.prediction[0, 0]
    erased = []
    for one in sorted(set(np.unique(predicted[predicted > 0]).tolist()) & touched - set(ids.tolist())):
        where = predicted == one
        if not labels[where].any():
            erased.append([int(where.sum()), *(round(float((f.labels[where] > 0).mean()), 3) for f in (before, after))])
    return {
        "objects": objects,
        "erased": erased,
        "false": [_false(labels, one.labels, reviewed, near) for one in (before, after)],
        "false held out": [len(mostly_within(one.labels, held_out & (labels == 0))) for one in (before, after)],
        "estimates": [round(before.estimate, 4), round(after.estimate, 4)],
        "numbers": [len(np.unique(one.labels)) - 1 for one in (before, after)],
        "kept": len(match_ids(before.labels, after.labels, 0.5)),
    }


def _false(
    labels: NDArray[np.int32], found: NDArray[np.int32], reviewed: NDArray[np.bool_], near: NDArray[np.bool_]
) -> list[int]:
    """Return how many objects that match none lie in what is reviewed, near corrections, and elsewhere."""
    alone = np.where(np.isin(found, list(match_ids(labels, found, 0.5))), 0, found)
    return [len(mostly_within(alone, mask)) for mask in (reviewed, near & ~reviewed, ~near & ~reviewed)]
