"""A viewer without a window, and a controller with two models in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from napari.components import ViewerModel

from hand_made import GAIN, LaterRunner, bright
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.learning import learner
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Learned
from napari_unet.models.model import Model
from napari_unet.models.store import save_model
from napari_unet.training.config import StepReport


@pytest.fixture(autouse=True)
def _short_messages(short_messages: None) -> None:
    """No test makes the window say more than it has room for."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def make_controller(viewer: Any, runner: Any) -> Any:
    save_model(bright(), "bright")
    save_model(bright(threshold=0.2), "sensitive")
    save_model(bright(task="semantic", outputs=("class_0", "class_1")), "classes")
    controller = Controller(viewer, runner)
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    assert controller.choose_model("bright")
    return controller


@pytest.fixture
def controller(viewer: Any) -> Any:
    return make_controller(viewer, InlineRunner())


@pytest.fixture
def later(viewer: Any) -> Any:
    return make_controller(viewer, LaterRunner())


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Learning that returns the model and the verdict that a test wants, and keeps what it was given."""
    given = SimpleNamespace(verdict=Verdict(GAIN), threshold=0.2, events=[], options={}, material=[])

    def steps(model: Model, material: Any, seconds: float, device: str, cancel: Any, **options: Any) -> Any:
        given.options, given.material = options, material
        yield StepReport(1, 10, 0.5, 1.0)
        yield from given.events
        given.joined = options["more"]()
        found = bright(name="bright, corrected", threshold=given.threshold)
        recipe: dict[str, str | int | float | bool | None] = {"steps": 10, "seconds": 2.0}
        return Learned(Model(found.net, found.info.model_copy(update={"recipe": recipe})), given.verdict)

    monkeypatch.setattr(learner, "learning_steps", steps)
    return given
