"""Many files with the workers of a cluster, each by one worker."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.cluster.allocation import keep_freed_memory
from napari_unet.cluster.by_blocks import segment_by_blocks
from napari_unet.cluster.queue import Job, Workers, not_seen
from napari_unet.errors import Cancelled, ClusterError, UNetError
from napari_unet.inference.files import segment_file
from napari_unet.inference.resume import ResultFolder
from napari_unet.io.jobs import FileJob
from napari_unet.models.store import AUTO, find_model, load_ahead, shipped_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_unet.inference.folder import Outcome
    from napari_unet.inference.options import SegmentOptions
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken, ProgressCallback


def segment_with_workers(
    client: Any,
    jobs: Sequence[FileJob],
    model: str,
    options: SegmentOptions,
    *,
    folder: Path | None = None,
    begin: Callable[[FileJob], ProgressCallback | None] | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[tuple[FileJob, Outcome]]:
    """Segment files with the workers of a cluster, and yield what has become of each when it is done.

    A single image whose labels are a Zarr folder of their own is divided among all workers (`segment_by_blocks`); of
    others each is done by one.

    Parameters
    ----------
    client : distributed.Client
        Its workers have to see all files under the same paths as this machine.
    jobs : sequence of FileJob
        As for `inference.folder.segment_files`.
    model : str
        Name or file of the model, or "auto".
    options : SegmentOptions
        `device` is that of each worker.
    folder : Path, optional
        Folder of results where these are put on record (`inference.resume.ResultFolder`).
    begin : callable, optional
        Called with each file when it is given out; it may return what is called with the progress of a divided image.
    cancel : CancelToken, optional
        Stops the run, with `Cancelled`. What is finished is kept.

    Yields
    ------
    job : FileJob
        In the order in which they are done.
    outcome : dict or UNetError
        The report of a file (`inference.files.segment_file`), or why it could not be segmented.
    """
    if folder is None and len(jobs) == 1 and jobs[0].as_zarr:
        progress = begin(jobs[0]) if begin is not None else None
        outcome: Outcome
        try:
            outcome = segment_by_blocks(client, jobs[0], model, options, progress=progress, cancel=cancel)
        except Cancelled:
            raise
        except UNetError as error:
            outcome = error
        yield jobs[0], outcome
        return
    named = (
        model if model == AUTO or find_model(model).parent == shipped_folder() else str(find_model(model).absolute())
    )
    files = _Files(jobs, named, options, folder, begin)
    for _ in Workers(client, cancel).steps(files):
        while files.ended:
            yield files.ended.popleft()


class _Files:
    """One job for each file; see `queue.Jobs`."""

    def __init__(
        self,
        jobs: Sequence[FileJob],
        model: str,
        options: SegmentOptions,
        folder: Path | None,
        begin: Callable[[FileJob], ProgressCallback | None] | None,
    ) -> None:
        self._jobs, self._waiting = jobs, deque(range(len(jobs)))
        self._more = model, options, None if folder is None else folder.absolute()
        self._begin = begin
        self._before: dict[int, tuple[int, int] | None] = {}
        self.ended: deque[tuple[FileJob, Outcome]] = deque()

    def take(self) -> Job | None:
        """Return the next file."""
        if not self._waiting:
            return None
        number = self._waiting.popleft()
        job = self._jobs[number]
        if self._begin is not None:
            self._begin(job)
        self._before[number] = job.version
        names = job.source.absolute(), job.target.absolute()
        return Job(segment_one, (*names, *self._more), (number,), network=True, own=True)

    def done(self, job: Job, value: dict[str, Any]) -> None:
        """Pass on the report of a file, with the names that were given, if its result is seen here."""
        file = self._jobs[job.place[0]]
        if _is_written(file, self._before[job.place[0]]):
            self.ended.append((file, value | {"input": str(file.source), "output": str(file.target)}))
        else:
            self.failed(job, ClusterError(
                f"The workers write {file.target.name} where this machine does not see it. "
                "Give a folder that all of them share."
            ))  # fmt: skip

    def failed(self, job: Job, error: UNetError) -> None:
        """Pass on why a file could not be segmented."""
        self.ended.append((self._jobs[job.place[0]], error))


def _is_written(file: FileJob, before: tuple[int, int] | None) -> bool:
    """Return whether there are labels now, and not those of before.

    A machine remembers for a while what was in a folder of another one; writing there has it look again.
    """
    if file.version in (None, before):
        with suppress(OSError), TemporaryFile(dir=file.target.parent):
            pass
    return file.version not in (None, before)


def segment_one(source: Path, target: Path, model: str, options: SegmentOptions, folder: Path | None) -> dict[str, Any]:
    """Segment one file in a worker, which keeps the model for the next one."""
    import dask

    if not source.exists():
        raise not_seen(source, "Images")
    if os.path.isabs(model) and not os.path.exists(model):  # else it is one that came with the program
        raise not_seen(Path(model), "Models")
    keep_freed_memory()
    network: Model | Literal["auto"] = "auto" if model == AUTO else load_ahead(model)
    job, ready = FileJob(source, target), None
    if folder is not None:
        ready = ResultFolder(folder, model, options).begin(job)
        options = replace(options, overwrite=True)  # what it replaces is known to be a result of this program
    with dask.config.set(scheduler="threads"):  # else a worker would give what it reads to other workers
        return segment_file(job, network, options, ready=ready)
