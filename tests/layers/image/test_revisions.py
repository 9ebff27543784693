"""Which pixels are the same ones: of layers whose data are derived anew at each look, and of data that are replaced."""

from __future__ import annotations

import gc
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image as ImageLayer

from hand_made import LaterRunner, bright, squares
from napari_unet.axes import Image
from napari_unet.layers.controller import Controller
from napari_unet.layers.image import adapter
from napari_unet.layers.image.revisions import revision_of
from napari_unet.layers.inference import diameter_search as search_module
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.learning import learner
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Learned
from napari_unet.models.model import Model
from napari_unet.models.store import save_model
from napari_unet.tiling import budget
from napari_unet.training.config import StepReport


def finish(controller: Any) -> None:
    """Run what is under way to its end, and what that begins, but not for ever."""
    for _ in range(9):
        if not controller.busy:
            return
        controller.runner.finish()
    pytest.fail("it does not come to an end")


class Derived(ImageLayer):
    """A layer that makes its array anew at each look, as other plugins' do."""

    @property
    def data(self) -> Any:
        return self._data.copy()

    @data.setter
    def data(self, value: Any) -> None:
        ImageLayer.data.fset(self, value)  # type: ignore[attr-defined]


def colours(alpha: bool) -> np.ndarray:
    grey = (200 * squares()).astype(np.uint8)
    return np.dstack([grey] * 3 + [np.full_like(grey, 255)] * alpha)


KINDS = {
    "RGBA": lambda: ImageLayer(colours(alpha=True), rgb=True),
    "RGB": lambda: ImageLayer(colours(alpha=False), rgb=True),
    "multiscale": lambda: ImageLayer([squares((128, 128)), squares((128, 128))[::2, ::2]], multiscale=True),
    "multiscale RGBA": lambda: ImageLayer([colours(alpha=True), colours(alpha=True)[::2, ::2]], rgb=True),
    "dask": lambda: ImageLayer(da.from_array(squares())),
    "derived": lambda: Derived(squares()),
    "array": lambda: ImageLayer(squares()),
}


@pytest.fixture(params=KINDS)
def layer(request: Any) -> Any:
    return KINDS[request.param]()


@pytest.fixture
def controller(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a controller with a model that looks how wide objects are, and a runner that the test drives."""
    monkeypatch.setitem(budget.MAX_PIXELS, 2, 3_000)
    monkeypatch.setattr(budget, "MIN_PIXELS", 3_000)
    looked: list[Any] = []

    def find(image: Image, *_: Any, **__: Any) -> float:
        looked.append(image)
        return 5.0

    monkeypatch.setattr(search_module, "find_diameter", find)
    controller = Controller(viewer, LaterRunner())
    controller.looked = looked
    controller.use_model(bright(diameter=5))
    yield controller
    controller.close()


def test_an_image_is_the_same_until_its_data_are_replaced(layer: Any) -> None:
    first = adapter.layer_image(layer)
    assert first.same_pixels(adapter.layer_image(layer))
    layer.data = layer.data
    assert not first.same_pixels(adapter.layer_image(layer)), "that is how napari is told that they were changed"


def test_two_layers_of_one_array_are_two_images() -> None:
    data = squares()
    first, second = (adapter.layer_image(ImageLayer(data)) for _ in range(2))
    assert not first.same_pixels(second)
    assert Image(data, "YX").same_pixels(Image(data, "YX"))
    assert not Image(data, "YX").same_pixels(Image(data.copy(), "YX"))
    assert first.same_pixels(Image(data, "YX")), "an image of no layer is its array"


def test_a_layer_that_is_gone_is_not_held() -> None:
    from weakref import ref

    layer = ImageLayer(squares())
    revision_of(layer)
    gone = ref(layer)
    del layer
    gc.collect()
    assert gone() is None


def test_how_wide_objects_are_is_looked_for_once(viewer: Any, controller: Any, layer: Any) -> None:
    viewer.add_layer(layer)
    for _ in range(2):
        assert controller.segment()
        finish(controller)
        assert len(controller.looked) == 1
    assert controller.session.labels.any()
    layer.data = layer.data
    assert controller.segment()
    finish(controller)
    assert len(controller.looked) == 2


def test_it_goes_on_where_it_stopped(viewer: Any, controller: Any, layer: Any) -> None:
    viewer.add_layer(layer)
    controller.object_diameter.say(5.0)
    assert controller.segment()
    controller.runner.step(n=3)
    controller.stop_segmenting()
    finish(controller)
    said: list[str] = []
    controller.workspace.said.connect(lambda message: said.append(message.text))
    assert controller.segment()
    assert said[-1].startswith("Segmenting the rest: ")
    controller.stop_segmenting()
    finish(controller)
    layer.data = [level[...] * 0 for level in layer.data] if layer.multiscale else layer.data * 0
    assert controller.segment()
    assert said[-1].startswith(("Segmenting.", "Segmenting,", "Segmenting 4 slices")), (
        "an array of the same shape is another one"
    )
    finish(controller)
    assert not controller.session.labels.any()


def test_pixels_that_are_others_at_each_look_are_segmented_too(viewer: Any, controller: Any) -> None:
    layer = viewer.add_image(squares(), name="camera")
    controller.workspace.segmenting.connect(lambda _: setattr(layer, "data", squares()))
    assert controller.segment()
    finish(controller)
    assert len(controller.looked) == 1
    assert len(np.unique(controller.session.labels)) == 4


def test_what_is_segmented_after_learning_is_in_view(
    viewer: Any, controller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is looked for before, as the model has learned another one: that takes a job of its own."""

    def steps(model: Model, *_: Any, **__: Any) -> Any:
        yield StepReport(1, 1, 0.5, 1.0)
        info = model.info.model_copy(update={"recipe": {"steps": 1}, "image_diameter": 90.0})
        return Learned(Model(model.net, info), Verdict(None))

    monkeypatch.setattr(learner, "learning_steps", steps)
    viewer.add_image(np.stack([squares()] * 5), name="stack")
    viewer.dims.set_current_step(0, 2)
    assert controller.segment("slice")
    finish(controller)
    assert controller.workspace.scope == "stack", "what is said for once is not what the user has chosen"
    assert np.flatnonzero(controller.session.labels[0].any(axis=(1, 2))).tolist() == [2]
    controller.toggle_reviewed()
    looked = len(controller.looked)
    assert controller.learn()
    viewer.dims.set_current_step(0, 3)
    finish(controller)
    assert len(controller.looked) == looked + 1
    assert np.flatnonzero(controller.session.labels[0].any(axis=(1, 2))).tolist() == [2, 3]
    assert controller.workspace.scope == "stack"


@pytest.mark.parametrize("scope", ["slice", "view"])
def test_what_the_user_chooses_meanwhile_is_for_the_next_time(viewer: Any, controller: Any, scope: str) -> None:
    save_model(bright(diameter=5), "sized")
    viewer.add_image(np.stack([squares()] * 3), name="stack")
    controller.workspace.scope = scope
    assert controller.segment()
    controller.workspace.scope = "stack"  # while it is looked for how wide objects are
    finish(controller)
    assert np.count_nonzero(controller.session.labels[0].any(axis=(1, 2))) == 1
    assert controller.workspace.scope == "stack"


@pytest.mark.parametrize("kind", ["dask", "derived"])
def test_of_pixels_that_are_replaced_meanwhile_it_is_told_what_was_found(
    viewer: Any, controller: Any, kind: str
) -> None:
    layer = KINDS[kind]()
    viewer.add_layer(layer)
    controller.object_diameter.say(5.0)
    said: list[Any] = []
    controller.workspace.said.connect(said.append)
    assert controller.segment()
    controller.runner.step(n=3)
    layer.data = layer.data * 0
    finish(controller)
    assert said[-1].level == "warning"
    assert "of before the pixels were replaced" in said[-1].text
    assert controller.session.maps.pixels == 0, "sliders would find objects that are there no more"
    assert controller.segment()
    finish(controller)
    assert "replaced" not in said[-1].text


@pytest.mark.parametrize(("before", "after"), [((3, 64, 64), (64, 64)), ((64, 64), (3, 64, 64))])
def test_a_stack_that_a_plane_takes_the_place_of(viewer: Any, before: Any, after: Any) -> None:
    controller = Controller(viewer, InlineRunner())
    controller.use_model(bright())
    layer = viewer.add_image(squares(before), name="image")
    assert controller.segment()
    session = controller.session
    layer.data = squares(after)
    viewer.add_image(squares((3, 64, 64)), name="stack")
    viewer.dims.set_current_step(0, 2)
    assert session.geometry.current_plane(viewer)[0] == 0
    session.geometry.pixel_under_cursor(viewer)
    session.geometry.middle_of_view(viewer)
    session.geometry.move_view_to(viewer, (0, 0, 5.0, 5.0))
    controller.choose_layer(layer)
    assert controller.segment()
    assert controller.session.labels.shape[-2:] == (64, 64)
