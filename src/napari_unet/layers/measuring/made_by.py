"""Which models made the labels of each session, and with which settings: for the record of what is exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.layers.image import adapter
from napari_unet.measuring.record import Segmentation
from napari_unet.models.store import find_model, list_models, load_model

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from napari_unet.inference.task import Task
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.learning.history import Generation
    from napari_unet.projects.segmented_by import SegmentedBy


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A segmentation that is in the labels.

    Attributes
    ----------
    generation : Generation
        The model.
    said : Segmentation
        All but what has to be computed or read: the hash of the weights, and where the model is found.
    """

    generation: Generation
    said: Segmentation

    def resolved(self) -> Segmentation:
        """Return all of it (worker: weights are hashed).

        Raises
        ------
        ModelFileError
            If the model was put into a file that is gone.
        """
        digest = self.generation.sha256()
        return replace(self.said, sha256=digest, file=_file_of(self.generation, digest))


class MadeBy:
    """Notes it for each session.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._made: dict[Hashable, list[Made]] = {}
        workspace.segmented.connect(self._on_segmented)
        workspace.session_closing.connect(self._on_closing)

    def of(self, session: LayerSession) -> list[Made]:
        """Return the segmentations that are in the labels of a session, in the order in which they were made.

        Of a project that was opened it is not on record; the model that it was saved with is returned.
        """
        found = self._made.get(session.key, [])
        generation = self._workspace.history.in_use
        if not found and session.saved_as is not None and generation is not None:
            return [Made(generation, _said(session, generation, whole=False))]
        return [_as_decoded(one, session.segmented_by) for one in found]

    def _on_segmented(self, session: LayerSession, task: Task, complete: bool) -> None:
        generation = self._workspace.history.in_use
        if generation is None:
            return
        everything = complete and task.covers_image
        made = Made(generation, _said(session, generation, task, whole=everything))
        key = session.key
        before = [] if everything else self._made.get(key, [])
        same = [one for one in before if one.generation is generation and one.said == made.said]
        self._made[key] = before if same else [*before, made]

    def _on_closing(self, session: LayerSession) -> None:
        self._made.pop(session.key, None)


def _as_decoded(made: Made, by: SegmentedBy) -> Made:
    """Return what was made of all of an image as its objects are read by now: the sliders may have been moved since."""
    if not made.said.whole:
        return made
    return replace(made, said=replace(made.said, decoding=by.decoding, whole=bool(by)))


def _said(session: LayerSession, generation: Generation, task: Task | None = None, *, whole: bool) -> Segmentation:
    image = session.image if task is None else task.image
    in_file = adapter.channel_of(session.layer)  # of a file whose channels are layers
    channel = in_file
    if channel is None and task is not None and image.n_channels > 1 and len(task.channels) == 1:
        channel = task.channels[0]
    return Segmentation.of(
        image, generation.info, whole=whole, axes=image.axes if in_file is None else None, channel=channel,
        series=adapter.series_of(session.layer), flips=task is not None and task.flips,
    )  # fmt: skip


def _file_of(generation: Generation, digest: str) -> Path | None:
    """Return the file of a model that its name does not find."""
    try:
        if load_model(generation.info.name).sha256() == digest:
            return None
    except UNetError:
        pass
    return generation.file or _named_otherwise(digest)


def _named_otherwise(digest: str) -> Path | None:
    """Return a model of the user's that has the same weights; None: there is none."""
    for entry in list_models():
        try:
            if not entry.shipped and load_model(entry.name).sha256() == digest:
                return find_model(entry.name)
        except UNetError:
            continue
    return None
