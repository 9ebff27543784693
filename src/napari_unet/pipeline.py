"""Image + model -> labels: the one path that the window, the command line and scripts share.

`segment_steps` does the work and tells of every finished tile and plane; `segment` gathers its events into arrays.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image, PixelSize, guess_axes
from napari_unet.errors import ImageError
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.normalize import Statistics, measure, normalize
from napari_unet.models.store import load_model
from napari_unet.objects.stitch import stitch_slices
from napari_unet.progress import Progress, Stopwatch
from napari_unet.tiling.engine import Predictor, TileResult, run_plan
from napari_unet.tiling.plan import TilingPlan, make_plan
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.progress import CancelToken, ProgressCallback
    from napari_unet.tiling.source import Source

RESCALE_TOLERANCE = 1.25
"""A pixel size within this factor of the model's is taken as it is: networks are trained over such a range."""

_STATISTICS_PIXELS = 20_000_000


@dataclass(frozen=True, slots=True)
class Unit:
    """What is segmented in one go: a plane for a 2D model (`z` is its index), a volume for a 3D one (`z` is None)."""

    frame: int
    z: int | None

    @property
    def region(self) -> tuple[int, slice]:
        """Where it lies in labels with the axes (T, Z, Y, X)."""
        return self.frame, slice(None) if self.z is None else slice(self.z, self.z + 1)


@dataclass(frozen=True, slots=True, eq=False)
class TileDone:
    """A tile of a unit that takes several; its labels are provisional: objects still end at the tile's border.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1.
    """

    unit: Unit
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class UnitDone:
    """A finished unit: final labels, axes (Z, Y, X) with ids from 1, and maps, axes (K, Z, Y, X)."""

    unit: Unit
    labels: NDArray[np.int32]
    maps: NDArray[np.float32]
    progress: Progress


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be segmented, resolved and checked: image, model, channels, scale and plan."""

    image: Image
    model: Model
    channels: tuple[int, ...]
    zoom: tuple[float, ...]
    plan: TilingPlan
    units: tuple[Unit, ...]

    def __str__(self) -> str:
        n = len(self.units)
        frames, slices = {unit.frame for unit in self.units}, {unit.z for unit in self.units}
        what = "volumes" if self.units[0].z is None else "time points" if len(slices) == 1 else "slices"
        times = "" if n == 1 else f"{n} {what}, each " if len(frames) in (1, n) else f"{n} planes, each "
        return times + str(self.plan)

    @property
    def n_tiles(self) -> int:
        """Tiles of all units together."""
        return len(self.plan.tiles) * len(self.units)

    def at_image_size(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps of a unit (K, [Z,] Y, X) with the image's pixels, where it was segmented at others."""
        return _resize(maps, self.image.space[-len(self.plan.shape) :]) if self.zoom else maps


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A segmentation.

    Attributes
    ----------
    labels : ndarray of int32
        In the order of `axes`: the image's own without the channels. Ids are unique in the whole array.
    maps : ndarray of float32 or None
        Probabilities, axes (K, T, Z, Y, X), if they were asked for.
    axes : str
        Axes of `labels`.
    n_objects : int
        Objects found (for a semantic model: classes present other than 0).
    seconds : float
        Time it took.
    device : str
        Where the network ran.
    task : Task
        What was done: plan, channels, scale.
    """

    labels: NDArray[np.int32]
    maps: NDArray[np.float32] | None
    axes: str
    n_objects: int
    seconds: float
    device: str
    task: Task


def as_image(
    data: Any, axes: str | None = None, pixel_size: PixelSize | Sequence[float] | None = None, name: str = "image"
) -> Image:
    """Return an `Image` from an array (numpy, dask, zarr) or as it is; axes are guessed where none are given."""
    if isinstance(data, Image):
        return data
    if not hasattr(data, "shape") or not hasattr(data, "dtype"):
        raise ImageError(f"An image is an array with a shape and a data type; got {type(data).__name__}.")
    if pixel_size is not None and not isinstance(pixel_size, PixelSize):
        pixel_size = PixelSize.from_sequence(pixel_size)
    return Image(data, axes or guess_axes(tuple(data.shape)), pixel_size, name=name)


def make_task(
    image: Image,
    model: Model,
    *,
    channel: int | None = None,
    tile: int | None = None,
    units: Sequence[Unit] | None = None,
) -> Task:
    """Check that image and model fit, and plan the work.

    Parameters
    ----------
    image, model
        What to segment, with what.
    channel : int, optional
        The channel to take; None: all, or the first where the model takes one only.
    tile : int, optional
        Width of the tiles; None: planned.
    units : sequence of Unit, optional
        The planes or volumes to do; None: all.

    Raises
    ------
    ImageError, ModelMismatchError
        If they do not fit together.
    """
    spec = model.info.spec
    if spec.ndim == 3 and not image.is_volume:
        raise ImageError(
            f"The model {model.name!r} segments volumes; {image.name} has no Z axis (axes {image.axes}). "
            "Choose another model, or set the axes."
        )
    if channel is not None:
        if not 0 <= channel < image.n_channels:
            raise ImageError(f"{image.name} has the channels 0 to {image.n_channels - 1}; got {channel}.")
        channels: tuple[int, ...] = (channel,)
    else:
        channels = tuple(range(image.n_channels))
        takes_one = model.info.inputs == "colour" or model.info.spec.in_channels == 1
        if takes_one and not (model.info.inputs == "colour" and image.is_colour):
            channels = (0,)
    model.check_channels(len(channels))
    shape = image.space[-spec.ndim :]
    zoom = _zoom(image.pixel_size, model.info.pixel_size)
    work = tuple(max(1, round(n * z)) for n, z in zip(shape, zoom, strict=True)) if zoom else shape
    plan = make_plan(spec, work, tile)
    if units is None:
        depth: Sequence[int | None] = [None] if spec.ndim == 3 else range(image.size("Z"))
        units = [Unit(frame, z) for frame, z in itertools.product(range(image.n_frames), depth)]
    return Task(image, model, channels, zoom, plan, tuple(units))


class Inference:
    """The network of a task on its device, and the statistics of its whole image: ready to do one unit after another.

    Parameters
    ----------
    task : Task
        From `make_task`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    """

    def __init__(self, task: Task, device: str = "auto") -> None:
        self._task, info = task, task.model.info
        self._predictor = Predictor(task.model.net, softmax=info.task == "semantic", device=resolve_device(device))
        self._statistics = measure(sample_pixels(task.image, task.channels), info.normalization)

    def tiles(
        self,
        unit: Unit,
        focus: Callable[[], tuple[float, float] | None] | None = None,
        cancel: CancelToken | None = None,
    ) -> Iterator[TileResult]:
        """Yield the tiles of a unit, those near the (Y, X) pixel that `focus` returns first."""
        plan, zoom = self._task.plan, self._task.zoom or (1.0,) * len(self._task.plan.shape)

        def focus_in_plan() -> tuple[float, ...] | None:
            place = focus() if focus is not None else None
            if place is None:
                return None
            full = (plan.shape[0] / 2 / zoom[0], *place) if len(plan.shape) == 3 else place
            return tuple(p * z for p, z in zip(full, zoom, strict=True))

        source = _unit_source(self._task, unit, self._statistics)
        yield from run_plan(plan, source, self._predictor, focus_in_plan, cancel)


def segment_steps(
    task: Task,
    *,
    device: str = "auto",
    focus: Callable[[], tuple[float, float] | None] | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[TileDone | UnitDone]:
    """Segment, and yield every tile and unit as it is finished.

    Parameters
    ----------
    task : Task
        From `make_task`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    focus : callable, optional
        Returns the (Y, X) pixel that the user is looking at, or None; tiles near it come first.
    cancel : CancelToken, optional
        Stops within one tile, with `Cancelled`.
    """
    watch = Stopwatch()
    model, plan = task.model, task.plan
    inference = Inference(task, device)
    done, note = 0, ""

    def progress() -> Progress:
        return Progress(done, task.n_tiles, watch.seconds, note=note)

    for unit in task.units:
        if cancel is not None:
            cancel.check()
        maps = np.empty((model.info.spec.out_channels, *plan.shape), np.float32)
        for result in inference.tiles(unit, focus, cancel):
            maps[(slice(None), *result.tile.region)] = result.maps
            done, note = done + 1, result.note
            if len(plan.tiles) > 1 and not task.zoom:
                labels = model.decode(result.maps)
                yield TileDone(unit, _with_z(unit, result.tile.region), _volume(labels), progress())
        maps = task.at_image_size(maps)
        labels = model.decode(maps)
        yield UnitDone(unit, _volume(labels), maps if maps.ndim == 4 else maps[:, None], progress())


def segment(
    image: Any,
    model: Model | str,
    *,
    axes: str | None = None,
    pixel_size: PixelSize | Sequence[float] | None = None,
    channel: int | None = None,
    device: str = "auto",
    tile: int | None = None,
    keep_maps: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Result:
    """Segment an image.

    Parameters
    ----------
    image : array-like (numpy, dask, zarr) or Image
        Two to five axes.
    model : Model or str
        A model, or the name or path of one.
    axes : str, optional
        Meaning of the image's axes, of T, C, Z, Y and X; None: guessed from their number.
    pixel_size : sequence of float or PixelSize, optional
        Micrometres, (Y, X) or (Z, Y, X). Where the model knows its own, the image is rescaled to it and the result
        back.
    channel : int, optional
        Channel to segment; None: all of them, or the first if the model takes one only.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    tile : int, optional
        Width of the tiles, pixels; the result does not depend on it.
    keep_maps : bool
        Also return the network's probability maps.
    progress : callable, optional
        Called with a `Progress` after every tile.
    cancel : CancelToken, optional
        Stops within one tile, with `Cancelled`.

    Returns
    -------
    Result

    Raises
    ------
    ImageError, ModelFileError, ModelMismatchError, DeviceError
        If the input cannot be used.
    """
    watch = Stopwatch()
    image = as_image(image, axes, pixel_size)
    if not isinstance(model, Model):
        model = load_model(model)
    device = str(resolve_device(device))
    task = make_task(image, model, channel=channel, tile=tile)
    labels = np.zeros(image.label_shape, np.int32)
    view = image.canonical_labels(labels)
    maps = np.zeros((model.info.spec.out_channels, *view.shape), np.float32) if keep_maps else None
    for event in segment_steps(task, device=device, cancel=cancel):
        if isinstance(event, UnitDone):
            view[event.unit.region] = event.labels
            if maps is not None:
                maps[(slice(None), *event.unit.region)] = event.maps
        if progress is not None:
            progress(event.progress)
    semantic = model.info.task == "semantic"
    n_objects = int(np.count_nonzero(np.unique(labels))) if semantic else number_objects(view, task)
    return Result(labels, maps, image.label_axes, n_objects, watch.seconds, device, task)


def number_objects(labels: NDArray[Any], task: Task) -> int:
    """Make ids unique in labels (T, Z, Y, X), stitching slices that a 2D model did one by one; return the last id."""
    last = 0
    for volume in labels:
        if task.model.info.spec.ndim == 2 and task.image.is_volume:
            volume[...] = stitch_slices(volume)
        volume[volume > 0] += last
        last = max(last, int(volume.max(initial=0)))
    return last


def sample_pixels(image: Image, channels: Sequence[int]) -> NDArray[Any]:
    """Return an even sample of all pixels of an image, axes (C, n); all of them where they are few."""
    depth, height, width = image.space
    planes = list(itertools.product(range(image.n_frames), range(depth)))
    # Every so many-th pixel along Y and X, and every so many-th plane where there are several.
    surplus = len(planes) * height * width / _STATISTICS_PIXELS
    step = max(1, math.ceil(surplus ** (1 / 3)) if len(planes) > 1 else math.ceil(surplus**0.5))
    taken = []
    for frame, z in planes[::step]:
        every = slice(None, None, step)
        block = image.read(frame, slice(z, z + 1), every, every, channels)
        taken.append(block.reshape(len(channels), -1))
    return np.concatenate(taken, axis=1)


class _ImageSource:
    """Reads a unit of an image tile by tile, normalised."""

    def __init__(self, task: Task, unit: Unit, statistics: Statistics) -> None:
        self._task, self._unit, self._statistics = task, unit, statistics

    @property
    def shape(self) -> tuple[int, ...]:
        return self._task.image.space[-self._task.model.info.spec.ndim :]

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        model, unit = self._task.model, self._unit
        z = region[0] if unit.z is None else slice(unit.z, unit.z + 1)
        block = self._task.image.read(unit.frame, z, region[-2], region[-1], self._task.channels)
        if unit.z is not None:
            block = block[:, 0]
        return model.adapt_channels(normalize(block, self._statistics, model.info.normalization))


def _unit_source(task: Task, unit: Unit, statistics: Statistics) -> Source:
    source = _ImageSource(task, unit, statistics)
    if not task.zoom:
        return source
    return ArraySource(_resize(source.read(tuple(slice(0, n) for n in source.shape)), task.plan.shape))


def _zoom(image: PixelSize | None, model: tuple[float, ...] | None) -> tuple[float, ...]:
    """Magnification, for each spatial axis of the model, that brings the image to its pixel size; () for none."""
    if image is None or model is None:
        return ()
    sizes = [image.along(letter) for letter in "ZYX"[-len(model) :]]
    zoom = tuple(1.0 if size is None else size / wanted for size, wanted in zip(sizes, model, strict=True))
    if all(1 / RESCALE_TOLERANCE <= z <= RESCALE_TOLERANCE for z in zoom):
        return ()
    return zoom


def _resize(block: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return a block (C, [Z,] Y, X) at another size, smoothed before it is made smaller."""
    from skimage.transform import resize

    return np.stack([resize(channel, tuple(shape), order=1, anti_aliasing=True) for channel in block])


def _volume(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels if labels.ndim == 3 else labels[None]


def _with_z(unit: Unit, region: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    if len(region) == 3:
        return region[0], region[1], region[2]
    assert unit.z is not None  # a plane has its index
    return slice(unit.z, unit.z + 1), region[0], region[1]
