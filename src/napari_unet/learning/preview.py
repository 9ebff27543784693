"""Looks at a network while it learns, for those who want to see what it makes of their image by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.models.model import Model

PREVIEW_EVERY = 5.0
"""Least seconds between two looks; longer where a look takes long."""

MAX_PREVIEW_SHARE = 0.15
"""Most of the time that looks may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """The network as it is by now."""

    model: Model


class Previews:
    """Yields a `Preview` every few seconds.

    Parameters
    ----------
    wanted : callable, optional
        Asked whether somebody wants to see one; None: nobody ever does.
    """

    def __init__(self, wanted: Callable[[], bool] | None = None) -> None:
        self._wanted = wanted
        self._since, self._pause = Stopwatch(), PREVIEW_EVERY

    def of(self, model: Callable[[], Model]) -> Iterator[Preview]:
        """Yield one if it is time for it; what is done with it, until more is asked for, counts as the look."""
        if self._wanted is not None and self._since.seconds > self._pause and self._wanted():
            watch = Stopwatch()
            yield Preview(model())
            self._pause, self._since = max(PREVIEW_EVERY, watch.seconds / MAX_PREVIEW_SHARE), Stopwatch()
