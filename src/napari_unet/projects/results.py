"""Results of many projects at once: one table, and exports, of all images of a work list or a folder of projects.

One project is in memory at a time. What cannot be read is named, and the rest is done.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.axes import Image
from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.io.readers import natural_order
from napari_unet.io.zarrs import is_zarr
from napari_unet.measuring.export import Item, Report, apart, export_steps, known_kinds
from napari_unet.measuring.files import LabelFile, measure_file
from napari_unet.measuring.kinds import MeasureOptions, OutlineOptions
from napari_unet.measuring.labelled import Labelled, Shown, with_all_channels
from napari_unet.measuring.record import ByHand, Origin, Segmentation
from napari_unet.models.header import read_model_info, weights_sha256
from napari_unet.models.store import list_models
from napari_unet.objects.table import Table, concatenate
from napari_unet.progress import CancelToken, Progress, Stopwatch, drive
from napari_unet.projects.description import FILE as PROJECT_FILE
from napari_unet.projects.description import SUFFIX, is_project, read_description
from napari_unet.projects.images import COPY
from napari_unet.projects.names import file_name
from napari_unet.projects.work_list import FILE as LIST_FILE
from napari_unet.projects.work_list import MODELS, is_work_list, read_list

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from napari_unet.measuring.kinds import Kind
    from napari_unet.models.info import ModelInfo
    from napari_unet.progress import ProgressCallback
    from napari_unet.projects.project import Project
    from napari_unet.projects.work_list import ListedImage

_TRIES = 3
"""How often a project is read that is saved anew meanwhile, as *Segment all* may do."""


@dataclass(frozen=True, slots=True)
class ProjectFile(LabelFile):
    """A project, as a label file that knows its image and how its labels were made.

    Attributes
    ----------
    name : str
        Of the image, as results are named after it.
    labels : Path
        The folder of the project.
    image : Path or None
        The file of its image; None: the pixels are in the project.
    models : tuple of Path
        More folders with models that may have segmented it: that of its work list.
    """

    models: tuple[Path, ...] = field(default=())

    def read(self, options: MeasureOptions, shown: Shown | None = None, cancel: CancelToken | None = None) -> Labelled:
        """Return its labels, in memory or in a temporary file, its image, and how they were made.

        Of `options` only the pixel size is used: a project knows the rest.

        Raises
        ------
        UNetError
            If the project is damaged, or its image is gone or another one.
        """
        project = _opened(self.labels, cancel)
        project.corrections.update(project.image.canonical_labels(project.labels))
        image, notes = with_all_channels(project.image, project.image_path, project.image_channel, project.image_series)
        found = replace(image.with_pixel_size(options.pixel_size), name=self.name)
        labels = Image(
            project.labels, project.image.label_axes, found.pixel_size, name=self.name, placement=image.placement
        )
        made = _segmentation(project, self._models())
        info = _info(project.segmented_by.sha256, self._models())
        counts = project.corrections.summary()
        by_hand = ByHand(counts.changed_objects, counts.changed_pixels, counts.reviewed_share)
        file = project.image_path
        files = {} if file is None or COPY.fullmatch(file.name) else {"image": file}
        return Labelled(
            self.name,
            replace(labels, notes=(*project.notes, *notes)),
            found,
            "instances" if project.corrections.instances else "semantic",
            () if info is None else info.classes,
            project.provenance,
            Origin(files, self.name, made, by_hand),
            shown or Shown(),
        )

    def item(self, cancel: CancelToken | None = None) -> Item:
        """Return it for `measuring.export.export_steps`, by which it is read when its turn comes."""
        zarr = self.image if self.image is not None and self.image.is_dir() and is_zarr(self.image) else None
        return Item(self.name, tuple(self.paths), partial(self._steps, cancel), zarr)

    def _steps(self, cancel: CancelToken | None) -> Generator[Any, None, Labelled]:
        yield from ()
        return self.read(MeasureOptions(), cancel=cancel)

    def _models(self) -> tuple[Path, ...]:
        state = read_description(self.labels).state
        return (*self.models, self.labels / state)


def find_projects(path: Path) -> tuple[list[ProjectFile], tuple[str, ...]]:
    """Return the projects that a path names, and a note about images without labels.

    Parameters
    ----------
    path : Path
        A work list, a project, or a folder of projects.

    Raises
    ------
    FileFormatError
        If it is none of these, there is no project in it, or what describes it cannot be read.
    """
    if is_work_list(path):
        return _of_list(path.parent if path.name == LIST_FILE else path)
    folder = path.parent if path.name == PROJECT_FILE else path
    if is_project(folder):
        return [_project_file(folder)], ()
    found = projects_in(folder)
    if not found:
        raise FileFormatError(f"{path} is no project, no list of images, and no folder of projects.")
    return _apart(map(_project_file, found)), ()


def projects_in(folder: Path) -> list[Path]:
    """Return the projects that lie in a folder, in natural order (2 before 10); none where it is no folder."""
    try:
        return natural_order(path for path in folder.glob(f"*{SUFFIX}") if is_project(path))
    except OSError:
        return []


def holds_projects(path: Path) -> bool:
    """Return whether a path is a work list, a project, or a folder in which there are projects."""
    if is_work_list(path) or is_project(path) or path.name == PROJECT_FILE:
        return True
    return os.path.isdir(path) and not is_zarr(path) and bool(projects_in(path))


def measure_projects(
    path: str | os.PathLike[str],
    options: MeasureOptions | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Table:
    """Measure all objects of a work list, a project, or a folder of projects.

    Parameters
    ----------
    path : path
    options : MeasureOptions, optional
        How they are measured; axes, series and task are those of the projects.
    progress, cancel
        As for `measure`; of one image at a time.

    Returns
    -------
    Table
        One row for each object of all images, the first column ``image``. `Table.notes` names images that could not be
        measured.

    Raises
    ------
    FileFormatError
        If there are no projects, or none of them can be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from napari_unet import Project
    >>> from napari_unet.axes import Image
    >>> from napari_unet.projects.results import measure_projects
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a", "b"):
    ...     labels = np.zeros((32, 32), np.int32)
    ...     labels[4:14, 4:14] = 1
    ...     image = Image(np.zeros((32, 32), np.uint8), "YX", name=name)
    ...     path = Project(image, labels).save(folder / f"{name}.unetproj")
    >>> table = measure_projects(folder)
    >>> table["image"].tolist(), table["area_px"].tolist()
    (['a', 'b'], [100, 100])
    """
    projects, notes = find_projects(Path(path))
    steps = measure_steps(projects, options, progress=progress, cancel=cancel)
    found = drive(steps, lambda _: None)
    return Table(found.table.columns, tuple(dict.fromkeys((*found.failed, *notes, *found.table.notes))))


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The measurements of many images.

    Attributes
    ----------
    table : Table
        One row for each object of all images.
    tables : dict of str to Table
        Of each image that could be measured, by its name.
    origins : list of Origin
        Where their labels come from.
    failed : list of str
        A sentence for each image that could not be measured.
    """

    table: Table
    tables: dict[str, Table]
    origins: list[Origin]
    failed: list[str]


def measure_steps(
    projects: Sequence[ProjectFile],
    options: MeasureOptions | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Measured]:
    """Measure projects one after the other; yield how many are done, and return the measurements.

    Parameters
    ----------
    projects : sequence of ProjectFile
    options, progress, cancel
        As for `measure_projects`.

    Raises
    ------
    FileFormatError
        If none of them can be measured.
    Cancelled
        If it was stopped.
    """
    options, cancel, watch = options or MeasureOptions(), cancel or CancelToken(), Stopwatch()
    tables: dict[str, Table] = {}
    origins: list[Origin] = []
    failed: list[str] = []
    for number, project in enumerate(projects):
        cancel.check()
        yield Progress(number, len(projects), watch.seconds, "images", f"Measuring {project.name}")
        try:
            table, origin = measure_file(project, options, progress, cancel)
        except Cancelled:
            raise
        except UNetError as error:
            failed.append(f"{project.name} was left out: {error}")
        else:
            tables[project.name] = table
            origins.append(origin)
    if not tables:
        raise FileFormatError(failed[0] if failed else "There is nothing to measure.")
    return Measured(concatenate(list(tables.values())), tables, origins, failed)


def export_projects(
    path: str | os.PathLike[str],
    kinds: Sequence[Kind | str],
    folder: str | os.PathLike[str],
    *,
    options: OutlineOptions | None = None,
    overwrite: bool = False,
) -> Report:
    """Export all images of a work list, a project, or a folder of projects.

    Parameters
    ----------
    path : path
    kinds, folder, options, overwrite
        As for `measuring.export.export`.

    Returns
    -------
    Report
        What was written, and what could not be.

    Raises
    ------
    UNetError
        If there are no projects, nothing is chosen, or a kind is not known.
    """
    projects, notes = find_projects(Path(path))
    steps = export_steps(
        [one.item() for one in projects], known_kinds(kinds), Path(folder), options, overwrite=overwrite
    )
    report = drive(steps, lambda _: None)
    report.notes += [note for note in notes if note not in report.notes]
    return report


def of_images(images: Iterable[ListedImage], folder: Path) -> list[ProjectFile]:
    """Return the projects of images of the work list in a folder, as far as they have any, in this order."""
    return _apart(
        ProjectFile(file_name(one.name), folder / one.project, one.file(folder), (folder / MODELS,))
        for one in images
        if (folder / one.project).is_dir()
    )


# -- inside ------------------------------------------------------------------------------------------------------------


def _of_list(folder: Path) -> tuple[list[ProjectFile], tuple[str, ...]]:
    images = read_list(folder).images
    found, total = of_images(images, folder), len(images)
    if not found:
        raise FileFormatError(f"No image of {folder.name} has labels yet. Segment them first.")
    left = total - len(found)
    return found, (f"{left} of {total} images have no labels yet, and are left out.",) if left else ()


def _apart(projects: Iterable[ProjectFile]) -> list[ProjectFile]:
    """Return projects, those of one name with numbers."""
    found = list(projects)
    return [replace(one, name=name) for one, name in zip(found, apart([one.name for one in found]), strict=True)]


def _project_file(folder: Path) -> ProjectFile:
    """Return a project in a folder; that its description cannot be read is told when it is measured."""
    try:
        image = read_description(folder).image
    except FileFormatError:
        return ProjectFile(file_name(folder.stem), folder)
    places = [folder / image.path, *([Path(image.absolute)] if image.absolute else [])]
    file = next((place.resolve() for place in places if place.exists()), None)
    inside = COPY.fullmatch(image.path) is not None
    return ProjectFile(file_name(image.name or folder.stem), folder, None if inside else file)


def _opened(folder: Path, cancel: CancelToken | None) -> Project:
    """Open a project, once more where it was saved anew meanwhile."""
    from napari_unet.projects.project import Project  # loads torch, which label files do not need

    for tries in range(_TRIES):
        before = read_description(folder).state
        try:
            return Project.open(folder, cancel=cancel)
        except FileFormatError:
            if tries == _TRIES - 1 or read_description(folder).state == before:
                raise
    raise AssertionError("not reached")


def _segmentation(project: Project, models: Sequence[Path]) -> tuple[Segmentation, ...]:
    """Return how the labels of a project were found, as far as it says."""
    digest = project.segmented_by.sha256
    if not digest:
        return ()
    info, image, size = _info(digest, models), project.image, project.image.pixel_size
    used = info is not None and image.found_against == info.image_diameter and image.diameter is None
    return (
        Segmentation(
            "" if info is None else info.name,
            digest,
            parent="" if info is None else info.parent or "",
            pixel_size=None if size is None else tuple(s for s in (size.z, size.y, size.x) if s is not None),
            channel=project.image_channel if project.image_channel is not None else project.channel,
            series=project.image_series,
            diameter=image.diameter,
            found_diameter=image.found_diameter if used else None,
            flips=None,
            decoding=project.segmented_by.decoding,
        ),
    )


def _info(digest: str, folders: Sequence[Path]) -> ModelInfo | None:
    """Return the description of the model whose weights have a hash; None: it is not found."""
    files = [path for folder in folders for path in sorted(folder.glob("model-*.safetensors"))]
    for path in (*files, *(entry.path for entry in list_models())):
        try:
            about = path.stat()
            if _hash(path, about.st_mtime_ns, about.st_size) == digest:
                return read_model_info(path)
        except (UNetError, OSError):
            continue
    return None


@lru_cache(maxsize=256)
def _hash(path: Path, modified_ns: int, size_bytes: int) -> str:
    """Return the hash of the weights in a file as of a time: each image of a list asks for it."""
    return weights_sha256(path)
