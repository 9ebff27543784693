"""What is to be segmented, checked before any work: image, model, channels, scale, planes or volumes, and tiles."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from napari_unet import limits
from napari_unet.axes import Image, PixelSize, guess_axes, said_axes
from napari_unet.errors import ImageError, ModelMismatchError
from napari_unet.inference.policy import DEFAULT_RESCALING, RescalingPolicy
from napari_unet.inference.scale import is_rescaled, magnification, scaled_shape
from napari_unet.models.model import resolve_device
from napari_unet.progress import format_seconds
from napari_unet.tiling.budget import free_memory, pixel_budget
from napari_unet.tiling.engine import FLIPS
from napari_unet.tiling.plan import TilingPlan, make_plan
from napari_unet.tiling.precision import MAX_MAPS_ERROR
from napari_unet.tiling.scaled import PartSource, ScaledSource, covering
from napari_unet.tiling.throughput import throughput_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model

FAST_GAIN = 0.9
"""Share of the exact mode's work below which the fast mode is clearly worth it."""

Mode = Literal["auto", "exact", "fast"]


@dataclass(frozen=True, slots=True)
class Subimage:
    """What is segmented in one go: a plane for a 2D model (`z` is its index), a volume for a 3D one (`z` is None)."""

    frame: int
    z: int | None

    @property
    def region(self) -> tuple[int, slice]:
        """Where it lies in labels with the axes (T, Z, Y, X)."""
        return self.frame, slice(None) if self.z is None else slice(self.z, self.z + 1)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be segmented, resolved and checked: image, model, channels, scale and plan."""

    image: Image
    model: Model
    channels: tuple[int, ...]
    zoom: tuple[float, ...]
    plan: TilingPlan
    subimages: tuple[Subimage, ...]
    flips: bool = False

    def __str__(self) -> str:
        times = f"{self.extent}, each " if self.extent else ""
        total = f"; about {format_seconds(max(1.0, self.seconds))} in all" if self.seconds and times else ""
        flips = f"; averaged over {self.passes} flips" if self.flips else ""
        return f"{times}{self.plan}{total}{flips}"

    @property
    def extent(self) -> str:
        """How many planes or volumes there are, in words: ``24 slices``; empty if there is one."""
        n = len(self.subimages)
        frames, slices = {subimage.frame for subimage in self.subimages}, {subimage.z for subimage in self.subimages}
        what = "volumes" if self.subimages[0].z is None else "time points" if len(slices) == 1 else "slices"
        return "" if n == 1 else f"{n} {what if len(frames) in (1, n) else 'planes'}"

    @property
    def seconds(self) -> float | None:
        """How long it takes in all; None: not known."""
        return self.plan.seconds and len(self.subimages) * self.plan.seconds

    def timed(self, device: str) -> Task:
        """Return the task with what is known by now of how long it takes on a device."""
        throughput = throughput_of(self.model.info.spec, str(resolve_device(device)), self.plan.exact)
        per_second = throughput.per_second
        return replace(self, plan=replace(self.plan, throughput=per_second and per_second / self.passes))

    @property
    def passes(self) -> int:
        """How often the network is run on each pixel that is read."""
        return len(FLIPS) if self.flips else 1

    @property
    def n_tiles(self) -> int:
        """Tiles of all planes or volumes together."""
        return len(self.plan.tiles) * len(self.subimages)

    @property
    def covers_image(self) -> bool:
        """Whether it is about all pixels of the image."""
        planes = self.image.n_frames * (self.image.size("Z") if self.model.info.spec.ndim == 2 else 1)
        return len(self.subimages) == planes and self.plan.region == tuple(slice(0, n) for n in self.plan.shape)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of a plane or volume, in pixels of the image."""
        return self.image.space[-len(self.plan.shape) :]

    def image_region(self, region: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return what holds a region of the plan in the image's pixels, where it is segmented at others."""
        return covering(region, self.plan.shape, self.image_shape) if is_rescaled(self.zoom) else region

    def at_image_size(self, maps: NDArray[np.float32], region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return the maps (K, [Z,] Y, X) of a region of the plan with the image's pixels, those of `image_region`."""
        if not is_rescaled(self.zoom):
            return maps
        part = PartSource(maps, region, self.plan.shape)
        return ScaledSource(part, self.image_shape).read(self.image_region(region))

    def decode(self, maps: NDArray[Any]) -> NDArray[np.int32]:
        """Return the labels of maps with the image's pixels; axes (K, [Z,] Y, X) -> ([Z,] Y, X)."""
        return self.model.decode(maps, self.zoom)


def as_image(
    data: Any,
    axes: str | None = None,
    pixel_size: PixelSize | Sequence[float] | None = None,
    name: str = "image",
    diameter: float | None = None,
) -> Image:
    """Return an `Image` from an array (numpy, dask, zarr) or as it is; axes that it does not name are guessed."""
    if pixel_size is not None and not isinstance(pixel_size, PixelSize):
        pixel_size = PixelSize.from_sequence(pixel_size)
    if isinstance(data, Image):
        image = data.with_pixel_size(pixel_size)
        return image if diameter is None else replace(image, diameter=diameter)
    if not hasattr(data, "shape") or not hasattr(data, "dtype"):
        raise ImageError(f"An image is an array with a shape and a data type; got {type(data).__name__}.")
    axes = axes or said_axes(data) or guess_axes(tuple(data.shape))
    return Image(data, axes, pixel_size, name=name, diameter=diameter)


def make_task(
    image: Image,
    model: Model,
    *,
    channel: int | None = None,
    tile: int | None = None,
    subimages: Sequence[Subimage] | None = None,
    field: tuple[slice, slice] | None = None,
    device: str = "cpu",
    mode: Mode = "auto",
    flips: bool = False,
    policy: RescalingPolicy = DEFAULT_RESCALING,
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
    subimages : sequence of Subimage, optional
        The planes or volumes to do; None: all.
    field : (slice, slice), optional
        The pixels (Y, X) of each to do; None: all.
    device : str
        Where it will be done, by whose memory the tiles are chosen: "auto", "cpu", "cuda", "cuda:N" or "mps".
    mode : {"auto", "exact", "fast"}
        Whether tiles read all that their result depends on, or what the model was measured to need; "auto" is exact
        unless the other is clearly faster and as good as the same.
    flips : bool
        Whether maps are averaged over mirrored copies.
    policy : RescalingPolicy
        By which the scale is chosen.

    Raises
    ------
    ImageError, ModelMismatchError
        If they do not fit together, or the image would be made so large that its maps do not fit in memory.
    UNetError
        If there is no such mode.
    """
    spec = model.info.spec
    if tile is not None and not (limits.within(tile, limits.TILE) and tile == int(tile)):
        raise ImageError(
            f"A tile is a whole number of pixels wide, from {limits.TILE[0]} to {limits.TILE[1]}; got {tile!s:.40}."
        )
    limits.check_choice(mode, get_args(Mode), "The mode")
    check_depth(image, model)
    channels = choose_channels(image, model, channel)
    shape = image.space[-spec.ndim :]
    zoom = magnification(image, model.info, policy)
    work = scaled_shape(shape, zoom)
    region = None if field is None else [*(slice(0, n) for n in shape[:-2]), *field]
    if region is not None and is_rescaled(zoom):
        region = [*covering(region, shape, work)]
    if math.prod(work) > math.prod(shape):
        _check_memory(image, model.info, work, [part.stop - part.start for part in region] if region else work)
    budget = pixel_budget(spec, resolve_device(device))
    plan = _choose_plan(model, mode, partial(make_plan, spec, work, tile, budget, region=region))
    if subimages is None:
        depth: Sequence[int | None] = [None] if spec.ndim == 3 else range(image.size("Z"))
        subimages = [Subimage(frame, z) for frame, z in itertools.product(range(image.n_frames), depth)]
    return Task(image, model, channels, zoom, plan, tuple(subimages), flips).timed(device)


def check_depth(image: Image, model: Model) -> None:
    """Raise `ModelMismatchError` if a model for volumes is given planes; one for planes takes slices."""
    if model.info.spec.ndim == 3 and not image.is_volume:
        raise ModelMismatchError(
            f"The model {model.name!r} is for volumes; {image.name} has no Z axis (axes {image.axes}). "
            "Choose another model, or set the axes."
        )


def choose_channels(image: Image, model: Model, channel: int | None = None) -> tuple[int, ...]:
    """Return the channels of an image that a model is given.

    Raises
    ------
    ImageError, ModelMismatchError
        If the image has no such channel, or the model cannot take as many.
    """
    channels = tuple(range(image.n_channels))
    if channel is not None:
        if channel not in channels:
            raise ImageError(f"{image.name} has the channels 0 to {image.n_channels - 1}; got {channel}.")
        channels = (channel,)
    elif (model.info.inputs == "colour" and not image.is_colour) or model.info.spec.in_channels == 1:
        channels = (0,)
    model.check_channels(len(channels))
    return channels


def _choose_plan(model: Model, mode: Mode, plan_with: Callable[..., TilingPlan]) -> TilingPlan:
    """Return the exact plan, or the one with the smaller halo where that is wanted or clearly worth it."""
    exact, fast = plan_with(), model.info.fast_mode
    if mode == "exact" or fast is None or len(exact.tiles) == 1:
        return exact
    plan = plan_with(halo=fast.halo)
    worth_it = fast.maps_error <= MAX_MAPS_ERROR and plan.work < FAST_GAIN * exact.work
    return plan if mode == "fast" or worth_it else exact


def _check_memory(image: Image, info: ModelInfo, work: Sequence[int], extent: Sequence[int]) -> None:
    """Raise ImageError if the maps of what is done of an enlarged image do not fit in memory, before any are made."""
    needed, free = 4 * (info.spec.out_channels + 1) * math.prod(extent), free_memory(resolve_device("cpu"))
    if needed > free:
        raise ImageError(
            f"{image.name} made larger ({limits.times(work)} pixels) takes {limits.bytes_in_words(needed)} of memory; "
            f"{limits.bytes_in_words(free)} are free. Give another object diameter or pixel size."
        )
