"""What is done ahead is not done again, and shows nothing that is out of date."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.errors import ModelFileError
from napari_unet.inference.in_memory import segment
from napari_unet.inference.warm_up import warm_up
from napari_unet.models import store
from napari_unet.models.store import DEFAULT_MODEL, find_model, load_ahead, load_model


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(store, "_kept", {})


def test_a_model_that_was_loaded_ahead_is_the_one_that_is_loaded():
    assert load_model(DEFAULT_MODEL) is not load_model(DEFAULT_MODEL), "others are read each time"
    ahead = load_ahead(DEFAULT_MODEL)
    assert load_model(DEFAULT_MODEL) is ahead
    assert load_ahead(DEFAULT_MODEL) is ahead
    assert load_model(find_model(DEFAULT_MODEL)) is ahead, "by its path, too"


def test_a_file_that_has_changed_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv(store.HOME_VARIABLE, str(tmp_path))
    own = tmp_path / "models" / "own.safetensors"
    own.parent.mkdir()
    shutil.copy(find_model("cells_phase"), own)
    ahead = load_ahead("own")
    assert load_model("own") is ahead
    shutil.copy(find_model("axons"), own)
    changed = load_model("own")
    assert changed is not ahead
    assert changed.info.task == "semantic"
    own.unlink()
    with pytest.raises(ModelFileError):
        load_model("own")


def test_a_model_of_the_user_hides_a_shipped_one_that_was_loaded_ahead(tmp_path, monkeypatch):
    monkeypatch.setenv(store.HOME_VARIABLE, str(tmp_path))
    warm_up()
    own = tmp_path / "models" / f"{DEFAULT_MODEL}.safetensors"
    own.parent.mkdir()
    shutil.copy(find_model("cells_phase"), own)
    assert load_model(DEFAULT_MODEL).info.name == "cells_phase"


def test_warming_up_changes_no_result(nuclei_crop):
    before = segment(Image(nuclei_crop, "YX"), load_model(DEFAULT_MODEL), device="cpu").labels
    warm_up()
    after = segment(Image(nuclei_crop, "YX"), load_model(DEFAULT_MODEL), device="cpu").labels
    assert before.any()
    assert np.array_equal(before, after)
