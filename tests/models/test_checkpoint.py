"""Model files: whole or refused, and never run."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_unet.errors import DeviceError, ModelFileError, ModelMismatchError
from napari_unet.models import checkpoint
from napari_unet.models.checkpoint import load_model_file, read_model_info, save_model_file
from napari_unet.models.model import resolve_device
from napari_unet.models.store import list_models, load_model, save_model


@pytest.fixture
def saved(tmp_path, tiny_model):
    model, path = tiny_model(), tmp_path / "model.safetensors"
    save_model_file(model, path)
    return model, path


@pytest.mark.parametrize("half", [False, True])
def test_a_model_comes_back_as_it_was(tmp_path, tiny_model, half):
    model, path = tiny_model(info={"scores": {"ap": 0.5}, "licence": "CC0-1.0"}), tmp_path / "m.safetensors"
    save_model_file(model, path, half=half)
    again = load_model_file(path)
    assert again.info == model.info == read_model_info(path)
    for name, value in model.net.state_dict().items():
        assert again.net.state_dict()[name].dtype == value.dtype
        assert torch.allclose(again.net.state_dict()[name], value, rtol=1e-3 if half else 0, atol=1e-4 if half else 0)
    if not half:
        assert again.sha256() == model.sha256()
    assert not again.net.training


def test_a_failed_save_leaves_nothing(tmp_path, tiny_model, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "replace", full)
    with pytest.raises(ModelFileError, match="No space left"):
        save_model_file(tiny_model(), tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_truncated_files(saved):
    _, path = saved
    data = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, 1000, len(data) // 2, len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError, match=path.name):
            load_model_file(path)


def test_any_length_of_the_description_is_read(tmp_path, tiny_model):
    path, first_bytes = tmp_path / "m.safetensors", set()
    for length in range(0, 264, 4):  # safetensors pads its header to a multiple of eight bytes
        save_model_file(tiny_model(info={"description": "x" * length}), path)
        first_bytes.add(path.read_bytes()[0])
        assert load_model_file(path).info.description == "x" * length
    assert 0x80 in first_bytes  # which is how a pickle begins, too


class Hostile:
    """Unpickling this makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


def test_pickles_are_not_opened(tmp_path):
    path, trap = tmp_path / "model.safetensors", tmp_path / "trap"
    torch.save(Hostile(trap), path)
    with pytest.raises(ModelFileError, match="can run any code"):
        load_model_file(path)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"hello, this is text", struct.pack("<Q", 2**62) + b"{}", b"\x00" * 64])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load_model_file(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ModelFileError, match="no model file"):
        load_model_file(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="folder"):
        load_model_file(tmp_path)


def change(path, description=None, **tensors):
    """Write the file again with another description, and tensors replaced or (None) left out."""
    info = json.loads(read_model_info(path).model_dump_json()) | (description or {})
    state = {k: v for k, v in (load_file(path) | tensors).items() if v is not None}
    save_file(state, path, metadata={"napari_unet": json.dumps(info)})


SPEC = {"ndim": 2, "in_channels": 1, "out_channels": 2, "features": 4, "levels": 2}


@pytest.mark.parametrize(
    "description",
    [
        {"spec": SPEC | {"features": 1024, "levels": 8}},
        {"spec": SPEC | {"features": -1}},
        {"spec": SPEC | {"out_channels": 3}},
        {"spec": SPEC | {"features": 1000}},
        {"outputs": ["foreground"]},
        {"outputs": ["boundary", "distance"]},
        {"pixel_size": [0, 1]},
        {"format": "napari-unet/99"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_descriptions_that_lie(saved, description):
    change(saved[1], description)
    with pytest.raises(ModelFileError, match=saved[1].name):
        load_model_file(saved[1])


@pytest.mark.parametrize(
    "tensors",
    [
        {"head.weight": torch.zeros(3, 4, 1, 1)},
        {"head.bias": None},
        {"extra": torch.zeros(1)},
        {"head.bias": torch.tensor([float("nan"), 0.0])},
        {"head.bias": torch.zeros(2, dtype=torch.int64)},
    ],
    ids=lambda tensors: next(iter(tensors)),
)
def test_weights_that_do_not_fit(saved, tensors):
    change(saved[1], **tensors)
    with pytest.raises(ModelFileError, match=saved[1].name):
        load_model_file(saved[1])


def test_weights_without_a_description(saved):
    save_file(load_file(saved[1]), saved[1])
    with pytest.raises(ModelFileError, match="not the description"):
        load_model_file(saved[1])


def test_models_by_name(tiny_model):
    shipped = [entry.name for entry in list_models()]
    assert shipped[0] == "nuclei"
    assert all(entry.shipped for entry in list_models())
    assert load_model("nuclei").info.task == "instances"
    path = save_model(tiny_model(), " my cells ")
    assert load_model("my cells").name == "my cells"
    assert load_model(str(path)).name == "my cells"
    assert [entry.name for entry in list_models()] == [*shipped, "my cells"]
    with pytest.raises(ModelFileError, match="already"):
        save_model(tiny_model(), "my cells")
    for name in ("", "../x", "a/b", ".hidden", "nuclei"):
        with pytest.raises(ModelFileError, match="name"):
            save_model(tiny_model(), name)
    with pytest.raises(ModelFileError, match="nope.*nuclei, .*my cells"):
        load_model("nope")


def test_devices():
    assert resolve_device("cpu").type == "cpu"
    for name in ("tpu", "cuda:99", "cpu:3"):
        with pytest.raises(DeviceError, match="cpu"):
            resolve_device(name)


def test_channels(tiny_model):
    with pytest.raises(ModelMismatchError, match="takes 2 channels; the image has 3"):
        tiny_model(in_channels=2).check_channels(3)
    with pytest.raises(ModelMismatchError, match="Choose one of the channels 0 to 3"):
        tiny_model(in_channels=3, info={"inputs": "colour"}).check_channels(4)
