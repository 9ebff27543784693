"""A model as ONNX: the same maps, whatever the architecture and the size of the image."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_unet as nu
from napari_unet.errors import FileFormatError, ModelFileError
from napari_unet.models.info import ModelInfo
from napari_unet.nets.geometry import halo, input_size

SPECS = {
    "same": {"levels": 3},
    "classes": {"semantic": True},
    "without norms": {"norm": "none"},
    "valid": {"padding": "valid", "levels": 3},
    "interpolated": {"up": "interpolated"},
    "three channels": {"in_channels": 3},
    "volumes": {"ndim": 3},
    "flat volumes": {"ndim": 3, "pool_z": (False, True)},
    "valid flat volumes": {"ndim": 3, "pool_z": (True, False), "padding": "valid"},
    "interpolated volumes": {"ndim": 3, "pool_z": (False, True), "up": "interpolated"},
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_same_maps_on_several_sizes(random_model, tmp_path, spec):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from napari_unet.exchange.onnx_check import OnnxSession, torch_maps

    model = random_model(**spec)
    done = nu.export_model(model, tmp_path / "a.onnx")
    assert done["difference"] < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]  # one file
    onnx.checker.check_model(onnx.load(tmp_path / "a.onnx"), full_check=True)
    run, random = OnnxSession(str(tmp_path / "a.onnx"), threads=1), np.random.default_rng(1)
    for wanted in (1, 20, 47):
        shape = [input_size(model.info.spec, wanted + axis, axis) for axis in range(model.info.spec.ndim)]
        image = random.random((model.info.spec.in_channels, *shape), np.float32)
        expected = torch_maps(model, image)
        assert run(image).shape == expected.shape
        np.testing.assert_allclose(run(image), expected, atol=1e-4, rtol=0)


@given(y=st.integers(1, 6), x=st.integers(1, 6))
@settings(max_examples=10, deadline=None)
def test_any_size(y, x):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from napari_unet.exchange.onnx_check import OnnxSession, torch_maps
    from napari_unet.exchange.onnx_graph import onnx_graph

    model = nu.load_model("cells_phase")
    image = np.random.default_rng(y * 10 + x).random((1, 16 * y, 16 * x), np.float32)
    run = OnnxSession(onnx_graph(model).SerializeToString(), threads=1)
    np.testing.assert_allclose(run(image), torch_maps(model, image), atol=1e-4, rtol=0)


def test_the_file_says_how_to_use_it(tmp_path):
    onnx = pytest.importorskip("onnx")
    nu.export_model("nuclei", tmp_path / "nuclei.onnx")
    said = {entry.key: entry.value for entry in onnx.load(tmp_path / "nuclei.onnx").metadata_props}
    info = nu.load_model("nuclei").info
    assert ModelInfo.model_validate_json(said["napari_unet"]) == info
    assert json.loads(said["normalization"]) == {
        "method": "percentile", "low": 1.0, "high": 99.8, "per_channel": False, "clip": [-1.0, 4.0]
    }  # fmt: skip
    assert json.loads(said["outputs"]) == ["foreground", "distance", "flow_y", "flow_x"]
    assert tuple(json.loads(said["halo"])) == halo(info.spec)
    assert json.loads(said["diameter_px"]) == 32.0
    assert json.loads(said["axes"]) == "NCYX"


def test_wrong_maps_are_not_written(random_model, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from napari_unet.exchange import onnx_check

    right = onnx_check.torch_maps
    monkeypatch.setattr(onnx_check, "torch_maps", lambda *args: right(*args) + 0.001)
    with pytest.raises(FileFormatError, match="was not written: its maps differ"):
        nu.export_model(random_model(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(random_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FileFormatError, match=r'pip install "napari-unet-interactive\[onnx\]"'):
        nu.export_model(random_model(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_bad_names_and_formats(random_model, tmp_path):
    model = random_model()
    with pytest.raises(FileFormatError, match=r"must end in \.onnx"):
        nu.export_model(model, tmp_path / "a.pt")
    with pytest.raises(FileFormatError, match="can be written as onnx"):
        nu.export_model(model, tmp_path / "a.onnx", "keras")
    with pytest.raises(ModelFileError, match="no model called"):
        nu.export_model("nothing", tmp_path / "a.onnx")


def test_an_earlier_file_stays(random_model, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"mine")
    with pytest.raises(FileFormatError, match="exists already"):
        nu.export_model(random_model(), tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == b"mine"


def test_onnxruntime_that_is_not_installed(random_model, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert nu.export_model(random_model(), tmp_path / "a.onnx")["difference"] is None
    assert (tmp_path / "a.onnx").stat().st_size > 0


@pytest.mark.parametrize("change", ["operator", "opset", "cut"])
def test_a_graph_that_onnxruntime_does_not_know(random_model, tmp_path, monkeypatch, change):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from napari_unet.exchange import onnx_graph
    from napari_unet.exchange.onnx_check import OnnxSession

    right = onnx_graph.onnx_graph

    def wrong(model):
        graph = right(model)
        if change == "operator":
            graph.graph.node[0].op_type = "NoSuchOperator"
        if change == "opset":  # of a time that onnxruntime does not know
            graph.opset_import[0].version = 999
        return graph

    if change == "cut":
        with pytest.raises(FileFormatError, match=r"onnxruntime [\d.]+ cannot run this ONNX file"):
            OnnxSession(right(random_model()).SerializeToString()[:100])
        return
    monkeypatch.setattr(onnx_graph, "onnx_graph", wrong)
    with pytest.raises(FileFormatError, match=r"onnxruntime [\d.]+ cannot run this ONNX file") as caught:
        nu.export_model(random_model(), tmp_path / "a.onnx")
    assert caught.value.details
    assert list(tmp_path.iterdir()) == []


def test_onnxruntime_that_cannot_be_loaded(random_model, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    folder = tmp_path / "libs" / "onnxruntime"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('DLL load failed')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnxruntime"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(folder.parent)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileFormatError, match="needs the library onnxruntime") as caught:
        nu.export_model(random_model(), tmp_path / "out" / "a.onnx")
    assert "DLL load failed" in caught.value.details
    assert list((tmp_path / "out").iterdir()) == []
