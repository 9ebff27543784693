"""A list of objects as somebody reads it: columns with units, a filter that is written in one line, and an order."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.objects.measurements import channel_columns
from napari_unet.objects.rows import STATES
from napari_unet.objects.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.objects.rows import ObjectRows

EXAMPLE = "size < 50 and state = corrected"
"""A filter that shows how one is written."""

_CONDITION = re.compile(r"\s*([a-zA-Z]\w*)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*")
_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_ALSO = {"area": "size", "volume": "size", "label": "id", "frame": "time", "t": "time", "slice": "z"}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of a list of objects.

    Attributes
    ----------
    key : str
        Its name in a filter.
    heading : str
        What stands above it, with the unit.
    name : str
        Its name in a file, as in docs/measurements.md.
    values : ndarray, shape (rows,)
        Numbers; of the state, those in `STATES`.
    digits : int
        Digits after the point that are shown.
    """

    key: str
    heading: str
    name: str
    values: NDArray[Any]
    digits: int = 0

    def text(self, row: int) -> str:
        """Return what is shown in a row."""
        value = self.values[row]
        if self.key == "state":
            return STATES[value]
        return "" if math.isnan(value) else f"{value:.{self.digits}f}"

    @property
    def cells(self) -> NDArray[Any]:
        """What stands in a file."""
        return np.array(STATES)[self.values] if self.key == "state" else self.values


def columns_of(rows: ObjectRows, image: Image, suspicion: NDArray[np.float64] | None = None) -> list[Column]:
    """Return the columns of a list of objects.

    Parameters
    ----------
    rows : ObjectRows
    image : Image
        Of the objects: its axes, pixel size and the names of its channels.
    suspicion : ndarray of float, shape (rows,), optional
        How likely each is to be wrong: the larger, the more. NaN where that is not known.
    """
    columns = [Column("id", "Id", "label", rows.label)]
    if "T" in image.axes:
        columns.append(Column("time", "Time", "time", rows.time))
    columns.append(_size(rows, image))
    letters = "zyx" if image.size("Z") > 1 else "yx"
    columns += [Column(x, x.upper(), f"centroid_{x}_px", rows.centroid[:, "zyx".index(x)], 1) for x in letters]
    for channel, ending in enumerate(channel_columns(image)):
        heading = f"Intensity{ending.replace('_', ' ')}"
        values = rows.intensity[:, channel]
        digits = 0 if np.nanmax(np.abs(values), initial=0) >= 1000 else 3
        columns.append(Column(f"intensity{ending.lower()}", heading, f"intensity_mean{ending}", values, digits))
    if suspicion is not None:
        columns.append(Column("suspicion", "Suspicion", "suspicion", suspicion, 2))
    columns.append(Column("state", "State", "state", rows.state))
    return columns


def _size(rows: ObjectRows, image: Image) -> Column:
    """Return the area or volume, in micrometres where the pixel size is known."""
    pixel = image.pixel_size
    if image.size("Z") > 1:
        if pixel is None or pixel.z is None:
            return Column("size", "Volume (voxels)", "volume_voxels", rows.size)
        return Column("size", "Volume (µm³)", "volume_um3", rows.size * pixel.z * pixel.y * pixel.x, 1)
    if pixel is None:
        return Column("size", "Area (px)", "area_px", rows.size)
    return Column("size", "Area (µm²)", "area_um2", rows.size * pixel.y * pixel.x, 1)


@dataclass(frozen=True, slots=True)
class Listing:
    """Which objects are listed, and in what order.

    Attributes
    ----------
    filter : str
        Conditions such as ``size < 50``, joined by ``and`` or commas; a single word is a state, a single number an id.
        Empty: all objects.
    sort : str
        Key of the column that they are sorted by.
    descending : bool
    """

    filter: str = ""
    sort: str = "id"
    descending: bool = False

    def shown(self, columns: Sequence[Column]) -> NDArray[np.intp]:
        """Return the numbers of the rows that are listed, in their order.

        Raises
        ------
        UNetError
            If the filter cannot be understood; the sentence says which part of it.
        """
        by_key = {column.key: column for column in columns}
        found = np.flatnonzero(self._mask(by_key))
        values = by_key.get(self.sort, columns[0]).values[found]
        if self.descending:  # what is not known comes last in both orders
            values = -values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
        return found[np.argsort(values, kind="stable")]

    def _mask(self, columns: dict[str, Column]) -> NDArray[np.bool_]:
        mask = np.ones(len(columns["id"].values), bool)
        for part in re.split(r"\band\b|,|&", self.filter, flags=re.IGNORECASE):
            if part.strip():
                mask &= _condition(part.strip(), columns)
        return mask


def _condition(part: str, columns: dict[str, Column]) -> NDArray[np.bool_]:
    """Return which rows meet one condition."""
    match = _CONDITION.fullmatch(part)
    if match is None:
        if part.lower() in STATES:
            return np.asarray(columns["state"].values == STATES.index(part.lower()))
        if part.isdecimal():
            return np.asarray(columns["id"].values == int(part))
        raise UNetError(f"The filter {part!r:.30} is not understood. Write for example: {EXAMPLE}")
    key, sign, text = match[1].lower(), match[2], match[3]
    column = columns.get(_ALSO.get(key, key))
    if column is None:
        raise UNetError(f"There is no column {key!r:.20}. There are: {', '.join(columns)}."[:110])
    if column.key == "state":
        if text.lower() not in STATES or sign not in ("=", "==", "!="):
            raise UNetError(f"A state is {STATES[0]}, {STATES[1]} or {STATES[2]}: write state = {STATES[1]}.")
        value: float = STATES.index(text.lower())
    else:
        try:
            value = float(text)
        except ValueError:
            raise UNetError(f"{text!r:.30} is not a number. Write for example: {EXAMPLE}") from None
    return np.asarray(_COMPARE[sign](column.values, value))


def table_of(columns: Sequence[Column], shown: NDArray[np.intp]) -> Table:
    """Return what is listed, in its order, to write it to a file."""
    return Table({column.name: column.cells[shown] for column in columns})
