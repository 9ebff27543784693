"""A project: what a user did with one image, which can be saved and opened again."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
from napari_unet.projects.arrays import ATTENTION, read_attention, tally, write_attention, write_steps
from napari_unet.projects.description import FILE, Counts, Description, write_description
from napari_unet.projects.digest import StateDigest, digest_of
from napari_unet.projects.folder import new_state
from napari_unet.projects.images import refer
from napari_unet.projects.models import write_models
from napari_unet.projects.opening import read_state
from napari_unet.projects.segmented_by import SegmentedBy
from napari_unet.projects.suggestions import restored, stored

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.credibility import Doubt
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model
    from napari_unet.progress import ProgressCallback
    from napari_unet.projects.arrays import Block, Tally
    from napari_unet.projects.journal import Key
    from napari_unet.projects.suggestions import Suggestions


class Project:
    """An image, its labels, which of them are predicted, corrected or reviewed, and the models that were used.

    Parameters
    ----------
    image : Image
        As it was segmented. A project stores the path of its file, and how to tell whether that has changed; the pixels
        are copied only if they are in no file.
    labels : ndarray of int
        Axes as `image.label_axes`: those of the image without the channels.
    corrections : Corrections, optional
        Of these labels. None: the labels are a prediction in which nothing was corrected or reviewed.
    models : sequence of Generation or Model
        All that were in use, in that order.
    current : int, optional
        Index of the one in use; None: the last.
    waiting : Generation, optional
        A learned model that the user has neither accepted nor rejected yet.
    channel : int, optional
        The channel that is segmented, where the image has several; None: not chosen.
    image_path : path, optional
        The file that the image was read from; None: `image.source`.
    image_series : int, optional
        Number of the image in that file, where it holds several; None: the one that is read if none is chosen.
    attention : Attention, optional
        Where a correction is worth most; it must not change while it is saved. None: not known.

    Attributes
    ----------
    image, labels, corrections, current, waiting, channel, image_path, image_series, attention
        As above.
    generations : list of Generation
        The models, each with its verdict.
    image_channel : int or None
        Which channel of that file the image is; None: all of them.
    path : Path or None
        The folder that it was opened from or saved to last.
    saved_digest : StateDigest or None
        Of what was saved last; the user may have painted meanwhile.
    saved_blocks : dict
        Digests of the blocks with the user's work, as they were saved last.
    journal : int or None
        Number of the journal that continues what is saved; None: there is none.
    segmented_by : SegmentedBy
        By what all of the image was segmented last.
    suspects : int or None
        Objects that are likely to be wrong, found when all of the image was segmented; None: not known.
    doubt : Doubt or None
        Why what was found then is not credible; None: not known.
    suggestions : dict
        Shapes that are suggested between slices and are no labels yet, by plane (T, Z); see `objects.outline.Outline`.
    notes : tuple of str
        Sentences for the user, found on opening: that the image has changed, or a model.

    Notes
    -----
    A project is a folder, ``NAME.unetproj``. Its file ``project.json`` describes it and names the folder of its state,
    ``state-N``. That holds OME-Zarr label images with the axes of the image, in the order T, Z, Y, X:

    - ``labels.zarr``: the labels (ids of objects, or classes), corrections included;
    - ``prediction.zarr``: the labels that the program predicted, without corrections;
    - ``provenance.zarr``: for each pixel 0 (not segmented yet), or the sum of 1 (predicted), 2 (corrected) and
      4 (reviewed). Whether a pixel is corrected also follows from the other two arrays, which count on opening.

    There may be ``attention.zarr`` too: the uncertainty of the prediction in cells of 32 x 32 pixels.

    Beside them are the model files of all models that do not come with the program. Saving writes a new state and then
    replaces ``project.json``, which is one step for the file system: if saving is interrupted, the project is as it was
    before. Unknown keys in ``project.json`` are ignored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from napari_unet import Project
    >>> from napari_unet.axes import Image
    >>> image = Image(np.zeros((64, 64), np.uint8), "YX", name="cells")
    >>> labels = np.zeros((64, 64), np.int32)
    >>> project = Project(image, labels)
    >>> project.labels[10:20, 10:20] = 1  # a correction: the program has not painted this object
    >>> path = project.save(Path(tempfile.mkdtemp()) / "cells.unetproj")
    >>> int(Project.open(path).supervised.sum())  # the object, and a ring around it
    184
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
        image_series: int | None = None,
        attention: Attention | None = None,
    ) -> None:
        if tuple(labels.shape) != image.label_shape or np.dtype(labels.dtype).kind not in "bui":
            raise UNetError(
                f"The labels have the shape {tuple(labels.shape)} and the type {labels.dtype}; for {image.name} they "
                f"need {image.label_shape} and whole numbers."
            )
        self.image, self.labels, self.channel = image, labels, channel
        self.corrections = all_predicted(image, labels) if corrections is None else corrections
        self.generations = [one if isinstance(one, Generation) else Generation(one) for one in models]
        self.current = max(0, len(self.generations) - 1) if current is None else current
        self.waiting, self.attention = waiting, attention
        self.image_path = image.source if image_path is None else Path(image_path)
        self.image_series = image_series
        self.image_channel: int | None = None
        self.path: Path | None = None
        self.saved_digest: StateDigest | None = None
        self.saved_blocks: dict[Key, bytes] = {}
        self.journal: int | None = None
        self.segmented_by = SegmentedBy()
        self.suspects: int | None = None
        self.doubt: Doubt | None = None
        self.suggestions: Suggestions = {}
        self.notes: tuple[str, ...] = ()

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def model(self) -> Model | None:
        """The model in use; None: there is none."""
        return self.generations[self.current].model if self.generations else None

    @property
    def provenance(self) -> NDArray[np.uint8]:
        """`corrections.corrections.Provenance` of every pixel, uint8, axes as `labels`.

        0 not segmented yet, 1 predicted, 2 corrected, 3 reviewed; a pixel that is corrected and reviewed is 2.
        """
        result = spill.zeros(self.image.label_shape, np.uint8)
        labels, view = self._canonical, self.image.canonical_labels(result)
        for plane in self.corrections.planes():
            view[plane] = self.corrections.provenance(labels, plane)
        return result

    @property
    def supervised(self) -> NDArray[np.bool_]:
        """The pixels to learn from, axes as `labels`; an argument of `finetune`."""
        result = spill.zeros(self.image.label_shape, bool)
        self.corrections.update(self._canonical)
        view = self.image.canonical_labels(result)
        for plane in self.corrections.supervised_planes():
            view[plane] = self.corrections.supervised(self._canonical, plane)
        return result

    def annotated_crops(self) -> list[AnnotatedCrop]:
        """Return the annotated crops to learn from, copied, for `learning.interactive.learning_steps`.

        Returns
        -------
        list of AnnotatedCrop
            Empty if there is no model, or nothing was corrected or reviewed.

        Raises
        ------
        ImageError, ModelMismatchError
            If the image does not suit the model.
        """
        if self.model is None:
            return []
        self.corrections.update(self._canonical)
        return annotated_crops(self.image, self._canonical, self.corrections, self.model, self.channel)

    def state_digest(self, cancel: CancelToken | None = None) -> StateDigest:
        """Return a digest of its state. Labels are only read: they may be changed in another thread meanwhile."""
        return self._digest(tally(self.image, self._canonical, self.corrections, cancel or CancelToken()))

    def _digest(self, found: Tally) -> StateDigest:
        kind = (self.corrections.instances, self.corrections.zero_is_background)
        by = tuple(filter(None, (self.segmented_by.sha256, self.segmented_by.decoding)))
        judged = () if (self.suspects, self.doubt) == (None, None) else (self.suspects, self.doubt)
        suggested = tuple(one.model_dump_json() for one in stored(self.suggestions))
        known = (*by, *judged, *suggested)
        settings = (self.current, self.waiting is None, *kind, self.channel, self.image.diameter, *known)
        return digest_of(found, self._all_models, settings)

    @property
    def _all_models(self) -> list[Generation]:
        return [*self.generations, *([] if self.waiting is None else [self.waiting])]

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
        """Save it. What was saved there before stays until all of the new state is written.

        Parameters
        ----------
        path : path, optional
            Name of the folder, which must end in ``.unetproj``; None: where it was opened from or saved to last.
        overwrite : bool
            Whether another project of that name may be replaced.
        progress : callable, optional
            Called with a `Progress` again and again.
        cancel : CancelToken, optional
            Stops it.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileFormatError
            If it cannot be saved there: the name is taken, the disk is full, or permissions are missing.
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
        """Save it from a worker thread, while the labels may change in another one; for arguments see `save`.

        `Block.take` has to be called on each block that is yielded, in the thread that changes the labels. A block,
        at most 1024 x 1024 pixels of a plane, is saved as it is at that time: of a stroke that is painted across two
        blocks meanwhile, one part may be saved and the other not. Objects must not be renumbered meanwhile.

        With `empty` no labels are saved, because a journal will hold them. For `pixels` see `ready` of `images.refer`.
        """
        if path is None and self.path is None:
            raise FileFormatError("Say where to save: a folder that ends in .unetproj.")
        folder = Path(path or self.path or "").absolute()
        cancel = cancel or CancelToken()
        if self.image_path is not None:
            Protected([self.image_path]).check(folder, around=False)  # a project may hold its image
        with new_state(folder, overwrite=overwrite or folder == self.path) as state:
            reference = refer(self.image, self.image_path, folder, state.image, pixels, self.image_series)
            cancel.check()
            dtype = np.dtype(self.labels.dtype)
            written = yield from write_steps(state.folder, self.image, dtype, cancel, empty=empty)
            if self.attention is not None and self.attention.anything:
                written.chunks[ATTENTION] = write_attention(state.folder, self.attention.known())
            references = write_models(self._all_models, state.folder)
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
                segmented_by=self.segmented_by.sha256,
                decoding=self.segmented_by.decoding,
                suspects=self.suspects,
                doubt=self.doubt,
                suggested=stored(self.suggestions),
            )
            cancel.check()
            state.flush()
            write_description(state.base, description)
        self.path, self.saved_digest, self.saved_blocks = folder, self._digest(written.tally), written.user_blocks
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
        """Open a project that was saved.

        Parameters
        ----------
        path : path
            The folder, or the ``project.json`` in it.
        image : path or array-like, optional
            Where the image is now, or its pixels, axes as they were saved (`Image.axes`). None: where it was.
        progress : callable, optional
            Called with a `Progress` again and again.
        cancel : CancelToken, optional
            Stops it.

        Returns
        -------
        Project
            Its arrays are copies, in temporary files if they are large; the image is read lazily. `notes` says what has
            changed.

        Raises
        ------
        ImageMissingError
            If the image is not where it was.
        ImageError
            If it has another shape.
        FileFormatError
            If there is no project, or it is incomplete, damaged, or saved by a newer version of this program.
        ModelFileError
            If a model is damaged.
        Cancelled
            If it was stopped.
        """
        folder = Path(path).absolute()
        folder = folder.parent if folder.name == FILE else folder
        found = read_state(folder, image, cancel or CancelToken(), progress or (lambda _: None))
        said = found.description
        project = cls(
            found.image,
            found.labels,
            found.corrections,
            found.generations[: len(said.models)],
            current=min(said.current, max(0, len(said.models) - 1)),
            waiting=found.generations[-1] if said.waiting else None,
            channel=said.channel,
            image_path=found.image_path,
        )
        notes = found.notes
        if ATTENTION in said.chunks:
            shape = found.corrections.shape
            try:
                known = read_attention(folder / said.state, Attention.layout(shape), said.chunks[ATTENTION])
                project.attention = Attention.restored(shape, known, project.model or project)
            except UNetError:  # it can be found anew
                notes = (*notes, "Where to look next could not be read: press Segment, and Next (N) knows it again.")
        project.segmented_by = SegmentedBy(said.segmented_by, said.decoding)
        project.suspects, project.doubt = said.suspects, said.doubt
        project.suggestions = restored(said.suggested, found.corrections.shape)
        project.path = folder
        if found.image_path:
            project.image_series, project.image_channel = said.image.file_series, said.image.file_channel
        project.notes = tuple(dict.fromkeys(filter(None, notes)))
        return project


def all_predicted(
    image: Image, labels: NDArray[Any], *, instances: bool = True, cancel: CancelToken | None = None
) -> Corrections:
    """Return the corrections of labels that were predicted, and that nobody has corrected."""
    corrections = Corrections((image.n_frames, *image.space), instances=instances)
    view = image.canonical_labels(labels)
    for plane in corrections.planes():
        if cancel is not None:
            cancel.check()
        if view[plane].max() >= 2**31:
            raise LabelsError(f"Labels of a prediction are numbers up to {2**31 - 1}; got {view[plane].max()}.")
        corrections.prediction[plane] = view[plane]
        corrections.seen[plane] = True
        corrections.last_id = max(corrections.last_id, largest_id(view[plane]))
    return corrections
