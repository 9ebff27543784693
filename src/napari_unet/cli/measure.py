"""`napari-unet measure`."""

from __future__ import annotations

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
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, say, stoppable
from napari_unet.cli.options import Json, Series, number, path_of, pixel_size_of
from napari_unet.errors import UNetError
from napari_unet.progress import Stopwatch, counted, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.measuring.files import LabelFile, MeasureOptions
    from napari_unet.measuring.record import Origin
    from napari_unet.objects.table import Table
    from napari_unet.progress import CancelToken


class LabelsTask(StrEnum):
    """What labels are."""

    instances = "instances"
    semantic = "semantic"


@app.command(epilog="Example: napari-unet measure --labels results --image images -o cells.csv")
def measure(
    labels: LabelsPath,
    out: Annotated[
        Path, typer.Option("-o", "--out", parser=path_of, metavar="FILE.csv", help="Table to write: one row an object.")
    ],
    image: ImagePath = None,
    axes: Axes = None,
    series: Series = None,
    pixel_size: PixelSizes = None,
    channels: Annotated[str | None, typer.Option(help="Names of the channels, for example DAPI,GFP.")] = None,
    task: Annotated[
        LabelsTask, typer.Option(help="instances: numbers are objects. semantic: they are classes.")
    ] = LabelsTask.instances,
    slices: Annotated[bool, typer.Option("--slices", help="Measure each slice of a volume by itself.")] = False,
    neighbour_distance: Annotated[
        float,
        number(float, 0, 1000, "Count as neighbours what is so near.", metavar="PX"),
    ] = 0.0,
    summary: Annotated[
        Path | None,
        typer.Option(parser=path_of, metavar="FILE.csv", help="Also write mean, median and deviation of each image."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Also write FILE.json: version, settings, checksums of the files.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace earlier results, but never a file that is read.")] = False,
    as_json: Json = False,
) -> None:
    """Measure all objects of label files: size, shape, position, neighbours and grey values, in one table."""
    for path in (out, *([] if summary is None else [summary])):
        if path.suffix.lower() != ".csv":
            fail(f"A table must end in .csv; got {path.name!r}, for example {path.stem or 'cells'}.csv.", 2)
    sizes = pixel_size_of(pixel_size)
    names = tuple(name.strip() for name in channels.split(",")) if channels is not None else ()
    if names and (not (image is not None or are_projects(labels)) or not all(names)):
        fail("--channels takes the names of the channels of --image, for example DAPI,GFP.", 2)
    from napari_unet.measuring.files import MeasureOptions, check_targets

    options = MeasureOptions(axes, sizes, series, names, task.value, slices, neighbour_distance)
    note = out.with_suffix(".json")
    files = found_files(labels, image, axes=axes, series=series)
    try:
        targets = [out, *([summary] if summary is not None else []), *([note] if record else [])]
        check_targets(targets, files, overwrite=overwrite)
    except UNetError as error:
        fail(error, 1)
    run = _Run(files, options)
    try:
        with stoppable() as cancel:
            run.do(cancel)
        if run.tables:
            _write(run, out, summary, note if record else None, overwrite=overwrite)
    except KeyboardInterrupt:
        fail("Stopped. Nothing was written.", INTERRUPTED)
    except UNetError as error:
        fail(error, 1)
    if as_json:
        n_objects = sum(len(table) for _, _, table in run.tables)
        output = str(out) if run.tables else None
        print_json({"output": output, "n_objects": n_objects, "results": run.results, "failed": run.failed})
    if run.failed:
        raise typer.Exit(1)


class _Run(LabelFileRun):
    """Measures label files.

    Attributes
    ----------
    tables : list of (str, Origin, Table)
        Name of the image, where its labels come from, and its measurements; of each file that is done.
    """

    def __init__(self, files: Sequence[LabelFile], options: MeasureOptions) -> None:
        super().__init__(files)
        self.options = options
        self.tables: list[tuple[str, Origin, Table]] = []

    def _do(self, number: int, bar: Bar, cancel: CancelToken) -> dict[str, Any]:
        from napari_unet.measuring.files import measure_file

        file, watch = self._files[number], Stopwatch()
        table, origin = measure_file(file, self.options, bar, cancel)
        bar.end(f"{counted(len(table), 'object')} in {format_seconds(watch.seconds)}")
        self.tables.append((file.name, origin, table))
        return {
            "labels": str(file.labels),
            "image": None if file.image is None else str(file.image),
            "name": file.name,
            "n_objects": len(table),
            "seconds": round(watch.seconds, 3),
            "notes": list(table.notes),
        }


def _write(run: _Run, out: Path, summary: Path | None, record: Path | None, *, overwrite: bool) -> None:
    from dataclasses import asdict

    from napari_unet.measuring.files import write_table
    from napari_unet.measuring.record import record_of, write_record
    from napari_unet.objects.summary import summarize
    from napari_unet.objects.table import concatenate

    table = concatenate([table for _, _, table in run.tables])
    write_table(out, table, overwrite=overwrite)
    say(f"{counted(len(table), 'object')} of {counted(len(run.tables), 'image')}, written to {out}")
    if summary is not None:
        write_table(summary, summarize(table, images=[name for name, _, _ in run.tables]), overwrite=overwrite)
    if record is not None:
        settings = {name: value for name, value in asdict(run.options).items() if value not in (None, ())}
        origins = [origin for _, origin, _ in run.tables]
        write_record(record, record_of("measure", origins, settings), overwrite=overwrite)
