"""The pure functions agree with networks that really run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.nets import geometry
from napari_unet.nets.spec import UNetSpec, unet2015

SPECS = [
    UNetSpec(features=2, levels=1, norm="none"),
    UNetSpec(features=2, levels=2, norm="none"),
    UNetSpec(features=2, levels=2, norm="none", up="interpolated"),
    UNetSpec(ndim=3, features=1, levels=2, norm="none", pool_z=(False, True)),
]


def influence(net, shape, position):
    """Return the first and last input position, along the last axis, that changes one output pixel."""
    rng = np.random.default_rng(0)
    changed = np.zeros(shape[-1], bool)
    for _ in range(6):  # max pooling hides some inputs: several images together show them all
        image = torch.from_numpy(rng.normal(0, 1, shape).astype(np.float32))
        at = (0, 0, *(n // 2 for n in shape[:-1]), position)
        base = net(image[None, None])[at]
        for x in range(shape[-1]):
            moved = image.clone()
            moved[..., x] += 5.0
            changed[x] |= bool(net(moved[None, None])[at] != base)
    hit = np.flatnonzero(changed)
    return int(hit[0]), int(hit[-1]) + 1


@pytest.mark.parametrize("spec", SPECS[:3], ids=str)
def test_dependency_is_what_a_network_shows(tiny_net, spec):
    net = tiny_net(**spec.model_dump()).double().float()
    size = 64
    for position in range(24, 24 + spec.stride[-1]):
        start, stop = geometry.dependency(spec, -1, position, position + 1)
        first, last = influence(net, (16, size), position)
        assert start <= first
        assert last <= stop
        assert first - start <= 1  # the bound is not a loose one
        assert stop - last <= 1


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_sizes_are_those_of_the_network(tiny_net, spec, padding):
    spec = spec.model_copy(update={"padding": padding})
    net = tiny_net(**spec.model_dump()).to("meta")
    fits = geometry.input_size(spec, 8, 1)
    for size in range(1, 60):
        predicted = geometry.output_size(spec, size)
        shape = (
            [geometry.input_size(spec, 4, 0), size] if spec.ndim == 2 else [geometry.input_size(spec, 2, 0), fits, size]
        )
        if not predicted:
            with pytest.raises(Exception, match="nearest"):
                net(torch.zeros(1, 1, *shape, device="meta"))
        else:
            assert net(torch.zeros(1, 1, *shape, device="meta")).shape[-1] == predicted
    for wanted in range(1, 40):
        size = geometry.input_size(spec, wanted)
        assert geometry.output_size(spec, size) >= wanted
        assert all(geometry.output_size(spec, smaller) < wanted for smaller in range(size))


def test_the_numbers_of_the_paper():
    spec = unet2015()
    assert geometry.output_size(spec, 572) == 388
    assert geometry.input_size(spec, 388) == 572
    assert geometry.valid_margin(spec) == (92, 92)
    assert geometry.output_size(spec, 571) == 0


def test_halo_is_enough_and_not_more(tiny_net):
    spec = UNetSpec(features=4, levels=2, norm="none")
    net = tiny_net(**spec.model_dump())
    image = torch.randn(1, 1, 16, 128, generator=torch.Generator().manual_seed(0))
    whole = net(image)[..., 64:68]
    reach = geometry.halo(spec)[-1]
    padded = -(-reach // spec.stride[-1]) * spec.stride[-1]
    crop = net(image[..., 64 - padded : 68 + padded])[..., padded : padded + 4]
    assert torch.allclose(whole, crop, atol=1e-6)
    short = padded - 2 * spec.stride[-1]
    assert not torch.allclose(whole, net(image[..., 64 - short : 68 + short])[..., short : short + 4], atol=1e-6)
    assert geometry.receptive_field(spec)[-1] <= 2 * reach + spec.stride[-1]


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize(("ndim", "levels"), [(2, 1), (2, 3), (3, 1)])
def test_a_crop_with_its_halo_gives_the_same(tiny_net, ndim, levels, norm):
    net = tiny_net(ndim=ndim, levels=levels, norm=norm, features=2)
    stride, reach = net.spec.stride[-1], geometry.halo(net.spec)[-1]
    padded = -(-reach // stride) * stride
    start, stop = padded + stride, padded + 3 * stride
    shape = [stride] * (ndim - 1) + [stop + padded + 2 * stride]
    whole = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    expected = net(whole)[..., start:stop]
    crop = net(whole[..., start - padded : stop + padded])[..., padded:-padded]
    assert torch.allclose(crop, expected, atol=1e-5)
    off_grid = net(whole[..., start - padded - 1 : stop + padded - 1])[..., padded + 1 : padded + 1 + stop - start]
    assert not torch.allclose(off_grid, expected, atol=1e-5)


@pytest.mark.parametrize(("ndim", "levels"), [(2, 1), (2, 2), (3, 1)])
def test_valid_tiles_on_the_grid_join_without_a_seam(tiny_net, ndim, levels):
    net = tiny_net(ndim=ndim, levels=levels, norm="none", padding="valid", features=2)
    spec, stride = net.spec, net.spec.stride[-1]
    size = geometry.input_size(spec, 6 * stride)
    narrow = [geometry.input_size(spec, 1, axis) for axis in range(ndim - 1)]
    image = torch.randn(1, 1, *narrow, size, generator=torch.Generator().manual_seed(1))
    whole = net(image)
    part = geometry.input_size(spec, stride)
    for start in range(0, 5 * stride, stride):
        tile = net(image[..., start : start + part])[..., :stride]
        assert torch.allclose(tile, whole[..., start : start + stride], atol=1e-5)
    off_grid = net(image[..., 1 : 1 + part])[..., :stride]
    assert not torch.allclose(off_grid, whole[..., 1 : 1 + stride], atol=1e-5)
