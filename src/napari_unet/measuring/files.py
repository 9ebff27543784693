"""Label files, with or without their images, to tables of measurements and files of outlines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import Protected, check_free, check_outside_zarr, completed
from napari_unet.io.pairs import image_stem, label_files, match_by_stem
from napari_unet.io.readers import read_image
from napari_unet.io.stored_record import stored_record
from napari_unet.measuring.kinds import Kind, MeasureOptions, OutlineOptions, measured, write_kind
from napari_unet.measuring.labelled import Labelled, Shown
from napari_unet.measuring.record import PROGRAM, Origin
from napari_unet.objects.label_images import label_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.axes import Image
    from napari_unet.objects.table import Table
    from napari_unet.progress import CancelToken, ProgressCallback

__all__ = ["LabelFile", "MeasureOptions", "OutlineOptions"]

OUTLINE_KINDS = {
    ".geojson": Kind.geojson,
    ".json": Kind.geojson,
    ".zip": Kind.rois,
    ".png": Kind.png,
    ".svg": Kind.svg,
}
"""What `write_outlines` writes to names that end so, if nothing else is asked for: COCO ends in .json, too."""


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
        return list(self.origin.files.values())

    @property
    def origin(self) -> Origin:
        """Both files, for the record of a result."""
        return Origin({"labels": self.labels, **({} if self.image is None else {"image": self.image})}, self.name)

    def read(self, options: MeasureOptions, shown: Shown | None = None, cancel: CancelToken | None = None) -> Labelled:
        """Return the labels, lazily where they are large, and their image.

        Raises
        ------
        UNetError
            If a file cannot be read, or the two are not of one size.
        """
        labels, image = read_label_file(self, options)
        return Labelled(self.name, labels, image, options.task, origin=self.origin, shown=shown or Shown())


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
    check_outside_zarr(target)
    check_free(target, overwrite=overwrite)
    inputs.add(target, "another result of this run")


def measure_file(
    file: LabelFile,
    options: MeasureOptions,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Table, Origin]:
    """Return the measurements of all objects of a label file, and where its labels come from.

    Raises
    ------
    UNetError
        If a file cannot be read, the two do not fit together, or the labels cannot be used.
    """
    source = file.read(options, cancel=cancel)
    return measured(source, replace(options, task=source.task), progress, cancel), source.origin


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
    kind: Kind | None = None,
    shown: Shown | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Write the outlines of a label file, as a kind or else in the format of the target's ending (`OUTLINE_KINDS`).

    Returns
    -------
    dict
        ``labels``, ``output``, ``n_outlines`` and ``notes``.

    Raises
    ------
    UNetError
        If a file cannot be read, the two do not fit together, or the result cannot be written.
    """
    kind = kind or OUTLINE_KINDS.get(target.suffix.lower())
    if kind is None:
        raise FileFormatError(f"The name {target.name!r} must end in one of {', '.join(OUTLINE_KINDS)}.")
    source = file.read(options.measure, shown, cancel)
    written = write_kind(
        kind, source, target, options, command="contours", overwrite=overwrite, progress=progress, cancel=cancel
    )
    return {
        "labels": str(file.labels),
        "output": str(target),
        "n_outlines": written.count,
        "notes": list(written.notes),
    }


def _as_segmented(labels: Path, image: Path) -> tuple[str | None, int | str | None]:
    """Return as which axes, and as which of the images in it, a file was segmented; None where its labels do not say.

    They say it only where they were made by this program, of a file of that name.
    """
    record = stored_record(labels)
    inputs = record.get("inputs") if record.get("program") == PROGRAM else None
    for made in inputs if isinstance(inputs, list) else ():
        try:
            if made["image"]["name"] != image.name:
                continue
            said = made["segmentations"][-1]
            axes, series = said.get("axes"), said.get("series")
        except (LookupError, TypeError, AttributeError):  # changed by somebody
            continue
        which = isinstance(series, str) or (isinstance(series, int) and not isinstance(series, bool) and series >= 0)
        return axes if isinstance(axes, str) else None, series if which else None
    return None, None


def read_label_file(file: LabelFile, options: MeasureOptions) -> tuple[Image, Image | None]:
    """Return labels, lazily where they are large, and their image.

    Raises
    ------
    UNetError
        If one cannot be read, or they are not of one size.
    """
    image = None
    if file.image is not None:
        axes, series = _as_segmented(file.labels, file.image)
        image = read_image(file.image, axes, series if options.series is None else options.series)
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
