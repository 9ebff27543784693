"""A session to be saved: an image in a file, what was segmented, corrected and reviewed, and two models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile

from hand_made import bright
from napari_unet.axes import PixelSize
from napari_unet.corrections.corrections import Corrections
from napari_unet.io.readers import read_image
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.projects.project import Project

VERDICT = Verdict(Comparison(0.5, 0.8, 0.1, 0.5, 12), None, 7, True)


def random_session(image: Any, seed: int = 0, *, instances: bool = True, **settings: Any) -> Project:
    """Return a project with labels that were predicted, edited and reviewed at random."""
    rng = np.random.default_rng(seed)
    shape = (image.n_frames, *image.space)
    corrections = Corrections(shape, instances=instances)
    corrections.zero_is_background = bool(seed % 2)
    labels = np.zeros(image.label_shape, np.int32)
    view = image.canonical_labels(labels)
    for _ in range(4):
        t, z = (int(rng.integers(0, n)) for n in shape[:2])
        y, x = (int(rng.integers(0, n // 2)) for n in shape[2:])
        kind = rng.integers(0, 3)
        if kind == 0:
            region = (slice(z, z + 1), slice(y, shape[2]), slice(x, shape[3]))
            predicted = np.zeros((1, shape[2] - y, shape[3] - x), np.int32)
            for label in range(1, 4):
                a, b = (int(rng.integers(0, n)) for n in predicted.shape[1:])
                predicted[:, a : a + 5, b : b + 7] = label
            view[(t, *region)] = corrections.merge(view, t, region, predicted)
        elif kind == 1:
            view[t, z, y : y + 6, x : x + 4] = rng.integers(0, 5)
        else:
            corrections.review(t, slice(z, z + 1), slice(y, y + 9), slice(x, x + 8), bool(rng.random() < 0.8))
    return Project(image, labels, corrections, **settings)


@pytest.fixture
def image_file(tmp_path: Any) -> Any:
    path = tmp_path / "images" / "cells.tif"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 200, (3, 40, 50)).astype(np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 2}, resolution=(2, 2))
    return path


@pytest.fixture
def session(image_file: Any) -> Project:
    image = read_image(image_file)
    assert image.pixel_size == PixelSize(y=0.5, x=0.5, z=2)
    models = [bright("first"), Generation(bright("second", threshold=0.2), VERDICT)]
    waiting = Generation(bright("third", threshold=0.3), Verdict(None, Comparison(0.75, 0.5, -0.5, 0.0, 9)))
    return random_session(image, 3, models=models, current=0, waiting=waiting, image_path=image_file)


def same(one: Project, other: Project) -> None:
    """Assert that two projects are of the same state."""
    assert np.array_equal(one.labels, other.labels)
    for name in ("prediction", "seen", "reviewed"):
        assert np.array_equal(getattr(one.corrections, name), getattr(other.corrections, name)), name
    for name in ("instances", "zero_is_background", "shape"):
        assert getattr(one.corrections, name) == getattr(other.corrections, name), name
    one.corrections.update(one.image.canonical_labels(one.labels))
    other.corrections.update(other.image.canonical_labels(other.labels))
    assert one.corrections.summary() == other.corrections.summary()
    assert one.corrections.touched == other.corrections.touched
    assert one.corrections.last_id == other.corrections.last_id
    assert np.array_equal(one.provenance, other.provenance)
    assert np.array_equal(one.supervised, other.supervised)
    assert [g.model.sha256() for g in one.generations] == [g.model.sha256() for g in other.generations]
    assert [g.verdict for g in one.generations] == [g.verdict for g in other.generations]
    assert [g.model.info for g in one.generations] == [g.model.info for g in other.generations]
    assert (one.current, one.channel) == (other.current, other.channel)
    assert (one.waiting is None) == (other.waiting is None)
    assert one.waiting is None or one.waiting.model.sha256() == other.waiting.model.sha256()
