"""Fixtures for all tests: small images with round objects, and small models of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """No test sees or changes the models of the person who runs it."""
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks are fastest in one thread, and their sums come in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blobs():
    """Return a maker of (image float32, labels int32) with round bright objects on a dark, noisy ground."""

    def make(shape=(96, 96), n=8, seed=0, radius=7):
        rng = np.random.default_rng(seed)
        labels = np.zeros(shape, np.int32)
        grid = np.indices(shape)
        for label in range(1, n + 1):
            center = [rng.integers(0, size) for size in shape]
            distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)))
            labels[(distance < rng.uniform(0.6, 1.2) * radius) & (labels == 0)] = label
        image = ndimage.gaussian_filter((labels > 0).astype(np.float32), 1) + rng.normal(0, 0.05, shape)
        return image.astype(np.float32), labels

    return make


@pytest.fixture
def tiny_net():
    """Return a maker of small untrained networks whose norm statistics are not the trivial ones."""

    def make(seed=0, **settings):
        torch.manual_seed(seed)
        net = UNet(UNetSpec(**({"features": 4, "levels": 2} | settings)))
        for module in net.modules():
            if hasattr(module, "running_mean") and module.running_mean is not None:
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        return net.eval().requires_grad_(False)

    return make


@pytest.fixture
def tiny_model(tiny_net):
    """Return a maker of models around `tiny_net`, for instances."""

    def make(seed=0, info=None, **settings):
        settings = {"out_channels": 2} | settings
        net = tiny_net(seed, **settings)
        fields = {"name": "tiny", "spec": net.spec, "outputs": ("foreground", "distance")} | (info or {})
        return Model(net, ModelInfo(**fields))

    return make
