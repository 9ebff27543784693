"""Runs a plan: a generator that hands back each tile's maps as soon as they are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_unet.errors import DeviceError
from napari_unet.tiling.source import Source, read_mirrored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_unet.nets.unet import UNet
    from napari_unet.progress import CancelToken
    from napari_unet.tiling.plan import Tile, TilingPlan


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """A finished tile: its maps as probabilities, axes (K, [Z,] Y, X), for `tile.region`."""

    tile: Tile
    maps: NDArray[np.float32]


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
    """

    def __init__(self, net: UNet, *, softmax: bool = False, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._net = net.to(self.device)
        self._softmax = softmax
        self._format = torch.channels_last if net.spec.ndim == 2 else torch.channels_last_3d

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps (K, [Z,] Y, X) of one block (C, [Z,] Y, X).

        Raises
        ------
        DeviceError
            If the device has not enough memory for the block.
        """
        try:
            with torch.inference_mode():
                batch = torch.from_numpy(np.ascontiguousarray(block))[None].to(self.device)
                logits = self._net(batch.contiguous(memory_format=self._format))
                maps = torch.softmax(logits, 1) if self._softmax else torch.sigmoid(logits)
                return maps[0].float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"The memory of {self.device} is not enough for a tile of {block.shape[1:]} pixels. "
                "Set a smaller tile, or choose the CPU as device."
            ) from error


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
        What to do.
    source : Source
        Where the pixels come from.
    predictor : callable
        Block (C, [Z,] Y, X) -> maps (K, [Z,] Y, X).
    focus : callable, optional
        Returns where the user is looking, in pixels, or None. It is asked before every tile, and the tile nearest to
        it comes next.
    cancel : CancelToken, optional
        Looked at before every tile.

    Raises
    ------
    Cancelled
        If `cancel` is set; tiles already yielded are complete.
    """
    waiting = list(plan.tiles)
    while waiting:
        if cancel is not None:
            cancel.check()
        tile = waiting.pop(_nearest(waiting, focus() if focus is not None else None))
        maps = predictor(read_mirrored(source, tile.read_start, tile.read_shape))
        yield TileResult(tile, maps[(slice(None), *tile.crop)])


def _nearest(tiles: list[Tile], place: tuple[float, ...] | None) -> int:
    """Index of the tile whose middle is nearest to a place; the first where nobody is looking."""
    if place is None:
        return 0
    return min(range(len(tiles)), key=lambda i: sum((a - b) ** 2 for a, b in zip(tiles[i].center, place, strict=True)))
