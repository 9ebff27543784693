"""The network in small blocks gives what it gives at once, whatever the blocks and whatever its memory held."""

import itertools
import math

import pytest
import torch

from napari_unet.errors import Cancelled, ImageError
from napari_unet.nets import blocked
from napari_unet.nets.buffers import BUFFERS
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


@pytest.mark.parametrize(("block_bytes", "strips"), [(2**11, 0), (2**14, 9), (2**30, 1)])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_values_are_those_of_the_network(monkeypatch, spec, block_bytes, strips):
    monkeypatch.setattr(blocked, "MAX_STRIP_READS", strips)
    monkeypatch.setitem(blocked.BLOCK_BYTES, spec.ndim, block_bytes)
    net, calls = network(spec), []
    x = image(spec, 12, 36, 44)
    evaluate = blocked.BlockedUNet(net, calls.append)
    with torch.inference_mode(), BUFFERS:
        for other in (image(spec, 8, 60, 28), x):  # the second finds the buffers of the first
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
    assert largest * channels * 8 <= 1.1 * blocked.BLOCK_BYTES[len(shape)] or largest <= 8


def test_blocks_are_strips_where_that_reads_hardly_more():
    """Rows of a plane lie one after the other in memory: a strip of them is read without a copy."""
    rows, columns = blocked._cuts((1024, 1024), 16)
    assert len(rows) > 4
    assert columns == [(0, 1024)]
    assert all(len(intervals) > 1 for intervals in blocked._cuts((1024, 4096), 64)), "strips would be too thin"
    assert len(blocked._cuts((48, 256, 256), 16)[1]) > 1
    assert blocked._cuts((64, 64), 256) == [[(0, 64)], [(0, 64)]]


def test_it_ends_between_two_blocks(monkeypatch):
    monkeypatch.setitem(blocked.BLOCK_BYTES, 2, 2**12)
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
    net, x = network(spec), image(spec, 30, 70, 70)
    evaluate = blocked.BlockedUNet(net)
    with BUFFERS:
        evaluate(x)
        with BUFFERS.lent() as buffers:
            kept = sum(4 * buffer.numel() for buffer in buffers.values())
    said = blocked.bytes_per_pixel(spec) * x[0, 0].numel()
    assert kept < said
    assert said < 3 * kept + 30 * 4 * x.numel(), "not much more is asked for than is needed"


def test_networks_use_the_same_memory_one_after_the_other():
    """A second network, smaller and of another shape, writes over what the first has left; results do not mix."""
    nets, images = [network(SPECS[0]), network(SPECS[2])], [image(SPECS[0], 64, 48), image(SPECS[2], 40, 40)]
    with torch.inference_mode(), BUFFERS:
        first = blocked.BlockedUNet(nets[0])(images[0])
        with BUFFERS.lent() as buffers:
            at = {name: buffer.data_ptr() for name, buffer in buffers.items()}
        second = blocked.BlockedUNet(nets[1])(images[1])
        with BUFFERS.lent() as buffers:
            assert {name: buffer.data_ptr() for name, buffer in buffers.items()} == at
        for net, x, result in zip(nets, images, (first, second), strict=True):
            assert torch.allclose(result, net(x), atol=1e-4 * float(result.std() + 1))


def test_a_call_that_was_ended_leaves_its_memory_to_the_next():
    def check(share):
        if share:
            raise Cancelled

    with BUFFERS:
        with pytest.raises(Cancelled):
            blocked.BlockedUNet(network(SPECS[0]), check)(image(SPECS[0], 64, 64))
        with BUFFERS.lent() as buffers:
            assert "skip 0" in buffers


def test_a_network_can_be_called_with_gradients_on():
    """The memory may come from a call in inference mode, and go to one."""
    net, x = network(SPECS[2]), image(SPECS[2], 32, 32)
    with BUFFERS:
        results = [blocked.BlockedUNet(net)(x)]
        with torch.inference_mode():
            results.append(blocked.BlockedUNet(net)(x))
        results.append(blocked.BlockedUNet(net)(x))
    assert all(torch.equal(result, results[0]) for result in results)
