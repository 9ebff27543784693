"""Segments an image into its project, without a window: what *Segment all* does with each image of a list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.corrections.corrections import Corrections
from napari_unet.corrections.identity import rename
from napari_unet.corrections.unknown import forget_shapes
from napari_unet.errors import LabelsError, UNetError
from napari_unet.guidance.suspects import find_suspects
from napari_unet.guidance.where_next import Attention, uncertainty_by_cell
from napari_unet.inference.credibility import subimage_seems_right
from napari_unet.inference.diameter import with_diameter
from napari_unet.inference.steps import SubimageDone, segment_steps
from napari_unet.inference.task import make_task
from napari_unet.io import spill
from napari_unet.io.channels import one_channel
from napari_unet.io.readers import read_image
from napari_unet.objects.maps import Maps
from napari_unet.objects.stitch import count_ids
from napari_unet.projects.project import Project
from napari_unet.projects.segmented_by import SegmentedBy

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.inference.credibility import Doubt
    from napari_unet.inference.task import Task
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken, PauseToken, Progress


def new_project(path: Path, series: int | None = None, channel: int | None = None, name: str = "") -> Project:
    """Return a project of an image file in which nothing is segmented yet.

    Parameters
    ----------
    path : Path
    series : int, optional
        Number of the image in a file that holds several.
    channel : int, optional
        The channel that is segmented; see `one_channel`.
    name : str
        Of the image, for people; "": as its file is called.

    Raises
    ------
    FileFormatError, ImageError
        If it cannot be read.
    """
    read = read_image(path, series=series, tolerant=True)
    image = one_channel(replace(read, name=name) if name else read, channel)
    labels = spill.zeros(image.label_shape, np.int32)
    return Project(image, labels, Corrections((image.n_frames, *image.space)), image_path=path, image_series=series)


def opened_or_new(
    folder: Path, path: Path, series: int | None, channel: int | None, name: str, cancel: CancelToken | None = None
) -> Project:
    """Return the project in a folder or, where there is none yet, a new one of an image file.

    Parameters
    ----------
    folder : Path
        Of the project.
    path, series, channel, name
        As for `new_project`.
    cancel : CancelToken, optional

    Raises
    ------
    UNetError
        If there is neither, or it cannot be read.
    """
    if folder.is_dir():
        return Project.open(folder, cancel=cancel)
    if not path.exists():
        raise UNetError(f"{name} is not there any more.")
    return new_project(path, series, channel, name)


def segment_project_steps(
    project: Project,
    model: Model,
    folder: Path,
    *,
    device: str = "auto",
    flips: bool = False,
    cancel: CancelToken,
    pause: PauseToken | None = None,
) -> Generator[Progress, None, int]:
    """Segment all of an image and save its project; yield how far it is, and return the number of objects.

    What was corrected or reviewed stays as it is, and so do the ids, and colours, of objects that are found again.

    Parameters
    ----------
    project : Project
        It is changed.
    model : Model
    folder : Path
        Where it is saved. What was saved there before stays until all is done.
    device, flips
        As for `inference.in_memory.segment`.
    cancel : CancelToken
        Stops it within a tile, with `Cancelled`; nothing is saved then.
    pause : PauseToken, optional
        Holds it up after the tile under way.

    Raises
    ------
    UNetError
        If image and model do not fit together, the image cannot be read, or the project cannot be written.
    """
    project = _of_kind(project, model)
    project.image, model = with_diameter(project.image, model, channel=project.channel, device=device, cancel=cancel)
    task = make_task(project.image, model, channel=project.channel, device=device, flips=flips)
    labels, corrections = project.image.canonical_labels(project.labels), project.corrections
    forget_shapes(corrections, labels, model.sha256(), model.info.spec.ndim)
    attention = project.attention or Attention(corrections.shape)
    found = _Found()
    for event in segment_steps(task, device=device, cancel=cancel, tells=True):
        if isinstance(event, SubimageDone):
            frame = event.subimage.frame
            labels[(frame, *event.region)] = corrections.merge(labels, frame, event.region, event.labels)
            outputs = model.info.outputs
            attention.take(uncertainty_by_cell(event.maps, event.labels, outputs, frame, event.region), model)
            found.take(labels, corrections, event, task)
        if pause is not None:
            pause.wait(cancel)
        yield event.progress
    joined = model.info.spec.ndim == 2 and project.image.is_volume and corrections.instances
    ids = corrections.joins(labels) if joined else {}
    if ids:
        rename(labels, ids)
        corrections.rename(ids)
    corrections.update(labels)
    project.attention, project.segmented_by = attention, SegmentedBy.of(model.sha256(), model.info)
    count = count_ids(labels)
    project.suspects, project.doubt = found.suspects if corrections.instances else None, found.doubt(count)
    project.save(folder, overwrite=True, cancel=cancel)
    return count


@dataclass(slots=True)
class _Found:
    """What is told of the objects of an image while they are found.

    Attributes
    ----------
    suspects : int
        Objects that are likely to be wrong, and were neither corrected nor reviewed.
    pixels : dict
        Pixels of objects in planes or volumes that are credible (True), and in others.
    """

    suspects: int = 0
    pixels: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def take(self, labels: NDArray[Any], corrections: Corrections, done: SubimageDone, task: Task) -> None:
        """Take note of a plane or volume that is done."""
        if corrections.instances:
            self.suspects += _suspects(labels, corrections, done, task)
        right = subimage_seems_right(task, done)
        if right is not None:
            self.pixels[right] += int(np.count_nonzero(done.labels))

    def doubt(self, count: int) -> Doubt:
        """Return why an image with so many objects is not credible: by the planes or volumes that hold most of them."""
        if not count:
            return "nothing found"
        return "may not fit" if self.pixels[False] > self.pixels[True] else ""


def _suspects(labels: NDArray[Any], corrections: Corrections, done: SubimageDone, task: Task) -> int:
    """Return how many objects of a subimage are likely to be wrong, and were neither corrected nor reviewed.

    Of a volume, whose objects have a suspect in each slice, these count once.
    """
    frame, (slices, rows, columns) = done.subimage.frame, done.region
    maps = Maps(done.maps, task.model.info.outputs, task.zoom)
    ids: set[int] = set()
    missing = 0
    for number, z in enumerate(range(slices.start, slices.stop)):
        plane = (frame, z, rows, columns)
        found = find_suspects(labels[plane], maps.plane(number))
        y, x = found.places[: found.likely()].T
        settled = corrections.reviewed[plane][y, x] | corrections.differs(labels, plane[:2], (rows, columns))[y, x]
        likely = found.ids[: found.likely()][~settled]
        ids.update(likely[likely > 0].tolist())
        missing += int((likely == 0).sum())
    return len(ids) + missing


def check_kind(name: str, corrections: Corrections, model: Model) -> None:
    """Check that labels of an image may be let go of, where a model finds classes instead of objects or vice versa.

    Raises
    ------
    LabelsError
        If that would cost work of the user.
    """
    if corrections.instances != model.info.finds_objects and corrections.summary().anything:
        has, finds = ("objects", "classes") if corrections.instances else ("classes", "objects")
        raise LabelsError(f"{name} has corrected {has}, and the model finds {finds}. Choose another model.")


def _of_kind(project: Project, model: Model) -> Project:
    """Return the project if its labels are of the kind that a model finds, else one of that kind.

    Raises
    ------
    LabelsError
        If that would cost work of the user.
    """
    if project.corrections.instances == model.info.finds_objects:
        return project
    check_kind(project.image.name, project.corrections, model)
    image = project.image
    empty = spill.zeros(image.label_shape, np.int32)
    corrections = Corrections((image.n_frames, *image.space), instances=model.info.finds_objects)
    return Project(
        image,
        empty,
        corrections,
        channel=project.channel,
        image_path=project.image_path,
        image_series=project.image_series,
    )
