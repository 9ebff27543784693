"""What `measure` and `contours` share: options about label files, and going through them one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.messages import Bar, fail, say, say_failed
from napari_unet.cli.options import path_of
from napari_unet.errors import Cancelled, UNetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.measuring.files import LabelFile
    from napari_unet.progress import CancelToken

LabelsPath = Annotated[
    Path,
    typer.Option(
        parser=path_of,
        metavar="PATH",
        help="Label file, or folder of label files (a_labels.tif); or what the window saved: a list of images "
        "(.unetlist), a project, or a folder of projects.",
    ),
]
ImagePath = Annotated[
    Path | None,
    typer.Option(parser=path_of, metavar="PATH", help="Image, or folder of images of the same names, for grey values."),
]
Axes = Annotated[
    str | None, typer.Option(help="Axes of the labels as stored, for example TYX. Default: what the files say.")
]
PixelSizes = Annotated[str | None, typer.Option(help="Micrometres: one number, or Y,X, or Z,Y,X. Default: the files'.")]


def are_projects(labels: Path) -> bool:
    """Return whether labels lie in projects, which know their images; label files in a folder come first."""
    from napari_unet.io.readers import has_images
    from napari_unet.projects.results import holds_projects

    return holds_projects(labels) and not has_images(labels)


def found_files(
    labels: Path, image: Path | None, *, axes: str | None = None, series: int | str | None = None
) -> Sequence[LabelFile]:
    """Return the files or projects that are meant, or end with what is wrong with their names."""
    from napari_unet.measuring.files import find_label_files

    try:
        if not are_projects(labels):
            return find_label_files(labels, image)
        if image is not None or axes is not None or series is not None:
            fail("A project knows its image and its axes: leave out --image, --axes and --scene.", 2)
        from napari_unet.projects.results import find_projects

        projects, notes = find_projects(labels)
    except UNetError as error:
        fail(error, 1)
    for note in notes:
        say(note)
    return projects


class LabelFileRun(ABC):
    """Goes through label files; one that cannot be done is named, and the others are done.

    Parameters
    ----------
    files : sequence of LabelFile

    Attributes
    ----------
    results, failed : list of dict
        What `--json` tells of those that are done, and of the others.
    """

    def __init__(self, files: Sequence[LabelFile]) -> None:
        self._files = files
        self.results: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []

    def do(self, cancel: CancelToken) -> None:
        """Do all files."""
        for number, file in enumerate(self._files):
            cancel.check()
            try:
                with Bar(f"[{number + 1}/{len(self._files)}] {file.labels.name}") as bar:
                    report = self._do(number, bar, cancel)
            except Cancelled:
                raise
            except UNetError as error:
                self.failed.append({"input": str(file.labels), "error": say_failed(error, *file.paths)})
                continue
            for note in report["notes"]:
                say(note)
            self.results.append(report)

    @abstractmethod
    def _do(self, number: int, bar: Bar, cancel: CancelToken) -> dict[str, Any]:
        """Do a file, end its bar with a line, and return what `--json` tells of it, with its ``notes``."""
