"""What was done in the window, as commands and as Python: they give the same results again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.io.pairs import image_stem
from napari_unet.measuring.export import SUMMARY, TABLE
from napari_unet.measuring.kinds import ENDINGS, Kind
from napari_unet.measuring.labelled import Shown
from napari_unet.objects.redecoding import Sliders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.measuring.record import Segmentation

LABEL_KINDS = (Kind.imagej_tiff, Kind.ome_tiff, Kind.ome_zarr)
"""Label files, from which measurements and outlines are made, the simplest first."""

_FORMATS = {Kind.geojson: "geojson", Kind.rois: "zip", Kind.coco: "coco", Kind.png: "png", Kind.svg: "svg"}
"""What `napari-unet contours --format` calls them."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What was done with one image.

    Attributes
    ----------
    image : Path or None
        Its file.
    segmentations : sequence of Segmentation
        How its labels were found.
    by_hand : bool
        Whether they were corrected.
    kinds : sequence of Kind
        What was exported; empty: it was only measured.
    folder : Path
        Where results go: not where those are that were made, which stay.
    labels : Path or None
        The labels that were exported; None: none were.
    shown : Shown
        What pictures show.
    """

    image: Path | None
    segmentations: Sequence[Segmentation]
    by_hand: bool
    kinds: Sequence[Kind]
    folder: Path
    labels: Path | None = None
    shown: Shown = field(default_factory=Shown)

    def check(self) -> None:
        """Raise `UNetError` if no commands can do it again; the sentence says what to do."""
        if self.image is None:
            raise UNetError("This image is in no file. Save it, open it from there, and segment it.")
        if self.by_hand and self.labels is None:
            raise UNetError("You corrected these labels, which no command can. Export the labels too, then copy.")
        if self.by_hand:
            return
        if len(self.segmentations) != 1 or not self.segmentations[0].whole:
            raise UNetError("Several models or parts made these labels. Segment the whole image once, then copy.")

    @property
    def label_file(self) -> Path:
        """The labels that the commands go on with."""
        assert self.image is not None
        if self.by_hand and self.labels is not None:
            return self.labels
        kind = next((kind for kind in LABEL_KINDS if kind in self.kinds), Kind.imagej_tiff)
        return self.target(kind)

    @property
    def outlines(self) -> list[Kind]:
        """What is written from the labels, besides the table."""
        return [kind for kind in _FORMATS if kind in self.kinds]

    @property
    def measures(self) -> bool:
        """Whether there is a table."""
        return not self.kinds or Kind.measurements in self.kinds

    def target(self, kind: Kind) -> Path:
        """Where a result is."""
        assert self.image is not None
        return self.folder / f"{image_stem(self.image)}{ENDINGS[kind]}"

    @property
    def series(self) -> int | str | None:
        """Number or name of the image in a file that holds several; None: it was not chosen."""
        return self.segmentations[-1].series if self.segmentations else None

    @property
    def pixel_size(self) -> tuple[float, ...] | None:
        """Pixel size that was used; None: not known."""
        return self.segmentations[-1].pixel_size if self.segmentations else None


def as_command(recipe: Recipe) -> str:
    """Return commands for a shell, one a line, that give the results again.

    Raises
    ------
    UNetError
        If no commands can.
    """
    recipe.check()
    labels, size = str(recipe.label_file), recipe.pixel_size
    units = [] if size is None else ["--pixel-size", ",".join(map(repr, size))]
    lines: list[list[str]] = []
    if not recipe.by_hand:
        lines.append(["segment", str(recipe.image), "-o", labels, *_options(recipe.segmentations[0]), *units])
    which = [] if recipe.series is None else ["--series", str(recipe.series)]
    read = ["--labels", labels, "--image", str(recipe.image), *which, *units]
    if recipe.measures:
        table, summary = str(recipe.folder / TABLE), str(recipe.folder / SUMMARY)
        lines.append(["measure", *read, "-o", table, "--summary", summary, "--record"])
    for kind in recipe.outlines:
        options = ["--format", _FORMATS[kind]] if kind is Kind.coco else []
        if kind in (Kind.png, Kind.svg):
            options += _shown(recipe.shown)
        lines.append(["contours", *read, "-o", str(recipe.target(kind)), *options])
    return "".join(_joined(["napari-unet", *line]) + "\n" for line in lines)


def as_python(recipe: Recipe) -> str:
    """Return a script that gives the results again; for errors see `as_command`."""
    recipe.check()
    shown, size = recipe.shown, recipe.pixel_size
    found = recipe.segmentations[0] if recipe.segmentations else None
    stored = "" if found is None or found.axes is None else f", {found.axes!r}"
    stored += "" if recipe.series is None else f", series={recipe.series!r}"
    about = f"name={image_stem(recipe.label_file)!r}, shown=Shown({shown.frame}, {shown.z}, {shown.channel!r})"
    lines = [
        "import napari_unet as nu",
        "from napari_unet.axes import PixelSize",
        "from napari_unet.io.readers import read_image",
        "from napari_unet.measuring.export import export",
        "from napari_unet.measuring.labelled import Shown, labelled",
        "",
        f"image = read_image({str(recipe.image)!r}{stored})",
    ]
    if size is not None:
        lines.append(f"image = image.with_pixel_size(PixelSize.from_sequence({tuple(size)!r}))")
    if recipe.by_hand or found is None:
        lines.append(f"labels = read_image({str(recipe.labels)!r}, indices=True)")
        lines.append(f"cells = labelled(labels, image, {about})")
    else:
        model = str(found.file or found.model)
        lines.append(f"result = nu.segment(image, {model!r}{_arguments(found)})")
        lines.append(f"cells = labelled(result.labels, image, axes=result.axes, {about})")
    kinds = [kind for kind in recipe.kinds if not (recipe.by_hand and kind in LABEL_KINDS)] or [Kind.measurements]
    names = [kind.value for kind in kinds]
    return "\n".join([*lines, f"print(export([cells], {names!r}, {str(recipe.folder)!r}))"]) + "\n"


@dataclass(frozen=True, slots=True)
class ListRecipe:
    """What was done with a work list, whose projects hold the labels, corrected ones too.

    Attributes
    ----------
    folder : Path
        Of the list.
    kinds : sequence of Kind
        What was exported; empty: it was only measured.
    target : Path
        Folder where results go.
    """

    folder: Path
    kinds: Sequence[Kind]
    target: Path

    @property
    def outlines(self) -> list[Kind]:
        """What commands write for each image."""
        return [kind for kind in _FORMATS if kind in self.kinds]


def list_as_command(recipe: ListRecipe) -> str:
    """Return commands for a shell, one a line, that give the results of a work list again.

    Raises
    ------
    UNetError
        If only labels were exported, for which there is no command.
    """
    read = ["--labels", str(recipe.folder)]
    lines: list[list[str]] = []
    if not recipe.kinds or Kind.measurements in recipe.kinds:
        table, summary = str(recipe.target / TABLE), str(recipe.target / SUMMARY)
        lines.append(["measure", *read, "-o", table, "--summary", summary, "--record"])
    lines += [["contours", *read, "-o", str(recipe.target), "--format", _FORMATS[kind]] for kind in recipe.outlines]
    if not lines:
        raise UNetError("No command exports the labels of a list. Copy as Python does.")
    text = "".join(_joined(["napari-unet", *line]) + "\n" for line in lines)
    if len(lines) < len(recipe.kinds):
        text += f"{'REM' if sys.platform == 'win32' else '#'} No command exports labels of a list: copy as Python.\n"
    return text


def list_as_python(recipe: ListRecipe) -> str:
    """Return a script that gives the results of a work list again."""
    names = [kind.value for kind in recipe.kinds or [Kind.measurements]]
    return (
        "\n".join(
            [
                "from napari_unet.projects.results import export_projects",
                "",
                f"print(export_projects({str(recipe.folder)!r}, {names!r}, {str(recipe.target)!r}))",
            ]
        )
        + "\n"
    )


def _options(found: Segmentation) -> list[str]:
    """Return the options of `napari-unet segment`."""
    options = ["--model", str(found.file or found.model)]
    options += [] if found.axes is None else ["--axes", found.axes]
    options += [] if found.series is None else ["--series", str(found.series)]
    options += [] if found.channel is None else ["--channel", str(found.channel)]
    for name, value in _set_by_user(found).items():
        options += [f"--{name.replace('_', '-')}", repr(value)]
    return [*options, *(["--flips"] if found.flips else [])]


def _arguments(found: Segmentation) -> str:
    """Return the arguments of `segment`."""
    given = {"channel": found.channel, **_set_by_user(found), "flips": found.flips or None}
    return "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)


def _set_by_user(found: Segmentation) -> dict[str, float]:
    """Return the object diameter, if it was said, and the sliders, if they were moved: options of both ways."""
    if found.decoding is None:
        return {} if found.diameter is None else {"diameter": found.diameter}
    # What is found on an image depends on the sliders, which may have been moved only afterwards.
    diameter, sliders = found.diameter or found.found_diameter, Sliders.of(found.decoding)
    return {
        **({} if diameter is None else {"diameter": diameter}),
        "sensitivity": sliders.sensitivity,
        "separation": sliders.separation,
        "min_size": sliders.smallest,
    }


def _shown(shown: Shown) -> list[str]:
    """Return the options of a picture."""
    options = [] if shown.z is None else ["--plane", f"{shown.frame or 0},{shown.z}"]
    return options + ([] if shown.channel is None else ["--channel", str(shown.channel)])


def _joined(words: Sequence[str]) -> str:
    """Return a command in the quotation of the shell that this system has."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
