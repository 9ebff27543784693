"""Convolutions of volumes give the values of torch, whatever their size, and oneDNN computes them where it is there."""

import pytest
import torch
from torch import nn

from napari_unet.models.store import load_model
from napari_unet.nets import blocked, onednn
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 9, 7, 5), (3, 2, 40, 8), (8, 12, 30, 30), (16, 16, 40, 40)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("settings", [{"padding": 1}, {"padding": 0}, {"padding": (0, 1, 1)}])
def test_values_are_those_of_torch(shape, bias, settings):
    kernel = 1 if min(shape[1:]) < 3 else 3
    torch.manual_seed(0)
    conv = nn.Conv3d(shape[0], 6, kernel, bias=bias, **settings)
    x = torch.randn(1, *shape).contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        assert torch.allclose(onednn.OneDnnConv3d(conv)(x), conv(x), atol=1e-5)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
@pytest.mark.parametrize("spec", [load_model("nuclei3d").info.spec, UNetSpec(ndim=3, features=2, up="interpolated")])
def test_every_convolution_of_a_volume_is_computed_by_onednn(spec):
    """torch has its own way for small ones, which takes many times as long."""
    x = torch.randn(1, spec.in_channels, 16, 32, 48)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        blocked.BlockedUNet(UNet(spec))(x)
    names = {event.name for event in profile.events()}
    assert "aten::mkldnn_convolution" in names
    assert "aten::slow_conv3d_forward" not in names


def test_without_onednn_the_network_is_as_it_was(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    net = UNet(UNetSpec(ndim=3, features=2, levels=1))
    before = [type(module) for module in net.modules()]
    onednn.use_onednn(net)
    assert [type(module) for module in net.modules()] == before


def test_planes_are_left_to_torch():
    net = UNet(UNetSpec(features=2, levels=1))
    onednn.use_onednn(net)
    assert not any(isinstance(module, onednn.OneDnnConv3d) for module in net.modules())
