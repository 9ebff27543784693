"""Pictures with outlines: what is where, how long the scale bar is, and what they say of how they were made."""

from __future__ import annotations

import base64
import io
import json
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest

from napari_unet.errors import FileFormatError
from napari_unet.io import pictures
from napari_unet.io.pictures import COLOUR, MAX_SIDE, Picture, step_for, write_picture

SVG = "{http://www.w3.org/2000/svg}"
YELLOW = tuple(bytes.fromhex(COLOUR[1:]))


def square(y, x, side):
    return np.array([[y, x], [y, x + side], [y + side, x + side], [y + side, x]])


@pytest.fixture
def picture():
    pixels = np.full((200, 300, 3), 40, np.uint8)
    return Picture(pixels, [(7, [[square(50, 60, 40), square(60, 70, 10)]])], 0.5)


def test_png_shows_outlines_at_the_edges_of_pixels(picture, tmp_path):
    record = {"program": "x", "name": "µ"}
    assert write_picture(tmp_path / "a.png", picture, provenance=record) == 1
    with PIL.Image.open(tmp_path / "a.png") as image:
        found = np.asarray(image)
        assert json.loads(image.text["napari_unet"]) == record
    assert found.shape == (800, 1200, 3)  # four times as large
    yellow = (found == YELLOW).all(-1)
    assert yellow[200, 300]  # the edge of the object, 50 and 75 pixels of the image
    assert yellow[240, 300]  # its hole
    assert not yellow[220, 260]
    assert not yellow[100].any()


@pytest.mark.parametrize(
    ("size", "length"), [(0.5, (20, "10 µm")), (0.65, (2 / 0.65 * 10, "20 µm")), (0.001, (20, "0.02 µm"))]
)
def test_the_scale_bar_is_a_round_length(size, length):
    found = Picture(np.zeros((50, 160, 3), np.uint8), pixel_size=size).bar
    assert found is not None
    assert found[0] == pytest.approx(length[0])
    assert found[1] == length[1]


def test_no_scale_bar_without_a_pixel_size(tmp_path):
    picture = Picture(np.zeros((50, 60, 3), np.uint8))
    write_picture(tmp_path / "a.svg", picture)
    write_picture(tmp_path / "a.png", picture)
    assert picture.bar is None
    assert "scale-bar" not in (tmp_path / "a.svg").read_text()
    with PIL.Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image).max() == 0


def test_svg_has_a_path_for_each_object(picture, tmp_path):
    write_picture(tmp_path / "a.svg", picture, provenance={"name": "a < b & c"})
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    (path,) = root.findall(f"{SVG}g[@id='outlines']/{SVG}path")
    assert path.get("id") == "object-7"
    assert path.get("d") == "M60,50 100,50 100,90 60,90Z M70,60 80,60 80,70 70,70Z"
    assert json.loads(root.find(f"{SVG}metadata").text) == {"name": "a < b & c"}
    data = root.find(f"{SVG}image").get("href").split(",")[1]
    with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as image:
        np.testing.assert_array_equal(np.asarray(image), picture.pixels)
    assert float(root.find(f"{SVG}g[@id='scale-bar']/{SVG}rect").get("width")) == pytest.approx(40)  # 20 of 0.5 µm


def test_a_large_image_is_thinned_out(tmp_path, monkeypatch):
    assert [step_for(10, MAX_SIDE), step_for(MAX_SIDE + 1, 9)] == [1, 2]
    monkeypatch.setattr(pictures, "MIN_SIDE", 1)
    thinned = Picture(np.zeros((100, 150, 3), np.uint8), [(1, [[square(40, 60, 40)]])], 0.5, step=2)
    assert thinned.bar == (pytest.approx(20), "20 µm")
    write_picture(tmp_path / "a.svg", thinned)
    assert 'd="M30,20 50,20' in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.pdf"])
def test_other_endings_are_refused(picture, tmp_path, name):
    with pytest.raises(FileFormatError, match=r"\.png or \.svg"):
        write_picture(tmp_path / name, picture)
    assert not list(tmp_path.iterdir())
