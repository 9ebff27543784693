"""The first step of a run, done by a worker: what is wanted is resolved, checked, planned and written down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.cluster.opened import read_directly, with_channel
from napari_unet.cluster.queue import not_seen
from napari_unet.cluster.run_folder import LABELS, MAPS, RunDescription, RunFolder
from napari_unet.inference.adjusting import adjusted
from napari_unet.inference.diameter import said_diameter, with_diameter
from napari_unet.inference.record import segmentation_record
from napari_unet.inference.task import Task, make_task
from napari_unet.inference.which_model import with_chosen_model
from napari_unet.io.channels import channel_number
from napari_unet.io.damage import Damage
from napari_unet.io.zarr_writer import chunk_width, create_zarr
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.model import resolve_device
from napari_unet.models.store import AUTO

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.inference.options import SegmentOptions


CHUNK = {2: (1024, 1024), 3: (32, 256, 256)}
"""Largest shape of the chunks of labels and maps, by the number of spatial axes: a block is a whole number of them."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of an image.

    Attributes
    ----------
    source, target : Path
        The image, and the Zarr folder of its labels.
    model : str
        Name of the model, which lies in the folder of the run; or "auto".
    options : SegmentOptions
    identity : dict
        See `RunDescription`.
    block, overlap : dict
        Width of the blocks in which objects are found, and the objects' largest width, pixels, by the number of spatial
        axes.
    """

    source: Path
    target: Path
    model: str
    options: SegmentOptions
    identity: dict[str, Any]
    block: dict[int, int]
    overlap: dict[int, int]


def prepare(folder: RunFolder, request: Request) -> None:
    """Resolve image and model, plan the work, and write down what workers have to know.

    Raises
    ------
    UNetError
        If they cannot be used, or this worker does not see them.
    """
    if not folder.path.is_dir():
        raise not_seen(folder.path, "Results")
    if not request.source.exists():
        raise not_seen(request.source, "Images")
    options, auto = request.options, isinstance(request.options.diameter, str)
    image = read_directly(request.source, options.axes, options.series, tolerant=True).with_pixel_size(
        options.pixel_size
    )
    image = replace(image, diameter=said_diameter(options.diameter))
    channel = channel_number(image, options.channel)
    if request.model == AUTO:
        image, model = with_chosen_model(image, channel=channel, device=options.device)
    else:
        model = load_model_file(folder.model)
    image, model = with_diameter(image, model, channel=channel, always=auto, device=options.device)
    model = adjusted(model, sensitivity=options.sensitivity, separation=options.separation, min_size=options.min_size)
    task = make_task(
        image, model, channel=channel, tile=options.tile, device=options.device, mode=options.mode,
        flips=options.flips,
    )  # fmt: skip
    save_model_file(model, folder.model)
    _create_outputs(folder, request, task)
    folder.describe(_described(request, task))


def _described(request: Request, task: Task) -> RunDescription:
    image, plan, options, ndim = task.image, task.plan, request.options, task.model.info.spec.ndim
    size = image.pixel_size
    return RunDescription(
        identity=request.identity,
        source=str(request.source),
        axes=options.axes,
        series=options.series,
        pixel_size=None if size is None else (size.z, size.y, size.x),
        diameter=image.diameter,
        found_diameter=image.found_diameter,
        found_against=image.found_against,
        channels=task.channels,
        zoom=task.zoom,
        shape=plan.shape,
        halo=plan.halo,
        spans=plan.tiles.spans,
        steps=plan.tiles.steps,
        frames=image.n_frames,
        slices=None if ndim == 3 else image.size("Z"),
        flips=task.flips,
        block=(request.block[ndim],) * ndim,
        overlap=request.overlap[ndim] if task.model.info.finds_objects else 0,
        maps=options.maps,
        device=options.device,
        missing=image.damage.missing if isinstance(image.damage, Damage) else 0,
        report={
            "model": task.model.name,
            "device": str(resolve_device(options.device)),
            "tiles": task.n_tiles,
            "tile_shape": list(plan.tile_shape),
            "halo": list(plan.halo),
            "mode": "exact" if plan.exact else "fast",
            "diameter": image.diameter or (round(image.found_diameter, 1) if image.found_diameter else None),
            "zoom": [round(z, 4) for z in task.zoom],
            "note": str(image.damage or ""),
            "notes": list(image.notes),
        },
    )


def _create_outputs(folder: RunFolder, request: Request, task: Task) -> None:
    """Make the arrays that workers write to; each of their chunks is written by one block only."""
    image, spec = task.image, task.model.info.spec
    axes = "".join(letter for letter in "TZYX" if letter in image.label_axes)
    wide = dict(zip("ZYX"[-spec.ndim :], CHUNK[spec.ndim], strict=True))
    block = request.block[spec.ndim]
    record = segmentation_record(request.source, task, axes=request.options.axes, series=request.options.series)
    for name, letters, dtype in ((LABELS, axes, np.uint32), (MAPS, with_channel(axes), np.float32)):
        if name == MAPS and not request.options.maps:
            continue
        shape = tuple(spec.out_channels if letter == "C" else image.size(letter) for letter in letters)
        chunks = tuple(
            min(n, chunk_width(block, wide[letter])) if letter in wide else 1
            for letter, n in zip(letters, shape, strict=True)
        )
        create_zarr(
            folder.path / name, shape, letters, image.pixel_size, dtype,
            name=request.target.stem, labels=name == LABELS, chunks=chunks, placement=image.placement,
            provenance=record if name == LABELS else None,
        )  # fmt: skip
