"""Fixtures for all tests: small images with round objects, and small models of their own."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from scipy import ndimage

from napari_unet.inference import tile_runner
from napari_unet.io.readers import read_image
from napari_unet.models.checkpoint import load_model_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.store import shipped_folder
from napari_unet.nets import blocked
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet

# No test depends on how busy the machine is. In CI the draws are the same each time; at home they are others each time,
# and what they find is kept in .hypothesis.
settings.register_profile("home", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("home"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "home"))

# A script that starts the tests in the background has them ignore Ctrl-C, and all programs that they start, too: those
# that are to be stopped so would go on for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Leave what was imported and collected out of garbage collection: napari collects several times a window.

    Each time Python would look through 700 000 objects that stay until the end.
    """
    gc.collect()
    gc.freeze()


MAX_MESSAGE = 160
"""Characters of a message of the window, at most."""


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
def model(tiny_net):
    """An untrained model that finds objects by their distance maps; modules that need another have their own."""
    net = tiny_net(out_channels=2)
    info = ModelInfo(name="tiny", spec=net.spec, outputs=("foreground", "distance"))
    return Model(net.eval().requires_grad_(False), info)


@pytest.fixture
def tiny_model(tiny_net):
    """Return a maker of models around `tiny_net`, for instances."""

    def make(seed=0, info=None, **settings):
        settings = {"out_channels": 2} | settings
        net = tiny_net(seed, **settings)
        fields = {"name": "tiny", "spec": net.spec, "outputs": ("foreground", "distance")} | (info or {})
        return Model(net, ModelInfo(**fields))

    return make


@pytest.fixture
def bright_model():
    """Return a maker of models that call a pixel foreground where its normalised value is above `threshold`.

    The weights are set by hand, so that what a pipeline has to give is known: the bright pieces of the image.
    """

    def make(threshold=0.5, steepness=20.0, info=None, **settings):
        settings = {"features": 2, "levels": 1, "norm": "none", "out_channels": 2} | settings
        net = UNet(UNetSpec(**settings)).eval().requires_grad_(False)
        middle = (1,) * net.spec.ndim
        for parameter in net.parameters():
            parameter.zero_()
        net.down[0][0].weight[(0, slice(None), *middle)] = 1 / net.spec.in_channels
        for conv in (net.down[0][2], net.up[-1].conv[0], net.up[-1].conv[2]):
            conv.weight[(0, 0, *middle)] = 1.0
        net.head.weight[:, 0] = steepness
        net.head.bias[:] = -steepness * threshold
        fields = {"name": "bright", "spec": net.spec, "outputs": ("foreground", "distance")} | (info or {})
        return Model(net, ModelInfo(**fields))

    return make


@pytest.fixture
def slow_tiles(monkeypatch):
    """Have the network go through its tiles in small blocks, and wait in each so that it can be told."""
    monkeypatch.setattr(blocked, "BLOCK_BYTES", {2: 2**14, 3: 2**14})
    monkeypatch.setattr(tile_runner, "TELL_EVERY", 0.001)
    on_block = tile_runner.Inference._on_block

    def slowly(self, share):
        on_block(self, share)
        time.sleep(0.01)

    monkeypatch.setattr(tile_runner.Inference, "_on_block", slowly)


@pytest.fixture
def network_threads():
    """Return a function that lists the threads of networks that have begun since, and not ended."""
    before = set(threading.enumerate())
    return lambda: [t for t in threading.enumerate() if t not in before and t.name.startswith("network")]


@pytest.fixture(scope="session")
def nuclei():
    """Return the shipped model."""
    return load_model_file(shipped_folder() / "nuclei.safetensors")


@pytest.fixture(scope="session")
def nuclei_crop():
    """Return a part of the shipped sample image, axes (Y, X), with a few nuclei in it."""
    image = read_image(Path(str(resources.files("napari_unet") / "samples" / "nuclei.tif")))
    return np.ascontiguousarray(image.data[:200, :260])


@pytest.fixture
def timed_at_once(monkeypatch):
    """Times are told from the first pixels on, as they are else after some seconds only."""
    from napari_unet import progress
    from napari_unet.inference import tile_runner
    from napari_unet.tiling import throughput

    monkeypatch.setattr(tile_runner, "LEAST_PIXELS", 0)
    monkeypatch.setattr(throughput, "WARM_UP", 0.0)
    monkeypatch.setattr(throughput, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(progress, "MIN_ELAPSED", 0.0)


@pytest.fixture
def short_messages(monkeypatch):
    """What the window says fits the status line, with all that is filled in; of a path, its name counts."""
    from napari_unet.layers.workspace import Workspace

    said, say = [], Workspace.say

    def noted(self, text, level="info", details=""):
        said.append(text)
        say(self, text, level, details)

    monkeypatch.setattr(Workspace, "say", noted)
    yield
    assert not [text for text in said if len(re.sub(r"(/[^/\s]+)+/", "", text)) > MAX_MESSAGE]
