"""Peaks that stand out above the saddles beside them, and what belongs to each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import h_maxima

from napari_unet.objects.basins import prominent_basins
from napari_unet.objects.decode import Decoding, decode_instances


def hills(*heights: float) -> np.ndarray:
    """A ridge with these heights one after the other, eight pixels apart and straight in between."""
    along = np.interp(np.arange(8 * (len(heights) - 1) + 1), 8 * np.arange(len(heights)), heights)
    return np.repeat(along[None], 3, axis=0)


@pytest.mark.parametrize(
    ("heights", "prominence", "count"),
    [
        ((0.1, 0.9, 0.7, 0.8, 0.1), 0.05, 2),
        ((0.1, 0.9, 0.7, 0.8, 0.1), 0.15, 1),  # the lower of the two stands out by 0.1
        ((0.1, 0.9, 0.3, 0.5, 0.45, 0.6, 0.1), 0.1, 2),  # a hill with two tops is one
        ((0.1, 0.5, 0.45, 0.9, 0.45, 0.5, 0.1), 0.1, 1),
        ((0.1, 0.9, 0.6, 0.9, 0.1), 0.2, 2),  # none is higher than the other
        ((0.1, 0.9, 0.8, 0.9, 0.1), 0.2, 1),
    ],
)
def test_a_peak_stands_out_above_the_saddle(heights, prominence, count):
    ridge = hills(*heights)
    found = prominent_basins(ridge, ridge > 0.05, prominence)
    assert len(np.unique(found)) == count
    assert found.all()


def test_the_height_of_a_saddle_does_not_matter_but_its_depth():
    """Where one threshold would either join the first two, or miss the third."""
    ridge = hills(0.1, 0.95, 0.6, 0.9, 0.1, 0.35, 0.1)
    assert len(np.unique(prominent_basins(ridge, ridge > 0.05, 0.1))) == 3


def test_low_peaks_belong_to_their_neighbours_or_stand_alone():
    ridge = hills(0.1, 0.9, 0.06, 0.2, 0.06)
    mask = ridge > 0.05
    assert len(np.unique(prominent_basins(ridge, mask, 0.1, least=0.3))) == 1
    mask[:, 16] = False
    apart = prominent_basins(ridge, mask, 0.1, least=0.3)
    assert len(np.unique(apart[mask])) == 2
    assert not apart[~mask].any()


@pytest.mark.parametrize("shape", [(90, 100), (24, 40, 40)])
@pytest.mark.parametrize("prominence", [0.02, 0.1, 0.3])
def test_the_peaks_are_those_of_the_h_maxima(shape, prominence):
    """As many, and each in an object of its own (scikit-image finds them by reconstruction)."""
    rng = np.random.default_rng(len(shape))
    heights = ndimage.gaussian_filter(rng.random(shape), 3).astype(np.float64)
    heights = (heights - heights.min()) / np.ptp(heights)
    found = prominent_basins(heights, np.ones(shape, bool), prominence)
    beside = ndimage.generate_binary_structure(len(shape), 1)
    peaks, count = ndimage.label(h_maxima(heights, prominence, beside))
    assert len(np.unique(found)) == count
    at = ndimage.maximum_position(heights, peaks, np.arange(1, count + 1))
    assert len({found[place] for place in at}) == count


def test_nothing_and_everything():
    flat = np.full((6, 7), 0.4)
    assert not prominent_basins(flat, np.zeros(flat.shape, bool), 0.1).any()
    assert len(np.unique(prominent_basins(flat, np.ones(flat.shape, bool), 0.1))) == 1


def test_a_decoding_has_no_other_settings():
    with pytest.raises(ValueError, match="nonsense"):
        Decoding.model_validate({"nonsense": 1})


def test_a_crowd_with_a_high_saddle_and_a_faint_object_in_it():
    ridge = hills(0.1, 0.95, 0.7, 0.95, 0.1, 0.4, 0.1)
    maps = np.stack([np.full(ridge.shape, 0.9), ridge]).astype(np.float32)
    decoding = Decoding(smoothing=0.5, min_size=4)
    assert decode_instances(maps, ("foreground", "distance"), decoding).max() == 3
