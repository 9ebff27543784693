"""From what a user corrected to a better model: what the window does when Learn is pressed, without a window.

Learning goes through seven stages: the scale is chosen, annotations are split, settings are chosen, the network is
trained, what it was trained on at first is retained, how objects are read out of its maps is fitted where the images
are of another domain, and the new model is judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.scale import magnification
from napari_unet.inference.style import with_style
from napari_unet.learning.checks import Checked, HeldOutCheck
from napari_unet.learning.domain_shift import has_new_domain
from napari_unet.learning.finetune import finetune_config, finetuned, training_seconds
from napari_unet.learning.fit_to_corrections import fit_to_corrections
from napari_unet.learning.fitting import fitting_seconds, other_seeds
from napari_unet.learning.from_scratch import from_scratch_config, from_scratch_steps
from napari_unet.learning.gate import Verdict
from napari_unet.learning.held_out_images import with_images_noted
from napari_unet.learning.one_class import OneClass, only_class
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.preview import Preview, Previews
from napari_unet.learning.retention import base_predictions, check_retention, interpolated, replayed
from napari_unet.learning.scale import at_fitting_scale, rescales
from napari_unet.learning.split import split_annotations
from napari_unet.models.model import Model, resolve_device
from napari_unet.progress import Stopwatch
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    import torch

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.comparison import Comparison
    from napari_unet.learning.fitting import Fitted
    from napari_unet.learning.gate import Unchecked
    from napari_unet.learning.policy import Policy
    from napari_unet.learning.split import Split
    from napari_unet.progress import CancelToken, PauseToken
    from napari_unet.training.config import StepReport, TrainingConfig
    from napari_unet.training.samples import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Rescaled:
    """Learning goes on at another scale: the model as it begins, and as it was before."""

    model: Model
    before: Model

    def __str__(self) -> str:
        return (
            f"Objects are about {self.model.info.image_diameter or 0.0:.0f} pixels wide; learning on a smaller image."
        )

    @property
    def details(self) -> str:
        """By how much the image is made smaller, in words."""
        info = self.model.info
        return f"The network gets the image {(info.image_diameter or 0.0) / (info.diameter or 1.0):.1f} times smaller."


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A new model, what is known of it, and how its settings were fitted to the corrections, if they were."""

    model: Model
    verdict: Verdict
    fitted: Fitted | None = None


def learning_steps(
    model: Model,
    crops: Sequence[AnnotatedCrop],
    max_seconds: float | None,
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    pause: PauseToken | None = None,
    more: Callable[[], Sequence[AnnotatedCrop]] | None = None,
    preview_wanted: Callable[[], bool] | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Generator[Rescaled | OneClass | StepReport | Checked | Preview, None, Learned]:
    """Learn from corrections; yield a report after every training step, and return the new model with a verdict.

    A part of the reviewed area, if it is large enough, is not learned from. Old and new model are compared there, and
    on a little of the data that the first model was trained on.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    crops : sequence of AnnotatedCrop
        From `annotated_crops`.
    max_seconds : float, optional
        Stop after this time; it also stops when it has become no better for a while.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        Ends the learning after the step under way; what was learned until then is returned.
    settings : mapping, optional
        Of `TrainingConfig`, what is to be other than usual.
    pause : PauseToken, optional
        Holds it up after the step under way.
    more : callable, optional
        Asked after every step: returns all that is to be learned from, if that is more by now, else nothing.
    preview_wanted : callable, optional
        Asked every few seconds whether a `Preview` is wanted.
    policy : Policy
        The numbers that decide on scale, split and promotion.

    Notes
    -----
    A model made from scratch learns in a way of its own (`learning.from_scratch`).

    Raises
    ------
    NothingToLearnError
        If nothing is corrected or reviewed.
    ImageError
        If no pixel of an image is a number.
    LearningError
        If the network returns no numbers, whatever the rate.
    """
    changes = dict(settings or {})
    run = _Run(resolve_device(device), max_seconds, changes, cancel, pause, preview_wanted, policy)
    before, model = model, at_fitting_scale(model, crops, policy.scale)
    rescaled = before is not model and rescales(before, model, crops, policy.scale)
    if rescaled:
        yield Rescaled(model, before)
    border = float(changes.get("border", 0.0))
    annotations = _Annotations(model, before if rescaled else None, crops, border, more, policy)
    if not model.info.finds_objects and (alone := only_class(model.info, annotations.classes)) is not None:
        yield alone
    if model.info.is_from_scratch:
        return (yield from _learn_from_scratch(model, annotations, run))
    return (yield from _finetune(model, annotations, run))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """How learning runs: where, for how long, who may stop it or look on, and by which policy."""

    device: torch.device
    max_seconds: float | None
    settings: Mapping[str, Any]
    cancel: CancelToken | None
    pause: PauseToken | None
    preview_wanted: Callable[[], bool] | None
    policy: Policy
    watch: Stopwatch = field(default_factory=Stopwatch)


class _Annotations:
    """What is learned from and what is held out; corrections that are made meanwhile join.

    Parameters
    ----------
    model : Model
        What learns.
    before : Model, optional
        What it will be compared with, where that works at another scale.
    crops : sequence of AnnotatedCrop
    border : float
        How much more a seam between two objects counts.
    more : callable, optional
        See `learning_steps`.
    policy : Policy

    Attributes
    ----------
    crops : sequence of AnnotatedCrop
    split : Split
    """

    def __init__(
        self,
        model: Model,
        before: Model | None,
        crops: Sequence[AnnotatedCrop],
        border: float,
        more: Callable[[], Sequence[AnnotatedCrop]] | None,
        policy: Policy,
    ) -> None:
        self._model, self._before, self._border, self._more, self._policy = model, before, border, more, policy
        self.crops = crops
        self.split = self._divided(None)

    def join(self) -> bool:
        """Take up corrections that were made meanwhile; return whether there are any."""
        added = self._more() if self._more is not None else None
        if not added:
            return False
        self.crops = added
        self.split = self._divided(self.split)
        return True

    @property
    def classes(self) -> set[int]:
        """What the labels to learn from hold, where they are classes."""
        return set().union(*(np.unique(one.labels[one.part.mask("supervised")]).tolist() for one in self.crops))

    @property
    def unchecked(self) -> Unchecked:
        """Why nothing can be compared, where that is so."""
        reviewed = any(crop.part.reviewed.any() for crop in self.crops)
        return "too little reviewed" if reviewed else "nothing reviewed"

    def _divided(self, earlier: Split | None) -> Split:
        return split_annotations(
            self._model, self.crops, self._border, self._before, earlier=earlier, policy=self._policy
        )


def _learn_from_scratch(
    model: Model, annotations: _Annotations, run: _Run
) -> Generator[StepReport | Preview, None, Learned]:
    """Train a model that was made from scratch, and judge it if it has learned before."""
    left = training_seconds(run.max_seconds, run.watch.seconds, 0.0)  # such a network is small, and soon checked
    config = from_scratch_config(model, run.policy, **{"max_seconds": left} | dict(run.settings))
    better = yield from from_scratch_steps(
        model, annotations.split.samples, config, str(run.device), run.cancel, pause=run.pause,
        more=lambda: annotations.split.samples if annotations.join() else [], preview_wanted=run.preview_wanted,
        policy=run.policy,
    )  # fmt: skip
    split = annotations.split
    better = with_images_noted(better, model.info, split.learned_images, split.held_out_images)
    if model.info.is_untrained:
        return Learned(better, Verdict(None, unchecked="nothing before"))
    held_out = HeldOutCheck(model, split.held_out, run.device, run.policy)
    return Learned(better, _judged(split, held_out, better, annotations.unchecked))


def _finetune(
    model: Model, annotations: _Annotations, run: _Run
) -> Generator[StepReport | Checked | Preview, None, Learned]:
    """Choose the settings, train, retain and judge."""
    config = finetune_config(model, out_of_domain=annotations.split.out_of_domain, **run.settings)
    training = _Training(model, annotations, config, run)
    yield from training.steps()
    split, last = annotations.split, training.last
    seconds = last.seconds if last else 0.0
    better = finetuned(model, training.trainer, split.samples, seconds, out_of_domain=split.out_of_domain)
    if last is None:
        return Learned(better, Verdict(None))
    images = [(one.image, one.channels) for one in annotations.crops]
    better = with_style(better, images, run.policy.scale.rescaling)
    better = with_images_noted(better, model.info, split.learned_images, split.held_out_images)
    better, retention = _retained(model, better, split, run)
    unfitted, fitted = better.info.decoding, _fit(better, annotations, run)
    if fitted is not None and fitted.decoding != unfitted:
        better = Model(better.net, better.info.with_decoding(fitted.decoding))
    verdict = _judged(split, training.held_out, better, annotations.unchecked, retention)
    if better.info.spec.ndim == 3 and fitted is not None and fitted.enough:
        verdict = replace(verdict, finds_nothing=fitted.after == 0)
    return Learned(better, verdict, None if fitted is None or fitted.decoding == unfitted else fitted)


def _later(model: Model, annotations: _Annotations, check: HeldOutCheck, run: _Run) -> float:
    """Return how many seconds what follows training may take, by how long the same takes with the old model."""
    base, policy, out_of_domain = base_predictions(model, run.device), run.policy, annotations.split.out_of_domain
    candidates = 1 if out_of_domain else len(policy.promotion.interpolation_shares)
    later = candidates * base.seconds + check.seconds
    if base.pixels and model.info.finds_objects and (out_of_domain or has_new_domain(model.info)):
        zooms = (magnification(one.image, model.info, policy.scale.rescaling) for one in annotations.crops)
        pixels = sum(one.labels.size * math.prod(zoom) for one, zoom in zip(annotations.crops, zooms, strict=True))
        times = min(pixels, policy.fitting.max_pixels) / base.pixels
        network, decoding = times * (base.seconds - base.decoding_seconds), times * base.decoding_seconds
        later += fitting_seconds(network, decoding, 1 + len(other_seeds(model.info, policy.fitting)), policy.fitting)
    return later


def _judged(
    split: Split, held_out: HeldOutCheck, better: Model, unchecked: Unchecked, retention: Comparison | None = None
) -> Verdict:
    """Return what is known of a new model."""
    aside = tuple(split.held_out_images.values())
    return Verdict(held_out.compare(better), retention, split.buffer, split.out_of_domain, aside, unchecked=unchecked)


def _fit(model: Model, annotations: _Annotations, run: _Run) -> Fitted | None:
    """Return the settings that fit what is learned from, where those of the model were chosen on another domain.

    Elsewhere they were chosen on far more objects than a user corrects.
    """
    if not (model.info.finds_objects and has_new_domain(model.info)):
        return None
    masks = annotations.split.held_out_masks or None
    return fit_to_corrections(model, annotations.crops, str(run.device), held_out=masks, policy=run.policy)


def _retained(model: Model, better: Model, split: Split, run: _Run) -> tuple[Model, Comparison | None]:
    """Return a model that has forgotten little, and how it does on base data.

    Out of the domain of the old model, the user wants all of the new one.
    """
    if split.out_of_domain:
        return better, check_retention(model, better, run.device, run.policy)
    return interpolated(model, better, run.device, run.policy)


class _Training:
    """Fine-tuning while corrections join, with checks and previews in between.

    Parameters
    ----------
    model : Model
    annotations : _Annotations
    config : TrainingConfig
    run : _Run

    Attributes
    ----------
    trainer : Trainer
    held_out : HeldOutCheck
    last : StepReport or None
        Of the last step; None before the first.
    """

    def __init__(self, model: Model, annotations: _Annotations, config: TrainingConfig, run: _Run) -> None:
        self._model, self._annotations, self._config, self._run = model, annotations, config, run
        self.trainer = Trainer(model.net, self._samples(), config, run.device)
        self.held_out = HeldOutCheck(model, annotations.split.held_out, run.device, run.policy)
        if "max_seconds" not in run.settings:  # the time is the user's: all that is done counts
            self.held_out.prepare()
            later = _later(model, annotations, self.held_out, run)
            self.trainer.limit(training_seconds(run.max_seconds, run.watch.seconds, later))
        self.last: StepReport | None = None

    def steps(self) -> Generator[StepReport | Checked | Preview, None, None]:
        """Train until time or steps are used up, it is stopped, or it becomes no better."""
        previews = Previews(self._run.preview_wanted, self._run.policy.promotion)
        for report in self.trainer.run(self._run.cancel, self._run.pause):
            self.last = report
            yield report
            if self._annotations.join():
                self._take_up()
            if self.held_out.due and self.trainer.has_time_for(self.held_out.seconds):
                checked = self.held_out.check(self._now(), report.step)
                yield checked
                if checked.stale_seconds > self._run.policy.promotion.patience:
                    break
            yield from previews.of(self._now)

    def _samples(self) -> list[Sample]:
        return replayed(self._model, self._annotations.split.samples, self._config.replay)

    def _now(self) -> Model:
        return Model(self.trainer.trained(), self._model.info)

    def _take_up(self) -> None:
        """Learn from, and check on, what the annotations are now."""
        self.trainer.learn_from(self._samples())
        split = self._annotations.split
        self.held_out = HeldOutCheck(self._model, split.held_out, self._run.device, self._run.policy)
