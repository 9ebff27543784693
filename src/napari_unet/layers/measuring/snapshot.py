"""A copy of a session's labels for a worker, taken block by block in the main thread while the user goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image
from napari_unet.corrections.corrections import provenance_of
from napari_unet.io import spill
from napari_unet.io.pairs import image_stem
from napari_unet.layers.image import adapter
from napari_unet.measuring.labelled import Labelled, Shown, with_all_channels
from napari_unet.measuring.record import ByHand, Origin
from napari_unet.progress import Progress, Stopwatch
from napari_unet.projects.arrays import WIDTH, Block
from napari_unet.projects.images import is_in_file
from napari_unet.projects.names import file_name

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_unet.layers.measuring.made_by import Made, MadeBy
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.progress import CancelToken


@dataclass(frozen=True, slots=True, eq=False)
class ToCopy:
    """A block of a session's labels that a worker waits for."""

    session: LayerSession
    block: Block

    @property
    def progress(self) -> Progress:
        """How far copying has come."""
        return self.block.progress

    def copy(self) -> None:
        """Copy it (main thread).

        Raises
        ------
        UNetError
            If the array of the labels was replaced by one that does not fit.
        """
        self.block.take(self.session.labels, self.session.corrections)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a worker has to know of a session to copy its labels; made in the main thread.

    Attributes
    ----------
    session : LayerSession
        It is handed on, and not touched in the worker.
    name : str
        Of the image, without endings.
    image : Image
        As it is segmented: one channel, where the channels of a file are layers.
    source : Path or None
        Its file.
    channel : int or None
        Which channel of the file it is.
    series : int or None
        Number of the image in a file that holds several.
    shape : tuple of int
        Of the labels, (T, Z, Y, X).
    dtype : dtype
    instances : bool
        Whether labels are objects, or classes.
    classes : tuple of str
    made : sequence of Made
        How they came about.
    by_hand : ByHand
    shown : Shown
        What is in view.
    """

    session: LayerSession
    name: str
    image: Image
    source: Path | None
    channel: int | None
    series: int | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    instances: bool
    classes: tuple[str, ...]
    made: Sequence[Made]
    by_hand: ByHand
    shown: Shown

    @classmethod
    def of(cls, session: LayerSession, made: Sequence[Made], channel: int | None = None) -> Snapshot:
        """Return that of a session (main thread).

        Parameters
        ----------
        session : LayerSession
        made : sequence of Made
            How its labels came about.
        channel : int, optional
            The channel that is segmented, of a layer that has several.

        Raises
        ------
        UNetError
            If the labels do not fit the image any more.
        """
        layer, image = session.layer, session.image
        source, in_file = adapter.source_of(layer), adapter.channel_of(layer)
        counts = session.summary
        frame, z = session.plane
        return cls(
            session=session,
            name=file_name(str(layer.name)) if source is None else image_stem(source),
            image=image,
            source=source,
            channel=in_file,
            series=adapter.series_of(layer),
            shape=session.labels.shape,
            dtype=session.labels.dtype,
            instances=session.corrections.instances,
            classes=made[-1].generation.info.classes if made else (),
            made=made,
            by_hand=ByHand(counts.changed_objects, counts.changed_pixels, counts.reviewed_share),
            shown=Shown(frame, z, channel if in_file is None else in_file),
        )

    def steps(self, cancel: CancelToken) -> Generator[ToCopy, None, Labelled]:
        """Return the labels with all that is known of them (worker); the blocks are copied in the main thread.

        Raises
        ------
        UNetError
            If the image's file is gone, and pixels have to be read from it.
        """
        labels = spill.zeros(self.shape, self.dtype)
        provenance = spill.zeros(self.shape, np.uint8)
        watch, rows = Stopwatch(), [*range(0, self.shape[2], WIDTH)]
        total = self.shape[0] * self.shape[1] * len(rows)
        for done, (t, z, y) in enumerate(np.ndindex(self.shape[0], self.shape[1], len(rows))):
            where = (t, z, slice(rows[y], rows[y] + WIDTH), slice(0, self.shape[3]))
            block = Block(where, Progress(done, total, watch.seconds, "planes"))
            yield ToCopy(self.session, block)
            now, predicted, seen, reviewed = block.wait(cancel)
            labels[where], provenance[where] = now, provenance_of(now, predicted, seen, reviewed)
        file = self.file()
        image, notes = self._whole_image(file)
        axes = "".join(letter for letter in "TZYX" if letter in image.label_axes)
        missing = tuple(axis for axis, letter in enumerate("TZYX") if letter not in axes)
        found = Image(labels.squeeze(missing), axes, image.pixel_size, name=self.name, placement=image.placement)
        return Labelled(
            self.name,
            replace(found, notes=notes),
            image,
            "instances" if self.instances else "semantic",
            self.classes,
            provenance.squeeze(missing),
            self.origin(file),
            self.shown,
        )

    def file(self) -> Path | None:
        """Return the file that has the pixels that are segmented (worker: of a large one that takes seconds).

        None: there is none, or they were changed in napari since they were read.
        """
        known = self.source is not None and is_in_file(self.image, self.source, self.series)
        return self.source if known else None

    def origin(self, file: Path | None = None) -> Origin:
        """Return where the labels come from, but for the copies of pixels (weights of models are hashed).

        Parameters
        ----------
        file : Path, optional
            That which `file` returns; None: it does not matter.

        Raises
        ------
        ModelFileError
            If a model was put into a file that is gone.
        """
        files = {} if file is None else {"image": file}
        return Origin(files, self.name, tuple(one.resolved() for one in self.made), self.by_hand)

    def _whole_image(self, file: Path | None) -> tuple[Image, tuple[str, ...]]:
        """Return the image with all channels of its file, and what is to be known of it."""
        if self.source is None:
            return self.image, ()
        if not self.source.exists():
            return self.image, (f"{self.source.name} is no longer there; results lack its checksum.",)
        if file is None:
            return self.image, (f"{self.source.name} has other pixels than are open here; results do not name it.",)
        return with_all_channels(self.image, self.source, self.channel, self.series)


def snapshot_of(session: LayerSession, workspace: Workspace, made_by: MadeBy) -> Snapshot:
    """Return the snapshot of a session; what was corrected is found first, unless that takes long (main thread).

    Raises
    ------
    UNetError
        If the labels do not fit the image any more.
    """
    if not session.is_large:
        session.rescan()
    return Snapshot.of(session, made_by.of(session), workspace.channel_of(session.layer))
