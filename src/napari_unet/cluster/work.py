"""What a worker does of an image: functions that are given names and numbers, and read and write files themselves.

Each does nothing where its file is there already, so that it may be called again at any time, and by two workers at
once.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter

from napari_unet.cluster.opened import Work, with_channel, work_on
from napari_unet.cluster.run_folder import LABELS, MAPS, RunFolder
from napari_unet.cluster.tile_maps import blocks_for, maps_at_image_size, tiles_for
from napari_unet.errors import FileFormatError
from napari_unet.inference import content
from napari_unet.inference.on_disk import Plane
from napari_unet.inference.tile_runner import sample_plane, sampled_planes
from napari_unet.models.normalize import Statistics, measure
from napari_unet.objects.blocks import BlockGrid, Edge
from napari_unet.objects.stitch import Matcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def take_sample(folder: RunFolder, number: int) -> None:
    """Write the pixels of one plane by which intensities are normalised to a file."""
    path = folder.sample(number)
    if path.exists():
        return

    def sampled(work: Work) -> NDArray[Any]:
        image = work.task.image
        return sample_plane(image, work.task.channels, sampled_planes(image)[number])

    folder.save(path, _read_tolerantly(folder, sampled))


def measure_statistics(folder: RunFolder) -> None:
    """Write the statistics of the whole image to a file, once all samples are there."""
    if folder.statistics.exists():
        return
    task = work_on(folder).task
    samples = [np.load(folder.sample(number)) for number in range(len(sampled_planes(task.image)))]
    statistics = measure(np.concatenate(samples, axis=1), task.model.info.normalization)
    with folder.completing(folder.statistics) as temporary:
        temporary.write_bytes(TypeAdapter(Statistics).dump_json(statistics))


def compute_tile(folder: RunFolder, subimage: int, number: int) -> str:
    """Write the maps of a tile to a file, and return a sentence for the user, mostly empty."""
    path = folder.tile(subimage, number)
    if path.exists():
        return ""

    def computed(work: Work) -> tuple[NDArray[np.float32], str]:
        place = work.task.subimages[subimage]
        result = work.inference.run(place, work.task.plan.tiles[number])
        work.inference.end(place)
        return result.maps, result.note

    maps, note = _read_tolerantly(folder, computed)
    folder.save(path, maps)
    return str(note)


def content_notes(folder: RunFolder, n_objects: int) -> list[str]:
    """Return what is to be said of the image if nothing was found in it."""
    notes: list[str] = _read_tolerantly(folder, lambda work: content.content_notes(work.task, n_objects))
    return notes


def _read_tolerantly(folder: RunFolder, call: Any) -> Any:
    """Call with the work; where the image is damaged, again with what counts such chunks as empty and notes them."""
    try:
        work = work_on(folder)
        value = call(work)
    except FileFormatError:
        if not Path(folder.known().source).exists():
            raise
        work = work_on(folder, tolerant=True)
        value = call(work)
    work.note_damage()
    return value


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
        _write(work, MAPS, subimage, block.region, maps[(slice(None), *block.crop)])
    labels = work.task.decode(maps)
    found = {"labels": labels[block.crop]} if work.semantic else _with_faces(work.blocks, number, labels)
    with work.folder.completing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **found)  # type: ignore[arg-type]


def _with_faces(blocks: BlockGrid, number: int, labels: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """Return the labels of a block's region, with ids 1, 2, ..., and those in bands around its faces with others."""
    block = blocks[number]
    ids = np.unique(labels[block.crop])
    ids = ids[ids > 0]
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[ids] = np.arange(1, len(ids) + 1)
    found = {"labels": table[labels[block.crop]], "table": table, "count": np.array([len(ids)], np.int32)}
    for axis, lower, edge in blocks.edges(block, labels, table):
        found[f"{'before' if lower else 'after'}{axis}"] = edge.labels
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """How many objects a block has, and which are those of the blocks before it.

    Attributes
    ----------
    count : int
    pairs : dict of int to ndarray of int32, shape (N, 2)
        For each axis, an id in the block before along it, and the id in this block.
    """

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


def count_overlaps(folder: RunFolder, subimage: int, number: int, before: int, first: tuple[int, int]) -> Matcher:
    """Count the pixels that objects of a slice and of the slice before it share in a block.

    `before` is the number of that slice; `first` are the places of the block's first objects in the tables of the two.
    """
    matcher = Matcher()
    old = _renamed(folder, "plane", before, number, first[0])
    matcher.add(old, _renamed(folder, "plane", subimage, number, first[1]))
    return matcher


def write_labels(folder: RunFolder, subimage: int, number: int, first: int) -> None:
    """Write a block of the final labels."""
    if not folder.written(subimage, number).exists():
        _write_final(folder, subimage, number, _renamed(folder, "final", subimage, number, first))


def write_classes(folder: RunFolder, subimage: int, number: int) -> list[int]:
    """Write a block of the final labels of a model of classes, and return which there are in it, other than 0."""
    with np.load(folder.objects(subimage, number)) as found:
        classes = found["labels"]
    if not folder.written(subimage, number).exists():
        _write_final(folder, subimage, number, classes)
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


def _write_final(folder: RunFolder, subimage: int, number: int, labels: NDArray[np.int32]) -> None:
    """Write a block of the final labels, and put it on record."""
    work = work_on(folder)
    _write(work, LABELS, subimage, work.blocks[number].region, labels)
    with folder.completing(folder.written(subimage, number)) as temporary:
        temporary.touch()


def _write(work: Work, name: str, subimage: int, region: tuple[slice, ...], values: NDArray[Any]) -> None:
    """Write a block of the labels or maps, so that it is on the disk before it is on record: the power may fail."""
    import zarr

    axes = "".join(letter for letter in "TZYX" if letter in work.task.image.label_axes)
    array = zarr.open_group(work.folder.path / name, mode="r+")["0"]
    plane, place = Plane(array, axes if name == LABELS else with_channel(axes)), work.task.subimages[subimage]
    plane.write(place, region, values)
    for chunk in _chunks(plane.index(place, region), array.shape, array.chunks):
        path = work.folder.path / name / array.path / array.metadata.encode_chunk_key(chunk)
        with suppress(FileNotFoundError), path.open("rb+") as file:  # chunks of zeros are not stored
            os.fsync(file.fileno())


def _chunks(index: tuple[Any, ...], shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Return the indices of the chunks in which a region of an array lies."""
    parts = [(one, one + 1, 1) if isinstance(one, int) else one.indices(n) for one, n in zip(index, shape, strict=True)]
    return itertools.product(*(range(a // n, -(-b // n)) for (a, b, _), n in zip(parts, chunks, strict=True)))
