"""A model as a package of the BioImage Model Zoo: everything in it fits together."""

from __future__ import annotations

import hashlib
import io
import json
import types
import zipfile

import numpy as np
import pytest
import tifffile
import torch
import yaml

import napari_unet as nu
from napari_unet.axes import Image
from napari_unet.errors import FileFormatError
from napari_unet.models.info import ModelInfo
from napari_unet.nets.geometry import output_size

pytest.importorskip("onnx")

SPECS = {
    "same": {"levels": 3},
    "classes": {"semantic": True},
    "without norms": {"norm": "none"},
    "valid": {"padding": "valid", "levels": 3},
    "interpolated": {"up": "interpolated"},
    "volumes": {"ndim": 3, "pool_z": (False, True)},
    "valid volumes": {"ndim": 3, "padding": "valid"},
}


def unpacked(path):
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return yaml.safe_load(files["rdf.yaml"]), files


def network(described, files):
    """Return the network that the package's own source makes, with its weights."""
    weights = described["weights"]["pytorch_state_dict"]
    module = types.ModuleType("theirs")
    exec(files[weights["architecture"]["source"]], module.__dict__)
    net = getattr(module, weights["architecture"]["callable"])(**weights["architecture"]["kwargs"])
    net.load_state_dict(torch.load(io.BytesIO(files[weights["source"]]), weights_only=True))
    return net.eval()


def normalized(described, image):
    """Return the test image as the steps in the description normalise it."""
    axes = [axis.get("id", axis["type"]) for axis in described["inputs"][0]["axes"]]
    for step in described["inputs"][0]["preprocessing"]:
        kwargs = step["kwargs"]
        if step["id"] == "scale_range":
            over = tuple(axes.index(name) for name in kwargs["axes"])
            low, high = np.percentile(image, [kwargs["min_percentile"], kwargs["max_percentile"]], over, keepdims=True)
            image = (image - low) / (high - low + kwargs["eps"])
        if step["id"] == "clip":
            image = np.clip(image, kwargs["min"], kwargs["max"])
    return image.astype(np.float32)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_all_parts_give_the_same_maps(random_model, tmp_path, spec):
    pytest.importorskip("onnxruntime")
    from napari_unet.exchange.onnx_check import OnnxSession

    model = random_model(**spec)
    nu.export_model(model, tmp_path / "a.zip", "bioimageio", authors=["Ada"], licence="MIT")
    described, files = unpacked(tmp_path / "a.zip")
    image, expected = (np.load(io.BytesIO(files[f"test_{name}.npy"])) for name in ("input", "output"))
    ready = normalized(described, image)
    with torch.inference_mode():
        np.testing.assert_allclose(network(described, files)(torch.from_numpy(ready)), expected, atol=1e-5)
    np.testing.assert_allclose(OnnxSession(files["weights.onnx"])(ready[0])[None], expected, atol=1e-4)
    for axis in range(model.info.spec.ndim):
        (entry,) = [e for e in described["outputs"][0]["axes"] if e.get("id") == "zyx"[-model.info.spec.ndim :][axis]]
        sized = described["inputs"][0]["axes"][2 + axis]["size"]
        for n in range(3):
            size = sized["min"] + n * sized["step"]
            out = output_size(model.info.spec, size, axis)
            assert out == size + entry["size"]["offset"]
            assert out - 2 * entry.get("halo", 0) > 0


def test_what_it_says(tmp_path):
    nu.export_model("axons", tmp_path / "axons.zip", "bioimageio")
    described, files = unpacked(tmp_path / "axons.zip")
    info = nu.load_model("axons").info
    assert described["format_version"].startswith("0.5.")
    assert described["license"] == "MIT"
    assert described["inputs"][0]["axes"][2]["scale"] == 120
    assert described["outputs"][0]["axes"][1]["channel_names"] == ["class_0", "class_1", "class_2"]
    assert described["cite"][1]["url"] == info.training_data[0].source
    ours = described["config"]["napari_unet"]
    ours.pop("program")
    assert ModelInfo.model_validate_json(json.dumps(ours)) == info
    text = files["README.md"].decode()
    for said in ("background, axon, myelin", "0.12 x 0.12 micrometres", "AxonDeepSeg", "licence MIT"):
        assert said in text
    for entry in (*described["covers"], described["inputs"][0]["test_tensor"], described["weights"]["onnx"]):
        assert hashlib.sha256(files[entry["source"]]).hexdigest() == entry["sha256"]
    from PIL import Image as Picture

    assert (
        Picture.open(io.BytesIO(files["cover.png"])).size[0] == 2 * Picture.open(io.BytesIO(files["cover.png"])).size[1]
    )


def test_of_several_licences_the_page_names_all_and_the_format_the_first(tmp_path):
    nu.export_model("nuclei", tmp_path / "nuclei.zip", "bioimageio")
    described, files = unpacked(tmp_path / "nuclei.zip")
    assert described["license"] == "CC-BY-4.0"
    assert "CC-BY-4.0 AND MIT" in files["README.md"].decode()


def test_an_image_of_ones_own(random_model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (300, 90), np.uint16)
    image = Image(pixels, "YX", diameter=20.0)
    model = random_model(levels=2)
    sized = type(model)(model.net, model.info.model_copy(update={"diameter": 10.0}))
    nu.export_model(sized, tmp_path / "a.zip", "bioimageio", image=image, authors=["Ada"], licence="CC0-1.0")
    _, files = unpacked(tmp_path / "a.zip")
    shown = np.load(io.BytesIO(files["test_input.npy"]))
    assert shown.shape == (1, 1, 256, 256)
    assert 1000 < shown.mean() < 3000
    assert shown.std() < pixels.std()  # made half as large: each pixel is a mean


def test_format_of_the_zoo(tmp_path):
    spec = pytest.importorskip("bioimageio.spec")
    nu.export_model("nuclei", tmp_path / "nuclei.zip", "bioimageio")
    assert spec.load_description(tmp_path / "nuclei.zip").validation_summary.status == "passed"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"authors": ["Ada"]}, "--licence"),
        ({"licence": "MIT"}, "--author"),
        ({"licence": "MIT", "authors": ["  "]}, "--author"),
        ({"licence": "my own", "authors": ["Ada"]}, "SPDX"),
        ({"licence": "my own AND MIT", "authors": ["Ada"]}, "SPDX"),
        ({"licence": "MIT", "authors": ["Ada"], "image": Image(np.zeros((2, 9, 9)), "CYX")}, "2 channels"),
    ],
)
def test_what_is_missing_is_named(random_model, tmp_path, options, said):
    with pytest.raises(FileFormatError, match=said):
        nu.export_model(random_model(), tmp_path / "a.zip", "bioimageio", **options)
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path):
    from typer.testing import CliRunner

    from napari_unet.cli import app

    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).random((50, 60), np.float32))
    arguments = ["export", "cells_phase", "--to", "bioimageio", "-o", str(tmp_path / "a.zip"), "--author", "Ada"]
    done = CliRunner().invoke(app, [*arguments, "--image", str(tmp_path / "a.tif"), "--licence", "MIT"])
    assert done.exit_code == 0, done.output
    assert unpacked(tmp_path / "a.zip")[0]["authors"] == [{"name": "Ada"}]


def test_mean_and_deviation(random_model, tmp_path):
    from napari_unet.models.normalize import Normalization

    model = random_model()
    how = Normalization(method="mean_std", clip=(-1e6, 1e6))
    sized = type(model)(model.net, model.info.model_copy(update={"normalization": how}))
    nu.export_model(sized, tmp_path / "a.zip", "bioimageio", authors=["Ada"], licence="MIT")
    described, _ = unpacked(tmp_path / "a.zip")
    steps = [step["id"] for step in described["inputs"][0]["preprocessing"]]
    assert steps == ["ensure_dtype", "zero_mean_unit_variance", "clip"]
    assert nu.import_model(tmp_path / "a.zip").info == sized.info
