"""The command line: everything that the window does, without one.

Exit status: 0 all done; 1 some inputs failed, each named with its reason; 2 wrong usage. With --json the last line on
standard output is one JSON object; progress and messages go to standard error.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from napari_unet.axes import PixelSize
from napari_unet.errors import FileFormatError, ModelFileError, UNetError
from napari_unet.progress import Progress, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.models.model import Model

app = typer.Typer(
    name="napari-unet",
    help="Segment microscopy images with U-Nets, train them, and score the results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


class Format(StrEnum):
    """Of label files."""

    tif = "tif"
    zarr = "zarr"


class Mode(StrEnum):
    """Of tiling."""

    auto = "auto"
    exact = "exact"
    fast = "fast"


class TaskName(StrEnum):
    """What labels mean."""

    instances = "instances"
    semantic = "semantic"


class ScoreTask(StrEnum):
    """What is scored."""

    instances = "instances"
    semantic = "semantic"
    membranes = "membranes"


class Kind(StrEnum):
    """Of new networks."""

    unet2d = "unet2d"
    unet3d = "unet3d"
    unet2015 = "unet2015"


@app.command()
def segment(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File for one input; folder for several or for a folder.")],
    model: Annotated[str, typer.Option(help="Name or file of a model.")] = "nuclei",
    axes: Annotated[
        str | None, typer.Option(help="Axes as stored, for example ZYX. Default: what the file says.")
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Channel to segment, from 0.")] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Micrometres: one number, or Y,X, or Z,Y,X.")] = None,
    device: Device = "auto",
    mode: Annotated[Mode, typer.Option(help="exact; fast: nearly the same, as measured.")] = Mode.auto,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Width of the tiles; the exact result does not depend on it.")
    ] = None,
    file_format: Annotated[Format | None, typer.Option("--format", help="Of the label files.")] = None,
    maps: Annotated[bool, typer.Option(help="Also write the network's maps, as <stem>_maps.zarr.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
    as_json: Json = False,
) -> None:
    """Segment images into label files."""
    from napari_unet.batch import SegmentOptions, plan_files, segment_file

    network = _load_model(model)
    _check_device(device)
    if mode is Mode.fast and network.info.fast is None:
        _say(f"{network.name} has no fast mode that is good enough; going on exactly.")
    options = SegmentOptions(axes, _pixel_size(pixel_size), channel, device, mode.value, tile, maps, overwrite)
    try:
        jobs = plan_files(inputs, out, file_format.value if file_format else None)
    except FileFormatError as error:
        _fail(str(error), 1)
    results, failed = [], []
    for number, job in enumerate(jobs, start=1):
        bar = _Bar(f"[{number}/{len(jobs)}] {job.source.name}")
        try:
            report = segment_file(job, network, options, bar)
        except UNetError as error:
            bar.end()
            failed.append({"input": str(job.source), "error": str(error)})
            _say(str(error) if job.source.name in str(error) else f"{job.source}: {error}")
            continue
        bar.end(f"{report['n_objects']} objects in {format_seconds(report['seconds'])}, written to {job.target}")
        results.append(report)
    if as_json:
        _print_json({"results": results, "failed": failed, "model": network.name, "mode": mode.value})
    if failed:
        raise typer.Exit(1)


@app.command()
def train(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    labels: Annotated[Path, typer.Option(help="Folder of label images of the same names.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Model file to write (.safetensors).")],
    val_images: Annotated[Path | None, typer.Option(help="Folder of images that are only scored.")] = None,
    val_labels: Annotated[Path | None, typer.Option(help="Their labels.")] = None,
    base: Annotated[str | None, typer.Option(help="Name or file of the model to begin with.")] = None,
    new: Annotated[Kind | None, typer.Option(help="Begin with an untrained network of this kind.")] = None,
    task: Annotated[TaskName, typer.Option(help="For --new: object ids, or classes.")] = TaskName.instances,
    ignore_label: Annotated[int | None, typer.Option(help="Pixels of this value are not learned from.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long (default 10, unless --steps).")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Train for so many steps.")] = None,
    seed: Annotated[int, typer.Option(help="Seeds weights and draws.")] = 0,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model file.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on labelled images."""
    from napari_unet.fastmode import with_fast_mode
    from napari_unet.io.atomic import check_writable
    from napari_unet.io.pairs import match_by_stem
    from napari_unet.io.readers import read_image, read_labels
    from napari_unet.learning.finetune import validation_score
    from napari_unet.learning.train import new_model, train_steps, training_config
    from napari_unet.models.checkpoint import save_model_file
    from napari_unet.models.model import Model

    if (base is None) == (new is None):
        _fail("Give either --base, a model to begin with, or --new, a kind of network to begin from nothing.", 2)
    if (val_images is None) != (val_labels is None):
        _fail("--val-images and --val-labels belong together.", 2)
    if out.suffix != ".safetensors":
        _fail(f"The model file must end in .safetensors; got {out.name!r}, for example {out.stem}.safetensors.", 2)
    if minutes is not None and minutes <= 0:
        _fail(f"--minutes must be more than 0; got {minutes}.", 2)
    if out.exists() and not overwrite:
        _fail(f"{out} exists already; with --overwrite it is replaced.", 1)
    _check_device(device)
    begin = _load_model(base) if base is not None else None
    seconds = 60 * minutes if minutes is not None else (None if steps is not None else 600.0)
    bar = _Bar("training")
    try:
        check_writable(out)
        pictures, truths = _read_pairs(match_by_stem(images, labels), read_image, read_labels)
        validation = None
        if val_images is not None and val_labels is not None:
            validation = _read_pairs(match_by_stem(val_images, val_labels), read_image, read_labels)
        if begin is None:
            assert new is not None  # one of the two was given
            shown = [t if ignore_label is None else t * (t != ignore_label) for t in truths]
            begin = new_model(new.value, task.value, pictures, shown, seed)
        config = training_config(begin, scratch=base is None, steps=steps, max_seconds=seconds, seed=seed)
        run = train_steps(begin, pictures, truths, config, ignore_label=ignore_label, device=device)
        losses: list[float] = []
        while True:
            try:
                report = next(run)
            except StopIteration as end:
                trained: Model = end.value
                break
            losses.append(report.loss)
            bar(_training_progress(report.step, report.steps, report.seconds, seconds, losses))
        bar.end()
        scores: dict[str, float] = {}
        if validation is not None:
            scores["validation"] = round(validation_score(trained, *validation, device=device), 4)
        info = trained.info.model_copy(update={"name": out.stem, "scores": scores})
        save_model_file(with_fast_mode(Model(trained.net, info), pictures), out)
    except UNetError as error:
        bar.end()
        _fail(str(error), 1)
    recent = sum(losses[-20:]) / len(losses[-20:])
    _say(
        f"Trained for {len(losses)} steps, loss {recent:.3f}; written to {out}."
        + "".join(f" {k}: {v}" for k, v in scores.items())
    )
    if as_json:
        _print_json(
            {"output": str(out), "steps": len(losses), "loss": recent, "scores": scores, "images": len(pictures)}
        )


@app.command()
def evaluate(
    pred: Annotated[Path, typer.Option(help="Predicted labels: a file or a folder.")],
    truth: Annotated[Path, typer.Option(help="True labels: a file or a folder.")],
    task: Annotated[ScoreTask, typer.Option(help="What the labels are.")] = ScoreTask.instances,
    as_json: Json = False,
) -> None:
    """Score label images against the truth."""
    from napari_unet.evaluation.metrics import evaluate as score
    from napari_unet.io.pairs import match_by_stem
    from napari_unet.io.readers import read_labels

    try:
        pairs = match_by_stem(truth, pred)
        truths, predicted = [read_labels(a) for a, _ in pairs], [read_labels(b) for _, b in pairs]
        for (path, _), a, b in zip(pairs, truths, predicted, strict=True):
            if a.squeeze().shape != b.squeeze().shape:
                raise UNetError(f"{path.name}: the truth has the shape {a.shape}, the prediction {b.shape}.")
        scores = score([a.squeeze() for a in truths], [b.squeeze() for b in predicted], task=task.value).to_dict()
    except UNetError as error:
        _fail(str(error), 1)
    if as_json:
        _print_json(scores)
        return
    for name, value in scores.items():
        if isinstance(value, dict):
            typer.echo(f"{name:>14}  " + "  ".join(f"{k} {v:.3f}" for k, v in value.items()))
        else:
            typer.echo(f"{name:>14}  {value:.4f}" if isinstance(value, float) else f"{name:>14}  {value}")


@app.command()
def models(as_json: Json = False) -> None:
    """List the models: shipped and your own."""
    from napari_unet.models.checkpoint import read_model_info
    from napari_unet.models.store import list_models, user_folder

    rows: list[dict[str, Any]] = []
    for entry in list_models():
        row: dict[str, Any] = {"name": entry.name, "shipped": entry.shipped, "path": str(entry.path)}
        try:
            info = read_model_info(entry.path)
            row |= {"task": info.task, "ndim": info.spec.ndim, "description": info.description}
        except ModelFileError as error:
            row["error"] = str(error)
        rows.append(row)
    if as_json:
        _print_json({"models": rows, "user_folder": str(user_folder())})
        return
    for row in rows:
        kind = "shipped" if row["shipped"] else "yours"
        typer.echo(f"{row['name']:<24} {kind:<8} {row.get('error') or row['description']}")


@app.command()
def info(name: Annotated[str, typer.Argument(help="Name or file of a model.")], as_json: Json = False) -> None:
    """Tell everything about a model."""
    from napari_unet.models.checkpoint import info_as_json

    model = _load_model(name)
    card = info_as_json(model.info) | {"sha256": model.sha256(), "axes": model.info.axes}
    if as_json:
        _print_json(card)
        return
    for key, value in card.items():
        typer.echo(f"{key:>14}  {value if isinstance(value, str | float | int) else json.dumps(value)}")


class BenchmarkName(StrEnum):
    """What is measured."""

    tiling = "tiling"
    gui = "gui"


@app.command()
def benchmark(
    name: Annotated[BenchmarkName, typer.Argument(help="What to measure.")],
    size: Annotated[int, typer.Option(min=256, help="Width of the image, pixels.")] = 4096,
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured (tiling).")] = 5,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Measure how fast and how exact this program is on this machine."""
    _check_device(device)
    if name is BenchmarkName.gui:
        from napari_unet._qt import benchmark as gui

        figures = gui.run(size, say=_say)
    else:
        from napari_unet.benchmarks import tiling

        figures = tiling.run(size, rounds, device, say=_say)
    if as_json:
        _print_json(figures)


@app.command()
def demo(
    headless: Annotated[bool, typer.Option(help="Do the whole job without anybody, and write pictures of it.")] = False,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for what --headless writes.")] = Path("demo"),
) -> None:
    """Open napari with a sample, segmented; or show the whole job without anybody at the screen."""
    try:
        from napari_unet._qt.demo import run_demo
    except ImportError as error:
        _fail(f'The demo needs napari ({error.name} is missing): pip install "napari-unet-interactive[all]".', 2)
    try:
        report = run_demo(out, headless=headless, say=_say)
    except UNetError as error:
        _fail(str(error), 1)
    if report is not None:
        _print_json(report)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        _say("Stopped.")
        sys.exit(130)


class _Bar:
    """Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._terminal = sys.stderr.isatty()
        self._last = 0.0
        self._note = ""

    def __call__(self, progress: Progress) -> None:
        if progress.note not in ("", self._note):
            self._note = progress.note
            self.end(progress.note)
        left = progress.remaining
        rest = f", {format_seconds(left)} left" if left and progress.done < progress.total else ""
        text = f"{self._title}: {progress.message or f'{progress.done} of {progress.total} {progress.what}'}{rest}"
        if self._terminal:
            filled = round(24 * progress.fraction)
            sys.stderr.write(f"\r\x1b[K|{'█' * filled}{'·' * (24 - filled)}| {text}")
            sys.stderr.flush()
        elif progress.elapsed - self._last >= 10:
            self._last = progress.elapsed
            _say(text)

    def end(self, text: str = "") -> None:
        """Finish the bar, with a closing line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
        if text:
            _say(f"{self._title}: {text}")


def _training_progress(
    step: int, steps: int, elapsed: float, seconds: float | None, losses: Sequence[float]
) -> Progress:
    recent = losses[-20:]
    message = f"step {step}, loss {sum(recent) / len(recent):.3f}"
    if seconds is not None and elapsed / seconds > step / steps:
        return Progress(round(elapsed), round(max(seconds, elapsed)), elapsed, "seconds", message)
    return Progress(step, steps, elapsed, "steps", message)


def _read_pairs(pairs: Sequence[tuple[Path, Path]], read_image: Any, read_labels: Any) -> tuple[list[Any], list[Any]]:
    """Images and labels of matched files; labels lose axes of length one that the image does not have."""
    pictures, truths = [], []
    for image_path, label_path in pairs:
        image, truth = read_image(image_path), read_labels(label_path)
        if truth.shape != image.label_shape and truth.squeeze().shape == tuple(n for n in image.label_shape if n > 1):
            truth = truth.reshape(image.label_shape)
        pictures.append(image)
        truths.append(truth)
    return pictures, truths


def _load_model(name: str) -> Model:
    from napari_unet.models.store import load_model

    try:
        return load_model(name)
    except ModelFileError as error:
        _fail(str(error), 2)


def _check_device(name: str) -> None:
    from napari_unet.models.model import resolve_device

    try:
        resolve_device(name)
    except UNetError as error:
        _fail(str(error), 2)


def _pixel_size(text: str | None) -> PixelSize | None:
    if text is None:
        return None
    try:
        return PixelSize.from_sequence([float(part) for part in text.split(",")])
    except (ValueError, UNetError) as error:
        _fail(
            f"--pixel-size takes micrometres, for example 0.65 or 0.65,0.65 or 2,0.65,0.65; got {text!r} ({error}).", 2
        )


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value))


def _fail(text: str, status: int) -> NoReturn:
    _say(text)
    raise typer.Exit(status)


if __name__ == "__main__":
    main()
