"""What are the planes of a stack? Asked only where nothing says, once for a folder, until something is segmented."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from hand_made import squares


@pytest.fixture
def question(controller):
    return controller.axes_question


def stack(tmp_path, name, axes=None, n=8):
    """Write a stack whose file says what its planes are, or does not."""
    path = tmp_path / name
    data = (squares((n, 64, 64)) * 255).astype(np.uint8)
    if axes:
        tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes})
    else:
        tifffile.imwrite(path, data, photometric="minisblack", metadata=None)
    return path


def test_it_is_asked_where_nothing_says_and_answered_with_one_call(viewer, controller, question):
    viewer.add_image(squares((8, 64, 64)), name="stack")
    assert question.text == "What are the 8 planes? The image does not say."
    assert question.choices == {"Depth (Z)": "ZYX", "Time (T)": "TYX"}
    question.answer("TYX")
    assert controller.axes == "TYX"
    assert question.text == ""
    assert question.choices == {}


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "CYX"])
def test_any_answer_ends_the_question(viewer, controller, question, axes):
    viewer.add_image(squares((3, 64, 64)), name="stack")
    assert question.choices["Channels (C)"] == "CYX", "of so few planes"
    question.answer(axes)
    assert controller.axes == axes
    assert not question.text


def test_the_list_of_axes_answers_too(viewer, controller, question):
    viewer.add_image(squares((8, 64, 64)), name="stack")
    controller.set_axes("TYX")
    assert not question.text


def test_what_is_segmented_is_not_asked_about(viewer, controller, question):
    viewer.add_image(squares((3, 64, 64)), name="stack")
    controller.segment()
    assert not question.text


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (squares(), {}),
        (squares((1, 64, 64)), {}),
        (squares((2, 3, 64, 64)), {}),
        (np.zeros((64, 64, 3), np.uint8), {"rgb": True}),
        (squares((8, 64, 64)), {"axis_labels": ("t", "y", "x")}),
        ([squares((8, 64, 64)), squares((8, 32, 32))], {"multiscale": True}),
    ],
)
def test_it_is_not_asked_where_it_is_known_or_makes_no_difference(viewer, question, data, options):
    viewer.add_image(data, name="image", contrast_limits=(0, 1), **options)
    assert not question.text


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "CYX"])
def test_a_file_that_says_it_is_believed(controller, question, tmp_path, axes):
    assert controller.open([stack(tmp_path, "a.tif", axes)])
    assert controller.layer is not None
    assert not question.text


def test_an_answer_holds_for_the_folder(controller, question, tmp_path):
    (tmp_path / "other").mkdir()
    controller.open([stack(tmp_path, "a.tif")])
    assert question.text
    question.answer("TYX")
    controller.open([stack(tmp_path, "b.tif")])
    assert controller.layer.name == "b"
    assert controller.axes == "TYX"
    assert not question.text
    controller.open([stack(tmp_path / "other", "c.tif")])
    assert controller.axes == "ZYX"
    assert question.text


def test_layers_without_a_file_are_asked_about_each(viewer, controller, question):
    viewer.add_image(squares((8, 64, 64)), name="first")
    question.answer("TYX")
    viewer.add_image(squares((8, 64, 64)), name="second")
    assert question.text
    assert controller.axes == "ZYX"


def test_without_an_image_there_is_nothing_to_answer(question):
    question.answer("TYX")
    assert not question.text
