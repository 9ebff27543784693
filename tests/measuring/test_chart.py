"""What a chart shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.measuring.chart import Axis, chart_columns, first_column, histogram, nearest_row, rows_within
from napari_unet.objects.table import Table

numbers = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60).map(np.array)


@given(numbers)
def test_a_histogram_counts_every_known_value_once(values):
    counts, edges = histogram(values)
    assert counts.sum() == np.isfinite(values).sum()
    assert len(edges) == len(counts) + 1
    assert (np.diff(edges) > 0).all()


@given(numbers)
def test_an_axis_holds_its_values_and_has_a_few_round_numbers(values):
    axis = Axis.over(values)
    shares = axis.share(values[np.isfinite(values)])
    assert axis.low < axis.high
    assert ((shares >= -1e-9) & (shares <= 1 + 1e-9)).all()
    assert 1 <= len(axis.ticks) <= 6
    rounding = max(1e-6, 1e-8 * (axis.high - axis.low))
    assert all(axis.low - rounding <= tick <= axis.high + rounding for tick in axis.ticks)
    assert axis.value(0.25) == pytest.approx(axis.low + (axis.high - axis.low) / 4)


@given(numbers, st.floats(-10, 10), st.floats(0, 20))
def test_brushing_gives_the_rows_in_the_box(values, start, width):
    rows = rows_within(values, None, (start + width, start), (0, 0))
    np.testing.assert_array_equal(rows, [start <= value <= start + width for value in values])
    both = rows_within(values, values, (start, start + width), (start, start + width / 2))
    assert (both <= rows).all()


def test_the_nearest_row_is_found_among_known_ones():
    x, y = np.array([np.nan, 0.1, 0.9]), np.array([0.5, 0.1, 0.9])
    assert nearest_row(x, y, (0.8, 0.9)) == (2, pytest.approx(0.1))
    assert nearest_row(x[:1], y[:1], (0, 0)) is None


def test_columns_that_can_be_charted():
    table = Table(
        {
            "image": np.array(["a", "a"]), "label": np.array([1, 2]), "area_px": np.array([3, 4]),
            "area_um2": np.array([np.nan, np.nan]), "touches_border": np.array([True, False]),
        }
    )  # fmt: skip
    assert chart_columns(table) == ["area_px"]
    assert first_column(table) == "area_px"
    assert first_column(Table({"image": np.array(["a"])})) == ""


@pytest.mark.parametrize(("um2", "first"), [((2.0, 3.0), "area_um2"), ((2.0, np.nan), "area_px")])
def test_a_chart_begins_with_the_size_that_is_known_of_most(um2, first):
    columns = {"eccentricity": np.array([0.5, 0.1]), "area_px": np.array([3, 4]), "area_um2": np.array(um2)}
    assert first_column(Table(columns)) == first
