"""Checks of a network while it learns, and when it has learned, on held-out regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.learning.comparison import Comparison, compare
from napari_unet.learning.held_out import predict_regions
from napari_unet.learning.preview import Interval
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from napari_unet.learning.held_out import HeldOutRegion
    from napari_unet.learning.policy import Policy
    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True)
class Checked:
    """How the network does, while it learns, on the held-out regions.

    Attributes
    ----------
    step : int
    comparison : Comparison
        With the model that learning began with.
    stale_seconds : float
        Since it was last better than ever.
    """

    step: int
    comparison: Comparison
    stale_seconds: float


class HeldOutCheck:
    """Compares what is being learned with the model that it began with, on the same held-out regions.

    Parameters
    ----------
    model : Model
        The one that learning began with.
    regions : sequence of HeldOutRegion
    device : torch.device
        Where networks run.
    policy : Policy

    Attributes
    ----------
    seconds : float
        How long it took to segment the regions with that model, and so about how long a check takes; 0: not known yet.
    """

    def __init__(self, model: Model, regions: Sequence[HeldOutRegion], device: torch.device, policy: Policy) -> None:
        self._model, self._regions, self._device, self._policy = model, regions, device, policy
        self._before: tuple[NDArray[np.int32], ...] = ()
        self._best, self._since_best = -1.0, Stopwatch()
        self._interval = Interval(policy.promotion)
        self.seconds = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for another check."""
        return bool(self._regions) and self._interval.over

    def prepare(self) -> None:
        """Segment the regions with the model that learning began with, once."""
        if self._regions and not self._before:
            watch = Stopwatch()
            self._before = predict_regions(self._regions, self._model, self._device, before=True)
            self.seconds = watch.seconds

    def check(self, now: Model, step: int) -> Checked:
        """Return how well the network does after a step."""
        watch = Stopwatch()
        comparison = self.compare(now)
        assert comparison is not None  # there are regions, or it would not have been due
        if comparison.after > self._best:
            self._best, self._since_best = comparison.after, Stopwatch()
        self._interval.restart(watch.seconds)
        return Checked(step, comparison, self._since_best.seconds)

    def compare(self, other: Model) -> Comparison | None:
        """Compare another model; None where nothing is held out."""
        if not self._regions:
            return None
        self.prepare()
        after, instances = predict_regions(self._regions, other, self._device), self._model.info.finds_objects
        return compare(self._regions, self._before, after, instances=instances, policy=self._policy)
