"""A run, as its steps see it: what there is to do, where that is, and how far the run is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.cluster.opened import open_work
from napari_unet.cluster.queue import Job
from napari_unet.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_unet.cluster.run_folder import RunFolder
    from napari_unet.errors import UNetError
    from napari_unet.progress import ProgressCallback, Stopwatch

Place = tuple[int, ...]
"""Number of a plane or volume, and of a tile or a block in it."""


class Run:
    """A run: its parts have numbers.

    Parameters
    ----------
    folder : RunFolder
    watch : Stopwatch
        Runs since it began.
    progress : callable, optional
        Called with a `Progress` after every step.

    Attributes
    ----------
    task, blocks
        As workers have them.
    """

    def __init__(self, folder: RunFolder, watch: Stopwatch, progress: ProgressCallback | None) -> None:
        self.folder, self._watch, self._tell = folder, watch, progress
        opened = open_work(folder)
        self.known, self.task, self.blocks = opened.description, opened.task, opened.blocks
        self._done, self._total = 0, self.task.n_tiles + 2 * len(self.task.subimages) * len(self.blocks)

    @property
    def places(self) -> Iterator[Place]:
        """All blocks of all planes or volumes."""
        return ((one, block) for one in range(len(self.task.subimages)) for block in range(len(self.blocks)))

    def job(self, call: Callable[..., Any], place: Place, *more: Any, network: bool = False) -> Job:
        """Return a job about a place of this run."""
        return Job(call, (self.folder, *place, *more), place, network)

    def leave_out(self, steps: int = 1) -> None:
        """Count steps no more, which an earlier run has done: how long the rest takes is told by what this one does."""
        self._total -= steps

    def step(self, note: str = "", steps: int = 1) -> None:
        """Tell that a tile is computed, or that the objects or the labels of a block are there."""
        self._done += steps
        if self._tell is not None:
            self._tell(Progress(self._done, self._total, self._watch.seconds, what="steps", note=note))

    def place_of_tile(self, subimage: int, number: int) -> str:
        """Return where a tile is, in words."""
        return self._where(subimage, self.task.image_region(self.task.plan.tiles[number].region))

    def place_of_block(self, subimage: int, number: int) -> str:
        """Return where a block is, in words."""
        return self._where(subimage, self.blocks[number].region)

    def _where(self, subimage: int, region: tuple[slice, ...]) -> str:
        one = self.task.subimages[subimage]
        parts = [f"t {one.frame}"] if self.known.frames > 1 else []
        parts += [f"z {one.z}"] if one.z is not None and self.task.image.is_volume else []
        letters = "zyx"[-len(region) :]
        parts += [f"{letter} {part.start}-{part.stop - 1}" for letter, part in zip(letters, region, strict=True)]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be done: where, and why."""

    where: str
    error: UNetError


class Each:
    """A call for each of some places; see `queue.Jobs`.

    Parameters
    ----------
    run : Run
    call : callable
        A function of `work`.
    places : iterable of tuple of int
    more : callable
        Returns further arguments for a place.
    keep : callable
        Called with each place and what was returned there, in the order in which they are done.
    counts : bool
        Whether each is a step of the run.
    is_done : callable
        Whether nothing is to be done at a place: an earlier run has.
    """

    def __init__(
        self,
        run: Run,
        call: Callable[..., Any],
        places: Iterable[Place],
        more: Callable[[Place], tuple[Any, ...]] = lambda _: (),
        keep: Callable[[Place, Any], object] = lambda *_: None,
        *,
        counts: bool = True,
        is_done: Callable[[Place], bool] = lambda _: False,
    ) -> None:
        self._run, self._call, self._more, self._keep, self._counts = run, call, more, keep, counts
        self._is_done = is_done
        self._waiting = iter(places)
        self.failures: list[Failure] = []

    def take(self) -> Job | None:
        """Return the next job."""
        for place in self._waiting:
            if not self._is_done(place):
                return self._run.job(self._call, place, *self._more(place))
            self._run.leave_out(int(self._counts))
        return None

    def done(self, job: Job, value: Any) -> None:
        """Pass on what was returned."""
        self._keep(job.place, value)
        self._run.step(steps=int(self._counts))

    def failed(self, job: Job, error: UNetError) -> None:
        """Keep what went wrong."""
        where = self._run.place_of_block(*job.place) if len(job.place) == 2 else f"plane {job.place[0]} of the sample"
        self.failures.append(Failure(where, error))
