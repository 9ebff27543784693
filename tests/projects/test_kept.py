"""Files of an earlier version open with all that is in them, and are saved with new names: see kept/README.md."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from napari_unet.models.checkpoint import load_model_file, read_model_info, save_model_file
from napari_unet.models.header import METADATA_KEY
from napari_unet.models.info import FORMAT
from napari_unet.progress import CancelToken
from napari_unet.projects.description import _VERDICT, VERSION
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import Copy, left_behind

FIRST = "b87f4f284d7cac4e79e465acf7a1efab7919fc82ce7020bfce103f2579e9eb70"
SECOND = "873318161f7449f8662218425359d828f791b20b9834831ec6fee02ac8461d0a"
COMPARED = ((0.5, 0.75, 0.125, 0.375, 12), (0.9, 0.875, -0.0625, 0.03125, 40), 7, True)
LITTLE = (None, None, 0, False)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, in which the program looks for copies that were left behind."""
    folder = tmp_path / "kept"
    shutil.copytree(Path(__file__).parent / "kept", folder)
    monkeypatch.setenv("NAPARI_UNET_HOME", str(folder))
    return folder


def assert_as_it_was(project: Project, file: Path) -> None:
    with np.load(file) as expected:
        assert np.array_equal(project.labels, expected["labels"])
        for name in ("prediction", "seen", "reviewed"):
            assert np.array_equal(getattr(project.corrections, name), expected[name]), name


def keys(value: Any) -> set[str]:
    """Return all keys in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_a_project_of_a_stack(kept: Path) -> None:
    project = Project.open(kept / "cells.unetproj")
    assert_as_it_was(project, kept / "cells.npz")
    assert project.notes == ()
    assert (project.corrections.last_id, project.corrections.instances) == (16, True)
    assert project.corrections.zero_is_background
    assert (project.image.diameter, project.image.found_diameter, project.image.found_against) == (14.5, 13.25, 60.0)
    assert project.image_path == (kept / "cells.tif").resolve()
    assert (project.current, project.channel, project.journal) == (1, None, None)
    first, second = project.generations
    assert (first.sha256(), second.sha256()) == (FIRST, SECOND)
    assert first.verdict is None
    assert second.verdict is not None
    assert astuple(second.verdict) == (*COMPARED, (), "nothing reviewed", False)
    assert second.before is first
    assert project.waiting is not None
    assert project.waiting.verdict is not None
    assert astuple(project.waiting.verdict) == (*LITTLE, (), "nothing reviewed", False)
    assert project.waiting.before is second
    assert project.attention is not None
    assert project.attention.anything


def test_a_copy_that_was_left_behind(kept: Path) -> None:
    (found,), rubbish = left_behind()
    assert rubbish == []
    copy = Copy.claim(found.path)
    assert copy is not None
    project = copy.open(None, CancelToken())
    copy.release()
    assert_as_it_was(project, kept / "recovered.npz")
    assert (project.corrections.last_id, project.corrections.zero_is_background) == (18, False)
    assert [one.info.name for one in project.generations] == ["tiny", "tiny, corrected", "begun anew"]
    assert (project.current, project.waiting) == (2, None)
    verdict = project.generations[1].verdict
    assert verdict is not None
    assert astuple(verdict) == (*COMPARED, (), "nothing reviewed", False)


def test_where_that_copy_was_saved_before(kept: Path) -> None:
    (note,) = kept.glob("recovery/*/sitting.json")
    said = json.loads(note.read_text())
    note.write_text(json.dumps(said | {"saved_as": str(kept / "cells.unetproj")}))
    (found,), _ = left_behind()
    copy = Copy.claim(found.path)
    assert copy is not None
    assert copy.open(None, CancelToken()).path == kept / "cells.unetproj"
    copy.release()


def test_a_project_of_a_plane_with_its_pixels_in_it(kept: Path) -> None:
    project = Project.open(kept / "plane.unetproj")
    assert_as_it_was(project, kept / "plane.npz")
    assert not project.corrections.instances
    assert not project.corrections.zero_is_background
    assert project.image.name == "a plane"


@pytest.mark.parametrize("name", ["cells", "plane"])
def test_saved_again_it_is_one_of_today(kept: Path, tmp_path: Path, name: str) -> None:
    project = Project.open(kept / f"{name}.unetproj")
    path = project.save(tmp_path / "again.unetproj")
    said = json.loads((path / "project.json").read_text())
    assert said["version"] == VERSION
    assert not keys(said) & {"glimpse", "newest", "files", "parts", "continued_by", *_VERDICT}
    again = Project.open(path)
    assert_as_it_was(again, kept / f"{name}.npz")
    assert [one.verdict for one in again.generations] == [one.verdict for one in project.generations]
    assert [one.info for one in again.generations] == [one.info for one in project.generations]


def test_a_model_that_was_fine_tuned(kept: Path) -> None:
    info = read_model_info(kept / "learned.safetensors")
    assert load_model_file(kept / "learned.safetensors").sha256() == SECOND
    assert info.replay_set == "nuclei"
    assert info.fast_mode is not None
    assert (info.fast_mode.halo, info.fast_mode.maps_error, info.fast_mode.labels_differing) == ((2, 2), 0.125, 0.0625)
    assert (info.diameter, round(info.image_diameter or 0, 6)) == (30.0, 14.5)
    assert info.styles == ((0.5, 0.25, 0.125, 0.0625, 0.5, 0.75),)
    assert info.recipe["new_domain"] is True
    assert (info.recipe["base_score"], info.recipe["interpolation"]) == (0.5625, 0.6)
    assert not {"another_kind", "share_of_the_way"} & set(info.recipe)
    assert (info.recipe["method"], info.recipe["steps"]) == ("fine-tuned on corrections", 4)
    assert [source.name for source in info.training_data] == ["squares", "corrections by the user"]


@pytest.mark.parametrize(("name", "untrained"), [("untrained", True), ("begun_anew", False)])
def test_a_model_that_was_begun_anew(kept: Path, name: str, untrained: bool) -> None:
    info = load_model_file(kept / f"{name}.safetensors").info
    assert info.is_from_scratch
    assert info.is_untrained == untrained


@pytest.mark.parametrize("name", ["learned", "untrained", "begun_anew"])
def test_a_model_that_is_saved_again(kept: Path, name: str) -> None:
    model = load_model_file(kept / f"{name}.safetensors")
    save_model_file(model, kept / "again.safetensors")
    again = load_model_file(kept / "again.safetensors")
    with safe_open(kept / "again.safetensors", framework="numpy") as file:
        said = json.loads(file.metadata()[METADATA_KEY])
    assert said["format"] == FORMAT
    assert not keys(said) & {"bank", "fast", "min_seed", "meeting", "another_kind", "share_of_the_way"}
    assert again.info == model.info
    assert again.sha256() == model.sha256()
