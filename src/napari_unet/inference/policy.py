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
    volume_trial_width : int
        The same width along each axis of a volume, at any scale, voxels of the network: six nuclei of `nuclei3d`. A
        bound on time, not tuned.
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
    volume_trial_width: int = Field(96, ge=1)
    plausible_diameter: tuple[float, float] = (0.75, 1.125)
    min_gain: float = Field(0.02, ge=0)
    max_disagreement: float = Field(0.15, ge=0)
    min_objects: int = Field(3, ge=1)
    known_distance_ratio: float = Field(0.8, ge=0)

    def trial_width(self, scale: float) -> int:
        """Return the width, in pixels of the network, of what is segmented at a scale."""
        return dict(self.trial_widths).get(scale, self.other_trial_width)


DEFAULT_RESCALING: Final = RescalingPolicy()


class ModelChoicePolicy(BaseModel):
    """Numbers by which a model's fit to an image is estimated (`inference.which_model`).

    "Images for choosing" below are the half of the images of `napari_unet_benchmarks.which_model` that is called
    "choose": 142 fields of thirteen kinds. The weights were fitted to the AP at IoU 0.50 that models had on these.

    Attributes
    ----------
    field_width : int
        Width of the field that models are tried on, pixels of the image. A bound on time, not measured.
    volume_width : int
        The same for a volume.
    volume_depth : int
        Slices of a volume that models are tried on.
    max_pixels : int
        Pixels or voxels that a network is given of a field at most, after rescaling. A bound on time.
    judged_shape : tuple of int
        Pixels (Z, Y, X) of the part by which a whole result is judged. A bound on time, not measured.
    likeness_shape : tuple of int
        Pixels of the network, (Z, Y, X), of the part that batch norms are compared on. Not varied.
    offset : float
        Of the estimate, on the scale of the logistic function, as are the weights that follow.
    disagreement_weight : float
        For each unit by which a model's distance map disagrees with the objects found (0..1, median over objects).
    certainty_weight : float
        For each unit of soft Dice (0..1) between the map of the foreground and the objects.
    size_weight : float
        For each factor of e between the width of the objects and that which the model learned.
    volume_bonus : float
        For a model of volumes: at their few voxels across, objects in volumes disagree more.
    flat_in_volume : float
        Factor on the estimate of a 2D model, where the image is a volume. Fitted on 12 volumes of one kind only.
    one_of_colours : float
        Factor on the estimate of a model that takes one channel of an image in colour.
    usual_deviation : float
        Deviation of the batch norms (`nets.likeness`) at which a model of classes has half of `most_for_classes`.
    deviation_weight : float
        For each unit of that deviation.
    usual_certainty : float
        Certainty of a model of classes (mean over pixels of its largest probability) at which that is halved. Midway
        between axons (0.85 or more, all images for choosing) and what deviates as little (0.82 at most: walls between
        cells of other kinds, stained tissue; up to four images for choosing of each kind, and the samples).
    class_certainty_weight : float
        For each unit of that certainty.
    most_for_classes : float
        Largest estimate of a model of classes, of which less can be told than of one of objects.
    doubtful : float
        Estimate below which a model is taken not to fit.
    clearly_better : float
        Difference of two estimates from which on a user is told that another model fits better.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field_width: int = Field(512, ge=16)
    volume_width: int = Field(192, ge=16)
    volume_depth: int = Field(48, ge=1)
    max_pixels: int = Field(2**21, ge=1)
    judged_shape: tuple[int, int, int] = (64, 512, 512)
    likeness_shape: tuple[int, int, int] = (128, 320, 320)
    offset: float = -4.2
    disagreement_weight: float = -19.0
    certainty_weight: float = 7.5
    size_weight: float = -1.4
    volume_bonus: float = 2.1
    flat_in_volume: float = Field(0.5, ge=0, le=1)
    one_of_colours: float = Field(0.6, ge=0, le=1)
    usual_deviation: float = Field(0.24, ge=0)
    deviation_weight: float = -40.0
    usual_certainty: float = Field(0.835, ge=0, le=1)
    class_certainty_weight: float = 200.0
    most_for_classes: float = Field(0.5, ge=0, le=1)
    doubtful: float = Field(0.25, ge=0, le=1)
    clearly_better: float = Field(0.2, ge=0, le=1)


DEFAULT_MODEL_CHOICE: Final = ModelChoicePolicy()
