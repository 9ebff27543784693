"""Measurements: against scikit-image, and against shapes whose measures are known."""

from __future__ import annotations

import math
import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from skimage.measure import label as connected
from skimage.measure import regionprops
from skimage.segmentation import expand_labels

import napari_unet as nu
from napari_unet.axes import Image, PixelSize
from napari_unet.errors import Cancelled, ImageError, LabelsError
from napari_unet.objects.summary import summarize
from napari_unet.objects.surface import _shares
from napari_unet.progress import CancelToken

PLANE = {
    "area_px": "area",
    "equivalent_diameter_px": "equivalent_diameter_area",
    "major_axis_px": "axis_major_length",
    "minor_axis_px": "axis_minor_length",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "perimeter_px": "perimeter",
    "intensity_mean": "intensity_mean",
    "intensity_min": "intensity_min",
    "intensity_max": "intensity_max",
}
"""Columns and scikit-image's properties."""


def disc(radius, shape=None, middle=None):
    shape = shape or (2 * radius + 3, 2 * radius + 3)
    middle = middle or [n // 2 for n in shape]
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return (sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)) <= radius**2).astype(np.int32)


@pytest.fixture(scope="module")
def cells(request):
    """Real nuclei, found by a threshold, some of them touching, and their image."""
    image = request.getfixturevalue("nuclei_crop")
    labels = expand_labels(connected(image > image.mean() + image.std()), 6)
    assert labels.max() > 5
    return labels, image


# -- values ------------------------------------------------------------------------------------------------------------


def test_values_are_those_of_scikit_image(cells):
    labels, image = cells
    table = nu.measure(labels, image)
    props = regionprops(labels, image)
    assert table["label"].tolist() == [p.label for p in props]
    for column, name in PLANE.items():
        np.testing.assert_allclose(table[column], [p[name] for p in props], rtol=1e-9, atol=1e-7, err_msg=column)
    np.testing.assert_allclose(
        np.stack([table["centroid_y_px"], table["centroid_x_px"]], 1), [p.centroid for p in props]
    )
    box = [table[f"bbox_{end}_px"] for end in ("y_min", "x_min", "y_max", "x_max")]
    assert np.array_equal(np.stack(box, 1), [p.bbox for p in props])
    assert np.array_equal(table["intensity_sum"], [image[labels == p.label].sum() for p in props])
    np.testing.assert_allclose(table["intensity_std"], [image[labels == p.label].std() for p in props])
    known = np.isfinite(table["orientation_deg"])
    angles = 90 + np.degrees([p.orientation for p in props])
    assert np.abs((table["orientation_deg"] - angles + 90) % 180 - 90)[known].max() < 1e-6


def test_values_of_a_volume_are_those_of_scikit_image():
    rng = np.random.default_rng(0)
    labels = np.zeros((12, 40, 40), np.uint16)
    for number in range(1, 20):
        z, y, x = rng.integers(0, (9, 30, 30))
        labels[z : z + rng.integers(3, 9), y : y + rng.integers(3, 9), x : x + rng.integers(3, 9)] = 7 * number
    table = nu.measure(labels, pixel_size=(2.0, 0.5, 0.5))
    props = regionprops(labels, spacing=(2.0, 0.5, 0.5))
    plain = regionprops(labels)
    assert np.array_equal(table["volume_voxels"], [p.area for p in plain])
    for column, values in {
        "volume_um3": [p.area for p in props],
        "equivalent_diameter_um": [p.equivalent_diameter_area for p in props],
        "major_axis_um": [p.axis_major_length for p in props],
        "minor_axis_um": [p.axis_minor_length for p in props],
        "centroid_z_px": [p.centroid[0] for p in plain],
        "centroid_x_um": [p.centroid[2] for p in props],
    }.items():
        np.testing.assert_allclose(table[column], values, rtol=1e-6, err_msg=column)
    assert np.array_equal(table["bbox_z_max_px"], [p.bbox[3] for p in plain])
    assert not any(name.startswith(("area", "perimeter", "solidity")) for name in table.names)


def test_a_square_is_what_it_is():
    labels = np.zeros((12, 14), np.uint8)
    labels[2:8, 3:9] = 1
    table = nu.measure(labels, pixel_size=0.5, name="square")
    (row,) = table.rows()
    assert row["image"] == "square"
    assert (row["area_px"], row["area_um2"]) == (36, 9.0)
    assert (row["centroid_y_um"], row["centroid_x_um"]) == (4.5 * 0.5, 5.5 * 0.5)
    assert row["perimeter_um"] == pytest.approx(20 * 0.5)
    assert row["equivalent_diameter_um"] == pytest.approx(2 * math.sqrt(9 / math.pi))
    assert (row["eccentricity"], row["solidity"], row["neighbours"], row["touches_border"]) == (0, 1, 0, False)
    assert math.isnan(row["orientation_deg"])  # it has no longer side


def test_a_disc_is_round():
    (row,) = nu.measure(disc(20), pixel_size=0.1).rows()
    assert row["area_um2"] == pytest.approx(math.pi * 2**2, rel=0.01)
    assert row["major_axis_um"] == pytest.approx(4, rel=0.01)
    assert row["minor_axis_um"] == pytest.approx(4, rel=0.01)
    assert row["eccentricity"] < 0.1
    assert row["circularity"] > 0.9
    assert row["solidity"] > 0.96


@pytest.mark.parametrize(("angle", "step"), [(0, (0, 1)), (45, (-1, 1)), (90, (1, 0)), (135, (1, 1))])
def test_orientation_is_counterclockwise_from_the_x_axis(angle, step):
    labels = np.zeros((21, 21), np.uint8)
    for number in range(-8, 9):
        labels[10 + step[0] * number, 10 + step[1] * number] = 1
    assert nu.measure(labels)["orientation_deg"][0] == pytest.approx(angle)


def test_a_pixel_that_is_not_square_is_reckoned_with():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:15, 5:25] = 1  # 10 high and 20 wide in pixels, as high as wide in micrometres
    table = nu.measure(labels, pixel_size=(2.0, 1.0))
    assert table["area_um2"][0] == 400
    assert table["eccentricity"][0] < 0.15
    assert table["major_axis_px"][0] == pytest.approx(2 * table["minor_axis_px"][0], rel=0.02)
    assert math.isnan(table["perimeter_um"][0])
    assert math.isnan(table["circularity"][0])
    assert "not square" in table.notes[0]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5)])
def test_the_surface_of_a_ball(spacing):
    radius = 10
    grid = np.meshgrid(*(np.arange(-radius - s, radius + 1.1 * s, s) for s in spacing), indexing="ij")
    ball = (sum(g**2 for g in grid) <= radius**2).astype(np.uint8)
    (row,) = nu.measure(ball, pixel_size=spacing).rows()
    assert row["surface_um2"] == pytest.approx(4 * math.pi * radius**2, rel=0.02)
    assert row["volume_um3"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.02)
    assert row["sphericity"] > 0.98
    assert row["middle_axis_um"] == pytest.approx(20, rel=0.01)


def test_the_directions_of_lines_have_the_known_shares():
    """As D. Legland tells them for cubic voxels: to faces, edges and corners."""
    assert sorted(set(np.round(_shares((1.0, 1.0, 1.0)), 3))) == pytest.approx([0.070, 0.074, 0.092], abs=0.001)


def test_the_surface_of_a_cube_along_the_axes_is_the_worst_case():
    cube = np.pad(np.ones((20, 20, 20), np.uint8), 2)
    (row,) = nu.measure(cube).rows()
    assert 0.88 * 6 * 20**2 < row["surface_px"] < 6 * 20**2
    assert row["sphericity"] < 0.9


# -- neighbours and borders --------------------------------------------------------------------------------------------


def test_neighbours_touch_by_edges_and_corners():
    labels = np.array([[1, 1, 0, 5], [2, 3, 0, 5], [0, 0, 4, 0], [9, 0, 0, 0]])
    table = nu.measure(labels)
    assert dict(zip(table["label"].tolist(), table["neighbours"].tolist(), strict=True)) == {
        1: 2, 2: 2, 3: 3, 4: 2, 5: 1, 9: 0,
    }  # fmt: skip


def test_neighbours_within_a_distance():
    labels = np.zeros((20, 60), np.int64)
    for number, x in enumerate((0, 10, 24, 40)):
        labels[5:15, x : x + 6] = (number + 1) * 2**40  # gaps of 4, 8 and 10 pixels
    assert nu.measure(labels)["neighbours"].tolist() == [0, 0, 0, 0]
    assert nu.measure(labels, neighbour_distance=4)["neighbours"].tolist() == [1, 1, 0, 0]
    assert nu.measure(labels, neighbour_distance=8)["neighbours"].tolist() == [1, 2, 1, 0]
    assert nu.measure(labels, neighbour_distance=100)["neighbours"].tolist() == [1, 2, 2, 1]  # not past another one


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("gap", range(1, 6))
def test_every_gap_is_as_wide_as_it_is(axis, gap):
    labels = np.zeros((12, 12, 12), np.int32)
    first, second = [slice(4, 8)] * 3, [slice(4, 8)] * 3
    first[axis], second[axis] = slice(0, 3), slice(3 + gap, 12)
    labels[tuple(first)], labels[tuple(second)] = 1, 2
    for what in (labels, labels[:, 6]) if axis != 1 else (labels,):
        for distance in (gap - 1, gap - 0.1, gap, gap + 1):
            near = nu.measure(what, neighbour_distance=max(0, distance))["neighbours"].tolist()
            assert near == ([1, 1] if distance >= gap else [0, 0]), (what.shape, distance)


def test_neighbours_in_volumes_touch_across_slices():
    labels = np.zeros((3, 8, 8), int)
    labels[0, 2:5, 2:5], labels[1, 5:7, 5:7], labels[2, 0, 0] = 1, 2, 3
    assert nu.measure(labels)["neighbours"].tolist() == [1, 1, 0]
    assert nu.measure(labels, slices=True)["neighbours"].tolist() == [0, 0, 0]


def test_touching_the_border():
    labels = np.zeros((4, 9, 9), int)
    labels[1:3, 0, 4], labels[1:3, 4, 4], labels[0, 6, 6] = 1, 2, 3
    assert nu.measure(labels)["touches_border"].tolist() == [True, False, True]
    assert nu.measure(labels, slices=True)["touches_border"].tolist() == [False, True, False, True, False]


# -- axes, channels, state ---------------------------------------------------------------------------------------------


def test_time_points_and_slices(cells):
    labels, image = cells
    movie = np.stack([labels, np.where(labels > 3, labels, 0), np.zeros_like(labels)])
    table = nu.measure(movie, np.stack([image] * 3), axes="TYX")
    alone = nu.measure(labels, image)
    n = len(alone)
    assert table["time"].tolist() == [0] * n + [1] * (n - 3)
    for name in alone.names[1:-6]:
        np.testing.assert_array_equal(table[name][:n], alone[name], err_msg=name)
    by_slice = nu.measure(movie, axes="ZYX", slices=True)
    assert by_slice["slice"].tolist() == table["time"].tolist()
    assert "time" not in by_slice
    assert np.array_equal(by_slice["area_px"], table["area_px"])
    assert len(nu.measure(movie, axes="ZYX")) == n  # one object through all slices


def test_axes_in_any_order(cells):
    labels, image = cells
    swapped = nu.measure(labels.T, image.T, axes="XY")
    for name, values in nu.measure(labels, image).columns.items():
        np.testing.assert_array_equal(swapped[name], values, err_msg=name)


def test_channels_have_their_names(cells):
    labels, image = cells
    two = np.stack([image, image + 5])
    named = nu.measure(labels, two, channels=["DAPI 405", "GFP"])
    assert np.allclose(named["intensity_mean_GFP"], named["intensity_mean_DAPI_405"] + 5)
    assert "intensity_mean_channel1" in nu.measure(labels, two)
    assert "intensity_sum_green" in nu.measure(labels, Image(np.stack([image] * 3, -1), "YXC"))
    assert "intensity_max_a_1" in nu.measure(labels, two, channels=["a", "a"])
    assert "intensity_mean_x" in nu.measure(labels, Image(image, "YX", channel_names=("x",)))
    with pytest.raises(ImageError, match="2 channels; got 3"):
        nu.measure(labels, two, channels=["a", "b", "c"])


def test_the_state_is_that_of_the_pixels():
    labels = np.zeros((10, 10), int)
    labels[0:2], labels[3:5], labels[6:8] = 1, 2, 3
    origin = np.ones((10, 10), np.uint8)
    origin[3, 0] = 2
    origin[6:8, :6] = 3
    assert nu.measure(labels, provenance=origin)["state"].tolist() == ["predicted", "corrected", "reviewed"]
    with pytest.raises(LabelsError, match="one shape"):
        nu.measure(labels, provenance=origin[:5])


def test_classes_are_measured_piece_by_piece():
    classes = np.array([[1, 1, 0, 2], [0, 0, 2, 0], [1, 0, 0, 1]])
    table = nu.measure(classes, task="semantic")
    assert table["class"].tolist() == [1, 1, 1, 2]
    assert table["label"].tolist() == [1, 2, 3, 4]
    assert table["area_px"].tolist() == [2, 1, 1, 2]
    assert nu.measure(classes)["area_px"].tolist() == [4, 2]


def test_pixel_sizes_of_labels_and_image_that_differ_are_told(cells):
    labels, image = cells
    ours, theirs = (PixelSize(size, size) for size in (0.5, 0.6))
    table = nu.measure(Image(labels, "YX", ours, name="l"), Image(image, "YX", theirs, name="i"))
    assert table["area_um2"][0] == table["area_px"][0] * 0.25
    assert "different pixel sizes" in table.notes[0]
    assert nu.measure(Image(labels, "YX", ours), Image(image, "YX", theirs), pixel_size=1).notes == ()


class Frames:
    """A stack that is made frame by frame, and remembers the largest part that was asked for."""

    def __init__(self, n):
        self.shape, self.dtype, self.largest = (n, 64, 64), np.dtype(np.uint16), 0

    def __getitem__(self, index):
        part = np.zeros(self.shape, self.dtype)[index]
        part[..., 5:20, 5:20] = 3
        self.largest = max(self.largest, part.size)
        return part


def test_one_time_point_is_read_at_a_time():
    frames = Frames(50)
    seen = []
    table = nu.measure(frames, axes="TYX", progress=seen.append)
    assert len(table) == 50
    assert frames.largest == 64 * 64
    assert [p.done for p in seen] == list(range(1, 51))
    nu.measure(frames, axes="ZYX", slices=True)
    assert frames.largest == 64 * 64


def test_lazy_arrays(cells):
    labels, image = cells
    movie = da.from_array(np.stack([labels] * 3), chunks=(1, 100, 100))
    table = nu.measure(movie, da.from_array(np.stack([image] * 3)), axes="TYX")
    assert len(table) == 3 * len(nu.measure(labels))


def test_it_can_be_stopped():
    token = CancelToken()
    with pytest.raises(Cancelled):
        nu.measure(np.zeros((5, 9, 9), int), axes="TYX", cancel=token, progress=lambda _: token.cancel())


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9, 9), (3, 9, 9)])
def test_nothing_to_measure_gives_all_columns(shape):
    full = np.zeros(shape, int)
    full[..., 2:5, 2:5] = 1
    empty = nu.measure(np.zeros(shape, int), np.zeros(shape), pixel_size=(1, 1, 1))
    assert len(empty) == 0
    assert empty.names == nu.measure(full, full, pixel_size=(1, 1, 1)).names
    assert empty.to_csv().count("\n") == 1
    assert len(summarize(empty)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (2, 1, 1), (1, 7)])
def test_the_smallest_images(shape):
    labels = np.ones(shape, np.uint8)
    (row,) = nu.measure(labels, labels, pixel_size=(1, 1, 1)).rows()
    assert row["touches_border"] is True
    assert row["intensity_std"] == 0


def test_objects_of_one_pixel():
    labels = np.diag(np.arange(1, 8))
    table = nu.measure(labels, labels.astype(float), pixel_size=1)
    assert table["area_px"].tolist() == [1] * 7
    assert table["major_axis_px"].tolist() == [0] * 7
    assert table["solidity"].tolist() == [1] * 7
    assert table["eccentricity"].tolist() == [0] * 7
    assert np.isnan(table["circularity"]).all()  # scikit-image gives them no perimeter
    assert table["intensity_mean"].tolist() == list(range(1, 8))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.uint64, np.float32, np.float64])
def test_labels_of_every_type(dtype):
    labels = disc(5).astype(dtype)
    assert nu.measure(labels)["area_px"][0] == 81


@pytest.mark.parametrize("value", [2**24 + 1, 2**31, 2**32 + 5, 2**62])
def test_large_ids(value):
    labels = disc(5).astype(np.int64) * value
    labels[5, 5] = 3
    assert nu.measure(labels)["label"].tolist() == [3, value]
    assert nu.measure(labels)["neighbours"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.full((3, 3), 0.5), "not whole"),
        (np.full((3, 3), np.nan), "not whole"),
        (np.full((3, 3), np.inf), "not whole"),
        (np.full((3, 3), -1), "negative"),
        (np.full((3, 3), 2**63, np.uint64), "numbers from 0 to"),
        (np.full((3, 3), 1e300), "numbers from 0 to"),
    ],
)
def test_labels_that_are_none(labels, text):
    with pytest.raises(LabelsError, match=text):
        nu.measure(labels)


def test_images_that_do_not_fit():
    labels = np.ones((8, 9), int)
    with pytest.raises(LabelsError, match=r"8×9.*7×9"):
        nu.measure(labels, np.zeros((7, 9)))
    with pytest.raises(LabelsError, match=r"labels has 8×9 \(YX\), small.tif has 7×9"):
        nu.measure(labels, Image(np.zeros((7, 9)), "YX", name="small.tif"))
    with pytest.raises(ImageError, match="image_axes"):
        nu.measure(np.ones((3, 3), int), np.zeros((3, 3, 3)))
    assert len(nu.measure(np.ones((3, 3), int), np.zeros((3, 3, 3)), image_axes="CYX")) == 1
    with pytest.raises(LabelsError, match="3 channels"):
        nu.measure(Image(np.zeros((4, 4, 3), int), "YXC"))
    with pytest.raises(ImageError):
        nu.measure(np.ones((2, 2, 2, 2, 2, 2), int))
    with pytest.raises(ImageError, match="complex"):
        nu.measure(labels, np.zeros((8, 9), complex))


@pytest.mark.parametrize("distance", [-1, math.nan, math.inf, 1e9, "4"])
def test_parameters_out_of_range(distance):
    with pytest.raises(ImageError, match="0 to 1000"):
        nu.measure(disc(3), neighbour_distance=distance)
    with pytest.raises(LabelsError, match="instances and semantic"):
        nu.measure(disc(3), task="magic")


def test_grey_values_that_are_not_finite_are_left_out_and_told():
    labels = np.array([[1, 1, 1, 0], [2, 2, 0, 0], [3, 3, 3, 3]])
    image = np.array([[1, np.nan, 3, np.inf], [np.nan, np.inf, 0, 0], [5, 6, 7, -np.inf]])
    table = nu.measure(labels, image)
    np.testing.assert_array_equal(table["intensity_mean"], [2, np.nan, 6])
    np.testing.assert_array_equal(table["intensity_sum"], [4, np.nan, 18])
    np.testing.assert_array_equal(table["intensity_min"], [1, np.nan, 5])
    np.testing.assert_array_equal(table["intensity_max"], [3, np.nan, 7])
    assert "4 values in objects are not finite" in table.notes[0]


def test_deviations_of_large_values_lose_no_digits():
    labels = np.ones((50, 50), int)
    image = 1e8 + np.random.default_rng(0).normal(size=(50, 50))
    assert nu.measure(labels, image)["intensity_std"][0] == pytest.approx(image.std(), rel=1e-6)


# -- summaries ---------------------------------------------------------------------------------------------------------


def test_a_summary_has_a_row_an_image():
    from napari_unet.objects.table import concatenate

    labels = np.zeros((9, 30), int)
    labels[2:4, 2:4], labels[2:6, 10:14], labels[2:5, 20:24] = 1, 2, 3
    tables = [nu.measure(labels, labels, name="b"), nu.measure((labels == 1) * 1, labels, name="a")]
    found = summarize(concatenate(tables), images=["b", "none", "a"])
    assert found["image"].tolist() == ["b", "none", "a"]
    assert found["objects"].tolist() == [3, 0, 1]
    np.testing.assert_allclose(found["area_px_mean"], [32 / 3, np.nan, 4])
    np.testing.assert_allclose(found["area_px_median"], [12, np.nan, 4])
    np.testing.assert_allclose(found["area_px_std"], [np.std([4, 16, 12], ddof=1), np.nan, np.nan])
    assert "intensity_mean_median" in found
    assert "label_mean" not in found


DOCUMENT = Path(__file__).parents[2] / "docs" / "measurements.md"


@pytest.mark.skipif(not DOCUMENT.exists(), reason="not run from the source tree")
@pytest.mark.parametrize("shape", [(9, 9), (3, 9, 9)])
def test_every_column_is_documented(shape):
    labels = np.ones(shape, int)
    table = nu.measure(labels, labels, pixel_size=(1, 1, 1), provenance=labels)
    words = set(re.findall(r"\w+", DOCUMENT.read_text()))
    for name in table.names:
        base = re.sub(r"_(px|um|um2|um3|voxels|deg)$", "", name)
        base = re.sub(r"^(middle|minor)_axis$", r"\1_axis_", base)
        base = re.sub(r"^bbox_.*", "bbox_y_min", base)
        base = re.sub(r"^intensity_(.*)", r"_\1", base).replace("_mean", "intensity_mean")
        assert any(word == base or word.startswith(f"{base}_") for word in words), name
