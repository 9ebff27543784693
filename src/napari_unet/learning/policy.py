"""Every tuned number that decides how corrections are split, and when and at which scale a new model is used.

Settings of the training itself are tables beside the functions that return them: `finetune.finetune_config`,
`from_scratch.from_scratch_config`, `dense.training_config`.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from napari_unet.inference.policy import RescalingPolicy


class _Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitPolicy(_Numbers):
    """How what is corrected and reviewed is split into what is learned from and what is held out.

    Attributes
    ----------
    square_width : int
        Least width, pixels of the image, of the squares that reviewed area is divided into; one of four is held out.
        Data: not recorded.
    squares_per_object : float
        Widths of a reviewed object that a square is wide at least. Data: not recorded.
    images_per_held_out : int
        Of so many images in which something is reviewed one is held out as a whole, instead of squares of all. Not
        tuned: the share is that of the squares.
    piece_width : int
        Width, pixels, of the pieces that are compared where there are classes and no objects. Data: not recorded.
    min_held_out : int
        Objects, or for classes pieces, that have to lie in the held-out squares: on fewer nothing can be decided. Data:
        not recorded.
    max_held_out_share : float
        Share of the supervised pixels above which nothing is held out. Data: not recorded.
    min_left_share : float
        Share of the supervised pixels outside the held-out squares that has to be left to learn from; the buffer
        around the squares is halved until it is. Data: not recorded.
    seen_distance : int
        Distance from a correction, pixels of the network, within which the user has seen whether objects are right.
        Data: not recorded.
    equal_share : float
        Share of the patches that samples have in equal parts, however little was corrected in each; the rest goes by
        how much there is to learn from. Data: not recorded.
    """

    square_width: int = Field(96, ge=1)
    squares_per_object: float = Field(2.5, gt=0)
    images_per_held_out: int = Field(4, ge=2)
    piece_width: int = Field(32, ge=1)
    min_held_out: int = Field(4, ge=1)
    max_held_out_share: float = Field(0.4, ge=0, le=1)
    min_left_share: float = Field(0.5, ge=0, le=1)
    seen_distance: int = Field(64, ge=0)
    equal_share: float = Field(0.5, ge=0, le=1)


class PromotionPolicy(_Numbers):
    """How a new model is compared with the one in use, and when it replaces it.

    Attributes
    ----------
    iou_thresholds : tuple of float
        Intersections over union at which an object counts as found; the score is the mean over them.
    resamples : int
        Draws of the bootstrap.
    confidence : float
        That the gain is positive, 0..1.
    max_forgetting : float
        Score on the base data (0..1) that all learnings together may cost. Data: 13 patches of the base data of
        `nuclei` (docs/decisions/0005-retention.md).
    max_forgetting_at_once : float
        Score that one learning may cost. Data: as above.
    interpolation_shares : tuple of float
        How far to go from the old weights to the new ones, tried in this order until no more is forgotten than allowed.
        Data: nuclei of tissue and cytospins, MDCK junctions, H&E (docs/decisions/0022-rules.md).
    min_compared : int
        Objects, each with all that overlaps it, or pieces, below which two models are not told apart. Not tuned.
    patience : float
        Seconds without a gain on the held-out regions after which learning ends. Data: not recorded.
    check_interval : float
        Least seconds between two checks or previews while a model learns.
    max_check_share : float
        Share of the time that they take at most: where one takes long, the interval is longer.
    """

    iou_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)
    resamples: int = Field(2000, ge=1)
    confidence: float = Field(0.95, ge=0.5, lt=1)
    max_forgetting: float = Field(0.02, ge=0)
    max_forgetting_at_once: float = Field(0.01, ge=0)
    interpolation_shares: tuple[float, ...] = (1.0, 0.5)
    min_compared: int = Field(4, ge=2)
    patience: float = Field(40.0, ge=0)
    check_interval: float = Field(5.0, ge=0)
    max_check_share: float = Field(0.15, gt=0)


class DomainShiftPolicy(_Numbers):
    """When a model is wrong about so many objects that it has to change much.

    Attributes
    ----------
    min_objects : int
        Objects that have to be wrong, or missed, to be many. Data: not recorded (docs/decisions/0005-retention.md).
    min_share : float
        The same as a share of all objects, where all are labelled. Data: not recorded.
    min_area_share_near : float
        Where objects are corrected one by one: share of the area of objects near corrections that was missed or
        spurious. Data: 25 validation images of fluorescence, histology and brightfield (0.35 at most), three fields of
        T98G (0.63 to 0.96), embryos (0.3 to 0.8).
    min_area_share : float
        The same as a share of the area of all objects. Data: as above.
    outline_iou : float
        Intersection over union from which on an outline is right. Data: not recorded.
    max_deviation : float
        Difference of the means of features (`nets.likeness`), in standard deviations, above which a volume looks unlike
        those learned. Data: six volumes of embryos (0.26 to 0.43), and of nuclei with nucleoli, shells and balls that
        are drawn (0.68 to 2.16).
    compared_shape : tuple of int
        Voxels (Z, Y, X) of the network that this is measured on: a bound on time.
    max_pixels : int
        Pixels of densely labelled images that are segmented to count errors: a bound on time, a few seconds.
    max_region_width : int
        Width along Y and X, pixels of the network, of one such region: a bound on memory.
    """

    min_objects: int = Field(5, ge=1)
    min_share: float = Field(1 / 3, ge=0, le=1)
    min_area_share_near: float = Field(2 / 5, ge=0, le=1)
    min_area_share: float = Field(1 / 8, ge=0, le=1)
    outline_iou: float = Field(0.75, ge=0, le=1)
    max_deviation: float = Field(0.55, ge=0)
    compared_shape: tuple[int, int, int] = (48, 128, 128)
    max_pixels: int = Field(2**22, ge=1)
    max_region_width: int = Field(1024, ge=1)


class ScalePolicy(_Numbers):
    """At which scale images are learned from.

    Attributes
    ----------
    rescaling : RescalingPolicy
        How images are brought to the scale of a model (`inference.policy`).
    min_objects : int
        Objects that it takes to tell how wide they are. Data: not recorded.
    min_vouched_share : float
        Share of an object's pixels that the user vouches for, from which on it is measured. Data: not recorded.
    typical_to_corrected : float
        Diameter of all objects as a multiple of that of corrected ones, which stand out. Data: T98G, where the median
        of the six that stand out most is 1.2 to 1.4 times that of all (docs/decisions/0012-object-diameter.md).
    untrained_diameter : float
        Diameter, pixels of the network, to which far wider objects are brought for a model made from scratch. Data:
        T98G (docs/decisions/0012-object-diameter.md).
    """

    rescaling: RescalingPolicy = RescalingPolicy()
    min_objects: int = Field(3, ge=1)
    min_vouched_share: float = Field(0.9, ge=0, le=1)
    typical_to_corrected: float = Field(0.75, gt=0)
    untrained_diameter: float = Field(30.0, gt=0)


class FittingPolicy(_Numbers):
    """How a model's thresholds are fitted to corrections (`learning.fitting`).

    Data, where nothing else is said: T98G and cytospins, 6, 12 and 18 corrected objects, four seeds, scored on fields
    that nobody had corrected (docs/decisions/0024-sliders.md).

    Attributes
    ----------
    iou_thresholds : tuple of float
        Intersections over union at which an object counts as right; the score is the mean over them.
    steps : tuple of float
        How far from where they stand sensitivity and separation (0..1) are tried. Without a bound, what fits one image
        best cost up to 9 points of AP on others.
    size_shares : tuple of float
        Smallest objects that are tried, as shares of the median size of objects that somebody vouches for.
    seen_weight : float
        How much an object counts that was left alone near a correction; one that is vouched for counts 1.
    min_objects : int
        Objects that somebody vouches for, below which nothing is changed. Data: not recorded.
    size_to_smallest : float
        Largest such size, as a multiple of the smallest object near a correction.
    noise_share : float
        Share of the median size of objects that somebody vouches for, below which a model that learned images of
        another domain finds noise. Of 0.05, 0.1, 0.2 and 0.3, by T98G after learning from 6 to 24 objects.
    tolerance : float
        Objects by which settings may be worse than the best to count as good as these: of all that do, the nearest to
        the present ones are taken. With 1 the loss on other fields was up to 12 points, with 2 up to 3.
    rounds : int
        How often sensitivity and separation are changed in turn, at most; 0: only the smallest object is chosen.
    shape_prominence : float
        By how much narrower a neck is than the parts on both sides, as a logarithm, for objects to be told apart there:
        what is begun with where their shape is tried. Data: the volumes that docs/decisions/0037-shape.md chose on.
    shape_foreground : float
        Threshold of the foreground that is begun with there: that of the model is of other outlines. Data: the same.
    max_pixels : int
        Pixels of the network that are looked at: a bound on time.
    """

    iou_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8)
    steps: tuple[float, ...] = (-0.2, -0.1, 0.1, 0.2)
    size_shares: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2)
    seen_weight: float = Field(0.5, ge=0, le=1)
    min_objects: int = Field(3, ge=1)
    size_to_smallest: float = Field(0.5, ge=0, le=1)
    noise_share: float = Field(0.1, ge=0, le=1)
    tolerance: float = Field(2.0, ge=0)
    rounds: int = Field(3, ge=0)
    shape_prominence: float = Field(0.1, ge=0, lt=1)
    shape_foreground: float = Field(0.5, gt=0, lt=1)
    max_pixels: int = Field(2**21, ge=1)


class FromScratchPolicy(_Numbers):
    """How a model that has learned nothing learns from a few painted objects.

    Attributes
    ----------
    learning_rate : float
        Highest learning rate of an untrained model. Data: five painted objects of histology, phase contrast and U2OS
        (docs/decisions/0011-from-scratch.md).
    later_learning_rate : float
        The same of a model that has learned from scratch before, and must not begin anew. Data: the same.
    weight_decay : float
        Of AdamW. Data: not recorded.
    background_diameters : float
        Background is taken from as far around painted objects as so many of their diameters. Data: the same.
    min_area_share : float
        Area of the painted objects, as a share, below which what is found is no object. Data: not recorded.
    min_pixels : int
        Pixels below which that is so for painted objects of any size. Data: not recorded.
    diameter_to_smoothing : float
        Diameter of the painted objects as a multiple of the width by which the map of middles is smoothed; that is at
        least a pixel. Data: not recorded.
    """

    learning_rate: float = Field(5e-3, gt=0)
    later_learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    background_diameters: float = Field(2.0, ge=0)
    min_area_share: float = Field(0.1, ge=0, le=1)
    min_pixels: int = Field(12, ge=1)
    diameter_to_smoothing: float = Field(15.0, gt=0)


class ValidationPolicy(_Numbers):
    """How a model that learns from labelled images is checked on others (`learning.train`). No data: set by hand.

    Attributes
    ----------
    share : float
        Share of the images that is kept aside where the user says nothing.
    min_images : int
        Images with objects, below which none is kept aside then: of few, each is needed to learn from.
    checks : int
        How often the model is checked, at even shares of the steps or the time.
    patience : int
        Checks without a better score after which learning stops. The learning rate falls to zero over the whole way,
        which brings much of the gain, so that it takes more than one or two.
    max_pixels : int
        Pixels of the network that are looked at in each check: a bound on time, about a tenth of ten minutes.
    max_scored : int
        Images that are scored, where none is kept aside, to tell how well what was taught is found again.
    """

    share: float = Field(0.2, gt=0, lt=1)
    min_images: int = Field(5, ge=2)
    checks: int = Field(10, ge=1)
    patience: int = Field(4, ge=1)
    max_pixels: int = Field(2**20, ge=1)
    max_scored: int = Field(4, ge=1)


class DurationPolicy(_Numbers):
    """How many steps of learning from corrections are expected in a time (`learning.step_estimate`).

    Attributes
    ----------
    min_steps : int
        Steps below which the user is told that the time is short: half of the 80 with which the rules were chosen
        (docs/decisions/0022-rules.md).
    passes : float
        Forward passes that a step costs, before one was measured: one forward, two backward, which computes gradients
        of weights and of features, and a little for the optimiser. Where the network is held to its earlier
        predictions, they are one more. Data: `nuclei`, one thread of a CPU: 4.3 with that one.
    other_steps : float
        What reading, and checking the models, take, in steps. Data: the same, learning from a field of BBBC039: with 5,
        55 steps are expected of 16 s, and 54 were made.
    rounding : float
        Seconds that a limit is rounded up to: the steps of the field beside Learn.
    """

    min_steps: int = Field(40, ge=1)
    passes: float = Field(3.3, gt=0)
    other_steps: float = Field(5.0, ge=0)
    rounding: float = Field(15.0, gt=0)


class Policy(_Numbers):
    """All tuned numbers that learning decides by.

    Attributes
    ----------
    split : SplitPolicy
    promotion : PromotionPolicy
    domain_shift : DomainShiftPolicy
    scale : ScalePolicy
    fitting : FittingPolicy
    from_scratch : FromScratchPolicy
    validation : ValidationPolicy
    duration : DurationPolicy
    """

    split: SplitPolicy = SplitPolicy()
    promotion: PromotionPolicy = PromotionPolicy()
    domain_shift: DomainShiftPolicy = DomainShiftPolicy()
    scale: ScalePolicy = ScalePolicy()
    fitting: FittingPolicy = FittingPolicy()
    from_scratch: FromScratchPolicy = FromScratchPolicy()
    validation: ValidationPolicy = ValidationPolicy()
    duration: DurationPolicy = DurationPolicy()


DEFAULT_POLICY: Final = Policy()
