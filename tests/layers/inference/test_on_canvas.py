"""What is reviewed, counted and segmented as "in view" is what is on the canvas, in any order of dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from hand_made import squares
from napari_unet.errors import UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import LayerGeometry, camera_of
from napari_unet.layers.learning.model_diff import FieldInView
from napari_unet.layers.session.edit_events import edited_planes

pytestmark = pytest.mark.skipif(
    not hasattr(ViewerModel, "canvas") and "canvas" not in getattr(ViewerModel, "model_fields", {}),
    reason="before 0.9 napari has no canvas whose size can be set",
)

ROLL = "Roll the dimensions until Y and X are on the canvas, to "


def said(controller: Any) -> str:
    return controller.messages[-1].text


def reviewed(controller: Any) -> np.ndarray:
    return controller.session.corrections.reviewed


@pytest.fixture
def stack(viewer: Any, controller: Any) -> Any:
    """Return a controller with a segmented stack of six slices, (64, 80) pixels each."""
    viewer.add_image(np.stack([squares((64, 80))] * 6), name="stack")
    assert controller.segment()
    return controller


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("what", ["view", "slice", "object"])
def test_nothing_is_reviewed_that_lies_across_the_canvas(stack: Any, viewer: Any, order: Any, what: Any) -> None:
    viewer.dims.order = order
    stack.toggle_reviewed(what)
    assert not reviewed(stack).any()
    assert said(stack) == f"{ROLL}mark a field as reviewed."
    assert stack.messages[-1].level == "error"


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_a_plane_that_is_turned_over_is_in_view(stack: Any, viewer: Any, order: Any) -> None:
    viewer.dims.order = order
    viewer.dims.set_current_step(0, 4)
    stack.toggle_reviewed("slice")
    assert reviewed(stack)[0].reshape(6, -1).all(axis=1).tolist() == [False] * 4 + [True, False]
    stack.toggle_reviewed("slice")
    viewer.reset_view()
    stack.toggle_reviewed("view")
    assert reviewed(stack)[0, 4].all()


def test_what_is_about_a_plane_waits_for_one(stack: Any, viewer: Any) -> None:
    viewer.dims.order = (1, 0, 2)
    stack.look_next()
    assert said(stack) == f"{ROLL}go to the next place."
    before = stack.session.labels.copy()
    for scope in ("view", "slice"):
        assert not stack.segment(scope)
        assert said(stack) == f"{ROLL}segment what is in view."
    assert FieldInView.of(stack.session, None) is None
    assert np.array_equal(stack.session.labels, before)
    assert stack.segment("stack"), "all of it is all of it, whatever is on the canvas"


def test_refused_it_makes_no_layer(viewer: Any, controller: Any) -> None:
    viewer.add_image(np.stack([squares()] * 3), name="stack")
    viewer.dims.order = (1, 0, 2)
    assert not controller.segment("view")
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("step", [-3, 6, 9])
def test_sliders_that_point_beyond_the_image(stack: Any, viewer: Any, step: int) -> None:
    viewer.add_image(np.zeros((20, 64, 80)), name="longer", translate=(-5, 0, 0))
    viewer.layers.selection.active = viewer.layers["stack"]
    viewer.dims.set_point(0, step)
    for what in ("view", "slice", "object"):
        stack.toggle_reviewed(what)
        assert said(stack) == "The sliders point beyond this image. Move them back to mark a field as reviewed."
    assert not stack.segment("slice")
    assert not reviewed(stack).any()
    viewer.dims.set_point(0, 5)
    stack.toggle_reviewed("slice")
    assert reviewed(stack)[0, 5].all()


def test_an_image_with_fewer_axes_than_the_viewer(viewer: Any, controller: Any) -> None:
    viewer.add_image(squares(), name="plane")
    controller.segment()
    viewer.add_image(np.zeros((5, 64, 64)), name="stack")
    viewer.layers.selection.active = viewer.layers["plane"]
    viewer.dims.order = (1, 0, 2)
    controller.toggle_reviewed("slice")
    assert said(controller) == f"{ROLL}mark a field as reviewed."
    viewer.dims.order = (0, 1, 2)
    controller.toggle_reviewed("slice")
    assert reviewed(controller).all()


def test_colours_are_no_axis(viewer: Any, controller: Any) -> None:
    viewer.add_image(np.stack([np.dstack([squares()] * 3)] * 4), rgb=True, name="colours")
    controller.segment()
    viewer.dims.order = (1, 0, 2)
    controller.toggle_reviewed("slice")
    assert not reviewed(controller).any()
    viewer.dims.order = (0, 1, 2)
    viewer.dims.set_current_step(0, 2)
    controller.toggle_reviewed("slice")
    assert reviewed(controller)[0].all(axis=(1, 2)).tolist() == [False, False, True, False]


def test_hidden_labels_are_not_reviewed(stack: Any) -> None:
    stack.session.labels_layer.visible = False
    stack.toggle_reviewed()
    assert said(stack) == "The labels are hidden. Show them to mark a field as reviewed."
    assert not reviewed(stack).any()


# -- the field -------------------------------------------------------------------------------------------------------


def drawn(viewer: Any, *, center: tuple[float, float], zoom: float, size: tuple[int, int] = (100, 200)) -> None:
    """Have a part of the world on a canvas of so many pixels."""
    viewer.canvas.size = size
    camera = camera_of(viewer)
    camera.center, camera.zoom = (0, *center), zoom
    for layer in viewer.layers:  # as the canvas does when it draws: here there is none
        half = np.array(size) / zoom / 2
        corners = np.array([center - half, center + half])
        displayed = [viewer.dims.displayed[-2], viewer.dims.displayed[-1]]
        layer._update_draw(1 / zoom, corners, size) if displayed else None


def expected_field(layer: Any, image: Any, center: tuple[float, float], zoom: float) -> np.ndarray:
    """Return, by looking at each, which pixels of a plane have their middle on the canvas."""
    inside = np.zeros((image.size("Y"), image.size("X")), bool)
    for y, x in np.ndindex(inside.shape):
        world = np.asarray(layer.data_to_world((y, x)))
        inside[y, x] = (np.abs(world - center) <= np.array((100, 200)) / zoom / 2).all()
    return inside


@pytest.mark.parametrize(
    "placed",
    [
        {},
        {"scale": (0.5, 2)},
        {"scale": (-1, 1)},
        {"scale": (0.5, 0.25), "translate": (10, -20)},
        {"rotate": 30},
        {"rotate": 90},
        {"shear": (0.5,)},
        {"affine": [[0.9, -0.2, 4], [0.2, 1.1, -7], [0, 0, 1]]},
    ],
    ids=str,
)
@pytest.mark.parametrize(("at", "zoom"), [((20, 30), 5.0), ((0, 0), 2.0), ((60, 79), 3.0), ((32, 40), 0.1)])
def test_the_field_is_what_is_on_the_canvas(viewer: Any, controller: Any, placed: Any, at: Any, zoom: float) -> None:
    layer = viewer.add_image(squares((64, 80)), name="image", **placed)
    assert controller.segment()
    center = np.asarray(layer.data_to_world(at), float)
    drawn(viewer, center=center, zoom=zoom)
    controller.toggle_reviewed()
    marked, right = reviewed(controller)[0, 0], expected_field(layer, controller.session.image, center, zoom)
    assert right.any()
    assert marked[right].all(), "what is on the canvas"
    rim = np.zeros_like(right)  # pixels of which only a part is on the canvas
    rim[1:] |= right[:-1]
    rim[:-1] |= right[1:]
    rim[:, 1:] |= rim[:, :-1] | right[:, :-1]
    rim[:, :-1] |= rim[:, 1:] | right[:, 1:]
    assert not (marked & ~right & ~rim).any(), "and nothing else"


@pytest.mark.parametrize("center", [(-500, 0), (500, 0), (0, -500), (900, 900)])
def test_an_image_beside_the_canvas(viewer: Any, controller: Any, center: Any) -> None:
    viewer.add_image(squares(), name="image")
    controller.segment()
    before = controller.session.labels.copy()
    drawn(viewer, center=center, zoom=5)
    controller.toggle_reviewed()
    assert said(controller) == "The image is not on the canvas. Move it there to mark a field as reviewed."
    assert not reviewed(controller).any()
    assert not controller.segment("view")
    assert said(controller) == "The image is not on the canvas. Move it there to segment what is in view."
    assert np.array_equal(controller.session.labels, before)


def test_of_an_image_in_levels_only_what_is_in_view(viewer: Any, controller: Any) -> None:
    full = squares((256, 256))
    viewer.add_image([full, full[::2, ::2], full[::4, ::4]], name="levels")
    controller.segment()
    drawn(viewer, center=(40, 60), zoom=5)
    controller.toggle_reviewed()
    y, x = (np.flatnonzero(reviewed(controller)[0, 0].any(axis)) for axis in (1, 0))
    assert (y[0], y[-1], x[0], x[-1]) == (30, 50, 40, 80)


def test_objects_are_counted_in_view(viewer: Any, controller: Any) -> None:
    viewer.add_image(squares(), name="image")
    controller.segment()
    assert controller.session.count(in_view=True) == 3
    drawn(viewer, center=(45, 45), zoom=10)
    assert controller.session.count(in_view=True) == 1
    assert controller.session.count() == 3


# -- corrections that are made from the side -------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1)])
def test_what_is_painted_from_the_side_is_counted(stack: Any, viewer: Any, order: Any) -> None:
    labels = stack.session.labels_layer
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 30)
    labels.brush_size = 3
    place = [30, 30, 30]
    place[0] = 2
    labels.paint(place, 77)
    stack.refresh_corrections()
    summary = stack.session.summary
    assert summary.corrected_pixels == (labels.data == 77).sum() == 9
    assert stack.session.corrections.supervised_planes() == [(0, 1), (0, 2), (0, 3)]
    labels.undo()
    stack.refresh_corrections()
    assert not stack.session.summary.anything
    labels.redo()
    stack.refresh_corrections()
    assert stack.session.summary.corrected_pixels == 9


def test_what_is_painted_in_3d_is_counted(stack: Any, viewer: Any) -> None:
    viewer.dims.ndisplay = 3
    labels = stack.session.labels_layer
    labels.n_edit_dimensions, labels.brush_size = 3, 3
    labels.paint((2, 30, 30), 77)
    stack.refresh_corrections()
    assert stack.session.summary.corrected_pixels == (labels.data == 77).sum() > 9
    assert stack.session.corrections.supervised_planes() == [(0, 1), (0, 2), (0, 3)]


def test_the_planes_of_an_edit(viewer: Any, controller: Any) -> None:
    layer = viewer.add_image(
        np.zeros((3, 2, 5, 16, 16), np.float32), name="image", axis_labels=("t", "c", "z", "y", "x")
    )
    image = adapter.layer_image(layer, "TCZYX")
    part = (slice(1, 2), slice(0, 1), slice(2, 4), slice(0, 4), slice(0, 4))
    masked = type("Atom", (), {"slice_key": part})()
    places = tuple(np.array(n) for n in ((0, 2), (0, 0), (4, 0), (1, 1), (1, 1)))
    assert edited_planes([masked], LayerGeometry(layer, image)) == {(1, 2), (1, 3)}
    assert edited_planes([(places, 0, 1)], LayerGeometry(layer, image)) == {(0, 0), (0, 4), (2, 0), (2, 4)}
    assert edited_planes(None, LayerGeometry(layer, image)) is None
    assert edited_planes([object()], LayerGeometry(layer, image)) is None


def test_the_overlay_shows_nothing_across_the_canvas(stack: Any, viewer: Any) -> None:
    stack.toggle_reviewed("slice")
    overlay = viewer.layers["stack reviewed"]
    assert overlay.data.any()
    viewer.dims.order = (1, 0, 2)
    assert not overlay.data.any()
    viewer.dims.order = (0, 1, 2)
    assert overlay.data.any()


def test_after_learning_it_is_told_where_nothing_is_in_view(stack: Any, viewer: Any, taught: Any) -> None:
    stack.toggle_reviewed("slice")
    viewer.dims.order = (1, 0, 2)
    before = stack.session.labels.copy()
    assert stack.learn()
    assert said(stack).startswith("Better: ")
    assert said(stack).endswith("Press Segment to see what it finds.")
    assert np.array_equal(stack.session.labels, before)


def test_the_field_of_a_plane_from_the_side_is_all_of_it(stack: Any, viewer: Any) -> None:
    viewer.dims.order = (1, 0, 2)
    assert stack.session.field == (slice(0, 64), slice(0, 80))
    with pytest.raises(UNetError, match="Roll the dimensions"):
        stack.session.in_view("try")
