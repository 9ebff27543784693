"""A model from densely labelled images: from scratch, or from another model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_unet.io.fingerprint import joined_digest
from napari_unet.learning.crops import image_samples
from napari_unet.learning.fit_to_labels import fitted_to_labels
from napari_unet.learning.labelled import LabelledImages
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.retention import replayed
from napari_unet.learning.scale import at_scale_of_labels
from napari_unet.learning.validation import Validation
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model, resolve_device
from napari_unet.objects.size import typical_diameter
from napari_unet.training.checked import CheckedTraining
from napari_unet.training.config import Augmentation, StepReport, TrainingConfig
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.policy import Policy
    from napari_unet.progress import CancelToken
    from napari_unet.training.samples import Sample


_GOING_ON: Final[dict[str, Any]] = {"patch": (160, 160), "batch_size": 4, "replay": 0.5, "ema": 0.95}
_GOING_ON_3D: Final[dict[str, Any]] = {
    "patch": (16, 64, 64), "learning_rate": 5e-3, "free_norm": 0.5,
    "augmentation": Augmentation(depth=1.4),  # objects in more and in fewer slices
}  # fmt: skip


def training_config(
    model: Model, *, scratch: bool, steps: int | None, max_seconds: float | None, seed: int
) -> TrainingConfig:
    """Return the settings for dense labels, all with a falling rate.

    From scratch patches and batches are what fits in memory; on which data the rate was chosen is not recorded. A model
    that goes on learns from smaller patches, as there are few steps in the time that a person waits: of planes as was
    chosen on junctions of an epithelium (the kinds of `napari-unet benchmark train`), of volumes as in
    docs/decisions/0030-volumes.md. Of planes it replays what it was first trained on, if it carries that along.

    Parameters
    ----------
    model : Model
    scratch : bool
        Whether its weights are random.
    steps, max_seconds, seed
        See `TrainingConfig`; None: by the other of the two, or 2000 steps.
    """
    flat = model.info.spec.ndim == 2
    settings: dict[str, Any] = {"learning_rate": 2e-3, "batch_size": 8 if flat else 2, "freeze_norm": False}
    settings["patch"] = (208, 208) if flat else (24, 96, 96)
    if not scratch:
        settings |= {"freeze_norm": True} | (_GOING_ON if flat else _GOING_ON_3D)
    if model.info.spec.padding == "valid":
        settings |= {"patch": (572, 572), "batch_size": 1}  # as in the 2015 paper
    return TrainingConfig(
        steps=steps or (1_000_000 if max_seconds else 2000), max_seconds=max_seconds, weight_decay=1e-2,
        schedule="cosine", exclusive=not model.info.finds_objects, seed=seed, **settings,
    )  # fmt: skip


class DenseTraining:
    """Learns from whole labelled images, as fast as it goes, whatever else the model knew.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    labelled : LabelledImages
    config : TrainingConfig
        How.
    validation : LabelledImages, optional
        Images on which the best weights, and how objects are read out of maps, are chosen; None: the last weights are
        taken, and the second is fitted to the images that are learned from.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    data : DataSource, optional
        What is noted as training data.
    checkpoint : Path, optional
        See `training.checked.CheckedTraining`.
    policy : Policy

    Attributes
    ----------
    course : CheckedTraining

    Raises
    ------
    NothingToLearnError
        If no pixel counts.
    LearningError, FileFormatError
        If the checkpoint is of another training, or damaged.
    """

    def __init__(
        self,
        model: Model,
        labelled: LabelledImages,
        config: TrainingConfig,
        *,
        validation: LabelledImages | None = None,
        device: str = "auto",
        data: DataSource | None = None,
        checkpoint: Path | None = None,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        self._labelled, self._validation, self._config = labelled, validation, config
        self._device, self._data, self._policy, self._begin = device, data, policy, model
        model = self._model = at_scale_of_labels(model, labelled.images, labelled.labels)
        samples: list[Sample] = []
        for image, view, mask in zip(labelled.images, labelled.labels, labelled.supervised, strict=True):
            if mask is None or mask.any():
                channels, weight = tuple(range(image.n_channels)), float(np.sqrt(view.size))
                samples += image_samples(image, model, view, mask, channels, weight, config.border)
        trainer = Trainer(model.net, replayed(model, samples, config.replay), config, resolve_device(device))
        limits = policy.validation
        self.course = CheckedTraining(
            trainer,
            None if validation is None else Validation(model, validation, device, policy).score,
            checks=limits.checks,
            patience=limits.patience,
            checkpoint=checkpoint,
            identity=self._identity() if checkpoint is not None else {},
        )

    def trained(self, cancel: CancelToken | None = None) -> Model:
        """Return the new model, with what is known of it; if `cancel` is set, without the fit, which takes a while."""
        labelled, info, course = self._labelled, self._model.info, self.course
        count = len(labelled.images)
        source = self._data or DataSource(name="labelled images of the user", licence="the user's own", images=count)
        recipe: dict[str, Any] = {
            "steps": course.step if course.best_step is None else course.best_step,
            "seconds": round(course.seconds, 1),
            "learning_rate": self._config.learning_rate,
            "seed": self._config.seed,
        }
        known: dict[str, Any] = {"training_data": (source,), "recipe": recipe, "scores": {}, "fast_mode": None}
        if info.finds_objects and info.diameter is None:
            known["diameter"] = typical_diameter([frame for view in labelled.labels for frame in view])
        trained = Model(course.trained(), info.model_copy(update=known))
        fit_to = self._validation or labelled
        return fitted_to_labels(
            trained, fit_to.images, fit_to.labels, fit_to.supervised, self._device, cancel, policy=self._policy
        )

    def _identity(self) -> dict[str, str]:
        """Return what a checkpoint has to be of, by names for the user."""
        learned, others = self._labelled.digests, self._validation.digests if self._validation is not None else []
        return {
            "images": joined_digest(image for image, _ in learned),
            "labels": joined_digest(labels for _, labels in learned),
            "validation images": joined_digest(one for pair in others for one in pair),
            "model to begin with": self._begin.sha256(),
            "settings (limits, border, seed)": self._config.model_dump_json(),
        }


def train_steps(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    config: TrainingConfig,
    *,
    ignore_label: int | None = None,
    device: str = "auto",
    data: DataSource | None = None,
    cancel: CancelToken | None = None,
) -> Generator[StepReport, None, Model]:
    """Train on whole labelled images; yield a report after every step and return the new model.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    images, labels : sequences
        Labels have the axes of their image but the channels.
    config : TrainingConfig
        How.
    ignore_label : int, optional
        Pixels with this value are not learned from.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    data : DataSource, optional
        What is noted as training data.
    cancel : CancelToken, optional
        Ends the training after the step under way.
    """
    for image in images:
        model.check_channels(image.n_channels)
    labelled = LabelledImages.of(images, labels, ignore_label, instances=model.info.finds_objects)
    training = DenseTraining(model, labelled, config, device=device, data=data)
    yield from training.course.run(cancel)
    return training.trained(cancel)
