"""A viewer without a window, and a controller with two models in it."""

from __future__ import annotations

from typing import Any

import pytest
from napari.components import ViewerModel

from hand_made import LaterRunner, bright
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.models.store import save_model


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
    controller.said.connect(controller.messages.append)
    assert controller.choose_model("bright")
    return controller


@pytest.fixture
def controller(viewer: Any) -> Any:
    return make_controller(viewer, InlineRunner())


@pytest.fixture
def later(viewer: Any) -> Any:
    return make_controller(viewer, LaterRunner())
