"""Which model? Every model is tried on what is in view, and the one that seems to fit best comes first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import Cancelled, UNetError
from napari_unet.inference.credibility import can_be_judged
from napari_unet.inference.field import Field, field_of
from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE
from napari_unet.inference.which_model import Trial, models_for, ranked, try_models
from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import LayerGeometry
from napari_unet.layers.jobs import Job, PresentJob, Runner
from napari_unet.layers.workspace import with_notes
from napari_unet.models.store import DEFAULT_MODEL
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.saved_models import SavedModels
    from napari_unet.layers.workspace import Workspace
    from napari_unet.models.model import Model

FITS_WELL = 0.5
"""Estimate (`Trial.score`) from which on a model is said to fit well, and no other one is looked for unasked."""

OUTLINE = (255, 220, 40)
"""Colour of outlines: seen on grey, on dark and on the red and blue of stained tissue."""


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What a model makes of what is in view, for people.

    Attributes
    ----------
    name : str
        Of the model.
    words : str
        What it found, and how well it seems to fit.
    picture : ndarray of uint8, axes (Y, X, colour)
        The field with the outlines of what was found.
    tip : str
        What the model is for.
    trial : Trial
    """

    name: str
    words: str
    picture: NDArray[np.uint8]
    tip: str
    trial: Trial


class ModelGallery:
    """Tries all models on what is in view, in the background.

    Parameters
    ----------
    workspace : Workspace
    saved_models : SavedModels
        One of these is chosen.
    segmenter : Segmenter
        Segments with it.
    runner : Runner
        Where models are tried.

    Attributes
    ----------
    cards : list of Card
        Those that were tried so far, the best guess first.
    waiting : list of str
        Models that are still to be tried.
    problem : str
        Why none can be tried; empty: they can.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace, saved_models: SavedModels, segmenter: Segmenter, runner: Runner) -> None:
        self._workspace, self._saved_models = workspace, saved_models
        self._segmenter = segmenter
        self._job = PresentJob(runner)
        self._about: Image | None = None
        self._guess: Job | None = None  # that nobody asked for
        self._said = 0  # sentences so far
        self.cards: list[Card] = []
        self.waiting: list[str] = []
        self.problem = ""
        workspace.layer_chosen.connect(self.stop)
        workspace.image_changed.connect(self._on_image)
        workspace.segmenting.connect(self._on_segmenting)
        workspace.said.connect(self._on_said)

    @property
    def busy(self) -> bool:
        """Whether models are being tried."""
        return self._job.busy

    @property
    def in_words(self) -> str:
        """What the pictures are, or how far it is."""
        if self.problem:
            return self.problem
        if self.waiting and self.busy:
            number, total = len(self.cards) + 1, len(self.cards) + len(self.waiting)
            return f"Trying {self.waiting[0]} on what is in view ({number} of {total})."
        if not self.cards:
            return "No model was tried. Press Which model? to try them."
        fits = any(card.trial.score >= DEFAULT_MODEL_CHOICE.doubtful for card in self.cards)
        if fits:
            return "What each model finds in the middle of the view, the best guess first. Choose by what you see."
        return "No model seems to fit this image. If you see none that does, make one: New model…"

    def start(self) -> bool:
        """Try all models that can be used on the chosen image, on what is in view; return whether it began."""
        self.stop()
        self.cards, self.waiting, self.problem = [], [], ""
        workspace = self._workspace
        try:
            image, position = self._in_view()
            self.waiting = self._candidates(image)
            if not self.waiting:
                self.problem = (
                    "No model can be used on this image. New model… makes one that learns from what you paint."
                )
        except UNetError as error:
            self.problem = str(error)
        if self.problem:
            self.changed.emit()
            return False
        job = self._begin("Try the models", image)
        steps = partial(
            _cards, image, position, workspace.channel, self._loaded(self.waiting), workspace.device, job
        )  # fmt: skip
        self.changed.emit()
        self._job.run(job, steps, self._on_end, partial(self._on_error, job), self._on_card)
        return True

    def stop(self) -> None:
        """Stop trying; what was tried stays."""
        if self.busy:
            self._job.stop()
            self._on_end()

    def use(self, name: str, *, segment: bool = False) -> bool:
        """Use a model from now on, and segment with it if that is wanted; return whether that went well."""
        self.stop()
        model = self._workspace.model
        if (model is None or model.name != name) and not self._saved_models.choose(name):
            return False
        if segment:
            return self._segmenter.start()
        self._workspace.say(f"{name} is used from now on. Press Segment.")
        return True

    # -- a guess, unasked ------------------------------------------------------------------------------------------

    def guess(self) -> bool:
        """Say, some time later, if another model fits the chosen image far better; return whether it is looked into.

        The other models are only tried where the one in use does not fit well. Nothing is said if anything else was
        said meanwhile.
        """
        workspace = self._workspace
        model = workspace.model
        if self.busy or self._segmenter.busy or workspace.session is not None or workspace.layer is None:
            return False
        if model is not None and not can_be_judged(model.info):
            return False
        try:
            image, position = self._in_view()
            names = self._candidates(image)
        except UNetError:
            return False  # it is said when the user asks for something
        own = model.name if model is not None else DEFAULT_MODEL
        if not names:
            return False
        names = [own, *(name for name in names if name != own)] if own in names else names
        job = self._guess = self._begin("Look at the image", image)
        steps = partial(_guess, image, position, workspace.channel, self._loaded(names), own, workspace.device, job)
        self._job.run(job, steps, partial(self._on_guessed, own, self._said), partial(self._on_error, job))
        return True

    def _on_guessed(self, own: str, said: int, trials: list[Trial]) -> None:
        workspace = self._workspace
        text = _advice(own, trials)
        if text and self._said == said and workspace.session is None:
            notes = adapter.notes_of(workspace.layer, workspace.axes)
            text, details = with_notes(text, notes)
            workspace.say(text, "warning", details)

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_card(self, card: Card) -> None:
        self.cards.append(card)
        best = [trial.name for trial in ranked([card.trial for card in self.cards])]
        self.cards.sort(key=lambda card: best.index(card.name))
        self.waiting = [name for name in self.waiting if name != card.name]
        self.changed.emit()

    def _on_end(self, _: Any = None) -> None:
        self.waiting = []
        self.changed.emit()

    def _on_error(self, job: Job, error: Exception) -> None:
        if job is not self._guess and not isinstance(error, Cancelled):
            self._workspace.say_error(error)
        self._on_end()

    def _on_image(self) -> None:
        """Stop if the image has other pixels or axes by now."""
        if not self.busy or self._about is None:
            return
        try:
            image, _ = self._in_view()
        except UNetError:
            self.stop()
            return
        if not image.same_pixels(self._about) or image.axes != self._about.axes:
            self.stop()

    def _on_segmenting(self, begins: bool) -> None:
        """Leave the cores to what the user has asked for."""
        if begins and self._guess is not None and self._job.present is self._guess:
            self.stop()

    def _on_said(self, _: Any) -> None:
        self._said += 1

    # -- what is tried ---------------------------------------------------------------------------------------------

    def _begin(self, title: str, image: Image) -> Job:
        self._about = image
        return self._job.begin(title)

    def _in_view(self) -> tuple[Image, tuple[int, int, float, float]]:
        """Return the chosen image, and the time point, the slice and the pixel in the middle of the view."""
        workspace = self._workspace
        image = workspace.image()
        geometry = LayerGeometry(workspace.layer, image)
        y, x = geometry.middle_of_view(workspace.viewer)
        return image, (*geometry.current_plane(workspace.viewer), y, x)

    def _candidates(self, image: Image) -> list[str]:
        """Return the names of the models to try, the one in use among them even if it is not saved."""
        names, model = models_for(image, self._workspace.channel), self._workspace.model
        if model is None or model.info.is_untrained:
            return names
        return [model.name, *(name for name in names if name != model.name)]

    def _loaded(self, names: Sequence[str]) -> list[str | Model]:
        """Return names of models, and the one in use itself: it may be another than that saved under its name."""
        model = self._workspace.model
        return [model if model is not None and name == model.name else name for name in names]


def _cards(
    image: Image,
    position: tuple[int, int, float, float],
    channel: int | None,
    models: Sequence[str | Model],
    device: str,
    job: Job,
) -> Generator[Card, None, None]:
    """Try models one by one (worker)."""
    field = field_of(image, position, channel)
    picture = grey_picture(field)
    for trial in try_models(field, models, device=device, cancel=job.cancel):
        yield Card(trial.name, trial_in_words(trial), outlined(picture, trial.labels), trial.about, trial)


def _guess(
    image: Image,
    position: tuple[int, int, float, float],
    channel: int | None,
    models: Sequence[str | Model],
    own: str,
    device: str,
    job: Job,
) -> Generator[None, None, list[Trial]]:
    """Try models until the one in use is known to fit well (worker)."""
    yield from ()
    field, trials = field_of(image, position, channel), list[Trial]()
    if field.is_blank:
        return trials
    for trial in try_models(field, models, device=device, cancel=job.cancel):
        trials.append(trial)
        if trial.name == own and trial.score >= FITS_WELL:
            break
    return trials


def _advice(own: str, trials: Sequence[Trial]) -> str:
    """Return what to say unasked of models that were tried; empty: nothing."""
    if not trials:
        return ""
    best = ranked(trials)[0]
    score = {trial.name: trial.score for trial in trials}.get(own, 0.0)
    if best.score < DEFAULT_MODEL_CHOICE.doubtful:
        return "No model seems to fit this image. Which model? shows what each finds; New model… makes one."
    if best.name != own and best.score - score >= DEFAULT_MODEL_CHOICE.clearly_better:
        return f"{best.name} seems to fit this image better than {own}. Press Which model? to see both."
    return ""


def trial_in_words(trial: Trial) -> str:
    """Return what a model found, and how well it seems to fit."""
    if trial.problem:
        return trial.problem
    if not trial.n_objects:
        return "finds nothing"
    what = "class" if trial.of_classes else "object"
    well = DEFAULT_MODEL_CHOICE.doubtful if trial.of_classes else FITS_WELL
    doubtful = trial.score < DEFAULT_MODEL_CHOICE.doubtful
    fit = "does not seem to fit" if doubtful else "seems to fit" if trial.score >= well else "may fit"
    return f"{counted(trial.n_objects, what)}; {fit}"


def grey_picture(field: Field) -> NDArray[np.uint8]:
    """Return the plane of a field as a picture (Y, X, colour), its contrast stretched."""
    pixels = np.nan_to_num(field.pixels.astype(np.float32), posinf=0.0, neginf=0.0)
    if not field.image.is_colour or field.channel is not None:
        pixels = pixels[[field.channel or 0]]
    low, high = np.percentile(pixels, [0.5, 99.5])
    grey = np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return np.ascontiguousarray(np.broadcast_to(np.moveaxis(grey, 0, -1), (*grey.shape[1:], 3)).astype(np.uint8))


def outlined(picture: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return a picture with the outlines of objects, or of classes, drawn on it."""
    from napari_unet.objects.targets import boundaries

    drawn = picture.copy()
    drawn[boundaries(labels)] = OUTLINE
    return drawn
