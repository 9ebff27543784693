"""How large a tile may be on this machine: as large as memory allows, for large tiles read the least halo.

No tiles of several sizes are tried out. On a CPU, since `nets.blocked`, a pixel costs the same in all of them, so that
the halo alone decides; on a GPU, launching the network costs as much for a small tile as for a large one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import torch

from napari_unet.nets.blocked import bytes_per_pixel

if TYPE_CHECKING:
    from napari_unet.nets.spec import UNetSpec

MAX_MEMORY_SHARE = {"cpu": 0.25, "mps": 0.25, "cuda": 0.6}
"""Part of the free memory that a tile may take. A CPU's and an Apple GPU's is shared with everything else."""

MAX_PIXELS = {2: 2_500_000, 3: 24_000_000}
"""Pixels of a tile on a CPU, by the number of spatial axes: a larger one reads hardly less, and takes no less time."""

MIN_PIXELS = 65_536
"""Pixels that a tile may always have: where even that is too much, the engine finds out."""


def pixel_budget(spec: UNetSpec, device: torch.device) -> int:
    """Return the most pixels that a tile may read.

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
        # Every activation of the first level at once: both convolutions, the skip, and it joined to the way up; and
        # the libraries of GPUs count elements in 31 bits.
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
