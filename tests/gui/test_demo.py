"""The demo: an afternoon on three images in a real window."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from hand_made import GAIN, bright
from napari_unet._qt import demo, demo_afternoon
from napari_unet._qt.demo_afternoon import NAMES, draw_worst
from napari_unet.layers.learning import learner
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Learned
from napari_unet.models.model import Model
from napari_unet.models.store import data_folder, user_folder
from napari_unet.training.config import StepReport

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = Path(str(files("napari_unet"))) / "samples" / "membranes"


class Layer:
    """Labels that are edited like those of napari."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def data_setitem(self, where: tuple[np.ndarray, ...], value: int) -> None:
        self.data[where] = value


@pytest.mark.parametrize("plane", [(), (1,)])
def test_the_worst_object_is_drawn_as_the_expert_did(plane):
    truth = np.zeros((20, 20), np.uint16)
    truth[2:8, 2:8], truth[10:18, 10:18], truth[0, 15:] = 1, 2, 3
    labels = np.zeros((2, 20, 20), np.int32) if plane else np.zeros((20, 20), np.int32)
    labels[plane][2:8, 2:7] = 5  # nearly right; the second object was missed, the third is a corner
    layer = Layer(labels)
    assert draw_worst(layer, truth, plane, min_pixels=10) == {"label": 6, "iou_before": 0.0}
    assert np.array_equal(layer.data[plane] == 6, truth == 2)
    assert draw_worst(layer, truth, plane, min_pixels=10)["label"] == 5
    assert np.array_equal(layer.data[plane] == 5, truth == 1)
    if plane:
        assert not layer.data[0].any()


def test_the_images_are_apart_and_small():
    images = [tifffile.imread(SAMPLES / f"{name}.tif") for name in NAMES]
    for image, name in zip(images, NAMES, strict=True):
        truth = tifffile.imread(SAMPLES / f"{name}_reference.tif")
        assert truth.shape == image.shape
        assert len(np.unique(truth)) > 13
    assert len({image.tobytes() for image in images}) == 3
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 2**18


def learned_nothing(model: Model, *_: Any, **__: Any) -> Iterator[StepReport]:
    """Learn so little, as on a slow machine, that nothing is found."""
    yield StepReport(1, 1, 0.5, 0.02)
    found = bright("tiny, corrected", threshold=1e6)
    recipe: dict[str, str | int | float | bool | None] = {"steps": 1, "seconds": 1.0}
    return Learned(Model(found.net, found.info.model_copy(update={"recipe": recipe})), Verdict(GAIN))


@pytest.mark.slow
@pytest.mark.parametrize("slow", [False, True])
def test_an_afternoon(tmp_path, monkeypatch, slow):
    monkeypatch.setattr(demo_afternoon, "LEARNING_SECONDS", 5)
    if slow:
        monkeypatch.setattr(learner, "learning_steps", learned_nothing)
    out, said = tmp_path / "afternoon", []
    report = demo.run_afternoon(out, said.append)
    assert report["drawn_objects"] == 26
    assert report["learning_steps"] > 0
    assert report["ap50_uncorrected_image"]["before"] < 0.1
    assert set(report["ap50_uncorrected_image"]) == {"before", "after"}
    folder = out / "results"
    rows = list(csv.DictReader((folder / "measurements.csv").open(encoding="utf-8")))
    drawn = NAMES[:-1]
    assert set(drawn) <= {row["image"] for row in rows} <= set(NAMES)
    for name in NAMES:
        assert (out / "images" / f"{name}.tif").read_bytes() == (SAMPLES / f"{name}.tif").read_bytes()
        outlines = json.loads((folder / f"{name}_outlines.geojson").read_text(encoding="utf-8"))
        assert len([row for row in rows if row["image"] == name]) == len(outlines["features"])
        if name in drawn:
            assert len(outlines["features"]) > 0
        elif slow:
            assert not outlines["features"]
    assert len(rows) == report["measured_objects"]
    assert len(report["exported"]) == len(list((out / "results").rglob("*.*")))
    for stage in ("list", "gallery", "drawn", "learned", "walk", "results"):
        assert (out / f"{stage}.png").stat().st_size > 10_000
    assert any(text.startswith("Segmented 3 images") for text in said)


def test_the_users_own_folder_is_neither_seen_nor_written(tmp_path):
    before = data_folder()
    with demo.in_own_home():
        assert data_folder() != before
        (user_folder()).mkdir(parents=True)
        there = user_folder()
    assert data_folder() == before
    assert not there.exists()
