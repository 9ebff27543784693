"""A folder of results that is gone on with: what is done again, what is left, and what is never replaced."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.inference import folder as folder_module
from napari_unet.inference import resume
from napari_unet.inference.folder import segment_files
from napari_unet.inference.options import SegmentOptions
from napari_unet.inference.resume import FOLDER, ResultFolder, ResultRecord
from napari_unet.io.jobs import plan_files
from napari_unet.io.readers import read_labels
from napari_unet.io.writers import write_labels
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.store import save_model
from napari_unet.progress import CancelToken

SQUARES = ((5, 5), (5, 30), (25, 12))


def squares(n):
    image = np.full((48, 60), 20, np.uint16)
    for y, x in SQUARES[:n]:
        image[y : y + 9, x : x + 9] = 200
    return image


class Folder:
    """Three images with 3, 1 and 2 squares, and the folder of their results."""

    def __init__(self, path, model):
        self.images, self.out, self.model = path / "images", path / "out", path / "bright.safetensors"
        self.images.mkdir()
        for name, n in (("a", 3), ("b", 1), ("c", 2)):
            tifffile.imwrite(self.images / f"{name}.tif", squares(n))
        save_model_file(model, self.model)
        self.ending = "tif"

    def jobs(self):
        return plan_files([self.images], self.out, self.ending)

    def standings(self, model=None, **options):
        """What is to be done about each image; an error as its text."""
        results = ResultFolder(self.out, str(model or self.model), SegmentOptions(**options))
        found = []
        for job in self.jobs():
            try:
                found.append(results.standing(job))
            except FileFormatError as error:
                found.append(str(error))
        return found

    def run(self, model=None, at_once=1, **options):
        """Do what is to be done; return the names of the images that were done, and the errors."""
        path, settings = model or self.model, SegmentOptions(**options)
        results = ResultFolder(self.out, str(path), settings)
        waiting, errors = [], []
        for job in self.jobs():
            try:
                waiting += [] if results.standing(job).finished else [job]
            except FileFormatError as error:
                errors.append(str(error))
        network = "auto" if path == "auto" else load_model_file(path)
        done = []
        for job, outcome in segment_files(waiting, network, settings, results=results, at_once=at_once):
            if isinstance(outcome, UNetError):
                errors.append(str(outcome))
            else:
                done.append(job.source.stem)
        return sorted(done), errors

    def target(self, name):
        return self.out / f"{name}_labels.{self.ending}"

    def objects(self):
        return [int(read_labels(self.target(name)).max()) for name in "abc"]


@pytest.fixture(params=["tif", "zarr"])
def three(request, tmp_path, bright_model):
    made = Folder(tmp_path, bright_model())
    made.ending = request.param
    return made


@pytest.fixture
def tifs(tmp_path, bright_model):
    return Folder(tmp_path, bright_model())


def state(folder):
    """Every file below a folder, but records, with its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file() and FOLDER not in path.parts]
    return {str(path): path.read_bytes() for path in files}


# -- what is finished --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maps", [False, True])
def test_what_is_finished_is_left(three, maps):
    assert three.run(maps=maps) == (["a", "b", "c"], [])
    before = state(three.out)
    assert three.run(maps=maps) == ([], [])
    assert state(three.out) == before
    assert three.objects() == [3, 1, 2]
    assert all(standing.finished and not standing.note for standing in three.standings(maps=maps))


def test_what_the_results_do_not_depend_on(tifs):
    tifs.run(mode="exact", tile=16)
    tifs.images.rename(tifs.images.with_name("images, sorted"))
    tifs.images = tifs.images.with_name("images, sorted")
    assert tifs.run(mode="exact", tile=48, device="cpu") == ([], [])
    tifs.model = tifs.model.rename(tifs.model.with_name("m.safetensors"))
    assert tifs.run(mode="exact") == ([], [])
    (tifs.images / "a.tif").touch()
    assert tifs.run(mode="exact") == ([], [])


def test_both_folders_may_be_moved(tifs, tmp_path):
    tifs.run()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    tifs.images, tifs.out = tifs.images.rename(moved / "images"), tifs.out.rename(moved / "out")
    assert tifs.run() == ([], [])
    tifffile.imwrite(tifs.images / "a.tif", squares(2))
    assert tifs.run() == (["a"], [])


# -- what is done again ------------------------------------------------------------------------------------------------


def test_an_image_that_has_changed(three):
    three.run()
    tifffile.imwrite(three.images / "b.tif", squares(2))
    assert [standing.why for standing in three.standings()] == ["", "the image has changed", ""]
    assert three.run() == (["b"], [])
    assert three.objects() == [3, 2, 2]
    assert three.run() == ([], [])


def test_another_file_of_the_set_has_changed(tifs):
    """Of an OME-TIFF that lies in two files."""
    names = ("a.ome.tif", "b.ome.tif")
    blocks = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    for path in tifs.images.iterdir():
        path.unlink()

    def write(z, n):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{z}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="60" SizeY="48" SizeC="1" SizeZ="2" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f"{blocks}</Pixels></Image></OME>"
        )
        tifffile.imwrite(tifs.images / names[z], squares(n), description=xml, metadata=None, ome=False)

    write(0, 3)
    write(1, 1)
    assert tifs.run() == (["a.ome", "b.ome"], [])
    assert tifs.run() == ([], [])
    write(1, 2)
    assert {standing.why for standing in tifs.standings()} == {"the image has changed"}
    assert tifs.run() == (["a.ome", "b.ome"], [])
    tifs.run(series=0)
    write(1, 3)
    assert {standing.why for standing in tifs.standings(series=0)} == {"the image has changed"}


@pytest.mark.parametrize("what", ["weights", "description"])
def test_another_model(three, bright_model, what, tmp_path):
    three.run()
    other = bright_model(threshold=0.4) if what == "weights" else bright_model(info={"description": "another"})
    save_model_file(other, tmp_path / "other.safetensors")
    found = three.standings(tmp_path / "other.safetensors")
    assert [(standing.finished, standing.why) for standing in found] == [(False, "another model")] * 3
    assert three.run(tmp_path / "other.safetensors") == (["a", "b", "c"], [])
    assert three.run(tmp_path / "other.safetensors") == ([], [])
    assert three.run() == (["a", "b", "c"], []), "and back"


@pytest.mark.parametrize(
    "options",
    [
        {"flips": True},
        {"mode": "exact"},
        {"tile": 16},
        {"channel": 0},
        {"axes": "YX"},
        {"sensitivity": 0.7},
        {"separation": 0.1},
    ],
)
def test_other_settings(tifs, options):
    tifs.run()
    assert [standing.why for standing in tifs.standings(**options)] == [f"other settings: {next(iter(options))}"] * 3
    assert tifs.run(**options) == (["a", "b", "c"], [])
    assert tifs.run(**options) == ([], [])


def test_the_models_that_one_was_chosen_from(tifs, bright_model, monkeypatch):
    monkeypatch.setattr("napari_unet.models.store.shipped_folder", lambda: tifs.out / "none")
    save_model(bright_model(), "bright")
    assert tifs.run("auto") == (["a", "b", "c"], [])
    assert tifs.run("auto") == ([], [])
    save_model(bright_model(threshold=0.4), "other")
    assert tifs.run("auto") == (["a", "b", "c"], [])
    assert [standing.why for standing in tifs.standings()] == ["another model, other settings: auto"] * 3


def test_a_result_that_is_gone(three):
    three.run(maps=True)
    victims = [three.target("a"), three.out / "b_maps.zarr"]
    for number, victim in enumerate(victims):
        victim.rename(three.out.parent / f"gone {number}")
    assert three.run(maps=True) == (["a", "b"], [])
    assert all(victim.exists() for victim in victims)
    assert three.run(maps=True) == ([], [])


def test_maps_that_were_not_wanted_before(tifs):
    tifs.run()
    assert tifs.run(maps=True) == (["a", "b", "c"], [])
    assert tifs.run() == ([], [])
    assert tifs.run(maps=True) == ([], [])


@pytest.mark.parametrize("left", [0, 1, 8, 0.5, -1])
def test_a_result_of_which_a_part_was_copied(tifs, left):
    tifs.run()
    path = tifs.target("a")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    assert tifs.standings()[0].why == "a_labels.tif is damaged"
    assert tifs.run() == (["a"], [])
    assert tifs.objects() == [3, 1, 2]


def test_a_zarr_of_which_a_chunk_is_damaged(three):
    if three.ending == "tif":
        pytest.skip("has no chunks")
    three.run()
    chunk = next(path for path in (three.target("a") / "0").rglob("*") if path.is_file() and path.name.isdecimal())
    chunk.write_bytes(chunk.read_bytes()[:7] + b"\x00\xff")
    assert three.run() == (["a"], [])
    assert three.objects() == [3, 1, 2]


@pytest.mark.parametrize("which", ["labels", "maps"])
def test_a_zarr_of_which_a_chunk_is_gone(which, three):
    """It may have been emptied by hand, so that is told and left to the person."""
    if three.ending == "tif":
        pytest.skip("has no chunks")
    three.run(maps=True)
    (job, *_) = three.jobs()
    path = job.target if which == "labels" else job.maps_target
    next(one for one in (path / "0").rglob("*") if one.is_file() and one.name.isdecimal()).unlink()
    said = three.standings(maps=True)[0]
    assert said.finished
    assert said.note == (
        f"{path.name} lacks 1 file that it had when it was made; it is kept so. --overwrite makes it again."
    )
    assert three.run(maps=True, overwrite=True) == (["a", "b", "c"], [])
    assert three.standings(maps=True)[0].note == ""


# -- what is never replaced unasked ------------------------------------------------------------------------------------


def correct(path):
    labels = read_labels(path)
    labels[0, 0] = 9
    write_labels(path, labels, "YX", overwrite=True)


def test_labels_that_were_corrected_are_kept(three):
    three.run()
    correct(three.target("b"))
    before = state(three.out)
    assert three.run() == ([], [])
    note = three.standings()[1].note
    assert note == f"b_labels.{three.ending} was changed since it was made; it is kept so."
    done, errors = three.run(flips=True)
    assert done == ["a", "c"]
    assert len(errors) == 1
    assert f"b_labels.{three.ending} is out of date (other settings: flips), but was changed since" in errors[0]
    kept = {name: content for name, content in state(three.out).items() if "b_labels" in name}
    assert kept == {name: content for name, content in before.items() if "b_labels" in name}
    assert three.run(flips=True, overwrite=True) == (["a", "b", "c"], [])
    assert three.objects() == [3, 1, 2]
    assert three.run(flips=True) == ([], [])


def test_labels_that_are_corrected_while_they_are_made_again(tifs, monkeypatch):
    tifs.run()
    real = folder_module.segment_file

    def meanwhile(job, *args):
        correct(job.target)
        return real(job, *args)

    monkeypatch.setattr(folder_module, "segment_file", meanwhile)
    done, errors = tifs.run(flips=True)
    assert done == []
    assert [error.split(",")[0] for error in errors] == [f"{name}_labels.tif was written meanwhile" for name in "abc"]
    assert tifs.objects() == [9, 9, 9]


def test_a_result_that_this_program_did_not_make(tifs):
    tifs.out.mkdir()
    write_labels(tifs.target("c"), np.full((48, 60), 7), "YX")
    done, errors = tifs.run()
    assert done == ["a", "b"]
    assert len(errors) == 1
    assert "c_labels.tif exists already" in errors[0]
    assert read_labels(tifs.target("c")).max() == 7
    done, errors = tifs.run(maps=True)
    assert done == ["a", "b"]


def test_a_result_of_another_image_of_that_name(tifs, tmp_path):
    tifs.run()
    before = state(tifs.out)
    tifs.images = tmp_path / "second day"
    tifs.images.mkdir()
    tifffile.imwrite(tifs.images / "a.tif", squares(2))
    done, errors = tifs.run()
    assert done == []
    assert len(errors) == 1
    assert "a_labels.tif is the result of another image, ../images/a.tif" in errors[0]
    assert state(tifs.out) == before
    assert tifs.run(overwrite=True) == (["a"], [])
    assert tifs.objects() == [2, 1, 2]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 2}', None, "folder"])
def test_records_that_say_nothing(tifs, content):
    """Then nothing is known, and nothing replaced."""
    tifs.run()
    before = state(tifs.out)
    for record in (tifs.out / FOLDER).iterdir():
        if content is None or content == "folder":
            record.unlink()
            if content == "folder":
                record.mkdir()
        else:
            record.write_bytes(content)
    done, errors = tifs.run()
    assert done == []
    assert all("exists already" in error for error in errors)
    assert len(errors) == 3
    assert state(tifs.out) == before


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known(tifs):
    tifs.run()
    for path in (tifs.out / FOLDER).iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"more": [1]}))
    assert tifs.run() == ([], [])


def test_a_folder_in_the_place_of_a_result(tifs):
    tifs.target("b").mkdir(parents=True)
    (tifs.target("b") / "thesis.txt").write_text("years of work")
    done, errors = tifs.run()
    assert done == ["a", "c"]
    assert len(errors) == 1
    assert "b_labels.tif is a folder with other things in it" in errors[0]
    assert (tifs.target("b") / "thesis.txt").read_text() == "years of work"


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ä ö.tif", "x" * 200 + ".tif", "細" * 70 + ".tif", os.fsdecode(b"k\xe9.tif"), "a.b.c.tif"]
)
def test_names_of_all_kinds(tifs, name):
    (tifs.images / "a.tif").rename(tifs.images / name)
    done, errors = tifs.run()
    assert (len(done), errors) == (3, [])
    assert tifs.run() == ([], [])


def test_long_names_that_begin_alike(tifs):
    for end in "12":
        tifffile.imwrite(tifs.images / f"{'x' * 100}{end}.tif", squares(int(end)))
    assert len(tifs.run()[0]) == 5
    assert tifs.run() == ([], [])


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_full_disk(tifs, monkeypatch):
    """It is full when the first record is written, and then no longer."""
    real, calls = os.fsync, []

    def full(number):
        calls.append(number)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr("napari_unet.inference.resume.os.fsync", full)
    done, errors = tifs.run()
    assert done == ["b", "c"]
    assert errors == [f"{tifs.target('a')} could not be written: the disk is full."]
    assert sorted(path.name for path in tifs.out.iterdir()) == [FOLDER, "b_labels.tif", "c_labels.tif"]
    assert tifs.run() == (["a"], [])


def test_an_output_folder_that_cannot_be_written_to(tifs):
    """What is finished is known all the same."""
    (tifs.out.parent / "a file").write_text("not a folder")
    tifs.out = tifs.out.parent / "a file" / "out"
    done, errors = tifs.run()
    assert done == []
    assert len(errors) == 3
    assert all("could not be written: Not a directory" in error for error in errors)
    assert tifs.out.parent.read_text() == "not a folder"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_of_results(tifs):
    tifs.run()
    tifs.target("a").unlink()
    tifs.out.chmod(0o500)
    try:
        done, errors = tifs.run()
    finally:
        tifs.out.chmod(0o700)
    assert done == []
    assert len(errors) == 1
    assert "a_labels.tif could not be written: Permission denied" in errors[0]


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_image_that_goes_away_before_its_turn(tifs, at_once):
    results = ResultFolder(tifs.out, str(tifs.model), SegmentOptions())
    jobs = tifs.jobs()
    (tifs.images / "b.tif").unlink()
    done = dict(segment_files(jobs, load_model_file(tifs.model), SegmentOptions(), results=results, at_once=at_once))
    assert "b.tif is no longer there" in str(done[jobs[1]])
    assert [done[jobs[i]]["n_objects"] for i in (0, 2)] == [3, 2]


def no_room():
    """Return NumPy's own error."""
    with pytest.raises(MemoryError) as raised:
        np.empty((10**9, 10**9), np.float32)
    return raised.value


OUT_OF_MEMORY = [
    MemoryError(),
    no_room(),
    RuntimeError("can't start new thread"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
@pytest.mark.parametrize("at_once", [1, 2])
def test_memory_that_runs_out_in_one_image_ends_no_other(error, at_once, tifs, monkeypatch):
    real = folder_module.segment_file

    def segment_file(job, *arguments):
        if job.source.stem == "b":
            raise error
        return real(job, *arguments)

    monkeypatch.setattr(folder_module, "segment_file", segment_file)
    done, errors = tifs.run(at_once=at_once)
    assert (sorted(done), errors) == (["a", "c"], ["There is not enough memory for b.tif. Close other programs."])


def test_an_error_of_the_program_is_not_taken_for_one_of_memory(tifs, monkeypatch):
    def segment_file(job, *arguments):
        raise RuntimeError("a fault")

    monkeypatch.setattr(folder_module, "segment_file", segment_file)
    with pytest.raises(RuntimeError, match="a fault"):
        tifs.run()


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_a_result_is_not_damaged_where_memory_runs_out(error, tifs, monkeypatch):
    tifs.run()
    write_labels(tifs.out / "a_labels.tif", np.ones((48, 60), np.int32), "YX", overwrite=True)

    def read(*arguments, **more):
        raise error

    monkeypatch.setattr(resume, "read_image", read)
    assert tifs.standings()[0] == "There is not enough memory to read a_labels.tif. Close other programs."


def test_a_damaged_image_is_told_again(tifs):
    """A chunk that could not be read is no reason to read it again, but the result is no better than before."""
    for name in "abc":
        (tifs.images / f"{name}.tif").unlink()
    path = tifs.images / "z.zarr"
    array = zarr.open_array(path, mode="w", shape=(48, 60), chunks=(24, 30), dtype="u2", zarr_format=2)
    array[...] = squares(3)
    chunk = path / "0.0"
    chunk.write_bytes(b"\x00\xff")
    assert tifs.run() == (["z"], [])
    (standing,) = tifs.standings()
    assert standing.finished
    assert standing.damage == "1 damaged chunk of z.zarr taken as empty: 0.0."
    array[...] = squares(3)
    assert tifs.run() == (["z"], [])
    assert tifs.standings()[0].damage == ""


DIES = """
import os, sys
from pathlib import Path
from napari_unet.inference.folder import segment_files
from napari_unet.inference.options import SegmentOptions
from napari_unet.inference.resume import ResultFolder
from napari_unet.io.jobs import plan_files
from napari_unet.models.checkpoint import load_model_file
real, calls, at = os.replace, 0, int(sys.argv[1])
def dies(*args):
    global calls
    calls += ".zarr/" not in str(args[0])  # some versions of zarr write each chunk so
    if calls == at:
        os._exit(9)
    real(*args)
images, out, model, ending = map(Path, sys.argv[2:])
os.replace = dies
options = SegmentOptions(maps=True, flips=True)
results = ResultFolder(out, str(model), options)
jobs = plan_files([images], out, str(ending))
list(segment_files(jobs, load_model_file(model), options, results=results))
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_killed_at_any_step_of_replacing_results(three, at):
    """All that is there stays known: the next run needs no --overwrite, and the end is the same."""
    three.run(maps=True)
    for name in "bc":
        (three.images / f"{name}.tif").unlink()
    arguments = [str(at), str(three.images), str(three.out), str(three.model), three.ending]
    died = subprocess.run([sys.executable, "-c", DIES, *arguments], check=False, capture_output=True)
    assert died.returncode == (9 if at < 6 or three.ending == "zarr" else 0), died.stderr.decode()
    done, errors = three.run(maps=True, flips=True)
    assert errors == []
    assert done in (["a"], [])
    assert int(read_labels(three.target("a")).max()) == 3
    assert three.run(maps=True, flips=True) == ([], [])
    assert not [path for path in three.out.iterdir() if path.name.endswith((".partial", ".new"))]


def test_stopped_between_two_images(tifs):
    cancel, results = CancelToken(), ResultFolder(tifs.out, str(tifs.model), SegmentOptions())
    run = segment_files(
        tifs.jobs(), load_model_file(tifs.model), SegmentOptions(), results=results, cancel=cancel, at_once=1
    )
    next(run)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(run)
    assert tifs.run() == (["b", "c"], [])


# -- several at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [2, 3, 8])
def test_several_at_once_give_the_same(three, at_once):
    (three.images / "b.tif").write_bytes(b"no image")
    done, errors = three.run(at_once=at_once)
    assert done == ["a", "c"]
    assert len(errors) == 1
    assert "b.tif" in errors[0]
    parallel = {name: read_labels(three.target(name)) for name in "ac"}
    assert three.run(at_once=1) == ([], errors)
    three.run(at_once=1, overwrite=True)
    assert all(np.array_equal(read_labels(three.target(name)), parallel[name]) for name in "ac")


def waits_for(barrier, real):
    """Return `segment_file` that first waits until so many have begun as the barrier is for."""

    def segment(*args):
        barrier.wait(60)
        return real(*args)

    return segment


def test_they_are_at_work_at_the_same_time(tifs, monkeypatch):
    barrier = threading.Barrier(3)
    monkeypatch.setattr(folder_module, "segment_file", waits_for(barrier, folder_module.segment_file))
    assert tifs.run(at_once=3) == (["a", "b", "c"], [])


def test_one_at_a_time_where_memory_is_short(tifs, monkeypatch):
    monkeypatch.setattr(folder_module, "MEMORY_SHARE", 0.0)
    busy, most, real = [], [], folder_module.segment_file

    def segment(*args):
        busy.append(args[0])
        most.append(len(busy))
        try:
            return real(*args)
        finally:
            busy.pop()

    monkeypatch.setattr(folder_module, "segment_file", segment)
    assert tifs.run(at_once=3) == (["a", "b", "c"], [])
    assert max(most) == 1


def test_threads_are_divided_and_given_back(tifs, monkeypatch):
    import torch

    seen, real = [], folder_module.segment_file

    def segment(*args):
        seen.append(torch.get_num_threads())
        return real(*args)

    monkeypatch.setattr(folder_module, "segment_file", segment)
    torch.set_num_threads(4)
    tifs.run(at_once=2)
    assert seen == [2, 2, 2]
    assert torch.get_num_threads() == 4
    tifs.run(at_once=16, flips=True)
    assert seen[3:] == [1, 1, 1]


def test_stopped_while_several_are_at_work(tifs, monkeypatch):
    cancel, real = CancelToken(), folder_module.segment_file

    def segment(job, *args):
        if job.source.name == "a.tif":
            return real(job, *args)
        cancel.cancel()
        return real(job, *args)

    monkeypatch.setattr(folder_module, "segment_file", segment)
    results = ResultFolder(tifs.out, str(tifs.model), SegmentOptions())
    run = segment_files(
        tifs.jobs(), load_model_file(tifs.model), SegmentOptions(), results=results, cancel=cancel, at_once=2
    )
    with pytest.raises(Cancelled):
        list(run)
    there = {path.name for path in tifs.out.iterdir()} if tifs.out.exists() else set()
    assert there <= {FOLDER, "a_labels.tif"}
    monkeypatch.undo()
    done, errors = tifs.run()
    assert errors == []
    assert {"b", "c"} <= set(done)
    assert tifs.objects() == [3, 1, 2]


def test_a_record_is_small_and_plain(tifs):
    tifs.run(pixel_size=None, flips=True)
    path = next((tifs.out / FOLDER).glob("a_labels.tif-*.json"))
    record = ResultRecord.model_validate_json(path.read_text())
    assert record.source == "../images/a.tif"
    assert record.settings == {"flips": True}
    assert list(record.results) == ["a_labels.tif"]
    assert replace(SegmentOptions(), flips=True) == SegmentOptions(flips=True)
    assert path.stat().st_size < 2000
