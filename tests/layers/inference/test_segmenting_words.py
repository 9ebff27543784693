"""What is said when something was segmented is no success where there is a doubt."""

from __future__ import annotations

import pytest

from napari_unet.layers.inference.segmenting_words import Judged, closing_words

LEARNED = "Better: 70% right in what you reviewed, 50% before."


@pytest.mark.parametrize(
    ("count", "right", "lead", "damage", "level"),
    [
        (3, True, "", "", "done"),
        (3, False, "", "", "warning"),
        (0, True, "", "", "warning"),
        (3, True, "", "A chunk is missing.", "warning"),
        (3, True, LEARNED, "", "done"),
        (3, False, LEARNED, "", "done"),  # a kind of image that the model has just begun to learn
        (0, True, LEARNED, "", "warning"),
        (3, True, LEARNED, "A chunk is missing.", "warning"),
    ],
)
def test_a_doubt_is_told_in_its_colour(count, right, lead, damage, level):
    text, found = closing_words(f"{count} objects", count, Judged(right), "nuclei", lead, damage, "N")
    assert found == level
    assert f"{count} objects" in text
