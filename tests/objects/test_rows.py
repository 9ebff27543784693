"""Rows of a list of objects: the same numbers as a full measurement, and the same after an edit as counted anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import UNetError
from napari_unet.objects.listing import Listing, columns_of, table_of
from napari_unet.objects.measurements import measure
from napari_unet.objects.rows import CORRECTED, PREDICTED, REVIEWED, ObjectRows, ReviewedLabels, count_frame, recount


def labelled(shape: tuple[int, int, int, int], seed: int = 0, n: int = 6, channels: int = 1) -> ReviewedLabels:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, n, [shape[0], *(-(-size // 3) for size in shape[1:])])
    labels = blocks.repeat(3, 1).repeat(3, 2).repeat(3, 3)[:, : shape[1], : shape[2], : shape[3]].astype(np.int32)
    image = Image(rng.random((channels, *shape)).astype(np.float32), "CTZYX")
    return ReviewedLabels(labels, np.zeros(shape, bool), image)


def all_rows(source: ReviewedLabels) -> ObjectRows:
    none = ObjectRows.none(source.image.n_channels)
    return none.joined(*(count_frame(source, frame) for frame in range(source.labels.shape[0])))


@pytest.mark.parametrize("axes", ["TCZYX", "TZYX", "ZYX", "CYX", "YX", "TYX"])
def test_the_numbers_are_those_of_a_measurement(axes: str) -> None:
    rng = np.random.default_rng(1)
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 11, "X": 13}
    image = Image(rng.random([sizes[x] for x in axes]), axes, PixelSize(0.5, 0.25, 2.0 if "Z" in axes else None))
    source = labelled((image.n_frames, image.size("Z"), 11, 13), seed=2)
    own = source.labels.reshape(image.label_shape)
    table = measure(own, image)
    source = ReviewedLabels(source.labels, source.reviewed, image)
    rows = all_rows(source)
    columns = columns_of(rows, image)
    shown = np.lexsort((rows.label, rows.time))
    ours = table_of(columns, shown)
    assert set(ours.names) - {"state"} < set(table.names)
    for name in set(ours.names) - {"state"}:
        assert np.allclose(ours[name].astype(float), table[name].astype(float), rtol=1e-12), name
    low = {x: table[f"bbox_{x}_min_px"] for x in ("zyx" if image.is_volume else "yx")}
    for x, values in low.items():
        assert np.array_equal(rows.low[shown, "zyx".index(x)], values)


def test_states() -> None:
    source = labelled((1, 1, 12, 12), n=4)
    first, second, third = (source.labels == i for i in (1, 2, 3))
    source = replace(source, corrected={0: [1, 99], 1: [3]})
    source.reviewed[second] = True
    source.reviewed[third & (np.cumsum(third.ravel()).reshape(third.shape) <= third.sum() // 2)] = True
    states = dict(zip(*(getattr(count_frame(source, 0), x).tolist() for x in ("label", "state")), strict=True))
    assert states == {1: CORRECTED, 2: REVIEWED, 3: PREDICTED}
    source.reviewed[first] = True  # painted, and then said to be right
    assert count_frame(source, 0).state[0] == REVIEWED


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_after_an_edit_rows_are_as_counted_anew(seed: int, data: Any) -> None:
    shape = data.draw(st.sampled_from([(1, 1, 15, 17), (2, 1, 9, 9), (1, 5, 8, 7), (2, 4, 9, 6)]))
    source = labelled(shape, seed, channels=2)
    rows = all_rows(source)
    for _ in range(data.draw(st.integers(1, 3))):
        frame = data.draw(st.integers(0, shape[0] - 1))
        starts = [data.draw(st.integers(0, n - 1)) for n in shape[1:]]
        z, y, x = (slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, shape[1:], strict=True))
        part = source.labels[frame, z, y, x]
        what = data.draw(st.sampled_from(["paint", "erase", "new", "scatter", "review"]))
        if what == "review":
            source.reviewed[frame, z, y, x] = True
        else:
            rng = np.random.default_rng(seed)
            part[...] = {"paint": 2, "erase": 0, "new": 77}.get(what, rng.integers(0, 99, part.shape))
        rows = recount(source, rows, frame, (z, y, x))
    assert rows.same(all_rows(source))


def test_no_objects() -> None:
    source = labelled((1, 1, 8, 8), n=1)
    rows = all_rows(source)
    assert len(rows) == 0
    assert len(recount(source, rows, 0, (slice(0, 1), slice(0, 8), slice(0, 8)))) == 0
    columns = columns_of(rows, source.image)
    assert Listing("size < 3").shown(columns).tolist() == []
    assert table_of(columns, np.zeros(0, np.intp)).to_csv().startswith("label,time,area_px,")


# -- filter and order ------------------------------------------------------------------------------------------------


@pytest.fixture
def columns() -> Any:
    source = labelled((1, 1, 30, 30), seed=3, n=30)
    image = Image(source.image.data[0, 0, 0], "YX")
    return columns_of(all_rows(ReviewedLabels(source.labels, source.reviewed, image, {0: [5]})), image)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", lambda c: np.full(len(c["id"]), True)),
        ("size < 20", lambda c: c["size"] < 20),
        ("  Area<=9 ", lambda c: c["size"] <= 9),
        ("size > 9 and x < 15", lambda c: (c["size"] > 9) & (c["x"] < 15)),
        ("size > 9, x < 15 AND intensity >= 0.5", lambda c: (c["size"] > 9) & (c["x"] < 15) & (c["intensity"] >= 0.5)),
        ("state = corrected", lambda c: c["id"] == 5),
        ("state != Corrected", lambda c: c["id"] != 5),
        ("corrected", lambda c: c["id"] == 5),
        ("7", lambda c: c["id"] == 7),
        ("id == 7", lambda c: c["id"] == 7),
        ("size < 9 and size > 9", lambda c: np.full(len(c["id"]), False)),
    ],
)
def test_filters(columns: Any, text: str, wanted: Any) -> None:
    values = {column.key: column.values for column in columns}
    mask = wanted(values)
    assert set(Listing(text).shown(columns)) == set(np.flatnonzero(mask))


@pytest.mark.parametrize(
    "text",
    ["size", "size <", "< 5", "size < big", "shape < 3", "state = wrong", "state < corrected", "a b", "size ~ 3"],
)
def test_what_is_no_filter_is_said(columns: Any, text: str) -> None:
    with pytest.raises(UNetError) as error:
        Listing(text).shown(columns)
    assert 20 < len(str(error.value)) <= 110


@pytest.mark.parametrize("key", ["id", "size", "y", "intensity", "state", "no such"])
def test_order(columns: Any, key: str) -> None:
    values = {column.key: column.values for column in columns}
    up, down = Listing(sort=key).shown(columns), Listing(sort=key, descending=True).shown(columns)
    sorted_by = values.get(key, values["id"]).astype(float)
    assert (np.diff(sorted_by[up]) >= 0).all()
    assert (np.diff(sorted_by[down]) <= 0).all()
    assert set(up) == set(down)


def test_what_is_not_known_comes_last() -> None:
    source = labelled((1, 1, 12, 12), n=4)
    rows = all_rows(source)
    columns = columns_of(rows, source.image, np.array([np.nan, 0.2, 0.7]))
    for descending, wanted in ((False, [1, 2, 0]), (True, [2, 1, 0])):
        assert Listing(sort="suspicion", descending=descending).shown(columns).tolist() == wanted
    assert columns[-2].text(0) == ""
    assert columns[-2].text(1) == "0.20"
