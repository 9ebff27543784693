"""A small table: named columns of one length. It needs no pandas, and becomes a pandas table on demand."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_DIGITS = 12
"""Digits of real numbers in CSV: rounding errors of double precision lie beyond."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of one length, in order.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (rows,)
        By name. Numbers, booleans or text. NaN where a number is not known.
    notes : tuple of str
        What the user should know of how it was made, a sentence each.

    Raises
    ------
    UNetError
        On making it, if the columns are not of one length.
    """

    columns: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        columns = {name: np.asarray(values) for name, values in self.columns.items()}
        lengths = {name: values.shape for name, values in columns.items()}
        if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
            raise UNetError(f"The columns of a table have one length; got {lengths}.")
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"There is no column {name!r}; there are {', '.join(self.names)}.") from None

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.columns)

    def known(self, name: str) -> int:
        """Return in how many rows a column of numbers has a value; 0 where there is no such column."""
        return int(np.isfinite(self.columns[name].astype(np.float64)).sum()) if name in self.columns else 0

    def where(self, mask: NDArray[np.bool_]) -> Table:
        """Return the rows for which `mask` (bool, one entry a row) is true, or those with the given numbers."""
        return Table({name: values[mask] for name, values in self.columns.items()}, self.notes)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict of plain Python values."""
        columns = [values.tolist() for values in self.columns.values()]
        for row in zip(*columns, strict=True):
            yield dict(zip(self.columns, row, strict=True))

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the table as CSV (comma, decimal point, UTF-8, one header line), and write it to `path` if given.

        What is not known is an empty cell; booleans are ``True`` and ``False``; real numbers have 12 digits.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*(_cells(values) for values in self.columns.values()), strict=True))
        if path is not None:
            Path(path).write_text(text.getvalue(), encoding="utf-8", newline="")
        return text.getvalue()

    def to_pandas(self) -> Any:
        """Return it as a `pandas.DataFrame`; pandas is no dependency of this program.

        Raises
        ------
        UNetError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise UNetError("pandas is not installed: pip install pandas. Or write the table by to_csv.") from None
        return pd.DataFrame(dict(self.columns))


def concatenate(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables in one.

    Columns that a table lacks are NaN in its rows, or "" where they hold text. A new column stands where the table that
    brings it has it.
    """
    names: list[str] = []
    for table in tables:
        after = 0
        for name in table.names:
            if name in names:
                after = names.index(name) + 1
            else:
                names.insert(after, name)
                after += 1
    columns = {name: _joined([(table.columns.get(name), len(table)) for table in tables]) for name in names}
    return Table(columns, tuple(dict.fromkeys(note for table in tables for note in table.notes)))


def _joined(parts: Sequence[tuple[NDArray[Any] | None, int]]) -> NDArray[Any]:
    known = [values for values, _ in parts if values is not None]
    parts = [(values, length) for values, length in parts if length]  # an empty part says nothing of the data type
    if not parts:
        return known[0]
    if all(values is not None for values, _ in parts):
        return np.concatenate([values for values, _ in parts if values is not None])
    missing: Any = "" if known[0].dtype.kind == "U" else np.nan
    return np.concatenate([np.full(length, missing) if values is None else values for values, length in parts])


def _cells(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind == "f":
        return ["" if np.isnan(value) else f"{value:.{_DIGITS}g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]
