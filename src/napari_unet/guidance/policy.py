"""Numbers of the walk, with the data that they were chosen on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class WalkPolicy:
    """How suspicious an object is, as the log-odds that something is wrong with it.

    The weights are a logistic regression, none below 0, on 8016 objects of nuclei_bbbc039, tissue_codex_expert/train
    and nuclei_cytospin_bsst265/train (model `nuclei`) and cells_phase_t98g (`cells_phase`), each of these four counting
    alike; `napari-unet benchmark walk --fit` makes it (docs/decisions/0023).

    Attributes
    ----------
    with_maps : mapping of str to float
        What is added for each 1 of a feature (`features.FEATURES`); "" is what all objects have.
    without_maps : mapping of str to float
        The same where the maps were not kept.
    missed : tuple of float
        Log-odds that an object is missing where there is foreground without one: at a mean foreground probability of 0,
        and what is added at 1. Of 190 such pieces in those images 24 were missed objects.
    min_missed_foreground : float
        Foreground probability from which on it is a piece of foreground.
    min_missed_size : float
        Least size of such a piece, as a share of the median object's.
    min_probability : float
        Probability of an error from which on an object is a suspect: these are one to three times as many as errors.
    alone, jump, gap : float
        Log-odds that are added for an object in one frame only, for one whose size jumps; and those of a gap. There are
        no time series with labels to choose them on: they are set so that each is a suspect.
    max_jump : float
        By how many times the area may change from frame to frame before it counts as a jump.
    min_continued : float
        Share of objects that have to go on from frame to frame; else they move too far to tell.
    """

    with_maps: Mapping[str, float] = field(
        default_factory=lambda: {
            "": -5.44,
            "uncertainty": 6.15,
            "flow_error": 6.4,
            "low_peak": 7.99,
            "low_border": 13.17,
            "large": 1.04,
            "small": 0.34,
            "dented": 0.25,
            "elongated": 0.33,
        }
    )
    without_maps: Mapping[str, float] = field(
        default_factory=lambda: {
            "": -2.76,
            "large": 0.93,
            "small": 0.54,
            "dented": 0.49,
            "elongated": 0.35,
            "touching": 3.05,
        }
    )
    missed: tuple[float, float] = (-3.1, 3.1)
    min_missed_foreground: float = 0.1
    min_missed_size: float = 0.1
    min_probability: float = 0.2
    alone: float = 3.0
    jump: float = 2.5
    gap: float = 0.5
    max_jump: float = 2.0
    min_continued: float = 0.7


POLICY = WalkPolicy()
