"""Runs a plan: a generator that yields the maps of each tile as soon as they are computed."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.errors import DeviceError, DeviceMemoryError, ModelOutputError
from napari_unet.nets.blocked import BlockedUNet, folded
from napari_unet.nets.buffers import BUFFERS
from napari_unet.tiling.blank import BlankTiles
from napari_unet.tiling.budget import pixel_budget
from napari_unet.tiling.grid import Remaining
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.precision import half_pays
from napari_unet.tiling.source import ArraySource, Source, read_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from napari_unet.nets.unet import UNet
    from napari_unet.progress import CancelToken
    from napari_unet.tiling.grid import Tile
    from napari_unet.tiling.plan import TilingPlan


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """A finished tile.

    Attributes
    ----------
    tile : Tile
    maps : ndarray of float32, axes (K, [Z,] Y, X)
        Probabilities, for `tile.region`.
    note : str
        A sentence for the user ("Memory ran short; ..."); mostly empty.
    """

    tile: Tile
    maps: NDArray[np.float32]
    note: str = ""


FLIPS = ((), (-1,), (-2,), (-2, -1))
"""Axes along which a block is mirrored if maps are averaged: never Z, since a microscope blurs more along it."""


class Predictor:
    """Applies a network to blocks of pixels on a device.

    Parameters
    ----------
    net : UNet
        In evaluation mode; not changed.
    softmax : bool
        Whether the outputs exclude each other (classes), or are maps of their own (sigmoid).
    device : torch.device or str
        Where to compute.
    exact : bool
        Whether a GPU computes in full float32 precision. Otherwise it may use TF32, which is several times as fast and
        changes maps by about a thousandth, and half precision, if that is faster and accurate enough on the first
        block (`tiling.precision`).
    check : callable, optional
        Called often while a block is computed, with the share that is done; an exception that it raises ends the work.
        On a GPU, which computes a block quickly, it is called once for each pass.
    flips : bool
        Whether maps are averaged over mirrored copies of a block (`FLIPS`), which takes as many times the work.
    vectors : mapping of int to int
        Axis, counted from the last -> the output that is a vector's component along it, from 0 to 1 (0.5 stands for
        0). If a block is mirrored along that axis, the component changes its sign.

    Notes
    -----
    The size of a block is a multiple of the pooling windows, so that these cover the same pixels when it is mirrored:
    the mean is that of one pass over the whole image for each mirroring, however it is tiled. The receptive field is
    symmetric, so the halo is the same.
    """

    def __init__(
        self,
        net: UNet,
        *,
        softmax: bool = False,
        device: torch.device | str = "cpu",
        exact: bool = True,
        check: Callable[[float], None] | None = None,
        flips: bool = False,
        vectors: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._vectors = vectors
        self.device, self._exact = torch.device(device), exact
        self._flips, self._passed = FLIPS if flips else FLIPS[:1], 0
        self._net, self._softmax, self._check = net, softmax, check
        self._half = False
        self._untried = not exact and torch.amp.is_autocast_available(self.device.type)
        self._forward: Callable[[torch.Tensor], torch.Tensor] | None = None  # prepared with the first block

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps (K, [Z,] Y, X) of one block (C, [Z,] Y, X).

        Raises
        ------
        DeviceMemoryError
            If there is not enough memory for the block, or for the network.
        DeviceError
            If a graphics card fails.
        ModelOutputError
            If the network gives values that are not numbers.
        """
        try:
            if self._untried and self.device.type != "cpu":
                self._try_half(block)
            maps = self._averaged(block)
            if self._half and not np.isfinite(maps).all():
                maps = self._averaged(block, half=False)  # the largest half-precision number is 65504
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._short(block) from error
        except RuntimeError as error:  # devices other than CUDA raise this
            if "memory" in str(error):
                raise self._short(block) from error
            if self.device.type == "cpu":
                raise
            raise DeviceError(
                f"The device {self.device} failed. Choose another device, such as cpu.", str(error).partition("\n")[0]
            ) from error
        if not np.isfinite(maps).all():
            raise ModelOutputError(
                "The network gave values that are not numbers. Choose another model, or go back to the one before.",
                "Its weights are damaged, or the intensities of the image are out of its range.",
            )
        return maps

    def weaken(self) -> str:
        """Change to what takes less memory: half precision on a GPU, then the CPU; return its name, "" for none."""
        if self.device.type == "cpu":
            return ""
        if self.device.type == "cuda" and not self._half:
            self._half = True
            return "half precision"
        self.device, self._half, self._forward = torch.device("cpu"), False, None
        return "the CPU"

    def _prepared(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return BlockedUNet(self._net, self._tell) if self.device.type == "cpu" else self._at_once()

    def _at_once(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the network as it runs on a GPU, which has all activations of a block in its memory."""
        layout = torch.channels_last if self._net.spec.ndim == 2 else torch.channels_last_3d
        net = folded(self._net).to(self.device, memory_format=layout)  # type: ignore[call-overload]
        return lambda block: net(block.contiguous(memory_format=layout))

    def _try_half(self, block: NDArray[np.float32]) -> None:
        """Measure, once, whether half precision is worth it."""
        self._untried = False
        full, half = (partial(self._apply, half=half) for half in (False, True))
        self._half = half_pays(full, half, block, self._net.spec)

    def _tell(self, share: float) -> None:
        """Report the share of a block that is done, from the share of the current pass."""
        if self._check is not None:
            self._check((self._passed + share) / len(self._flips))

    def _averaged(self, block: NDArray[np.float32], half: bool | None = None) -> NDArray[np.float32]:
        """Return the mean of the maps over all mirrorings."""
        self._passed, total = 0, self._apply(block, half)
        for axes in self._flips[1:]:
            self._passed += 1
            total += self._mirrored_back(self._apply(np.flip(block, axes), half), axes)
        self._passed = 0
        return total if len(self._flips) == 1 else total / np.float32(len(self._flips))

    def _mirrored_back(self, maps: NDArray[np.float32], axes: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the maps of a mirrored block as those of the block."""
        maps = np.flip(maps, axes)
        for output in (self._vectors[axis] for axis in axes if axis in self._vectors):
            maps[output] = 1 - maps[output]
        return maps

    def _apply(self, block: NDArray[np.float32], half: bool | None = None) -> NDArray[np.float32]:
        self._tell(0.0)
        if self._forward is None:
            self._forward = self._prepared()
        precision = torch.autocast(self.device.type, torch.float16, enabled=self._half if half is None else half)
        with torch.inference_mode(), self._arithmetic(), precision:
            batch = torch.from_numpy(np.ascontiguousarray(block))[None].to(self.device)
            logits = self._forward(batch).float()
            maps = torch.softmax(logits, 1) if self._softmax else logits.sigmoid_()
            return np.asarray(maps[0].cpu().numpy())

    def _arithmetic(self) -> AbstractContextManager[None]:
        """Set the precision of cuDNN: by default it uses TF32, with algorithms that depend on the size of a tile."""
        if self.device.type != "cuda":
            return nullcontext()
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=not self._exact)

    def _short(self, block: NDArray[np.float32]) -> DeviceMemoryError:
        return DeviceMemoryError(
            f"The memory of {self.device} is not enough for a tile of {block.shape[1:]} pixels. "
            "Close other programs, or choose the CPU as device."
        )


class Engine:
    """Computes tiles; if memory runs short, it goes on in smaller steps.

    First a tile is halved, again and again, which does not change the result; then the predictor changes to half
    precision, then to the CPU. Tiles that follow are computed in the same way at once. Of blank tiles that are alike
    only one is computed (`tiling.blank`).

    Parameters
    ----------
    plan : TilingPlan
        The plan of the tiles.
    predictor : callable
        Block (C, [Z,] Y, X) -> maps (K, [Z,] Y, X).
    read : callable
        Source and tile -> block.
    """

    def __init__(
        self,
        plan: TilingPlan,
        predictor: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        read: Callable[[Source, Tile], NDArray[np.float32]] = read_tile,
    ) -> None:
        self.plan = plan
        self._predictor, self._read, self._blank = predictor, read, BlankTiles()
        self._too_much: float = math.inf  # pixels of a block
        self._note = ""

    def run(self, tile: Tile, source: Source) -> TileResult:
        """Compute one tile of an image.

        Raises
        ------
        DeviceMemoryError
            If memory is short even for the smallest tile on the CPU.
        ModelOutputError
            If the network gives values that are not numbers.
        """
        maps = self._maps(tile, source)
        return TileResult(tile, maps, self._note)

    def _maps(self, tile: Tile, source: Source) -> NDArray[np.float32]:
        size = math.prod(tile.read_shape)
        failure: Exception | None = None
        if size < self._too_much:
            try:
                return self._once(tile, source)
            except (DeviceMemoryError, MemoryError) as error:
                failure = error
            self._too_much = size
        parts = self.plan.halves(tile)
        if parts:
            return self._joined(tile, parts, source)
        weaker = self._predictor.weaken() if isinstance(self._predictor, Predictor) else ""
        if not weaker:
            if isinstance(failure, DeviceMemoryError):
                raise failure
            raise DeviceMemoryError("There is not enough memory. Close other programs.") from failure
        self._too_much = math.inf
        self._note = f"Memory ran short; going on with {weaker}."
        return self._maps(tile, source)

    def _once(self, tile: Tile, source: Source) -> NDArray[np.float32]:
        block = self._read(source, tile)
        key = self._blank.key(block, tile)
        maps = self._blank.maps(key)
        if maps is None:
            maps = self._predictor(block)[(slice(None), *tile.crop)]
            self._blank.keep(key, maps)
        return maps

    def _joined(self, tile: Tile, parts: tuple[Tile, ...], source: Source) -> NDArray[np.float32]:
        done = [self._maps(part, source) for part in parts]
        if not self._note:
            shape = "×".join(str(n) for n in done[0].shape[1:])
            self._note = f"Memory ran short; going on in smaller tiles, of {shape}."
        joined = np.empty((len(done[0]), *(b - a for a, b in zip(tile.start, tile.stop, strict=True))), np.float32)
        for part, maps in zip(parts, done, strict=True):
            where = tuple(slice(r.start - a, r.stop - a) for r, a in zip(part.region, tile.start, strict=True))
            joined[(slice(None), *where)] = maps
        return joined


def run_plan(
    plan: TilingPlan,
    source: Source,
    predictor: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    focus: Callable[[], tuple[float, ...] | None] | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[TileResult]:
    """Yield the maps of every tile.

    Parameters
    ----------
    plan : TilingPlan
        The plan.
    source : Source
        The image.
    predictor : callable
        Block (C, [Z,] Y, X) -> maps (K, [Z,] Y, X).
    focus : callable, optional
        Returns the middle of the user's view, in pixels, or None. It is called before every tile, and the nearest
        tile is computed next.
    cancel : CancelToken, optional
        Checked before every tile.

    Raises
    ------
    Cancelled
        If `cancel` is set; tiles already yielded are complete.
    DeviceMemoryError, ModelOutputError
        See `Engine.run`.
    """
    remaining, engine = Remaining(plan.tiles), Engine(plan, predictor)
    while remaining:
        if cancel is not None:
            cancel.check()
        tile = remaining.nearest(focus() if focus is not None else None)
        remaining.remove(tile)
        yield engine.run(tile, source)


def gather(
    plan: TilingPlan, source: Source, predictor: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the maps of all tiles of a plan, joined, axes (K, [Z,] Y, X); see `run_plan`."""
    maps = np.empty((plan.spec.out_channels, *plan.extent), np.float32)
    with BUFFERS:
        for result in run_plan(plan, source, predictor):
            maps[(slice(None), *plan.within(result.tile))] = result.maps
    return maps


def predict_all(
    net: UNet, images: Iterable[NDArray[np.float32]], *, softmax: bool = False, device: torch.device | str = "cpu"
) -> Iterator[NDArray[np.float32]]:
    """Yield the exact maps (K, [Z,] Y, X) of normalised images (C, [Z,] Y, X), tiled if memory requires it."""
    device = torch.device(device)
    predictor = Predictor(net, softmax=softmax, device=device)
    with BUFFERS:
        for image in images:
            plan = make_plan(net.spec, image.shape[1:], budget=pixel_budget(net.spec, device))
            yield gather(plan, ArraySource(image), predictor)


def predict_maps(
    net: UNet, image: NDArray[np.float32], *, softmax: bool = False, device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Return the maps of one image; see `predict_all`."""
    return next(predict_all(net, [image], softmax=softmax, device=device))
