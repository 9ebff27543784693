"""The learning curve as a table and as a picture."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from napari_unet.errors import FileFormatError
from napari_unet.training.curve import CurvePoint, curve_png, write_curve

POINTS = [CurvePoint(0, 0.0, None, 0.1), CurvePoint(10, 3.25, 0.5, 0.4), CurvePoint(20, 6.5, 0.25, 0.8)]
BLUE, ORANGE = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def picture(points):
    return np.asarray(Image.open(io.BytesIO(curve_png(points))))


def places(pixels, colour):
    """Rows and columns of a colour within the axes."""
    rows, columns = np.nonzero((pixels[45:365, 66:836] == colour).all(-1))
    return rows, columns


def test_a_table_and_a_picture(tmp_path):
    table, png = tmp_path / "c.csv", tmp_path / "c.png"
    write_curve(POINTS, table, png)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"step": "0", "seconds": "0", "loss": "", "score": "0.1"}
    assert rows[2] == {"step": "20", "seconds": "6.5", "loss": "0.25", "score": "0.8"}
    with Image.open(png) as drawn:
        assert drawn.size == (900, 420)
    with pytest.raises(FileFormatError, match="exists already"):
        write_curve(POINTS, table, png)
    write_curve(POINTS[:1], table, png, overwrite=True)
    assert len(table.read_text().splitlines()) == 2


def test_the_score_rises_and_the_loss_falls_in_the_picture():
    pixels = picture(POINTS)
    for colour, rises in ((ORANGE, True), (BLUE, False)):
        rows, columns = places(pixels, colour)
        left, right = (rows[columns == side(columns)].mean() for side in (np.min, np.max))
        assert (right < left) == rises


@pytest.mark.parametrize("points", [[], POINTS[:1], [CurvePoint(1, 0.1, 0.0)], [CurvePoint(3, 1.0, 1e9, 1.0)] * 2])
def test_curves_of_nearly_nothing(points):
    assert picture(points).shape == (420, 900, 3)


def test_without_scores_there_is_no_orange():
    rows, _ = places(picture([CurvePoint(1, 1.0, 0.5), CurvePoint(2, 2.0, 0.4)]), ORANGE)
    assert len(rows) == 0
