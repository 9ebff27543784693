"""What labels can be exported as: one function writes each kind, for the window, the command line and scripts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.io.channels import channel_number
from napari_unet.io.coco import CocoImage, CocoObject, write_coco
from napari_unet.io.geojson import Feature, write_geojson
from napari_unet.io.imagej_rois import Roi, write_rois
from napari_unet.io.pictures import Picture, step_for, write_picture
from napari_unet.io.writers import write_labels
from napari_unet.io.zarr_labels import write_labels_into
from napari_unet.measuring.record import record_of
from napari_unet.objects.contours import trace_contours
from napari_unet.objects.measurements import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image, PixelSize
    from napari_unet.io.geojson import ObjectType
    from napari_unet.measuring.labelled import Labelled, Shown
    from napari_unet.objects.contours import Outline
    from napari_unet.objects.measurements import Task
    from napari_unet.objects.table import Table
    from napari_unet.progress import CancelToken, ProgressCallback

CONTRAST = (0.2, 99.8)
"""Percentiles of a plane that are black and white in a picture."""

_KEYS = ("image", "time", "slice", "label", "class", "state")
"""Columns of a table of measurements that are no measurements."""


class Kind(StrEnum):
    """What labels are exported as."""

    measurements = "measurements"
    geojson = "geojson"
    rois = "rois"
    coco = "coco"
    ome_tiff = "ome-tiff"
    imagej_tiff = "imagej-tiff"
    ome_zarr = "ome-zarr"
    own_zarr = "own-zarr"
    png = "png"
    svg = "svg"


ENDINGS = {
    Kind.geojson: "_outlines.geojson",
    Kind.rois: "_rois.zip",
    Kind.coco: "_coco.json",
    Kind.ome_tiff: "_labels.ome.tif",
    Kind.imagej_tiff: "_labels.tif",
    Kind.ome_zarr: "_labels.zarr",
    Kind.png: "_overlay.png",
    Kind.svg: "_overlay.svg",
}
"""What the name of each file ends with, after that of the image. All images have one table of measurements."""


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How labels are measured; see `measure`.

    Attributes
    ----------
    axes : str, optional
        Of the labels; None: what the file says, or those of the image if it has the same shape.
    series : int or str, optional
        Which image of image files that hold several, by number or name.
    """

    axes: str | None = None
    pixel_size: PixelSize | None = None
    series: int | str | None = None
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
        Their class in QuPath, their category in COCO.
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


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a result.

    Attributes
    ----------
    path : Path
    count : int
        Outlines or objects in it; 0 for labels, of which they are not counted.
    notes : tuple of str
        What the user should know, a sentence each.
    """

    path: Path
    count: int = 0
    notes: tuple[str, ...] = ()


def write_kind(
    kind: Kind,
    source: Labelled,
    target: Path,
    options: OutlineOptions | None = None,
    *,
    command: str = "export",
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Written:
    """Write one result of one label image: any kind but a table of measurements, which all images share.

    Parameters
    ----------
    kind : Kind
    source : Labelled
    target : Path
        Of `Kind.own_zarr` the folder of the image.
    options : OutlineOptions, optional
    command : str
        What was done, for the record that the result holds.
    overwrite : bool
        Whether an existing file may be replaced.
    progress, cancel
        As for `contours`.

    Raises
    ------
    UNetError
        If the labels cannot be used, or the result cannot be written.
    """
    options = options or OutlineOptions()
    record = record_of(command, [source.origin], _settings(kind, options, source.shown))
    return _WRITERS[kind](_Work(source, target, options, record, overwrite, progress, cancel))


@dataclass(frozen=True, slots=True)
class _Work:
    source: Labelled
    target: Path
    options: OutlineOptions
    record: Mapping[str, Any]
    overwrite: bool
    progress: ProgressCallback | None
    cancel: CancelToken | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of how the labels and the image were read."""
        image = self.source.image
        return tuple(dict.fromkeys((*self.source.labels.notes, *(image.notes if image is not None else ()))))

    def outlines(self, labels: Image | None = None) -> Iterator[Outline]:
        """Yield the outlines, by default of all labels."""
        return trace_contours(labels or self.source.labels, self.options.tolerance, self.progress, self.cancel)


def measured(
    source: Labelled,
    options: MeasureOptions | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Table:
    """Return the measurements of all objects; errors as of `measure`."""
    options = options or MeasureOptions(task=source.task)
    return measure(
        source.labels, source.image, channels=options.channels, name=source.name, task=options.task,
        slices=options.slices, neighbour_distance=options.neighbour_distance, provenance=source.provenance,
        progress=progress, cancel=cancel,
    )  # fmt: skip


def _geojson(work: _Work) -> Written:
    options, notes = work.options, work.notes
    rows: dict[tuple[int | None, ...], Mapping[str, float]] = {}
    if options.measurements:
        by_plane = replace(options.measure, slices=True, task="instances")
        table = measured(work.source, by_plane, None, work.cancel)
        rows, notes = _by_outline(table), (*notes, *table.notes)
    features = _features(work.outlines(), rows, options.classification)
    count = write_geojson(
        work.target, features, object_type=options.object_type, provenance=work.record, overwrite=work.overwrite
    )
    return Written(work.target, count, tuple(dict.fromkeys(notes)))


def _rois(work: _Work) -> Written:
    rois = (_as_roi(outline) for outline in work.outlines())
    count = write_rois(work.target, rois, provenance=work.record, overwrite=work.overwrite)
    return Written(work.target, count, work.notes)


def _coco(work: _Work) -> Written:
    source, labels = work.source, work.source.labels
    name = source.origin.files["image"].name if "image" in source.origin.files else source.name
    height, width = labels.size("Y"), labels.size("X")
    planes = {
        (t, z): CocoImage(name, height, width, z, t)
        for t in (range(labels.n_frames) if "T" in labels.axes else (None,))
        for z in (range(labels.size("Z")) if "Z" in labels.axes else (None,))
    }
    objects = (
        CocoObject(one.label, planes[one.time, one.slice], one.polygons, _category(one.label, source, work.options))
        for one in work.outlines()
    )
    count = write_coco(work.target, objects, list(planes.values()), provenance=work.record, overwrite=work.overwrite)
    return Written(work.target, count, work.notes)


def _picture(work: _Work) -> Written:
    picture, notes = _pictured(work)
    count = write_picture(work.target, picture, provenance=work.record, overwrite=work.overwrite)
    return Written(work.target, count, (*work.notes, *notes))


def _labels(work: _Work) -> Written:
    labels = work.source.labels
    image = work.source.image
    placement = labels.placement or (image.placement if image is not None else None)
    write_labels(
        work.target, labels.data, labels.axes, labels.pixel_size, work.overwrite, placement, provenance=work.record
    )
    return Written(work.target, 0, work.notes)


def _own_zarr(work: _Work) -> Written:
    labels = work.source.labels
    path = write_labels_into(work.target, labels.data, labels.axes, provenance=work.record)
    return Written(path, 0, work.notes)


_WRITERS: dict[Kind, Callable[[_Work], Written]] = {
    Kind.geojson: _geojson,
    Kind.rois: _rois,
    Kind.coco: _coco,
    Kind.png: _picture,
    Kind.svg: _picture,
    Kind.ome_tiff: _labels,
    Kind.imagej_tiff: _labels,
    Kind.ome_zarr: _labels,
    Kind.own_zarr: _own_zarr,
}


def _settings(kind: Kind, options: OutlineOptions, shown: Shown) -> dict[str, Any]:
    size = options.measure.pixel_size
    read = {
        "axes": options.measure.axes,
        "pixel_size_um": None if size is None else {"z": size.z, "y": size.y, "x": size.x},
    }
    outlines = {"tolerance_px": options.tolerance, "classification": options.classification}
    if kind is Kind.geojson:
        return outlines | {"object_type": options.object_type} | read
    if kind in (Kind.rois, Kind.coco):
        return outlines | read
    if kind in (Kind.png, Kind.svg):
        return {"time": shown.frame, "slice": shown.z, "channel": shown.channel} | read
    return read


# -- outlines ----------------------------------------------------------------------------------------------------------


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


def _as_roi(outline: Outline) -> Roi:
    name = str(outline.label)
    if outline.slice is not None:
        name = f"z{outline.slice + 1:04}_{name}"  # ImageJ counts from 1
    if outline.time is not None:
        name = f"t{outline.time + 1:04}_{name}"
    return Roi(name, outline.polygons, outline.slice, outline.time)


def _category(label: int, source: Labelled, options: OutlineOptions) -> str:
    """Return the COCO category of a label: of a class its name, of an object what objects are called."""
    if source.task == "semantic":
        return source.classes[label] if label < len(source.classes) else f"class {label}"
    return options.classification or (source.classes[0] if source.classes else "object")


# -- pictures ----------------------------------------------------------------------------------------------------------


def _pictured(work: _Work) -> tuple[Picture, tuple[str, ...]]:
    """Return the picture of a plane, and a note where it is one of several that nobody has chosen."""
    source, shown, labels = work.source, work.source.shown, work.source.labels
    if source.image is None:
        raise UNetError("A picture needs the image that the labels belong to.")
    frame = labels.n_frames // 2 if shown.frame is None else shown.frame
    z = labels.size("Z") // 2 if shown.z is None else shown.z
    if not (0 <= frame < labels.n_frames and 0 <= z < labels.size("Z")):
        raise UNetError(f"{source.name} has no slice {z} at time point {frame}.")
    plane = labels.read(frame, z=slice(z, z + 1))[0, 0]
    step = step_for(*plane.shape)
    outlines = [(one.label, one.polygons) for one in work.outlines(_one_plane(labels, plane))]
    pixels = _grey_or_colour(source.image, frame, z, shown, step)
    size = labels.pixel_size
    notes: tuple[str, ...] = ()
    if (shown.frame is None and labels.n_frames > 1) or (shown.z is None and labels.size("Z") > 1):
        notes = (f"{work.target.name} shows the middle of {source.name}: slice {z + 1}, time point {frame + 1}.",)
    return Picture(pixels, outlines, None if size is None else size.x, step), notes


def _one_plane(labels: Image, plane: NDArray[Any]) -> Image:
    """Return labels that are one plane."""
    return replace(labels, data=plane, axes="YX", placement=None)


def _grey_or_colour(image: Image, frame: int, z: int, shown: Shown, step: int) -> NDArray[np.uint8]:
    """Return a plane of an image as it is drawn, (Y, X, 3)."""
    channels = None if image.is_colour else [channel_number(image, shown.channel) or 0]
    values = image.read(frame, z=slice(z, z + 1), channels=channels)[:, 0, ::step, ::step]
    if image.is_colour and values.dtype == np.uint8:
        return np.ascontiguousarray(values.transpose(1, 2, 0))
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, CONTRAST) if len(finite) else (0.0, 1.0)
    with np.errstate(invalid="ignore"):
        scaled = np.nan_to_num(np.clip((values - low) / max(high - low, 1e-12), 0, 1))
    drawn = np.round(255 * scaled).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(drawn, (*drawn.shape[:2], 3)))
