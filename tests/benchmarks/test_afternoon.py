"""The scripted person of an afternoon: what is cut, what it mends without a window, and what that is said to cost."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from skimage.draw import disk

from hand_made import bright
from napari_unet.evaluation.metrics import evaluate
from napari_unet.guidance.effort import Effort
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet_benchmarks.afternoon import inside, one_afternoon, scores
from napari_unet_benchmarks.afternoon_images import CASES, FOLDER, cut
from napari_unet_benchmarks.afternoon_person import Proofreader, Tally
from napari_unet_benchmarks.object_errors import object_errors

SHAPE = (96, 128)
CENTRES = ((24, 24), (24, 43), (24, 90), (70, 30), (70, 90))


def truth_of(*centres: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for number, centre in enumerate(centres, start=1):
        labels[disk(centre, 10, shape=SHAPE)] = number
    return labels


@pytest.fixture
def controller(tmp_path, monkeypatch):
    """A controller that shows one object for the first two, none for the third, two for the fourth, and a speck."""
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path))
    shown = truth_of(*CENTRES) > 0
    shown[disk((24, 90), 10, shape=SHAPE)] = False
    shown[69:71] &= truth_of(*CENTRES)[69:71] == 5
    shown[14:34, 20:48] = True
    shown[5:12, 110:118] = True
    controller = Controller(ViewerModel(), InlineRunner())
    controller.viewer.add_image(shown.astype(np.float32), name="image")
    controller.use_model(bright())
    assert controller.segment()
    yield controller
    controller.close()


def test_a_person_mends_all_kinds_of_errors(controller):
    truth, tally = truth_of(*CENTRES), Tally(Effort())
    person = Proofreader(controller, truth, tally)
    kinds = {error.kind.value for error in object_errors(truth, person.labels)}
    assert kinds == {"merged", "missed", "split", "spurious"}
    before = evaluate([truth], [person.labels]).ap["0.50"]
    assert person.mend(20) < 20, "until nothing is left"
    assert object_errors(truth, person.labels) == []
    assert evaluate([truth], [person.labels]).ap["0.50"] >= 0.8 > before
    assert sum(tally.kinds.values()) >= 4
    assert tally.gestures >= 2 * sum(tally.kinds.values()), "a key that goes there, and a gesture"


def test_only_so_many_are_mended_the_largest_first(controller):
    truth, tally = truth_of(*CENTRES), Tally(Effort())
    person = Proofreader(controller, truth, tally)
    assert person.mend(1) == 1
    assert sum(tally.kinds.values()) == 1
    assert "spurious" not in tally.kinds, "the speck is the smallest"


def test_what_a_person_does_is_counted():
    effort = Effort(decide=1.0, point=0.5, press=0.25, speed=10.0)
    tally = Tally(effort)
    tally.decide()
    tally.click(2)
    tally.click(length=20.0)
    tally.key()
    assert tally.gestures == 4
    assert tally.seconds == pytest.approx(1.0 + 3 * 0.75 + 2.0 + 0.25)


@pytest.mark.parametrize("name", ["known", "new"])
def test_no_field_is_corrected_and_reported_on(name, tmp_path):
    case = CASES[name]
    assert not set(case.corrected) & set(case.reported)
    assert not (set(case.corrected) | set(case.reported)) & {"01", "12"}, "on which it was written"
    for part in ("images", "labels"):
        (tmp_path / FOLDER / part).mkdir(parents=True)
        for field in (*case.corrected, *case.reported):
            tifffile.imwrite(tmp_path / FOLDER / part / f"{field}.tif", np.ones((1022, 1024), np.uint16))
    shown = cut(tmp_path, case)
    assert len(shown) == len({one.name for one in shown}) == 20
    assert {one.image.shape for one in shown} == {(case.width, case.width)}
    assert {one.name[:2] for one in shown if one.is_reported} == set(case.reported)
    assert {one.name[:2] for one in shown if not one.is_reported} == set(case.corrected)


def test_scores_are_pooled_over_images():
    truth, empty = truth_of(*CENTRES), np.zeros(SHAPE, np.int32)
    few = truth_of(*CENTRES[:2])
    found = scores([truth, few, empty], [truth, truth, truth])
    assert found["AP"] == round(evaluate([truth, few, empty], [truth, truth, truth]).ap["0.50"], 3)
    assert found["95 %"][0] <= found["AP"] <= found["95 %"][1]
    assert found["objects"] == 7
    assert found["errors"] == {"spurious": 8}
    assert scores([few], [empty])["AP"] == 0


def test_objects_at_the_border_can_be_left_out():
    labels = np.zeros((5, 6), int)
    labels[0, 2], labels[3, 0], labels[2, 3], labels[4, 5] = 1, 2, 3, 4
    labels[1:3, 2] = 1
    assert set(np.unique(inside(labels))) == {0, 3}
    assert labels.max() == 4, "a copy"


def test_an_afternoon_from_the_folder_to_the_tables(tmp_path, monkeypatch):
    """On nuclei, of which nothing is left to correct: all but the learning."""
    monkeypatch.setenv("NAPARI_UNET_HOME", "")
    samples = Path(str(resources.files("napari_unet") / "samples"))
    for part, name in (("images", "nuclei_stack"), ("labels", "nuclei_stack_reference")):
        (tmp_path / FOLDER / part).mkdir(parents=True)
        stack = tifffile.imread(samples / f"{name}.tif")
        for field, plane in zip(("01", "12"), stack, strict=False):
            tifffile.imwrite(tmp_path / FOLDER / part / f"{field}.tif", np.tile(plane, (2, 2)))
    told: list[str] = []
    found = one_afternoon(tmp_path, CASES["try"], 5.0, 1, 0, told.append)
    assert found["which model"]["chosen"] == "nuclei"
    assert not {"cells", "cells_phase"} & {name for name, *_ in found["which model"]["tried"]}
    first = found["rounds"][0]
    assert first["not corrected"]["AP"] >= 0.7
    assert len(found["rounds"]) == 1, "it is good enough at once"
    assert found["objects corrected"] == 0
    assert found["gestures"] == 3 + 2 + 1 + 4 + 3 * 2
    assert found["exported"] > 4
    assert found["seconds of computing"] >= 0
