"""Projects that are incomplete, damaged, lying or hostile: one sentence that names the file, and nothing else."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from contextlib import suppress

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet.errors import FileFormatError, ModelFileError, UNetError
from napari_unet.guidance.where_next import Attention
from napari_unet.io.readers import read_image
from napari_unet.io.writers import write_maps
from napari_unet.projects.description import FILE
from napari_unet.projects.project import Project

from .conftest import same


@pytest.fixture
def path(session, tmp_path):
    return session.save(tmp_path / "a.unetproj")


def changed(path, **fields):
    described = json.loads((path / FILE).read_text()) | fields
    (path / FILE).write_text(json.dumps(described))


def refused(path, *words):
    with pytest.raises(UNetError) as raised:
        Project.open(path)
    text = str(raised.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


# -- project.json ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b"\0" * 1000, b'{"format": "napari-unet-project"}', b"[" * 100_000,
        b'{"format": "napari-unet-project", "version": 1, "state": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_no_description(path, text):
    (path / FILE).write_bytes(text)
    refused(path, FILE)


def test_what_is_no_project(path, tmp_path):
    refused(tmp_path / "nowhere.unetproj", "There is no project")
    refused(tmp_path, "is not a project: there is no project.json in it")
    refused(path / "state-1" / "labels.zarr" / ".zattrs", "is a file, not a project")
    refused(tmp_path / ("x" * 5000), "There is no project")
    (path / FILE).write_text('{"format": "something else", "version": 1}')
    refused(path, "is not that of a project of this program")


def test_every_beginning_of_the_description(path):
    whole = (path / FILE).read_bytes()
    for end in range(0, len(whole.rstrip()), 23):
        (path / FILE).write_bytes(whole[:end])
        refused(path, FILE)


def test_a_description_that_is_too_large(path):
    with (path / FILE).open("r+b") as file:
        file.truncate(2**30)
    refused(path, "too large")


def test_of_a_newer_version(path):
    changed(path, version=3, state={"an": "object"})
    refused(path, "a.unetproj was saved by a newer version of this program. Update")


def test_keys_that_are_not_known_are_ignored(path, session):
    described = json.loads((path / FILE).read_text())
    described["image"]["tomorrow"] = described["models"][0]["tomorrow"] = 1
    changed(path, journal="journal.jsonl", image=described["image"], models=described["models"])
    same(Project.open(path), session)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "../../etc"), ("state", "/etc"), ("state", "state-7"), ("state", "state-1/.."), ("task", "pickle"),
        ("last_id", -1), ("last_id", 2**40), ("current", -1), ("chunks", {"labels": 10**6}), ("chunks", None),
        ("models", [{"name": "x", "sha256": "0" * 64, "file": "../../x.safetensors"}]), ("models", 3),
        ("models", [{"name": "x", "sha256": "0" * 64}]),
        ("models", [{"name": "x", "sha256": "0" * 64, "shipped": True}]),
        ("models", [{"name": "x", "sha256": "0" * 64, "file": "model-9.safetensors"}]),
        ("models", [{"name": "nuclei", "sha256": "0" * 64, "shipped": True, "verdict": {"reviewed": "good"}}]),
    ],
)  # fmt: skip
def test_lies(path, field, value):
    changed(path, **{field: value})
    refused(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "../images/cells\0.tif"), ("path", "/dev/zero"), ("path", ".."), ("path", "x" * 9000), ("axes", "QQ"),
        ("axes", "ZZZ"), ("axes", "YX"), ("shape", [3, 40]), ("shape", [10**9, 10**9, 10**9]), ("shape", [0, 40, 50]),
        ("shape", [-3, 40, 50]), ("file_channel", 3), ("pixel_size", {"y": 0, "x": 1}), ("diameter", -1),
        ("pixel_size", {"y": "NaN", "x": 1}), ("name", 7),
    ],
)  # fmt: skip
def test_lies_about_the_image(path, field, value):
    described = json.loads((path / FILE).read_text())
    changed(path, image=described["image"] | {field: value})
    refused(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_any_other_value_anywhere(path, data):
    whole = (path / FILE).read_text()
    described = json.loads(whole)
    holder, key = described, data.draw(st.sampled_from(sorted(described)))
    while isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
    holder[key] = data.draw(anything | st.dictionaries(st.text(), st.integers()))
    (path / FILE).write_text(json.dumps(described))
    with suppress(UNetError):  # whatever else is raised is a fault
        Project.open(path)
    (path / FILE).write_text(whole)


# -- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["labels", "prediction", "provenance"])
def test_arrays_that_are_not_what_they_should_be(path, name):
    array = path / "state-1" / f"{name}.zarr"
    kept = shutil.copytree(array, path.parent / "kept")
    for shape, dtype in (((3, 40, 51), "i4"), ((40, 50), "i4"), ((3, 40, 50), "f4"), ((10**6, 10**6, 10**6), "i4")):
        zarr.create_array(array / "0", shape=shape, dtype=dtype, chunks=(1,) * len(shape), overwrite=True)
        refused(path, f"{name}.zarr is not of this image", "(3, 40, 50)")
    shutil.rmtree(array)
    refused(path, f"{name}.zarr is missing")
    array.touch()
    refused(path, f"{name}.zarr is missing")
    array.unlink()
    array.mkdir()
    refused(path, f"{name}.zarr")
    shutil.rmtree(array)
    shutil.copytree(kept, array)
    meta = array / "0" / ".zarray"
    described = json.loads(meta.read_text())
    for text in (
        "",
        "{}",
        json.dumps(described | {"chunks": [3, 10**6, 10**6]}),
        json.dumps(described | {"chunks": 0}),
    ):
        meta.write_text(text)
        refused(path, f"{name}.zarr")
    meta.write_text(json.dumps(described))
    Project.open(path)


def test_a_copy_that_is_not_complete(path):
    chunk = next(
        file for file in (path / "state-1" / "labels.zarr" / "0").rglob("*") if file.is_file() and file.name == "0"
    )
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    refused(path, "labels.zarr")
    chunk.write_bytes(b"")
    refused(path, "labels.zarr")
    chunk.unlink()
    refused(path, "labels.zarr is not complete: 1 of its", "Copy the project again")


def test_negative_numbers(path):
    zarr.open(path / "state-1" / "prediction.zarr", mode="r+")["0"][0, 0, 0] = -5
    refused(path, "prediction.zarr is damaged: there are negative numbers in it")


class Evil:
    def __reduce__(self):
        return os.system, ("echo pwned > pwned",)


@pytest.mark.parametrize("kind", ["|O", "|i4"])
def test_nothing_is_unpickled(path, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    array = path / "state-1" / "labels.zarr" / "0"
    described = json.loads((array / ".zarray").read_text())
    for filters in ([{"id": "pickle"}], [{"id": "vlen-utf8"}, {"id": "pickle"}]):
        text = json.dumps(described | {"dtype": kind, "filters": filters, "compressor": None})
        (array / ".zarray").write_text(text)
        for chunk in array.rglob("0"):
            if chunk.is_file():
                chunk.write_bytes(pickle.dumps(Evil()))
        refused(path, "labels.zarr")
    assert not (tmp_path / "pwned").exists()


# -- models ----------------------------------------------------------------------------------------------------------


def test_models_that_are_damaged(path, session):
    file = path / "state-1" / "model-1.safetensors"
    whole = file.read_bytes()
    for data in (b"", whole[:100], whole[:-8], b"PK" + whole, pickle.dumps(Evil())):
        file.write_bytes(data)
        refused(path, "model-1.safetensors")
    file.write_bytes(whole[:-4] + np.float32(3).tobytes())
    with pytest.raises(ModelFileError, match=r"model-1\.safetensors is damaged: it is not as it was saved"):
        Project.open(path)
    file.unlink()
    refused(path, "model-1.safetensors")
    session.save()
    same(Project.open(path), session)


def test_a_model_that_no_longer_comes_with_the_program(path):
    models = json.loads((path / FILE).read_text())["models"]
    changed(path, models=[models[0] | {"shipped": True, "file": None}])
    refused(path, "The model 'first' does not come with this version of the program")


def test_saving_where_the_description_is_damaged(path, session):
    (path / FILE).write_text("{")
    with pytest.raises(FileFormatError, match=r"project\.json is damaged"):
        Project.open(path)
    session.save()
    same(Project.open(path), session)


def test_links_are_not_followed_when_tidying_up(path, session, tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "thesis.txt").touch()
    (path / "state-5").symlink_to(treasure)
    session.save()
    assert (treasure / "thesis.txt").exists()
    assert not (path / "state-5").exists()


# -- where a correction is worth most: what can be found anew --------------------------------------------------------


@pytest.fixture
def attentive(session, tmp_path):
    shape = session.corrections.shape
    known = np.random.default_rng(0).random(Attention.layout(shape)).astype(np.float16)
    session.attention = Attention.restored(shape, known, session.model)
    path = session.save(tmp_path / "a.unetproj")
    assert np.array_equal(Project.open(path).attention.known(), known)
    return path


@pytest.mark.parametrize("damage", ["removed", "incomplete", "overwritten", "another shape", "another type"])
def test_attention_that_is_damaged_is_left_out(attentive, session, damage):
    folder = attentive / "state-1" / "attention.zarr"
    chunk = folder / "0" / "0" / "0" / "1" / "0" / "0"
    assert chunk.is_file()
    if damage == "removed":
        shutil.rmtree(folder)
    elif damage == "incomplete":
        chunk.unlink()
    elif damage == "overwritten":
        chunk.write_bytes(b"nothing that can be decoded")
    else:
        described = json.loads((folder / "0" / ".zarray").read_text())
        described |= {"shape": [9, 9, 9, 9, 9]} if damage == "another shape" else {"dtype": "<i2"}
        (folder / "0" / ".zarray").write_text(json.dumps(described))
    opened = Project.open(attentive)
    assert opened.attention is None
    assert "Where to look next" in opened.notes[0]
    same(opened, session)


def test_a_project_is_never_saved_into_its_image(session, tmp_path):
    image = tmp_path / "in.zarr"
    write_maps(image, np.ones((1, 40, 50)), "CYX")
    project = Project(read_image(image), np.zeros((40, 50), np.int32), image_path=image)
    before = sorted(image.rglob("*"))
    with pytest.raises(FileFormatError, match="lies in an input"):
        project.save(image / "p.unetproj")
    assert sorted(image.rglob("*")) == before
    project.save(tmp_path / "p.unetproj")


@pytest.mark.parametrize("kind", ["file", "folder", "folder of ours with another thing"])
def test_what_is_named_as_an_unfinished_project_is_kept(session, tmp_path, kind):
    other = tmp_path / "p.unetproj.partial"
    if kind == "file":
        other.write_text("mine")
    else:
        (other / ("state-1" if "ours" in kind else "photos")).mkdir(parents=True)
        (other / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileFormatError, match="in the way"):
        session.save(tmp_path / "p.unetproj")
    assert sorted(tmp_path.rglob("*")) == before
    other.rename(tmp_path / "other")
    session.save(tmp_path / "p.unetproj")


def test_what_a_killed_save_left_is_replaced(session, tmp_path):
    (tmp_path / "p.unetproj.partial" / "state-1").mkdir(parents=True)
    (tmp_path / "p.unetproj.partial" / "project.json.partial").mkdir()
    session.save(tmp_path / "p.unetproj")
    assert not (tmp_path / "p.unetproj.partial").exists()
