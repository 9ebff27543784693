"""What was done in the window as commands, as Python and in words. That they give the same is in tests/layers."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from napari_unet.errors import UNetError
from napari_unet.measuring.commands import Recipe, as_command, as_python
from napari_unet.measuring.kinds import Kind
from napari_unet.measuring.labelled import Shown
from napari_unet.measuring.methods import methods
from napari_unet.measuring.record import ByHand, Origin, Segmentation
from napari_unet.objects.decode import Decoding

MADE = Segmentation("nuclei", "ab" * 32, pixel_size=(2.0, 0.65, 0.65), diameter=20.5, channel=1, flips=True)


def recipe(**changes):
    given = {
        "image": Path("in/my cells.tif"),
        "segmentations": [MADE],
        "by_hand": False,
        "kinds": (),
        "folder": Path("out"),
    }
    return Recipe(**(given | changes))


def words(text):
    return [shlex.split(line) for line in text.splitlines()]


def test_segment_and_measure():
    segment, measure = words(as_command(recipe()))
    assert segment == [
        "napari-unet", "segment", "in/my cells.tif", "-o", "out/my cells_labels.tif", "--model", "nuclei", "--channel",
        "1", "--diameter", "20.5", "--flips", "--pixel-size", "2.0,0.65,0.65",
    ]  # fmt: skip
    assert measure[:4] == ["napari-unet", "measure", "--labels", "out/my cells_labels.tif"]
    assert measure[-5:] == ["-o", "out/measurements.csv", "--summary", "out/measurements_by_image.csv", "--record"]


def test_every_kind_has_a_command():
    kinds = (Kind.geojson, Kind.rois, Kind.coco, Kind.png, Kind.svg, Kind.ome_tiff)
    found = words(as_command(recipe(kinds=kinds, shown=Shown(2, 3, 1))))
    assert [line[1] for line in found] == ["segment", *["contours"] * 5]
    assert found[0][4] == "out/my cells_labels.ome.tif"
    assert found[3][-2:] == ["--format", "coco"]
    assert found[4][-4:] == ["--plane", "2,3", "--channel", "1"]


def test_corrected_labels_are_taken_from_the_file_that_was_exported():
    given = {"by_hand": True, "labels": Path("done/cells_labels.tif"), "kinds": (Kind.measurements, Kind.imagej_tiff)}
    (measure,) = words(as_command(recipe(**given)))
    assert measure[3] == "done/cells_labels.tif"
    assert "segment(" not in as_python(recipe(**given))
    assert "'imagej-tiff'" not in as_python(recipe(**given))


def test_python_is_python():
    for one in (recipe(), recipe(by_hand=True, labels=Path("a.tif"))):
        compile(as_python(one), "script", "exec")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"image": None}, "no file"),
        ({"by_hand": True}, "Export the labels too"),
        ({"segmentations": [MADE, MADE]}, "Segment the whole image"),
        ({"segmentations": []}, "Segment the whole image"),
        ({"segmentations": [Segmentation("nuclei", whole=False)]}, "Segment the whole image"),
    ],
)
def test_what_no_command_can_do_again_is_said(changes, what):
    for make in (as_command, as_python):
        with pytest.raises(UNetError, match=what) as caught:
            make(recipe(**changes))
        assert len(str(caught.value)) <= 110


def test_sliders_are_named_everywhere():
    moved = replace(MADE, diameter=None, found_diameter=31.5, decoding=Decoding(foreground=0.3, min_size=40))
    segment, _ = words(as_command(recipe(segmentations=[moved])))
    for option, value in {
        "--diameter": "31.5",
        "--sensitivity": "0.7",
        "--separation": "0.8",
        "--min-size": "40",
    }.items():
        assert segment[segment.index(option) + 1] == value
    assert "diameter=31.5, sensitivity=0.7, separation=0.8, min_size=40" in as_python(recipe(segmentations=[moved]))
    text = methods([Origin({}, "a", (moved,), ByHand(0, 0, 0.0))])
    assert "sensitivity was set to 0.70, separation to 0.80, and objects of fewer than 40 pixels" in text


def test_methods_name_models_settings_and_corrections():
    two = [
        Origin({}, "a", (Segmentation("nuclei", "ab", found_diameter=20.0),), ByHand(3, 90, 0.5)),
        Origin({}, "b", (Segmentation("nuclei", "ab", found_diameter=30.0),), ByHand(0, 0, 0.0)),
    ]
    text = methods(two, 128)
    assert "Objects in 2 images were segmented" in text
    assert text.count("SHA-256 of the weights ab") == 1
    assert "20 to 30 pixels wide" in text
    assert "3 objects were corrected by hand; 25% of the pixels" in text
    assert "128 objects were measured" in text
    for cited in ("Ronneberger", "napari contributors (2019)", "van der Walt", "napari-unet-interactive 0."):
        assert cited in text.split("References")[1]
    alone = methods([Origin({}, "a")])
    assert "not on record" in alone
    assert "van der Walt" not in alone
