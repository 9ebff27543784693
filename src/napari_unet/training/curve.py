"""The learning curve: loss and score over the steps of a training, as a table (CSV) and as a picture (PNG)."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from napari_unet.io.atomic import completed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import ImageDraw

WIDTH, HEIGHT = 900, 420
"""Pixels of the picture."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 70, 50, 60
"""Margins around the axes, pixels."""

_LOSS, _SCORE, _AXIS, _GRID = "#0072b2", "#d55e00", "#404040", "#e4e4e4"
"""Colours; the first two (Okabe and Ito 2008) are told apart also by people who cannot tell red from green."""

_FONT, _TICKS = 15, 5


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How a training stood when its weights were checked.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Since training began, without interruptions.
    loss : float or None
        Mean over the steps since the last point; None: there were none.
    score : float or None
        On the validation images, 0..1; None: there are none, or it was not scored here.
    """

    step: int
    seconds: float
    loss: float | None
    score: float | None = None


def write_curve(points: Sequence[CurvePoint], table: Path, picture: Path, *, overwrite: bool = False) -> None:
    """Write a learning curve as a table and as a picture; each has its name only when it is complete.

    Parameters
    ----------
    points : sequence of CurvePoint
    table : Path
        CSV with the columns ``step``, ``seconds``, ``loss`` and ``score``; what is not known is empty.
    picture : Path
        PNG.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    FileFormatError
        If a file exists and may not be replaced, or cannot be written.
    """
    with completed(table, overwrite=overwrite) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in fields(CurvePoint))
        rows.writerows(tuple("" if value is None else f"{value:.6g}" for value in astuple(point)) for point in points)
    with completed(picture, overwrite=overwrite) as partial:
        partial.write_bytes(curve_png(points))


def curve_png(points: Sequence[CurvePoint]) -> bytes:
    """Return the picture of a learning curve, a PNG: the loss in blue, and the score, if there is one, in orange."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(canvas)
    draw.font = ImageFont.load_default(_FONT)
    losses = [(point.step, point.loss) for point in points if point.loss is not None]
    scores = [(point.step, point.score) for point in points if point.score is not None]
    last = max([point.step for point in points], default=0) or 1
    top = _TICKS * _tick(max([loss for _, loss in losses], default=1.0))
    _draw_axes(draw, last, top, with_scores=bool(scores))
    _draw_line(draw, losses, last, top, _LOSS)
    _draw_line(draw, scores, last, 1.0, _SCORE)
    file = io.BytesIO()
    canvas.save(file, "png")
    return file.getvalue()


def _draw_axes(draw: ImageDraw.ImageDraw, last: int, top: float, *, with_scores: bool) -> None:
    left, right, low, high = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM, _TOP
    step = max(1, round(_tick(last)))
    for value in range(0, last + 1, step):
        draw.text((_at(value, last, 0.0, 1.0)[0], low + 8), f"{value}", _AXIS, anchor="mt")
    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        y = _at(0.0, 1.0, share, 1.0)[1]
        draw.line((left, y, right, y), _GRID)
        draw.text((left - 8, y), f"{share * top:.3g}", _LOSS, anchor="rm")
        if with_scores:
            draw.text((right + 8, y), f"{share:.0%}", _SCORE, anchor="lm")
    draw.line((left, high, left, low, right, low), _AXIS)
    draw.text(((left + right) / 2, HEIGHT - 12), "step", _AXIS, anchor="mb")
    draw.text((left, high - 16), "loss, on what is learned from", _LOSS, anchor="lb")
    if with_scores:
        draw.text((right, high - 16), "right, of the validation images' objects", _SCORE, anchor="rb")


def _tick(largest: float) -> float:
    """Return the distance of ticks, a round number, such that the largest value is at the last one or before it."""
    least = max(largest, 1e-12) / _TICKS
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))


def _draw_line(
    draw: ImageDraw.ImageDraw, values: Sequence[tuple[int, float]], last: int, top: float, colour: str
) -> None:
    places = [_at(step, last, value, top) for step, value in values]
    if len(places) > 1:
        draw.line(places, colour, width=3, joint="curve")
    for x, y in places:
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)


def _at(x: float, most_x: float, y: float, most_y: float) -> tuple[float, float]:
    """Return the place of a point in the picture, in pixels."""
    across, up = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    return _LEFT + across * x / most_x, HEIGHT - _BOTTOM - up * min(1.0, y / most_y)
