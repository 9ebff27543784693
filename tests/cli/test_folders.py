"""`napari-unet segment FOLDER`, stopped and started again, as its user does it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.inference.resume import FOLDER
from napari_unet.io.atomic import _LOCK_NAME
from napari_unet.io.readers import read_labels
from napari_unet.models.checkpoint import save_model_file

PROGRAM = [sys.executable, "-c", "from napari_unet.cli import main; main()"]


def squares(n=3):
    image = np.full((48, 60), 20, np.uint16)
    for y, x in ((5, 5), (5, 30), (25, 12))[:n]:
        image[y : y + 9, x : x + 9] = 200
    return image


@pytest.fixture
def model(bright_model, tmp_path):
    path = tmp_path / "bright.safetensors"
    save_model_file(bright_model(), path)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    for name, n in (("a", 3), ("b", 1), ("c", 2)):
        tifffile.imwrite(path / f"{name}.tif", squares(n))
    return path


@pytest.fixture
def many(tmp_path):
    path = tmp_path / "many"
    path.mkdir()
    for number in range(300):
        tifffile.imwrite(path / f"{number:03}.tif", squares())
    return path


def versions(out, ending):
    """Name of each result -> which version of it is there."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob(f"*_labels.{ending}")}


def report(result):
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("how", "jobs", "ending"),
    [(signal.SIGINT, 1, "tif"), (signal.SIGINT, 2, "zarr"), (signal.SIGKILL, 1, "zarr"), (signal.SIGKILL, 2, "tif")],
)
def test_stopped_and_started_again(run, model, many, tmp_path, how, jobs, ending):
    out = tmp_path / "out"
    arguments = "segment", many, "-o", out, "--model", model, "--format", ending, "--device", "cpu", "--json"
    running = subprocess.Popen(
        [*PROGRAM, *map(str, arguments), "--jobs", str(jobs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None and len(list(out.glob(f"*_labels.{ending}"))) < 5:
        time.sleep(0.01)
    running.send_signal(how)
    _, told = running.communicate()
    assert "Traceback" not in told
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert told.strip().endswith("Run the same command again to go on.")
    before = versions(out, ending)
    assert 5 <= len(before) < 300
    again = run(*arguments)
    card = report(again)
    assert len(card["finished"]) == len(before)
    assert len(card["results"]) == 300 - len(before)
    assert card["failed"] == []
    assert f"300 images: {300 - len(before)} segmented, {len(before)} finished before." in again.stderr
    after = versions(out, ending)
    assert len(after) == 300
    assert {name: after[name] for name in before} == before, "what was finished is not touched"
    assert all(int(read_labels(out / name).max()) == 3 for name in after)
    assert {path.name for path in out.iterdir()} == {*after, FOLDER}, "nothing half done is left"


@pytest.mark.parametrize("left", ["nothing", "a lock file"])
def test_killed_in_the_instant_after_a_result_got_its_name(run, folder, model, tmp_path, left):
    out = tmp_path / "out"
    arguments = "segment", folder, "-o", out, "--model", model
    run(*arguments)
    partial = out / "b_labels.tif.partial"
    partial.mkdir()
    if left == "a lock file":
        (partial / _LOCK_NAME).touch()
    before = versions(out, "tif")
    assert run(*arguments).stderr.splitlines()[-1] == "3 images: 0 segmented, 3 finished before."
    assert versions(out, "tif") == before
    assert not partial.exists()


def test_the_last_line_and_the_status(run, folder, model, tmp_path):
    arguments = "segment", folder, "-o", tmp_path / "out", "--model", model
    (folder / "b.tif").write_bytes(b"no image")
    (folder / "0.tif").write_bytes(b"")
    first = run(*arguments, status=1)
    assert first.stderr.splitlines()[-1] == "4 images: 2 segmented, 2 failed (0.tif, b.tif)."
    tifffile.imwrite(folder / "b.tif", squares(1))
    (folder / "0.tif").unlink()
    second = run(*arguments, "--json")
    assert second.stderr.splitlines()[-1] == "3 images: 1 segmented, 2 finished before."
    card = report(second)
    assert [one["input"] for one in card["results"]] == [str(folder / "b.tif")]
    assert card["finished"] == [str(folder / "a.tif"), str(folder / "c.tif")]
    third = run(*arguments)
    assert third.stderr.splitlines() == [
        "There are results of an earlier run; what is finished is left as it is.",
        "3 images: 0 segmented, 3 finished before.",
    ]


def test_many_failures_are_not_all_in_the_last_line(run, folder, model, tmp_path):
    for name in "abcde":
        (folder / f"{name}.tif").write_bytes(b"no image")
    last = run("segment", folder, "-o", tmp_path / "out", "--model", model, status=1).stderr.splitlines()[-1]
    assert last == "5 images: 0 segmented, 5 failed (a.tif, b.tif, c.tif and 2 others)."


def test_why_it_is_done_again(run, folder, model, tmp_path):
    arguments = "segment", folder, "-o", tmp_path / "out", "--model", model
    run(*arguments)
    tifffile.imwrite(folder / "a.tif", squares(2))
    told = run(*arguments).stderr
    assert "a.tif: done again (the image has changed)." in told.splitlines()
    assert told.splitlines()[-1] == "3 images: 1 segmented, 2 finished before."
    assert run(*arguments, "--flips").stderr.count("done again (other settings: flips)") == 3
    assert run(*arguments, "--flips", "--overwrite").stderr.splitlines()[-1] == "3 images: 3 segmented."


def test_corrected_labels_are_told(run, folder, model, tmp_path):
    arguments = "segment", folder, "-o", tmp_path / "out", "--model", model
    run(*arguments)
    tifffile.imwrite(tmp_path / "out" / "b_labels.tif", np.full((48, 60), 7, np.uint16))
    told = run(*arguments).stderr.splitlines()
    assert told[1:] == [
        "b_labels.tif was changed since it was made; it is kept so.",
        "3 images: 0 segmented, 3 finished before.",
    ]
    told = run(*arguments, "--flips", status=1).stderr.splitlines()
    assert told[-1] == "3 images: 2 segmented, 1 failed (b.tif)."
    assert read_labels(tmp_path / "out" / "b_labels.tif").min() == 7


def test_an_image_with_damage_is_counted_once(run, folder, model, tmp_path):
    array = zarr.create_array(folder / "d.zarr", data=squares(), chunks=(24, 30))
    (chunk,) = (path for path in (folder / "d.zarr").rglob("*") if path.is_file() and path.parts[-2:] == ("1", "1"))
    chunk.write_bytes(b"damaged")
    assert array.shape == (48, 60)
    arguments = "segment", folder, "-o", tmp_path / "out", "--model", model
    assert run(*arguments, status=1).stderr.splitlines()[-1] == "4 images: 4 segmented, 1 damaged (d.zarr)."
    again = "4 images: 0 segmented, 4 finished before, 1 damaged (d.zarr)."
    assert run(*arguments, status=1).stderr.splitlines()[-1] == again


def test_one_file_is_as_it_was(run, folder, model, tmp_path):
    """A name that was given for one result is not gone on with, and no folder of records appears beside it."""
    arguments = "segment", folder / "a.tif", "-o", tmp_path / "there" / "r.tif", "--model", model
    assert "images:" not in run(*arguments).stderr
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["r.tif"]
    assert "exists already" in run(*arguments, status=1).stderr


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1000000"])
def test_how_many_at_once(run, folder, model, tmp_path, jobs):
    run("segment", folder, "-o", tmp_path / "out", "--model", model, "--jobs", jobs, status=2)
    assert not (tmp_path / "out").exists()


def test_several_at_once_are_told_by_their_numbers(run, folder, model, tmp_path):
    told = run("segment", folder, "-o", tmp_path / "out", "--model", model, "--jobs", 3).stderr.splitlines()
    assert sorted(line.split(":")[0] for line in told[:3]) == ["[1/3] a.tif", "[2/3] b.tif", "[3/3] c.tif"]
    assert all("written to" in line for line in told[:3])


def test_nothing_to_do_takes_no_network(run, folder, model, tmp_path):
    arguments = "segment", folder, "-o", tmp_path / "out", "--model", model
    run(*arguments)
    code = """
import sys
from napari_unet.cli import main
try:
    main()
finally:
    print("loaded:", *sorted({"torch", "napari", "qtpy"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "loaded:"
