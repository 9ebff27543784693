"""The models that come with the program: each has an honest card, and does what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet import evaluate, segment
from napari_unet.models.checkpoint import info_as_json, read_model_info
from napari_unet.models.store import DEFAULT_MODEL, list_models, shipped_folder

NAMES = [entry.name for entry in list_models() if entry.shipped]


def test_the_general_one_is_first():
    assert NAMES[0] == DEFAULT_MODEL
    assert sorted(NAMES) == ["axons", "cells", "cells_phase", "nuclei", "nuclei3d"]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_data_licence_and_scores(name):
    info = read_model_info(shipped_folder() / f"{name}.safetensors")
    assert info.name == name
    assert info.description
    assert info.licence != "unknown"
    assert info.classes
    for source in info.training_data:
        assert source.licence != "unknown"
        assert source.source.startswith("https://")
        assert source.images
    assert info.training_data
    assert info.recipe["script"] == f"recipes/{name}.py"
    assert info.scores
    assert all(key.startswith("val ") and 0 <= score <= 1 for key, score in info.scores.items())
    assert info_as_json(info)["scores"]


def balls(shape, radius, seed=0):
    """Noisy bright balls that do not touch, and their labels."""
    rng = np.random.default_rng(seed)
    step = round(3.2 * radius)
    centres = np.stack(np.meshgrid(*(np.arange(step // 2, n - step // 3, step) for n in shape), indexing="ij"), -1)
    labels = np.zeros(shape, np.int32)
    for number, centre in enumerate(centres.reshape(-1, len(shape)), start=1):
        inside = sum((g - c) ** 2 for g, c in zip(np.indices(shape), centre, strict=True)) < radius**2
        labels[inside] = number
    image = 300 + 900 * ndimage.gaussian_filter((labels > 0).astype(float), 1) + rng.normal(0, 60, shape)
    return image.astype(np.uint16), labels


@pytest.mark.parametrize(("name", "shape", "radius"), [("nuclei", (160, 160), 10), ("nuclei3d", (32, 80, 80), 8)])
def test_nuclei(name, shape, radius):
    image, truth = balls(shape, radius)
    assert evaluate(truth, segment(image, name, axes="ZYX"[-image.ndim :]).labels).ap["0.50"] > 0.8


def test_axons():
    """Dark middles in bright rings, on grey."""
    _, fibres = balls((200, 200), 14)
    depth = ndimage.distance_transform_edt(fibres)
    truth = np.where(depth > 6, 1, np.where(depth > 0, 2, 0))
    shades = np.choose(truth, [90, 40, 200]) + np.random.default_rng(0).normal(0, 8, truth.shape)
    image = np.clip(ndimage.gaussian_filter(shades, 0.7), 0, 255).astype(np.uint8)
    scores = evaluate(truth, segment(image, "axons", pixel_size=(0.12,)).labels, task="semantic")
    assert min(scores.dice_per_class.values()) > 0.8


def test_cells_in_phase_contrast():
    """Grainy ellipses, dark within their outline and with a bright halo around it; the scale is found by itself."""
    rng, shape = np.random.default_rng(0), (320, 320)
    y, x = np.indices(shape)
    truth = np.zeros(shape, np.int32)
    centres = [(cy, cx) for cy in (60, 160, 260) for cx in (60, 160, 260)]
    for number, (cy, cx) in enumerate(centres, start=1):
        angle = rng.uniform(0, np.pi)
        along = (y - cy) * np.cos(angle) + (x - cx) * np.sin(angle)
        across = (x - cx) * np.cos(angle) - (y - cy) * np.sin(angle)
        truth[(along / 38) ** 2 + (across / 20) ** 2 < 1] = number
    depth, beyond = ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(truth == 0)
    grain = ndimage.gaussian_filter(rng.normal(0, 0.35, shape), 2)
    inside = 0.3 - 0.1 * np.exp(-depth / 4) + grain
    outside = 0.3 + 0.25 * np.exp(-(((beyond - 3) / 3) ** 2))
    image = np.where(truth > 0, inside, outside) + rng.normal(0, 0.01, shape)
    result = segment((40000 * image + 4000).astype(np.uint16), "cells_phase")
    assert result.task.zoom == (0.5, 0.5)
    assert evaluate(truth, result.labels).ap["0.50"] > 0.8
