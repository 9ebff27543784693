"""What a worker does of an image: functions that are given names and numbers, and read and write files themselves.

Each does nothing where its file is there already, so that it may be called again at any time, and by two workers at
once.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter

from napari_unet.axes import PixelSize
from napari_unet.cluster.run_folder import LABELS, MAPS, RunDescription, RunFolder
from napari_unet.cluster.tile_maps import TileMaps, blocks_for, maps_at_image_size, tiles_for
from napari_unet.errors import ClusterError, FileFormatError
from napari_unet.inference.diameter import said_diameter, with_diameter
from napari_unet.inference.on_disk import Plane
from napari_unet.inference.record import segmentation_record
from napari_unet.inference.task import Subimage, Task, make_task
from napari_unet.inference.tile_runner import Inference, sample_plane, sampled_planes
from napari_unet.inference.which_model import choose_model
from napari_unet.io.damage import Damage
from napari_unet.io.readers import read_image
from napari_unet.io.zarr_writer import create_zarr
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.model import resolve_device
from napari_unet.models.normalize import Statistics, measure
from napari_unet.models.store import AUTO, load_model
from napari_unet.objects.blocks import BlockGrid, Edge
from napari_unet.objects.stitch import Matcher
from napari_unet.tiling.grid import Reading, TileGrid
from napari_unet.tiling.plan import TilingPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.options import SegmentOptions
    from napari_unet.models.model import Model

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
        Name or file of the model, or "auto".
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
        raise ClusterError(f"A worker does not see {folder.path}. Results must be in a folder that all workers share.")
    if not request.source.exists():
        raise ClusterError(f"A worker does not see {request.source}. Images must be in a folder that all workers share.")
    options, auto = request.options, isinstance(request.options.diameter, str)
    image = _opened(request.source, options.axes, options.series, tolerant=True).with_pixel_size(options.pixel_size)
    image = replace(image, diameter=said_diameter(options.diameter))
    if request.model == AUTO:
        model, _ = choose_model(image, channel=options.channel, device=options.device)
    else:
        model = load_model(request.model)
    image, model = with_diameter(image, model, channel=options.channel, always=auto, device=options.device)
    task = make_task(
        image, model, channel=options.channel, tile=options.tile, device=options.device, mode=options.mode,
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
    for name, letters, dtype in ((LABELS, axes, np.uint32), (MAPS, _with_channel(axes), np.float32)):
        if name == MAPS and not request.options.maps:
            continue
        shape = tuple(spec.out_channels if letter == "C" else image.size(letter) for letter in letters)
        chunks = tuple(
            min(n, _part(block, wide[letter])) if letter in wide else 1 for letter, n in zip(letters, shape, strict=True)
        )
        create_zarr(
            folder.path / name, shape, letters, image.pixel_size, dtype,
            name=request.target.stem, labels=name == LABELS, chunks=chunks, placement=image.placement,
            provenance=record if name == LABELS else None,
        )  # fmt: skip


def _with_channel(axes: str) -> str:
    return "".join(letter for letter in "TCZYX" if letter in "C" + axes)


def _part(width: int, most: int) -> int:
    """Return the largest width of chunks that divides a block's."""
    return next(width // n for n in range(1, width + 1) if width % n == 0 and width // n <= most)


class _Direct:
    """An array that is read in this thread: what dask reads by itself, in a worker, it would give to other workers."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._array[index].compute(scheduler="synchronous"))


def _opened(path: Path, axes: str | None, series: int | None, *, tolerant: bool) -> Image:
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
        image = _opened(Path(known.source), known.axes, known.series, tolerant=tolerant)
        image = image.with_pixel_size(None if size is None else PixelSize(z=size[0], y=size[1], x=size[2]))
        image = replace(
            image, diameter=known.diameter, found_diameter=known.found_diameter, found_against=known.found_against
        )
        self.folder, self.description, self.tolerant = folder, description, tolerant
        self.task = task_of(description, image, load_model_file(folder.model))
        self.blocks = blocks_of(description, self.task)
        self.semantic = not self.task.model.info.finds_objects
        self._inferences = threading.local()

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

    @property
    def damage(self) -> list[str]:
        """The damaged chunks that were read so far."""
        damage = self.task.image.damage
        return list(damage.chunks) if isinstance(damage, Damage) else []


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


def take_sample(folder: RunFolder, number: int) -> None:
    """Write the pixels of one plane by which intensities are normalised to a file."""
    path = folder.sample(number)
    if path.exists():
        return

    def sampled(work: Work) -> NDArray[Any]:
        image = work.task.image
        return sample_plane(image, work.task.channels, sampled_planes(image)[number])

    folder.save(path, _read_tolerantly(folder, sampled)[0])


def measure_statistics(folder: RunFolder) -> None:
    """Write the statistics of the whole image to a file, once all samples are there."""
    if folder.statistics.exists():
        return
    task = work_on(folder).task
    samples = [np.load(folder.sample(number)) for number in range(len(sampled_planes(task.image)))]
    statistics = measure(np.concatenate(samples, axis=1), task.model.info.normalization)
    with folder.completing(folder.statistics) as temporary:
        temporary.write_bytes(TypeAdapter(Statistics).dump_json(statistics))


@dataclass(frozen=True, slots=True)
class TileDone:
    """What is said of a tile: a sentence for the user, mostly empty, and the damaged chunks of the image."""

    note: str = ""
    damaged: tuple[str, ...] = ()


def compute_tile(folder: RunFolder, subimage: int, number: int) -> TileDone:
    """Write the maps of a tile to a file."""
    path = folder.tile(subimage, number)
    if path.exists():
        return TileDone()

    def computed(work: Work) -> tuple[NDArray[np.float32], str]:
        place = work.task.subimages[subimage]
        result = work.inference.run(place, work.task.plan.tiles[number])
        work.inference.end(place)
        return result.maps, result.note

    (maps, note), damaged = _read_tolerantly(folder, computed)
    folder.save(path, maps)
    return TileDone(note, damaged)


def _read_tolerantly(folder: RunFolder, call: Any) -> tuple[Any, tuple[str, ...]]:
    """Call with the work; where the image is damaged, again with what counts such chunks as empty, and return them."""
    try:
        work = work_on(folder)
        return call(work), tuple(work.damage)
    except FileFormatError:
        if not Path(folder.known().source).exists():
            raise
        work = work_on(folder, tolerant=True)
        return call(work), tuple(work.damage)


def find_objects(folder: RunFolder, subimage: int, number: int) -> None:
    """Write the objects of a block to a file, with ids of its own, and what its neighbours have to see of it.

    Files of maps that no other block needs any more are removed.
    """
    path, work = folder.objects(subimage, number), work_on(folder)
    if not path.exists():
        try:
            _find_objects(work, path, subimage, number)
        except FileNotFoundError:
            if not path.exists():  # else another worker was asked, too, and was faster
                raise
    for tile in tiles_for(work.task, work.blocks[number]):
        needing = blocks_for(work.task, work.blocks, tile)
        if all(folder.objects(subimage, other).exists() for other in needing):
            folder.tile(subimage, tile).unlink(missing_ok=True)


def _find_objects(work: Work, path: Path, subimage: int, number: int) -> None:
    block = work.blocks[number]
    maps = maps_at_image_size(work.maps(subimage), work.task, block.seen)
    if work.description.maps:
        _output(work, MAPS).write(work.task.subimages[subimage], block.region, maps[(slice(None), *block.crop)])
    labels = work.task.decode(maps)
    found = {"labels": labels[block.crop]} if work.semantic else _with_faces(work.blocks, number, labels)
    with work.folder.completing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **found)  # type: ignore[arg-type]


def _with_faces(blocks: BlockGrid, number: int, labels: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """Return the labels of a block's region, with ids 1, 2, ..., and bands around its faces with others on their other side."""
    block = blocks[number]
    ids = np.unique(labels[block.crop])
    ids = ids[ids > 0]
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[ids] = np.arange(1, len(ids) + 1)
    found = {"labels": table[labels[block.crop]], "table": table, "count": np.array([len(ids)], np.int32)}
    for axis, size in enumerate(blocks.shape):
        lower, upper = block.region[axis].start, block.region[axis].stop
        if lower > 0:
            found[f"before{axis}"] = Edge.of(labels, table, block, axis, lower, blocks.band).labels
        if upper < size:
            found[f"after{axis}"] = Edge.of(labels, table, block, axis, upper, blocks.band).labels
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """How many objects a block has, and which are those of the blocks before it: by axis, pairs of ids, theirs first."""

    count: int
    pairs: dict[int, NDArray[np.int32]]


def join_faces(folder: RunFolder, subimage: int, number: int) -> Joined:
    """Compare the objects of a block with those of the blocks before it, at their common faces."""
    work = work_on(folder)
    block = work.blocks[number]
    pairs = {}
    with np.load(folder.objects(subimage, number)) as own:
        table, count = own["table"], int(own["count"][0])
        for axis in range(len(work.blocks.shape)):
            if not block.region[axis].start:
                continue
            before = work.blocks.number_before(block, axis)
            with np.load(folder.objects(subimage, before)) as other:
                edge = Edge(other[f"after{axis}"], other["table"])
            found = edge.same_objects(Edge(own[f"before{axis}"], table))
            pairs[axis] = np.array(found, np.int32).reshape(-1, 2)
    return Joined(count, pairs)


def count_overlaps(
    folder: RunFolder, subimage: int, number: int, before: int, first: tuple[int, int]
) -> Matcher:
    """Count the pixels that objects of a slice and of the slice before it share in a block.

    `before` is the number of that slice; `first` are the places of the block's first objects in the tables of the two.
    """
    matcher = Matcher()
    old = _renamed(folder, "plane", before, number, first[0])
    matcher.add(old, _renamed(folder, "plane", subimage, number, first[1]))
    return matcher


def write_labels(folder: RunFolder, subimage: int, number: int, first: int) -> None:
    """Write a block of the final labels."""
    done, work = folder.written(subimage, number), work_on(folder)
    if done.exists():
        return
    labels = _output(work, LABELS)
    new = _renamed(folder, "final", subimage, number, first)
    labels.write(work.task.subimages[subimage], work.blocks[number].region, new)
    with folder.completing(done) as temporary:
        temporary.touch()


def write_classes(folder: RunFolder, subimage: int, number: int) -> list[int]:
    """Write a block of the final labels of a model of classes, and return which there are in it, other than 0."""
    done, work = folder.written(subimage, number), work_on(folder)
    with np.load(folder.objects(subimage, number)) as found:
        classes = found["labels"]
    if not done.exists():
        _output(work, LABELS).write(work.task.subimages[subimage], work.blocks[number].region, classes)
        with folder.completing(done) as temporary:
            temporary.touch()
    return [int(value) for value in np.unique(classes) if value]


def _renamed(
    folder: RunFolder, kind: Literal["plane", "final"], subimage: int, number: int, first: int
) -> NDArray[np.int32]:
    """Return the labels of a block with the ids of a table, in which its objects have the places from `first` on."""
    with np.load(folder.objects(subimage, number)) as found:
        labels, count = found["labels"], int(found["count"][0])
    table = np.zeros(count + 1, np.int32)
    table[1:] = np.load(folder.ids(kind, subimage), mmap_mode="r")[first : first + count]
    return np.asarray(table[labels])


def _output(work: Work, name: str) -> Plane:
    import zarr

    axes = "".join(letter for letter in "TZYX" if letter in work.task.image.label_axes)
    array = zarr.open_group(work.folder.path / name, mode="r+")["0"]
    return Plane(array, axes if name == LABELS else _with_channel(axes))
