"""Numbers of people, files and models that make no sense are refused at once, in a sentence that says what does."""

from __future__ import annotations

import numpy as np
import pytest

import napari_unet as nu
from napari_unet.axes import Image, PixelSize, axis_letter, named_axes
from napari_unet.errors import ImageError, LearningError, ModelMismatchError, UNetError
from napari_unet.inference import task
from napari_unet.inference.task import as_image, make_task
from napari_unet.limits import bytes_in_words, check_choice, printed_dpi, within


def plane(shape=(192, 192), **known):
    return Image(np.zeros(shape, np.uint8), "YX", name="a.tif", **known)


@pytest.mark.parametrize(("value", "fits"), [(1.0, True), (16.0, True), (16.1, False), (np.float32(2), True), (3, True),
                                             (float("nan"), False), (float("inf"), False), ("2", False), (True, False),
                                             (None, False), (np.int64(5), True)])  # fmt: skip
def test_within(value, fits):
    assert within(value, (1.0, 16.0)) is fits


@pytest.mark.parametrize(("value", "fits"), [("b", True), ("B", False), (None, False), ([], False)])
def test_one_of_a_few(value, fits):
    if fits:
        check_choice(value, ("a", "b", "c"), "The letter")
        return
    with pytest.raises(UNetError) as refused:
        check_choice(value, ("a", "b", "c"), "The letter")
    assert str(refused.value) == f"The letter is {value!r}; it must be 'a', 'b' or 'c'."


@pytest.mark.parametrize(
    ("size", "dpi"), [(25_400 / 72, 72), (1e4 / 118.11, 300), (42.333, 600), (0.5, None), (42, None)]
)
def test_resolutions_of_print(size, dpi):
    assert printed_dpi(size, size) == dpi
    assert printed_dpi(size, size / 2) is None


def test_bytes_in_words():
    assert [bytes_in_words(n) for n in (512, 3.2e9, 5e14)] == ["512 bytes", "3.2 GB", "500 TB"]


@pytest.mark.parametrize(
    ("pixel_size", "said"),
    [(42.3, "352 times larger, 67680×67680 pixels"), (0.001, "120 times smaller, 2×2 pixels")],
)
def test_pixel_sizes_that_are_far_from_the_model_s(bright_model, pixel_size, said):
    model = bright_model(info={"pixel_size": (0.12, 0.12)})
    with pytest.raises(ModelMismatchError) as caught:
        make_task(plane(pixel_size=PixelSize(pixel_size, pixel_size)), model)
    text = str(caught.value)
    assert said in text
    assert f"{pixel_size:g} µm" in text
    assert "expects 0.12 µm" in text
    assert "Give a pixel size from" in text


@pytest.mark.parametrize(("diameter", "said"), [(1.2, "27 times larger, 5120×5120"), (3000, "94 times smaller, 2×2")])
def test_diameters_that_are_far_from_the_model_s(bright_model, diameter, said):
    model = bright_model(info={"diameter": 32.0})
    with pytest.raises(ModelMismatchError) as caught:
        make_task(plane(diameter=diameter), model)
    assert said in str(caught.value)
    assert "Give an object diameter from 2 to 2048." in str(caught.value)
    for allowed in (2, 2048):
        assert make_task(plane((64, 64), diameter=allowed), model).zoom


def test_a_model_that_is_used_to_an_absurd_diameter(bright_model):
    model = bright_model(info={"diameter": 10_000.0, "image_diameter": 1.0})
    with pytest.raises(
        ModelMismatchError, match=r"learned objects of 1 pixels.*10,000 times larger.*Choose another model"
    ):
        make_task(plane(), model)


def test_an_image_that_would_not_fit_in_memory_is_refused_before_any_work(bright_model, monkeypatch):
    model = bright_model(info={"diameter": 32.0})
    monkeypatch.setattr(task, "free_memory", lambda device: 10**9)
    huge = Image(np.broadcast_to(np.uint8(0), (20_000, 20_000)), "YX", name="a.tif", diameter=8)
    with pytest.raises(ImageError, match=r"80000×80000 pixels\) takes 76\.8 GB of memory; 1 GB are free"):
        make_task(huge, model)
    part = (slice(0, 100), slice(0, 100))
    assert make_task(huge, model, field=part).zoom == (4.0, 4.0)
    as_it_is = Image(huge.data, "YX", diameter=32)
    assert make_task(as_it_is, model).zoom == (1.0, 1.0)


def test_pixel_sizes_from_numbers():
    assert PixelSize.from_sequence(0.5) == PixelSize.from_sequence([0.5]) == PixelSize(0.5, 0.5)
    assert PixelSize.from_sequence(np.array([2, 0.5, 0.25])) == PixelSize(z=2.0, y=0.5, x=0.25)


def test_a_pixel_size_that_is_said_counts_for_an_image_too(bright_model):
    assert as_image(plane(), pixel_size=0.5).pixel_size == PixelSize(0.5, 0.5)


@pytest.mark.parametrize(
    "wrong",
    [{"max_seconds": float("nan")}, {"max_seconds": -1}, {"max_seconds": "1"}, {"steps": 0}, {"max_seconds": 1e9}],
)
def test_times_that_make_no_sense(bright_model, wrong):
    image, labels = np.zeros((32, 32), np.uint8), np.ones((32, 32), int)
    with pytest.raises(LearningError, match=next(iter(wrong))):
        nu.finetune(bright_model(), [image], [labels], **wrong)


@pytest.mark.parametrize(
    ("names", "axes"),
    [("tyx", "TYX"), (("time", "y", "x"), "TYX"), (("c", "row", "column"), "CYX"), (("z", None, None), "ZYX"),
     ((None, None, "c"), "YXC"), ((None, None, None), None), (("a", "y", "x"), "ZYX"), (("y", "x", "y"), None)],
)  # fmt: skip
def test_names_of_axes(names, axes):
    assert named_axes([axis_letter(name) for name in names], (3, 4, 5)) == axes


def test_arrays_that_name_their_axes_are_taken_at_their_word():
    class Named(np.ndarray):
        dims = ("time", "y", "x")

    assert as_image(np.zeros((3, 8, 8)).view(Named)).axes == "TYX"
    assert as_image(np.zeros((3, 8, 8)).view(Named), "ZYX").axes == "ZYX"
    assert as_image(np.zeros((3, 8, 8))).axes == "ZYX"
