"""Tables: columns of one length, and their CSV."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
import pytest

from napari_unet.errors import UNetError
from napari_unet.objects.table import Table, concatenate


@pytest.fixture
def table():
    return Table(
        {
            "image": np.array(["a, b", 'c "d"', "µ"]),
            "label": np.array([1, 2**40, 3]),
            "area_um2": np.array([1 / 3, np.nan, 1e-20]),
            "touches_border": np.array([True, False, True]),
        },
        ("A note.",),
    )


def test_columns_and_rows(table):
    assert len(table) == 3
    assert table.names == ("image", "label", "area_um2", "touches_border")
    assert "label" in table
    assert table["label"][1] == 2**40
    assert next(table.rows())["image"] == "a, b"
    assert table.where(table["touches_border"])["label"].tolist() == [1, 3]
    with pytest.raises(KeyError, match="area_um2"):
        table["area"]


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(UNetError, match="one length"):
        Table({"a": np.zeros(3), "b": np.zeros(2)})
    with pytest.raises(UNetError, match="one length"):
        Table({"a": np.zeros((3, 2))})


def test_csv_is_read_back(table, tmp_path):
    text = table.to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == text.encode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["image"] for row in rows] == table["image"].tolist()
    assert [int(row["label"]) for row in rows] == table["label"].tolist()
    assert rows[1]["area_um2"] == ""
    assert float(rows[0]["area_um2"]) == pytest.approx(1 / 3, rel=1e-11)
    assert [row["touches_border"] for row in rows] == ["True", "False", "True"]


def test_pandas_reads_the_csv_and_the_table(table, tmp_path):
    pd = pytest.importorskip("pandas")
    table.to_csv(tmp_path / "t.csv")
    read = pd.read_csv(tmp_path / "t.csv")
    direct = table.to_pandas()
    pd.testing.assert_frame_equal(read, direct, check_dtype=False)
    assert read["touches_border"].dtype == bool


def test_pandas_is_no_dependency(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UNetError, match="pip install pandas"):
        table.to_pandas()


def test_tables_of_different_columns_become_one():
    one = Table({"image": np.array(["a"]), "label": np.array([1]), "x": np.array([2.5])}, ("n",))
    two = Table({"image": np.array(["bb"]), "time": np.array([4]), "label": np.array([7]), "state": np.array(["ok"])})
    found = concatenate([one, two, Table({"image": np.zeros(0, str), "label": np.zeros(0, int)}, ("n", "m"))])
    assert found.names == ("image", "time", "label", "state", "x")
    assert found["image"].tolist() == ["a", "bb"]
    assert found["label"].dtype.kind == "i"
    assert found["state"].tolist() == ["", "ok"]
    np.testing.assert_array_equal(found["time"], [np.nan, 4])
    assert found.notes == ("n", "m")
    assert found.to_csv().splitlines()[1:] == ["a,,1,,2.5", "bb,4,7,ok,"]


def test_nothing_is_a_table_too():
    assert len(concatenate([])) == 0
    assert len(Table({})) == 0
