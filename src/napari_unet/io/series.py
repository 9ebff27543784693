"""Files that hold several images: the list of them, and the choice of one if the user has not chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import ImageError
from napari_unet.limits import times

if TYPE_CHECKING:
    from collections.abc import Sequence

_THUMBNAIL = re.compile(r"\b(thumbnail|thumb|label|macro|map|overview|preview)\b", re.IGNORECASE)
"""Names of the small images that slide scanners store beside the main one."""

_NAMED = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One of the images in a file.

    Attributes
    ----------
    number : int
        Its index in the file.
    name : str
        May be empty.
    axes : str
        As in the file; may have letters other than those of `axes.CANONICAL`.
    shape : tuple of int
        Axes as `axes`.
    """

    number: int
    name: str
    axes: str
    shape: tuple[int, ...]

    @property
    def plane(self) -> int:
        """Pixels of a plane."""
        sizes = dict(zip(self.axes, self.shape, strict=False))
        return sizes.get("Y", 1) * sizes.get("X", 1)

    @property
    def is_thumbnail(self) -> bool:
        """Whether its name is that of a thumbnail, a label or an overview beside the main image."""
        return bool(_THUMBNAIL.search(self.name))

    def __str__(self) -> str:
        name = f" {self.name[:40]!r}" if self.name else ""
        return f"{self.number}{name} ({times(self.shape)})"


def chosen(series: Sequence[Series], asked: int | None, name: str) -> tuple[Series, tuple[str, ...]]:
    """Return the image that is asked for, else the one with the largest planes; and notes for the user.

    Parameters
    ----------
    series : sequence of Series
        All images of the file; at least one.
    asked : int, optional
        Number of the image that is asked for.
    name : str
        Of the file.

    Raises
    ------
    ImageError
        If there is none of that number.
    """
    if asked is not None:
        found = [one for one in series if one.number == asked]
        if not found:
            numbers = sorted(one.number for one in series)
            known = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]} only"
            raise ImageError(f"{name} has the series {known}; got {asked!s:.40}.")
        return found[0], ()
    best = max(series, key=lambda one: (not one.is_thumbnail, one.plane))  # the first of several
    if len(series) == 1:
        return best, ()
    largest = "the largest" if any(one.plane < best.plane for one in series) else "the first"
    others = [str(one) for one in series if one is not best]
    more = ", …" if len(others) > _NAMED else ""
    return best, (
        f"{name} holds {len(series)} images; {largest} was taken, number {best}. Choose another with --series: "
        f"{', '.join(others[:_NAMED])}{more}.",
    )
