"""`napari-unet contours`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.app import app
from napari_unet.cli.label_files import Axes, ImagePath, LabelFileRun, LabelsPath, PixelSizes, found_files
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, stoppable
from napari_unet.cli.options import Json, Series, finite, path_of, pixel_size_of
from napari_unet.errors import UNetError
from napari_unet.progress import Stopwatch, counted, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.measuring.files import LabelFile, OutlineOptions
    from napari_unet.progress import CancelToken


class OutlineFormat(StrEnum):
    """Of files of outlines."""

    geojson = "geojson"
    zip = "zip"


class QuPathObject(StrEnum):
    """What objects are in QuPath."""

    detection = "detection"
    annotation = "annotation"


_ENDINGS = {".geojson": OutlineFormat.geojson, ".json": OutlineFormat.geojson, ".zip": OutlineFormat.zip}
_NAMES = {OutlineFormat.geojson: "_outlines.geojson", OutlineFormat.zip: "_rois.zip"}


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
            help="FILE.geojson (QuPath) or FILE.zip (ImageJ ROIs) for one label file; a folder for a folder.",
        ),
    ],
    image: ImagePath = None,
    file_format: Annotated[OutlineFormat | None, typer.Option("--format", help="For a folder.")] = None,
    axes: Axes = None,
    series: Series = None,
    pixel_size: PixelSizes = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, max=100, callback=finite, metavar="PX", help="Simplify outlines; 0: exact, pixel by pixel."
        ),
    ] = 0.0,
    object_type: Annotated[QuPathObject, typer.Option(help="What objects are in QuPath.")] = QuPathObject.detection,
    classification: Annotated[str | None, typer.Option(help="Class of the objects in QuPath.")] = None,
    measurements: Annotated[
        bool, typer.Option("--measurements/--no-measurements", help="Measurements of each outline, in GeoJSON.")
    ] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace earlier results, but never a file that is read.")] = False,
    as_json: Json = False,
) -> None:
    """Write the outlines of all objects of label files, for QuPath or ImageJ."""
    kind = _format(labels, out, file_format)
    sizes = pixel_size_of(pixel_size)
    if classification is not None and not classification.strip():
        fail("--classification takes a name, for example Nucleus; leave it out for none.", 2)
    from napari_unet.io.imagej_rois import check_roifile
    from napari_unet.measuring.files import MeasureOptions, OutlineOptions

    options = OutlineOptions(
        tolerance, object_type.value, classification, measurements, MeasureOptions(axes, sizes, series)
    )
    files = found_files(labels, image)
    several = labels_are_folder(labels)
    targets = [out / f"{file.name}{_NAMES[kind]}" if several else out for file in files]
    run = _Run(files, targets, options, overwrite=overwrite)
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


def labels_are_folder(labels: Path) -> bool:
    """Whether a path is a folder of label files, and not one that is a folder, such as a Zarr."""
    from napari_unet.io.zarrs import is_zarr

    return labels.is_dir() and not is_zarr(labels)


def _format(labels: Path, out: Path, asked: OutlineFormat | None) -> OutlineFormat:
    """Return what is written, or end with what is wrong with the name of the result."""
    by_name = _ENDINGS.get(out.suffix.lower())
    if not labels_are_folder(labels):
        if by_name is None:
            fail(f"Outlines must end in .geojson or .zip; got {out.name!r}, for example {out.stem}.geojson.", 2)
        if asked not in (None, by_name):
            fail(f"--format {asked} contradicts the ending of {out.name!r}; leave one of them out.", 2)
        return by_name
    if out.exists() and not out.is_dir():
        fail(f"{out} is a file; the outlines of a folder of labels go to a folder, named by -o.", 2)
    if by_name is not None and not out.is_dir():
        fail(
            f"The outlines of a folder of labels go to a folder, and {out.name!r} is named as a file is; for example "
            f"-o {out.stem} --format {by_name}.",
            2,
        )
    return asked or OutlineFormat.geojson


class _Run(LabelFileRun):
    """Writes the outlines of label files."""

    def __init__(
        self, files: Sequence[LabelFile], targets: Sequence[Path], options: OutlineOptions, *, overwrite: bool
    ) -> None:
        from napari_unet.measuring.files import inputs_of

        super().__init__(files)
        self._targets, self._options, self._overwrite = targets, options, overwrite
        self._inputs = inputs_of(files)

    def _do(self, number: int, bar: Bar, cancel: CancelToken) -> dict[str, Any]:
        from napari_unet.measuring.files import check_target, write_outlines

        file, target, watch = self._files[number], self._targets[number], Stopwatch()
        check_target(target, self._inputs, overwrite=self._overwrite)
        report = write_outlines(file, target, self._options, overwrite=self._overwrite, progress=bar, cancel=cancel)
        took = format_seconds(watch.seconds)
        bar.end(f"{counted(report['n_outlines'], 'outline')} in {took}, written to {target}")
        return report | {"seconds": round(watch.seconds, 3)}
