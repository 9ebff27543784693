"""A model and labelled images -> a better model: what scripts call, and what `train --base` scores with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import LabelsError, LearningError
from napari_unet.inference.fast_mode import with_fast_mode
from napari_unet.inference.style import with_style
from napari_unet.inference.task import choose_channels
from napari_unet.learning.crops import image_samples
from napari_unet.learning.domain_shift import errors_on_labels, has_new_domain
from napari_unet.learning.finetune import finetune_config, finetune_steps, training_seconds
from napari_unet.learning.fit_to_labels import fitted_to_labels
from napari_unet.learning.from_scratch import from_scratch_config, from_scratch_steps
from napari_unet.learning.labelled import LabelledImages, as_pictures
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.retention import base_predictions, interpolated
from napari_unet.learning.scale import at_scale_of_labels
from napari_unet.learning.validation import image_score
from napari_unet.limits import within
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.store import load_model
from napari_unet.progress import Progress, Stopwatch, drive
from napari_unet.training.config import StepReport, TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.policy import Policy
    from napari_unet.progress import CancelToken, ProgressCallback
    from napari_unet.training.samples import Sample

MAX_SECONDS = 7 * 86_400.0
"""Time for which a model may be told to learn: a week."""

MAX_STEPS = 10**8


def finetune(
    model: Model | str,
    images: Sequence[Any],
    labels: Sequence[NDArray[Any]],
    *,
    supervised: Sequence[NDArray[np.bool_] | None] | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
    max_seconds: float | None = 60.0,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    validation: tuple[Sequence[Any], Sequence[NDArray[Any]]] | None = None,
    config: TrainingConfig | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Model:
    """Fine-tune a model on labelled images.

    Where it is wrong about many of their objects, it learns faster. Where it misses many, they are of another domain
    than it knows, it may forget that, and how objects are read out of its maps is fitted to the labels. Otherwise its
    weights are interpolated with the old ones, as far as it takes to keep what it could do. A model made from scratch
    (*New model…*) has a way of its own to learn (`learning.from_scratch`).

    Parameters
    ----------
    model : Model or str
        Where to begin; it is not changed.
    images : sequence of array-like of number (numpy, dask, zarr) or Image
        Each with two to five axes, of T, C, Z, Y and X.
    labels : sequence of ndarray of int
        One for each image, with its axes but the channels: ids of objects, or classes, as the model has learned. Where
        an id stands in several places, as in a mask of two values, each piece is an object.
    supervised : sequence of ndarray of bool, optional
        The pixels of each image that count, shaped as its labels; None: all. No other pixel has any influence.
    axes : str, optional
        Meaning of the images' axes; None: guessed.
    channel : int or str, optional
        The channel to learn from: number, from 0, or name. None: those that `segment` takes.
    max_seconds : float, optional
        Stop after this time, in seconds; None: no limit.
    steps : int, optional
        Stop after so many steps; None: as many as suit the images (docs/decisions/0005-retention.md).
    seed : int
        Seeds all draws.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    validation : (images, labels), optional
        Scored before and after (AP at IoU 0.5, or mean Dice of classes); the figures stand in the new model's scores.
    config : TrainingConfig, optional
        All settings; overrides `max_seconds`, `steps` and `seed`.
    progress : callable, optional
        Called with a `Progress` after every step.
    cancel : CancelToken, optional
        Ends the training after the step under way; what was learned so far is returned.
    policy : Policy
        The numbers that decide on scale, on whether images are out of the model's domain, and on what is retained.

    Returns
    -------
    Model
        A new one, named after the old one. Save it with `save_model`.

    Warns
    -----
    UserWarning
        About what is odd in images and labels, such as ids in several places.

    Raises
    ------
    NothingToLearnError
        If no pixel is supervised.
    LabelsError, ImageError, ModelMismatchError
        If the input does not fit together, or holds nothing to learn.
    LearningError
        If the time or the steps are no numbers that make sense.

    Notes
    -----
    What holds on to what is known: other pixels are kept at what the model said (Li and Hoiem 2018,
    doi:10.1109/TPAMI.2017.2773081), patches of its training images are learned again (Rolnick et al. 2019,
    arXiv:1811.11682), and weights are interpolated (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet import finetune
    >>> y, x = np.mgrid[:128, :128]
    >>> image = np.exp(-((y - 64) ** 2 + (x - 64) ** 2) / 80)  # one spot
    >>> labels = (image > 0.2).astype(np.int32)
    >>> model = finetune("nuclei", [image], [labels], steps=2, max_seconds=None, device="cpu")
    >>> model.name, model.info.recipe["steps"]
    ('nuclei, corrected', 2)
    """
    check_limits(max_seconds, steps)
    if not isinstance(model, Model):
        model = load_model(model)
    watch = Stopwatch()
    checked = partial(_checked, model, axes, channel)
    given = checked(images, labels, supervised)
    others = None if validation is None else checked(*validation, what="validation image")
    for note in dict.fromkeys((*given.notes, *(others.notes if others else ()))):
        warnings.warn(note, stacklevel=2)
    pictures, views, known = list(given.images), list(given.labels), list(given.supervised)
    model = at_scale_of_labels(model, pictures, _counting(views, known), policy.scale)
    run = _Run(device, max_seconds, steps, seed, config, progress, cancel, policy, watch)
    better = _learned(model, given, run)
    if has_new_domain(better.info):
        better = fitted_to_labels(better, pictures, views, known, device, cancel, policy=policy)
    better = with_style(better, [(one, choose_channels(one, better)) for one in pictures], policy.scale.rescaling)
    better = with_fast_mode(better, pictures)
    if others is None:
        return better
    scores = {
        f"validation {when}": image_score(candidate, others, device=device).value
        for when, candidate in (("before", model), ("after", better))
    }
    return Model(better.net, better.info.model_copy(update={"scores": scores}))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """How learning runs; see `finetune`. `watch` began with it."""

    device: str
    max_seconds: float | None
    steps: int | None
    seed: int
    config: TrainingConfig | None
    progress: ProgressCallback | None
    cancel: CancelToken | None
    policy: Policy
    watch: Stopwatch

    def tell(self, event: object) -> None:
        """Hand on how far it is."""
        if self.progress is not None and isinstance(event, StepReport):
            self.progress(Progress(event.step, event.steps, event.seconds, "steps", f"loss {event.loss:.3f}"))


def check_limits(max_seconds: float | None, steps: int | None, longest: float = MAX_SECONDS) -> None:
    """Raise LearningError if time or steps are no numbers that make sense; `longest` is in seconds."""
    given = ("max_seconds", max_seconds, (1e-3, longest)), ("steps", steps, (1, MAX_STEPS))
    for name, value, (low, high) in given:
        if value is not None and not within(value, (low, high)):
            raise LearningError(f"{name} is a number from {low:g} to {high:g}, or None; got {value!s:.40}.")


def _learned(model: Model, labelled: LabelledImages, run: _Run) -> Model:
    """Return the trained model: with settings that are given, from scratch, or fine-tuned and retained."""
    samples: list[Sample] = []
    for image, view, mask in zip(labelled.images, labelled.labels, labelled.supervised, strict=True):
        samples += image_samples(image, model, view, mask, policy=run.policy.scale.rescaling)
    if run.config is not None:
        return drive(finetune_steps(model, samples, run.config, run.device, run.cancel), run.tell)
    if model.info.is_from_scratch:
        changes = {} if run.steps is None else {"steps": run.steps}
        config = from_scratch_config(model, run.policy, max_seconds=run.max_seconds, seed=run.seed, **changes)
        steps = from_scratch_steps(model, samples, config, run.device, run.cancel, policy=run.policy)
        return drive(steps, run.tell)
    return _finetuned(model, labelled, samples, run)


def _finetuned(model: Model, labelled: LabelledImages, samples: Sequence[Sample], run: _Run) -> Model:
    """Return the fine-tuned model, with settings by how many objects of the images it is wrong about."""
    device, shift = resolve_device(run.device), run.policy.domain_shift
    errors = errors_on_labels(model, labelled.images, labelled.labels, labelled.supervised, device, run.policy)
    many_errors = errors.are_many(shift)
    out_of_domain = errors.are_out_of_domain(shift) or (many_errors and has_new_domain(model.info))
    # The time is the user's: to check the new model afterwards takes as long as to check the old one now.
    later = 0.0 if out_of_domain else base_predictions(model, device).seconds
    steps = run.steps if run.steps is not None else (200 if run.max_seconds is None else 100_000)
    config = finetune_config(model, out_of_domain=out_of_domain, many_errors=many_errors, steps=steps, seed=run.seed)
    left = training_seconds(run.max_seconds, run.watch.seconds, later)
    config = config.model_copy(update={"max_seconds": left})
    training = finetune_steps(model, samples, config, run.device, run.cancel, out_of_domain=out_of_domain)
    better = drive(training, run.tell)
    return better if out_of_domain else interpolated(model, better, device, run.policy)[0]


def _checked(
    model: Model,
    axes: str | None,
    channel: int | str | None,
    images: Sequence[Any],
    labels: Sequence[NDArray[Any]],
    supervised: Sequence[NDArray[np.bool_] | None] | None = None,
    what: str = "image",
) -> LabelledImages:
    """Return images that fit the model, and labels and masks that fit these; the notes hold what is odd about them."""
    if len(images) != len(labels) or (supervised is not None and len(supervised) != len(images)):
        raise LabelsError(f"There are {len(images)} {what}s and {len(labels)} label images; each image needs its own.")
    pictures = as_pictures(images, model, axes, channel, what)
    arrays = [np.asarray(one) for one in labels]
    given = LabelledImages.of(pictures, arrays, supervised=supervised, instances=model.info.finds_objects)
    return replace(given, notes=(*given.notes, *given.check(model, corrections=True), *given.contradictions()))


def _counting(labels: Sequence[NDArray[Any]], supervised: Sequence[NDArray[np.bool_] | None]) -> list[NDArray[Any]]:
    """Return labels (T, Z, Y, X) with those objects of which some pixels count."""
    pairs = zip(labels, supervised, strict=True)
    return [view if mask is None else np.where(np.isin(view, view[mask]), view, 0) for view, mask in pairs]
