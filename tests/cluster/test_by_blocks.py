"""One image by blocks with two workers: the same labels, with the same ids, as one process gives."""

from __future__ import annotations

import numpy as np
import pytest

import napari_unet as nu
from napari_unet.axes import PixelSize
from napari_unet.cluster.by_blocks import segment_by_blocks
from napari_unet.inference import files, on_disk
from napari_unet.inference.files import segment_file
from napari_unet.inference.options import SegmentOptions
from napari_unet.io.jobs import FileJob
from napari_unet.io.readers import read_image, read_labels
from napari_unet.io.writers import write_maps
from napari_unet.models.checkpoint import save_model_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model

pytest.importorskip("distributed")

BLOCK, OVERLAP = {2: 40, 3: 16}, {2: 20, 3: 10}

CASES = {
    "plane": ("CYX", (3, 120, 90), {"in_channels": 3}),
    "times of slices": ("TZYX", (2, 3, 60, 70), {}),
    "volumes": ("TZYX", (2, 20, 34, 30), {"ndim": 3}),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Make one process use the same small blocks."""
    monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(on_disk, "BLOCK", BLOCK)
    monkeypatch.setattr(on_disk, "OVERLAP", OVERLAP)


def saved(model, folder):
    path = folder / "model.safetensors"
    save_model_file(model, path)
    return str(path)


def spread(client, source, target, model, options=None, **more):
    job = FileJob(source, target)
    return segment_by_blocks(client, job, model, options or SegmentOptions(), block=BLOCK, overlap=OVERLAP, **more)


@pytest.mark.parametrize("name", CASES)
def test_as_one_process(name, client, blobs, bright_model, tmp_path, small_blocks):
    axes, shape, settings = CASES[name]
    space = tuple(n for n, letter in zip(shape, axes, strict=True) if letter not in "CT")
    image = np.stack([blobs(space, n=14, seed=s, radius=6)[0] for s in range(shape[0])]) if axes[0] in "CT" else (
        blobs(shape, n=25, radius=6)[0]
    )  # fmt: skip
    model, source = bright_model(**settings), tmp_path / "a.zarr"
    write_maps(source, image, axes, PixelSize(y=0.5, x=0.5))
    options = SegmentOptions(maps=True, tile=48)
    one = segment_file(FileJob(source, tmp_path / "one.zarr"), model, options)
    report = spread(client, source, tmp_path / "many.zarr", saved(model, tmp_path), options)
    assert report["n_objects"] == one["n_objects"] > 5
    assert report["tiles"] == one["tiles"] > 1
    labels = read_labels(tmp_path / "many.zarr")
    assert np.array_equal(labels, read_labels(tmp_path / "one.zarr"))
    assert len(np.unique(labels)) - 1 == report["n_objects"]
    maps = [np.asarray(read_image(tmp_path / f"{one}_maps.zarr").data) for one in ("one", "many")]
    assert np.array_equal(*maps)
    left = sorted(path.name for path in tmp_path.iterdir() if path.name not in ("home", "model.safetensors"))
    assert left == ["a.zarr", "many.zarr", "many_maps.zarr", "one.zarr", "one_maps.zarr"]


@pytest.mark.parametrize(
    ("shape", "block", "overlap"),
    [
        ((112, 75), 37, 19),  # the last blocks are one pixel wide
        ((7, 200), 13, 20),  # narrower than a block, and objects wider than one
        ((90, 61), 500, 20),  # one block
        ((23, 34, 12), 11, 7),
        ((1, 40, 31), 10, 3),
    ],
    ids=str,
)
def test_odd_blocks(shape, block, overlap, client, blobs, bright_model, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    ndim = len(shape)
    monkeypatch.setattr(on_disk, "BLOCK", {ndim: block})
    monkeypatch.setattr(on_disk, "OVERLAP", {ndim: overlap})
    model, source = bright_model(ndim=ndim), tmp_path / "a.zarr"
    image = np.maximum.reduce([blobs(shape, n=12, radius=radius, seed=radius)[0] for radius in (2, 5)])
    write_maps(source, image, "ZYX"[-ndim:])
    options = SegmentOptions(maps=True, tile=24)
    one = segment_file(FileJob(source, tmp_path / "one.zarr"), model, options)
    job = FileJob(source, tmp_path / "many.zarr")
    report = segment_by_blocks(
        client, job, saved(model, tmp_path), options, block={ndim: block}, overlap={ndim: overlap}
    )
    assert report["n_objects"] == one["n_objects"] > 1
    assert np.array_equal(read_labels(job.target), read_labels(tmp_path / "one.zarr"))
    maps = [np.asarray(read_image(tmp_path / f"{name}_maps.zarr").data) for name in ("one", "many")]
    assert np.array_equal(*maps)


def test_classes(client, tiny_net, blobs, tmp_path, small_blocks):
    net = tiny_net(out_channels=3)
    model = Model(net, ModelInfo(name="c", spec=net.spec, task="semantic", outputs=("class_0", "class_1", "class_2"),
                                 classes=("background", "a", "b")))  # fmt: skip
    source = tmp_path / "a.zarr"
    write_maps(source, blobs((100, 110))[0], "YX")
    one = segment_file(FileJob(source, tmp_path / "one.zarr"), model, SegmentOptions())
    report = spread(client, source, tmp_path / "many.zarr", saved(model, tmp_path))
    assert report["n_objects"] == one["n_objects"]
    assert np.array_equal(read_labels(tmp_path / "many.zarr"), read_labels(tmp_path / "one.zarr"))


@pytest.mark.parametrize("size", [0.37, 2.3])
def test_a_rescaled_image(size, client, bright_model, blobs, tmp_path, small_blocks):
    model, source = bright_model(info={"pixel_size": (1.0, 1.0)}), tmp_path / "a.zarr"
    write_maps(source, blobs((100, 131), radius=10)[0], "YX", PixelSize(y=size, x=size))
    options = SegmentOptions(tile=32, maps=True)
    one = segment_file(FileJob(source, tmp_path / "one.zarr"), model, options)
    assert one["zoom"] != [1, 1]
    spread(client, source, tmp_path / "many.zarr", saved(model, tmp_path), options)
    labels = read_labels(tmp_path / "many.zarr")
    assert labels.any()
    assert np.array_equal(labels, read_labels(tmp_path / "one.zarr"))
    maps = [np.asarray(read_image(tmp_path / f"{one}_maps.zarr").data) for one in ("one", "many")]
    assert np.array_equal(*maps)


def test_from_a_script(client, bright_model, blobs, tmp_path, monkeypatch):
    write_maps(tmp_path / "a.zarr", blobs((90, 80))[0], "YX")
    saved(bright_model(), tmp_path)
    one = nu.segment(read_image(tmp_path / "a.zarr"), bright_model(), device="cpu")
    monkeypatch.chdir(tmp_path)  # the workers have another working directory
    report = nu.segment_on_cluster("a.zarr", "b.zarr", "model.safetensors", client=client, device="cpu")
    assert report["n_objects"] == one.n_objects > 0
    assert np.array_equal(read_labels(tmp_path / "b.zarr"), one.labels)


@pytest.mark.parametrize("kind", ["auto", "objects", "classes"])
@pytest.mark.parametrize(("fill", "said"), [(7.0, "have the same value"), (np.nan, "is a number (all are NaN")])
def test_the_notes_of_one_process(kind, fill, said, client, bright_model, tiny_net, tmp_path):
    """Also what is known only when all of it is done."""
    source = tmp_path / "flat.zarr"
    write_maps(source, np.full((1, 96, 80), fill, np.float32), "CYX")
    if kind == "auto":
        model = named = "auto"
    else:
        info = ModelInfo(
            name="classes", spec=(net := tiny_net(out_channels=2)).spec, outputs=("class_0", "class_1"), task="semantic"
        )
        model = Model(net, info) if kind == "classes" else bright_model()
        named = saved(model, tmp_path)
    one = segment_file(FileJob(source, tmp_path / "one.zarr"), model, SegmentOptions())
    many = spread(client, source, tmp_path / "many.zarr", named)
    assert many["notes"] == one["notes"]
    assert said in " ".join(one["notes"])
    assert ("No model seems to fit flat.zarr" in one["notes"][0]) == (kind == "auto")


def test_nothing_is_noted_where_objects_are_found(client, blobs, bright_model, tmp_path):
    source = tmp_path / "a.zarr"
    write_maps(source, blobs((90, 80), n=9, radius=6)[0][None], "CYX")
    report = spread(client, source, tmp_path / "many.zarr", saved(bright_model(), tmp_path))
    assert report["n_objects"]
    assert report["notes"] == []
