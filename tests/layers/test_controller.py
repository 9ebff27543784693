"""The controller without a window."""

from __future__ import annotations

from functools import cache
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image as ImageLayer

from hand_made import bright, squares
from napari_unet.errors import UNetError
from napari_unet.inference import task, tile_runner
from napari_unet.io import spill
from napari_unet.layers.controller import Controller
from napari_unet.layers.image import adapter
from napari_unet.layers.inference.viewport import ordered_subimages
from napari_unet.layers.jobs import InlineRunner, in_words
from napari_unet.models.store import load_model, save_model
from napari_unet.tiling import budget, throughput


def ids(layer: Any) -> set[int]:
    return set(np.unique(layer.data).tolist()) - {0}


# -- segment, correct, learn -----------------------------------------------------------------------------------------


def test_segment_correct_learn_and_back(viewer, controller):
    viewer.add_image(squares(), name="image")
    assert controller.segment()
    labels = viewer.layers["image objects"]
    assert len(ids(labels)) == 3
    labels.data[10:20, 10:20] = 9
    controller.workspace.learning_seconds = 1
    steps = []
    controller.workspace.stepped.connect(steps.append)
    assert controller.learn()
    assert len(steps) == controller.model.info.recipe["steps"] > 0
    assert controller.model.name == "bright, corrected"
    assert controller.model.info.parent.startswith("bright (sha256 ")
    assert controller.can_revert
    controller.revert()
    assert controller.model.name == "bright"
    assert not controller.can_revert
    assert (labels.data[10:20, 10:20] == 9).all()
    assert [message.level for message in controller.messages].count("error") == 0


def test_a_better_model_finds_more_and_keeps_what_was_painted(viewer, controller):
    viewer.add_image(squares(), name="image")
    controller.segment()
    labels = viewer.layers["image objects"]
    before = labels.data.copy()
    labels.data[30:34, 30:34] = 77
    controller.choose_model("sensitive")
    controller.segment()
    assert len(ids(labels)) == 5
    assert (labels.data[30:34, 30:34] == 77).all()
    for label in ids(labels) & set(np.unique(before)):
        assert np.array_equal(labels.data == label, before == label), "an object keeps its id, and its colour"


def test_the_seconds_are_told_as_soon_as_they_are_known(viewer, controller, monkeypatch, timed_at_once):
    monkeypatch.setattr(throughput, "throughput_of", cache(throughput.throughput_of.__wrapped__))
    for module in (task, tile_runner):
        monkeypatch.setattr(module, "throughput_of", throughput.throughput_of)
    monkeypatch.setattr(budget, "MAX_PIXELS", dict.fromkeys((2, 3), 1))
    viewer.add_image(squares((400, 400)), name="image")
    for _ in range(2):
        controller.segment()
    said = [message.text for message in controller.messages if message.text.startswith("Segmenting")]
    assert ["about" in text for text in said] == [False, True, True], said


def test_what_is_none_of_the_choices_is_refused_in_words(viewer, controller):
    viewer.add_image(squares(), name="image")
    assert not controller.segment("all")
    told = "How much is segmented is 'all'; it must be 'stack', 'slice' or 'view'."
    assert (controller.messages[-1].level, controller.messages[-1].text) == ("error", told)
    controller.segment()
    controller.toggle_reviewed("all")
    told = "What is reviewed is 'all'; it must be 'view', 'slice' or 'object'."
    assert (controller.messages[-1].level, controller.messages[-1].text) == ("error", told)
    assert controller.session.summary.reviewed_share == 0


def test_reviewed_field_is_held_against_a_better_model(viewer, controller):
    viewer.add_image(squares(), name="image")
    controller.segment()
    controller.toggle_reviewed()
    assert controller.session.summary.reviewed_share == 1
    before = viewer.layers["image objects"].data.copy()
    controller.choose_model("sensitive")
    controller.segment()
    assert np.array_equal(viewer.layers["image objects"].data, before)


# -- images of all kinds ---------------------------------------------------------------------------------------------


SWAPPED = pytest.param(
    ">f4", marks=pytest.mark.skipif(np.__version__ < "2", reason="before NumPy 2 napari draws no thumbnail of it")
)


def test_scripts_hear_what_the_window_says(controller):
    heard = []
    controller.said.connect(heard.append)
    controller.say("Done.", details="In 3 s.")
    assert [(message.text, message.details) for message in heard] == [("Done.", "In 3 s.")]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "uint64", "float16", "float64", ">u2", SWAPPED])
def test_types_of_pixels(viewer, controller, dtype):
    data = squares() > 0.5 if dtype == "bool" else (100 * squares()).astype(dtype)
    viewer.add_image(data, name="image")
    assert controller.segment()
    assert len(ids(viewer.layers["image objects"])) == 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (1, 1, 1), (1, 1, 5, 5), (1, 1, 1, 1, 1)])
def test_smallest_images(viewer, controller, shape):
    viewer.add_image(np.full(shape, 7, np.uint8), name="small", contrast_limits=(0, 10))
    assert controller.segment()
    assert controller.messages[-1].text.startswith("Found ")
    assert viewer.layers["small objects"].data.size == np.prod(shape)
    controller.toggle_reviewed()
    assert controller.session.summary.reviewed_share == 1


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 3, 64, 64), (2, 2, 3, 64, 64)])
def test_numbers_of_axes(viewer, controller, shape):
    viewer.add_image(squares(shape), name="image")
    assert controller.segment()
    assert controller.session.labels.any(axis=(2, 3)).all(), "every plane has its labels"


@pytest.mark.parametrize("value", [0, 255, 1e30, np.nan, np.inf])
def test_constant_images(viewer, controller, value):
    viewer.add_image(np.full((64, 64), value, np.float32), name="flat", contrast_limits=(0, 255))
    assert controller.segment()
    why = "All pixels in view have the same value" if np.isfinite(value) else "No pixel in view is a number"
    assert controller.messages[-1].text.startswith(f"Found 0 objects. {why}")
    assert controller.messages[-1].level == "warning"


def test_nothing_found_is_told_with_what_may_help(viewer, controller):
    save_model(bright(threshold=9.0), "blind")
    controller.choose_model("blind")
    viewer.add_image(squares(), name="image")
    assert controller.segment()
    assert controller.messages[-1].text.startswith("Found 0 objects. If there are some, try Which model?, or")
    assert controller.messages[-1].level == "warning"


def test_how_napari_shows_an_image_does_not_matter(viewer, controller):
    viewer.add_image(squares(), name="image", contrast_limits=(0.9, 0.91), gamma=0.2, colormap="magma")
    controller.segment()
    assert len(ids(viewer.layers["image objects"])) == 3


# -- generations -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(budget.MAX_PIXELS, 2, 3_000)
    monkeypatch.setattr(budget, "MIN_PIXELS", 3_000)


def test_late_events_of_an_older_generation_are_dropped(viewer, later, tiles):
    runner = later.runner
    viewer.add_image(squares(), name="image")
    later.segment()
    runner.step(n=1)
    labels = viewer.layers["image objects"]
    running, progress = [], []
    later.workspace.segmenting.connect(running.append)
    assert later.choose_model("sensitive")
    assert running == [False]
    assert runner.jobs[0].job.cancel.cancelled
    later.segment()
    later.workspace.progressed.connect(progress.append)
    runner.finish(1)
    after = labels.data.copy()
    assert len(ids(labels)) == 4
    n = len(progress)
    late = _without_cancel(runner.jobs[0])
    for event in late:
        runner.jobs[0].tell(event)
    runner.jobs[0].end(None)
    assert late
    assert np.array_equal(labels.data, after)
    assert len(progress) == n
    assert running == [False, True, False]


def _without_cancel(started: Any) -> list[Any]:
    """Return what a job still has to tell, as if it had not heard of its end."""
    started.job.cancel._event.clear()
    return list(started.events)


def test_nothing_is_told_after_close(viewer, later):
    runner = later.runner
    viewer.add_image(squares(), name="image")
    later.segment()
    said = len(later.messages)
    later.close()
    assert runner.jobs[0].job.cancel.cancelled
    for event in _without_cancel(runner.jobs[0]):
        runner.jobs[0].tell(event)
    runner.jobs[0].end(None)
    assert len(later.messages) == said
    assert not viewer.layers["image objects"].data.any()
    viewer.layers.clear()


def test_what_was_learned_for_another_model_is_kept_aside(viewer, later):
    runner = later.runner
    viewer.add_image(squares(), name="image")
    later.segment()
    runner.finish()
    later.toggle_reviewed()
    later.workspace.learning_seconds = 0.5
    later.learn()
    runner.step()
    later.choose_model("sensitive")
    runner.finish()
    assert later.model.name == "sensitive"
    assert "is in the list of the Learn panel" in later.messages[-1].text
    assert [generation.info.name for generation in later.history.generations] == ["sensitive", "bright, corrected"]
    assert later.history.current == 0
    assert not later.can_revert


def test_learning_stopped_before_its_first_step_changes_nothing(viewer, later):
    runner = later.runner
    viewer.add_image(squares(), name="image")
    later.segment()
    runner.finish()
    later.toggle_reviewed()
    model = later.model
    later.learn()
    later.stop_learning()
    runner.finish()
    assert later.model is model
    assert later.messages[-1].text == "Stopped before anything was learned. The model is unchanged."


def test_corrections_made_while_it_learns_are_not_in_its_material(viewer, later):
    runner = later.runner
    viewer.add_image(squares(), name="image")
    later.segment()
    runner.finish()
    labels = viewer.layers["image objects"]
    labels.data[0, 0] = 9
    later.learn()
    labels.data[30:40, 20:30] = 10
    runner.step()
    later.stop_learning()
    runner.finish(2)
    assert later.model.info.recipe["supervised_pixels"] < 100
    runner.finish(3)
    assert (labels.data[30:40, 20:30] == 10).all()


# -- refusals --------------------------------------------------------------------------------------------------------


def test_nothing_to_segment_review_learn_revert_or_save(viewer):
    controller = Controller(viewer, InlineRunner())
    said: list[Any] = []
    controller.workspace.said.connect(said.append)
    assert not controller.segment()
    controller.toggle_reviewed()
    assert not controller.learn()
    controller.revert()
    assert not controller.save("name")
    assert [message.level for message in said] == ["error"] * 5
    assert not controller.busy


def test_refused_segmentation_makes_no_layer(viewer, controller):
    save_model(bright(in_channels=3), "three")
    viewer.add_image(squares(), name="image")
    controller.choose_model("three")
    assert not controller.segment()
    assert "takes 3 channels; the image has 1" in controller.messages[-1].text
    assert len(viewer.layers) == 1
    assert controller.session is None


def test_unknown_model_leaves_the_one_in_use(viewer, controller):
    assert not controller.choose_model("no such")
    assert "The nearest is " in controller.messages[-1].text
    assert "There is: nuclei, " in controller.messages[-1].details
    assert controller.model.name == "bright"


def test_fault_in_a_worker_is_said_and_the_next_job_runs(viewer, controller, monkeypatch):
    from napari_unet.inference import tile_runner

    viewer.add_image(squares(), name="image")
    with monkeypatch.context() as patch:
        patch.setattr(tile_runner, "measure", lambda *args: 1 / 0)
        controller.segment()
    assert controller.messages[-1].text.startswith("An error in the plugin stopped this;")
    assert controller.messages[-1].details == "ZeroDivisionError: division by zero"
    assert not controller.busy
    assert controller.segment()
    assert controller.messages[-1].text.startswith("Found 3 objects")


def test_sentences():
    assert in_words(UNetError("Do this.", "Reasons.")) == ("Do this.", "Reasons.")
    assert "memory" in in_words(MemoryError())[0]
    assert "error in the plugin" in in_words(ValueError("x"))[0]
    assert in_words(ValueError("x"))[1] == "ValueError: x"


# -- which image -----------------------------------------------------------------------------------------------------


def test_selection_is_followed(viewer, controller):
    first, second = viewer.add_image(squares(), name="first"), viewer.add_image(squares(), name="second")
    points = viewer.add_points(name="points")
    assert controller.layer == second
    viewer.layers.selection.active = first
    controller.segment()
    result = viewer.layers["first objects"]
    viewer.layers.selection.active = second
    assert controller.session is None
    viewer.layers.selection.active = points
    assert controller.layer == second
    viewer.layers.selection.active = result
    assert controller.layer == first
    assert controller.session.labels_layer == result


def test_what_was_said_of_one_image_does_not_stay_for_another(viewer, controller):
    first = viewer.add_image(squares(), name="first")
    assert controller.messages[-1].text == "first: press Segment."
    assert controller.segment()
    assert not controller.learn()
    assert controller.messages[-1].level == "error"
    viewer.add_image(squares(), name="second")
    assert (controller.messages[-1].text, controller.messages[-1].level) == ("second: press Segment.", "info")
    viewer.layers.selection.active = first
    assert controller.messages[-1].text == "first: correct the result, or press Learn."
    controller.new_model("mine", "instances")
    viewer.add_image(squares(), name="third")
    assert controller.messages[-1].text.startswith("Paint a few whole objects")
    viewer.layers.selection.active = first
    assert controller.session is not None
    assert controller.messages[-1].text.startswith("Paint a few whole objects"), (
        "there is a layer, and nothing learned yet"
    )


def test_image_that_was_there_before(viewer):
    viewer.add_image(squares(), name="image")
    viewer.add_labels(np.zeros((4, 4), int))
    assert Controller(viewer, InlineRunner()).layer.name == "image"


def test_removed_image_gives_way_to_another(viewer, controller):
    viewer.add_image(squares(), name="first")
    viewer.add_image(squares(), name="second")
    controller.segment()
    viewer.layers.remove("second")
    assert controller.layer.name == "first"
    assert controller.session is None
    assert not controller.workspace._sessions


def test_set_axes_begins_a_new_result(viewer, controller):
    viewer.add_image(squares((3, 64, 64)), name="image")
    controller.segment()
    assert controller.session.labels.shape == (1, 3, 64, 64)
    controller.set_axes("TYX")
    assert controller.session is None
    controller.segment()
    assert controller.session.labels.shape == (3, 1, 64, 64)
    controller.set_axes("TYX")
    assert controller.session is not None, "nothing changed"


def test_multiscale_image_is_segmented_in_full_resolution(viewer, controller):
    full = squares((128, 128))
    viewer.add_image([full, full[::2, ::2]], multiscale=True, name="pyramid")
    assert controller.segment()
    assert viewer.layers["pyramid objects"].data.shape == (128, 128)
    assert controller.session.image.data.shape == (128, 128)


def test_lazy_image_is_segmented(viewer, controller):
    viewer.add_image(da.from_array(squares((2, 64, 64)), chunks=(1, 64, 64)), name="lazy")
    assert controller.segment()
    assert len(ids(viewer.layers["lazy objects"])) == 3


def test_units_in_view_first():
    image = adapter.layer_image(ImageLayer(np.zeros((3, 4, 8, 8))), "TZYX")
    units = [(unit.frame, unit.z) for unit in ordered_subimages(image, bright(), 1, 2, whole=True)]
    assert units[:4] == [(1, 2), (1, 1), (1, 3), (1, 0)]
    assert len(units) == len(set(units)) == 12
    assert [(unit.frame, unit.z) for unit in ordered_subimages(image, bright(), 1, 2, whole=False)] == [(1, 2)]


def test_a_saved_model_knows_its_fast_mode(viewer, controller):
    """It is saved at once, and again when its fast mode was measured on the image at hand."""
    viewer.add_image(np.tile(squares(), (4, 4)), name="image")
    controller.segment()
    assert controller.save("mine")
    saved = load_model("mine")
    assert saved.info.fast_mode is not None
    assert saved.info.fast_mode.labels_differing <= 1e-4
    assert controller.model.info.fast_mode == saved.info.fast_mode


def test_a_model_is_saved_without_an_image_too(viewer, controller):
    controller.choose_model("tiny")
    assert controller.save("mine")
    assert load_model("mine").info.fast_mode is None


def test_what_is_in_view_is_the_whole_slice_in_3d(viewer, controller):
    viewer.add_image(np.stack([squares()] * 3), name="image")
    viewer.dims.ndisplay = 3
    controller.workspace.scope = "view"
    assert controller.segment()
    labels = viewer.layers["image objects"].data
    assert sum(plane.any() for plane in labels) == 1


def test_a_result_too_large_for_memory_is_painted_on_disk(viewer, controller, monkeypatch, tmp_path):
    monkeypatch.setattr(spill, "MAX_MEMORY_SHARE", 0)
    monkeypatch.setattr(spill, "_folder", lambda size: tmp_path)
    viewer.add_image(squares((3, 64, 64)), name="image", scale=(3, 0.5, 0.5), units=("um", "um", "um"))
    controller.segment()
    labels = viewer.layers["image objects"]
    assert isinstance(np.asarray(labels.data).base, np.memmap)
    assert (labels.scale == (3, 0.5, 0.5)).all()
    found = np.array(labels.data)
    assert found.any()
    labels.paint((1, 30, 30), 50)
    assert labels.data[1, 30, 30] == 50
    controller.refresh_corrections(everything=True)
    assert controller.session.summary.corrected_objects == 1
    labels.undo()
    assert np.array_equal(labels.data, found)
    labels.paint((1, 30, 30), 50)
    controller.segment()
    assert labels.data[1, 30, 30] == 50, "what was painted stays"


def test_no_room_for_a_result_is_told_and_changes_nothing(viewer, controller, monkeypatch):
    monkeypatch.setattr(spill, "MAX_MEMORY_SHARE", 0)
    monkeypatch.setattr(spill.psutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    viewer.add_image(squares(), name="image")
    assert not controller.segment()
    assert "temporary files" in controller.messages[-1].text
    assert [layer.name for layer in viewer.layers] == ["image"]
    monkeypatch.undo()
    assert controller.segment()
