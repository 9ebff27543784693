"""Volumes of other kinds, and the person who corrects them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_unet_benchmarks.volume_kinds import KINDS, SHAPE, embryo, nucleoli, walls
from napari_unet_benchmarks.volumes import corrected, score


@pytest.fixture
def folder(tmp_path):
    """A folder of data with one volume of BBBC050 that has two objects."""
    labels = np.zeros((20, 60, 60), np.uint16)
    labels[4:14, 10:26, 10:26], labels[6:16, 34:50, 30:46] = 1, 7
    for name, data in (("images", 100 + 400 * (labels > 0).astype(np.uint16)), ("labels", labels)):
        (tmp_path / "embryo3d_bbbc050" / name).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "embryo3d_bbbc050" / name / "Emb01.tif", data)
    return tmp_path


def test_no_volume_is_learned_from_and_reported_on_or_chosen_on():
    for kind in KINDS.values():
        assert not set(kind.learned) & set(kind.others)
    chosen, reported = (
        {s for k in KINDS.values() if k.chosen == c for s in k.learned + k.others} for c in (True, False)
    )
    assert not chosen & reported


@pytest.mark.parametrize(("kind", "shape"), [("small", (9, 27, 27)), ("flat", (10, 80, 80)), ("dark", (7, 39, 39))])
def test_volumes_are_made_of_real_ones(folder, kind, shape):
    volume = KINDS[kind].make(folder, "Emb01")
    assert volume.image.shape == volume.labels.shape == shape
    assert volume.objects == 2
    inside, outside = volume.image[volume.labels > 0].mean(), volume.image[volume.labels == 0].mean()
    assert (inside > outside) == (kind != "dark")
    assert np.array_equal(KINDS[kind].make(folder, "Emb01").image, volume.image)


@pytest.mark.parametrize("draw", [nucleoli, walls])
def test_volumes_are_drawn(tmp_path, draw):
    volume, again, other = (draw(tmp_path, seed) for seed in (1, 1, 2))
    assert volume.image.shape == SHAPE
    assert 50 <= volume.objects <= 110
    assert np.array_equal(volume.image, again.image)
    assert not np.array_equal(volume.image, other.image)


def test_a_volume_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Emb99\.tif of BBBC050"):
        embryo(tmp_path, "Emb99")


def test_wrong_objects_are_drawn_anew():
    truth = np.zeros((3, 20, 20), np.int32)
    truth[:, 2:8, 2:8], truth[:, 2:8, 12:18], truth[:, 12:18, 2:8] = 1, 2, 3
    predicted = np.where(truth == 1, 5, 0)
    predicted[:, 2:5, 12:18] = 6  # half of one; another is missed
    once = corrected(truth, predicted, 1, np.random.default_rng(0))
    assert len(np.unique(once)) - 1 in (2, 3)
    labels = corrected(truth, predicted, 8, np.random.default_rng(0))
    assert np.array_equal(labels > 0, truth > 0)
    assert (labels[truth == 1] == 5).all()
    assert len(np.unique(labels[truth == 2])) == 1


def test_scores_are_those_of_all_volumes(folder, bright_model):
    volume = embryo(folder, "Emb01")
    blank = replace(volume, image=np.zeros_like(volume.image))
    found = score(bright_model(ndim=3), [volume, blank])
    assert found["each"] == [1.0, 0.0]
    assert found["AP"] == 0.5
    assert found["found"] == [2, 0]
    assert found["objects"] == 4
