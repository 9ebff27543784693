"""`napari-unet contours`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.app import app
from napari_unet.cli.label_files import (
    Axes,
    ImagePath,
    LabelFileRun,
    LabelsPath,
    PixelSizes,
    are_projects,
    found_files,
)
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, stoppable
from napari_unet.cli.options import Json, Series, number, numbered, path_of, pixel_size_of
from napari_unet.errors import UNetError
from napari_unet.progress import Stopwatch, counted, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.measuring.files import LabelFile
    from napari_unet.measuring.kinds import Kind, OutlineOptions
    from napari_unet.measuring.labelled import Shown
    from napari_unet.progress import CancelToken


class OutlineFormat(StrEnum):
    """Of files of outlines."""

    geojson = "geojson"
    zip = "zip"
    coco = "coco"
    png = "png"
    svg = "svg"


class QuPathObject(StrEnum):
    """What objects are in QuPath."""

    detection = "detection"
    annotation = "annotation"


_ENDINGS = {
    ".geojson": (OutlineFormat.geojson,),
    ".json": (OutlineFormat.geojson, OutlineFormat.coco),
    ".zip": (OutlineFormat.zip,),
    ".png": (OutlineFormat.png,),
    ".svg": (OutlineFormat.svg,),
}
"""What a file of each ending may be; the first is taken where nothing is asked for."""


@app.command(epilog="Example: napari-unet contours --labels a_labels.tif --image a.tif -o a.geojson")
def contours(
    labels: LabelsPath,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            parser=path_of,
            metavar="PATH",
            help="FILE.geojson (QuPath), .zip (ImageJ ROIs), .json (with --format coco), .png or .svg (pictures with "
            "--image) for one label file; a folder for a folder.",
        ),
    ],
    image: ImagePath = None,
    file_format: Annotated[OutlineFormat | None, typer.Option("--format", help="For a folder, and for COCO.")] = None,
    plane: Annotated[
        str | None, typer.Option(metavar="[T,]Z", help="Slice, or time point and slice, of a picture, from 0.")
    ] = None,
    channel: Annotated[
        Any,
        typer.Option(parser=numbered, metavar="NAME|N", help="Channel that a picture shows: name, or number from 0."),
    ] = None,
    axes: Axes = None,
    series: Series = None,
    pixel_size: PixelSizes = None,
    tolerance: Annotated[
        float,
        number(float, 0, 100, "Simplify outlines; 0: exact, pixel by pixel.", metavar="PX"),
    ] = 0.0,
    object_type: Annotated[QuPathObject, typer.Option(help="What objects are in QuPath.")] = QuPathObject.detection,
    classification: Annotated[str | None, typer.Option(help="Class of the objects in QuPath.")] = None,
    measurements: Annotated[
        bool, typer.Option("--measurements/--no-measurements", help="Measurements of each outline, in GeoJSON.")
    ] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace earlier results, but never a file that is read.")] = False,
    as_json: Json = False,
) -> None:
    """Write the outlines of all objects of label files, for QuPath, ImageJ and others, or draw them on the image."""
    kind = _format(labels, out, file_format)
    sizes = pixel_size_of(pixel_size)
    if classification is not None and not classification.strip():
        fail("--classification takes a name, for example Nucleus; leave it out for none.", 2)
    shown = _shown(plane, channel, kind, image, projects=are_projects(labels))
    from napari_unet.io.imagej_rois import check_roifile
    from napari_unet.measuring.kinds import ENDINGS, MeasureOptions, OutlineOptions

    options = OutlineOptions(
        tolerance, object_type.value, classification, measurements, MeasureOptions(axes, sizes, series)
    )
    files = found_files(labels, image, axes=axes, series=series)
    several, written = labels_are_folder(labels), _kind(kind)
    targets = [out / f"{file.name}{ENDINGS[written]}" if several else out for file in files]
    run = _Run(files, targets, written, options, shown, overwrite=overwrite)
    try:
        if kind is OutlineFormat.zip:
            check_roifile()
        with stoppable() as cancel:
            run.do(cancel)
    except KeyboardInterrupt:
        fail(f"Stopped. {counted(len(run.results), 'file')} written.", INTERRUPTED)
    except UNetError as error:
        fail(error, 1)
    if as_json:
        print_json({"results": run.results, "failed": run.failed})
    if run.failed:
        raise typer.Exit(1)


def _kind(chosen: OutlineFormat) -> Kind:
    """Return what a format is called where it is written; ``zip`` is the ending of ROIs."""
    from napari_unet.measuring.kinds import Kind

    return Kind.rois if chosen is OutlineFormat.zip else Kind(chosen.value)


def labels_are_folder(labels: Path) -> bool:
    """Whether a path is a folder of label files or projects, and not one that is a folder, such as a Zarr."""
    from napari_unet.io.zarrs import is_zarr
    from napari_unet.projects.description import is_project

    return os.path.isdir(labels) and not is_zarr(labels) and not is_project(labels)


def _format(labels: Path, out: Path, asked: OutlineFormat | None) -> OutlineFormat:
    """Return what is written, or end with what is wrong with the name of the result."""
    by_name = _ENDINGS.get(out.suffix.lower(), ())
    if not labels_are_folder(labels):
        if not by_name:
            endings = ", ".join(_ENDINGS)
            fail(f"Outlines must end in one of {endings}; got {out.name!r}, for example {out.stem}.geojson.", 2)
        if asked is not None and asked not in by_name:
            fail(f"--format {asked} contradicts the ending of {out.name!r}; leave one of them out.", 2)
        return asked or by_name[0]
    if out.exists() and not out.is_dir():
        fail(f"{out} is a file; the outlines of a folder of labels go to a folder, named by -o.", 2)
    if by_name and not out.is_dir():
        fail(
            f"The outlines of a folder of labels go to a folder, and {out.name!r} is named as a file is; for example "
            f"-o {out.stem} --format {by_name[0]}.",
            2,
        )
    return asked or OutlineFormat.geojson


def _shown(
    plane: str | None, channel: int | str | None, kind: OutlineFormat, image: Path | None, *, projects: bool
) -> Shown:
    """Return what of an image a picture shows, or end with what is wrong with what was asked for."""
    from napari_unet.measuring.labelled import Shown

    pictures = (OutlineFormat.png, OutlineFormat.svg)
    if kind in pictures and image is None and not projects:
        fail("A picture shows the outlines on the image; name it by --image.", 2)
    if channel is not None and kind not in pictures:
        fail("--channel says what a picture shows, and goes with .png and .svg only.", 2)
    if plane is None:
        return Shown(channel=channel)
    parts = plane.split(",")
    if kind not in pictures or len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        fail(f"--plane takes the slice of a picture, or time point and slice, for example 3 or 0,3; got {plane!r}.", 2)
    *frame, z = (int(part) for part in parts)
    return Shown(frame[0] if frame else None, z, channel)


class _Run(LabelFileRun):
    """Writes the outlines of label files."""

    def __init__(
        self,
        files: Sequence[LabelFile],
        targets: Sequence[Path],
        kind: Kind,
        options: OutlineOptions,
        shown: Shown,
        *,
        overwrite: bool,
    ) -> None:
        from napari_unet.measuring.files import inputs_of

        super().__init__(files)
        self._targets, self._kind, self._options, self._shown = targets, kind, options, shown
        self._overwrite, self._inputs = overwrite, inputs_of(files)

    def _do(self, number: int, bar: Bar, cancel: CancelToken) -> dict[str, Any]:
        from napari_unet.measuring.files import check_target, write_outlines

        file, target, watch = self._files[number], self._targets[number], Stopwatch()
        check_target(target, self._inputs, overwrite=self._overwrite)
        report = write_outlines(
            file, target, self._options, kind=self._kind, shown=self._shown, overwrite=self._overwrite, progress=bar,
            cancel=cancel,
        )  # fmt: skip
        took = format_seconds(watch.seconds)
        bar.end(f"{counted(report['n_outlines'], 'outline')} in {took}, written to {target}")
        return report | {"seconds": round(watch.seconds, 3)}
