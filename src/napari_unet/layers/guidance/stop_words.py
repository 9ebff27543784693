"""What the window says of a stop of the walk: why it is one, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.guidance.suspects import Reason

if TYPE_CHECKING:
    from napari_unet.guidance.walk import Stop

REASONS = {
    Reason.UNSURE: "the network is unsure of it",
    Reason.OTHER_SHAPE: "may be several, or a part of one",
    Reason.NO_MIDDLE: "the network saw no clear middle",
    Reason.OPEN_BORDER: "may belong to its neighbour",
    Reason.LARGE: "much larger than the others",
    Reason.SMALL: "much smaller than the others",
    Reason.DENTED: "dented, may be several",
    Reason.LONG: "much longer than the others",
    Reason.TOUCHING: "grown together with others",
    Reason.MISSED: "an object may be missing here",
    Reason.ALONE: "in this frame only",
    Reason.JUMP: "its size jumps in time",
    Reason.GAP: "there before and after, not here",
}
"""Why an object is a suspect, in about five words."""


def named(stop: Stop) -> str:
    """Return the beginning of a sentence about a stop."""
    reason = REASONS[stop.reason]
    return f"Object {stop.id}: {reason}." if stop.id else f"{reason[0].upper()}{reason[1:]}."


def details_of(stop: Stop) -> str:
    """Return how likely something is to be wrong there, and where that is."""
    frame, z = stop.plane
    y, x = stop.place
    return f"Probability of an error: {stop.probability:.0%}. Time point {frame}, slice {z}, y {y}, x {x}."
