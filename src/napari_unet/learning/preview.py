"""Previews of a network while it learns, for those who want to see what it makes of their image by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.learning.policy import PromotionPolicy
    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """The network as it is by now."""

    model: Model


class Interval:
    """Spaces checks and previews so that they take no more than a small share of the time.

    Parameters
    ----------
    policy : PromotionPolicy
        Gives the least interval and the largest share.
    """

    def __init__(self, policy: PromotionPolicy = DEFAULT_POLICY.promotion) -> None:
        self._policy, self._seconds, self._since = policy, policy.check_interval, Stopwatch()

    @property
    def over(self) -> bool:
        """Whether it is time for another one."""
        return self._since.seconds > self._seconds

    def restart(self, took: float) -> None:
        """Begin anew after one that took so many seconds."""
        self._seconds = max(self._policy.check_interval, took / self._policy.max_check_share)
        self._since = Stopwatch()


class Previews:
    """Yields a `Preview` every few seconds.

    Parameters
    ----------
    wanted : callable, optional
        Asked whether somebody wants to see one; None: nobody ever does.
    policy : PromotionPolicy
        How often.
    """

    def __init__(
        self, wanted: Callable[[], bool] | None = None, policy: PromotionPolicy = DEFAULT_POLICY.promotion
    ) -> None:
        self._wanted, self._interval = wanted, Interval(policy)

    def of(self, model: Callable[[], Model]) -> Iterator[Preview]:
        """Yield one if it is time for it; what is done with it, until more is asked for, counts as its time."""
        if self._wanted is not None and self._interval.over and self._wanted():
            watch = Stopwatch()
            yield Preview(model())
            self._interval.restart(watch.seconds)
