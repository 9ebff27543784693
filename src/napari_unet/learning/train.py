"""A model from folders of labelled images: what `nu.train` and `napari-unet train` do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_unet.errors import Cancelled, ImageError, LabelsError, LearningError, ModelMismatchError, UNetError
from napari_unet.inference.fast_mode import with_fast_mode
from napari_unet.inference.style import with_style
from napari_unet.inference.task import choose_channels
from napari_unet.learning.dense import DenseTraining, training_config
from napari_unet.learning.from_labels import check_limits
from napari_unet.learning.labelled import LabelledImages, as_pictures
from napari_unet.learning.new_model import Kind, Task, model_for_labels
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.retention import check_retention
from napari_unet.learning.training_report import TrainingReport
from napari_unet.learning.validation import ImageScore, image_score
from napari_unet.limits import check_choice, within
from napari_unet.models.info import check_task
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.store import load_model
from napari_unet.progress import Progress, counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.policy import Policy
    from napari_unet.progress import CancelToken, ProgressCallback
    from napari_unet.training.config import StepReport

DEFAULT_SECONDS = 600.0
"""Time for training where nothing is said."""

MAX_SECONDS = 366 * 86_400.0
"""Time for training, at most: a year."""

MAX_SHARE = 0.9
"""Of the images, that may be kept aside."""


def train(
    model: Model | str | None,
    images: Sequence[Any],
    labels: Sequence[NDArray[Any]],
    *,
    validation: tuple[Sequence[Any], Sequence[NDArray[Any]]] | None = None,
    val_share: float | None = None,
    ignore_label: int | None = None,
    kind: Kind = "unet2d",
    task: Task | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
    max_seconds: float | None = None,
    steps: int | None = None,
    border: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> tuple[Model, TrainingReport]:
    """Train a model on images that are labelled as a whole.

    Images on which the model is checked are never learned from: those of `validation`, or a share of whole images. The
    best weights on them are kept, training stops where they get no better, and how objects are read out of maps is
    fitted to them. What the model knew before is not held on to; the report says what is left of it. To learn from a
    few corrections, and keep what is known, use `finetune`.

    Parameters
    ----------
    model : Model, str or None
        Where to begin: a model, its name or its file; it is not changed. None: an untrained network.
    images : sequence of array-like or Image
        Each with two to five axes.
    labels : sequence of ndarray of int
        One for each image, with its axes but the channels: ids of objects, or classes. Where nothing is labelled counts
        as background.
    validation : (images, labels), optional
        Labelled images to check on.
    val_share : float, optional
        Share of the images, 0 to 0.9, that is kept aside to check on; drawn by `seed`. None: a fifth, if there are five
        or more images with objects, else none. 0: none.
    ignore_label : int, optional
        Pixels of this value are not learned from, and not scored.
    kind : {"unet2d", "unet3d", "unet2015"}
        Architecture of an untrained network.
    task : {"instances", "semantic"}, optional
        What is learned: objects, or classes. None: what the model finds; objects, for an untrained network.
    axes : str, optional
        Meaning of the images' axes; None: guessed.
    channel : int or str, optional
        The channel to learn from: number, from 0, or name. None: those that `segment` takes; all, for an untrained
        network.
    max_seconds : float, optional
        Time for training, without reading and scoring. None: ten minutes, or no limit with `steps`.
    steps : int, optional
        Most steps.
    border : float
        Weight of narrow gaps between objects (Ronneberger et al. 2015: 10).
    seed : int
        Seeds all draws.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    checkpoint : path, optional
        File that is written every 20 seconds. If it is there already, training goes on from it. It stays: delete it
        when the model is saved.
    progress : callable, optional
        Called with a `Progress` after every step.
    cancel : CancelToken, optional
        Ends the training after the step under way; what was learned so far is returned, without scores.
    policy : Policy

    Returns
    -------
    Model
    TrainingReport
        What was learned from, scores before and after, what was forgotten, and the learning curve; as text, for people.

    Raises
    ------
    LabelsError, ImageError, ModelMismatchError
        If the input does not fit together, or holds nothing to learn.
    LearningError
        If a limit makes no sense or leaves no time for a step, the images cannot be parted, or the checkpoint is of
        another training.
    FileFormatError
        If the checkpoint is damaged or cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet import train
    >>> y, x = np.mgrid[:96, :96]
    >>> image = np.exp(-((y - 48) ** 2 + (x - 48) ** 2) / 80)  # one spot
    >>> labels = (image > 0.2).astype(np.int32)
    >>> model, report = train("nuclei", [image], [labels], steps=2, device="cpu")
    >>> report.steps, report.kept_aside
    (2, ())
    """
    if max_seconds is None and steps is None:
        max_seconds = DEFAULT_SECONDS
    check_limits(max_seconds, steps, MAX_SECONDS)
    check_choice(kind, get_args(Kind), "The kind of network")
    check_choice(task, (None, *get_args(Task)), "What is learned")
    begin = load_model(model) if isinstance(model, str) else model
    task = _task(begin, task)
    instances = task == "instances"
    labelled = partial(_labelled, begin, axes, channel, ignore_label, instances)
    given = labelled(images, labels, "image")
    if validation is None:
        learned, others = parted(given, val_share, seed, policy)
    else:
        if val_share is not None:
            raise LearningError("Give either images to validate on, or a share of the images; not both.")
        learned = given
        with _of_validation():
            others = labelled(*validation, "validation image")
    if begin is None:
        begin = model_for_labels(kind, task, list(given.images), list(given.labels), seed)
    notes = [*_notes_of(learned, others), *_checked(learned, others, begin)]
    config = training_config(begin, scratch=model is None, steps=steps, max_seconds=max_seconds, seed=seed)
    training = DenseTraining(
        begin, learned, config.model_copy(update={"border": border}), validation=others, device=device,
        checkpoint=None if checkpoint is None else Path(checkpoint), policy=policy,
    )  # fmt: skip
    course = training.course
    gone_on = course.step
    note = "Going on where it was interrupted." if gone_on else ""
    for event in course.run(cancel):
        if progress is not None:
            progress(_progress(event, max_seconds, course.last_score, note))
    _check_has_learned(course.step, max_seconds, cancel)
    better = training.trained(cancel)
    made = TrainingReport(
        learned_from=learned.names, objects=learned.n_objects if instances else None,
        kept_aside=others.names if others and validation is None else (), validation=others.names if others else (),
        steps=course.step, seconds=course.seconds, gone_on=gone_on, loss=course.last_loss, best_step=course.best_step,
        stopped_early=course.stopped_early, curve=tuple(course.curve), notes=tuple(dict.fromkeys(notes)),
        not_unseen=tuple(others.names[index] for index in _also_learned(learned, others)) if others else (),
    )  # fmt: skip
    try:
        if cancel is not None:
            cancel.check()
        better = _described(better, None if model is None else begin, learned, policy)
        return _scored(better, None if model is None else begin, learned, others, made, device, cancel, policy)
    except Cancelled:
        return better, replace(made, was_interrupted=True)
    except UNetError as error:  # what was learned is not lost for want of a score
        return better, replace(made, notes=(*made.notes, f"The new model could not be scored. {error}"))


def _scored(
    better: Model,
    begin: Model | None,
    learned: LabelledImages,
    others: LabelledImages | None,
    report: TrainingReport,
    device: str,
    cancel: CancelToken | None,
    policy: Policy,
) -> tuple[Model, TrainingReport]:
    """Return the model and the report with scores; `begin` is None for a network that was untrained.

    Raises
    ------
    Cancelled
        If `cancel` is set.
    """
    if others:  # images that are also learned from count only where there are no others
        both = _also_learned(learned, others)
        every = range(len(others.images))
        scored, indices = others, [index for index in every if index not in both] or list(every)
    else:
        scored, indices = learned, _some(len(learned.images), policy.validation.max_scored)
    before = None
    if begin is not None and not begin.info.is_untrained:
        before = image_score(begin, scored, indices, device, cancel)
    after = image_score(better, scored, indices, device, cancel)
    retained = None if begin is None else check_retention(begin, better, resolve_device(device), policy)
    scores = _as_scores(before, after) if others else {}
    first = None if begin is None else begin.info.replay_set
    report = replace(report, before=before, after=after, retained=retained, first_model=first)
    return Model(better.net, better.info.model_copy(update={"scores": scores})), report


def _labelled(
    model: Model | None,
    axes: str | None,
    channel: int | str | None,
    ignore_label: int | None,
    instances: bool,
    images: Sequence[Any],
    labels: Sequence[NDArray[Any]],
    what: str,
) -> LabelledImages:
    """Return images, with the channels that a model takes, and labels that were handed in."""
    pictures = as_pictures(images, model, axes, channel, what)
    if not pictures:
        raise LabelsError(f"There is no {what}; at least one is needed.")
    return LabelledImages.of(pictures, [np.asarray(one) for one in labels], ignore_label, instances=instances)


def parted(
    given: LabelledImages, share: float | None, seed: int, policy: Policy
) -> tuple[LabelledImages, LabelledImages | None]:
    """Return the images to learn from, and those to check on; of images without objects none is kept aside.

    Parameters
    ----------
    given : LabelledImages
    share : float or None
        Share of the images to check on, 0 to 0.9; None: as the policy says, if there are enough images.
    seed : int
        Draws the images.
    policy : Policy

    Raises
    ------
    LearningError
        If the share makes no sense, or there are too few images.
    """
    limits = policy.validation
    useful = [index for index in range(len(given.images)) if given.objects_of(index)]
    if share is None:
        share = limits.share if len(useful) >= limits.min_images else 0.0
    if not within(share, (0.0, MAX_SHARE)):
        raise LearningError(f"The share of images to validate on is a number from 0 to {MAX_SHARE}; got {share!s:.40}.")
    if share == 0:
        return given, None
    if len(useful) < 2:
        raise LearningError(
            f"To keep images aside takes two with labels at least; here is {len(useful)}. Give a share of 0."
        )
    count = min(max(1, round(share * len(useful))), len(useful) - 1)
    drawn = np.random.default_rng(seed).permutation(useful)[:count]
    return given.parted(sorted(int(index) for index in drawn))


def _notes_of(learned: LabelledImages, others: LabelledImages | None) -> list[str]:
    """Return what is to be said of images: what their files say, and which are there twice."""
    notes = [*learned.notes, *(others.notes if others else ())]
    notes += [note for image in (*learned.images, *(others.images if others else ())) for note in image.notes]
    notes += learned.contradictions()
    if others is not None:
        both = _also_learned(learned, others)
        if both:
            notes.append(
                f"{len(both)} of {len(others.images)} validation images are also learned from "
                f"({others.names[both[0]]}): scores on these say nothing of new images."
            )
    return notes


def _also_learned(learned: LabelledImages, others: LabelledImages) -> list[int]:
    """Return the indices of the images for validation of which the pixels are also learned from."""
    seen = set(learned.image_digests)
    return [index for index, image in enumerate(others.image_digests) if image in seen]


def _task(begin: Model | None, task: Task | None) -> Task:
    """Return what is learned; raise `ModelMismatchError` where the model to begin with does not learn it."""
    if begin is None:
        return task or "instances"
    check_task(begin.name, begin.info, task)
    return begin.info.task


def _check_has_learned(steps: int, max_seconds: float | None, cancel: CancelToken | None) -> None:
    """Raise LearningError if the time was too short for a step; who stopped it before the first one knows."""
    if not steps and not (cancel is not None and cancel.cancelled):
        raise LearningError(
            f"In {max_seconds or 0:g} s nothing can be learned. Allow more time with --minutes (Python: max_seconds)."
        )


def _checked(learned: LabelledImages, others: LabelledImages | None, model: Model) -> tuple[str, ...]:
    """Return what the user should know of the images; see `LabelledImages.check`."""
    notes = learned.check(model)
    if others is None:
        return notes
    with _of_validation():
        return (*notes, *others.check(model))


@contextmanager
def _of_validation() -> Iterator[None]:
    """Say of errors that they are about images for validation, which often have the names of others."""
    try:
        yield
    except (ImageError, LabelsError, ModelMismatchError) as error:
        raise type(error)(f"Validation: {error}", error.details) from None


def _progress(event: StepReport, max_seconds: float | None, score: float | None, note: str) -> Progress:
    """Return how far it is: by the time, if that is used up first, else by the steps."""
    said = "" if score is None else f", {score:.0%} right on validation images"
    message = f"step {event.step}, loss {event.loss:.3f}{said}"
    note = event.note or note
    if max_seconds is not None and event.seconds / max_seconds > event.step / event.steps:
        return Progress(
            round(event.seconds), round(max(max_seconds, event.seconds)), event.seconds, "seconds", message, note
        )
    return Progress(event.step, event.steps, event.seconds, "steps", message, note)


def _described(better: Model, begin: Model | None, learned: LabelledImages, policy: Policy) -> Model:
    """Return the model with what is known of where it came from, and of the images that it learned."""
    pictures = list(learned.images)
    if begin is not None:
        known = {
            "parent": f"{begin.name} (sha256 {begin.sha256()[:12]})",
            "description": f"Began as {begin.name}, and trained on {counted(len(pictures), 'labelled image')}.",
        }
        better = Model(better.net, better.info.model_copy(update=known))
        styled = [(one, choose_channels(one, better)) for one in pictures]
        better = with_style(better, styled, policy.scale.rescaling)
    return with_fast_mode(better, pictures)


def _some(count: int, most: int) -> list[int]:
    """Return the indices of some images, evenly spread."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, most))})


def _as_scores(before: ImageScore | None, after: ImageScore) -> dict[str, float]:
    known = {} if before is None else {"validation before": round(before.value, 4)}
    return known | {"validation": round(after.value, 4)}
