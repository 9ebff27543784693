"""Labelled images, checked before anything is learned from them."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.errors import LabelsError, ModelMismatchError
from napari_unet.learning.labelled import LabelledImages


def picture(shape=(20, 30), axes="YX", name="a.tif", seed=0):
    return Image(np.random.default_rng(seed).random(shape).astype(np.float32), axes, name=name)


def labels(*boxes, shape=(20, 30)):
    """Labels with the id and the corner of each square of 5 x 5."""
    found = np.zeros(shape, np.int32)
    for label, y, x in boxes:
        found[..., y : y + 5, x : x + 5] = label
    return found


def of(truth, **options):
    return LabelledImages.of([picture(truth.shape)], [truth], **options)


def test_each_piece_of_a_mask_of_two_values_is_an_object():
    mask = (labels((1, 0, 0), (1, 10, 0), (1, 10, 20)) > 0).astype(np.uint8)
    one = of(mask)
    assert one.n_objects == 3
    assert "a.tif: some ids stand in several places" in one.notes[0]
    assert np.array_equal(one.labels[0][0, 0] > 0, mask > 0)


def test_an_id_in_two_places_is_two_objects_and_others_keep_theirs():
    one = of(labels((7, 0, 0), (7, 10, 10), (9, 0, 20)))
    assert np.unique(one.labels[0]).tolist() == [0, 7, 9, 10]


def test_a_stray_stroke_is_no_object():
    truth = labels((1, 0, 0), (2, 10, 10))
    truth[18, 28] = 1
    one = of(truth)
    assert np.array_equal(one.labels[0][0, 0], truth)
    assert one.notes == ()


def test_classes_are_not_parted():
    mask = labels((1, 0, 0), (1, 10, 10))
    assert np.array_equal(of(mask, instances=False).labels[0][0, 0], mask)


def test_pixels_to_ignore_count_for_nothing():
    one = of(labels((1, 0, 0), (9, 10, 10)), ignore_label=9)
    assert one.n_objects == 1
    assert not one.supervised[0][0, 0, 12, 12]
    assert one.labels[0].max() == 1


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool, zarr.array])
@pytest.mark.parametrize(("shape", "axes"), [((20, 30), "YX"), ((2, 20, 30), "TYX")])
def test_a_mask_may_be_of_numbers(kind, shape, axes):
    mask = np.zeros(shape, np.uint8)
    mask[..., :10] = 255
    truth = np.ones(shape, int)
    given = mask.astype(kind) if isinstance(kind, type) else kind(mask)
    one = LabelledImages.of([picture(shape, axes)], [truth], supervised=[given])
    assert one.supervised[0].dtype == bool
    assert np.array_equal(one.supervised[0].reshape(shape), mask > 0)


def test_a_mask_of_shares_is_refused():
    with pytest.raises(LabelsError, match="The mask of supervised pixels of .* is of float64"):
        LabelledImages.of([picture()], [labels((1, 0, 0))], supervised=[np.full((20, 30), 0.5)])


def test_labels_of_another_size_or_number():
    with pytest.raises(LabelsError, match=r"\(3, 3\)"):
        LabelledImages.of([picture()], [np.zeros((3, 3), int)])
    with pytest.raises(LabelsError, match="2 images and 1 label"):
        LabelledImages.of([picture(), picture()], [labels()])


@pytest.mark.parametrize(("shape", "axes"), [((20, 30), "YX"), ((4, 20, 30), "TYX"), ((30, 20, 3), "XYZ")])
def test_labels_go_back_to_the_axes_of_their_image(shape, axes):
    truth = np.random.default_rng(0).integers(0, 2, shape)
    one = LabelledImages.of([picture(shape, axes)], [truth], instances=False)
    assert np.array_equal(one.as_stored(0, one.labels[0]), truth)


def test_nothing_to_learn():
    with pytest.raises(LabelsError, match="No label image holds an object"):
        of(labels()).check(bright())
    one = LabelledImages.of(
        [picture(name=n) for n in ("a", "b", "c", "d", "e")], [labels((1, 0, 0)), *[labels() for _ in range(4)]]
    )
    assert one.check(bright()) == ("b, c, d and 1 other: no object is labelled; all of it counts as background.",)


@pytest.mark.parametrize(
    ("truth", "said"), [(labels(), "one class"), (labels() + 1, "one class"), (labels((7, 0, 0)), "class 7")]
)
def test_classes_that_cannot_be_learned(truth, said):
    info = {"task": "semantic", "outputs": ("class_0", "class_1")}
    with pytest.raises(LabelsError, match=said):
        of(truth, instances=False).check(bright(**info))


def test_a_class_beside_pixels_to_ignore_is_one_class():
    info = {"task": "semantic", "outputs": ("class_0", "class_1")}
    one = of(labels((1, 0, 0)) + 8 * (labels((1, 0, 0)) == 0), ignore_label=8, instances=False)
    with pytest.raises(LabelsError, match=r"one class \(1\)"):
        one.check(bright(**info))


def test_channels_that_a_model_does_not_take():
    two = LabelledImages.of([picture((2, 20, 30), "CYX")], [labels((1, 0, 0))])
    with pytest.raises(ModelMismatchError):
        two.check(bright())


def test_digests_tell_pixels_and_labels_apart():
    first, second = (LabelledImages.of([picture(seed=s)], [labels((1, 0, 0))]).digests[0] for s in (0, 1))
    assert first[0] != second[0]
    assert first[1] == second[1]
    assert of(labels((1, 0, 0)), ignore_label=9).digests[0][1] != first[1], "the mask of what counts, too"
