"""Shapes that are suggested between slices, and are no labels yet, as a project stores them."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_unet.objects.outline import Outline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Index = Annotated[int, Field(ge=0, lt=2**31)]
Length = Annotated[int, Field(gt=0, lt=2**31)]

MAX_STORED = 2000
"""Outlines that are stored at most. With some hundred bytes each, a description stays small."""


class StoredOutline(BaseModel):
    """One of them.

    Attributes
    ----------
    time, z, y, x : int
        Time point, slice, and the first pixel of its box.
    height, width : int
        Of the box, pixels.
    label : int
        Its id.
    mask : str
        Base64 of zlib of its pixels in the box, row by row, eight a byte (`numpy.packbits`).
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    time: Index
    z: Index
    y: Index
    x: Index
    height: Length
    width: Length
    label: Length
    mask: str = Field(max_length=2**20)


Suggestions = dict[tuple[int, int], list[Outline]]
"""For each plane (T, Z) the outlines that are suggested there."""


def stored(suggestions: Mapping[tuple[int, int], Sequence[Outline]]) -> tuple[StoredOutline, ...]:
    """Return suggestions as they are stored; of very many, the first `MAX_STORED`."""
    found = []
    for (time, z), outlines in sorted(suggestions.items()):
        for one in outlines:
            (y, x), (height, width) = (part.start for part in one.box), one.mask.shape
            mask = base64.b64encode(zlib.compress(np.packbits(one.mask).tobytes())).decode("ascii")
            found.append(
                StoredOutline(time=time, z=z, y=y, x=x, height=height, width=width, label=one.label, mask=mask)
            )
    return tuple(found[:MAX_STORED])


def restored(some: Iterable[StoredOutline], shape: Sequence[int]) -> Suggestions:
    """Return stored suggestions for labels of a shape (T, Z, Y, X), without those that do not fit or are damaged."""
    found: Suggestions = {}
    for one in some:
        low, high = (one.time, one.z, one.y, one.x), (1, 1, one.height, one.width)
        if all(a + b <= n for a, b, n in zip(low, high, shape, strict=True)):
            mask = _mask(one)
            if mask is not None and mask.any():
                box = slice(one.y, one.y + one.height), slice(one.x, one.x + one.width)
                found.setdefault((one.time, one.z), []).append(Outline(one.label, box, mask))
    return found


def _mask(one: StoredOutline) -> np.ndarray | None:
    pixels = one.height * one.width
    try:
        packed = zlib.decompressobj().decompress(base64.b64decode(one.mask, validate=True), -(-pixels // 8))
    except (zlib.error, binascii.Error, ValueError):
        return None
    if len(packed) * 8 < pixels:
        return None
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=pixels)
    return bits.reshape(one.height, one.width).astype(bool)
