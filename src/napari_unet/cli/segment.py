"""`napari-unet segment`."""

from __future__ import annotations

import math
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import check_device, check_device_name, describe_model, open_model
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, say, say_failed, stoppable
from napari_unet.cli.options import Device, Json, Series, complete_model, numbered, path_of, pixel_size_of
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.progress import counted, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_unet.inference.options import SegmentOptions
    from napari_unet.io.jobs import FileJob
    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


MAX_JOBS = 256
"""Files that may be asked for at once."""

NAMED = 3
"""Files that failed which are named in the last line; each is named with its reason before."""


class Format(StrEnum):
    """Format of label files."""

    tif = "tif"
    zarr = "zarr"


class Mode(StrEnum):
    """Tiling mode."""

    auto = "auto"
    exact = "exact"
    fast = "fast"


@app.command(epilog="Example: napari-unet segment images -o results --model nuclei --device cpu")
def segment(
    inputs: Annotated[
        list[Path],
        typer.Argument(parser=path_of, metavar="INPUT...", help="Image files, folders of them, or OME-Zarr plates."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            parser=path_of,
            metavar="PATH",
            help="File for one input; folder for several, a folder or a plate.",
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--into-image", metavar="NAME", help="Instead of -o: labels of that name in each image's OME-Zarr."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="Name or file of a model; auto: what fits each image best.", autocompletion=complete_model),
    ] = "nuclei",
    axes: Annotated[
        str | None, typer.Option(help="Axes as stored, for example ZYX. Default: what the file says.")
    ] = None,
    series: Series = None,
    channel: Annotated[
        Any, typer.Option(parser=numbered, metavar="NAME|N", help="Channel to segment: name, or number from 0.")
    ] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Micrometres: one number, or Y,X, or Z,Y,X.")] = None,
    diameter: Annotated[
        str | None, typer.Option(help="Width of the objects, in pixels; or auto: a model finds it on the image.")
    ] = None,
    device: Device = "auto",
    mode: Annotated[Mode, typer.Option(help="exact; fast: nearly the same; auto: fast if good enough.")] = Mode.auto,
    tile: Annotated[
        int | None, typer.Option(min=1, max=2**20, help="Width of the tiles; the exact result does not depend on it.")
    ] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Average over mirrored images; 4 times as long.")] = False,
    file_format: Annotated[Format | None, typer.Option("--format", help="Format of the label files.")] = None,
    maps: Annotated[bool, typer.Option(help="Also write the network's maps, as <stem>_maps.zarr.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=MAX_JOBS, help="Files at once; they share cores and memory.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="Workers of dask: local, tcp://HOST:PORT, or a scheduler's file (.json)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Do again what is finished, and replace any file but one that is read.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Segment images into label files; of a folder, what is not finished."""
    # All arguments are checked before torch is loaded, which takes seconds.
    if any(str(path) == "-" for path in inputs):
        fail("Images are not read from standard input: give a file or a folder.", 2)
    check_device_name(device)
    _check_scheduler(scheduler, jobs)
    sizes = pixel_size_of(pixel_size)
    guesses = model == "auto"
    network_file, info = (None, None) if guesses else describe_model(model)
    wide = _diameter(diameter, info)
    if mode is Mode.fast and info is not None and info.fast_mode is None:
        say(f"{info.name} has no fast mode that is good enough; going on exactly.")
    from napari_unet.inference.options import SegmentOptions

    options = SegmentOptions(axes, sizes, channel, device, mode.value, tile, maps, overwrite, wide, flips, series)
    if into is not None:
        _check_into(out, options, file_format, scheduler)
        plan = _plan_into(inputs, into)
    else:
        plan = _plan(inputs, out, file_format, network_file)
    run = _Run(plan, out, model, options, scheduler)
    stopped = ""
    try:
        with stoppable() as cancel:
            run.look(cancel)
            if run.waiting:
                run.do(jobs, cancel)
    except KeyboardInterrupt:
        stopped = run.kept()
    if as_json:
        report = run.report | {"model": info.name if info else model, "mode": mode.value}
        print_json(report | {"stopped": True} if stopped else report)
    if stopped:
        fail(f"Stopped. {stopped}", INTERRUPTED)
    run.sum_up()
    if run.failed:
        raise typer.Exit(1)


class _Run:
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
        from napari_unet.io.zarr_labels import has_labels

        if not os.path.exists(job.source):  # unlike Path.exists, False if permissions are missing
            raise FileFormatError(f"{job.source} does not exist.")
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
            say(f"{job.source.name}: done again ({standing.why}).")
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
        self._take(done, by_guess=network == "auto")

    def _do_on_cluster(self, scheduler: str, cancel: CancelToken) -> None:
        from napari_unet.cluster.by_file import segment_with_workers
        from napari_unet.cluster.connection import connected
        from napari_unet.errors import ClusterError

        jobs = [self._jobs[number] for number in self.waiting]
        begin = self._begin_with_bar if self._out is None else self._begin
        try:
            with connected(scheduler) as client:
                done = segment_with_workers(
                    client, jobs, self._model, self._options, folder=self._out, begin=begin, cancel=cancel
                )
                self._take(done, by_guess=self._model == "auto")
        except ClusterError as error:
            fail(error, 1)

    def _take(self, done: Iterable[tuple[FileJob, dict[str, Any] | UNetError]], *, by_guess: bool) -> None:
        try:
            for job, outcome in done:
                self._end(job, outcome, by_guess=by_guess)
        finally:
            if self._bar is not None:
                self._bar.end()

    def _begin(self, job: FileJob) -> None:
        self._before[self._numbers[job]] = _identity(job.target)

    def _begin_with_bar(self, job: FileJob) -> Bar:
        self._begin(job)
        self._bar = Bar(self._title(job))
        return self._bar.__enter__()

    def _title(self, job: FileJob) -> str:
        return f"[{self._numbers[job] + 1}/{len(self._jobs)}] {job.source.name}"

    def _end(self, job: FileJob, outcome: dict[str, Any] | UNetError, *, by_guess: bool) -> None:
        number, bar, self._bar = self._numbers[job], self._bar or Bar(self._title(job)), None
        if isinstance(outcome, UNetError):
            bar.end()
            self.failed[number] = say_failed(outcome, job.source)
            return
        seen = _scale_in_words(outcome["diameter"], outcome["zoom"])
        found = counted(outcome["n_objects"], "object")
        by = f" by {outcome['model']}" if by_guess else ""
        bar.end(f"{found}{by}{seen} in {format_seconds(outcome['seconds'])}, written to {job.target}")
        job.inputs.add(job.target, "a result of this run")
        self._results[number] = outcome
        for note in [*outcome["notes"], *([outcome["note"]] if outcome["note"] else [])]:
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
        parts = [f"{len(self._results)} segmented"]
        if self._finished:
            parts.append(f"{len(self._finished)} finished before")
        if self.failed:
            names = [self._jobs[number].source.name for number in sorted(self.failed)]
            parts.append(f"{len(names)} failed ({', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''})")
        say(f"{counted(len(self._jobs), 'image')}: {', '.join(parts)}.")

    def kept(self) -> str:
        """Return, for a run that was stopped, which results exist."""
        from napari_unet.cluster.run_folder import around, is_begun

        begun = [(self._jobs[number], before) for number, before in self._before.items()]
        done = [job for job, before in begun if _identity(job.target) not in (None, before)]
        failed = [self._jobs[number] for number in self.failed]
        divided = [around(job.target).name for job, _ in begun if is_begun(job.target) and job not in failed]
        if divided:
            return f"What is finished is kept in {divided[0]}. Run the same command again to go on."
        rest = [job.source.name for job, _ in begun if job not in done and job not in failed]
        said = [f"Kept: {counted(len(done), 'result')}, the last of them {done[-1].target}."] if done else []
        said += [f"Nothing was written of {' and '.join(rest)}."] if rest else [] if done else ["Nothing was written."]
        return " ".join([*said, *(["Run the same command again to go on."] if self._folder is not None else [])])


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a version of a file; None: it does not exist."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns


def _plan(inputs: Sequence[Path], out: Path | None, file_format: Format | None, network: Path | None) -> list[FileJob]:
    """Return which file is segmented into which, or exit with a message about names."""
    if out is None:
        fail("Where do the labels go? Give -o a file or a folder, or --into-image a name.", 2)
    from napari_unet.io.jobs import check_ending, is_several, plan_files

    asked: Literal["tif", "zarr"] | None = file_format.value if file_format else None
    try:
        check_ending(out, asked, several=is_several(inputs))
    except FileFormatError as error:
        fail(error, 2)
    try:
        return plan_files(inputs, out, asked, keep=_models_kept(network), tell=say)
    except FileFormatError as error:
        fail(error, 1)


def _check_into(out: Path | None, options: SegmentOptions, file_format: Format | None, scheduler: str | None) -> None:
    """Exit with a message about options that do not go with labels in their images."""
    if scheduler is not None:
        fail("With --scheduler labels go to -o, not into their images. Leave out --into-image or --scheduler.", 2)
    if out is not None:
        fail("Labels go to -o, or into each image by --into-image: leave one of them out.", 2)
    for name, given in {"maps": options.maps, "overwrite": options.overwrite, "format": file_format}.items():
        if given:
            fail(f"--{name} goes with -o only. Labels in an image are never replaced: give --into-image a new name.", 2)


def _plan_into(inputs: Sequence[Path], name: str) -> list[FileJob]:
    """Return which images get labels of a name, or exit with a message about names."""
    from napari_unet.io.jobs import plan_into

    try:
        return plan_into(inputs, name, tell=say)
    except FileFormatError as error:
        fail(error, 1)


def _models_kept(network: Path | None) -> list[Path]:
    """Return the model files that no result may be written over."""
    from napari_unet.models.store import list_models

    return [entry.path for entry in list_models()] if network is None else [network]


def _check_scheduler(scheduler: str | None, at_once: int) -> None:
    """Exit with a message if there cannot be such a scheduler, or another option contradicts it."""
    if scheduler is None:
        return
    from napari_unet.cluster.connection import check_address

    if at_once > 1:
        fail("Leave out --jobs: with --scheduler as many files are done at once as there are workers.", 2)
    try:
        check_address(scheduler)
    except UNetError as error:
        fail(error, 2)


def _diameter(text: str | None, info: ModelInfo | None) -> float | Literal["auto"] | None:
    if text is None:
        return None
    try:
        diameter = None if text == "auto" else float(text)
    except ValueError:
        diameter = 0.0
    if diameter is not None and not 0 < diameter < math.inf:
        fail(f"--diameter takes a positive number of pixels, for example 30, or auto; got {text}.", 2)
    if info is not None and info.diameter is None:
        fail(
            f"The model {info.name!r} does not know how wide the objects are that it finds, so --diameter says "
            "nothing. Leave it out, or give --pixel-size.",
            2,
        )
    if diameter is not None:
        _check_as_image(diameter)
        return diameter
    if info is None:
        fail("With --model auto give --diameter a number, or leave it out: it is found where a model can.", 2)
    if not info.finds_diameter:
        fail(f"The model {info.name!r} cannot find out how wide objects are. Give --diameter a number.", 2)
    return "auto"


def _check_as_image(diameter: float) -> None:
    """Exit with a message if `Image` does not accept the diameter."""
    import numpy as np

    from napari_unet.axes import Image

    try:
        Image(np.zeros((1, 1), np.uint8), "YX", diameter=diameter)
    except UNetError as error:
        fail(f"--diameter: {error}", 2)


def _scale_in_words(diameter: float | None, zoom: list[float]) -> str:
    from napari_unet.inference.scale import is_rescaled

    if diameter is None or not is_rescaled(zoom):
        return ""
    times = f"{1 / zoom[-1]:.1f} times smaller" if zoom[-1] < 1 else f"{zoom[-1]:.1f} times larger"
    return f" of about {diameter:.0f} pixels, made {times},"
