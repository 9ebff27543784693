"""Against forgetting: a little of what a model was first trained on, learned again, and asked about afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.learning.exams import Exam, sit
from napari_unet.learning.sampling import make_sample
from napari_unet.models.bank import base_data
from napari_unet.models.remembered import remembered
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.learning.sampling import Sample
    from napari_unet.models.bank import BankPatch
    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model makes of some exams.

    Attributes
    ----------
    labels : tuple of ndarray of int32, axes ([Z,] Y, X)
        One for each exam.
    seconds : float
        How long it took.
    """

    labels: tuple[NDArray[np.int32], ...]
    seconds: float


def replayed(model: Model, samples: Sequence[Sample], share: float) -> list[Sample]:
    """Return the samples and, as `share` of all patches, what the model carries along of its first training data."""
    again = base_samples(model) if share else ()
    weight = sum(sample.weight for sample in samples) * share / (1 - share) / max(1, len(again))
    return [*samples, *(replace(sample, weight=weight) for sample in again)]


@remembered
def base_samples(model: Model) -> tuple[Sample, ...]:
    """Return what a model carries along to learn again; made once, since corrections join while it learns."""
    patches = [patch for patch in base_data(model) if not patch.check]
    outputs = model.info.outputs
    return tuple(make_sample(_image(model, patch), patch.labels, outputs, max_focus=256) for patch in patches)


def base_exams(model: Model) -> list[Exam]:
    """Return what tells whether a model still knows what the first one of its line did."""
    patches = [patch for patch in base_data(model) if patch.check]
    return [Exam(_image(model, patch), patch.labels, np.ones(patch.labels.shape, bool)) for patch in patches]


@remembered
def base_answers(model: Model, device: torch.device) -> Answers:
    """Return what a model makes of these exams; kept, as learning begins where the last one ended."""
    watch = Stopwatch()
    labels = sit(base_exams(model), model, device)
    return Answers(labels, watch.seconds)


def _image(model: Model, patch: BankPatch) -> NDArray[np.float32]:
    return np.asarray(model.adapt_channels(patch.image), np.float32)
