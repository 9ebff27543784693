"""Measurements of many objects as a row for each image."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUMMARY_COLUMNS = (
    "area_px", "area_um2", "volume_voxels", "volume_um3", "equivalent_diameter_px", "equivalent_diameter_um",
    "eccentricity", "solidity", "circularity", "neighbours",
)  # fmt: skip
"""Columns that a summary describes, besides mean and sum of intensities."""


def summarize(table: Table, images: Sequence[str] = ()) -> Table:
    """Return one row an image: how many objects it has, and mean, median and standard deviation of measurements.

    Parameters
    ----------
    table : Table
        As from `measure`, of one or several images.
    images : sequence of str
        Names of images that have a row also where they have no objects.

    Returns
    -------
    Table
        ``image``, ``objects``, and ``<column>_mean``, ``_median`` and ``_std`` (of a sample, n - 1; NaN of one object)
        of the columns for area, diameter, shape and intensity that there are. Values that are not known do not count.
    """
    names = list(dict.fromkeys([*images, *table["image"].tolist()]))
    described = [
        column for column in table.names if column in SUMMARY_COLUMNS or re.match(r"intensity_(mean|sum)", column)
    ]
    parts = [table.where(table["image"] == name) for name in names]
    columns: dict[str, NDArray[Any]] = {
        "image": np.array(names, str),
        "objects": np.array([len(part) for part in parts], np.int64),
    }
    for column in described:
        values = [part[column].astype(np.float64) for part in parts]
        known = [value[np.isfinite(value)] for value in values]
        columns[f"{column}_mean"] = np.array([v.mean() if len(v) else math.nan for v in known], np.float64)
        columns[f"{column}_median"] = np.array([np.median(v) if len(v) else math.nan for v in known], np.float64)
        columns[f"{column}_std"] = np.array([v.std(ddof=1) if len(v) > 1 else math.nan for v in known], np.float64)
    return Table(columns, table.notes)


def in_one_sentence(table: Table) -> str:
    """Return how many objects there are and how large they are: ``128 objects, median area 310 µm²``.

    How large is told by what is known of all of them: of several images, not all may have a pixel size, or be volumes.
    """
    count = f"{len(table):,} object{'' if len(table) == 1 else 's'}"
    for column, what, unit in (
        ("volume_um3", "volume", "µm³"),
        ("area_um2", "area", "µm²"),
        ("volume_voxels", "volume", "voxels"),
        ("area_px", "area", "pixels"),
    ):
        if len(table) and table.known(column) == len(table):
            return f"{count}, median {what} {_rounded(float(np.nanmedian(table[column].astype(float))))} {unit}"
    return count


def _rounded(value: float) -> str:
    """Return a number with three digits, and no exponent."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"
