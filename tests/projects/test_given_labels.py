"""Labels from elsewhere as the start of a project: what is kept, what is changed and said, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.axes import Image
from napari_unet.errors import Cancelled, LabelsError
from napari_unet.progress import CancelToken
from napari_unet.projects.given_labels import LARGEST_ID, project_from_labels

DTYPES = [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def plane(size: int = 32) -> Image:
    return Image(np.zeros((size, size), np.uint8), "YX", name="cells")


def two(dtype: object, first: int = 3, second: int = 7) -> np.ndarray:
    labels = np.zeros((32, 32), dtype)
    labels[2:8, 2:8], labels[20:30, 20:30] = first, second
    return labels


@pytest.mark.parametrize("dtype", DTYPES)
def test_ids_of_any_type_are_kept_and_nothing_is_learned_from_them(dtype):
    labels = two(dtype)
    project = project_from_labels(plane(), labels)
    assert project.labels.dtype == np.int32
    assert np.array_equal(project.labels, labels)
    assert not np.shares_memory(project.labels, labels)
    assert not project.supervised.any()
    assert project.corrections.seen.all()
    assert project.corrections.last_id == 7
    assert project.notes == ()


def test_a_correction_of_them_is_one(tmp_path):
    project = project_from_labels(plane(), two(np.uint16))
    project.labels[2:8, 2:8] = 0
    assert project.supervised[2:8, 2:8].all()
    opened = type(project).open(project.save(tmp_path / "a.unetproj"), np.zeros((32, 32), np.uint8))
    assert opened.corrections.update(opened.image.canonical_labels(opened.labels)).corrected_objects == 1


@settings(deadline=None, max_examples=40)
@given(ids=st.lists(st.integers(1, 2**63), min_size=2, max_size=6, unique=True), seed=st.integers(0, 99))
def test_ids_that_are_too_large_get_new_ones_and_objects_stay_apart(ids, seed):
    labels = np.random.default_rng(seed).choice(np.array([0, *ids], np.uint64), (32, 32))
    found = project_from_labels(plane(), labels).labels
    pairs = set(zip(labels.ravel().tolist(), found.ravel().tolist(), strict=True))
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    assert all(new == old for old, new in pairs if old <= LARGEST_ID)
    assert (found >= 0).all()


def test_what_was_renumbered_is_said():
    project = project_from_labels(plane(), two(np.uint64, 5, 2**40))
    assert project.notes == (f"1 id above {LARGEST_ID} got new numbers, from 6 on.",)


@pytest.mark.parametrize("labels", [two(bool, 1, 1), two(np.uint8, 255, 255), two(np.int32, 1, 1)])
def test_a_mask_is_divided_into_its_pieces(labels):
    project = project_from_labels(plane(), labels)
    assert np.array_equal(project.labels, two(np.int32, 1, 2))
    assert project.notes == ("These labels were a mask: its 2 pieces are objects now.",)


def test_classes_stay_one_class():
    project = project_from_labels(plane(), two(np.uint8, 1, 1), instances=False)
    assert np.array_equal(project.labels, two(np.int32, 1, 1))


def test_pieces_of_a_series_are_other_objects_at_each_time():
    image = Image(np.zeros((2, 32, 32), np.uint8), "TYX")
    mask = np.stack([two(np.uint8, 1, 1), two(np.uint8, 1, 1)])
    assert np.unique(project_from_labels(image, mask).labels).tolist() == [0, 1, 2, 3, 4]


def test_one_object_that_is_missing_in_some_planes_is_no_mask():
    labels = np.zeros((5, 32, 32), np.uint8)
    labels[[0, 1, 4], 5:9, 5:9] = 1
    for axes in ("ZYX", "TYX"):
        assert np.array_equal(project_from_labels(Image(np.zeros((5, 32, 32), np.uint8), axes), labels).labels, labels)


def test_one_object_of_one_piece_keeps_its_id():
    labels = two(np.uint8, 9, 0)
    assert np.array_equal(project_from_labels(plane(), labels).labels, labels)


@pytest.mark.parametrize(("axes", "shape", "given"), [
    ("CYX", (3, 32, 32), (1, 32, 32)), ("ZYX", (1, 32, 32), (32, 32)), ("YX", (32, 32), (1, 1, 32, 32)),
])  # fmt: skip
def test_axes_of_length_one_may_be_missing_or_too_many(axes, shape, given):
    image = Image(np.zeros(shape, np.uint8), axes)
    project = project_from_labels(image, two(np.uint8).reshape(given))
    assert project.labels.shape == image.label_shape
    assert np.array_equal(project.labels.reshape(32, 32), two(np.uint8))


@pytest.mark.parametrize(("labels", "words"), [
    (two(np.float32), "no whole numbers \\(float32\\)"),
    (two(np.complex64), "no whole numbers"),
    (two(np.int16, -1), "negative numbers \\(-1\\)"),
    (two(np.uint8)[:31], "The labels are 31 × 32, the image 32 × 32"),
    (np.zeros((2, 32, 32), np.uint8), "The labels are 2 × 32 × 32, the image 32 × 32"),
])  # fmt: skip
def test_what_cannot_be_labels_of_the_image_is_refused_in_words(labels, words):
    with pytest.raises(LabelsError, match=words) as raised:
        project_from_labels(plane(), labels)
    assert len(str(raised.value)) <= 110


def test_a_class_that_is_too_large_is_refused():
    with pytest.raises(LabelsError, match="The largest label is 4294967296"):
        project_from_labels(plane(), two(np.int64, 1, 2**32), instances=False)


def test_copying_can_be_stopped():
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        project_from_labels(plane(), two(np.uint8), cancel=cancel)
