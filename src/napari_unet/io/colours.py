"""Conversion of stored colours to red, green and blue, and of palettes: look-up tables for intensities are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_WHITE_IS_ZERO, _PALETTE, _CMYK, _YCBCR, _CIELAB, _ICCLAB = 0, 3, 5, 6, 8, 9
_REFUSED = {
    10: "ITU L*a*b*",
    32803: "the mosaic of a colour camera's sensor (CFA)",
    32844: "logarithms of luminance (LogL)",
    32845: "logarithms of colours (LogLuv)",
}
_JPEG = (6, 7, 33005, 33007, 34892, 34933, 34934)  # compressions whose decoders give red, green and blue

_SMOOTH = 24
"""Largest difference, of 255, of neighbouring colours in a look-up table for intensities."""

_DIP = 0.1
"""Share of its range by which the brightness of such a table may decrease in between."""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as in YCbCr
_D50_TO_D65 = np.array(  # Bradford's adaptation, as ICC profiles have it
    [[0.9555766, -0.0230393, 0.0631636], [-0.0282895, 1.0099416, 0.0210077], [0.0122982, -0.0204830, 1.3299098]]
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """How stored numbers become intensities.

    Attributes
    ----------
    apply : callable
        Numbers -> numbers, block by block.
    works_on : {"colours", "numbers", "table"}
        "colours": the last axis, the samples of a pixel, becomes red, green and blue. "numbers": each becomes another.
        "table": each becomes red, green and blue, along a new last axis.
    dtype : dtype
        Of the result.
    note : str
        A sentence for the user; may be empty.
    """

    apply: Callable[[NDArray[Any]], NDArray[Any]]
    works_on: Literal["colours", "numbers", "table"]
    dtype: np.dtype[Any]
    note: str = ""

    def of(self, data: Any, axes: str) -> tuple[Any, str]:
        """Return an image (numpy or dask) with its numbers converted, and its axes; "S" are the samples of a pixel."""
        if self.works_on == "colours":
            where = axes.index("S")
            order = [axis for axis in range(len(axes)) if axis != where] + [where]
            data, axes = data.transpose(order), axes.replace("S", "") + "S"
        elif self.works_on == "table":
            axes = f"{axes}S"
        if isinstance(data, np.ndarray):
            return self.apply(data), axes
        if self.works_on == "numbers":
            return data.map_blocks(self.apply, dtype=self.dtype), axes
        if self.works_on == "table":
            chunks = (*data.chunks, (3,))
            return data.map_blocks(self.apply, dtype=self.dtype, chunks=chunks, new_axis=[data.ndim]), axes
        data = data.rechunk({data.ndim - 1: -1})
        return data.map_blocks(self.apply, dtype=self.dtype, chunks=(*data.chunks[:-1], (3,))), axes


def tiff_conversion(page: Any, axes: str, name: str) -> Conversion | None:
    """Return how the pixels of a TIFF page become grey values or red, green and blue; None: they are that.

    Parameters
    ----------
    page : tifffile.TiffPage
    axes : str
        Of the image that it is a page of, "S" for the samples of a pixel; without what is transparency.
    name : str
        For messages.

    Raises
    ------
    ImageError
        If its colours are not read here.
    """
    photometric, dtype = int(page.photometric), np.dtype(page.dtype)
    n_samples = page.samplesperpixel - len(page.extrasamples)
    if photometric in _REFUSED:
        raise _refusal(name, _REFUSED[photometric])
    if photometric == _WHITE_IS_ZERO and "S" not in axes and dtype.kind in "ub":
        return _turned(int(page.bitspersample), dtype, name)
    if photometric == _PALETTE and page.colormap is not None and dtype.kind == "u":
        table = np.asarray(page.colormap).T
        return palette((table >> 8 if table.max() > 255 else table).astype(np.uint8), name)
    if photometric == _CMYK:
        ink = page.tags.get("InkSet")
        if n_samples != 4 or "S" not in axes or dtype.kind != "u" or (ink is not None and int(ink.value) == 2):
            raise _refusal(name, "inks other than cyan, magenta, yellow and black")
        return Conversion(lambda block: from_cmyk(block), "colours", dtype)
    if photometric == _YCBCR and int(page.compression) not in _JPEG:
        return _from_ycbcr(page, axes, name)
    if photometric in (_CIELAB, _ICCLAB):
        return _from_lab(photometric, n_samples, axes, dtype, name, _white(page))
    return None


def palette(table: NDArray[np.uint8], name: str) -> Conversion | None:
    """Return how a colour palette converts numbers; None if it is an increasing ramp of greys.

    A look-up table that only displays intensities in colour gives a conversion that changes nothing, with a note. Other
    palettes of greys give grey values.

    Parameters
    ----------
    table : ndarray of uint8, shape (n, 3)
        Red, green and blue of each number; larger numbers have the last colour.
    name : str
        For messages.
    """
    last, wide = len(table) - 1, table.astype(int)
    if (wide == wide[:, :1]).all():
        if (np.diff(wide[:, 0]) >= 0).all() and wide[0, 0] < wide[-1, 0]:
            return None
        return Conversion(lambda block: table[np.minimum(block, last), 0], "numbers", np.dtype(np.uint8))
    if _paints_intensities(wide):
        note = f"{name} paints its numbers with a look-up table; the numbers are taken as intensities, not the colours."
        return Conversion(lambda block: block, "numbers", np.dtype(np.uint8), note)
    return Conversion(lambda block: table[np.minimum(block, last)], "table", np.dtype(np.uint8))


def from_cmyk(block: NDArray[Any]) -> NDArray[Any]:
    """Return red, green and blue of cyan, magenta, yellow and black, unsigned integers along the last axis."""
    most = np.float32(np.iinfo(block.dtype).max)
    light = most - block.astype(np.float32)
    rgb: NDArray[Any] = np.rint(light[..., :3] * light[..., 3:4] / most).astype(block.dtype)
    return rgb


def _paints_intensities(table: NDArray[np.int_]) -> bool:
    """Return whether a palette goes smoothly from dark to bright, like look-up tables for intensities."""
    if np.abs(np.diff(table, axis=0)).max() > max(_SMOOTH, _SMOOTH * 256 / len(table)):
        return False
    brightness = table @ _LUMA
    rise = brightness[-1] - brightness[0]
    return bool(rise > 0 and (np.maximum.accumulate(brightness) - brightness).max() <= _DIP * rise)


def _turned(bits: int, dtype: np.dtype[Any], name: str) -> Conversion:
    note = f"{name} stores white as 0; its intensities were turned around, so that bright is high."
    if dtype.kind == "b":
        return Conversion(np.logical_not, "numbers", dtype, note)
    most = dtype.type(2**bits - 1)
    return Conversion(lambda block: most - block, "numbers", dtype, note)


def _from_ycbcr(page: Any, axes: str, name: str) -> Conversion:
    sampling = page.tags.get("YCbCrSubSampling")
    if np.dtype(page.dtype) != np.uint8 or "S" not in axes or (sampling and tuple(sampling.value) != (1, 1)):
        raise _refusal(name, "YCbCr with fewer pixels of colour than of brightness, or of more than 8 bits")
    tag, levels = page.tags.get("ReferenceBlackWhite"), np.array([0, 255, 128, 255, 128, 255], float)
    if tag is not None and len(tag.value) == 12:
        top, bottom = np.array(tag.value[::2], float), np.array(tag.value[1::2], float)
        levels = np.divide(top, bottom, out=levels, where=bottom != 0)
    zero, span = levels[::2], np.maximum(levels[1::2] - levels[::2], 1)

    def apply(block: NDArray[Any]) -> NDArray[Any]:
        y, blue, red = np.moveaxis((block - zero) * (np.array([255, 127, 127]) / span), -1, 0)
        r, b = y + (2 - 2 * _LUMA[0]) * red, y + (2 - 2 * _LUMA[2]) * blue
        g = (y - _LUMA[0] * r - _LUMA[2] * b) / _LUMA[1]
        rgb: NDArray[Any] = np.clip(np.rint(np.stack([r, g, b], -1)), 0, 255).astype(np.uint8)
        return rgb

    return Conversion(apply, "colours", np.dtype(np.uint8))


def _from_lab(photometric: int, n_samples: int, axes: str, dtype: np.dtype[Any], name: str, white: str) -> Conversion:
    if n_samples == 1 or "S" not in axes or dtype.str[1:] not in ("u1", "i1", "u2", "i2", "f4", "f8"):
        raise _refusal(name, "CIE L*a*b* without its colours, or in numbers that are not known here")

    def apply(block: NDArray[Any]) -> NDArray[Any]:
        from skimage.color import lab2xyz, xyz2rgb

        xyz = lab2xyz(_lab(block, photometric), illuminant=white)
        rgb = np.clip(xyz2rgb(xyz if white == "D65" else xyz @ _D50_TO_D65.T), 0, 1)
        rounded: NDArray[Any] = np.rint(rgb * 255).astype(np.uint8)
        return rounded

    return Conversion(apply, "colours", np.dtype(np.uint8))


def _white(page: Any) -> str:
    """Return the white point of L*a*b*: D50, as usual in print, unless the file says D65."""
    tag = page.tags.get("WhitePoint")
    if tag is None or len(tag.value) != 4 or not all(tag.value[1::2]):
        return "D50"
    x, y = (top / bottom for top, bottom in zip(tag.value[::2], tag.value[1::2], strict=True))
    return "D65" if abs(x - 0.3127) + abs(y - 0.3290) < 0.01 else "D50"


def _lab(block: NDArray[Any], photometric: int) -> NDArray[np.float64]:
    """Return L* (0..100), a* and b* from their encoding in TIFF."""
    if block.dtype.kind == "f":
        return block.astype(np.float64)
    bits = 8 * block.dtype.itemsize
    step = 1.0 if bits == 8 else 256.0
    stored = block.view(f"u{block.dtype.itemsize}")
    if photometric == _ICCLAB:
        white, ab = 255.0 if bits == 8 else 65280.0, stored[..., 1:] / step - 128
    else:
        white, ab = 2.0**bits - 1, stored.view(f"i{block.dtype.itemsize}")[..., 1:] / step
    return np.concatenate([stored[..., :1] * (100 / white), ab], axis=-1)


def _refusal(name: str, what: str) -> ImageError:
    return ImageError(f"{name} holds {what}, which is not read here. Save it as RGB, for example with Fiji.")
