"""Reviewed, the overlay and where to look next, in a viewer without a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from hand_made import squares
from napari_unet.guidance.ranking import CELL
from napari_unet.layers.controller import Controller
from napari_unet.layers.display.overlay import MAX_CELLS
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.jobs import InlineRunner

FAINT = 0.5
"""Value of a pixel of which the model below can say nothing."""


def bright_squares(shape: tuple[int, ...] = (64, 64)) -> np.ndarray:
    """Return four squares of one brightness."""
    return squares(shape, dim=1.0)


def with_faint(shape: tuple[int, ...], *places: tuple[int, ...]) -> np.ndarray:
    """Return an image with a square in one corner, and faint ones in the middle of cells (..., row, column)."""
    image = np.zeros(shape, np.float32)
    image[..., 2:12, 2:12] = 1
    for *plane, row, column in places:
        y, x = CELL * row + 10, CELL * column + 10
        image[(*plane, slice(y, y + 12), slice(x, x + 12))] = FAINT
    return image


def said(controller: Any) -> str:
    return str(controller.messages[-1].text)


def segmented(viewer: Any, controller: Any, data: np.ndarray, **kwargs: Any) -> Any:
    """Return the labels layer of a new image."""
    viewer.add_image(data, name="image", **kwargs)
    assert controller.segment()
    return controller.session.labels_layer


# -- reviewed --------------------------------------------------------------------------------------------------------


def test_reviewed_slice(viewer, controller):
    segmented(viewer, controller, bright_squares((3, 64, 64)))
    viewer.dims.set_current_step(0, 2)
    controller.toggle_reviewed("slice")
    reviewed = controller.session.corrections.reviewed[:, :].reshape(3, -1)
    assert reviewed.all(axis=1).tolist() == [False, False, True]
    assert not reviewed[:2].any()
    assert said(controller) == "Reviewed: all of this slice counts as right."
    controller.toggle_reviewed("slice")
    assert not controller.session.corrections.reviewed.any()
    assert said(controller) == "No longer reviewed."


def test_reviewed_object_under_the_cursor(viewer, controller):
    labels = segmented(viewer, controller, bright_squares((3, 64, 64)), scale=(4, 0.5, 0.5), translate=(0, 100, 0))
    viewer.dims.set_current_step(0, 1)
    viewer.cursor.position = (4, 100 + 45 * 0.5, 15 * 0.5)
    controller.toggle_reviewed("object")
    reviewed = controller.session.corrections.reviewed
    assert reviewed.sum() == reviewed[0, 1].sum() == reviewed[0, 1, 38:52, 8:22].sum() > 100
    assert (labels.data[1][reviewed[0, 1]] > 0).sum() == 100
    assert said(controller) == "Reviewed: this object counts as right."


@pytest.mark.parametrize("position", [(0, 30, 30), (0, -5, 3), (0, 3, 200)])
def test_nothing_under_the_cursor(viewer, controller, position):
    segmented(viewer, controller, bright_squares((3, 64, 64)))
    viewer.cursor.position = position
    controller.toggle_reviewed("object")
    assert said(controller).startswith("There is no object under the cursor.")
    assert not controller.session.corrections.reviewed.any()


def test_class_0(viewer, controller):
    assert controller.reviewer.zero_is_background is None
    segmented(viewer, controller, bright_squares())
    assert controller.reviewer.zero_is_background is None, "objects"
    controller.choose_model("classes")
    controller.segment()
    assert controller.reviewer.zero_is_background is True
    controller.reviewer.zero_is_background = False
    assert controller.reviewer.zero_is_background is False
    controller.session.labels_layer.data[:] = 0
    controller.toggle_reviewed("slice")
    material = controller.session.annotated_crops(controller.model, None)
    assert not any(one.part.mask("supervised").any() for one in material)
    controller.learn()
    assert controller.messages[-1].level == "error", "there is nothing labelled to learn from"


# -- the overlay -----------------------------------------------------------------------------------------------------


def overlay_of(viewer: Any, name: str = "image reviewed") -> Any:
    return next((layer for layer in viewer.layers if layer.name == name), None)


def test_overlay_is_seen_from_the_first_correction_on(viewer, controller):
    labels = segmented(viewer, controller, bright_squares())
    labels.mode = "paint"
    overlay = overlay_of(viewer)
    assert not overlay.visible, "it is there, so that nobody waits for it while painting"
    labels.paint((30, 30), 50)
    controller.refresh_corrections()
    assert overlay.visible
    assert isinstance(overlay, Labels)
    assert (np.asarray(overlay.data > 0) == (labels.data == 50)).all()
    assert viewer.layers.selection.active == labels
    assert labels.mode == "paint"
    assert not overlay.editable
    labels.undo()
    controller.refresh_corrections()
    assert not overlay.data.any()
    overlay.visible = False
    labels.paint((30, 30), 50)
    controller.refresh_corrections()
    assert not overlay.visible, "the user has closed its eye"


def test_overlay_tells_corrected_from_reviewed(viewer, controller):
    labels = segmented(viewer, controller, bright_squares())
    controller.toggle_reviewed()
    labels.data[30:40, 30:40] = 9
    controller.refresh_corrections()
    data = np.asarray(overlay_of(viewer).data)
    assert set(np.unique(data[31:39, 31:39])) == {1}
    assert set(np.unique(data[30, 30:40])) == {3}, "its outline"
    assert set(np.unique(data[:28])) == {2}


def test_overlay_shows_the_plane_in_view(viewer, controller):
    segmented(viewer, controller, bright_squares((3, 64, 64)), scale=(3, 1, 1))
    viewer.dims.set_current_step(0, 1)
    controller.toggle_reviewed("slice")
    overlay = overlay_of(viewer)
    assert overlay.data.all()
    for step in (0, 2):
        viewer.dims.set_current_step(0, step)
        assert not overlay.data.any()
    viewer.dims.set_current_step(0, 1)
    assert overlay.data.all()
    viewer.dims.ndisplay = 3
    assert not overlay.data.any()
    viewer.dims.ndisplay = 2
    assert overlay.data.all()
    assert not overlay.editable


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((64, 64), None), ((3, 64, 64), None), ((2, 3, 64, 64), None), ((2, 3, 64, 64), "TCYX")],
)
def test_overlay_lies_on_the_image(viewer, controller, shape, axes):
    placed = {"scale": np.linspace(0.5, 2, len(shape)), "translate": np.arange(len(shape)) * 7.0}
    image = viewer.add_image(bright_squares(shape), name="image", **placed, rotate=20 if len(shape) == 2 else None)
    if axes:
        controller.set_axes(axes)
    before = viewer.dims.range
    assert controller.segment()
    controller.toggle_reviewed("slice")
    overlay = overlay_of(viewer)
    assert overlay.data.ndim == len(shape)
    assert np.allclose(overlay.extent.world[:, -2:], image.extent.world[:, -2:])
    assert np.allclose(viewer.dims.range, before)
    corners = [np.zeros(len(shape)), np.array(shape) - 1.0]
    for corner in corners:
        cell = np.round(overlay.world_to_data(image.data_to_world(corner)), 6)
        assert (np.abs(cell[:-2]) < 0.5).all(), "all planes see the one that there is"
        assert np.allclose(cell[-2:], corner[-2:])


def test_overlay_of_a_large_image_is_coarse_and_misses_nothing(viewer, controller):
    size = 2 * MAX_CELLS + 10
    image = np.zeros((size, 300), np.float32)
    image[2:12, 2:12] = 1
    labels = segmented(viewer, controller, image)
    labels.data[-1, -1] = 9
    labels.data[1000:1200, 137] = 9  # a thin line
    controller.refresh_corrections()
    overlay = overlay_of(viewer)
    assert max(overlay.data.shape) <= MAX_CELLS
    assert (overlay.data > 0).sum() == 1 + 50
    for y, x in ((size - 1, 299), (1100, 137)):
        cell = tuple(round(v) for v in overlay.world_to_data((y, x)))
        assert overlay.data[cell], (y, x)


def test_overlay_is_switched_off_and_on(viewer, controller):
    labels = segmented(viewer, controller, bright_squares())
    controller.toggle_reviewed()
    controller.overlays.show(False)
    assert overlay_of(viewer) is None
    controller.toggle_reviewed()
    controller.toggle_reviewed()
    assert overlay_of(viewer) is None
    controller.overlays.show(True)
    assert overlay_of(viewer).data.all()
    assert viewer.layers.selection.active == labels


def test_deleting_the_overlay_switches_it_off(viewer, controller):
    segmented(viewer, controller, bright_squares())
    controller.toggle_reviewed()
    told = []
    controller.overlays.switched.connect(lambda: told.append(controller.overlays.shown))
    viewer.layers.remove(overlay_of(viewer))
    assert told == [False]
    controller.refresh_corrections()
    assert overlay_of(viewer) is None
    controller.overlays.show(True)
    assert overlay_of(viewer) is not None
    assert controller.overlays.shown


@pytest.mark.parametrize("order", [None, ["image reviewed", "image", "image objects"]])
@pytest.mark.parametrize("how", ["image", "labels", "clear", "selected"])
def test_overlay_goes_with_its_image(viewer, controller, how, order):
    labels = segmented(viewer, controller, bright_squares())
    controller.toggle_reviewed()
    controller.overlays.orphaned.connect(lambda: told.append(True))
    told: list[bool] = []
    if order:
        viewer.layers.move_multiple([viewer.layers.index(name) for name in order], 0)
        assert [layer.name for layer in viewer.layers] == order
    if how == "clear":
        viewer.layers.clear()
    elif how == "selected":
        viewer.layers.selection = set(viewer.layers)
        viewer.layers.remove_selected()
    else:
        viewer.layers.remove("image" if how == "image" else labels)
    if overlay_of(viewer) is not None:
        assert told
    controller.overlays.tidy()
    assert overlay_of(viewer) is None
    assert controller.overlays.shown
    viewer.add_image(squares((80, 80)), name="next")
    controller.segment()
    controller.toggle_reviewed()
    assert overlay_of(viewer, "next reviewed").data.all()


def test_overlay_of_each_image(viewer, controller):
    first = segmented(viewer, controller, bright_squares())
    controller.toggle_reviewed()
    viewer.add_image(bright_squares((80, 80)), name="other")
    controller.segment()
    controller.toggle_reviewed()
    assert overlay_of(viewer).data.shape == (64, 64)
    assert overlay_of(viewer, "other reviewed").data.shape == (80, 80)
    controller.overlays.show(False)
    assert overlay_of(viewer, "other reviewed") is None
    viewer.layers.selection.active = first
    assert controller.overlays.shown
    viewer.layers.selection.active = overlay_of(viewer)
    assert controller.layer == viewer.layers["image"], "it is no image, and no result"


def test_overlay_of_a_result_that_is_let_go_of(viewer, controller):
    segmented(viewer, controller, bright_squares((3, 64, 64)))
    controller.toggle_reviewed()
    assert overlay_of(viewer) is not None
    controller.overlays.orphaned.connect(controller.overlays.tidy)
    controller.set_axes("TYX")
    assert overlay_of(viewer) is None


# -- where to look next ----------------------------------------------------------------------------------------------


def test_nothing_to_look_at_yet(viewer, controller):
    controller.look_next()
    assert said(controller).startswith("Nothing is segmented yet. Press Segment")
    viewer.add_image(bright_squares(), name="image")
    controller.look_next()
    assert said(controller).startswith("Nothing is segmented yet. Press Segment")


def test_the_network_is_sure(viewer, controller):
    segmented(viewer, controller, bright_squares())
    controller.look_next()
    assert said(controller) == "No place is left that is likely to be wrong."


def test_look_next_in_a_stack(viewer, controller):
    image = with_faint((9, 128, 256), (6, 1, 2), (1, 3, 6))
    image[1, 3 * CELL : 3 * CELL + 6, 6 * CELL : 6 * CELL + 6] = FAINT  # a bit more uncertainty in slice 1
    segmented(viewer, controller, image, scale=(3, 0.5, 0.5), translate=(0, 10, 20))
    session = controller.session
    controller.look_next()
    assert session.plane == (0, 1)
    assert np.allclose(session.middle, (3.5 * CELL - 0.5, 6.5 * CELL - 0.5))
    assert said(controller) == "An object may be missed in the middle of the view. 1 more place after this one."
    controller.look_next()
    assert session.plane == (0, 6)
    assert np.allclose(session.middle, (1.5 * CELL - 0.5, 2.5 * CELL - 0.5))
    assert said(controller).endswith("This is the last place.")
    controller.look_next()
    assert session.plane == (0, 1)
    assert said(controller).startswith("All places were shown; starting again.")


@pytest.mark.parametrize("axes", ["TZYX", "TCYX", "ZTYX"])
def test_look_next_in_more_axes(viewer, controller, axes):
    viewer.add_image(with_faint((4, 3, 96, 96), (3, 0, 2, 1)), name="image", rgb=False)
    controller.set_axes(axes)
    viewer.dims.set_current_step(1, 2 if axes != "TCYX" else 0)
    controller.segment()
    controller.look_next()
    assert viewer.dims.current_step[:2] == (3, 0)
    assert np.allclose(controller.session.middle, (2.5 * CELL - 0.5, 1.5 * CELL - 0.5))


def test_what_is_reviewed_or_corrected_is_not_shown(viewer, controller):
    labels = segmented(viewer, controller, with_faint((96, 480), (1, 1), (1, 12), (1, 7)))
    controller.session.corrections.review(0, slice(0, 1), slice(0, 96), slice(0, 200))
    labels.data[CELL + 15, 12 * CELL + 15] = 99
    controller.look_next()
    assert said(controller).endswith("This is the last place.")
    assert np.allclose(controller.session.middle, (1.5 * CELL - 0.5, 7.5 * CELL - 0.5))


def test_look_next_comes_closer_to_a_large_image(viewer, controller):
    segmented(viewer, controller, with_faint((96, 2048), (1, 40)))
    zoom = camera_of(viewer).zoom
    controller.look_next()
    assert camera_of(viewer).zoom == pytest.approx(4 * zoom)


def test_look_next_in_3d(viewer, controller):
    segmented(viewer, controller, with_faint((3, 96, 96), (1, 1, 1)))
    viewer.dims.ndisplay = 3
    controller.look_next()
    assert said(controller) == "Switch to the 2D view (button 2D/3D) to go to the next place."


def test_uncertainty_of_an_older_generation_is_dropped(viewer, controller):
    from types import SimpleNamespace

    segmented(viewer, controller, with_faint((96, 96), (1, 1)))
    before = controller.session.attention.scores()
    late = SimpleNamespace(job=SimpleNamespace(generation=-1), session=controller.session)
    controller.segmenter._on_event(late, object())
    assert np.array_equal(controller.session.attention.scores(), before)


def test_there_and_back_again(viewer, controller):
    """The camera goes to the very pixel that it is told to, wherever napari shows the image."""
    segmented(viewer, controller, bright_squares((2, 3, 64, 64)), scale=(1, 3, 0.5, 2), translate=(0, 5, 6, 7))
    session = controller.session
    session.geometry.move_view_to(viewer, (1, 2, 20, 50))
    assert session.plane == (1, 2)
    assert np.allclose(session.middle, (20, 50))
    viewer.cursor.position = viewer.layers["image"].data_to_world((1, 2, 20, 50))
    assert session.geometry.pixel_under_cursor(viewer) == (20, 50)


def test_look_next_in_a_project_that_was_opened(viewer, controller, tmp_path):
    segmented(viewer, controller, with_faint((9, 128, 256), (6, 1, 2), (1, 3, 6)))
    controller.projects.save(tmp_path / "a.unetproj")
    controller.look_next()
    other = Controller(ViewerModel(), InlineRunner())
    other.messages = []
    other.workspace.said.connect(other.messages.append)
    other.projects.open(tmp_path / "a.unetproj")
    other.look_next()
    assert said(other) == said(controller)
    assert other.session.plane == controller.session.plane
    assert np.allclose(other.session.middle, controller.session.middle)
    assert other.segment()
    other.look_next()
    assert said(other).endswith("This is the last place."), "of the same model: what was shown stays so"
