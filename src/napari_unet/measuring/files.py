"""Label files, with or without their images, to tables of measurements and files of outlines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import Protected, check_free, completed
from napari_unet.io.geojson import Feature, write_geojson
from napari_unet.io.imagej_rois import Roi, write_rois
from napari_unet.io.pairs import image_stem, label_files, match_by_stem
from napari_unet.io.readers import read_image
from napari_unet.io.zarrs import is_zarr
from napari_unet.measuring.record import record_of
from napari_unet.objects.contours import Outline, trace_contours
from napari_unet.objects.label_images import label_image
from napari_unet.objects.measurements import measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_unet.axes import Image, PixelSize
    from napari_unet.io.geojson import ObjectType
    from napari_unet.objects.measurements import Task
    from napari_unet.objects.table import Table
    from napari_unet.progress import CancelToken, ProgressCallback

_KEYS = ("image", "time", "slice", "label", "state")
"""Columns of a table of measurements that are no measurements."""


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label file and the image that it belongs to, if that is known.

    Attributes
    ----------
    name : str
        Of the image, without endings: ``a`` for ``a.tif`` and ``a_labels.tif``.
    labels : Path
    image : Path or None
    """

    name: str
    labels: Path
    image: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Both files, or the one that there is."""
        return [self.labels] if self.image is None else [self.labels, self.image]


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How label files are measured; see `measure`.

    Attributes
    ----------
    axes : str, optional
        Of the labels; None: what the file says, or those of the image if it has the same shape.
    series : int, optional
        Which image of image files that hold several.
    """

    axes: str | None = None
    pixel_size: PixelSize | None = None
    series: int | None = None
    channels: tuple[str, ...] = ()
    task: Task = "instances"
    slices: bool = False
    neighbour_distance: float = 0.0


@dataclass(frozen=True, slots=True)
class OutlineOptions:
    """How outlines are drawn, and what is written with them.

    Attributes
    ----------
    tolerance : float
        Pixels by which they may lie off the exact ones; see `contours`.
    object_type : {"detection", "annotation"}
        What objects are in QuPath.
    classification : str, optional
        Their class in QuPath.
    measurements : bool
        Whether GeoJSON holds the measurements of each outline.
    measure : MeasureOptions
        How labels are read, and measured.
    """

    tolerance: float = 0.0
    object_type: ObjectType = "detection"
    classification: str | None = None
    measurements: bool = True
    measure: MeasureOptions = field(default_factory=MeasureOptions)


def find_label_files(labels: Path, images: Path | None = None) -> list[LabelFile]:
    """Return the label files that are meant, with their images.

    Parameters
    ----------
    labels, images : Path
        Files, or folders of files; matched by stem. Both may be the same folder.

    Raises
    ------
    FileFormatError
        If a file is not there, has no partner (it is named), or two have the same stem.
    """
    if images is None:
        return [LabelFile(name, path) for name, path in label_files(labels)]
    return [LabelFile(image_stem(ours), ours, image) for image, ours in match_by_stem(images, labels)]


def check_targets(targets: Sequence[Path], files: Sequence[LabelFile], *, overwrite: bool = False) -> None:
    """Find out before any work whether results may be written where they go.

    Raises
    ------
    FileFormatError
        If one of them is an input, lies in a Zarr, is there already and may not be replaced, or two are one file.
    """
    inputs = inputs_of(files)
    for target in targets:
        check_target(target, inputs, overwrite=overwrite)


def inputs_of(files: Sequence[LabelFile]) -> Protected:
    """Return what no result may replace: all files that are read."""
    return Protected([path for file in files for path in file.paths])


def check_target(target: Path, inputs: Protected, *, overwrite: bool = False) -> None:
    """Do for one result what `check_targets` does; from then on it is protected, too."""
    inputs.check(target)
    around = next((parent for parent in target.parents if is_zarr(parent)), None)
    if around is not None:
        raise FileFormatError(f"{target} lies in the Zarr {around}; choose a name outside of it.")
    check_free(target, overwrite=overwrite)
    inputs.add(target, "another result of this run")


def measure_file(
    file: LabelFile,
    options: MeasureOptions,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Table:
    """Return the measurements of all objects of a label file.

    Raises
    ------
    UNetError
        If a file cannot be read, the two do not fit together, or the labels cannot be used.
    """
    labels, image = read_label_file(file, options)
    return _measured(file, labels, image, options, progress, cancel)


def write_table(path: Path, table: Table, *, overwrite: bool = False) -> None:
    """Write a table as CSV; the file has its name only when it is complete.

    Raises
    ------
    FileFormatError
        If it exists and may not be replaced, or cannot be written.
    """
    with completed(path, overwrite=overwrite) as partial:
        table.to_csv(partial)


def write_outlines(
    file: LabelFile,
    target: Path,
    options: OutlineOptions,
    *,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Write the outlines of a label file as GeoJSON or, to a name that ends in .zip, as ImageJ ROIs.

    Returns
    -------
    dict
        ``labels``, ``output``, ``n_outlines`` and ``notes``.

    Raises
    ------
    UNetError
        If a file cannot be read, the two do not fit together, or the result cannot be written.
    """
    labels, image = read_label_file(file, options.measure)
    outlines = trace_contours(labels, options.tolerance, progress, cancel)
    record = record_of("contours", [file.paths], _settings(options))
    notes = (*labels.notes, *(image.notes if image is not None else ()))
    if target.suffix.lower() == ".zip":
        count = write_rois(target, _rois(outlines), overwrite=overwrite, provenance=record)
    else:
        rows: dict[tuple[int | None, ...], Mapping[str, float]] = {}
        if options.measurements:
            by_plane = replace(options.measure, slices=True, task="instances")
            table = _measured(file, labels, image, by_plane, None, cancel)
            rows, notes = _by_outline(table), (*notes, *table.notes)
        features = _features(outlines, rows, options.classification)
        count = write_geojson(target, features, object_type=options.object_type, provenance=record, overwrite=overwrite)
    return {
        "labels": str(file.labels),
        "output": str(target),
        "n_outlines": count,
        "notes": list(dict.fromkeys(notes)),
    }


def read_label_file(file: LabelFile, options: MeasureOptions) -> tuple[Image, Image | None]:
    """Return labels, lazily where they are large, and their image.

    Raises
    ------
    UNetError
        If one cannot be read, or they are not of one size.
    """
    image = None if file.image is None else read_image(file.image, series=options.series)
    if image is not None:
        image = image.with_pixel_size(options.pixel_size)
    labels = read_image(file.labels, options.axes, indices=True)
    if "C" in labels.axes and labels.n_channels == 1:
        data = labels.data.squeeze(labels.axes.index("C"))
        labels = replace(labels, data=data, axes=labels.label_axes)
    if image is not None and options.axes is None and labels.axes != image.label_axes:
        shape = tuple(int(n) for n in labels.data.shape)
        if shape == image.label_shape:  # a file that does not tell its axes, or others
            labels = replace(labels, axes=image.label_axes)
    return label_image(labels, like=image, pixel_size=options.pixel_size), image


def _measured(
    file: LabelFile,
    labels: Image,
    image: Image | None,
    options: MeasureOptions,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> Table:
    return measure(
        labels, image, channels=options.channels, name=file.name, task=options.task, slices=options.slices,
        neighbour_distance=options.neighbour_distance, progress=progress, cancel=cancel,
    )  # fmt: skip


def _settings(options: OutlineOptions) -> dict[str, Any]:
    size = options.measure.pixel_size
    return {
        "tolerance_px": options.tolerance,
        "object_type": options.object_type,
        "classification": options.classification,
        "axes": options.measure.axes,
        "pixel_size_um": None if size is None else {"z": size.z, "y": size.y, "x": size.x},
    }


def _by_outline(table: Table) -> dict[tuple[int | None, ...], Mapping[str, float]]:
    """Return the measurements of each row by time point, slice and label."""
    found: dict[tuple[int | None, ...], Mapping[str, float]] = {}
    for row in table.rows():
        key = (row.get("time"), row.get("slice"), row["label"])
        found[key] = {name: float(value) for name, value in row.items() if name not in _KEYS}
    return found


def _features(
    outlines: Iterator[Outline], rows: Mapping[tuple[int | None, ...], Mapping[str, float]], classification: str | None
) -> Iterator[Feature]:
    for outline in outlines:
        values = rows.get((outline.time, outline.slice, outline.label), {})
        yield Feature(str(outline.label), outline.polygons, outline.slice, outline.time, classification, values)


def _rois(outlines: Iterator[Outline]) -> Iterator[Roi]:
    for outline in outlines:
        name = str(outline.label)
        if outline.slice is not None:
            name = f"z{outline.slice + 1:04}_{name}"  # ImageJ counts from 1
        if outline.time is not None:
            name = f"t{outline.time + 1:04}_{name}"
        yield Roi(name, outline.polygons, outline.slice, outline.time)
