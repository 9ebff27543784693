"""Packages of the BioImage Model Zoo that come in: used if their own test image comes out; no code in them is run."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
import yaml

import napari_unet as nu
from napari_unet.errors import ModelFileError
from napari_unet.exchange.importing import import_model
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def theirs(tmp_path, *, out=2, end="sigmoid", swap=False, padding="same", steps=None, old=False, **changes):
    """Write a package as another program would, whose source would leave a file behind if it were run."""
    torch.manual_seed(1)
    spec = UNetSpec(features=4, levels=2, out_channels=out, norm="none", padding=padding)
    net = UNet(spec).eval().requires_grad_(False)
    size = 60 if padding == "valid" else 32
    image = np.random.default_rng(0).integers(0, 200, (1, 1, size, size)).astype(np.float32)
    low, high = np.percentile(image, [2, 98])
    ready = {
        None: (image - low) / (high - low),
        "mean": (image - image.mean()) / image.std(),
        "linear": image / 50,
        "raw": image,
    }[steps]
    logits = net(torch.from_numpy(ready.astype(np.float32)))
    maps = {"sigmoid": logits.sigmoid(), "softmax": logits.softmax(1), "none": logits}[end].numpy()
    state = net.state_dict()
    if swap:
        for key in ("up.0.conv.0.weight", "up.1.conv.0.weight"):
            half = state[key].shape[1] // 2
            state[key] = torch.cat([state[key][:, half:], state[key][:, :half]], 1)
    weights = io.BytesIO()
    torch.save({f"net.{key}": value for key, value in state.items()}, weights)
    scale = {"min_percentile": 2, "max_percentile": 98, "axes": ["channel", "y", "x"]}
    known = {
        None: ("scale_range", scale),
        "mean": ("zero_mean_unit_variance", {"axes": "cyx"}),
        "linear": ("scale_linear", {"gain": 0.02, "offset": 0}),
        "raw": None,
    }[steps]
    key = "name" if old else "id"
    how = [] if known is None else [{key: known[0], "kwargs": known[1]}]
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["foreground", "boundary"][:out]},
            {"type": "space", "id": "y"}, {"type": "space", "id": "x"}]  # fmt: skip
    about = {
        "type": "model", "name": "Their network", "license": "MIT",
        "inputs": [{"axes": "bcyx" if old else axes, "preprocessing": how, "test_tensor": {"source": "in.npy"}}],
        "outputs": [{"axes": "bcyx" if old else axes, "test_tensor": {"source": "out.npy"}}],
        "weights": {"pytorch_state_dict": {"source": "w.pt", "architecture": {"source": "net.py", "callable": "Net"}}},
    }  # fmt: skip
    if old:
        about |= {"test_inputs": ["in.npy"], "test_outputs": ["./out.npy"]}
    mark = tmp_path / "was run"
    files = {
        "rdf.yaml": yaml.safe_dump(about), "w.pt": weights.getvalue(), "in.npy": npy(image), "out.npy": npy(maps),
        "net.py": f"open({str(mark)!r}, 'w')",
    } | changes  # fmt: skip
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return tmp_path / "theirs.zip", image, maps, mark


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_what_no_shape_tells_is_told_by_the_test_tensors(tmp_path, old, swap, padding):
    path, image, maps, mark = theirs(tmp_path, old=old, swap=swap, padding=padding)
    model = nu.import_model(path, outputs=("foreground", "boundary") if old else None)
    assert model.info.outputs == ("foreground", "boundary")
    assert model.info.spec.padding == padding
    assert (model.info.name, model.info.licence) == ("Their network", "MIT")
    assert (model.info.normalization.low, model.info.normalization.high) == (2, 98)
    from napari_unet.models.normalize import measure

    ready = model.normalized(image[0][:, None], measure(image[0], model.info.normalization))
    found = model.net(torch.from_numpy(np.ascontiguousarray(ready))[None]).sigmoid().numpy()
    np.testing.assert_allclose(found, maps, atol=1e-5)
    assert not mark.exists()


@pytest.mark.parametrize("end", ["softmax", "none"])
@pytest.mark.parametrize("steps", ["linear", "raw"])
def test_classes(tmp_path, end, steps):
    path, image, maps, _ = theirs(tmp_path, out=3, end=end, steps=steps)
    model = import_model(path)
    assert model.info.task == "semantic"
    assert model.info.normalization.method == "none"
    found = model.net(torch.from_numpy(image)).numpy()
    np.testing.assert_array_equal(found.argmax(1), maps.argmax(1))


def test_mean_and_deviation(tmp_path):
    path, image, maps, _ = theirs(tmp_path, steps="mean")
    model = import_model(path)
    assert model.info.normalization.method == "mean_std"
    pixels = image[0, 0] * 3 + 70  # other units of intensity
    result = nu.segment(pixels, model, device="cpu", keep_maps=True)
    np.testing.assert_allclose(result.maps[:, 0, 0, 14:18, 14:18], maps[0, :, 14:18, 14:18], atol=0.02)


@pytest.mark.parametrize("end", ["sigmoid", "none"])
def test_one_map(tmp_path, end):
    path, image, maps, _ = theirs(tmp_path, out=1, end=end, steps="raw")
    model = import_model(path)
    assert model.info.classes == ("background", "foreground")
    found = model.net(torch.from_numpy(image)).numpy().argmax(1)
    np.testing.assert_array_equal(found[0], maps[0, 0] > (0.5 if end == "sigmoid" else 0))


def test_our_own_come_back(random_model, tmp_path):
    pytest.importorskip("onnx")
    for number, spec in enumerate(
        ({}, {"up": "interpolated"}, {"semantic": True}, {"ndim": 3, "pool_z": (False, True)})
    ):
        model = random_model(**spec)
        path = tmp_path / f"{number}.zip"
        nu.export_model(model, path, "bioimageio", authors=["Ada"], licence="MIT")
        back = import_model(path)
        assert back.info == model.info
        assert back.sha256() == model.sha256()
        with pytest.raises(ModelFileError, match="says itself what its maps are"):
            import_model(path, outputs=("a", "b"))


def about(**changes):
    """Return a description with other entries."""
    base = {"type": "model", "inputs": [{"axes": "bcyx"}], "outputs": [{"axes": "bcyx"}],
            "weights": {"pytorch_state_dict": {"source": "w.pt"}}, "test_inputs": ["in.npy"],
            "test_outputs": ["out.npy"]}  # fmt: skip
    return yaml.safe_dump(base | changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"out.npy": npy(np.zeros((1, 2, 32, 32), np.float32))}, "does not come out"),
        ({"out.npy": npy(np.full((1, 2, 32, 32), np.nan, np.float32))}, "does not come out"),
        ({"in.npy": npy(np.zeros((1, 5, 32, 32), np.float32))}, "does not come out"),
        ({"in.npy": npy(np.zeros((1, 1, 31, 32), np.float32))}, "does not come out"),
        ({"in.npy": npy(np.zeros((32, 32), np.float32))}, "has the shape"),
        ({"out.npy": b"hello"}, "damaged"),
        ({"w.pt": b"hello"}, "damaged"),
        ({"w.pt": None}, "lacks the file w.pt"),
        ({"rdf.yaml": "a: [1"}, "damaged"),
        ({"rdf.yaml": "hello"}, "damaged"),
        ({"rdf.yaml": "!!python/object/apply:os.system ['true']"}, "damaged"),
        ({"rdf.yaml": about(weights={"tensorflow_js": {}, "onnx": {}})}, "it has onnx, tensorflow_js"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "https://x.org/w.pt"}})}, "nothing is fetched"),
        ({"rdf.yaml": about(weights={"pytorch_state_dict": {"source": "../../w.pt"}})}, "lacks the file"),
        ({"rdf.yaml": about(inputs=[{"axes": "byxc"}])}, "axes"),
        ({"rdf.yaml": about(inputs=[{"axes": "bcyx"}] * 2)}, "several inputs"),
        (
            {"rdf.yaml": about(inputs=[{"axes": "bcyx", "preprocessing": [{"name": "binarize"}]}])},
            "not known here: binarize",
        ),
        ({"rdf.yaml": about(config={"napari_unet": {"name": "x"}})}, "is not valid"),
    ],
)
def test_what_is_refused(tmp_path, change, said):
    path, *_, mark = theirs(tmp_path, **change)
    with pytest.raises(ModelFileError, match=said):
        import_model(path)
    assert not mark.exists()


def test_maps_of_which_nothing_is_known(tmp_path):
    path, *_ = theirs(tmp_path, out=3)
    with pytest.raises(ModelFileError, match="What the 3 maps"):
        import_model(path)
