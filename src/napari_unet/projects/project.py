"""A sitting that can be saved and taken up again."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_unet._version import __version__
from napari_unet.corrections.corrections import Corrections
from napari_unet.corrections.identity import largest_id
from napari_unet.errors import FileFormatError, LabelsError, UNetError
from napari_unet.guidance.where_next import Attention
from napari_unet.io import spill
from napari_unet.io.atomic import Protected
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.history import Generation
from napari_unet.progress import CancelToken, drive
from napari_unet.projects.arrays import ATTENTION, read_arrays, read_attention, tally, write_attention, write_steps
from napari_unet.projects.description import FILE, Counts, Description, Noted, read_description, write_description
from napari_unet.projects.folder import new_state
from napari_unet.projects.images import load, refer
from napari_unet.projects.journal import MODELS, play
from napari_unet.projects.models import read_models, write_models

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model
    from napari_unet.progress import ProgressCallback
    from napari_unet.projects.arrays import Block, Tally
    from napari_unet.projects.journal import Key, Played


@dataclass(frozen=True, slots=True)
class Mark:
    """By what the state of a sitting is known again.

    Attributes
    ----------
    digest : str
        A hash of all that a person would miss: labels, what is corrected and reviewed, models, and settings.
    own : bool
        Whether something of it is a person's: corrected, reviewed, or learned.
    """

    digest: str
    own: bool


class Project:
    """An image, its labels, what is known of every pixel of them, and the models that were used.

    Parameters
    ----------
    image : Image
        As it was segmented. It is not stored: where it lies is, and how to tell if it has changed. Only pixels that no
        file has are copied.
    labels : ndarray of int
        Axes as `image.label_axes`: the image's own without the channels.
    corrections : Corrections, optional
        Of these labels. None: the labels are a prediction in which nothing was corrected or reviewed.
    models : sequence of Generation or Model
        All that were in use, the first of them first.
    current : int, optional
        Place among them of the one in use; None: the last.
    waiting : Generation, optional
        One of which the user has not decided yet.
    channel : int, optional
        The channel that is segmented, where the image has several; None: not chosen.
    image_path : path, optional
        The file that the image was read from; None: what the image says itself.
    attention : Attention, optional
        Where a correction is worth most; not changed while it is saved. None: not known.

    Attributes
    ----------
    image, labels, corrections, current, waiting, channel, image_path, attention
        As above.
    generations : list of Generation
        The models, each with its verdict.
    image_channel : int or None
        Which channel of that file the image is; None: all of it.
    path : Path or None
        The folder that it was opened from or saved to.
    saved_mark : Mark or None
        Of what was saved last: painting may have gone on meanwhile.
    saved_blocks : dict
        Digests of the blocks with a person's work, as they were saved last.
    journal : int or None
        Number of the journal that goes on from what is saved; None: there is none.
    notes : tuple of str
        What its user should know, found on opening: the image has changed, or a model.

    Notes
    -----
    A project is a folder, ``NAME.unetproj``. Its ``project.json`` describes it and names the folder of the present
    state, ``state-N``, in which lie, as OME-Zarr label images with the axes of the image in the order T, Z, Y, X:

    - ``labels.zarr``: the labels, ids of objects or classes, corrections included;
    - ``prediction.zarr``: what the program painted where the user has not corrected it since;
    - ``provenance.zarr``: for each pixel 0 (unseen: not segmented yet), or the sum of 1 (predicted), 2 (corrected) and
      4 (reviewed). That a pixel is corrected also follows from the two arrays above, which is what counts on opening.

    There may be ``attention.zarr`` too: for cells of 32 x 32 pixels, what the program was unsure about.

    Beside them are the weights of all models that do not come with the program. Saving writes a new state and then
    replaces ``project.json``, in one step: whenever it is interrupted, the project is as it was before, or as it is
    after. Keys of ``project.json`` that are not known are ignored.
    """

    def __init__(
        self,
        image: Image,
        labels: NDArray[Any],
        corrections: Corrections | None = None,
        models: Sequence[Generation | Model] = (),
        *,
        current: int | None = None,
        waiting: Generation | None = None,
        channel: int | None = None,
        image_path: str | os.PathLike[str] | None = None,
        attention: Attention | None = None,
    ) -> None:
        if tuple(labels.shape) != image.label_shape or np.dtype(labels.dtype).kind not in "bui":
            raise UNetError(
                f"The labels have the shape {tuple(labels.shape)} and the type {labels.dtype}; for {image.name} they "
                f"need {image.label_shape} and whole numbers."
            )
        self.image, self.labels, self.channel = image, labels, channel
        self.corrections = _all_predicted(image, labels) if corrections is None else corrections
        self.generations = [one if isinstance(one, Generation) else Generation(one) for one in models]
        self.current = max(0, len(self.generations) - 1) if current is None else current
        self.waiting, self.attention = waiting, attention
        self.image_path = image.source if image_path is None else Path(image_path)
        self.image_channel: int | None = None
        self.path: Path | None = None
        self.saved_mark: Mark | None = None
        self.saved_blocks: dict[Key, bytes] = {}
        self.journal: int | None = None
        self.notes: tuple[str, ...] = ()

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model | None:
        """The model in use; None: there was none."""
        return self.generations[self.current].model if self.generations else None

    @property
    def provenance(self) -> NDArray[np.uint8]:
        """Where every label comes from, axes as `labels`: see `corrections.Provenance`; where several hold, the last.

        0 unseen, 1 predicted, 2 corrected, 3 reviewed; a pixel that is reviewed and corrected is 2.
        """
        result = spill.zeros(self.image.label_shape, np.uint8)
        labels, view = self._canonical, self.image.canonical_labels(result)
        for plane in self.corrections.planes():
            view[plane] = self.corrections.provenance(labels, plane)
        return result

    @property
    def supervised(self) -> NDArray[np.bool_]:
        """The pixels that are learned from, axes as `labels`: what `finetune` takes under that name."""
        result = spill.zeros(self.image.label_shape, bool)
        self.corrections.update(self._canonical)
        view = self.image.canonical_labels(result)
        for plane in self.corrections.supervised_planes():
            view[plane] = self.corrections.supervised(self._canonical, plane)
        return result

    def material(self) -> list[AnnotatedCrop]:
        """Return copies of what there is to learn from, as `learning.corrected.learning_steps` takes it.

        Raises
        ------
        ImageError, ModelMismatchError
            If image and model do not fit together.
        """
        if self.model is None:
            return []
        self.corrections.update(self._canonical)
        return annotated_crops(self.image, self._canonical, self.corrections, self.model, self.channel)

    def mark(self, cancel: CancelToken | None = None) -> Mark:
        """Return by what its state is known again; it only looks, also while the labels are changed elsewhere."""
        return self._mark(tally(self.image, self._canonical, self.corrections, cancel or CancelToken()))

    def _mark(self, found: Tally) -> Mark:
        models = [*self.generations, *([] if self.waiting is None else [self.waiting])]
        settings = (self.corrections.instances, self.corrections.zero_is_background, self.channel, self.image.diameter)
        said = (found.digest, [one.sha256() for one in models], self.current, self.waiting is None, *settings)
        own = bool(found.corrected or found.reviewed) or len(models) > 1 or any(one.learned for one in models)
        return Mark(hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest(), own)

    @property
    def _canonical(self) -> NDArray[Any]:
        return self.image.canonical_labels(self.labels)

    # -- on disk ---------------------------------------------------------------------------------------------------

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
    ) -> Path:
        """Save it; what was saved there before stays as it is until all of the new state is written.

        Parameters
        ----------
        path : path, optional
            A folder that ends in .unetproj; None: where it was opened from or saved to last.
        overwrite : bool
            Whether another project of that name may be replaced.
        progress : callable, optional
            Is told how far it has come.
        cancel : CancelToken, optional
            Stops it; what was saved before stays.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileFormatError
            If it cannot be saved there: another project or other things are there, the disk is full, no permission.
        ModelFileError
            If a model cannot be written.
        Cancelled
            If it was stopped.
        """

        def take(block: Block) -> None:
            block.take(self._canonical, self.corrections)
            if progress is not None:
                progress(block.progress)

        return drive(self.save_steps(path, overwrite=overwrite, cancel=cancel), take)

    def save_steps(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        cancel: CancelToken | None = None,
        empty: bool = False,
        pixels: Path | None = None,
    ) -> Generator[Block, None, Path]:
        """Save it, in a thread other than that in which the labels are changed; see `save`.

        Each block that is yielded has to be taken (`Block.take`) in the thread in which they are. What is saved is
        consistent within a block, at most 1024 x 1024 pixels of a plane: of a stroke that is painted meanwhile across
        two of them, one part may be saved and the other not. Ids of objects must not be changed all over meanwhile.

        `empty`: nothing of the labels is saved: they are to come by a journal. `pixels`: see `ready` of `images.refer`.
        """
        if path is None and self.path is None:
            raise FileFormatError("Say where to save: a folder that ends in .unetproj.")
        folder = Path(path or self.path or "").absolute()
        cancel = cancel or CancelToken()
        if self.image_path is not None:
            Protected([self.image_path]).check(folder, around=False)  # a project may hold its image
        models = [*self.generations, *([] if self.waiting is None else [self.waiting])]
        with new_state(folder, overwrite=overwrite or folder == self.path) as state:
            reference = refer(self.image, self.image_path, folder, state.image, pixels)
            cancel.check()
            dtype = np.dtype(self.labels.dtype)
            written = yield from write_steps(state.folder, self.image, dtype, cancel, empty=empty)
            if self.attention is not None and self.attention.anything:
                written.chunks[ATTENTION] = write_attention(state.folder, self.attention.known())
            references = write_models(models, state.folder)
            description = Description(
                program=__version__,
                saved=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                image=reference,
                channel=self.channel,
                task="instances" if self.corrections.instances else "semantic",
                zero_is_background=self.corrections.zero_is_background,
                last_id=self.corrections.last_id,
                state=state.folder.name,
                chunks=written.chunks,
                counts=Counts(
                    corrected=written.tally.corrected,
                    reviewed=written.tally.reviewed,
                    total=int(np.prod(self.image.label_shape, dtype=np.int64)),
                ),
                models=references[: len(self.generations)],
                current=self.current,
                waiting=references[-1] if self.waiting is not None else None,
                first_journal=self.journal,
            )
            cancel.check()
            state.flush()
            write_description(state.base, description)
        self.path, self.saved_mark, self.saved_blocks = folder, self._mark(written.tally), written.own
        return folder

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        image: Any = None,
        *,
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
    ) -> Project:
        """Open what was saved.

        Parameters
        ----------
        path : path
            The folder, or the ``project.json`` in it.
        image : path or array-like, optional
            Where the image is now, or its pixels, in the order of the axes that the project says. None: where it was.
        progress : callable, optional
            Is told how far it has come.
        cancel : CancelToken, optional
            Stops it.

        Returns
        -------
        Project
            Labels, and what is known of them, are copies, in temporary files where they would take too much of the
            memory; the image is read on demand. `notes` says what is not as it was.

        Raises
        ------
        ImageMissingError
            If the image is not where it was.
        ImageError
            If it is another, of another shape.
        FileFormatError
            If there is no project, or it is incomplete, damaged, or of a newer version of this program.
        ModelFileError
            If a model is damaged.
        Cancelled
            If it was stopped.
        """
        folder = Path(path).absolute()
        folder = folder.parent if folder.name == FILE else folder
        cancel, tell = cancel or CancelToken(), progress or (lambda _: None)
        said = read_description(folder)
        state = folder / said.state
        try:
            found, image_path, note = load(said.image, folder, image)
            shape = (found.n_frames, *found.space)
            corrections = Corrections(shape, instances=said.task == "instances")
            corrections.zero_is_background, corrections.last_id = said.zero_is_background, said.last_id
            labels = read_arrays(state, found, corrections, said.chunks, cancel, tell)
            if said.first_journal is not None:
                played = play(folder.parent, said.first_journal)
                labels = played.widened(labels)
                played.apply(found.canonical_labels(labels), corrections)
                said, models_at = _with_models(said, played, folder.parent, state)
            else:
                models_at = state
            references = (*said.models, *([said.waiting] if said.waiting else []))
            models, told = read_models(references, models_at)
        except UNetError:
            if read_description(folder).state != said.state:
                raise FileFormatError(f"{folder.name} was saved anew while it was opened. Open it again.") from None
            raise
        except OSError as error:
            raise FileFormatError(f"{folder} cannot be read: {error.strerror or error}.") from error
        corrections.update(found.canonical_labels(labels))
        project = cls(
            found,
            labels,
            corrections,
            models[: len(said.models)],
            current=min(said.current, max(0, len(said.models) - 1)),
            waiting=models[-1] if said.waiting else None,
            channel=said.channel,
            image_path=image_path,
        )
        if ATTENTION in said.chunks:
            try:
                known = read_attention(state, Attention.layout(corrections.shape), said.chunks[ATTENTION])
                project.attention = Attention.restored(corrections.shape, known, project.model or project)
            except UNetError:  # it can be found anew
                note = f"{note} Segment before Where next: what is noted of that is damaged.".strip()
        project.path, project.image_channel = folder, said.image.file_channel if image_path else None
        project.notes = tuple(dict.fromkeys(filter(None, (note, *told))))
        return project


def _with_models(said: Description, played: Played, folder: Path, state: Path) -> tuple[Description, Path]:
    """Return a description with the models as a journal notes them, and the folder in which they lie."""
    if not played.state:
        return said, state
    try:
        noted = Noted.model_validate(played.state)
    except ValidationError as error:
        raise FileFormatError(f"A journal in {folder} is damaged: {error.errors()[0]['msg']}.") from error
    return said.model_copy(update={name: getattr(noted, name) for name in Noted.model_fields}), folder / MODELS


def _all_predicted(image: Image, labels: NDArray[Any]) -> Corrections:
    """Return what is known of labels that nobody has corrected."""
    corrections = Corrections((image.n_frames, *image.space))
    view = image.canonical_labels(labels)
    for plane in corrections.planes():
        if view[plane].max() >= 2**31:
            raise LabelsError(f"Labels of a prediction are numbers up to {2**31 - 1}; got {view[plane].max()}.")
        corrections.prediction[plane] = view[plane]
        corrections.seen[plane] = True
        corrections.last_id = max(corrections.last_id, largest_id(view[plane]))
    return corrections
