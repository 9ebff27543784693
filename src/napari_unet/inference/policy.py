"""The tuned numbers that decide at which scale an image is segmented, each with its unit and the data it is from."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field


class RescalingPolicy(BaseModel):
    """Numbers that decide by how much an image is made larger or smaller before a network sees it.

    "Validation images" below are the 51 images of `recipes/nuclei.py` that are kept for choosing settings, made 0.5 to
    4 times as large (docs/decisions/0013-found-diameter.md).

    Attributes
    ----------
    pixel_size_tolerance : float
        Factor within which a pixel size that is not the model's is taken for the same: networks are trained over such a
        range of sizes. Chosen by that range (`Augmentation.scale`), not measured.
    diameter_tolerance : float
        The same for the diameter of objects. Chosen on 27 validation images or fewer: `nuclei` finds objects of 16 to
        32 pixels equally well (docs/decisions/0012-object-diameter.md).
    diameter_range : float
        Objects down to the model's diameter divided by this are found as well. Chosen on the same images.
    max_enlargement : float
        Factor by which an image is enlarged at most where nobody asked for it. A bound on time (it takes four times as
        long), not measured.
    max_enlarged_pixels : int
        Pixels of a plane (Y, X) above which an image is not enlarged where nobody asked for it. A bound on memory, not
        measured.
    trial_widths : tuple of (float, int)
        Scales at which the diameter of the objects is looked for, in this order, each with the width (pixels of the
        network) of the part of the image that is segmented. At half scale `nuclei` measures objects of 16 to 130 pixels
        rightly. Chosen on the validation images.
    other_trial_width : int
        The same width at any other scale, pixels of the network. Not recorded.
    plausible_diameter : tuple of float
        A diameter found at half scale is believed if it lies within these two multiples of the model's diameter; else
        another scale is tried. Chosen on the validation images.
    min_gain : float
        By how much less the network has to disagree with itself (0..1) at another scale than at the image's own before
        the image is rescaled. Chosen on the validation images.
    max_disagreement : float
        A model that is used to objects of one size (`ModelInfo.image_diameter`) believes that they are smaller here
        only if it disagrees with itself by less than this (0..1). Chosen on 40 fields of fluorescence and 12 of T98G.
    min_objects : int
        Objects that it takes to tell a diameter. Not recorded.
    known_distance_ratio : float
        An image counts as one that was known before learning, and not as one that was learned, if its style is at most
        this many times as far from what was known as from what was learned. Chosen on 12 fields of T98G, 40 of
        fluorescence, 6 of histology and 2 of brightfield.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pixel_size_tolerance: float = Field(1.25, ge=1)
    diameter_tolerance: float = Field(1.5, ge=1)
    diameter_range: float = Field(2.0, ge=1)
    max_enlargement: float = Field(2.0, ge=1)
    max_enlarged_pixels: int = Field(2**24, ge=0)
    trial_widths: tuple[tuple[float, int], ...] = ((0.5, 192), (1.0, 128), (0.25, 256), (2.0, 192))
    other_trial_width: int = Field(192, ge=1)
    plausible_diameter: tuple[float, float] = (0.75, 1.125)
    min_gain: float = Field(0.02, ge=0)
    max_disagreement: float = Field(0.15, ge=0)
    min_objects: int = Field(3, ge=1)
    known_distance_ratio: float = Field(0.8, ge=0)

    def trial_width(self, scale: float) -> int:
        """Return the width, in pixels of the network, of what is segmented at a scale."""
        return dict(self.trial_widths).get(scale, self.other_trial_width)


DEFAULT_RESCALING: Final = RescalingPolicy()
