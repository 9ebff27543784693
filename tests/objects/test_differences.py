"""What differs between two segmentations: which objects, in words and as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet.objects.differences import ADDED, AFTER_LINE, BEFORE_LINE, GONE, Differences, pixel_picture


def field() -> np.ndarray:
    labels = np.zeros((1, 40, 60), np.int32)
    labels[0, 5:15, 5:15], labels[0, 5:15, 20:30], labels[0, 5:15, 30:40], labels[0, 25:35, 5:15] = 1, 2, 3, 4
    return labels


def moved(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == 1, 0, labels) + np.roll(np.where(labels == 1, 1, 0), 4, 1)


CHANGES: dict[str, tuple[Any, str]] = {
    "nothing": (lambda labels: labels, ""),
    "other ids": (lambda labels: np.where(labels > 0, labels + 10, 0), ""),
    "a pixel wider": (lambda labels: np.where(np.roll(labels, 1, 1) == 4, 4, labels), ""),
    "deleted": (lambda labels: np.where(labels == 4, 0, labels), "1 gone"),
    "added": (lambda labels: labels + 9 * (np.arange(labels.size).reshape(labels.shape) % 60 > 50), "1 new"),
    "merged": (lambda labels: np.where(labels == 3, 2, labels), "2 changed"),
    "moved": (moved, "1 changed"),
    "all": (lambda labels: np.zeros_like(labels), "4 gone"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_in_words(name: str) -> None:
    make, words = CHANGES[name]
    before, after = field(), make(field())
    found = Differences.of(before, after)
    assert str(found) == words
    back = str(Differences.of(after, before))
    assert back == words.replace("gone", "*").replace("new", "gone").replace("*", "new")
    assert found.picture(before, after).any() == bool(words)


def test_picture() -> None:
    before = field()
    after = np.where(before == 4, 0, before)
    after[0, 25:35, 40:50] = 7
    after[0, 5:15, 20:40] = 2
    values = Differences.of(before, after).picture(before, after, 2)[0]
    assert (values[30, 10], values[25, 10], values[26, 10]) == (GONE, BEFORE_LINE, BEFORE_LINE)
    assert (values[30, 45], values[25, 45]) == (ADDED, AFTER_LINE)
    assert values[10, 29] == BEFORE_LINE, "where the border was"
    assert values[10, 20] == AFTER_LINE
    assert values[10, 25] == 0
    assert not values[5:15, 5:15].any(), "the same as before"


def test_empty_and_classes() -> None:
    none = np.zeros((1, 5, 5), np.int32)
    assert str(Differences.of(none, none)) == ""
    before = np.array([[[0, 1, 1, 2]]])
    assert pixel_picture(before, np.array([[[1, 1, 0, 1]]])).tolist() == [[[ADDED, 0, GONE, AFTER_LINE]]]
