"""The maps of what was segmented, kept as float16: what is edited or decoded anew need not wait for the network.

They lie in memory up to a share of what is free, and beyond that in temporary files (`io.spill`). They are not saved
with a project, which they would make many times larger (docs/decisions/0024-sliders.md):
`layers.inference.maps_in_view` makes those of what is in view anew.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import psutil

from napari_unet.errors import UNetError
from napari_unet.io import spill
from napari_unet.objects.boxes import intersection, relative
from napari_unet.objects.decode import Decoding
from napari_unet.objects.maps import Maps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_unet.inference.steps import SubimageDone
    from napari_unet.inference.task import Task
    from napari_unet.layers.image.geometry import Region

MAX_SHARE = 1 / 8
"""Largest share of the free memory that the maps of one image may take: a bound, like `io.spill.MAX_MEMORY_SHARE`."""

MAX_DISK_SHARE = 1 / 4
"""Largest share of the free space of the disk with temporary files that they may take beside that: a bound. The last
plane or volume is kept in any case."""


@dataclass(slots=True, eq=False)
class KeptPart:
    """The maps of one plane or volume, or of the part of it that was segmented.

    Attributes
    ----------
    frame : int
        Time point.
    region : tuple of slice
        Where, (Z, Y, X).
    maps : Maps
        Of float16, axes (K, Z, Y, X).
    volume : bool
        Whether the network saw a volume, and not single planes.
    decoding : Decoding
        By which the labels there were read out of them last.
    """

    frame: int
    region: Region
    maps: Maps
    volume: bool
    decoding: Decoding = field(default_factory=Decoding)

    @property
    def on_disk(self) -> bool:
        """Whether they lie in a temporary file."""
        return spill.is_on_disk(self.maps.values)


class KeptMaps:
    """The maps of an image, those that were made last.

    Parameters
    ----------
    max_bytes : int, optional
        What those in memory may take together; None: `MAX_SHARE` of the memory that is free.
    max_disk_bytes : int, optional
        What those on the disk may take, but for the newest; None: `MAX_DISK_SHARE` of what is free there.
    """

    def __init__(self, max_bytes: int | None = None, max_disk_bytes: int | None = None) -> None:
        self._max_bytes, self._max_disk_bytes = max_bytes, max_disk_bytes
        self._parts: list[KeptPart] = []  # the oldest first

    def __iter__(self) -> Iterator[KeptPart]:
        """Yield what is kept, the newest first."""
        return reversed(list(self._parts))

    @property
    def pixels(self) -> int:
        """Pixels of the image, or voxels, of which there are maps."""
        return sum(math.prod(s.stop - s.start for s in part.region) for part in self._parts)

    @property
    def memory_left(self) -> int:
        """Bytes that more maps may take in memory; those of more lie on the disk. A worker may ask, too."""
        most = self._max_bytes
        if most is None:
            most = int(MAX_SHARE * psutil.virtual_memory().available)
        return max(0, most - _bytes(part for part in self if not part.on_disk))

    def nearest_first(self, plane: tuple[int, int]) -> list[KeptPart]:
        """Return what is kept, that of a plane (T, Z) first, then what is nearest to it."""
        frame, z = plane
        return sorted(
            self, key=lambda part: (abs(part.frame - frame), 0 if part.volume else abs(part.region[0].start - z))
        )

    def keep(self, part: KeptPart) -> None:
        """Keep maps; older ones of the same pixels, or more than there is room for on the disk, are dropped."""
        self._parts = [old for old in self._parts if not _within(old, part)]
        self._parts.append(part)
        if not part.on_disk:
            return
        on_disk = [old for old in self._parts if old.on_disk]
        taken, most = _bytes(on_disk), self._max_disk_bytes
        if most is None:
            most = int(MAX_DISK_SHARE * (taken + psutil.disk_usage(tempfile.gettempdir()).free))
        for old in on_disk[:-1]:
            if taken <= most:
                return
            self._parts.remove(old)
            taken -= old.maps.values.nbytes

    def clear(self) -> None:
        """Drop all: they are of another model, or of other pixels."""
        self._parts.clear()

    def part_at(self, frame: int, pixel: tuple[int, int, int]) -> KeptPart | None:
        """Return the newest maps that hold a pixel (Z, Y, X); None where nothing was segmented, or it was dropped."""
        for part in reversed(self._parts):
            if part.frame == frame and all(s.start <= p < s.stop for s, p in zip(part.region, pixel, strict=True)):
                return part
        return None

    def within(self, frame: int, region: Region) -> Maps | None:
        """Return the maps (K, Z, Y, X) of a region (Z, Y, X), put together; None unless all of it is there."""
        missing = np.ones([s.stop - s.start for s in region], bool)
        found: Maps | None = None
        for part in reversed(self._parts):
            common = intersection(part.region, region)
            if part.frame != frame or any(c.start >= c.stop for c in common):
                continue
            if found is None:
                values = np.zeros((len(part.maps.outputs), *missing.shape), np.float16)
                found = Maps(values, part.maps.outputs, part.maps.zoom)
            elif (found.outputs, found.zoom) != (part.maps.outputs, part.maps.zoom):
                continue
            into, out = relative(common, region), relative(common, part.region)
            fresh = missing[into]
            if fresh.any():
                values = found.values[(slice(None), *into)]
                np.copyto(values, part.maps.values[(slice(None), *out)], where=fresh)
                missing[into] = False
            if not missing.any():
                return found
        return None


def to_keep(task: Task, done: SubimageDone, in_memory: int | None = None) -> KeptPart | None:
    """Return a copy of the maps of what is finished (worker); None where there is no room for them, or no objects.

    Parameters
    ----------
    task : Task
    done : SubimageDone
        Of the task.
    in_memory : int, optional
        Bytes that they may take in memory (`KeptMaps.memory_left`), beyond which they are written to the disk; None: as
        `io.spill` has it.
    """
    if not task.model.info.finds_objects:
        return None
    try:
        values = spill.zeros(done.maps.shape, np.float16, in_memory)
    except UNetError:
        return None
    values[...] = done.maps
    volume = task.model.info.spec.ndim == 3
    zoom = tuple(task.zoom) if volume or not task.zoom else (1.0, *task.zoom)
    if all(math.isclose(z, 1) for z in zoom):
        zoom = ()
    info = task.model.info
    return KeptPart(done.subimage.frame, done.region, Maps(values, info.outputs, zoom), volume, info.decoding)


def _bytes(parts: Iterable[KeptPart]) -> int:
    return sum(int(part.maps.values.nbytes) for part in parts)


def _within(part: KeptPart, other: KeptPart) -> bool:
    return part.frame == other.frame and all(
        b.start <= a.start and a.stop <= b.stop for a, b in zip(part.region, other.region, strict=True)
    )
