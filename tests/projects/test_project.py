"""What was saved is what is opened: labels, what is known of every pixel, models, and what is learned from."""

from __future__ import annotations

import json
import shutil

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_unet as nu
from hand_made import bright
from napari_unet.axes import Image, PixelSize
from napari_unet.corrections.corrections import Provenance
from napari_unet.errors import Cancelled, FileFormatError, ImageError, ImageMissingError, LabelsError, UNetError
from napari_unet.io import lazy, spill
from napari_unet.io.readers import read_image
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet.progress import CancelToken
from napari_unet.projects import arrays
from napari_unet.projects.project import Project

from .conftest import VERDICT, random_session, same


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- there and back --------------------------------------------------------------------------------------------------


def test_a_session_is_saved_and_taken_up_again(session, tmp_path):
    path = session.save(tmp_path / "a session.unetproj")
    opened = nu.Project.open(path)
    same(opened, session)
    assert opened.notes == ()
    assert opened.generations[1].verdict == VERDICT
    assert opened.waiting.verdict == session.waiting.verdict
    assert opened.model.name == "first"
    assert (opened.image.axes, opened.image.pixel_size) == ("ZYX", PixelSize(y=0.5, x=0.5, z=2))
    assert np.array_equal(opened.image.data, session.image.data)
    assert opened.image_path == session.image_path
    assert opened.path == session.path == path
    assert names(path) == ["project.json", "state-1"], "no copy of an image that has a file"


def test_saved_again_it_replaces_what_was_there(session, tmp_path):
    path = session.save(tmp_path / "a.unetproj")
    opened = Project.open(path / "project.json")
    opened.labels[1, 3:9, 3:9] = 99
    opened.corrections.reviewed[0, 2] = True
    opened.generations, opened.current, opened.waiting = opened.generations[1:], 0, None
    assert opened.save() == path
    same(Project.open(path), opened)
    assert names(path) == ["project.json", "state-2"]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from(["YX", "XY", "ZYX", "TYX", "YXC", "CZYX", "TZCYX", "XZTY"]),
    st.sampled_from([arrays.WIDTH, 16]),
)
def test_random_sessions_of_all_axes(tmp_path_factory, seed, instances, axes, width):
    shape = tuple({"T": 2, "C": 3, "Z": 3, "Y": 20, "X": 33}[letter] for letter in axes)
    pixels = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    image = Image(
        pixels, axes, PixelSize(y=0.3, x=0.4), name="in memory", diameter=12.5, found_diameter=9.5, found_against=60.0
    )
    session = random_session(image, seed, instances=instances, channel=seed % 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "WIDTH", width)
        path = session.save(tmp_path_factory.mktemp("sessions") / "x.unetproj")
        opened = Project.open(path)
    same(opened, session)
    assert np.array_equal(np.asarray(opened.image.data), pixels)
    assert (opened.image.axes, opened.image.pixel_size, opened.image.diameter) == (axes, image.pixel_size, 12.5)
    assert (opened.image.found_diameter, opened.image.found_against) == (9.5, 60.0)
    assert opened.image.name == "in memory"


def test_the_same_is_learned_from_afterwards(session, tmp_path):
    session.labels[0, 5:12, 5:12] = 50
    session.corrections.review(0, slice(2, 3), slice(0, 30), slice(10, 45))
    opened = Project.open(session.save(tmp_path / "a.unetproj"))
    before, after = session.annotated_crops(), opened.annotated_crops()
    assert before
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        assert (a.channels, a.part.frame, a.part.corner, a.part.elsewhere) == (
            b.channels, b.part.frame, b.part.corner, b.part.elsewhere,
        )  # fmt: skip
        assert np.array_equal(a.part.labels, b.part.labels)
        assert a.part.corrections.touched == b.part.corrections.touched
        for kind in ("corrected", "supervised"):
            assert np.array_equal(a.part.mask(kind), b.part.mask(kind))
        assert np.array_equal(a.part.reviewed, b.part.reviewed)


def test_it_is_of_use_to_scripts(session, tmp_path):
    session.labels[0, 5:12, 5:12] = 50
    project = nu.Project.open(session.save(tmp_path / "a.unetproj"))
    assert project.provenance[0, 6, 6] == Provenance.CORRECTED
    better = nu.finetune(
        project.model, [project.image], [project.labels], supervised=[project.supervised], steps=1, max_seconds=None
    )
    assert better.info.parent.startswith("first")
    result = nu.segment(project.image, project.model)
    of_result = nu.Project(project.image, result.labels, models=[project.model], image_path=project.image_path)
    again = nu.Project.open(of_result.save(tmp_path / "b.unetproj"))
    assert np.array_equal(again.labels, result.labels)
    assert not again.corrections.summary().anything
    assert (again.provenance == Provenance.PREDICTED).all()


def test_no_id_is_given_twice_after_opening(session, tmp_path):
    session.corrections.last_id = 1234
    assert Project.open(session.save(tmp_path / "a.unetproj")).corrections.last_id == 1234


def test_a_model_of_the_program_is_kept_by_its_name(image_file, tmp_path):
    image = read_image(image_file)
    shipped = load_model("nuclei")
    session = random_session(image, models=[shipped], image_path=image_file)
    path = session.save(tmp_path / "a.unetproj")
    assert not list(path.rglob("*.safetensors"))
    assert Project.open(path).model.sha256() == shipped.sha256()
    described = json.loads((path / "project.json").read_text())
    described["models"][0]["sha256"] = "0" * 64
    (path / "project.json").write_text(json.dumps(described))
    (note,) = Project.open(path).notes
    assert "'nuclei' is a newer one" in note


def test_a_model_of_that_name_that_was_changed_is_kept_whole(image_file, tmp_path):
    impostor = bright("nuclei")
    path = random_session(read_image(image_file), models=[impostor], image_path=image_file).save(
        tmp_path / "a.unetproj"
    )
    assert Project.open(path).model.sha256() == impostor.sha256()


def test_others_can_read_what_is_stored(session, tmp_path):
    session.labels[0, 5:12, 5:12] = 50
    session.corrections.review(0, slice(0, 1), slice(0, 3), slice(0, 3))
    path = session.save(tmp_path / "a.unetproj")
    described = json.loads((path / "project.json").read_text())
    state = path / described["state"]
    codes = zarr.open(state / "provenance.zarr", mode="r")["0"][:]
    for name, there in (
        ("predicted", session.corrections.seen[0]),
        ("corrected", session.labels != session.corrections.prediction[0]),
        ("reviewed", session.corrections.reviewed[0]),
    ):
        assert np.array_equal(codes & described["provenance"][name] > 0, there)
        assert there.any()
    assert described["counts"]["corrected"] == np.count_nonzero(session.labels != session.corrections.prediction[0])
    assert described["counts"]["reviewed"] == np.count_nonzero(session.corrections.reviewed)
    labels = read_image(state / "labels.zarr")
    assert (labels.axes, labels.pixel_size) == ("ZYX", PixelSize(y=0.5, x=0.5, z=2))
    assert np.array_equal(labels.data, session.labels)


def test_planes_in_which_nothing_is_take_no_room(tmp_path):
    image = Image(np.zeros((50, 64, 64), np.uint8), "ZYX")
    session = Project(image, np.zeros((50, 64, 64), np.int32))
    session.corrections.seen[:] = False
    session.labels[7, :5, :5] = 3
    path = session.save(tmp_path / "a.unetproj")
    for name, chunks in (("labels", 1), ("prediction", 0), ("provenance", 1)):
        assert zarr.open(path / "state-1" / f"{name}.zarr", mode="r")["0"].nchunks_initialized == chunks


def test_arrays_larger_than_a_share_of_the_memory_are_read_into_files(session, tmp_path, monkeypatch):
    path = session.save(tmp_path / "a.unetproj")
    monkeypatch.setattr(spill, "MAX_MEMORY_SHARE", 0)
    opened = Project.open(path)
    base = opened.labels
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    same(opened, session)
    opened.labels[0, 0, 0] = 7
    assert opened.save() == path, "it does not read what it replaces"
    assert Project.open(path).labels[0, 0, 0] == 7


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "bool"])
def test_types_of_labels(dtype, tmp_path):
    image = Image(np.zeros((8, 8), np.uint8), "YX")
    labels = np.eye(8, dtype=dtype)
    session = Project(image, labels)
    if dtype in ("uint32", "int64"):
        labels[0, 1] = 2**32 - 1  # somebody paints with the largest there is
        with pytest.raises(LabelsError, match="up to 2147483647; got 4294967295"):
            Project(image, labels)
    opened = Project.open(session.save(tmp_path / "a.unetproj"))
    assert np.array_equal(opened.labels, labels)
    assert opened.corrections.summary() == session.corrections.update(labels[None, None])


def test_progress_and_stop(session, tmp_path):
    told, token = [], CancelToken()
    path = session.save(tmp_path / "a.unetproj", progress=told.append)
    assert [one.total for one in told] == [3, 3, 3]
    told.clear()
    Project.open(path, progress=told.append)
    assert [one.done for one in told] == [1, 2, 3]
    before = session.labels.copy()
    session.labels[:] = 5
    with pytest.raises(Cancelled):
        session.save(progress=lambda _: token.cancel(), cancel=token)
    assert np.array_equal(Project.open(path).labels, before)
    assert names(path) == ["project.json", "state-1"]
    with pytest.raises(Cancelled):
        Project.open(path, cancel=token)


# -- the image -------------------------------------------------------------------------------------------------------


def test_a_folder_moved_together_works(session, tmp_path):
    session.save(tmp_path / "projects" / "a.unetproj")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("projects", "images"):
        shutil.copytree(tmp_path / name, moved / name, copy_function=shutil.copyfile)  # which gives them another time
        shutil.rmtree(tmp_path / name)
    opened = Project.open(moved / "projects" / "a.unetproj")
    same(opened, session)
    assert opened.image_path == moved / "images" / "cells.tif"
    assert opened.notes == ()


def test_a_project_moved_alone_works(session, tmp_path):
    path = session.save(tmp_path / "a.unetproj")
    moved = shutil.move(path, tmp_path / "images" / "b.unetproj")
    assert Project.open(moved).image_path == session.image_path


def test_an_image_that_is_gone_can_be_given(session, tmp_path):
    path = session.save(tmp_path / "a.unetproj")
    moved = session.image_path.rename(tmp_path / "moved.tif")
    with pytest.raises(ImageMissingError, match=r"cells\.tif") as raised:
        Project.open(path)
    assert str(session.image_path) in str(raised.value)
    opened = Project.open(path, image=moved)
    same(opened, session)
    assert (opened.image_path, opened.notes) == (moved, ())
    opened.save()
    assert Project.open(path).image_path == moved
    same(Project.open(path, image=tifffile.imread(moved)), session)
    with pytest.raises(FileFormatError, match="does not exist"):
        Project.open(path, image=tmp_path / "nowhere.tif")


def test_an_image_that_has_changed_is_told(session, tmp_path):
    path = session.save(tmp_path / "a.unetproj")
    changed = tifffile.imread(session.image_path)
    changed[1, 20, 20] ^= 1
    tifffile.imwrite(session.image_path, changed, photometric="minisblack")
    opened = Project.open(path)
    same(opened, session)
    (note,) = opened.notes
    assert "cells.tif has changed since a.unetproj was saved" in note
    tifffile.imwrite(session.image_path, changed[:2], photometric="minisblack")
    with pytest.raises(ImageError, match=r"cells\.tif is not the image of a\.unetproj: it has the shape \(2, 40, 50\)"):
        Project.open(path)
    session.image_path.write_bytes(b"II*\0garbage")
    with pytest.raises(FileFormatError, match=r"cells\.tif"):
        Project.open(path)


def test_one_channel_of_a_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 99, (4, 2, 30, 30)).astype(np.uint8)
    file = tmp_path / "two.tif"
    tifffile.imwrite(file, pixels, imagej=True, metadata={"axes": "ZCYX"})
    session = random_session(Image(pixels[:, 1], "ZYX", name="two channel 2"), image_path=file)
    path = session.save(tmp_path / "a.unetproj")
    assert names(path) == ["project.json", "state-1"]
    opened = Project.open(path)
    assert np.array_equal(opened.image.data, pixels[:, 1])
    assert opened.image.name == "two channel 2"
    tifffile.imwrite(file, pixels[:, 0], imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(ImageError, match=r"two\.tif is another image: it has no channel 1"):
        Project.open(path)


def test_pixels_that_no_file_has_are_copied_once(image_file, tmp_path):
    blurred = read_image(image_file).data // 2  # by its user, in napari: the layer still says where it is from
    path = random_session(Image(blurred, "ZYX"), image_path=image_file).save(tmp_path / "a.unetproj")
    assert names(path) == ["image-1.zarr", "project.json", "state-1"]
    opened = Project.open(path)
    assert np.array_equal(opened.image.data, blurred)
    opened.save()
    assert names(path) == ["image-1.zarr", "project.json", "state-2"], "it is not copied again"
    elsewhere = opened.save(tmp_path / "b.unetproj")
    assert names(elsewhere) == ["image-1.zarr", "project.json", "state-1"], "a project does not need another one"
    shutil.rmtree(path)
    assert np.array_equal(Project.open(elsewhere).image.data, blurred)
    random_session(Image(blurred[:, :30], "ZYX")).save(elsewhere, overwrite=True)
    assert names(elsewhere) == ["image-2.zarr", "project.json", "state-2"]


@pytest.mark.parametrize("dtype", ["bool", "int8", ">u2", "<u2", "int64", "float16", ">f4", "float64"])
def test_types_of_pixels(dtype, tmp_path):
    pixels = (np.random.default_rng(0).normal(size=(3, 20, 21, 22)) > 0).astype(dtype)
    opened = Project.open(random_session(Image(pixels, "ZCYX")).save(tmp_path / "a.unetproj"))
    assert opened.image.data.dtype == np.dtype(dtype)
    assert np.array_equal(opened.image.data, pixels)
    assert opened.notes == ()


@pytest.mark.parametrize("kind", ["zarr", "dask"])
def test_pixels_that_are_not_in_memory(kind, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 99, (3, 20, 21)).astype(np.uint8)
    lazy = da.from_array(pixels, chunks=(1, 7, 21)) if kind == "dask" else zarr.array(pixels, chunks=(1, 7, 21))
    opened = Project.open(random_session(Image(lazy, "YXT")).save(tmp_path / "a.unetproj"))
    assert np.array_equal(opened.image.data, pixels)


def test_images_that_are_read_on_demand(session, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    opened = Project.open(session.save(tmp_path / "a.unetproj"))
    assert opened.image.source == session.image_path
    assert np.array_equal(np.asarray(opened.image.data), np.asarray(session.image.data))
    made = Project.open(
        random_session(Image(np.array(session.image.data)[:, :20], "ZYX")).save(tmp_path / "b.unetproj")
    )
    assert made.image.source == tmp_path / "b.unetproj" / "image-1.zarr"
    made.save()
    assert np.array_equal(np.asarray(made.image.data), np.asarray(session.image.data[:, :20])), (
        "it is still where it is read from"
    )


def test_an_image_file_within_the_folder_of_the_project(tmp_path):
    path = tmp_path / "a.unetproj"
    pixels = np.random.default_rng(0).integers(0, 99, (30, 30, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", pixels, photometric="rgb")
    random_session(Image(pixels, "YXC"), image_path=tmp_path / "rgb.tif").save(path)
    inside = shutil.move(tmp_path / "rgb.tif", path / "rgb.tif")
    opened = Project.open(path, image=inside)
    opened.save()
    moved = shutil.move(path, tmp_path / "b.unetproj")
    assert np.array_equal(Project.open(moved).image.data, pixels)


# -- names -----------------------------------------------------------------------------------------------------------


def test_where_it_cannot_be_saved(session, tmp_path):
    with pytest.raises(FileFormatError, match="Say where to save"):
        session.save()
    with pytest.raises(FileFormatError, match=r"must end in \.unetproj; for example 'a\.unetproj'"):
        session.save(tmp_path / "a.zarr")
    path = session.save(tmp_path / "new" / "a.unetproj")
    other = random_session(session.image, image_path=session.image_path)
    with pytest.raises(FileFormatError, match="already; choose another name"):
        other.save(path)
    same(Project.open(path), session)
    other.save(path, overwrite=True)
    same(Project.open(path), other)
    (tmp_path / "thesis.unetproj").mkdir()
    (tmp_path / "thesis.unetproj" / "chapter.txt").touch()
    with pytest.raises(FileFormatError, match="is there already, and is not a project"):
        session.save(tmp_path / "thesis.unetproj", overwrite=True)
    (tmp_path / "file.unetproj").touch()
    with pytest.raises(FileFormatError, match="is there already, and is not a project"):
        session.save(tmp_path / "file.unetproj", overwrite=True)


def test_labels_that_do_not_fit(session):
    with pytest.raises(UNetError, match=r"\(3, 40, 50\) and whole numbers"):
        Project(session.image, session.labels[:2])
    with pytest.raises(UNetError, match="type float64"):
        Project(session.image, session.labels.astype(float))


def test_settings_of_a_shipped_model_stand_beside_it(tmp_path):
    """A project does not copy a model because somebody moved a slider."""
    model = load_model("nuclei")
    decoding = model.info.decoding.model_copy(update={"foreground": 0.3, "min_size": 60})
    adjusted = Model(model.net, model.info.with_decoding(decoding))
    project = Project(Image(np.zeros((32, 32), np.uint8), "YX"), np.zeros((32, 32), np.int32), models=[adjusted])
    path = project.save(tmp_path / "cells.unetproj")
    assert not list(path.rglob("*.safetensors"))
    again = Project.open(path)
    assert again.model is not None
    assert again.model.info == adjusted.info
    assert again.model.info.original_decoding == model.info.decoding
    assert again.state_digest().digest == project.state_digest().digest
    project.generations[0].amend(model)
    assert project.state_digest().digest != again.state_digest().digest


@pytest.mark.parametrize("damage", [{"foreground": 7}, {"seeds": "boundary"}, {"threshold": 1}, {"min_size": "many"}])
def test_damaged_settings_are_told(tmp_path, damage):
    model = load_model("nuclei")
    info = model.info.with_decoding(model.info.decoding.model_copy(update={"foreground": 0.3}))
    image = Image(np.zeros((32, 32), np.uint8), "YX")
    path = Project(image, np.zeros((32, 32), np.int32), models=[Model(model.net, info)]).save(tmp_path / "a.unetproj")
    file = path / "project.json"
    content = json.loads(file.read_text())
    content["models"][0]["decoding"] |= damage
    file.write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match="settings of the model 'nuclei' are damaged"):
        Project.open(path)
