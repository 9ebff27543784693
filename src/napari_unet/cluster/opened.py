"""Image, model and plan of a run, opened once in each worker."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from napari_unet.axes import PixelSize
from napari_unet.cluster.allocation import keep_freed_memory
from napari_unet.cluster.tile_maps import TileMaps
from napari_unet.errors import FileFormatError
from napari_unet.inference.task import Subimage, Task
from napari_unet.inference.tile_runner import Inference
from napari_unet.io.damage import Damage
from napari_unet.io.readers import read_image
from napari_unet.models.checkpoint import load_model_file
from napari_unet.models.normalize import Statistics
from napari_unet.objects.blocks import BlockGrid
from napari_unet.tiling.grid import Reading, TileGrid
from napari_unet.tiling.plan import TilingPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.cluster.run_folder import RunDescription, RunFolder
    from napari_unet.models.model import Model


class _Direct:
    """An array that is read in this thread: what dask reads by itself, in a worker, it would give to other workers."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._array[index].compute(scheduler="synchronous"))


def read_directly(path: Path, axes: str | None, series: int | str | None, *, tolerant: bool) -> Image:
    """Return an image as `io.readers.read_image` does, to be read in the thread that asks."""
    image = read_image(path, axes, series, tolerant=tolerant)
    return replace(image, data=_Direct(image.data)) if hasattr(image.data, "compute") else image


class Work:
    """The image, model and plan of a run, as a worker has them.

    Parameters
    ----------
    folder : RunFolder
    description : RunDescription
    tolerant : bool
        Whether damaged chunks count as empty. Only then all chunks are looked for, which takes long for large images.
    """

    def __init__(self, folder: RunFolder, description: RunDescription, *, tolerant: bool = False) -> None:
        known, size = description, description.pixel_size
        image = read_directly(Path(known.source), known.axes, known.series, tolerant=tolerant)
        image = image.with_pixel_size(None if size is None else PixelSize(z=size[0], y=size[1], x=size[2]))
        image = replace(
            image, diameter=known.diameter, found_diameter=known.found_diameter, found_against=known.found_against
        )
        self.folder, self.description, self.tolerant = folder, description, tolerant
        self.task = task_of(description, image, load_model_file(folder.model))
        self.blocks = blocks_of(description, self.task)
        self.semantic = not self.task.model.info.finds_objects
        self._inferences = threading.local()
        self._noted: set[str] = set()

    @cached_property
    def statistics(self) -> Statistics:
        """Those of the whole image."""
        return TypeAdapter(Statistics).validate_json(self.folder.statistics.read_bytes())

    @property
    def inference(self) -> Inference:
        """The network, one for each thread of the worker."""
        if not hasattr(self._inferences, "one"):
            self._inferences.one = Inference(
                self.task, self.description.device, ahead=False, statistics=self.statistics
            )
        found: Inference = self._inferences.one
        return found

    def maps(self, subimage: int) -> TileMaps:
        """Return the maps of a plane or volume."""
        return TileMaps(self.folder, subimage, self.task.plan.tiles, self.task.model.info.spec.out_channels)

    def note_damage(self) -> None:
        """Write down which damaged chunks were read, before what was made of them is."""
        damage = self.task.image.damage
        new = set(damage.chunks) - self._noted if isinstance(damage, Damage) else set()
        self.folder.note_damaged(new)
        self._noted |= new


def task_of(known: RunDescription, image: Image, model: Model) -> Task:
    """Return the task of a run."""
    reading = Reading(model.info.spec, known.shape, known.halo)
    plan = TilingPlan(TileGrid(reading, known.spans, known.steps))
    return Task(image, model, known.channels, known.zoom, plan, subimages_of(known), known.flips)


def subimages_of(known: RunDescription) -> tuple[Subimage, ...]:
    """Return the planes or volumes of a run, in their order."""
    depth: list[int | None] = [None] if known.slices is None else list(range(known.slices))
    return tuple(itertools.starmap(Subimage, itertools.product(range(known.frames), depth)))


def blocks_of(known: RunDescription, task: Task) -> BlockGrid:
    """Return the blocks in which the objects of a plane or volume are found."""
    return BlockGrid(task.image_shape, known.block, known.overlap)


_kept: dict[RunFolder, Work] = {}
"""What this process works on, one run at a time: the model is loaded once."""

_keeping = threading.Lock()


def work_on(folder: RunFolder, *, tolerant: bool = False) -> Work:
    """Return what this process works on, made once.

    Raises
    ------
    UNetError
        If this machine does not see the folder, the image or the model.
    """
    with _keeping:
        work = _kept.get(folder)
        if work is None or (tolerant and not work.tolerant):
            keep_freed_memory()
            _kept.clear()
            work = _kept[folder] = open_work(folder, tolerant=tolerant)
        return work


def open_work(folder: RunFolder, *, tolerant: bool = False) -> Work:
    """Open image and model of a run; damaged chunks count as empty if `tolerant`, or if the image is read at once.

    Raises
    ------
    UNetError
        If this machine does not see the folder, the image or the model.
    """
    known = folder.known()
    try:
        return Work(folder, known, tolerant=tolerant)
    except FileFormatError:  # a small image is read at once
        if tolerant or not Path(known.source).exists():
            raise
        return Work(folder, known, tolerant=True)


def with_channel(axes: str) -> str:
    """Return the axes of maps, by those of labels."""
    return "".join(letter for letter in "TCZYX" if letter in "C" + axes)
