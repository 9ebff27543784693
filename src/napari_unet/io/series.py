"""Files that hold several images: the list of them, and the choice of one if the user has not chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import ImageError
from napari_unet.limits import times
from napari_unet.progress import first_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_THUMBNAIL = re.compile(r"\b(thumbnail|thumb|label|macro|map|overview|preview)\b", re.IGNORECASE)
"""Names of the small images that slide scanners store beside the main one."""

_NAMED = 4
"""Images that a message names."""


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


def chosen(series: Sequence[Series], asked: int | str | None, name: str) -> tuple[Series, tuple[str, ...]]:
    """Return the image that is asked for, else the one with the largest planes; and notes for the user.

    Parameters
    ----------
    series : sequence of Series
        All images of the file; at least one.
    asked : int or str, optional
        Number or name of the image that is asked for; see `by_name_or_number`.
    name : str
        Of the file.

    Raises
    ------
    ImageError
        If there is none of that number or name, or several have that name.
    """
    if asked is not None:
        found = by_name_or_number({one.number: one.name for one in series}, asked)
        if len(found) == 1:
            return next(one for one in series if one.number == found[0]), ()
        if found:
            numbers = " and ".join(map(str, found))
            raise ImageError(f"{name} has several scenes called {asked!s:.40}: choose by number, {numbers}.")
        raise ImageError(f"{name} has no scene {asked!s:.40}; it has {_named(series)}.")
    best = max(series, key=lambda one: (not one.is_thumbnail, one.plane))  # the first of several
    if len(series) == 1:
        return best, ()
    largest = "the largest" if any(one.plane < best.plane for one in series) else "the first"
    others = [one for one in series if one is not best]
    return best, (
        f"{name} holds {len(series)} images; {largest} was taken, number {best}. Choose another with --scene: "
        f"{_named(others)}.",
    )


def by_name_or_number(names: Mapping[int, str], asked: int | str) -> list[int]:
    """Return the numbers of what is asked for, of things that have a number and perhaps a name: scenes, channels.

    A whole number is the number of one where there is one of that number, else it is a name, as "488" is of a channel.
    Names are compared without regard to capital letters where none is written in just that way.

    Parameters
    ----------
    names : mapping of int to str
        Number -> name; "" for none.
    asked : int or str

    Returns
    -------
    list of int
        Several where they have the same name; empty where there is none.

    Examples
    --------
    >>> by_name_or_number({0: "DAPI", 1: "488"}, "dapi"), by_name_or_number({0: "DAPI", 1: "488"}, 488)
    ([0], [1])
    """
    text = str(asked).strip()
    if text.isdecimal() and str(int(text)) == text and int(text) in names:
        return [int(text)]
    exact = [number for number, name in names.items() if name.strip() == text]
    return exact or [number for number, name in names.items() if name.strip().casefold() == text.casefold()]


def _named(series: Sequence[Series]) -> str:
    return first_names([str(one) for one in series], _NAMED)
