"""The network: the published one to the letter, and every variant's shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_unet.errors import ImageError
from napari_unet.nets.spec import UNetSpec, unet2015
from napari_unet.nets.unet import UNet, freeze_norm


def test_unet2015_is_the_published_network():
    with torch.device("meta"):
        net = UNet(unet2015())
        out = net(torch.zeros(1, 1, 572, 572))
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 23
    assert out.shape == (1, 2, 388, 388)
    assert sum(p.numel() for p in net.parameters()) == 31_030_658
    assert [block[0].out_channels for block in net.down] == [64, 128, 256, 512, 1024]
    assert net.dropout.p == 0.5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


def test_dropout_is_at_the_end_of_the_contracting_path(tiny_net):
    net = tiny_net(dropout=0.9, norm="none").train()
    seen = []
    net.dropout.register_forward_hook(lambda module, args, out: seen.append(args[0].shape))
    net(torch.zeros(1, 1, 32, 32))
    assert seen == [(1, 8, 16, 16), (1, 16, 8, 8)]


def test_he_initialisation():
    torch.manual_seed(0)
    conv = UNet(unet2015()).down[2][2]
    expected = np.sqrt(2 / (conv.in_channels * 9))
    assert conv.weight.std().item() == pytest.approx(expected, rel=0.02)
    assert conv.bias.abs().max().item() == 0


def test_no_map_is_much_stronger_or_weaker_than_another_at_first(tiny_net):
    net = tiny_net(features=16, levels=3, norm="none")
    spreads = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.out_channels > 1:
            module.register_forward_hook(lambda module, args, out: spreads.append(float(out.square().mean().sqrt())))
    net(torch.randn(1, 1, 64, 64))
    assert len(spreads) == 17
    assert min(spreads) > 0.5
    assert max(spreads) < 5


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("up", ["transposed", "interpolated"])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_variant_runs(tiny_net, ndim, norm, up, padding):
    net = tiny_net(ndim=ndim, norm=norm, up=up, padding=padding, in_channels=2, out_channels=3, features=2)
    size = 32 if padding == "same" else 44
    out = net(torch.zeros(1, 2, *[size] * ndim))
    assert out.shape == (1, 3, *[32 if padding == "same" else 4] * ndim)


def test_pool_z_leaves_the_depth_alone(tiny_net):
    net = tiny_net(ndim=3, pool_z=(False, False))
    assert net.spec.stride == (1, 4, 4)
    assert net(torch.zeros(1, 1, 5, 8, 8)).shape == (1, 1, 5, 8, 8)


def test_wrong_shape_names_the_nearest_that_fits(tiny_net):
    with pytest.raises(ImageError, match=r"\(32, 36\)"):
        tiny_net()(torch.zeros(1, 1, 30, 33))
    with pytest.raises(ImageError, match=r"\(572, 572\)"):
        UNet(unet2015())(torch.zeros(1, 1, 571, 570))


def test_frozen_norm_keeps_its_statistics(tiny_net):
    net = tiny_net().requires_grad_(True).train()
    freeze_norm(net)
    before = {k: v.clone() for k, v in net.state_dict().items() if "running" in k}
    net(torch.randn(2, 1, 16, 16))
    assert all(torch.equal(net.state_dict()[k], v) for k, v in before.items())
    assert before


@pytest.mark.parametrize(
    "settings", [{"features": 1024, "levels": 8}, {"pool_z": (True,)}, {"ndim": 3, "levels": 2, "pool_z": (True,)}]
)
def test_impossible_specs_are_refused(settings):
    with pytest.raises(ValueError, match=r"features|pool_z"):
        UNetSpec(**settings)
