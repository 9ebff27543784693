"""Outlines: drawn again they are the labels, and they are what GeoJSON allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.draw import polygon2mask

import napari_unet as nu
from napari_unet.errors import Cancelled, ImageError, LabelsError
from napari_unet.objects.contours import signed_area
from napari_unet.progress import CancelToken


def drawn(outlines, shape):
    """The labels that outlines of one plane are of, by the even-odd rule on the centres of pixels."""
    labels = np.zeros(shape, np.int64)
    for outline in outlines:
        mask = np.zeros(shape, bool)
        for rings in outline.polygons:
            for ring in rings:
                mask ^= polygon2mask(shape, ring - 0.5)  # scikit-image has the centres of pixels at whole numbers
        labels[mask] = outline.label
    return labels


def as_shapely(outline):
    shapely = pytest.importorskip("shapely")
    return shapely.MultiPolygon(
        [shapely.Polygon(outer[:, ::-1], [hole[:, ::-1] for hole in holes]) for outer, *holes in outline.polygons]
    )


def noise(share=0.6, shape=(40, 50), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(1, classes + 1, shape) * (rng.random(shape) < share)


def test_a_pixel_is_a_unit_square():
    (outline,) = nu.contours(np.array([[0, 0, 0], [0, 0, 7]]))
    assert (outline.label, outline.time, outline.slice) == (7, None, None)
    ((ring,),) = outline.polygons
    assert {tuple(corner) for corner in ring.tolist()} == {(1, 2), (1, 3), (2, 3), (2, 2)}
    assert signed_area(ring) == 1


def test_straight_edges_have_no_corners_on_them():
    labels = np.zeros((9, 9), int)
    labels[2:7, 1:8] = 1
    ((ring,),) = nu.contours(labels)[0].polygons
    assert len(ring) == 4


def test_a_ring_has_a_hole_and_what_is_in_the_hole_is_a_part():
    labels = np.zeros((9, 9), int)
    labels[1:8, 1:8] = 1
    labels[2:7, 2:7] = 0
    labels[4, 4] = 1
    (outline,) = nu.contours(labels)
    with_hole, alone = sorted(outline.polygons, key=len, reverse=True)
    assert [signed_area(ring) for ring in with_hole] == [49, -25]
    assert [signed_area(ring) for ring in alone] == [1]


@pytest.mark.parametrize("flip", [False, True])
def test_pixels_that_meet_in_a_corner_are_two_parts(flip):
    labels = np.eye(2, dtype=int)
    outline = nu.contours(labels[::-1] if flip else labels)[0]
    assert [len(rings) for rings in outline.polygons] == [1, 1]


def test_holes_that_meet_in_a_corner_are_two_holes():
    labels = np.ones((6, 6), int)
    labels[2, 2] = labels[3, 3] = 0
    (outline,) = nu.contours(labels)
    assert [len(rings) for rings in outline.polygons] == [3]


def test_a_hole_may_meet_the_outside_in_a_corner():
    labels = np.ones((4, 4), int)
    labels[0, 0] = labels[1, 1] = 0
    (outline,) = nu.contours(labels)
    assert [[signed_area(ring) for ring in rings] for rings in outline.polygons] == [[15, -1]]
    assert as_shapely(outline).is_valid


@settings(deadline=None, max_examples=200)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 2)))
def test_outlines_drawn_again_are_the_labels(labels):
    outlines = nu.contours(labels)
    assert np.array_equal(drawn(outlines, labels.shape), labels)
    assert [outline.label for outline in outlines] == [n for n in np.unique(labels) if n]
    for outline in outlines:
        assert all(signed_area(rings[0]) > 0 for rings in outline.polygons)
        assert all(signed_area(hole) < 0 for rings in outline.polygons for hole in rings[1:])
        shape = as_shapely(outline)
        assert shape.is_valid
        assert shape.area == (labels == outline.label).sum()


def test_real_cells(nuclei_crop):
    from skimage.measure import label as connected

    labels = connected(nuclei_crop > nuclei_crop.mean())
    assert np.array_equal(drawn(nu.contours(labels), labels.shape), labels)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.5, 10.0])
def test_simplified_outlines_are_valid_and_near(tolerance):
    for seed in range(5):
        labels = noise(seed=seed, share=0.8, classes=1 + seed % 2)
        exact, simple = nu.contours(labels), nu.contours(labels, tolerance=tolerance)
        for before, after in zip(exact, simple, strict=True):
            assert sum(len(r) for p in after.polygons for r in p) <= sum(len(r) for p in before.polygons for r in p)
            old, new = as_shapely(before), as_shapely(after)
            for one, two in zip(old.geoms, new.geoms, strict=True):
                assert two.is_valid
                assert one.exterior.hausdorff_distance(two.exterior) <= tolerance + 1e-6


def test_simplified_outlines_have_fewer_corners():
    yy, xx = np.mgrid[:80, :80]
    labels = ((yy - 40) ** 2 + (xx - 40) ** 2 < 900).astype(int)
    sizes = [len(nu.contours(labels, tolerance=t)[0].polygons[0][0]) for t in (0, 0.5, 1, 3)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 100 > 40 > sizes[2]


def test_time_points_and_slices():
    labels = np.zeros((2, 3, 8, 8), int)
    labels[0, 1, 2:4, 2:4], labels[1, 2, 5:7, 5:7] = 4, 5
    found = nu.contours(labels)
    assert [(o.label, o.time, o.slice) for o in found] == [(4, 0, 1), (5, 1, 2)]
    assert [(o.time, o.slice) for o in nu.contours(labels[0], axes="TYX")] == [(1, None)]
    assert np.array_equal(drawn(found[:1], (8, 8)), labels[0, 1])
    turned = nu.contours(labels.transpose(3, 2, 1, 0), axes="XYZT")
    assert [(o.label, o.time, o.slice) for o in turned] == [(4, 0, 1), (5, 1, 2)]


def test_it_can_be_stopped():
    token = CancelToken()
    with pytest.raises(Cancelled):
        nu.contours(np.ones((5, 4, 4), int), cancel=token, progress=lambda _: token.cancel())


@pytest.mark.parametrize("dtype", [bool, np.uint16, np.float32, np.int64])
def test_labels_of_every_type(dtype):
    assert nu.contours(np.ones((3, 3), dtype))[0].label == 1


def test_bad_input():
    assert nu.contours(np.zeros((5, 5), int)) == []
    assert nu.contours(np.full((2, 2), 2**40))[0].label == 2**40
    with pytest.raises(LabelsError):
        nu.contours(np.full((3, 3), 0.5))
    for tolerance in (-1, np.nan, 1e6, "a"):
        with pytest.raises(ImageError, match="0 to 100"):
            nu.contours(np.ones((3, 3), int), tolerance=tolerance)
