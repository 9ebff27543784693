"""What belongs to an image lies on it wherever it is put, and is seen while that image is the chosen one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import squares
from napari_unet.axes import PixelSize
from napari_unet.layers.learning.model_diff import FieldInView, FieldSegmented

MOVES = {
    "scale": {"scale": (0.5, 0.25)},
    "translate": {"translate": (7, -3)},
    "rotate": {"rotate": 30},
    "shear": {"shear": (0.4,)},
    "affine": {"affine": [[0.9, -0.2, 4], [0.2, 1.1, -7], [0, 0, 1]]},
    "units": {"units": ("um", "um")},
    "axis_labels": {"axis_labels": ("y", "x")},
    "several": {"scale": (2, 3), "translate": (1, 2), "rotate": 45, "units": ("nm", "nm")},
}


def move(layer: Any, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(layer, name, value)


def show_changes(controller: Any) -> Any:
    """Show that a model would find nothing in view; return the layer."""
    look = FieldInView.of(controller.session, None)
    assert look is not None
    controller.diff.show(FieldSegmented(look, np.zeros_like(look.labels(), np.int32)))
    return controller.viewer.layers["what changes"]


def lies_on(layer: Any, image: Any, cells: int = 1) -> bool:
    """Whether the corners of a layer are those of an image, of which each of its pixels covers so many."""
    own, of_image = ((0, 0), (1, 2)), ((0, 0), (cells, 2 * cells))
    middle = (cells - 1) / 2
    return all(
        np.allclose(layer.data_to_world(a), image.data_to_world(np.add(b, middle)))
        for a, b in zip(own, of_image, strict=True)
    )


@pytest.mark.parametrize("change", MOVES.values(), ids=MOVES)
def test_all_follows_the_image(viewer: Any, controller: Any, change: Any) -> None:
    image = viewer.add_image(squares(), name="image")
    controller.segment()
    changes = show_changes(controller)
    controller.toggle_reviewed()
    move(image, change)
    labels = viewer.layers["image objects"]
    for layer in (labels, viewer.layers["image reviewed"], changes):
        assert lies_on(layer, image), layer.name
        assert (tuple(layer.units), layer.axis_labels) == (tuple(image.units), image.axis_labels)
    assert np.allclose(labels.scale, image.scale)
    assert np.allclose(labels.translate, image.translate)
    assert controller.session.summary.reviewed_share == 1
    move(image, {"scale": (1, 1), "translate": (0, 0)})
    assert lies_on(labels, image)


def test_a_part_lies_where_it_is(viewer: Any, controller: Any) -> None:
    image = viewer.add_image(squares((2, 64, 64)), name="image")
    controller.segment()
    viewer.dims.set_current_step(0, 1)
    layer = show_changes(controller)
    image.scale, image.translate = (3, 0.5, 2), (1, 2, 3)
    assert np.allclose(layer.data_to_world((0, 5, 6)), image.data_to_world((1, 5, 6)))


def test_a_channel_that_is_a_slider_stays_covered(viewer: Any, controller: Any) -> None:
    image = viewer.add_image(squares((3, 64, 64)), name="image", axis_labels=("c", "y", "x"))
    controller.segment()
    image.scale, image.translate = (5, 0.5, 0.5), (2, 0, 0)
    labels = viewer.layers["image objects"]
    assert np.allclose(labels.scale, (15, 0.5, 0.5))
    for channel in (0, 2):
        seen = labels.world_to_data(image.data_to_world((channel, 10, 10)))
        assert round(float(seen[0])) == 0
        assert np.allclose(seen[1:], 10)


def test_a_coarse_overlay_follows_too(viewer: Any, controller: Any) -> None:
    image = viewer.add_image(squares((64, 2050)), name="image")
    controller.segment()
    controller.toggle_reviewed("slice")
    image.scale, image.translate = (2, 3), (5, 6)
    assert lies_on(viewer.layers["image reviewed"], image, cells=4)


def test_a_pixel_size_that_is_set_later_is_learned_and_segmented(viewer: Any, controller: Any, taught: Any) -> None:
    image = viewer.add_image(squares(), name="image")
    controller.segment()
    assert controller.session.image.pixel_size is None
    image.scale, image.units = (0.5, 0.25), ("um", "um")
    assert controller.session.image.pixel_size == PixelSize(y=0.5, x=0.25)
    controller.toggle_reviewed()
    controller.learn()
    assert [one.image.pixel_size for one in taught.material] == [PixelSize(y=0.5, x=0.25)]
    assert controller.prepare()[1].image.pixel_size == PixelSize(y=0.5, x=0.25)


def test_what_is_learned_from_is_what_the_image_shows_now(viewer: Any, controller: Any) -> None:
    image = viewer.add_image(squares(), name="image")
    controller.segment()
    image.data = squares() * 0.75
    assert controller.session.image.read().max() == np.float32(0.75)
    image.data = squares((32, 32))
    assert controller.session.image.read().shape == (1, 1, 64, 64), "the labels do not fit that one"


def test_an_image_of_another_number_of_axes_places_nothing(viewer: Any, controller: Any) -> None:
    image = viewer.add_image(squares(), name="image")
    controller.segment()
    labels = viewer.layers["image objects"]
    image.data = squares((3, 64, 64))
    image.scale = (2, 2, 2)
    assert labels.data.shape == (64, 64)
    assert np.allclose(labels.scale, (1, 1))


def test_labels_that_are_let_go_of_stay_where_they_are(viewer: Any, controller: Any) -> None:
    image = viewer.add_image(squares(), name="image")
    controller.segment()
    labels = viewer.layers["image objects"]
    controller.close()
    image.scale = (2, 2)
    image.data = squares()
    assert np.allclose(labels.scale, (1, 1))


# -- which layers are seen -------------------------------------------------------------------------------------------


@pytest.fixture
def two(viewer: Any, controller: Any) -> Any:
    """Return a controller with the images "a" and "b", both segmented and reviewed; "b" is chosen."""
    for name in "ab":
        viewer.add_image(squares(), name=name)
        controller.segment()
        controller.toggle_reviewed()
    return controller


def seen(viewer: Any) -> set[str]:
    return {layer.name for layer in viewer.layers if layer.visible}


def choose(viewer: Any, name: str) -> None:
    viewer.layers.selection.active = viewer.layers[name]


A, B, IMAGES = {"a objects", "a reviewed"}, {"b objects", "b reviewed"}, {"a", "b"}


def test_the_chosen_image_shows_its_own_layers(two: Any, viewer: Any) -> None:
    assert seen(viewer) == IMAGES | B
    choose(viewer, "a")
    assert seen(viewer) == IMAGES | A
    choose(viewer, "b objects")
    assert seen(viewer) == IMAGES | B
    viewer.layers["a"].visible = False
    choose(viewer, "a")
    assert seen(viewer) == {"b"} | A, "images themselves are left alone"
    viewer.add_image(squares(), name="c")
    assert seen(viewer) == {"b", "c"}


def test_what_changes_is_seen_with_its_image(two: Any, viewer: Any) -> None:
    two.toggle_reviewed()
    layer = show_changes(two)
    choose(viewer, "a")
    assert not layer.visible
    assert not two.diff.visible
    choose(viewer, "b")
    assert layer.visible
    assert two.diff.any


@pytest.mark.parametrize("kind", ["objects", "reviewed"])
def test_what_is_hidden_by_hand_stays_so(two: Any, viewer: Any, kind: str) -> None:
    viewer.layers[f"b {kind}"].visible = False
    for name in "abab":
        choose(viewer, name)
        assert not viewer.layers[f"b {kind}"].visible
    viewer.layers[f"b {kind}"].visible = True
    choose(viewer, "a")
    assert not viewer.layers[f"b {kind}"].visible
    choose(viewer, "b")
    assert viewer.layers[f"b {kind}"].visible


@pytest.mark.parametrize("kind", ["objects", "reviewed"])
def test_what_is_shown_by_hand_stays_so(two: Any, viewer: Any, kind: str) -> None:
    viewer.layers[f"a {kind}"].visible = True
    assert seen(viewer) == IMAGES | B | {f"a {kind}"}
    viewer.add_image(squares(), name="c")
    assert seen(viewer) == IMAGES | {"c", f"a {kind}"}
    choose(viewer, "a")
    assert seen(viewer) == IMAGES | {"c"} | A
    choose(viewer, "b")
    assert seen(viewer) == IMAGES | {"c", f"a {kind}"} | B


def test_a_result_that_comes_while_another_image_is_chosen(viewer: Any, later: Any) -> None:
    viewer.add_image(squares(), name="a")
    assert later.segment()
    viewer.add_image(squares(), name="b")
    later.runner.finish()
    assert seen(viewer) == {"a", "b"}
    assert np.unique(viewer.layers["a objects"].data).size == 4
    choose(viewer, "a")
    assert seen(viewer) == {"a", "b", "a objects"}


def test_an_overlay_that_comes_while_another_image_is_chosen(viewer: Any, controller: Any) -> None:
    viewer.add_image(squares(), name="a")
    controller.segment()
    first = controller.session
    viewer.add_image(squares(), name="b")
    controller.segment()
    first.corrections.reviewed[...] = True
    first.rescan_slices(0, slice(0, 1))
    controller.refresh_corrections()
    assert viewer.layers["a reviewed"].data.any()
    assert not viewer.layers["a reviewed"].visible
    choose(viewer, "a")
    assert viewer.layers["a reviewed"].visible
