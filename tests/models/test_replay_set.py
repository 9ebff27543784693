"""What a shipped model carries along of its training data."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet import load_model
from napari_unet.errors import ModelFileError
from napari_unet.models.replay_set import ReplayPatch, load_replay_set, replay_set_path, save_replay_set
from napari_unet.models.store import list_models


def test_written_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.models.replay_set.shipped_folder", lambda: tmp_path)
    rng = np.random.default_rng(0)
    image, labels = rng.normal(0.3, 0.4, (3, 20, 30)).astype(np.float32), rng.integers(0, 9, (20, 30), np.uint16)
    save_replay_set(
        [ReplayPatch(image, labels, check=False), ReplayPatch(image[:1], labels, check=True)], replay_set_path("a")
    )
    first, second = load_replay_set("a")
    assert np.abs(first.image - image).max() <= np.ptp(image) / 255
    assert first.image.dtype == np.float32
    assert np.array_equal(second.labels, labels)
    assert (first.check, second.check) == (False, True)


def test_a_missing_or_damaged_replay_set_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.models.replay_set.shipped_folder", lambda: tmp_path)
    with pytest.raises(ModelFileError, match="'a' cannot be read"):
        load_replay_set("a")
    replay_set_path("a").write_bytes(b"PK not a zip file")
    with pytest.raises(ModelFileError, match="'a' cannot be read"):
        load_replay_set("a")


def test_every_shipped_model_has_the_replay_set_that_it_names():
    models = [load_model(entry.path) for entry in list_models()]
    assert models[0].info.replay_set == "nuclei"
    for model in models:
        if model.info.replay_set is None:
            continue
        patches = load_replay_set(model.info.replay_set)
        assert {patch.check for patch in patches} == {False, True}
        for patch in patches:
            model.check_channels(len(patch.image))
            assert patch.labels.max() > 0
            assert patch.labels.shape == patch.image.shape[1:]
    assert sum(path.stat().st_size for path in replay_set_path("").parent.iterdir()) < 30e6, "all of it in the wheel"
