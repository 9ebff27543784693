"""How much a correction is worth: a simulated annotator mends, the program learns as it does in the window, again.

After every round the model is scored on held-out fields and on images of the kind that it was trained on. What else
the same seconds or the same corrections could have bought is measured in the same run: see `benchmarks.rivals`.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.learning.new_model import model_for_image, model_for_labels
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet_benchmarks.annotator_rivals import Dense, ceiling, rivals_of
from napari_unet_benchmarks.annotator_session import annotate_and_learn
from napari_unet_benchmarks.fields import DATA_SETS, KNOWN, KNOWN_SIZE, MAX_KNOWN, read_fields
from napari_unet_benchmarks.report import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.new_model import Task
    from napari_unet_benchmarks.annotator_session import Checkpoint
    from napari_unet_benchmarks.fields import Field

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long the run is.

    Attributes
    ----------
    rounds : int
        How often the program learns.
    objects : int
        Objects corrected before each time.
    steps : int
        Training steps each time.
    ceiling_steps : int
        Training steps on all labels.
    size : int
        Width of a field, pixels.
    fields, held_out : int
        Most fields to work on, and most held out.
    rivals : bool
        Whether the rivals run too.
    seed : int
        Seeds the annotator's hand and untrained networks.
    base : str or None
        Name or file of a model to begin with, instead of the data set's own.
    """

    rounds: int = 8
    objects: int = 5
    steps: int = 30
    ceiling_steps: int = 300
    size: int = 512
    fields: int = 8
    held_out: int = 8
    rivals: bool = True
    seed: int = 0
    base: str | None = None

    def quick(self) -> Settings:
        """Return a run of a minute, which shows that all works and nothing more."""
        return replace(self, rounds=2, objects=2, steps=4, ceiling_steps=4, size=192, fields=2, held_out=2)


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Scores on held-out fields, and on fields of the kind that the base model knows.

    Attributes
    ----------
    held_out, known : sequence of Field
        What is segmented; `known` may be empty.
    instances : bool
        Whether labels are objects.
    """

    held_out: Sequence[Field]
    known: Sequence[Field]
    instances: bool

    @property
    def measure(self) -> str:
        """What the scores are."""
        return "AP at IoU 0.5" if self.instances else "mean Dice of all classes"

    def scores(self, label: Callable[[Image], NDArray[Any]], *, known: bool = True) -> Row:
        """Return the scores of what makes labels of images."""
        row: Row = {"score": self._score(label, self.held_out)}
        if known and self.known:
            row["known"] = self._score(label, self.known)
        return row

    def _score(self, label: Callable[[Image], NDArray[Any]], fields: Sequence[Field]) -> float:
        truths, labels = [field.truth for field in fields], [label(field.image) for field in fields]
        scores = evaluate(truths, labels, "instances" if self.instances else "semantic")
        by_class = scores.dice_per_class or {}
        return round(scores.ap["0.50"] if scores.ap else statistics.fmean(by_class.values()), 4)


def run(
    data: Path, name: str, settings: Settings | None = None, device: str = "cpu", say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    data : Path
        The folder of all data.
    name : str
        One of `DATA_SETS`.
    settings : Settings, optional
        How long the run is.
    device : str
        Where the networks run.
    say : callable
        Called with lines for people.
    """
    settings = settings or Settings()
    source = replace(DATA_SETS[name], base=settings.base or DATA_SETS[name].base)
    fields, held_out = read_fields(data, source, settings.size, settings.fields, settings.held_out)
    task: Task = "instances" if source.instances else "semantic"
    base = load_model(source.base) if source.base else _untrained(fields, task, settings.seed)
    if base.info.task != task:
        raise UNetError(f"{base.name} is a model for {base.info.task}, {name} is about {task}; name another model.")
    known = read_fields(data, KNOWN, KNOWN_SIZE, MAX_KNOWN)[0] if source.base and source.instances else []
    say(f"{name}: {len(fields)} fields to work on, {len(held_out)} held out, {len(known)} of what is known already")
    evaluator = Evaluator(held_out, known, source.instances)
    untrained_model = model_for_labels(
        "unet2d", task, [f.image for f in fields], [f.truth for f in fields], settings.seed
    )

    def by(model: Model) -> Callable[[Image], NDArray[Any]]:
        if model.info.is_untrained:
            return lambda image: np.zeros(image.label_shape, np.int32)
        return lambda image: segment(image, model, device=device).labels

    rows: dict[str, list[Row]] = {}

    def note(who: str, seconds: float, objects: int, more: Row) -> None:
        rows.setdefault(who, []).append({"seconds": round(float(seconds), 1), "objects": objects} | more)
        say(f"  {who:<8} {rows[who][-1]}")

    note("program", 0.0, 0, evaluator.scores(by(base)))
    points = []
    for point in annotate_and_learn(
        base, fields, settings.rounds, settings.objects, settings.steps,
        instances=source.instances, device=device, seed=settings.seed,
    ):  # fmt: skip
        points.append(point)
        note("program", point.seconds, point.objects, evaluator.scores(by(point.model)) | point.figures)
    dense = Dense(base, fields, settings.steps, instances=source.instances, device=device, seed=settings.seed)
    best: Row = {}
    if settings.rivals:
        for rival in rivals_of(dense, untrained_model, settings.seed, instances=source.instances, say=say):
            for point in points:
                rival.learn(point)
                known_too = rival is dense
                note(rival.name, point.seconds, point.objects, evaluator.scores(rival.segment, known=known_too))
        trained = ceiling(at_scale_of(points, base), fields, settings.ceiling_steps, device=device, seed=settings.seed)
        best = evaluator.scores(by(trained))
        say(f"  ceiling  {best}")
    objects = sum(field.objects for field in fields)
    found = summary(rows, best.get("score"), objects, dense.seconds)
    for key, value in found.items():
        say(f"  {key:<50} {value}")
    return report("annotator", {
        "data": name, "measure": evaluator.measure, "base": base.name if source.base else None,
        "settings": asdict(settings),
        "objects in all fields": objects, "seconds to draw all": round(dense.seconds), "summary": found,
        "ceiling": best, "rows": rows,
    })  # fmt: skip


def _untrained(fields: Sequence[Field], task: Task, seed: int) -> Model:
    """Return the model with which somebody begins who has none."""
    classes = [f"class {index}" for index in range(1, 1 + max(int(field.truth.max()) for field in fields))]
    return model_for_image(fields[0].image, task, classes=classes if task == "semantic" else (), seed=seed)


def at_scale_of(points: Sequence[Checkpoint], base: Model) -> Model:
    """Return the base model at the scale that the program went on to: what there is to be had is had there."""
    scale = (
        {name: getattr(points[-1].model.info, name) for name in ("pixel_size", "diameter", "image_diameter")}
        if points
        else {}
    )
    return Model(base.net, base.info.model_copy(update=scale))


def summary(rows: dict[str, list[Row]], best: float | None, objects: int, dense_seconds: float) -> Row:
    """Return what the goals ask for.

    Parameters
    ----------
    rows : dict
        Figures of the program and its rivals by round; the program's first row is the base model's.
    best : float or None
        Score of the ceiling.
    objects : int
        In all fields.
    dense_seconds : float
        That drawing all of them takes.
    """
    program = rows["program"]
    waits = [row["wait"] for row in program[1:]]
    found: Row = {"seconds from the last stroke to a new picture": statistics.median(waits)}
    if "known" in program[0]:
        found["most forgotten"] = round(program[0]["known"] - min(row["known"] for row in program), 4)
    if best is not None:
        there = next((row for row in program if row["score"] >= 0.9 * best), None)
        found["90 % of the ceiling"] = there and {
            "objects": there["objects"], "share of the objects": round(there["objects"] / objects, 4),
            "seconds": there["seconds"], "share of the seconds": round(there["seconds"] / dense_seconds, 4),
        }  # fmt: skip
    for name, theirs in rows.items():
        if name != "program":
            ahead = sum(ours["score"] > row["score"] for ours, row in zip(program[1:], theirs, strict=True))
            found[f"ahead of {name}"] = f"{ahead} of {len(theirs)} times"
    return found
