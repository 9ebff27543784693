"""Files larger than memory: segmented on disk, they give what they give in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import zarr

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import Cancelled, FileFormatError
from napari_unet.inference import files, on_disk
from napari_unet.inference.files import FileJob, SegmentOptions, segment_file
from napari_unet.inference.in_memory import segment
from napari_unet.inference.scale import is_rescaled
from napari_unet.io.readers import read_image, read_labels
from napari_unet.io.writers import write_maps
from napari_unet.io.zarr_writer import create_zarr
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.progress import CancelToken


@pytest.fixture
def small_blocks(monkeypatch):
    """Make every image one that is too large for memory, and blocks so small that it takes many."""
    monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(on_disk, "BLOCK", {2: 40, 3: 16})
    monkeypatch.setattr(on_disk, "OVERLAP", {2: 20, 3: 10})


def same_objects(a, b):
    pairs = np.unique(np.stack([np.ravel(a), np.ravel(b)]), axis=1)
    return len(pairs[0]) == len(np.unique(a)) == len(np.unique(b))


CASES = {
    "plane": ("YX", (150, 170), {}),
    "colour": ("CYX", (3, 120, 90), {"in_channels": 3}),
    "slices": ("ZYX", (5, 90, 80), {}),
    "times": ("TYX", (3, 90, 80), {}),
    "volumes": ("TZYX", (2, 24, 50, 40), {"ndim": 3}),
    "times of slices": ("TZYX", (2, 4, 60, 70), {}),
}


@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
@pytest.mark.parametrize("name", CASES)
def test_on_disk_as_in_memory(name, suffix, blobs, bright_model, tmp_path, small_blocks):
    axes, shape, settings = CASES[name]
    space = tuple(n for n, letter in zip(shape, axes, strict=True) if letter not in "CT")
    image = np.stack([blobs(space, n=14, seed=s, radius=6)[0] for s in range(shape[0])]) if axes[0] in "CT" else (
        blobs(shape, n=25 if len(shape) == 2 else 12, radius=6)[0]
    )  # fmt: skip
    if axes[0] == "C":
        image[:] = image[0]
    model = bright_model(**settings)
    source, target = tmp_path / "a.zarr", tmp_path / f"out{suffix}"
    write_maps(source, image, axes, PixelSize(y=0.5, x=0.5))
    whole = segment(read_image(source), model, keep_maps=True)
    assert whole.n_objects > 5
    report = segment_file(FileJob(source, target), model, SegmentOptions(maps=True, tile=48))
    labels = read_labels(target)
    assert report["n_objects"] == whole.n_objects == len(np.unique(labels)) - 1
    assert same_objects(labels.squeeze(), whole.labels.squeeze())
    maps = read_image(tmp_path / "out_maps.zarr")
    expected = whole.maps.squeeze(tuple(i for i, letter in enumerate("CTZYX") if letter not in "C" + whole.axes))
    order = [maps.axes.index(letter) for letter in "CTZYX" if letter in maps.axes]
    assert np.abs(np.asarray(maps.data).transpose(order) - expected).max() < 1e-5
    left = sorted(path.name for path in tmp_path.iterdir() if path.name != "home")
    assert left == sorted(["a.zarr", f"out{suffix}", "out_maps.zarr"]), "nothing else is left"


def test_classes_on_disk(tiny_net, blobs, tmp_path, small_blocks):
    net = tiny_net(out_channels=3)
    model = Model(net, ModelInfo(name="c", spec=net.spec, task="semantic", outputs=("class_0", "class_1", "class_2"),
                                 classes=("background", "a", "b")))  # fmt: skip
    source, target = tmp_path / "a.zarr", tmp_path / "out.zarr"
    write_maps(source, blobs((100, 110))[0], "YX")
    whole = segment(read_image(source), model)
    report = segment_file(FileJob(source, target), model, SegmentOptions())
    assert np.array_equal(read_labels(target), whole.labels)
    assert report["n_objects"] == whole.n_objects


def test_a_rescaled_image(bright_model, blobs, tmp_path, small_blocks):
    model = bright_model(info={"pixel_size": (1.0, 1.0)})
    source, target = tmp_path / "a.zarr", tmp_path / "out.zarr"
    write_maps(source, blobs((100, 110), radius=10)[0], "YX", PixelSize(y=0.5, x=0.5))
    whole = segment(read_image(source), model)
    assert is_rescaled(whole.task.zoom)
    segment_file(FileJob(source, target), model, SegmentOptions())
    assert same_objects(read_labels(target), whole.labels)


def test_an_object_diameter(bright_model, blobs, tmp_path, small_blocks):
    model = bright_model(info={"diameter": 10})
    source, target = tmp_path / "a.zarr", tmp_path / "out.zarr"
    write_maps(source, blobs((100, 110), radius=10)[0], "YX")
    whole = segment(read_image(source), model, diameter=20)
    report = segment_file(FileJob(source, target), model, SegmentOptions(diameter=20))
    assert report["tile_shape"] == [50, 55]
    assert same_objects(read_labels(target), whole.labels)


def test_it_is_told_how_far_a_tile_is(bright_model, blobs, tmp_path, small_blocks, slow_tiles):
    source, seen = tmp_path / "a.zarr", []
    write_maps(source, blobs((150, 170))[0], "YX")
    job = FileJob(source, tmp_path / "out.zarr")
    report = segment_file(job, bright_model(), SegmentOptions(), seen.append)
    assert report["tiles"] == 1
    assert seen[0].fraction < 0.5 < seen[-2].fraction < seen[-1].fraction == 1


def test_stopped_or_failed_leaves_nothing(bright_model, blobs, tmp_path, small_blocks, monkeypatch):
    source, target = tmp_path / "a.zarr", tmp_path / "out.tif"
    write_maps(source, blobs((150, 170))[0], "YX")
    cancel = CancelToken()

    def stop(progress):
        if progress.done == 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        segment_file(FileJob(source, target), bright_model(), SegmentOptions(tile=48), stop, cancel)
    assert {p.name for p in tmp_path.iterdir()} <= {"a.zarr", "home"}

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(on_disk.Plane, "write", full)
    with pytest.raises(FileFormatError, match="disk is full"):
        segment_file(FileJob(source, target), bright_model(), SegmentOptions())
    assert {p.name for p in tmp_path.iterdir()} <= {"a.zarr", "home"}


def test_a_full_disk_keeps_what_is_finished(bright_model, blobs, tmp_path, small_blocks, monkeypatch):
    """Of a series the first frames are whole; the file does not have its final name."""
    pixels = np.stack([blobs((150, 170))[0]] * 3)
    source, target = tmp_path / "a.zarr", tmp_path / "out.zarr"
    write_maps(source, pixels, "TYX")
    write = on_disk.Plane.write

    def full(self, unit, region, values):
        if unit.frame == 2:
            raise OSError(28, "No space left on device")
        write(self, unit, region, values)

    monkeypatch.setattr(on_disk.Plane, "write", full)
    with pytest.raises(FileFormatError, match=r"disk is full\. What was finished is kept as out\.unfinished\.zarr"):
        segment_file(FileJob(source, target), bright_model(), SegmentOptions())
    assert not target.exists()
    kept = zarr.open(str(tmp_path / "out.unfinished.zarr"))["0"]
    assert kept[1].max() == 2 * kept[0].max() > 0
    assert kept[2].max() == 0


def test_a_damaged_chunk_is_named_and_the_rest_is_segmented(bright_model, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.io.lazy.IN_MEMORY_BYTES", 0)
    pixels = np.zeros((128, 128), np.uint8)
    pixels[10:20, 10:20] = pixels[80:90, 80:90] = 200
    source, target = tmp_path / "a.zarr", tmp_path / "out.zarr"
    create_zarr(source, pixels.shape, "YX", None, np.uint8, name="a", chunks=(64, 64))[...] = pixels
    (source / "0" / "1" / "1").write_bytes(b"nonsense")
    report = segment_file(FileJob(source, target), bright_model(), SegmentOptions())
    assert report["damaged"] == ["0/1/1"]
    assert "1 damaged chunk of a.zarr taken as empty: 0/1/1." in report["note"]
    assert report["n_objects"] == 1
    assert zarr.open(str(target))["0"][15, 15] == 1


MEASURE = """
import json, sys
from pathlib import Path
import numpy as np, torch
from napari_unet.inference import files, on_disk, tile_runner
from napari_unet.inference.files import FileJob, SegmentOptions, peak_memory_mb, segment_file
from napari_unet.models.checkpoint import load_model_file
from napari_unet.tiling import budget
torch.set_num_threads(1)
files.IN_MEMORY_BYTES, tile_runner._STATISTICS_PIXELS = 0, 2_000_000
on_disk.BLOCK, on_disk.OVERLAP = {2: 512}, {2: 20}
budget.MAX_PIXELS = {2: 1_000_000}  # several tiles of the smaller image too
segment_file(FileJob(Path(sys.argv[1]), Path(sys.argv[2])), load_model_file(Path(sys.argv[3])), SegmentOptions())
print(json.dumps(peak_memory_mb()))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(bright_model, tmp_path):
    """Five times the pixels take no more memory; the maps alone would be 135 MB more, the labels 67."""
    from napari_unet.models.checkpoint import save_model_file

    save_model_file(bright_model(), tmp_path / "m.safetensors")
    tile = np.zeros((512, 512), np.uint8)
    tile[100:130, 100:140] = 255
    used = []
    for name, shape in (("small", (2048, 2048)), ("large", (4096, 5120))):
        path = tmp_path / f"{name}.zarr"
        array = create_zarr(path, shape, "YX", None, np.uint8, name=name)
        array[:] = np.tile(tile, (shape[0] // 512, shape[1] // 512))
        words = [sys.executable, "-c", MEASURE, path, tmp_path / f"{name}_labels.zarr", tmp_path / "m.safetensors"]
        # One heap for all threads: what each keeps for later use would blur the measure.
        heap = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
        run = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True, env=heap)
        used.append(json.loads(run.stdout))
        assert zarr.open(str(tmp_path / f"{name}_labels.zarr"))["0"].shape == shape
    assert used[1] < used[0] + 90, used


def test_image_is_read_in_pieces(bright_model, tmp_path, small_blocks):
    """No read is larger than a tile with its halo (but for the statistics' even sample)."""

    class Counting:
        shape, dtype, ndim = (400, 400), np.dtype(np.float32), 2
        most = 0

        def __getitem__(self, index):
            pieces = [len(range(*part.indices(400))) for part in index]
            if index[0].step is None:
                self.most = max(self.most, pieces[0] * pieces[1])
            return np.random.default_rng(0).random(pieces).astype(np.float32)

    from napari_unet.inference.task import make_task

    data = Counting()
    task = make_task(Image(data, "YX"), bright_model(), tile=64)
    out = on_disk.Plane(np.zeros((400, 400), np.int32), "YX")
    on_disk.segment_into(task, out, on_disk.Plane(np.zeros((2, 400, 400), np.float32), "CYX"))
    assert data.most <= max(np.prod(tile.read_shape) for tile in task.plan.tiles) < 400 * 400
