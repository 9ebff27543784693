"""What a CUDA card does, where there is one; what can be known without one is in `test_gpu`."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch

from napari_unet import finetune, load_model, segment
from napari_unet.axes import Image
from napari_unet.io.readers import read_image
from napari_unet.learning.finetune import finetune_config
from napari_unet.nets.geometry import input_size
from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")

SPECS = [
    UNetSpec(levels=2, features=4, out_channels=2),
    UNetSpec(levels=1, features=4, padding="valid", norm="none"),
    UNetSpec(ndim=3, levels=1, features=4),
]


def sample(name, axes="YX"):
    """A bundled image; the frames of a film stand for slices."""
    return Image(np.asarray(read_image(str(files("napari_unet") / "samples" / name)).data), axes)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_maps_are_those_of_the_cpu(tiny_net, spec):
    net = tiny_net(**spec.model_dump())
    shape = [input_size(spec, n, axis) for axis, n in enumerate((6, 40, 56)[-spec.ndim :])]
    block = np.random.default_rng(0).random((spec.in_channels, *shape), np.float32)
    np.testing.assert_allclose(Predictor(net, device="cuda")(block), Predictor(net)(block), atol=1e-4)


def test_tiles_are_one_pass(tiny_net):
    spec = SPECS[0]
    predictor = Predictor(tiny_net(**spec.model_dump()), device="cuda")
    image = np.random.default_rng(0).random((1, 300, 260), np.float32)
    plans = (make_plan(spec, (300, 260), budget=budget) for budget in (10**9, 2**15))
    whole, tiled = (gather(plan, ArraySource(image), predictor) for plan in plans)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "file", "axes"), [("nuclei", "nuclei.tif", "YX"), ("nuclei3d", "nuclei_stack.tif", "ZYX")]
)
def test_the_objects_are_those_of_the_cpu(name, file, axes):
    here, there = (segment(sample(file, axes), name, device=device) for device in ("cuda", "cpu"))
    assert here.n_objects == there.n_objects > 0
    assert np.mean((here.labels > 0) != (there.labels > 0)) < 1e-4


def test_a_network_learns_as_on_the_cpu(bright_model):
    labels = np.zeros((96, 96), np.int32)
    labels[20:40, 20:40], labels[60:80, 50:70] = 1, 2
    image, model = (labels > 0).astype(np.float32), bright_model(steepness=2.0)
    config = finetune_config(model, steps=3, max_seconds=None, precision="full")
    here, there = (finetune(model, [image], [labels], config=config, device=device) for device in ("cuda", "cpu"))
    for (name, one), other in zip(here.net.state_dict().items(), there.net.state_dict().values(), strict=True):
        assert one.device.type == "cpu"
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3, msg=name)


def test_memory_that_runs_out_is_no_end():
    """Of a card with hardly any memory left; the labels are those of the CPU."""
    image = np.tile(np.asarray(sample("nuclei.tif").data), (2, 2))
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        here = segment(image, load_model("nuclei"), device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert here.n_objects == segment(image, "nuclei", device="cpu").n_objects
