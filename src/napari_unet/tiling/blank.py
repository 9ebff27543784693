"""Tiles in which all pixels are alike, as in the padding of mosaics and fused volumes: a network is asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.tiling.grid import Tile

    Key = tuple[tuple[int, ...], tuple[tuple[int, int], ...], bytes]

MOST_TILES: Final = 3
"""Tiles whose maps are kept: a row of blank tiles has a first, a last, and those between, which are all alike."""

MOST_BYTES: Final = 2**28
"""Bytes of all maps that are kept, at most."""


class BlankTiles:
    """The maps of the blank tiles that were computed last.

    Maps depend on nothing but the block that a network gets. So those of two blank blocks of one shape and value are
    the same, bit for bit, wherever they lie.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet.tiling.blank import BlankTiles
    >>> from napari_unet.tiling.grid import Tile
    >>> tile = Tile((0, 0), (8, 8), (0, 0), (8, 8))
    >>> tiles, block = BlankTiles(), np.zeros((1, 8, 8), np.float32)
    >>> tiles.keep(tiles.key(block, tile), np.ones((2, 8, 8), np.float32))
    >>> float(tiles.maps(tiles.key(block, tile)).mean())
    1.0
    """

    def __init__(self) -> None:
        self._kept: dict[Key, NDArray[np.float32]] = {}

    @staticmethod
    def key(block: NDArray[np.float32], tile: Tile) -> Key | None:
        """Return what the maps of a block (C, [Z,] Y, X) are known by; None: it is not blank."""
        first = block[(slice(None), *[slice(0, 1)] * (block.ndim - 1))]
        middle = block[(slice(None), *(slice(n // 2, n // 2 + 1) for n in block.shape[1:]))]
        # One pixel tells of nearly every block that it is not blank.
        if not (np.array_equal(first, middle) and (block == first).all()):
            return None
        return block.shape, tuple((part.start, part.stop) for part in tile.crop), first.tobytes()

    def maps(self, key: Key | None) -> NDArray[np.float32] | None:
        """Return a copy of the maps of such a tile; None: they are not known."""
        if key is None or key not in self._kept:
            return None
        self._kept[key] = self._kept.pop(key)  # the one that was used last comes last
        return self._kept[key].copy()

    def keep(self, key: Key | None, maps: NDArray[np.float32]) -> None:
        """Keep the maps (K, [Z,] Y, X) of a tile, if it is blank and they are not too large."""
        if key is None or maps.nbytes > MOST_BYTES:
            return
        self._kept[key] = maps.copy()
        while len(self._kept) > MOST_TILES or sum(one.nbytes for one in self._kept.values()) > MOST_BYTES:
            del self._kept[next(iter(self._kept))]
