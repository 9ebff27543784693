"""Model files: what is written comes back, and what is damaged, foreign or hostile is refused in a sentence."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_unet.errors import ModelFileError, ModelMismatchError, UNetError
from napari_unet.models import checkpoint
from napari_unet.models.checkpoint import load_model_file, read_model_info, save_model_file
from napari_unet.models.header import weights_sha256
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model, available_devices, resolve_device
from napari_unet.models.normalize import Normalization

KEY = "napari_unet"


@pytest.fixture
def small(tiny_model):
    """A model of few bytes."""
    return tiny_model(features=2, levels=1)


@pytest.fixture
def rewritten(small, tmp_path):
    """Return a maker of files that differ from a good one in their weights or description."""

    def make(change=lambda state: None, info=None, metadata=None):
        state = {name: tensor.clone() for name, tensor in small.net.state_dict().items()}
        change(state)
        description = json.loads(small.info.model_dump_json())
        if info is not None:
            info(description)
        path = tmp_path / "changed.safetensors"
        save_file(state, path, metadata={KEY: json.dumps(description)} if metadata is None else metadata)
        return path

    return make


def refusal(path):
    """The sentence with which a file is refused."""
    with pytest.raises(ModelFileError) as caught:
        load_model_file(path)
    text = str(caught.value)
    assert text.endswith(".")
    assert len(text) > 15
    assert "\n" not in text
    return text


@pytest.mark.parametrize("settings", [{}, {"ndim": 3}, {"padding": "valid", "norm": "none", "up": "interpolated"}])
def test_what_is_saved_comes_back(tiny_model, tmp_path, settings):
    info = {
        "normalization": Normalization(low=2, high=98, per_channel=True),
        "training_data": (DataSource(name="mine", licence="CC0-1.0", images=3),),
        "recipe": {"steps": 3, "rate": 0.1, "how": "well", "sure": True, "none": None},
        "scores": {"ap": 0.5},
        "description": "Zellkerne, µm",
    }
    model = tiny_model(info=info, features=2, levels=1, **settings)
    path = tmp_path / "new" / "a.safetensors"
    save_model_file(model, path)
    again = load_model_file(path)
    assert again.info == model.info == read_model_info(path)
    assert again.sha256() == model.sha256()
    assert not again.net.training
    assert not any(p.requires_grad for p in again.net.parameters())
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]
    x = torch.rand(1, 1, *([24] * model.info.spec.ndim))
    assert torch.equal(again.net(x), model.net(x))


def test_half_precision_is_half_the_size_and_nearly_the_same(tiny_model, tmp_path):
    model = tiny_model(features=8)
    save_model_file(model, tmp_path / "whole.safetensors")
    save_model_file(model, tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    again = load_model_file(tmp_path / "half.safetensors")
    assert again.sha256() != model.sha256()
    for (name, a), b in zip(model.net.state_dict().items(), again.net.state_dict().values(), strict=True):
        assert a.dtype == b.dtype, name
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6), name


def test_any_length_of_the_description_is_read(tiny_model, tmp_path):
    path, first_bytes = tmp_path / "m.safetensors", set()
    for length in range(0, 264, 4):  # safetensors pads its header to a multiple of eight bytes
        save_model_file(tiny_model(info={"description": "x" * length}, features=2, levels=1), path)
        first_bytes.add(path.read_bytes()[0])
        assert load_model_file(path).info.description == "x" * length
    assert 0x80 in first_bytes  # which is how a pickle begins, too


def test_the_hash_is_of_the_weights_alone(small):
    renamed = Model(small.net, small.info.model_copy(update={"name": "other"}))
    assert renamed.sha256() == small.sha256()
    changed = {k: v.clone() for k, v in small.net.state_dict().items()}
    changed["head.bias"][0] += 1e-3
    other = type(small.net)(small.net.spec)
    other.load_state_dict(changed)
    assert Model(other, small.info).sha256() != small.sha256()


@pytest.mark.parametrize("half", [False, True])
def test_the_hash_of_a_file_is_that_of_the_model_in_it(small, tmp_path, half):
    path = tmp_path / "a.safetensors"
    save_model_file(small, path, half=half)
    assert weights_sha256(path) == load_model_file(path).sha256()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_hash_of_other_kinds_of_numbers(small, tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in small.net.state_dict().items()}
    save_file(state, path, metadata={"napari_unet": small.info.model_dump_json()})
    assert weights_sha256(path) == load_model_file(path).sha256()


@pytest.mark.parametrize("ending", ["fifo", "device"])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path, ending):
    path = Path("/dev/zero")
    if ending == "fifo":
        os.mkfifo(path := tmp_path / "a.safetensors")
    for read in (read_model_info, load_model_file):
        with pytest.raises(ModelFileError, match="a pipe or a device"):
            read(path)


def test_a_file_of_the_user_that_is_named_as_ours_is_kept(small, tmp_path):
    (tmp_path / "a.safetensors.partial").write_text("mine")
    for _ in range(2):
        save_model_file(small, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors.partial").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_no_file(small, tmp_path, monkeypatch):
    def fails(state, path, metadata):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fails)
    with pytest.raises(ModelFileError, match="disk is full"):
        save_model_file(small, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_file_that_was_there(small, tiny_model, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_model_file(small, path)

    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(ModelFileError, match="could not be saved"):
        save_model_file(tiny_model(seed=9, features=2, levels=1), path)
    monkeypatch.undo()
    assert load_model_file(path).sha256() == small.sha256()
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_in_place_of_the_folder_is_told(small, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFileError, match="could not be saved"):
        save_model_file(small, tmp_path / "file" / "a.safetensors")


def test_a_truncated_file_is_refused_at_every_length(small, tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_model_file(small, whole)
    data = whole.read_bytes()
    (header,) = struct.unpack("<Q", data[:8])
    lengths = {*range(12), header // 2, header + 7, header + 8, header + 9, len(data) // 2, len(data) - 1}
    for length in sorted(lengths):
        path = tmp_path / f"cut{length}.safetensors"
        path.write_bytes(data[:length])
        refusal(path)
    path = tmp_path / "longer.safetensors"
    path.write_bytes(data + b"\0" * 8)
    refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a model file"),
        (b"This is a letter to my grandmother, not a model.", "not a model file"),
        (b"{" * 200, "cut off"),
        (struct.pack("<Q", 2**63) + b"{" + b" " * 100, "cut off"),
        (struct.pack("<Q", 2**40) + b"{}", "cut off"),
        (struct.pack("<Q", 2) + b"{}", "description"),
        (struct.pack("<Q", 6) + b"{\xff\xfe\x00\x01}", "damaged"),
        (struct.pack("<Q", 40) + b"{" + b"[" * 39, "damaged"),
        (b"PK\x03\x04" + b"\0" * 50, "pickled"),
        (b"\x80\x04\x95" + b"\0" * 50, "pickled"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "not a model file"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path, content, said):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    assert said in refusal(path)


def test_random_damage_is_refused_or_harmless(small, tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_model_file(small, whole)
    data = np.frombuffer(whole.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    (header,) = struct.unpack("<Q", data[:8].tobytes())
    refused = 0
    for index in range(60):
        bad = data.copy()
        places = rng.integers(0, header + 8, 4)
        bad[places] = rng.integers(0, 256, 4)
        path = tmp_path / "bad.safetensors"
        path.write_bytes(bad.tobytes())
        try:
            load_model_file(path)
        except UNetError:
            refused += 1
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"damage {index} raised {error!r}")
    assert refused > 30


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_pickles_are_never_opened(tmp_path, how):
    fuse = tmp_path / "it went off"
    buffer = io.BytesIO()
    if how == "pickle":
        pickle.dump(Bomb(fuse), buffer)
    else:
        torch.save({"weights": Bomb(fuse)}, buffer, _use_new_zipfile_serialization=how == "zip")
    path = tmp_path / "model.safetensors"
    path.write_bytes(buffer.getvalue())
    assert "can run code" in refusal(path)
    assert not fuse.exists()
    pickle.loads(pickle.dumps(Bomb(fuse))).close()  # and it would have gone off
    assert fuse.exists()


def test_weights_without_a_description_are_refused(rewritten):
    assert "not the description" in refusal(rewritten(metadata={"made by": "somebody"}))


def test_a_description_of_the_first_version_is_read(rewritten):
    """It may say how small a seed was dropped, which prominence made needless."""

    def earlier(description):
        description["format"], description["fast"] = "napari-unet/1", description.pop("fast_mode")
        description["bank"] = description.pop("replay_set")
        description["decoding"] |= {"min_seed": 8, "meeting": 3, "seed_threshold": 0.5}
        del description["decoding"]["sink_radius"]
        description["recipe"] = {"method": "from nothing", "another_kind": True, "share_of_the_way": 0.3}

    info = load_model_file(rewritten(info=earlier)).info
    assert (info.decoding.sink_radius, info.decoding.seed_threshold) == (3, 0.5)
    assert info.recipe == {"method": "from scratch", "new_domain": True, "interpolation": 0.3}
    assert info.format == "napari-unet/2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid"),
        ("{", "not valid"),
        ("null", "not valid"),
        ("[" * 5000, "not valid"),
        ('{"format": "napari-unet/3"}', "newer version"),
        ('{"format": "napari-unet/0"}', "format"),
        ('{"format": "napari-unet/1", "recipe": [], "decoding": 3}', "name"),
        ('{"format": 1}', "format"),
        ("{}", "name"),
    ],
)
def test_a_description_that_is_none_is_refused(rewritten, text, said):
    path = rewritten(metadata={KEY: text})
    assert said in refusal(path)
    with pytest.raises(ModelFileError):
        read_model_info(path)


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("spec", "features"), 100_000, "spec.features"),
        (("spec", "features"), 1024, "needed is (1024, 1, 3, 3)"),
        (("spec", "features"), "2; import os", "spec.features"),
        (("spec", "levels"), 8, "spec|network"),
        (("spec", "levels"), 10**30, "spec.levels"),
        (("spec", "out_channels"), 3, "2 outputs are named"),
        (("spec", "ndim"), 4, "spec.ndim"),
        (("spec", "pool_z"), [True], "pool_z"),
        (("spec", "surprise"), 1, "surprise"),
        (("outputs",), ["foreground", "nothing"], "distance"),
        (("outputs",), ["foreground"], "1 outputs are named|outputs"),
        (("outputs",), ["boundary", "distance"], "foreground"),
        (("name",), "", "name"),
        (("name",), "x" * 10_000, "name"),
        (("pixel_size",), [0.5, -1.0], "pixel size"),
        (("pixel_size",), [0.5], "pixel size"),
        (("diameter",), -3, "diameter"),
        (("image_diameter",), 30, "the one that the network works at"),
        (("inputs",), "colour", "three input channels"),
        (("decoding", "foreground"), 7, "decoding.foreground"),
        (("normalization", "low"), -5, "normalization.low"),
        (("normalization", "method"), "eval", "normalization.method"),
    ],
)
def test_hostile_descriptions_are_refused(rewritten, where, value, said):
    def change(description):
        for part in where[:-1]:
            description = description[part]
        description[where[-1]] = value

    text = refusal(rewritten(info=change))
    assert any(part in text for part in said.split("|")), text


def test_a_description_of_a_larger_network_allocates_nothing(rewritten):
    """512 features and 4 levels would be 2 GB of weights."""

    def change(description):
        description["spec"] |= {"features": 512, "levels": 4}

    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "network it describes" in refusal(rewritten(info=change))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update({"head.weight": torch.zeros(2, 3, 1, 1)}), "shape"),
        (lambda s: s.update({"head.weight": torch.zeros(2)}), "shape"),
        (lambda s: s.pop("head.bias"), "head.bias"),
        (lambda s: s.update({"head.extra": torch.zeros(1)}), "head.extra"),
        (lambda s: s["head.weight"].fill_(float("nan")), "not numbers"),
        (lambda s: s["head.bias"].fill_(float("inf")), "not numbers"),
        (lambda s: s.update({"head.weight": s["head.weight"].to(torch.int32)}), "data type"),
        (lambda s: s.update({"head.weight": s["head.weight"].to(torch.bool)}), "data type"),
    ],
)
def test_wrong_weights_are_refused(rewritten, change, said):
    text = refusal(rewritten(change))
    assert said in text
    assert "head" in text


def test_other_precisions_are_taken_as_float32(rewritten, small):
    again = load_model_file(rewritten(lambda s: s.update({"head.weight": s["head.weight"].double()})))
    assert again.net.head.weight.dtype == torch.float32
    assert again.sha256() == small.sha256()


def test_folders_and_missing_files_are_named(tmp_path):
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    assert "is a folder" in refusal(folder)
    assert "There is no model file" in refusal(tmp_path / "none.safetensors")


def test_devices():
    assert resolve_device("cpu").type == "cpu"
    assert available_devices()[-1] == "cpu"
    assert str(resolve_device("auto")) in {*available_devices(), "cpu"}
    for name in ("cuda:99", "gpu", "", "cpu:7", "CPU", "tpu:0"):
        with pytest.raises(UNetError, match=r"There is no device .* there is .*cpu"):
            resolve_device(name)


def test_channels(tiny_model):
    with pytest.raises(ModelMismatchError, match="takes 2 channels; the image has 3"):
        tiny_model(in_channels=2).check_channels(3)
    with pytest.raises(ModelMismatchError, match="Choose one of the channels 0 to 3"):
        tiny_model(in_channels=3, info={"inputs": "colour"}).check_channels(4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pixel_size", [1e9, 1e9]),
        ("pixel_size", [1e-9, 1e-9]),
        ("diameter", 0.01),
        ("diameter", 1e9),
        ("normalization", {"low": 90.0, "high": 10.0}),
        ("normalization", {"clip": [4.0, -1.0]}),
        ("decoding", {"smoothing": 1e9}),
        ("decoding", {"sink_radius": 10**9}),
        ("decoding", {"min_size": 10**12}),
        ("fast_mode", {"halo": [10**7, 10**7], "maps_error": 0.1, "labels_differing": 0.1}),
    ],
)
def test_numbers_that_make_no_sense_are_named(rewritten, field, value):
    text = refusal(rewritten(info=lambda description: description.update({field: value})))
    assert "The description in changed.safetensors is not valid" in text
