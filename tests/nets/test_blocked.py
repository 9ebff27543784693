"""The network in small blocks gives what it gives at once, whatever the blocks and whatever its memory held."""

import itertools
import math

import pytest
import torch

from napari_unet.errors import Cancelled, ImageError
from napari_unet.nets import blocked
from napari_unet.nets.geometry import input_size
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet

SPECS = [
    UNetSpec(in_channels=3, out_channels=2, features=4, levels=3),
    UNetSpec(features=4, levels=3, up="interpolated", norm="none"),
    UNetSpec(out_channels=3, features=4, levels=1),
    UNetSpec(features=4, levels=3, padding="valid"),
    UNetSpec(ndim=3, features=4, levels=2),
    UNetSpec(ndim=3, features=4, levels=2, pool_z=(False, True)),
    UNetSpec(ndim=3, features=4, levels=2, pool_z=(False, True), padding="valid"),
]


def network(spec):
    """A network in evaluation mode whose norm statistics are not the trivial ones."""
    torch.manual_seed(0)
    net = UNet(spec).eval().requires_grad_(False)
    for module in net.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net


def image(spec, *wanted):
    shape = [input_size(spec, size, axis) for axis, size in enumerate(wanted[-spec.ndim :])]
    return torch.randn(1, spec.in_channels, *shape)


@pytest.mark.parametrize("block_bytes", [2**11, 2**14, 2**30])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_values_are_those_of_the_network(monkeypatch, spec, block_bytes):
    monkeypatch.setattr(blocked, "BLOCK_BYTES", block_bytes)
    net, calls = network(spec), []
    x = image(spec, 20, 44, 60)
    evaluate = blocked.BlockedUNet(net, calls.append)
    with torch.inference_mode():
        for other in (image(spec, 8, 70, 50), x):  # the second finds the buffers of the first
            result = evaluate(other)
        expected = net(x)
    assert result.shape == expected.shape
    assert torch.allclose(result, expected, atol=1e-4 * float(expected.std() + 1))
    second = calls[calls.index(0.0, 1) :]
    assert second[0] == 0
    assert all(a < b < 1 for a, b in itertools.pairwise(second)), "the share that is done"
    assert evaluate._done == pytest.approx(evaluate._all)
    if block_bytes == 2**30:
        assert len(calls) == 2 * (2 * spec.levels + 1), "one block for each level"
    else:
        assert len(calls) > 2 * (2 * spec.levels + 1)


@pytest.mark.parametrize("channels", [1, 16, 5000])
@pytest.mark.parametrize("shape", [(1, 7), (1200, 801), (40, 300, 220)])
def test_blocks_cover_a_level_once_on_the_grid_and_are_small(shape, channels):
    cuts = blocked._cuts(shape, channels)
    for intervals, size in zip(cuts, shape, strict=True):
        assert intervals[0][0] == 0
        assert intervals[-1][1] == size
        assert all(a[1] == b[0] for a, b in itertools.pairwise(intervals))
        assert all(a % 2 == 0 < b - a for a, b in intervals)
    largest = math.prod(max(b - a for a, b in intervals) for intervals in cuts)
    assert largest * channels * 8 <= 1.1 * blocked.BLOCK_BYTES or largest <= 8


def test_it_ends_between_two_blocks(monkeypatch):
    monkeypatch.setattr(blocked, "BLOCK_BYTES", 2**12)
    left = iter(range(5))

    def check(share):
        if next(left) == 4:
            raise Cancelled

    with torch.inference_mode(), pytest.raises(Cancelled):
        blocked.BlockedUNet(network(SPECS[0]), check)(image(SPECS[0], 96, 96))
    assert next(left, None) is None, "nothing was computed after that"


def test_folding_changes_no_value_and_not_the_network():
    net = network(SPECS[0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = image(SPECS[0], 48, 48)
    with torch.inference_mode():
        folded = blocked.folded(net)
        assert torch.allclose(folded(x), net(x), atol=1e-4)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_shape_that_the_network_cannot_take_is_named():
    with pytest.raises(ImageError, match="multiples of"):
        blocked.BlockedUNet(network(SPECS[0]))(torch.zeros(1, 3, 30, 32))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_memory_is_what_was_said(spec):
    net, x = network(spec), image(spec, 60, 120, 120)
    evaluate = blocked.BlockedUNet(net)
    with torch.inference_mode():
        evaluate(x)
    kept = sum(4 * buffer.numel() for buffer in evaluate._buffers.values())
    said = blocked.bytes_per_pixel(spec) * x[0, 0].numel()
    assert kept < said
    assert said < 3 * kept + 30 * 4 * x.numel(), "not much more is asked for than is needed"
