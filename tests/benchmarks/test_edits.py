"""The benchmark of edits, on images that take no network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from made_labels import maps_of, pair
from napari_unet_benchmarks import edits
from napari_unet_benchmarks.edits import Hand, Segmented, additions, share_right, splits


@pytest.fixture
def image():
    true, merged = pair()
    return Segmented(true, merged, maps_of(true))


def test_gestures_mend_what_a_model_got_wrong(image):
    assert image.touching() == [(1, 2)]
    figures = splits([image], 5, Hand())
    for way in ("two clicks", "line across", "cut free"):
        assert figures[way]["all"]["right"] == figures[way]["the model's errors"]["right"] == 1
    figures = additions([image], 5, Hand())
    assert figures["point"]["all"] == {"objects": 2, "right": 1.0} | figures["point"]["all"]
    assert figures["point, scrolled"]["all"]["mean iou"] >= figures["point"]["all"]["mean iou"]
    assert figures["prediction"]["all"]["objects"] == 2
    assert figures["prediction"]["the model's errors"]["objects"] == 1  # the larger one was found, in a way


def test_shares_have_intervals():
    found = share_right(np.array([0.8] * 90 + [0.1] * 10))
    assert (found["right"], found["from"], found["to"]) == (0.9, 0.826, 0.945)
    assert share_right(np.zeros(0)) == {"objects": 0}


def test_the_hand_points_into_objects_and_draws_along_borders(image):
    hand = Hand(3)
    one, other = image.truth == 1, image.truth == 2
    for _ in range(20):
        assert one[hand.click(one)]
        ends = hand.line(one, other)
        assert abs(ends[:, 1].mean() - 37) < 12
        assert np.ptp(ends[:, 0]) > 12


def test_it_is_run_from_the_command_line(image, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(edits, "segmented", lambda *_: [image])
    written = {}
    monkeypatch.setattr(edits, "write_result", lambda name, figures: written.update({name: figures}))
    monkeypatch.setattr("sys.argv", ["edits", "--data", str(tmp_path), "--objects", "2"])
    edits.main()
    assert set(written["edits"]["sets"]) == set(edits.SETS)
    json.dumps(written)
    assert "two clicks" in capsys.readouterr().out
