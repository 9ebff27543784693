"""The record of a segmentation: which file, which model and which settings labels were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_unet.measuring.record import Origin, Segmentation, record_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.inference.task import Task
    from napari_unet.models.model import Model

_digests: WeakKeyDictionary[Model, str] = WeakKeyDictionary()
"""Hashes of weights: of a folder of images each has the same model."""


def segmentation_record(
    source: Path, task: Task, *, axes: str | None = None, series: int | str | None = None
) -> dict[str, Any]:
    """Return the record of labels that were, or are to be, made from a file; see `measuring.record.record_of`.

    It is the same whenever, on whatever device and into whatever file the same work is done.

    Parameters
    ----------
    source : Path
        The image. Its SHA-256 is computed, which reads it once; a Zarr folder has none.
    task : Task
        From `make_task`: model, channels, scale and mode.
    axes : str, optional
        Of the image as stored, where they are not those that the file says.
    series : int or str, optional
        Number or name of the image in a file that holds several, if one was asked for.

    Returns
    -------
    dict
        As `record_of` describes it, with the command ``segment``.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    """
    one = task.image.n_channels > 1 and len(task.channels) == 1
    found = Segmentation.of(
        task.image, task.model.info, sha256=_sha256(task.model), whole=task.covers_image, axes=axes,
        channel=task.channels[0] if one else None, series=series, flips=task.flips,
    )  # fmt: skip
    settings = {"mode": "exact" if task.plan.exact else "fast"}
    return record_of("segment", [Origin({"image": source}, segmentations=(found,))], settings)


def _sha256(model: Model) -> str:
    if model not in _digests:
        _digests[model] = model.sha256()
    return _digests[model]
