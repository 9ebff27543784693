"""From what a user corrected to a better model: what the window does when Learn is pressed, without a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet.inference.style import with_style
from napari_unet.learning.comparison import Comparison, compare
from napari_unet.learning.finetune import finetune_config, finetuned
from napari_unet.learning.from_scratch import from_scratch_config, from_scratch_steps
from napari_unet.learning.gate import Verdict
from napari_unet.learning.held_out import predict_regions
from napari_unet.learning.preview import MAX_PREVIEW_SHARE, PREVIEW_EVERY, Preview, Previews
from napari_unet.learning.regression import MIN_HELD_OUT, check_regression
from napari_unet.learning.retention import base_predictions, check_retention, interpolated, replayed
from napari_unet.learning.scale import at_fitting_scale, rescales
from napari_unet.learning.split import split_annotations
from napari_unet.models.model import Model, resolve_device
from napari_unet.progress import Stopwatch
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.held_out import HeldOutRegion
    from napari_unet.learning.regression import NearbyRegion, RegressionCheck
    from napari_unet.progress import CancelToken, PauseToken
    from napari_unet.training.config import StepReport, TrainingConfig
    from napari_unet.training.samples import Sample

PATIENCE = 40.0
"""Seconds without any gain, on the reviewed places kept aside, after which learning ends."""

TOGETHER = 0.75
"""Share of the learning after which the corrections that were kept aside join: they are learned in what is left."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How the network does, while it learns, on the reviewed places kept aside.

    Attributes
    ----------
    step : int
    comparison : Comparison
        With the model that learning began with.
    stale_seconds : float
        Since it was last better than ever.
    """

    step: int
    comparison: Comparison
    stale_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Rescaled:
    """Learning goes on at another scale: the model as it begins, and as it was before."""

    model: Model
    before: Model

    def __str__(self) -> str:
        info = self.model.info
        wide = info.image_diameter or 0.0
        times = f"{wide / (info.diameter or 1.0):.1f} times smaller"
        return f"The objects are about {wide:.0f} pixels wide, so it learns on the image made {times}."


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A new model, and what is known of it."""

    model: Model
    verdict: Verdict


def learning_steps(
    model: Model,
    material: Sequence[AnnotatedCrop],
    max_seconds: float | None,
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    pause: PauseToken | None = None,
    more: Callable[[], Sequence[AnnotatedCrop]] | None = None,
    peek: Callable[[], bool] | None = None,
) -> Generator[Rescaled | StepReport | Checked | Preview, None, Learned]:
    """Learn from corrections; yield a report after every training step, and return the new model with a verdict.

    A part of the reviewed area, if it is large enough, is not learned from. Old and new model are compared there, and
    on a little of the data that the first model was trained on.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    material : sequence of Material
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
    peek : callable, optional
        Asked every few seconds whether a `Preview` is wanted.

    Notes
    -----
    A model made from nothing learns in a way of its own (`learning.scratch`).

    Raises
    ------
    NothingToLearnError
        If nothing is corrected or reviewed.
    LearningError
        If the network returns no numbers, whatever the rate.
    """
    place, watch = resolve_device(device), Stopwatch()
    border = float((settings or {}).get("border", 0.0))
    began, model = model, at_fitting_scale(model, material)
    before = began if began is not model and rescales(began, model, material) else None
    if before is not None:
        yield Rescaled(model, before)
    spare = not model.info.is_from_scratch
    lesson = split_annotations(model, material, border, before, spare=spare)

    def joined() -> Sequence[Sample]:
        nonlocal lesson, material
        added = more() if more is not None else None
        if not added:
            return []
        material = added
        lesson = split_annotations(model, added, border, before, spare=spare)
        return lesson.samples

    if model.info.is_from_scratch:
        config = from_scratch_config(model, **{"max_seconds": max_seconds} | dict(settings or {}))
        better = yield from from_scratch_steps(
            model, lesson.samples, config, device, cancel, pause=pause, more=joined, peek=peek
        )
        if model.info.is_untrained:
            return Learned(better, Verdict(None))  # before, there was nothing
        marks, visits = _Marks(model, lesson.exams, place), _Visits(model, lesson.visits, place)
        return Learned(better, Verdict(marks.compare(better), None, lesson.margin, visited=visits.impression(better)))
    # The time is the user's: what is asked of the new model afterwards takes as long as what was asked of the old one.
    asking = base_predictions(model, place).seconds
    left = None if max_seconds is None else max(max_seconds - watch.seconds - asking, max_seconds / 2)
    config = finetune_config(model, astray=lesson.astray, **{"max_seconds": left} | dict(settings or {}))
    session = Trainer(model.net, replayed(model, lesson.samples, config.replay), config, place)
    marks, visits = _Marks(model, lesson.exams, place), _Visits(model, lesson.visits, place)
    last: StepReport | None = None
    glimpses = Previews(peek)
    for last in session.run(cancel, pause):
        yield last
        samples = joined()
        if samples:
            session.learn_from(replayed(model, samples, config.replay))
            marks, visits = _Marks(model, lesson.exams, place), visits.of(lesson.visits)
        if lesson.aside and _share_done(last, config) >= TOGETHER:
            visits.look(Model(session.trained(), model.info))
            spare = False
            lesson = split_annotations(model, material, border, before)
            session.learn_from(replayed(model, lesson.samples, config.replay))
        if marks.due():
            checked = marks.check(session, last.step)
            yield checked
            if checked.stale_seconds > PATIENCE:
                break
        yield from glimpses.of(lambda: Model(session.trained(), model.info))
    better = finetuned(model, session, lesson.samples, last.seconds if last else 0.0, astray=lesson.astray)
    if last is None:
        return Learned(better, Verdict(None))
    better = with_style(better, [(one.image, one.channels) for one in material])
    if lesson.astray:
        remembered = check_retention(model, better, place)  # images of another kind: the user wants all of it
    else:
        better, remembered = interpolated(model, better, place)
    reviewed, visited = marks.compare(better), visits.impression(better)
    return Learned(better, Verdict(reviewed, remembered, lesson.margin, lesson.astray, visited))


def _share_done(last: StepReport, config: TrainingConfig) -> float:
    seconds = last.seconds / config.max_seconds if config.max_seconds else 0.0
    return max(last.step / config.steps, seconds)


class _Marks:
    """Compares what is being learned with the model that it began with, on the same exams."""

    def __init__(self, model: Model, exams: Sequence[HeldOutRegion], device: torch.device) -> None:
        self._model, self._exams, self._device = model, exams, device
        self._before: tuple[NDArray[np.int32], ...] = ()
        self._best, self._since_best, self._since_check = -1.0, Stopwatch(), Stopwatch()
        self._pause = PREVIEW_EVERY

    def due(self) -> bool:
        """Whether it is time for another look."""
        return bool(self._exams) and self._since_check.seconds > self._pause

    def check(self, session: Trainer, step: int) -> Checked:
        """Look how well it does now."""
        watch = Stopwatch()
        comparison = self.compare(Model(session.trained(), self._model.info))
        assert comparison is not None  # there are exams, or it would not have been due
        if comparison.after > self._best:
            self._best, self._since_best = comparison.after, Stopwatch()
        self._pause = max(PREVIEW_EVERY, watch.seconds / MAX_PREVIEW_SHARE)
        self._since_check = Stopwatch()
        return Checked(step, comparison, self._since_best.seconds)

    def compare(self, other: Model) -> Comparison | None:
        """Compare another model; None where there is no exam."""
        if not self._exams:
            return None
        if not self._before:
            self._before = predict_regions(self._exams, self._model, self._device, before=True)
        after = predict_regions(self._exams, other, self._device)
        return compare(self._exams, self._before, after, instances=self._model.info.finds_objects)


class _Visits:
    """Looks at what a new model makes of the corrections, and of what was left alone near them."""

    def __init__(
        self, model: Model, visits: Sequence[NearbyRegion], device: torch.device, aside: RegressionCheck | None = None
    ) -> None:
        self._model, self._visits, self._device, self._aside = model, visits, device, aside
        self._before: tuple[NDArray[np.int32], ...] = ()

    def of(self, visits: Sequence[NearbyRegion]) -> _Visits:
        """Return the same for other visits: corrections were made meanwhile."""
        return _Visits(self._model, visits, self._device, self._aside)

    def look(self, other: Model) -> None:
        """Remember how many of the corrections kept aside a model mends, which will be learned from now."""
        self._aside = self._compare(other)[0]

    def impression(self, other: Model) -> RegressionCheck | None:
        """Return how another model does; None where nothing was visited.

        By the corrections kept aside, as of when they were; where there are none, by those that it learned from.
        """
        if not self._visits:
            return None
        aside, learned = self._compare(other)
        aside = self._aside or aside
        if aside.corrections < MIN_HELD_OUT:
            return learned
        return replace(aside, left=learned.left, lost=learned.lost, added=learned.added)

    def _compare(self, other: Model) -> tuple[RegressionCheck, RegressionCheck]:
        exams = [visit.exam for visit in self._visits]
        if not self._before:
            self._before = predict_regions(exams, self._model, self._device, before=True)
        after = predict_regions(exams, other, self._device)
        return check_regression(self._visits, self._before, after, instances=self._model.info.finds_objects)
