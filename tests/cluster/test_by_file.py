"""Folders of files with two workers, and the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_unet.cli import app, segment_run
from napari_unet.cluster import by_file
from napari_unet.cluster.by_file import segment_one, segment_with_workers
from napari_unet.cluster.queue import MAX_FAILURES
from napari_unet.errors import ClusterError
from napari_unet.inference.files import segment_file
from napari_unet.inference.options import SegmentOptions
from napari_unet.io.jobs import FileJob, plan_files
from napari_unet.io.readers import read_labels
from napari_unet.io.writers import write_maps
from napari_unet.models.checkpoint import save_model_file

WorkerPlugin = pytest.importorskip("distributed").WorkerPlugin


@pytest.fixture
def folder(tmp_path, blobs, bright_model):
    images = tmp_path / "images"
    for seed in range(3):
        write_maps(images / f"{seed}.zarr", blobs((70, 80), seed=seed)[0], "YX")
    save_model_file(bright_model(), tmp_path / "model.safetensors")
    return images


@pytest.fixture
def address(client):
    return client.scheduler.address


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_folder_as_one_process(client, folder, tmp_path, bright_model):
    jobs, begun = plan_files([folder], tmp_path / "out"), []
    model = str(tmp_path / "model.safetensors")
    done = dict(
        segment_with_workers(
            client, jobs, model, SegmentOptions(), folder=tmp_path / "out", begin=lambda job: begun.append(job)
        )
    )
    assert sorted(begun, key=jobs.index) == sorted(done, key=jobs.index) == jobs
    for job in jobs:
        one = FileJob(job.source, tmp_path / "one" / job.target.name)
        report = segment_file(one, bright_model(), SegmentOptions())
        assert done[job]["n_objects"] == report["n_objects"] > 0
        assert np.array_equal(read_labels(job.target), read_labels(one.target))


def test_the_command_goes_on_and_names_what_failed(address, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(segment_run, "Stopwatch", lambda: SimpleNamespace(seconds=30.0))
    (folder / "bad.tif").write_bytes(b"no image")
    command = ("segment", folder, "-o", tmp_path / "out", "--model", tmp_path / "model.safetensors")
    first = run(*command, "--scheduler", address, "--json")
    assert first.exit_code == 1
    report = json.loads(first.stdout)
    assert len(report["results"]) == 3
    assert [one["input"] for one in report["failed"]] == [str(folder / "bad.tif")]
    assert "4 images: 3 segmented, 1 failed (bad.tif)." in first.stderr
    assert re.findall(r"So far: (. of . files), .* left", first.stderr) == ["1 of 4 files"]  # the next after 10 s
    again = run(*command)  # on this machine: what the workers did is on record
    assert "4 images: 0 segmented, 3 finished before, 1 failed (bad.tif)." in again.stderr


def test_workers_of_this_machine_write_no_log(folder, tmp_path):
    (folder / "bad.tif").write_bytes(b"no image")
    words = ["segment", "images", "-o", "out", "--model", "model.safetensors", "--scheduler", "local"]
    command = [sys.executable, "-m", "napari_unet.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    allowed = r"\[\d/4\] |bad\.tif cannot be read |So far: |The scheduler has no workers yet|4 images: 3 segmented"
    assert [line for line in done.stderr.splitlines() if not re.match(allowed, line)] == []


def test_bad_files_do_not_end_a_folder(address, folder, tmp_path):
    for number in range(MAX_FAILURES + 2):  # named so that they are given out first, and all in a row
        (folder / f"-{number}.tif").write_bytes(b"no image")
    command = ("segment", folder, "-o", tmp_path / "out", "--model", tmp_path / "model.safetensors")
    done = run(*command, "--scheduler", address, "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert (len(report["results"]), len(report["failed"])) == (3, MAX_FAILURES + 2)
    assert f"{MAX_FAILURES + 5} images: 3 segmented, {MAX_FAILURES + 2} failed" in done.stderr


@pytest.mark.parametrize("done_before", [0, 1])
def test_a_scheduler_that_is_lost_leaves_a_report(done_before, address, folder, tmp_path, monkeypatch):
    """What was done is told, and what was not; also where the first image was never done."""
    segment = by_file.segment_with_workers

    def lost(client, jobs, *about, **options):
        yield from segment(client, list(jobs)[:done_before], *about, **options)
        raise ClusterError("The connection to the scheduler is lost.")

    monkeypatch.setattr(by_file, "segment_with_workers", lost)
    command = ("segment", folder, "-o", tmp_path / "out", "--model", tmp_path / "model.safetensors")
    done = run(*command, "--scheduler", address, "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert len(report["results"]) == done_before
    assert {one["error"] for one in report["failed"]} == {"The connection to the scheduler is lost."}
    assert f"3 images: {done_before} segmented, {3 - done_before} failed" in done.stderr
    assert done.stderr.count("The connection to the scheduler is lost.") == 1


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_what_workers_write_elsewhere_is_not_written(ending, earlier, client, folder, tmp_path):
    jobs, model = plan_files([folder], tmp_path / "out", ending), str(tmp_path / "model.safetensors")
    (tmp_path / "out").mkdir()

    def outcomes():
        options = SegmentOptions(overwrite=True)
        return dict(segment_with_workers(client, jobs, model, options, folder=tmp_path / "out"))

    if earlier:
        assert all(isinstance(one, dict) for one in outcomes().values())
        assert all(isinstance(one, dict) for one in outcomes().values()), "replaced"
    client.run(_write_to, tmp_path / "hidden")
    try:
        done = outcomes()
    finally:
        client.run(_write_to, None)
    for job in jobs:
        assert str(done[job]).startswith(f"The workers write {job.target.name} where this machine does not see it.")
        assert (tmp_path / "hidden" / job.target.name).exists()


@pytest.mark.parametrize(("name", "what"), [("images/0.zarr", "Images"), ("model.safetensors", "Models")])
def test_what_a_worker_does_not_see_is_named(name, what, folder, tmp_path):
    path = tmp_path / name
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match=re.escape(f"A worker does not see {path}. {what} must be in a folder")):
        segment_one(folder / "0.zarr", tmp_path / "0.tif", str(tmp_path / "model.safetensors"), SegmentOptions(), None)


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_an_image_that_kills_its_worker_takes_no_other_along(client, folder, tmp_path):
    for name in ("-kills", "3", "4"):
        shutil.copytree(folder / "0.zarr", folder / f"{name}.zarr")
    jobs, model = plan_files([folder], tmp_path / "out"), str(tmp_path / "model.safetensors")
    client.run_on_scheduler(_allow_deaths, 0)
    client.register_plugin(_Killing(), name="killing")
    try:
        done = dict(segment_with_workers(client, jobs, model, SegmentOptions(), folder=tmp_path / "out"))
    finally:
        client.unregister_worker_plugin("killing")
        client.run_on_scheduler(_allow_deaths, 3)
    failed = [job.source.name for job in jobs if not isinstance(done[job], dict)]
    assert failed == ["-kills.zarr"]
    error = next(one for one in done.values() if not isinstance(one, dict))
    assert str(error) == "The workers that did it were killed; perhaps they had too little memory."
    assert len(error.with_details) < 160


class _Killing(WorkerPlugin):
    """Has each worker, also one that is started anew, die of an image."""

    def setup(self, worker):
        by_file.segment_file = _segment_or_die

    def teardown(self, worker):
        by_file.segment_file = segment_file


def _segment_or_die(job, *arguments, **more):
    if job.source.name == "-kills.zarr":
        os.kill(os.getpid(), signal.SIGKILL)
    return segment_file(job, *arguments, **more)


def _allow_deaths(number, dask_scheduler):
    dask_scheduler.allowed_failures = number


def _write_to(folder):
    """Have a worker write to another folder, as if that lay over the one of the results."""
    by_file.FileJob = FileJob if folder is None else lambda source, target: FileJob(source, folder / target.name)


def test_the_command_divides_one_image(address, folder, tmp_path, bright_model):
    target, model = tmp_path / "out.zarr", tmp_path / "model.safetensors"
    done = run("segment", folder / "0.zarr", "-o", target, "--model", model, "--scheduler", address)
    assert done.exit_code == 0, done.stderr
    assert "written to" in done.stderr
    segment_file(FileJob(folder / "0.zarr", tmp_path / "one.zarr"), bright_model(), SegmentOptions())
    assert np.array_equal(read_labels(target), read_labels(tmp_path / "one.zarr"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-o", "a.tif"), "ends in .zarr"),
        (("-o", "a.zarr", "--jobs", "2"), "Leave out --jobs"),
        (("-o", "a.zarr", "--scheduler", "somewhere"), "A scheduler is local"),
        (("--into-image", "unet"), "Leave out --into-image"),
    ],
)
def test_what_the_command_refuses(more, said, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("segment", folder / "0.zarr", "--scheduler", "tcp://127.0.0.1:9", *more)
    assert done.exit_code == 2
    assert said in done.stderr.replace("that ends in", "ends in")
