"""Writes images and labels as folders that cellpose, StarDist and nnU-Net train on."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from napari_unet._version import __version__
from napari_unet.errors import FileFormatError, LabelsError
from napari_unet.exchange.training_folders import FOLDERS, Piece
from napari_unet.io.atomic import Protected, check_free, completed
from napari_unet.io.readers import read_image, read_labels
from napari_unet.limits import check_choice

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.corrections.corrections import Corrections

Task = Literal["instances", "semantic"]

PROVENANCE = {0: "not segmented", 1: "predicted", 2: "corrected", 3: "reviewed", 4: "labels of a file"}
"""What the values of provenance images mean."""

_FROM_FILE = 4


class AnnotatedImage(Protocol):
    """An image, its labels and which of them somebody has looked at, as `projects.project.Project` is one."""

    image: Image
    labels: NDArray[Any]
    corrections: Corrections
    channel: int | None
    path: Path | None
    image_path: Path | None

    @property
    def provenance(self) -> NDArray[np.uint8]:
        """What is known of each pixel, axes as `labels`."""

    @property
    def supervised(self) -> NDArray[np.bool_]:
        """The pixels to learn from, axes as `labels`."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """An image, its labels, and what is known of their pixels; arrays have the axes (T, Z, Y, X)."""

    name: str
    image: Image
    labels: NDArray[Any]
    provenance: NDArray[np.uint8] | None
    supervised: NDArray[np.bool_] | None
    source: dict[str, str]


def export_training_data(
    sources: Sequence[AnnotatedImage | tuple[str | os.PathLike[str], str | os.PathLike[str]]],
    folder: str | os.PathLike[str],
    to: str = "cellpose",
    *,
    task: Task = "instances",
) -> dict[str, Any]:
    """Write images and labels as a folder that another program trains on.

    Of a project, those planes are written in which something was corrected or reviewed (volumes, if the image is one,
    for StarDist and nnU-Net). cellpose and StarDist learn from every pixel of them, nnU-Net only from what was
    corrected or reviewed. What is known of each pixel is written beside, into ``provenance/``.

    Parameters
    ----------
    sources : sequence of Project, or of (image, labels)
        Projects, or pairs of files.
    folder : str or path
        Folder to make; it must not exist. For nnU-Net it is named as nnU-Net wants it: ``Dataset001_Nuclei``.
    to : {"cellpose", "stardist", "nnunet"}
        ``cellpose``: ``a.tif`` and ``a_masks.tif``, planes. ``stardist``: ``images/a.tif`` and ``masks/a.tif``.
        ``nnunet``: ``imagesTr``, ``labelsTr`` and ``dataset.json``; objects become the classes inside and border.
    task : {"instances", "semantic"}
        What labels of files are: ids of objects, or classes. A project knows.

    Returns
    -------
    dict
        ``output``, ``format``, ``n_images``, and ``supervised``: the share (0..1) of the pixels that was corrected or
        reviewed, or comes from label files.

    Raises
    ------
    FileFormatError
        If the format is not known, the folder exists, or a file cannot be read or written.
    LabelsError
        If labels do not fit their image, there is nothing to write, or classes are asked for as objects.

    Examples
    --------
    >>> import napari_unet as nu
    >>> project = nu.Project.open("monday.unetproj")  # doctest: +SKIP
    >>> nu.export_training_data([project], "for cellpose", "cellpose")  # doctest: +SKIP
    """
    folder = Path(folder)
    if to not in FOLDERS:
        raise FileFormatError(f"Training data can be written for {', '.join(FOLDERS)}; got {to!r}.")
    kind = FOLDERS[to]
    kind.check_name(folder)
    check_free(folder, overwrite=None)
    check_choice(task, get_args(Task), "What labels are")
    _protect(folder, sources)
    tasks = {_task_of(source, task) for source in sources}
    if len(tasks) > 1:
        raise LabelsError("Some labels are objects and some classes; write them into folders of their own.")
    if "semantic" in tasks and not kind.takes_classes:
        raise LabelsError(f"These labels are classes, and {to} learns objects. Write them for nnunet.")
    told, seen, total, used = [], 0, 0, set[str]()
    with completed(folder) as partial:
        partial.mkdir()
        writer = kind(partial, "semantic" not in tasks)
        for source in sources:
            for piece, about in _pieces(_pair_of(source), planes=kind.planes):
                piece.name = _unused(piece.name, used)
                writer.write(piece)
                learned = piece.labels.size if piece.supervised is None else int(np.count_nonzero(piece.supervised))
                seen, total = seen + learned, total + piece.labels.size
                told.append({"name": piece.name} | about | {"supervised": round(learned / piece.labels.size, 4)})
        if not told:
            raise LabelsError("There is nothing to write: nothing was corrected or reviewed, or there are no images.")
        writer.finish()
        record = {
            "made_by": f"napari-unet-interactive {__version__}",
            "format": to,
            "values": PROVENANCE,
            "images": told,
        }
        (partial / "provenance.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    return {"output": str(folder), "format": to, "n_images": len(told), "supervised": round(seen / total, 4)}


def _protect(folder: Path, sources: Sequence[Any]) -> None:
    protected = Protected([])
    for source in sources:
        for path in list(source) if _are_files(source) else [source.path]:
            if path is not None:
                protected.add(Path(path))
    protected.check(folder)


def _task_of(source: Any, task: Task) -> Task:
    if _are_files(source):
        return task
    return "instances" if source.corrections.instances else "semantic"


def _are_files(source: Any) -> bool:
    """Return whether a source is an image and its labels, and not a project."""
    return isinstance(source, tuple | list)


def _pair_of(source: Any) -> _Pair:
    """Read image and labels."""
    if not _are_files(source):
        image, view = source.image, source.image.canonical_labels
        if source.channel is not None and image.n_channels > 1 and not image.is_colour:
            image = image.of_channel(source.channel)
        path = source.path or source.image_path
        where = {"image": str(source.image_path or image.source or image.name), "project": str(source.path or "")}
        name = Path(path).stem if path is not None else image.name
        return _Pair(name, image, view(source.labels), view(source.provenance), view(source.supervised), where)
    image_path, label_path = (Path(path) for path in source)
    image, labels = read_image(image_path), read_labels(label_path)
    if labels.shape != image.label_shape:
        if labels.squeeze().shape != tuple(n for n in image.label_shape if n > 1):
            raise LabelsError(
                f"{label_path.name} has the shape {labels.shape}; {image_path.name} needs {image.label_shape}."
            )
        labels = labels.reshape(image.label_shape)
    where = {"image": str(image_path), "labels": str(label_path)}
    return _Pair(image_path.stem, image, image.canonical_labels(labels), None, None, where)


def _pieces(pair: _Pair, *, planes: bool) -> Iterator[tuple[Piece, dict[str, Any]]]:
    """Yield the planes or volumes that are written, each with what is said of it."""
    image, depth = pair.image, pair.image.size("Z")
    volumes = image.is_volume and depth > 1 and not planes
    for frame in range(image.n_frames):
        for z in [None] if volumes else range(depth):
            where: Any = (frame, slice(None) if z is None else z)
            supervised = None if pair.supervised is None else np.asarray(pair.supervised[where])
            if supervised is not None and not supervised.any():
                continue
            labels = np.asarray(pair.labels[where])
            if labels.min(initial=0) < 0:
                raise LabelsError(f"The labels of {pair.name} hold numbers below 0.")
            known = pair.provenance
            provenance = np.full(labels.shape, _FROM_FILE, np.uint8) if known is None else np.asarray(known[where])
            block = image.read(frame, slice(None) if z is None else slice(z, z + 1))
            about: dict[str, Any] = dict(pair.source)
            name = _plain(pair.name)
            if image.n_frames > 1:
                name, about = f"{name}_t{frame:04d}", about | {"frame": frame}
            if z is not None and depth > 1:
                name, about = f"{name}_z{z:04d}", about | {"slice": z}
            pixels = block if z is None else block[:, 0]
            size = image.pixel_size
            spacing = tuple((size.along(letter) if size else None) or 1.0 for letter in "ZYX"[-labels.ndim :])
            yield Piece(name, pixels, labels, provenance, supervised, spacing, image.channel_names), about


def _plain(name: str) -> str:
    """Return a name that every file system and program takes: letters, digits, _ and -."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:100] or "image"


def _unused(name: str, used: set[str]) -> str:
    """Return the name, with a number if there is one of that name already; it is used from then on."""
    number, found = 1, name
    while found.lower() in used:
        number, found = number + 1, f"{name}_{number + 1}"
    used.add(found.lower())
    return found
