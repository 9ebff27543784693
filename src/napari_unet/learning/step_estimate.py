"""How many steps of learning there is time for on this machine: told before, where they are too few to teach much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.learning.domain_shift import has_new_domain
from napari_unet.learning.finetune import finetune_config
from napari_unet.learning.from_scratch import from_scratch_config
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model, resolve_device
from napari_unet.nets.geometry import input_size
from napari_unet.progress import counted
from napari_unet.tiling.throughput import learning_throughput_of, throughput_of

if TYPE_CHECKING:
    from napari_unet.learning.policy import DurationPolicy, Policy
    from napari_unet.training.config import TrainingConfig

_EXACT = 20
"""Steps from which on they are told in tens: it is an estimate."""


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """What a time limit comes to.

    Attributes
    ----------
    steps : int
        Training steps, about.
    enough : float or None
        Seconds that would be enough; None: these are.
    """

    steps: int
    enough: float | None = None

    def __str__(self) -> str:
        about = counted(self.steps if self.steps < _EXACT else round(self.steps, -1), "step")
        if self.enough is None:
            return f"About {about} on this computer."
        return f"Only about {about} on this computer; {self.enough:.0f} s would be enough."


def step_estimate(
    model: Model, limit: float, device: str = "auto", policy: Policy = DEFAULT_POLICY
) -> StepEstimate | None:
    """Return how many steps there is time for; None where nothing is known yet of this network on this device.

    Parameters
    ----------
    model : Model
        Where learning would begin.
    limit : float
        Seconds that learning may take, with all that is done before and after the steps.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    policy : Policy

    Notes
    -----
    Networks of the same shape have learned on this device before, while the program ran, or have segmented: see
    `tiling.throughput`. It is a guess, and may be off by a third.

    Examples
    --------
    >>> estimate = step_estimate(model, 15.0)  # doctest: +SKIP
    >>> str(estimate)  # doctest: +SKIP
    'Only about 8 steps on this computer; 60 s would be enough.'
    """
    config = _config(model, policy)
    each = _seconds_per_step(model, config, str(resolve_device(device)), policy.duration)
    return None if each is None else steps_in(limit, each, config.steps, policy.duration)


def steps_in(limit: float, each: float, most: int, policy: DurationPolicy = DEFAULT_POLICY.duration) -> StepEstimate:
    """Return how many steps of `each` seconds there are in a limit, with what else learning does.

    Parameters
    ----------
    limit : float
        Seconds.
    each : float
        Seconds that a step takes.
    most : int
        Steps after which learning ends in any case.
    policy : DurationPolicy
    """
    training = max(limit - policy.other_steps * each, limit / 2)  # half is for training in any case
    steps = max(1, min(most, math.floor(training / each)))  # one is always made
    wanted = min(policy.min_steps, most)
    return StepEstimate(steps, None if steps >= wanted else enough_seconds(wanted, each, policy))


def enough_seconds(steps: int, each: float, policy: DurationPolicy = DEFAULT_POLICY.duration) -> float:
    """Return a limit in which there is time for so many steps of `each` seconds, in numbers that people choose."""
    return policy.rounding * math.ceil((steps + policy.other_steps) * each / policy.rounding)


def _config(model: Model, policy: Policy) -> TrainingConfig:
    """Return the settings that a model is likely to learn with: what is corrected is not known yet."""
    if model.info.is_from_scratch:
        return from_scratch_config(model, policy)
    # Errors change the rate alone; without them it would be asked of the base data, which takes time to read.
    return finetune_config(model, out_of_domain=has_new_domain(model.info), many_errors=True)


def _seconds_per_step(model: Model, config: TrainingConfig, device: str, policy: DurationPolicy) -> float | None:
    """Return what a step takes: as measured while this network learned, else by what it took to segment."""
    spec = model.info.spec
    pixels = config.batch_size * math.prod(input_size(spec, n, axis) for axis, n in enumerate(config.patch))
    if learned := learning_throughput_of(spec, device).per_second:
        return pixels / learned
    segmented = throughput_of(spec, device, True).per_second or throughput_of(spec, device, False).per_second
    passes = policy.passes + (config.distillation > 0)
    return passes * pixels / segmented if segmented else None
