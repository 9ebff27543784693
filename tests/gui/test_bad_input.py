"""Input that cannot be used, or hardly: a sentence in the window, and nothing done so far is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.layers.preferences import DEFAULTS
from napari_unet_benchmarks.hand import NO_KEY

SHIFT = Qt.KeyboardModifier.ShiftModifier

ADVICE = (
    "Open", "open", "Choose", "choose", "Press", "press", "Paint", "needed", "Take", "take", "Convert", "convert",
)  # fmt: skip
"""A sentence that says what to do has one of these."""


@pytest.fixture
def said(widget: Any) -> Any:
    """Check that the last message is an error that says what to do, and stands in the window; return it."""

    def last(advice: bool = True) -> str:
        message = widget.messages[-1]
        assert message.level == "error"
        assert widget.status.text() == message.text
        assert message.text.endswith(".")
        assert not advice or any(word in message.text for word in ADVICE), message.text
        assert "Error" not in message.text
        assert "Traceback" not in message.text
        return str(message.text)

    return last


# -- no image, no usable image ---------------------------------------------------------------------------------------


def test_no_layer_at_all(widget, click, said):
    assert widget.image_panel.image.currentText() == "no image open"
    click(widget.segment_panel.button)
    assert said().startswith("There is no image to segment.")


def test_image_taken_away_again(widget, viewer, squares, click, said):
    viewer.add_image(squares(), name="image")
    viewer.layers.clear()
    assert widget.image_panel.image.currentText() == "no image open"
    click(widget.segment_panel.button)
    assert said().startswith("There is no image to segment.")


def test_labels_layer_for_an_image(widget, viewer, squares, click, said):
    viewer.add_labels(squares(), name="masks")
    click(widget.segment_panel.button)
    assert said().startswith("'masks' is no image layer.")
    assert "Convert to Image" in said()
    assert len(viewer.layers) == 1


def test_labels_layer_selected_beside_an_image(widget, viewer, squares, click, wait_idle):
    viewer.add_image(squares(), name="image")
    viewer.add_labels(squares(), name="masks")
    assert widget.image_panel.image.currentText() == "image"
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")


@pytest.mark.parametrize("kind", ["points", "shapes", "vectors"])
def test_layers_of_other_kinds(widget, viewer, click, said, kind):
    getattr(viewer, f"add_{kind}")(name="other")
    click(widget.segment_panel.button)
    assert said() == "'other' is no image layer. Open an image and select it."


@pytest.mark.parametrize("shape", [(2, 2, 2, 2, 20, 20), (1, 1, 1, 1, 2, 20, 20)])
def test_too_many_axes(widget, viewer, squares, click, said, wait_idle, shape):
    viewer.add_image(squares(), name="good")
    click(widget.segment_panel.button)
    wait_idle(widget)
    viewer.add_image(np.zeros(shape, np.uint8), name="bad")
    assert not widget.image_panel.axes.isVisible()
    assert widget.segment_panel.scope.count() == 2
    click(widget.segment_panel.button)
    assert f"{len(shape)} axes" in said()
    assert "Split Stack" in said()
    assert [layer.name for layer in viewer.layers] == ["good", "good objects", "good reviewed", "bad"]
    viewer.layers.selection.active = viewer.layers["good"]
    assert np.unique(viewer.layers["good objects"].data).size == 10


def test_one_axis(widget, viewer, click, said):
    """napari itself makes no image layer of it; a layer may still become one."""
    with pytest.raises(ValueError, match="dimension"):
        viewer.add_image(np.zeros(50))
    assert len(viewer.layers) == 0
    click(widget.segment_panel.button)
    assert said().startswith("There is no image to segment.")


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # napari divides by its length
def test_empty_stack(widget, viewer, click, said):
    """Of planes without pixels napari makes no layer, of a stack without planes it does."""
    viewer.add_image(np.zeros((0, 20, 20), np.uint8), name="nothing", contrast_limits=(0, 1))
    click(widget.segment_panel.button)
    assert "nothing is empty" in said()
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1)])
def test_smallest_images(widget, viewer, click, wait_idle, shape):
    viewer.add_image(np.full(shape, 7, np.uint8), name="small", contrast_limits=(0, 10))
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found ")
    click(widget.correct_panel.reviewed)
    assert "100%" in widget.correct_panel.counts.text()
    assert viewer.layers["small objects"].data.shape == shape


# -- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16"])
def test_types_of_pixels(widget, viewer, squares, click, wait_idle, dtype):
    viewer.add_image(squares().astype(dtype), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")


def test_complex_pixels(widget, viewer, squares, click, said):
    image = viewer.add_image(squares(), name="waves")
    with pytest.raises(TypeError, match="complex"):  # napari cannot show them, but has them now
        image.data = squares().astype(np.complex64)
    click(widget.segment_panel.button)
    assert "complex" in said()
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers(widget, viewer, squares, click, wait_idle, bad):
    data = squares().astype(np.float32)
    data[:4] = bad
    viewer.add_image(data, name="image", contrast_limits=(0, 100))
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"].data
    assert widget.status.text().startswith("Found ")
    assert len(np.unique(labels[6:])) == 10, "the squares are found all the same"
    click(widget.correct_panel.reviewed)
    widget.learn_panel.seconds.setValue(5)
    click(widget.learn_panel.button)
    click(widget.learn_panel.stop)
    wait_idle(widget)


@pytest.mark.parametrize("value", [0, np.nan])
def test_constant_images(widget, viewer, click, wait_idle, value):
    data = np.full((64, 64), value, np.float32)
    viewer.add_image(data, name="flat", contrast_limits=(0, 255))
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found ")


# -- models ----------------------------------------------------------------------------------------------------------


def test_model_of_other_channels(widget, viewer, squares, click, said, make_model, own_home, wait_idle):
    from napari_unet.models.store import save_model

    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    before = viewer.layers["image objects"].data.copy()
    save_model(make_model(in_channels=4), "four")
    assert widget.controller.choose_model("four")
    click(widget.segment_panel.button)
    assert "takes 4 channels; the image has 1" in said()
    click(widget.correct_panel.reviewed)
    click(widget.learn_panel.button)
    assert "takes 4 channels" in said()
    assert np.array_equal(viewer.layers["image objects"].data, before)


def test_volume_model_on_a_plane(widget, viewer, squares, click, said, make_model, own_home):
    from napari_unet.models.store import save_model

    viewer.add_image(squares(), name="image")
    save_model(make_model(ndim=3), "volumes")
    assert widget.controller.choose_model("volumes")
    click(widget.segment_panel.button)
    assert "no Z axis" in said()


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95pickle"])
def test_model_file_that_is_none(widget, viewer, squares, click, said, tmp_path, monkeypatch, content):
    from qtpy.QtWidgets import QFileDialog

    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(path), ""))
    box = widget.image_panel.model
    box.setCurrentIndex(box.count() - 1)
    box.textActivated.emit(box.currentText())
    assert "bad.safetensors" in widget.status.text()
    assert widget.messages[-1].level == "error"
    assert widget.controller.model.name == "tiny", "the model in use stays"
    assert box.currentText() == "tiny"


def test_model_from_a_file(widget, viewer, squares, click, wait_idle, tmp_path, monkeypatch, make_model):
    from qtpy.QtWidgets import QFileDialog

    from napari_unet.models.checkpoint import save_model_file

    path = tmp_path / "elsewhere.safetensors"
    save_model_file(make_model("elsewhere"), path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(path), ""))
    box = widget.image_panel.model
    box.setCurrentIndex(box.count() - 1)
    box.textActivated.emit(box.currentText())
    assert box.currentText() == "elsewhere"
    assert widget.controller.model.name == "elsewhere"


# -- too early, twice, too late --------------------------------------------------------------------------------------


@pytest.mark.parametrize("segmented", [False, True])
def test_learn_with_no_correction(widget, viewer, squares, click, said, wait_idle, segmented):
    if segmented:
        viewer.add_image(squares(), name="image")
        click(widget.segment_panel.button)
        wait_idle(widget)
    click(widget.learn_panel.button)
    wait_idle(widget)
    assert ("Nothing is corrected or reviewed yet" if segmented else "There is nothing to learn from yet") in said()
    assert widget.learn_panel.button.isEnabled()


def test_reviewed_before_segment(widget, viewer, squares, click, said):
    viewer.add_image(squares(), name="image")
    click(widget.correct_panel.reviewed)
    assert "Press Segment first" in said()


def test_reviewed_in_3d(widget, viewer, squares, click, wait_idle):
    viewer.add_image(squares((3, 96, 96)), name="image")
    viewer.dims.ndisplay = 3
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found ")
    click(widget.correct_panel.reviewed)
    assert "Switch to the 2D view" in widget.status.text()


def test_second_segment_while_one_runs(widget, viewer, squares, click, gate, qtbot, wait_idle, said, errors):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    assert not widget.segment_panel.button.isEnabled()
    assert not widget.controller.segment(), "by a script"
    assert "Press Stop first" in said()
    gate.let(1)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")
    assert [layer.name for layer in viewer.layers] == ["image", "image objects", "image reviewed"]


def test_second_learn_while_one_runs(widget, viewer, squares, click, qtbot, wait_idle, said):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    click(widget.correct_panel.reviewed)
    click(widget.learn_panel.button)
    assert not widget.controller.learn()
    assert "Press Stop first" in said()
    click(widget.learn_panel.stop)
    wait_idle(widget)


@pytest.mark.parametrize("which", ["image", "image objects", "both"])
def test_layer_deleted_while_it_is_segmented(
    widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle, which, errors
):
    viewer.add_image(squares(n=2), name="other")
    gate.let(9)
    click(widget.segment_panel.button)
    wait_idle(widget)
    other = viewer.layers["other objects"].data.copy()
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(2)
    qtbot.waitUntil(lambda: widget.progress.text().startswith("22%"))
    for name in ("image", "image objects") if which == "both" else (which,):
        viewer.layers.remove(name)
    gate.let(1)
    wait_idle(widget)
    assert "removed while it was being segmented" in widget.status.text()
    assert np.array_equal(viewer.layers["other objects"].data, other)
    assert widget.segment_panel.button.isEnabled()
    gate.let(9)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found ")


def test_result_of_another_image_deleted_while_one_is_segmented(
    widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle
):
    gate.let(9)
    viewer.add_image(squares(n=2), name="other")
    click(widget.segment_panel.button)
    wait_idle(widget)
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    viewer.layers.remove("other objects")
    gate.let(9)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")


def test_layer_deleted_while_it_is_learned_from(widget, viewer, squares, click, qtbot, wait_idle, errors):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    click(widget.correct_panel.reviewed)
    click(widget.learn_panel.button)
    qtbot.waitUntil(lambda: len(widget.learn_panel.plot.losses) > 1)
    viewer.layers.clear()
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert widget.controller.model.name == "tiny, corrected", "what was learned is not lost"
    assert widget.status.text().startswith(("Better: ", "In use"))
    assert errors(widget) == []


def test_counts_go_with_the_result(widget, viewer, squares, click, wait_idle):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    click(widget.correct_panel.reviewed)
    viewer.layers.remove("image objects")
    assert "Nothing corrected or reviewed yet" in widget.correct_panel.counts.text()


# -- labels that do not match the image ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(50, 50), (96, 95), (2, 96, 96)])
def test_labels_of_another_shape(widget, viewer, squares, click, wait_idle, said, shape, errors):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    labels.paint((30, 30), 50)
    wait_idle(widget)
    own = np.full(shape, 3, np.int32)
    labels.data = own
    wait_idle(widget)
    assert "Press Segment to make new ones" in said()
    for button in (widget.correct_panel.reviewed, widget.learn_panel.button):
        click(button)
        assert "Press Segment to make new ones" in said()
    viewer.layers.selection.active = viewer.layers["image"]
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")
    assert [layer.name for layer in viewer.layers] == ["image", "image objects", "image objects [1]", "image reviewed"]
    assert np.array_equal(labels.data, own), "the array that the user put there is left alone"


def test_keys_and_gestures_on_labels_of_another_shape(widget, viewer, squares, click, wait_idle, canvas, errors):
    """Each says so or does nothing; napari would show whatever else comes of it, which fails every test here."""
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.show_objects_table()
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    own = np.full((50, 50), 3, np.int32)
    labels.data = own.copy()
    wait_idle(widget)
    for tool in ("merge", "split", "add", "outline", "delete", None):
        widget.controller.gestures.choose_tool(tool)
        canvas.click(16, 16)
        canvas.drag((16, 16), (30, 30), (48, 48))
        wait_idle(widget)
    for name, key in DEFAULTS["keys"].items():
        if name not in ("show_help", "next_image", "previous_image"):
            shift, letter = key.startswith("Shift-"), key.removeprefix("Shift-")
            canvas.key(getattr(Qt.Key, f"Key_{letter}"), SHIFT if shift else NO_KEY)
            wait_idle(widget)
    widget.controller.sliders.move("sensitivity", 0.6)
    widget.controller.sliders.rest()
    wait_idle(widget)
    assert np.array_equal(labels.data, own), "the array that the user put there is left alone"
    assert any("Press Segment to make new ones" in error for error in errors(widget))


def test_labels_of_another_shape_while_it_is_segmented(
    widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle, said
):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(1)
    qtbot.waitUntil(lambda: widget.progress.text().startswith("11%"))
    viewer.layers["image objects"].data = np.zeros((50, 50), np.int32)
    gate.let(9)
    wait_idle(widget)
    assert "Press Segment to make new ones" in said()
    gate.let(9)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")


def test_image_of_another_shape(widget, viewer, squares, click, wait_idle):
    image = viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    viewer.layers["image objects"].paint((30, 30), 50)
    before = viewer.layers["image objects"].data.copy()
    image.data = squares((64, 80))
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")
    assert viewer.layers["image objects [1]"].data.shape == (64, 80)
    assert np.array_equal(viewer.layers["image objects"].data, before)


def test_image_of_another_number_of_axes(widget, viewer, squares, click, wait_idle):
    image = viewer.add_image(squares((3, 96, 96)), name="image")
    widget.controller.set_axes("TYX")
    click(widget.segment_panel.button)
    wait_idle(widget)
    image.data = squares()
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_labels_of_another_type(widget, viewer, squares, click, wait_idle, dtype):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    labels.data = labels.data.astype(dtype)
    labels.paint((30, 30), 50)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert labels.data[30, 30] == 50
    assert "1 object" in widget.correct_panel.counts.text()


def test_labels_of_a_type_too_small_for_the_result(widget, viewer, squares, click, wait_idle):
    image = viewer.add_image(squares(), name="image")
    image.data = squares((400, 400), n=3)
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    labels.data = labels.data.astype(np.uint8)
    image.data = squares((400, 400), n=17)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert len(np.unique(labels.data)) == 17 * 17 + 1
    assert "Nothing corrected" in widget.correct_panel.counts.text()
