"""Finds the suspects of an image's planes in the background: from the plane in view outward, as far as is needed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.guidance.suspects import Suspects, find_suspects, joined
from napari_unet.layers.jobs import PresentJob

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.guidance.walk import Plane
    from napari_unet.layers.jobs import Job, Runner
    from napari_unet.layers.session.kept_maps import KeptMaps
    from napari_unet.layers.session.session import LayerSession

AHEAD = 50
"""Suspects after which the search rests: they keep a person busy for some minutes."""


class SuspectSearch:
    """Finds the suspects of some planes of a session, one plane after the other; one search at a time.

    Parameters
    ----------
    runner : Runner
        Where it is done.

    Notes
    -----
    The worker reads the labels while the user may be painting on them; what was painted just then is left out when its
    turn comes, as all that is corrected.
    """

    def __init__(self, runner: Runner) -> None:
        self._job = PresentJob(runner)
        self._first: Plane | None = None

    @property
    def busy(self) -> bool:
        """Whether suspects are being looked for."""
        return self._job.busy

    def begins_with(self, plane: Plane) -> bool:
        """Return whether a search is under way that has begun, or begins, with a plane."""
        return self.busy and plane == self._first

    def start(
        self,
        session: LayerSession,
        planes: Sequence[Plane],
        enough: float,
        found: Callable[[Plane, Suspects], None],
        done: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Begin; the search before this one is dropped.

        Parameters
        ----------
        session : LayerSession
        planes : sequence of Plane
            In the order in which they are wanted.
        enough : float
            Suspects after which it ends; infinite: it goes through all planes.
        found : callable
            Called with each plane and its suspects, in the main thread.
        done, failed : callable
            One of them is called in the end, in the main thread.

        Raises
        ------
        UNetError
            If the labels no longer fit the image.
        """
        self.stop()
        labels, seen = session.labels, session.corrections.seen
        job, self._first = self._job.begin("Look for suspects"), planes[0]
        in_depth = session.joins_slices
        steps = partial(_steps, job, labels, seen, session.maps, session.middle, tuple(planes), enough, in_depth)
        self._job.run(job, steps, lambda _: done(), failed, lambda event: found(*event))

    def stop(self) -> None:
        """Look for nothing more."""
        self._job.stop()


def _steps(
    job: Job,
    labels: NDArray[Any],
    seen: NDArray[np.bool_],
    maps: KeptMaps,
    middle: tuple[float, float],
    planes: Sequence[Plane],
    enough: float,
    in_depth: bool,
) -> Generator[tuple[Plane, Suspects], None, None]:
    """Yield planes and their suspects (worker); `labels` and `seen` have the axes (T, Z, Y, X)."""
    found = 0
    for plane in planes:
        if job.cancel.cancelled or found >= enough:
            return
        suspects = _of_plane(labels, seen, maps, middle, plane, in_depth)
        found += suspects.likely()
        yield plane, suspects


def _of_plane(
    labels: NDArray[Any],
    seen: NDArray[np.bool_],
    maps: KeptMaps,
    middle: tuple[float, float],
    plane: Plane,
    in_depth: bool,
) -> Suspects:
    """Return the suspects of one plane, by the maps as far as these were kept."""
    frame, z = plane
    here = np.array(labels[plane])
    beside = [labels[frame, other] for other in (z - 1, z + 1) if in_depth and 0 <= other < labels.shape[1]]
    near = [
        labels[other, z] if 0 <= other < labels.shape[0] and seen[other, z].any() else None
        for other in (frame - 1, frame + 1)
    ]
    y, x = (min(max(0, round(at)), size - 1) for at, size in zip(middle, here.shape, strict=True))
    kept = maps.part_at(frame, (z, y, x))
    if kept is None:
        return find_suspects(here, beside=beside, before=near[0], after=near[1])
    rows, columns = box = kept.region[1:]
    part = find_suspects(
        here[box],
        kept.maps.plane(z - kept.region[0].start),
        beside=[other[box] for other in beside],
        before=None if near[0] is None else near[0][box],
        after=None if near[1] is None else near[1][box],
    )
    if (rows.stop - rows.start, columns.stop - columns.start) == here.shape:
        return part
    # A part of the plane was segmented: what lies elsewhere is judged by size and shape.
    rest = find_suspects(here, beside=beside, before=near[0], after=near[1])
    return joined(part.shifted(rows.start, columns.start), rest)
