"""`export`, `import` and `export-data`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

import napari_unet as nu
from napari_unet.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export_onnx(tmp_path):
    pytest.importorskip("onnxruntime")
    done = run("export", "nuclei3d", "--to", "onnx", "-o", tmp_path / "a.onnx", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["difference"] < 1e-4
    again = run("export", "nuclei3d", "-o", tmp_path / "a.onnx")
    assert again.exit_code == 1
    assert "exists already" in again.output
    assert run("export", "nuclei3d", "-o", tmp_path / "a.txt").exit_code == 1
    assert run("export", "nothing", "-o", tmp_path / "b.onnx").exit_code == 2


def test_import_and_segment(tmp_path):
    model = nu.load_model("cells_phase")
    torch.save(model.net.state_dict(), tmp_path / "theirs.pth")
    out = tmp_path / "mine.safetensors"
    done = run("import", tmp_path / "theirs.pth", "--outputs", ",".join(model.info.outputs), "-o", out, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["spec"]["features"] == 16
    assert nu.load_model(out).sha256() == model.sha256()
    (tmp_path / "text.pth").write_text("hello")
    bad = run("import", tmp_path / "text.pth", "-o", tmp_path / "b.safetensors")
    assert bad.exit_code == 1
    assert not (tmp_path / "b.safetensors").exists()
    own = run("import", out, "-o", out, "--overwrite")
    assert own.exit_code == 1
    assert "never replaced" in own.output


def test_export_data(tmp_path):
    (tmp_path / "i").mkdir()
    (tmp_path / "l").mkdir()
    labels = np.zeros((30, 30), np.uint8)
    labels[5:10, 5:10] = 1
    tifffile.imwrite(tmp_path / "i/a.tif", labels * 9)
    tifffile.imwrite(tmp_path / "l/a.tif", labels)
    wanted = ["--images", tmp_path / "i", "--labels", tmp_path / "l", "--to", "cellpose", "-o", tmp_path / "out"]
    done = run("export-data", *wanted)
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a_masks.tif"), labels)
    assert run("export-data", "--to", "cellpose", "-o", tmp_path / "out2").exit_code == 2
    assert run("export-data", "--images", tmp_path / "i", "--to", "cellpose", "-o", tmp_path / "out2").exit_code == 2
