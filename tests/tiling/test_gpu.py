"""What can be known of a GPU without one: its way through the network, its two precisions, and how it fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.errors import DeviceError, DeviceMemoryError
from napari_unet.nets.geometry import input_size
from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling import engine
from napari_unet.tiling.engine import Predictor, gather, run_plan
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource

SPECS = [
    UNetSpec(levels=2, features=4, out_channels=2),
    UNetSpec(levels=1, features=4, padding="valid", norm="none"),
    UNetSpec(ndim=3, levels=1, features=4),
]


class StandIn(Predictor):
    """Does on the CPU what is done on a GPU."""

    def _prepared(self):
        return self._at_once()


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch):
    """`torch.compile` needs a compiler on the user's machine, and tens of seconds."""
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("the network was compiled"))
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: pytest.fail("the network was compiled"))


def network_and_block(tiny_net, spec):
    net = tiny_net(**spec.model_dump())
    shape = [input_size(spec, n, axis) for axis, n in enumerate((6, 40, 56)[-spec.ndim :])]
    return net, np.random.default_rng(0).random((spec.in_channels, *shape), np.float32)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_maps_are_those_of_the_cpu(tiny_net, spec):
    net, block = network_and_block(tiny_net, spec)
    maps = StandIn(net)(block)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, Predictor(net)(block), atol=1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_half_precision_rounds_and_no_more(tiny_net, spec):
    """Autocast is the same on the CPU, and float16 the same numbers."""
    net, block = network_and_block(tiny_net, spec)
    predictor, full = StandIn(net), Predictor(net)(block)
    predictor._half = True
    maps = predictor(block)
    assert maps.dtype == np.float32
    assert 0 < np.abs(maps - full).max() < 1e-2


def test_memory_that_runs_out_inside_the_network(tiny_net):
    """As torch raises it, in the middle of a pass."""
    net, image = tiny_net(levels=2), np.random.default_rng(0).random((1, 150, 200), np.float32)
    plan = make_plan(net.spec, image.shape[1:])
    whole, predictor = gather(plan, ArraySource(image), Predictor(net)), StandIn(net)
    predictor(image[:, :8, :8])  # which prepares the network
    sizes = []

    def inside(_, inputs):
        sizes.append(inputs[0][0, 0].numel())
        if sizes[-1] > 10_000:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    with torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: inside(module, inputs) if isinstance(module, torch.nn.MaxPool2d) else None
    ):
        (result,) = run_plan(plan, ArraySource(image), predictor)
    np.testing.assert_allclose(result.maps, whole, atol=1e-5)
    assert "smaller tiles" in result.note
    assert sizes[0] > 10_000 >= sizes[-1]


class Full:
    """A network that a card has no memory for, or that it fails on."""

    def __init__(self, error):
        self.error = error

    def to(self, *_, **__):
        raise self.error


@pytest.fixture
def card(monkeypatch):
    """Have a card fail with an error as soon as it is given a network."""

    def fails_with(error):
        monkeypatch.setattr(engine, "folded", lambda net: Full(error))

    return fails_with


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_a_card_that_is_full_before_the_first_tile(tiny_net, card):
    """Another program has all of its memory: not even the network fits, and the CPU takes over."""
    net, image = tiny_net(levels=2), np.random.default_rng(0).random((1, 60, 80), np.float32)
    plan = make_plan(net.spec, image.shape[1:])
    whole = gather(plan, ArraySource(image), Predictor(net))
    card(torch.OutOfMemoryError("CUDA out of memory"))
    (result,) = run_plan(plan, ArraySource(image), Predictor(net, device="cuda"))
    np.testing.assert_allclose(result.maps, whole, atol=1e-5)
    assert result.note == "Memory ran short; going on with the CPU."
    with pytest.raises(DeviceMemoryError, match=r"memory of cuda is not enough .* choose the CPU"):
        Predictor(net, device="cuda")(image)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: no kernel image is available for execution on the device\nCompile with `TORCH_USE_CUDA_DSA`",
        "CUDA error: device-side assert triggered",
        "The MPS backend is supported on MacOS 14.0+.",
    ],
)
def test_a_card_that_fails_is_a_sentence_and_its_own_words_are_details(tiny_net, card, message):
    card(RuntimeError(message))
    with pytest.raises(DeviceError) as caught:
        Predictor(tiny_net(), device="cuda:1")(np.zeros((1, 32, 32), np.float32))
    assert str(caught.value).startswith("The device cuda:1 failed. Choose another device, such as cpu.")
    assert caught.value.details == message.split("\n")[0]


def test_a_fault_on_the_cpu_is_not_taken_for_one_of_a_card(tiny_net, monkeypatch):
    predictor = StandIn(tiny_net())
    monkeypatch.setattr(predictor, "_averaged", lambda block: (_ for _ in ()).throw(RuntimeError("a mistake")))
    with pytest.raises(RuntimeError, match="a mistake"):
        predictor(np.zeros((1, 32, 32), np.float32))
