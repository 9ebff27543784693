"""Files that hold several images: which there are, and which of them is meant where nobody says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import ImageError
from napari_unet.limits import times

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASIDE = re.compile(r"\b(thumbnail|thumb|label|macro|map|overview|preview)\b", re.IGNORECASE)
"""Names of the small pictures that scanners store beside an image."""

_NAMED = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One of the images in a file.

    Attributes
    ----------
    number : int
        By which it is asked for.
    name : str
        May be empty.
    axes : str
        As the file says; letters may be others than those of this program.
    shape : tuple of int
        In the order of `axes`.
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
    def is_aside(self) -> bool:
        """Whether its name is that of a thumbnail, or of another picture that is stored beside an image."""
        return bool(_ASIDE.search(self.name))

    def __str__(self) -> str:
        name = f" {self.name[:40]!r}" if self.name else ""
        return f"{self.number}{name} ({times(self.shape)})"


def chosen(series: Sequence[Series], asked: int | None, name: str) -> tuple[Series, tuple[str, ...]]:
    """Return the image that is asked for, or else the one with the largest planes, and what the user should know.

    Parameters
    ----------
    series : sequence of Series
        All that there are; not empty.
    asked : int, optional
        Number of the one that is wanted.
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
    best = max(series, key=lambda one: (not one.is_aside, one.plane))  # the first of several
    if len(series) == 1:
        return best, ()
    largest = "the largest" if any(one.plane < best.plane for one in series) else "the first"
    others = [str(one) for one in series if one is not best]
    more = ", …" if len(others) > _NAMED else ""
    return best, (
        f"{name} holds {len(series)} images; {largest} was taken, number {best}. Choose another with --series: "
        f"{', '.join(others[:_NAMED])}{more}.",
    )
