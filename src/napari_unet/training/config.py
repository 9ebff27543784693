"""How a network is trained: the settings, and what is reported after each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """Ranges of the random deformations; every draw is uniform in its range.

    Attributes
    ----------
    flip : bool
        Mirror each axis with probability 1/2.
    rotate : float
        Largest rotation in the YX plane, degrees.
    scale : float
        Largest magnification; the smallest is its inverse (uniform on a log scale).
    depth : float
        Largest magnification of Z alone; the smallest is its inverse. Objects that lie in other numbers of slices.
    elastic : float
        Standard deviation of the displacements on the coarse grid, pixels (the 2015 paper: 10).
    elastic_spacing : float
        Distance of the coarse grid's points, pixels.
    elastic_points : int or None
        Points of the coarse grid along each axis, whatever the size of the patch (the 2015 paper: 3); None: by
        `elastic_spacing`.
    contrast, brightness : float
        Spread of a factor on, and an offset to, the normalised intensity.
    gamma : float
        Largest exponent on the normalised intensity; the smallest is its inverse.
    noise : float
        Largest standard deviation of added Gaussian noise, in normalised intensity.
    blur : float
        Largest standard deviation of a Gaussian blur, pixels.
    invert : float
        Probability of exchanging dark and bright.
    grey : float
        Probability of replacing the colours by their mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: bool = True
    rotate: float = Field(180.0, ge=0, le=180)
    scale: float = Field(1.25, ge=1)
    depth: float = Field(1.0, ge=1)
    elastic: float = Field(4.0, ge=0)
    elastic_spacing: float = Field(64.0, gt=0)
    elastic_points: int | None = Field(None, ge=2)
    contrast: float = Field(0.2, ge=0)
    brightness: float = Field(0.1, ge=0)
    gamma: float = Field(1.3, ge=1)
    noise: float = Field(0.05, ge=0)
    blur: float = Field(1.0, ge=0)
    invert: float = Field(0.0, ge=0, le=1)
    grey: float = Field(0.0, ge=0, le=1)


class TrainingConfig(BaseModel):
    """How a network is trained.

    Attributes
    ----------
    steps : int
        Most optimisation steps.
    max_seconds : float, optional
        Stop after this time; None: no limit.
    batch_size : int
        Patches a step.
    patch : tuple of int
        Spatial shape of a patch, ([Z,] Y, X); rounded up to what the network takes.
    learning_rate, weight_decay : float
        Of the optimiser.
    optimizer : {"adamw", "sgd"}
        AdamW (Loshchilov and Hutter 2019), or stochastic gradient descent with `momentum`, as in the 2015 paper.
    momentum : float
        Share of the last step that ``"sgd"`` keeps; the paper's is 0.99, for batches of one tile.
    schedule : {"constant", "cosine"}
        ``"constant"`` after a short warm-up; ``"cosine"`` falls to zero over `steps` or `max_seconds`.
    warmup : int
        Steps over which the rate rises.
    freeze_norm : bool
        Keep the statistics of batch normalisation, as fine-tuning on few patches must.
    free_norm : float
        Share of the steps or the time, 0..1, before these are kept; until then they follow the patches. Of images of
        another kind the features have other means.
    augmentation : Augmentation or None
        Random deformations.
    distillation : float
        Weight of a second term that holds the network to its earlier predictions wherever nothing is supervised and
        they were certain (Li and Hoiem 2018, "Learning without forgetting"). A few corrected objects, most of them
        foreground, would else teach it that everything is foreground. The first term sees the supervised pixels only.
    replay : float
        Share of the patches that come from what the model was first trained on, where it carries some of that along.
    ema : float
        Share that the running mean of the weights keeps at each step; the mean is what is used (Polyak and Juditsky
        1992). It is the steadier the fewer patches a step sees. 0: the weights as they are.
    depth_rate : float
        Factor on the rate for each level from the deepest up to the first of the encoder: what an edge is, a network
        knows already.
    border : float
        How much more a seam between two objects counts than other pixels, as in the 2015 paper, where it is 10. 0: no
        more.
    dice : float
        Weight of soft Dice beside the cross-entropy. 0: cross-entropy alone, as in the 2015 paper.
    least_foreground : float
        Share of the cross-entropy of each patch that its foreground makes up at least: of a reviewed slice of a volume
        a fortieth is objects. 0: every pixel counts alike.
    exclusive : bool
        Whether the outputs are classes of which each pixel has one, or maps of their own.
    precision : {"auto", "full"}
        ``"auto"``: the network calculates in bfloat16 where the device has matrix units for it, while its weights, the
        loss and the steps stay in float32 (Micikevicius et al. 2018, "Mixed precision training"). ``"full"``: never.
    seed : int
        Seeds all draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(300, ge=1)
    max_seconds: float | None = Field(None, gt=0)
    batch_size: int = Field(4, ge=1)
    patch: tuple[int, ...] = (192, 192)
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(0.99, ge=0, lt=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = Field(10, ge=0)
    freeze_norm: bool = True
    free_norm: float = Field(0.0, ge=0, le=1)
    augmentation: Augmentation | None = Augmentation()
    distillation: float = Field(0.0, ge=0)
    replay: float = Field(0.0, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1)
    depth_rate: float = Field(1.0, gt=0, le=1)
    border: float = Field(0.0, ge=0)
    dice: float = Field(0.5, ge=0)
    least_foreground: float = Field(0.0, ge=0, lt=1)
    exclusive: bool = False
    precision: Literal["auto", "full"] = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one training step came to.

    Attributes
    ----------
    step, steps : int
        Finished and planned.
    loss : float
        Loss of this step's patches.
    seconds : float
        Since the session began, pauses left out.
    note : str
        What went wrong in this step, and what was done about it.
    """

    step: int
    steps: int
    loss: float
    seconds: float
    note: str = ""
