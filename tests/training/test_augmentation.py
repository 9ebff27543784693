"""Crops and deformations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.objects.flows import FLOWS, flow_field
from napari_unet.training.augmentation import _coordinates, _cut, _elastic_field, _sampled, _window, draw_patch
from napari_unet.training.config import Augmentation
from napari_unet.training.samples import PatchSampler, make_sample

GEOMETRY_ONLY = {"contrast": 0, "brightness": 0, "gamma": 1, "noise": 0, "blur": 0}


@pytest.fixture
def sample(blobs):
    """Return a maker of samples whose image is their foreground map, so that both must move alike."""

    def make(shape=(80, 90), **kwargs):
        _, labels = blobs(shape)
        return make_sample((labels > 0).astype(np.float32)[None], labels, ("foreground", "distance"), **kwargs)

    return make


def test_without_augmentation_a_patch_is_a_crop(sample):
    source = sample()
    image, targets, supervised = draw_patch(source, (21, 31), (40.0, 45.0), None, np.random.default_rng(0))
    assert np.allclose(image[0], source.image[0, 30:51, 30:61], atol=1e-4)
    assert np.allclose(targets[1], source.targets[1, 30:51, 30:61].astype(np.float32), atol=1e-3)
    assert supervised.shape == (2, 21, 31)
    assert float(supervised.min()) == 1


def test_beyond_the_border_the_image_is_mirrored(sample):
    source = sample()
    image, _, _ = draw_patch(source, (21, 21), (0.0, 0.0), None, np.random.default_rng(0))
    padded = np.pad(source.image[0], 10, mode="reflect")[:21, :21]
    assert np.allclose(image[0], padded, atol=1e-4)


@pytest.mark.parametrize("center", [(-15.0, -15.0), (95.0, 40.0), (40.0, 130.0), (-70.0, 200.0)])
def test_far_beyond_the_border_it_is_mirrored_there_too(sample, center):
    """Not at the border of the part that is read."""
    source = sample()
    image, targets, _ = draw_patch(source, (21, 21), center, None, np.random.default_rng(0))
    padded = np.pad(source.image[0], 150, mode="reflect")
    y, x = (int(c) + 150 - 10 for c in center)
    assert np.allclose(image[0], padded[y : y + 21, x : x + 21], atol=1e-4)
    assert np.allclose(targets[0], padded[y : y + 21, x : x + 21], atol=1e-3)


@pytest.mark.parametrize("corner", [(-20.0, -20.0), (148.0, -20.0), (148.0, 148.0)])
def test_flows_beyond_the_border_point_to_the_middle_of_what_is_seen(corner):
    labels = np.zeros((128, 128), np.int32)
    for number, (y, x) in enumerate(np.ndindex(4, 4)):
        labels[32 * y + 6 : 32 * y + 26, 32 * x + 6 : 32 * x + 26] = number + 1
    source = make_sample(np.zeros((1, 128, 128), np.float32), labels, ("foreground", *FLOWS[2]))
    _, targets, _ = draw_patch(source, (96, 96), corner, None, np.random.default_rng(0))
    seen, _ = ndimage.label(np.pad(labels, 100, mode="reflect"))
    y, x = (int(c) + 100 - 48 for c in corner)
    wanted = flow_field(seen)[:, y : y + 96, x : x + 96]
    inside = targets[0].numpy() > 0.99
    assert inside.sum() > 1000
    both = ((2 * targets[1:].numpy() - 1) * wanted).sum(0)
    assert (both[inside] < 0).mean() < 0.05


@pytest.mark.parametrize("shape", [(80, 90), (12, 50, 60)])
def test_image_and_targets_move_alike(sample, shape):
    source = sample(shape)
    patch = (40, 40) if len(shape) == 2 else (8, 40, 40)
    center = tuple(n / 2 for n in shape)
    moved = 0
    for seed in range(5):
        image, targets, _ = draw_patch(
            source, patch, center, Augmentation(**GEOMETRY_ONLY), np.random.default_rng(seed)
        )
        assert image.shape == (1, *patch)
        assert float((image[0] - targets[0]).abs().max()) < 1e-3
        crop, _, _ = draw_patch(source, patch, center, None, np.random.default_rng(0))
        moved += not torch.allclose(image, crop, atol=0.1)
    assert moved >= 4


def test_the_elastic_grid_of_the_paper():
    paper = Augmentation(elastic=10, elastic_points=3)
    field = _elastic_field((101, 101), paper, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    for displacement in field:
        assert np.allclose(displacement[::50, ::50], rng.normal(0, 10, (3, 3)), atol=1e-3)
        assert np.abs(np.diff(displacement, axis=0)).max() < 1.5  # smooth in between


@pytest.mark.parametrize("shape", [(80, 90), (12, 60, 70)])
@pytest.mark.parametrize("still", [{}, {"elastic": 0, "scale": 1.0}])
def test_vectors_turn_with_the_image(blobs, shape, still):
    """Those of a crop are the field of the labels in the crop."""
    _, labels = blobs(shape, n=12, radius=8)
    names = ("foreground", *FLOWS[len(shape)])
    source = make_sample(labels[None].astype(np.float32), labels, names)
    patch = (48, 48) if len(shape) == 2 else (12, 48, 48)
    alike = []
    for seed in range(12):
        how = Augmentation(**(GEOMETRY_ONLY | still))
        center = tuple(n / 2 - 0.5 for n in shape)
        _, targets, _ = draw_patch(source, patch, center, how, np.random.default_rng(seed))
        coordinates = _coordinates(patch, center, how, np.random.default_rng(seed))
        box, grid = _window(coordinates, shape)
        turned = _sampled(_cut(labels[None], box), grid, "nearest")[0].numpy().astype(int)
        whole = ~np.isin(turned, [turned[..., 0, :], turned[..., -1, :], turned[..., 0], turned[..., -1]])
        whole &= (turned > 0) & ((coordinates >= 0).all(0) & (np.array(shape) - 1 >= coordinates.T).all(-1).T)
        if whole.any():
            alike.append((flow_field(turned) * (2 * targets[1:].numpy() - 1)).sum(0)[whole].mean())
    assert len(alike) > 5
    assert np.mean(alike) > (0.9 if still else 0.8)  # bent or resized, the pixels of the labels are others


def test_beyond_the_border_vectors_are_mirrored():
    labels = np.zeros((40, 40), int)
    labels[2:20, 2:20] = 1
    source = make_sample(labels[None].astype(np.float32), labels, ("foreground", *FLOWS[2]))
    _, targets, _ = draw_patch(source, (41, 41), (0.0, 0.0), None, np.random.default_rng(0))
    foreground, y, x = targets.numpy()
    assert np.allclose(y[:20], 1 - y[:20:-1])
    assert np.allclose(x[:, :20], 1 - x[:, :20:-1])
    assert np.allclose(y, y[:, ::-1])
    assert np.allclose(foreground, foreground[::-1], atol=1e-5)


def test_draws_are_seeded(sample):
    source = sample()
    one, same, other = (
        draw_patch(source, (32, 32), (40.0, 40.0), Augmentation(), np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_intensity_changes_the_image_only(sample):
    source = sample()
    still = {"flip": False, "rotate": 0, "scale": 1, "elastic": 0}
    image, targets, _ = draw_patch(source, (32, 32), (40.0, 40.0), Augmentation(**still), np.random.default_rng(3))
    crop, crop_targets, _ = draw_patch(source, (32, 32), (40.0, 40.0), None, np.random.default_rng(3))
    assert torch.allclose(targets, crop_targets, atol=1e-3)
    assert not torch.allclose(image, crop, atol=1e-2)


def test_patches_larger_than_the_image(sample):
    source = sample((20, 24))
    image, _, _ = draw_patch(source, (64, 64), (10.0, 12.0), Augmentation(), np.random.default_rng(0))
    assert torch.isfinite(image).all()


def test_patches_are_drawn_around_what_is_supervised(blobs):
    image, labels = blobs((200, 200))
    mask = np.zeros(labels.shape, bool)
    mask[150:160, 20:30] = True
    sampler = PatchSampler([make_sample(image[None], labels, ("foreground",), mask)], (32, 32), seed=0)
    for _ in range(50):
        _, (y, x) = sampler.draw()
        assert abs(y - 155) <= 5 + 8
        assert abs(x - 25) <= 5 + 8


def test_slices_are_stretched_alone():
    source = np.random.default_rng(0)
    still = Augmentation(**GEOMETRY_ONLY, flip=False, rotate=0, scale=1, elastic=0, depth=2)
    factors = []
    for _ in range(20):
        z, y, x = _coordinates((5, 7, 7), (0, 0, 0), still, source)
        assert np.allclose([np.ptp(y), np.ptp(x)], 6)
        factors.append(np.ptp(z) / 4)
    assert 0.5 <= min(factors) < 0.8
    assert 1.25 < max(factors) <= 2
    flat = [_coordinates((7, 7), (0, 0), Augmentation(depth=d), np.random.default_rng(1)) for d in (1, 2)]
    assert np.array_equal(*flat)  # a plane has no slices
