"""Files that `napari-unet segment` segments: what is to be done, what was done, and what is said of it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.cli.checks import check_device, open_model
from napari_unet.cli.messages import Bar, fail, say, say_failed
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.progress import Progress, Stopwatch, counted, first_names, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_unet.inference.options import SegmentOptions
    from napari_unet.io.jobs import FileJob
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


class SegmentRun:
    """Files that are to be segmented.

    Parameters
    ----------
    jobs : sequence of FileJob
    out : Path, optional
        What was given for the results; None: they go into their images.
    model : str
        Name or file of the model, or "auto".
    options : SegmentOptions
    scheduler : str, optional
        Whose workers do the work; None: this machine does it.

    Attributes
    ----------
    waiting : list of int
        Indices of the jobs that are to be done.
    failed : dict
        Index of a job -> why it failed.
    """

    def __init__(
        self,
        jobs: Sequence[FileJob],
        out: Path | None,
        model: str,
        options: SegmentOptions,
        scheduler: str | None = None,
    ) -> None:
        from napari_unet.inference.resume import ResultFolder

        self._jobs, self._options, self._model, self._scheduler = jobs, options, model, scheduler
        in_folder = out is not None and all(job.target.parent == out for job in jobs)
        self._out = out if in_folder else None
        self._folder = ResultFolder(out, model, options) if out is not None and in_folder else None
        if scheduler is not None and self._folder is None and not jobs[0].as_zarr:
            fail("With --scheduler the labels of one image are a Zarr folder: give -o a name that ends in .zarr.", 2)
        self._numbers = {job: number for number, job in enumerate(jobs)}
        self._before: dict[int, tuple[int, int] | None] = {}  # of each job that was begun, what its result was
        self._results: dict[int, dict[str, Any]] = {}
        self._finished: list[int] = []
        self._bar: Bar | None = None
        self.waiting: list[int] = []
        self.failed: dict[int, str] = {}

    def look(self, cancel: CancelToken) -> None:
        """Find out what is to be done, and what cannot be; no image is opened."""
        if self._folder is not None and any(os.path.lexists(job.target) for job in self._jobs):
            say("There are results of an earlier run; what is finished is left as it is.")
        for number, job in enumerate(self._jobs):
            cancel.check()
            try:
                self._look(number, job)
            except FileFormatError as error:
                self.failed[number] = say_failed(error, job.source)

    def _look(self, number: int, job: FileJob) -> None:
        from napari_unet.io.readers import check_exists
        from napari_unet.io.zarr_labels import has_labels

        check_exists(job.source)
        if job.problem:
            raise FileFormatError(job.problem)
        if job.into and has_labels(job.source, job.target.name):
            self._finished.append(number)
            say(f"{job.source} has labels called {job.target.name!r} already; they are left as they are.")
            return
        if self._folder is None:
            job.check(maps=self._options.maps, overwrite=self._options.overwrite)
            self.waiting.append(number)
            return
        standing = self._folder.standing(job)
        if standing.why:
            say(f"{job.name}: done again ({standing.why}).")
        if not standing.finished:
            self.waiting.append(number)
            return
        self._finished.append(number)
        self._folder.tidy(job)
        job.inputs.add(job.target, "a result that is finished")
        if standing.note:
            say(standing.note)
        if standing.damage:
            self.failed[number] = standing.damage
            say(standing.damage)

    def do(self, at_once: int, cancel: CancelToken) -> None:
        """Segment what is to be done, on this machine or with the workers of a scheduler."""
        if self._scheduler is None:
            self._do_here(at_once, cancel)
        else:
            self._do_on_cluster(self._scheduler, cancel)

    def _do_here(self, at_once: int, cancel: CancelToken) -> None:
        check_device(self._options.device)
        from napari_unet.inference.folder import segment_files

        network: Model | Literal["auto"] = "auto" if self._model == "auto" else open_model(self._model)
        jobs = [self._jobs[number] for number in self.waiting]
        begin = self._begin_with_bar if at_once == 1 or len(jobs) == 1 else self._begin
        done = segment_files(
            jobs, network, self._options, results=self._folder, at_once=at_once, begin=begin, cancel=cancel
        )
        self._take(done)

    def _do_on_cluster(self, scheduler: str, cancel: CancelToken) -> None:
        from napari_unet.cluster.by_file import segment_with_workers
        from napari_unet.cluster.connection import connected, watched
        from napari_unet.errors import ClusterError

        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is told in a sentence
        jobs = [self._jobs[number] for number in self.waiting]
        begin = self._begin_with_bar if self._out is None else self._begin
        try:
            with connected(scheduler, cancel=cancel) as client, watched(client, self._tell):
                done = segment_with_workers(
                    client, jobs, self._model, self._options, folder=self._out, begin=begin, cancel=cancel
                )
                self._take(done)
        except ClusterError as error:
            say(str(error))  # the details are dask's words
            ended = self._results.keys() | self.failed.keys()
            self.failed |= {number: str(error) for number in self.waiting if number not in ended}

    def _take(self, done: Iterable[tuple[FileJob, dict[str, Any] | UNetError]]) -> None:
        so_far, watch = Bar("So far"), Stopwatch()  # not begun: it tells by a line now and then
        try:
            for number, (job, outcome) in enumerate(done, 1):
                self._end(job, outcome)
                if number < len(self.waiting):
                    so_far(Progress(number, len(self.waiting), watch.seconds, "files"))
        finally:
            if self._bar is not None:
                self._bar.end()

    def _begin(self, job: FileJob) -> None:
        self._before[self._numbers[job]] = job.version

    def _begin_with_bar(self, job: FileJob) -> Bar:
        self._begin(job)
        self._bar = Bar(self._title(job))
        return self._bar.__enter__()

    def _tell(self, text: str) -> None:
        """Say something, above the bar if there is one."""
        if self._bar is not None:
            self._bar.line(text)
        else:
            say(text)

    def _title(self, job: FileJob) -> str:
        return f"[{self._numbers[job] + 1}/{len(self._jobs)}] {job.name}"

    def _end(self, job: FileJob, outcome: dict[str, Any] | UNetError) -> None:
        number, bar, self._bar = self._numbers[job], self._bar or Bar(self._title(job)), None
        if isinstance(outcome, UNetError):
            bar.end()
            self.failed[number] = say_failed(outcome, job.source)
            return
        seen = _scale_in_words(outcome["diameter"], outcome["zoom"])
        found = counted(outcome["n_objects"], "object")
        by = f" by {outcome['model']}" if self._model == "auto" else ""
        bar.end(f"{found}{by}{seen} in {format_seconds(outcome['seconds'])}, written to {job.target}")
        job.inputs.add(job.target, "a result of this run")
        self._results[number] = outcome
        for note in filter(None, (*outcome["notes"], outcome["note"])):
            say(note)
        if outcome["damaged"]:
            self.failed[number] = outcome["note"]

    @property
    def report(self) -> dict[str, Any]:
        """Plain values of what was done, was finished before, and failed."""
        source = [str(job.source) for job in self._jobs]
        return {
            "results": [self._results[number] for number in sorted(self._results)],
            "finished": [source[number] for number in self._finished],
            "failed": [{"input": source[number], "error": self.failed[number]} for number in sorted(self.failed)],
        }

    def sum_up(self) -> None:
        """Say of several files how many were done, finished before, and failed."""
        if len(self._jobs) == 1:
            return
        done = self._results.keys() | set(self._finished)
        parts = [f"{len(self._results)} segmented"]
        if self._finished:
            parts.append(f"{len(self._finished)} finished before")
        for what, numbers in ("damaged", self.failed.keys() & done), ("failed", self.failed.keys() - done):
            if numbers:
                names = [self._jobs[number].name for number in sorted(numbers)]
                parts.append(f"{len(names)} {what} ({first_names(names)})")
        say(f"{counted(len(self._jobs), 'image')}: {', '.join(parts)}.")

    def kept(self) -> str:
        """Return, for a run that was stopped, which results exist."""
        from napari_unet.cluster.run_folder import around, is_begun

        begun = [(self._jobs[number], before) for number, before in self._before.items()]
        done = [job for job, before in begun if job.version not in (None, before)]
        failed = [self._jobs[number] for number in self.failed]
        divided = [around(job.target).name for job, _ in begun if is_begun(job.target) and job not in failed]
        if divided:
            return f"What is finished is kept in {divided[0]}. Run the same command again to go on."
        rest = [job.name for job, _ in begun if job not in done and job not in failed]
        said = [f"Kept: {counted(len(done), 'result')}, the last of them {done[-1].target}."] if done else []
        said += [f"Not finished: {first_names(rest)}."] if rest else [] if done else ["Nothing was written."]
        return " ".join([*said, *(["Run the same command again to go on."] if self._folder is not None else [])])


def _scale_in_words(diameter: float | None, zoom: list[float]) -> str:
    from napari_unet.inference.scale import in_words, is_rescaled

    if diameter is None or not is_rescaled(zoom):
        return ""
    return f" of about {diameter:.0f} pixels, made {in_words(zoom[-1])},"
