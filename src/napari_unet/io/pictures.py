"""Pictures of an image with the outlines of its objects: PNG, and SVG whose outlines can be edited."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.atomic import check_suffix, completed

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import ImageDraw, ImageFont

PICTURE_SUFFIXES = (".png", ".svg")

COLOUR = "#ffd400"
"""Of outlines: yellow is seen on grey and on stained tissue, also by people who cannot tell red from green."""

MIN_SIDE, MAX_SIDE = 1200, 6000
"""Pixels of the longer side of a PNG: a small image is enlarged a whole number of times, a large one is thinned out."""

_LINES = 600
"""The longer side of a picture in widths of an outline."""

_BAR_SHARE = 0.2
"""Of the width of the picture that a scale bar takes at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is drawn.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    outlines : sequence of (int, polygons)
        Label and polygons of each object, as `geojson.Feature.polygons`.
    pixel_size : float, optional
        Micrometres along X, for the scale bar; None: there is none.
    step : int
        Every how many pixels of the image one is in `pixels`; outlines are in pixels of the image.
    """

    pixels: NDArray[np.uint8]
    outlines: Sequence[tuple[int, Sequence[Sequence[NDArray[Any]]]]] = field(default=())
    pixel_size: float | None = None
    step: int = 1

    @property
    def bar(self) -> tuple[float, str] | None:
        """Length of the scale bar in pixels of `pixels`, and its text; None where the pixel size is not known."""
        if self.pixel_size is None:
            return None
        per_pixel = self.pixel_size * self.step
        most = self.pixels.shape[1] * _BAR_SHARE * per_pixel
        power = 10.0 ** np.floor(np.log10(most))
        length = power * next(n for n in (5, 2, 1) if n * power <= most * (1 + 1e-9))
        return float(length / per_pixel), f"{length:g} µm"


def step_for(height: int, width: int) -> int:
    """Return every how many pixels of a plane one is shown."""
    return int(np.ceil(max(height, width) / MAX_SIDE))


def write_picture(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> int:
    """Write a picture, which has its name only when it is complete; return how many objects are drawn.

    Parameters
    ----------
    path : path
        Ends in .png or .svg.
    picture : Picture
    provenance : mapping, optional
        How it was made: the text ``napari_unet`` of a PNG, the element ``metadata`` of an SVG.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileFormatError
        If the file exists and may not be replaced, its name has another ending, or it cannot be written.
    """
    path = Path(path)
    check_suffix(path, PICTURE_SUFFIXES)
    with completed(path, overwrite=overwrite) as partial:
        if path.suffix.lower() == ".png":
            partial.write_bytes(_drawn(picture, provenance))
        else:
            partial.write_text(_svg(picture, provenance), encoding="utf-8")
    return len(picture.outlines)


def _drawn(picture: Picture, provenance: Mapping[str, Any] | None) -> bytes:
    from PIL import Image, ImageDraw

    height, width = picture.pixels.shape[:2]
    times = max(1, round(MIN_SIDE / max(height, width)))
    canvas = Image.fromarray(picture.pixels).resize((width * times, height * times), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    line = max(1, round(max(canvas.size) / _LINES))
    for _, polygons in picture.outlines:
        for ring in (ring for rings in polygons for ring in rings):
            corners = np.concatenate([ring, ring[:1]])[:, ::-1] * (times / picture.step)
            draw.line([tuple(corner) for corner in corners.tolist()], COLOUR, line, "curve" if line > 2 else None)
    if picture.bar is not None:
        _draw_bar(draw, picture.bar[0] * times, picture.bar[1], *canvas.size)
    return _as_png(canvas, provenance)


def _draw_bar(draw: ImageDraw.ImageDraw, length: float, text: str, width: int, height: int) -> None:
    """Draw a scale bar in the lower right corner, white on a dark rim."""
    letter, margin = max(11, round(max(width, height) / 36)), round(max(width, height) / 40)
    right, bottom, thick = width - margin, height - margin, max(3, round(letter / 4))
    draw.rectangle((right - length, bottom - thick, right, bottom), "white", "black")
    _draw_text(draw, right - length / 2, bottom - thick - letter * 0.3, text, letter)


def _draw_text(draw: ImageDraw.ImageDraw, middle: float, base: float, text: str, size: int) -> None:
    """Draw a length above the scale bar; Pillow's font has no µ, which is a u whose left stem goes on down."""
    font, stroke = _font(size), max(1, size // 14)
    before, _, after = text.partition("µ")
    left = middle - draw.textlength(before + "u" + after, font) / 2
    x = left + draw.textlength(before, font)
    _, top, _, bottom = font.getbbox("u", anchor="ls")
    stem = max(1.0, size / 11)
    inset = font.getbbox("u", anchor="ls")[0]
    for grow, colour in ((stroke, "black"), (0, "white")):
        draw.text((left, base), before + "u" + after, colour, font, anchor="ls", stroke_width=grow, stroke_fill=colour)
        if after:
            tail = (x + inset - grow, base + top - grow, x + inset + stem + grow, base + (bottom - top) * 0.38 + grow)
            draw.rectangle(tail, colour)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _as_png(canvas: Any, provenance: Mapping[str, Any] | None = None) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    if provenance is not None:
        about.add_itxt("napari_unet", json.dumps(provenance, allow_nan=False))
    file = io.BytesIO()
    canvas.save(file, "png", pnginfo=about)
    return file.getvalue()


def _svg(picture: Picture, provenance: Mapping[str, Any] | None) -> str:
    from PIL import Image

    height, width = picture.pixels.shape[:2]
    data = base64.b64encode(_as_png(Image.fromarray(picture.pixels))).decode()
    line = max(height, width) / _LINES
    record = "" if provenance is None else escape(json.dumps(provenance, allow_nan=False), quote=False)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<metadata>{record}</metadata>",
        f'<image width="{width}" height="{height}" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>',
        f'<g id="outlines" fill="none" stroke="{COLOUR}" stroke-width="{line:.3g}" stroke-linejoin="round">',
        *(_path(label, polygons, picture.step) for label, polygons in picture.outlines),
        "</g>",
        *([] if picture.bar is None else [_svg_bar(picture.bar[0], picture.bar[1], width, height)]),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _path(label: int, polygons: Sequence[Sequence[NDArray[Any]]], step: int) -> str:
    rings = (ring[:, ::-1] / step for rings in polygons for ring in rings)
    drawn = " ".join("M" + " ".join(f"{x:g},{y:g}" for x, y in ring.tolist()) + "Z" for ring in rings)
    return f'<path id="object-{label}" d="{drawn}"/>'


def _svg_bar(length: float, text: str, width: int, height: int) -> str:
    letter, margin = max(width, height) / 36, max(width, height) / 40
    right, bottom, thick = width - margin, height - margin, letter / 4
    return (
        f'<g id="scale-bar" fill="white" stroke="black" stroke-width="{thick / 5:.3g}">'
        f'<rect x="{right - length:.6g}" y="{bottom - thick:.6g}" width="{length:.6g}" height="{thick:.4g}"/>'
        f'<text x="{right - length / 2:.6g}" y="{bottom - 1.5 * thick:.6g}" font-family="sans-serif" '
        f'font-size="{letter:.4g}" text-anchor="middle" paint-order="stroke">{escape(text)}</text></g>'
    )
