"""How large a tile may be on this machine: as large as memory allows, because large tiles read less halo in all.

The best size is not measured. On a CPU, with `nets.blocked`, a pixel takes as long in a small tile as in a large one,
so only the halo counts. On a GPU, starting a network takes as long for a small tile as for a large one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import torch

from napari_unet.nets.blocked import bytes_per_pixel

if TYPE_CHECKING:
    from napari_unet.nets.spec import UNetSpec

MAX_MEMORY_SHARE = {"cpu": 0.25, "mps": 0.25, "cuda": 0.6}
"""Largest share of the free memory that a tile may take. Other programs share that of a CPU and of an Apple GPU."""

MAX_PIXELS = {2: 2_500_000, 3: 24_000_000}
"""Largest number of pixels of a tile on a CPU, by the number of spatial axes: larger tiles gain no time."""

MIN_PIXELS = 65_536
"""Pixels that a tile may have in any case: the engine makes smaller steps where even that is too much."""


def pixel_budget(spec: UNetSpec, device: torch.device) -> int:
    """Return the largest number of pixels that a tile may read, its halo included.

    Parameters
    ----------
    spec : UNetSpec
        The network.
    device : torch.device
        Where it runs.
    """
    if device.type == "cpu":
        each, most = bytes_per_pixel(spec), MAX_PIXELS[spec.ndim]
    else:
        # All activations of the first level at once: two convolutions, the skip connection, and the concatenation with
        # the expanding path. GPU libraries index elements with 31 bits.
        each, most = 4 * 10 * spec.features, 2**31 // (4 * spec.features)
    return max(MIN_PIXELS, min(most, int(MAX_MEMORY_SHARE.get(device.type, 0.25) * free_memory(device)) // each))


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    if device.type == "mps":
        return min(free, int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory()))
    return free
