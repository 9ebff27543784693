"""Reads what a project folder holds: the last saved state and, in a recovery copy, the journal that continues it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_unet.corrections.corrections import Corrections
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.projects.arrays import read_arrays
from napari_unet.projects.description import JournalModels, read_description
from napari_unet.projects.images import load
from napari_unet.projects.journal import MODELS, read_journals
from napari_unet.projects.models import read_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.history import Generation
    from napari_unet.progress import CancelToken, Progress
    from napari_unet.projects.description import Description
    from napari_unet.projects.journal import JournalContent


@dataclass(frozen=True, slots=True, eq=False)
class ReadState:
    """What was read from a project folder.

    Attributes
    ----------
    description : Description
        With the models as the journal lists them, if there is one.
    image : Image
    image_path : Path or None
        Its file; None: its pixels were given.
    labels : ndarray of int
        Axes as `image.label_axes`.
    corrections : Corrections
        Of these labels.
    generations : list of Generation
        The models, and last the one that waits for a decision, if there is one.
    notes : tuple of str
        Sentences for the user about what has changed since; may be empty.
    """

    description: Description
    image: Image
    image_path: Path | None
    labels: NDArray[Any]
    corrections: Corrections
    generations: list[Generation]
    notes: tuple[str, ...]


def read_state(folder: Path, image: Any, cancel: CancelToken, tell: Callable[[Progress], object]) -> ReadState:
    """Read a project folder; for `image` and errors see `Project.open`."""
    said = read_description(folder)
    state = models_folder = folder / said.state
    try:
        found, image_path, note = load(said.image, folder, image)
        corrections = Corrections((found.n_frames, *found.space), instances=said.task == "instances")
        corrections.predicted_by = said.segmented_by
        corrections.zero_is_background, corrections.last_id = said.zero_is_background, said.last_id
        labels = read_arrays(state, found, corrections, said.chunks, cancel, tell)
        if said.first_journal is not None:
            journal = read_journals(folder.parent, said.first_journal)
            labels = journal.widened(labels)
            journal.apply(found.canonical_labels(labels), corrections)
            if journal.state:
                said, models_folder = _with_models(said, journal, folder.parent), folder.parent / MODELS
        references = (*said.models, *([said.waiting] if said.waiting else []))
        generations, model_notes = read_models(references, models_folder)
    except UNetError:
        if read_description(folder).state != said.state:
            raise FileFormatError(f"{folder.name} was saved anew while it was opened. Open it again.") from None
        raise
    except OSError as error:
        raise FileFormatError(f"{folder} cannot be read: {error.strerror or error}.") from error
    corrections.update(found.canonical_labels(labels))
    return ReadState(said, found, image_path, labels, corrections, generations, (note, *model_notes))


def _with_models(said: Description, journal: JournalContent, folder: Path) -> Description:
    """Return a description with the models as a journal lists them."""
    try:
        recorded = JournalModels.model_validate(journal.state)
    except ValidationError as error:
        raise FileFormatError(f"A journal in {folder} is damaged: {error.errors()[0]['msg']}.") from error
    said_again = {name: getattr(recorded, name) for name in JournalModels.model_fields}
    if recorded.suggested is None:  # an earlier version of the program has written it
        del said_again["suggested"]
    return said.model_copy(update=said_again)
