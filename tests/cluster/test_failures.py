"""Workers die, blocks break, and runs are stopped: nothing is lost, and nothing is half done."""

from __future__ import annotations

import errno
import gc
import itertools
import json
import os
import shutil
import signal
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.cluster import by_blocks, connection, queue, work
from napari_unet.cluster.by_blocks import segment_by_blocks
from napari_unet.cluster.queue import MAX_FAILURES
from napari_unet.cluster.run_folder import RunFolder, around, is_begun
from napari_unet.errors import Cancelled, ClusterError, FileFormatError
from napari_unet.inference.files import segment_file
from napari_unet.inference.options import SegmentOptions
from napari_unet.io import lazy
from napari_unet.io.atomic import reason
from napari_unet.io.jobs import FileJob
from napari_unet.io.readers import read_labels
from napari_unet.io.writers import write_maps
from napari_unet.models.checkpoint import save_model_file
from napari_unet.progress import CancelToken

pytest.importorskip("distributed")

OPTIONS = SegmentOptions(tile=32)
ALL_STEPS = 30 + 2 * 20
"""Tiles of the image, its blocks, and the same blocks of the labels."""

BLOCKS = {"block": {2: 40, 3: 16}, "overlap": {2: 20, 3: 10}}


@pytest.fixture
def files(tmp_path, blobs, bright_model):
    """Return image, model, and the labels that one process finds."""
    source, model = tmp_path / "a.zarr", tmp_path / "model.safetensors"
    write_maps(source, blobs((150, 171), n=25, radius=6)[0], "YX")
    save_model_file(bright_model(), model)
    segment_file(FileJob(source, tmp_path / "one.tif"), bright_model(), OPTIONS)
    return source, str(model), read_labels(tmp_path / "one.tif")


def same_objects(a, b):
    pairs = np.unique(np.stack([np.ravel(a), np.ravel(b)]), axis=1)
    return len(pairs[0]) == len(np.unique(a)) == len(np.unique(b))


def stop_after(steps):
    """Return a token, and a progress callback that cancels it after some steps."""
    token = CancelToken()

    def tell(progress):
        if progress.done >= steps:
            token.cancel()

    return token, tell


@pytest.mark.parametrize("steps", [3, 45])
def test_a_run_that_was_stopped_goes_on(steps, client, files, tmp_path):
    source, model, expected = files
    job = FileJob(source, tmp_path / "out.zarr")
    token, tell = stop_after(steps)
    with pytest.raises(Cancelled):
        segment_by_blocks(client, job, model, OPTIONS, progress=tell, cancel=token, **BLOCKS)
    assert not job.target.exists()
    assert is_begun(job.target)
    told = []
    segment_by_blocks(client, job, model, OPTIONS, progress=told.append, **BLOCKS)
    assert same_objects(read_labels(job.target), expected)
    assert not around(job.target).exists()
    counted = [progress for progress in told if progress.done]
    assert (counted[0].done, counted[-1].done) == (1, counted[-1].total), "what was there is no step of this run"
    assert counted[-1].total <= ALL_STEPS - steps


def all_but_finished(client, job, model, monkeypatch, progress=None):
    """Return the folder of a run that was stopped when all its steps were done."""
    with monkeypatch.context() as patch:
        patch.setattr(by_blocks, "_finish", lambda *_: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception):
            segment_by_blocks(client, job, model, OPTIONS, progress=progress, **BLOCKS)
    return RunFolder.find(job.target)


@pytest.mark.parametrize("lost", [1, 3])
def test_only_steps_of_this_run_are_counted(lost, client, files, tmp_path, monkeypatch):
    """The time that is left is told by them: those of an earlier run took none."""
    source, model, _ = files
    job, steps = FileJob(source, tmp_path / "out.zarr"), []
    folder = all_but_finished(client, job, model, monkeypatch, steps.append)
    assert (steps[-1].done, steps[-1].total) == (ALL_STEPS, ALL_STEPS)
    for number in range(lost):
        folder.written(0, 4 * number).unlink()
    segment_by_blocks(client, job, model, OPTIONS, progress=steps.append, **BLOCKS)
    assert (steps[-1].done, steps[-1].total) == (lost, lost)


def test_labels_are_on_the_disk_before_they_are_on_record(client, files, tmp_path, monkeypatch):
    source, model, _ = files
    folder = all_but_finished(client, FileJob(source, tmp_path / "out.zarr"), model, monkeypatch)
    sync, synced = os.fsync, []
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), sync(file)))
    for number, block in enumerate(np.ndindex(4, 5)):
        folder.written(0, number).unlink()
        work.write_labels(folder, 0, number, 0)
        made = [folder.path.joinpath("labels.zarr", "0", *map(str, block)), folder.written(0, number)]
        assert synced == [path.stat().st_ino for path in made if path.exists()]
        synced.clear()


@given(data=st.data())
def test_chunks_of_a_region(data):
    shape = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    chunks = [data.draw(st.integers(1, n)) for n in shape]
    index, pixels = [], []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        stop = data.draw(st.integers(start + 1, n))
        index.append(data.draw(st.sampled_from([start, slice(start, stop), slice(None)])))
        pixels.append(np.atleast_1d(np.arange(n)[index[-1]]).tolist())
    expected = itertools.product(*({one // n for one in along} for along, n in zip(pixels, chunks, strict=True)))
    assert set(work._chunks(index, shape, chunks)) == set(expected)


def test_another_run_is_not_gone_on_with(client, files, tmp_path, bright_model):
    source, model, _ = files
    job = FileJob(source, tmp_path / "out.zarr")
    token, tell = stop_after(30)
    with pytest.raises(Cancelled):
        segment_by_blocks(client, job, model, OPTIONS, progress=tell, cancel=token, **BLOCKS)
    save_model_file(bright_model(threshold=0.8), tmp_path / "other.safetensors")
    told = []
    segment_by_blocks(client, job, str(tmp_path / "other.safetensors"), OPTIONS, progress=told.append, **BLOCKS)
    kept = "The unfinished run of before is kept until this one is done."
    assert [progress.note for progress in told if progress.note] == [f"Begun anew (another model). {kept}"]
    segment_file(FileJob(source, tmp_path / "two.tif"), bright_model(threshold=0.8), OPTIONS)
    assert same_objects(read_labels(job.target), read_labels(tmp_path / "two.tif"))
    assert not around(job.target).exists()


def test_a_run_with_other_settings_takes_nothing_from_one_that_was_stopped(client, files, tmp_path):
    source, model, expected = files
    job, told = FileJob(source, tmp_path / "out.zarr"), []
    token, tell = stop_after(30)
    with pytest.raises(Cancelled):
        segment_by_blocks(client, job, model, OPTIONS, progress=tell, cancel=token, **BLOCKS)
    (token, tell), other = stop_after(0), SegmentOptions(tile=48, device="cpu")
    with pytest.raises(Cancelled):
        segment_by_blocks(
            client, job, model, other, progress=lambda at: (told.append(at), tell(at)), cancel=token, **BLOCKS
        )
    assert told[0].note.startswith("Begun anew (other settings: device, tile). The unfinished run of before is kept")
    segment_by_blocks(client, job, model, OPTIONS, progress=told.append, **BLOCKS)
    assert told[-1].total <= ALL_STEPS - 30
    assert same_objects(read_labels(job.target), expected)
    assert not around(job.target).exists()


def test_a_block_that_breaks_is_named_and_done_later(client, files, tmp_path):
    source, model, expected = files
    job = FileJob(source, tmp_path / "out.zarr")
    token, tell = stop_after(2)
    with pytest.raises(Cancelled):
        segment_by_blocks(client, job, model, OPTIONS, progress=tell, cancel=token, **BLOCKS)
    (run,) = (path.parent for path in around(job.target).glob("*/run.json"))
    (run / "tiles" / "0").mkdir(exist_ok=True)
    broken = run / "tiles" / "0" / "29.npy"
    broken.unlink(missing_ok=True)
    broken.write_bytes(b"no maps")
    with pytest.raises(ClusterError, match=r"could not be done: .*y \d+-\d+, x \d+-\d+: A worker failed") as error:
        segment_by_blocks(client, job, model, OPTIONS, **BLOCKS)
    assert "run the same command again" in str(error.value)
    assert not job.target.exists()
    assert len(list(run.rglob("*.npz"))) > 10, "the rest is done"
    broken.unlink()
    segment_by_blocks(client, job, model, OPTIONS, **BLOCKS)
    assert same_objects(read_labels(job.target), expected)


def test_damaged_chunks_are_named(client, blobs, bright_model, tmp_path):
    image, source, model = blobs((150, 171), n=25, radius=6)[0], tmp_path / "a.zarr", tmp_path / "model.safetensors"
    zarr.create_array(source, data=image, chunks=(50, 60), zarr_format=2)
    chunk = next(path for path in source.iterdir() if path.name.startswith("1.1"))
    chunk.write_bytes(b"damaged")
    save_model_file(bright_model(), model)
    one = segment_file(FileJob(source, tmp_path / "one.tif"), bright_model(), OPTIONS)
    many = segment_by_blocks(client, FileJob(source, tmp_path / "out.zarr"), str(model), OPTIONS, **BLOCKS)
    assert many["damaged"] == one["damaged"] == ["1.1"]
    assert same_objects(read_labels(tmp_path / "out.zarr"), read_labels(tmp_path / "one.tif"))


@pytest.fixture
def damaged(blobs, bright_model, tmp_path):
    """Return an image with a damaged chunk and one that is not stored, and a model."""
    source, model = tmp_path / "a.zarr", tmp_path / "model.safetensors"
    zarr.create_array(source, data=blobs((150, 171), n=25, radius=6)[0], chunks=(50, 60), zarr_format=2)
    (source / "1.1").write_bytes(b"damaged")
    (source / "2.2").unlink()
    save_model_file(bright_model(), model)
    return source, str(model)


SAID = "1 damaged chunk of a.zarr taken as empty: 1.1. 1 chunk of a.zarr not stored, and taken as empty."


@pytest.mark.parametrize("large", [False, True], ids=["read at once", "read by parts"])
@pytest.mark.parametrize("steps", [1, 40, 60])
def test_damage_is_told_by_a_run_that_goes_on(steps, large, client, damaged, tmp_path):
    source, model = damaged
    job, (token, tell) = FileJob(source, tmp_path / "out.zarr"), stop_after(steps)
    client.run(_read_by_parts, large)
    try:
        with pytest.raises(Cancelled):
            segment_by_blocks(client, job, model, OPTIONS, progress=tell, cancel=token, **BLOCKS)
        done = segment_by_blocks(client, job, model, OPTIONS, **BLOCKS)
    finally:
        client.run(_read_by_parts, False)
    assert done["damaged"] == ["1.1"]
    assert done["note"] == SAID


def _read_by_parts(yes):
    """Have a worker read small images as it reads large ones."""
    lazy.IN_MEMORY_BYTES = 0 if yes else 64 * 2**20


def test_what_is_not_a_run_stays(client, files, tmp_path):
    source, model, _ = files
    job = FileJob(source, tmp_path / "out.zarr")
    mine = around(job.target) / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(FileFormatError, match="in the way"):
        segment_by_blocks(client, job, model, OPTIONS, **BLOCKS)
    assert mine.read_text() == "mine"
    shutil.rmtree(mine.parent)
    with pytest.raises(ClusterError, match=r"ends in \.zarr"):
        segment_by_blocks(client, FileJob(source, tmp_path / "out.tif"), model, OPTIONS)
    write_maps(job.target, np.zeros((4, 4), np.float32), "YX")
    with pytest.raises(FileFormatError, match="exists already"):
        segment_by_blocks(client, job, model, OPTIONS, **BLOCKS)


def test_what_workers_cannot_segment_leaves_nothing(client, files, tmp_path, bright_model):
    source, _, _ = files
    save_model_file(bright_model(ndim=3), tmp_path / "volumes.safetensors")
    job = FileJob(source, tmp_path / "out.zarr")
    with pytest.raises(Exception, match="has no Z axis"):
        segment_by_blocks(client, job, str(tmp_path / "volumes.safetensors"), OPTIONS, **BLOCKS)
    assert not around(job.target).exists()
    assert not job.target.exists()


@pytest.mark.parametrize("name", ["elsewhere", "tcp://", "http://host:80", "tcp://host", "file.txt", ""])
def test_no_address(name):
    with pytest.raises(ClusterError, match="A scheduler is local"):
        connection.check_address(name)


@pytest.fixture
def collected():
    """Have a client that could not connect go at once: collected while another one starts, it waits for that one."""
    yield
    gc.collect()


def test_a_scheduler_that_does_not_answer(collected, tmp_path):
    with pytest.raises(ClusterError, match="There is no file"):
        connection.check_address(str(tmp_path / "none.json"))
    file = tmp_path / "a.json"
    for text in ("{}", "[]", "no JSON"):
        file.write_text(text)
        with pytest.raises(ClusterError, match="does not say where"), connection.connected(str(file)):
            pass
    file.write_text(json.dumps({"address": "tcp://127.0.0.1:9"}))
    with pytest.raises(ClusterError, match="does not answer"), connection.connected(str(file), patience=0.5):
        pass


def test_workers_of_another_version(client, monkeypatch):
    connection.check_workers(client)
    monkeypatch.setattr(connection, "__version__", "0.0.1")
    with pytest.raises(ClusterError, match=r"and this machine 0\.0\.1"):
        connection.check_workers(client)


def test_two_runs_of_one_target(client, files, tmp_path):
    source, model, expected = files
    job, refused = FileJob(source, tmp_path / "out.zarr"), []

    def begin_another(progress):
        if not progress.done:
            return
        for options in (OPTIONS, SegmentOptions(tile=48)):
            with pytest.raises(
                FileFormatError, match=r"out\.zarr is being made by another run\. Wait for it"
            ) as raised:
                segment_by_blocks(client, job, model, options, **BLOCKS)
            refused.append(raised)

    segment_by_blocks(client, job, model, OPTIONS, progress=begin_another, **BLOCKS)
    assert refused
    assert same_objects(read_labels(job.target), expected), "the first takes no harm"
    assert not around(job.target).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize("size", [1, 10**6])
def test_a_full_disk_is_told_as_such(size, tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "completing", lambda self, path: nullcontext(Path("/dev/full")))
    with pytest.raises(OSError, match="No space left") as raised:
        RunFolder(tmp_path).save(tmp_path / "1.npy", np.zeros(size))
    assert reason(raised.value) == "the disk is full"


FULL = "A worker could not read or write: the disk is full."


@pytest.mark.parametrize(
    ("error", "said", "details"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL, "[Errno 28] No space left on device"),
        (OSError("No space left on device"), FULL, "No space left on device"),
        (OSError("odd"), "A worker could not read or write: odd.", ""),
        (MemoryError(), "A worker had too little memory.", ""),
        (RuntimeError("can't start new thread"), "A worker had too little memory.", ""),
    ],
)
def test_what_failed_is_said_once(error, said, details):
    told = queue._in_words(SimpleNamespace(status="error", exception=lambda: error))
    assert (str(told), told.details) == (said, details)


class _Failing:
    """Jobs that fail for ever."""

    def __init__(self, error, own):
        self.error, self.own, self.left = error, own, 3 * MAX_FAILURES

    def take(self):
        self.left -= 1
        return queue.Job(_raise, (self.error,), own=self.own) if self.left >= 0 else None

    def failed(self, job, error):
        pass


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("error", "own", "given_up"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), False, True),
        (OSError(errno.ENOSPC, "No space left on device"), True, True),
        (MemoryError(), True, True),
        (ClusterError("A worker does not see it."), True, True),
        (FileFormatError("No image."), False, True),
        (FileFormatError("No image."), True, False),
    ],
    ids=repr,
)
def test_a_run_is_given_up_where_workers_fail(error, own, given_up, client):
    jobs = _Failing(error, own)
    if not given_up:
        queue.Workers(client).run(jobs)
        assert jobs.left < 0
        return
    with pytest.raises(ClusterError, match=r"Given up after 16 .*\. What is finished is kept; run the same command"):
        queue.Workers(client).run(jobs)


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_a_worker_that_is_killed(client, files, tmp_path):
    source, model, expected = files
    killed = []

    def tell(progress):
        if progress.done > 4 and not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    report = segment_by_blocks(client, FileJob(source, tmp_path / "out.zarr"), model, OPTIONS, progress=tell, **BLOCKS)
    assert killed
    assert report["n_objects"] == expected.max()
    assert same_objects(read_labels(tmp_path / "out.zarr"), expected)
    assert not around(tmp_path / "out.zarr").exists()
