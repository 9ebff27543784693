"""Models by name: the shipped ones, and the user's own, which outlive the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from napari_unet.errors import ModelFileError
from napari_unet.models.store import list_models, load_model, save_model, shipped_folder, user_folder


@pytest.fixture
def small(tiny_model):
    return tiny_model(features=2, levels=1)


def test_the_shipped_model_is_there():
    entries = {entry.name: entry for entry in list_models()}
    assert entries["nuclei"].shipped
    assert entries["nuclei"].path.parent == shipped_folder()


def test_the_shipped_model_says_what_it_is(nuclei):
    info = nuclei.info
    assert info.name == "nuclei"
    assert info.inputs == "colour"
    assert info.licence
    assert all(source.licence != "unknown" for source in info.training_data)
    assert info.training_data


def test_what_is_saved_is_loaded_by_name_and_by_path(small):
    path = save_model(small, "my nuclei 2.1")
    assert path.parent == user_folder()
    assert load_model("my nuclei 2.1").sha256() == small.sha256()
    assert load_model("my nuclei 2.1").name == "my nuclei 2.1"
    assert load_model(path).sha256() == load_model(str(path)).sha256() == small.sha256()
    assert small.name == "tiny"
    assert [(e.name, e.shipped) for e in list_models() if not e.shipped] == [("my nuclei 2.1", False)]


@pytest.mark.parametrize(
    "name",
    ["", "  ", ".", "..", "../x", "a/b", "a\\b", "/etc/x", ".hidden", "a\0b", "a\nb", "x" * 81, "-rf", "a:b", "a*"],
)
def test_names_that_are_no_file_names_are_refused(small, name):
    with pytest.raises(ModelFileError, match="cannot be a model's name"):
        save_model(small, name)
    assert not user_folder().exists()


@pytest.mark.parametrize("name", ["con", "NUL", "Aux.v2", "com1", "lpt9.safetensors", "prn "])
def test_names_of_devices_are_refused_everywhere(small, name):
    with pytest.raises(ModelFileError, match="takes it for a device"):
        save_model(small, name)
    assert not user_folder().exists()


@pytest.mark.parametrize("name", ["console", "com", "com10", "nuclei con", "contrast 1"])
def test_names_that_only_begin_like_one_are_not(small, name):
    assert save_model(small, name).exists()


@pytest.mark.parametrize("name", [None, 3, ["nuclei"], b"nuclei"])
def test_what_is_no_name_is_refused_in_words(name):
    with pytest.raises(ModelFileError, match=f"got {type(name).__name__}"):
        load_model(name)


def test_the_name_of_a_shipped_model_is_refused(small):
    for overwrite in (False, True):
        with pytest.raises(ModelFileError, match="came with the program"):
            save_model(small, "nuclei", overwrite=overwrite)


def test_an_own_model_is_not_overwritten_unasked(small, tiny_model):
    other = tiny_model(seed=5, features=2, levels=1)
    save_model(small, "mine")
    with pytest.raises(ModelFileError, match="already"):
        save_model(other, "mine")
    assert load_model("mine").sha256() == small.sha256()
    save_model(other, "mine", overwrite=True)
    assert load_model("mine").sha256() == other.sha256()


def test_umlauts_and_spaces_around(small):
    save_model(small, "  Zellkerne für Anna ")
    assert load_model("Zellkerne für Anna").name == "Zellkerne für Anna"


def test_own_models_are_there_after_a_restart(small):
    save_model(small, "mine")
    code = (
        "from napari_unet.models.store import list_models, load_model; "
        "print([e.name for e in list_models() if not e.shipped], load_model('mine').sha256())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == f"['mine'] {small.sha256()}"


def test_an_unknown_name_is_told_with_the_own_models_too(small):
    save_model(small, "mine")
    with pytest.raises(ModelFileError, match="nope.*nearest is mine") as error:
        load_model("nope")
    assert re.search("nuclei, .*mine", error.value.details)


@pytest.mark.parametrize("name", ["nucleus", "", "no such", "../nuclei", "x" * 5000, "a\0b", "~"])
def test_unknown_names_are_told_with_those_there_are(name):
    with pytest.raises(ModelFileError, match="nuclei|no model file") as caught:
        load_model(name)
    assert len(str(caught.value)) < 6000


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match="gone.safetensors"):
        load_model(tmp_path / "gone.safetensors")


def test_a_folder_of_the_user_that_is_a_file_is_told(small):
    user_folder().parent.mkdir(parents=True)
    user_folder().write_text("not a folder")
    assert all(entry.shipped for entry in list_models())
    with pytest.raises(ModelFileError, match="could not be saved"):
        save_model(small, "mine")
