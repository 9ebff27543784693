"""Finds the suspects of an image's planes in the background: from the plane in view outward, as far as is needed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.guidance.suspects import Suspects, find_suspects, joined
from napari_unet.layers.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.guidance.walk import Plane
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.session.kept_maps import KeptMaps
    from napari_unet.layers.session.session import LayerSession

AHEAD = 50
"""Suspects after which the search rests: they keep a person busy for some minutes."""


class SuspectSearch:
    """Finds the suspects of some planes of a session, one plane after the other.

    Parameters
    ----------
    session : LayerSession
    planes : sequence of Plane
        In the order in which they are wanted.
    enough : float
        Suspects after which it ends; infinite: it goes through all planes.

    Attributes
    ----------
    job : Job
        Its own; cancelled, it finds no more.
    first : Plane
        The plane that it begins with.

    Raises
    ------
    UNetError
        If the labels no longer fit the image.

    Notes
    -----
    The worker reads the labels while the user may be painting on them; what was painted just then is left out when its
    turn comes, as all that is corrected.
    """

    def __init__(self, session: LayerSession, planes: Sequence[Plane], enough: float = AHEAD) -> None:
        self.job = Job("Look for suspects", 0, quiet=True)
        self.first = planes[0]
        self._work = partial(
            _steps,
            self.job,
            session.labels,
            session.corrections.seen,
            session.maps,
            session.middle,
            tuple(planes),
            enough,
            session.joins_slices,
        )

    def start(
        self,
        runner: Runner,
        found: Callable[[Plane, Suspects], None],
        done: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Begin; `found` is called for each plane, and in the end `done` or `failed`, in the main thread."""
        runner.start(self.job, self._work, lambda event: found(*event), lambda _: done(), failed)


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
