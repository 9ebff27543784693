from __future__ import annotations

from typing import Any

import pytest
import torch

from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet


@pytest.fixture
def random_model():
    """Return a function that makes a model with random weights, and batch norms that do something."""

    def make(semantic: bool = False, **spec: Any) -> Model:
        torch.manual_seed(0)
        wanted = UNetSpec(**({"features": 4, "levels": 2, "out_channels": 3 if semantic else 2} | spec))
        net = UNet(wanted).eval().requires_grad_(False)
        for name, tensor in net.state_dict().items():
            if name.endswith(("running_mean", "running_var", "bias")):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
        names = tuple(f"class_{n}" for n in range(3)) if semantic else ("foreground", "distance")
        task = "semantic" if semantic else "instances"
        return Model(net, ModelInfo(name="random", spec=wanted, outputs=names, task=task))

    return make
