"""Shapes that are suggested between slices, stored and restored; what is damaged harms nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.objects.outline import Outline
from napari_unet.projects.description import JournalModels
from napari_unet.projects.suggestions import MAX_STORED, StoredOutline, restored, stored

SHAPE = (2, 3, 40, 50)


def outline(label: int = 5, y: int = 3, x: int = 4, height: int = 7, width: int = 9, seed: int = 0) -> Outline:
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    mask[0, 0] = True
    return Outline(label, (slice(y, y + height), slice(x, x + width)), mask)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 9), st.integers(1, 2**31 - 1), st.integers(0, 1000))
def test_what_is_stored_comes_back(height, width, corner, label, seed):
    one = outline(label, corner, corner, height, width, seed)
    found = restored(stored({(1, 2): [one], (0, 0): [outline()]}), SHAPE)
    assert sorted(found) == [(0, 0), (1, 2)]
    (back,) = found[1, 2]
    assert (back.label, back.box) == (one.label, one.box)
    assert np.array_equal(back.mask, one.mask)
    assert stored(found) == stored({(1, 2): [one], (0, 0): [outline()]}), "the digest is the same"


GOOD = stored({(0, 1): [outline()]})[0]


@pytest.mark.parametrize(
    "change",
    [
        {"time": 2},
        {"z": 3},
        {"y": 34},
        {"width": 47},
        {"mask": ""},
        {"mask": "no base64!"},
        {"mask": "AAAA"},
        {"mask": GOOD.mask[:8]},
        {"height": 30},
    ],
)
def test_what_is_damaged_or_does_not_fit_is_left_out(change):
    bad = GOOD.model_copy(update=change)
    found = restored([bad, GOOD], SHAPE)
    assert [one.label for one in found[0, 1]] == [5]


def test_a_mask_that_would_fill_the_memory_is_not_unpacked():
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(bytes(10**7))).decode()
    assert len(bomb) < 2**20
    assert restored([GOOD.model_copy(update={"mask": bomb})], SHAPE) == {}


def test_of_very_many_the_first_are_stored():
    assert len(stored({(0, 0): [outline()] * (MAX_STORED + 5)})) == MAX_STORED


def test_a_journal_of_an_earlier_version_says_nothing_of_them():
    assert JournalModels.model_validate({"models": []}).suggested is None
    assert isinstance(JournalModels.model_validate({"suggested": [GOOD.model_dump()]}).suggested[0], StoredOutline)
