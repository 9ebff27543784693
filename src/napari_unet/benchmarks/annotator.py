"""How much a correction is worth: a simulated annotator mends, the program learns as it does in the window, again.

After every round the model is scored on held-out fields and on images of the kind that it was trained on. What else
the same seconds or the same corrections could have bought is measured in the same run: see `benchmarks.rivals`.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.benchmarks.fields import DATA_SETS, KNOWN, Field, read_fields
from napari_unet.benchmarks.report import report
from napari_unet.benchmarks.rivals import Checkpoint, Dense, Forest, Rival, Scratch, ceiling, learn
from napari_unet.corrections.corrections import Corrections
from napari_unet.evaluation.annotator import Annotator
from napari_unet.evaluation.metrics import evaluate
from napari_unet.learning.corrected import gather_material
from napari_unet.learning.train import new_model
from napari_unet.models.store import load_model
from napari_unet.pipeline import segment
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.corrected import Material
    from napari_unet.models.model import Model

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long the run is.

    Attributes
    ----------
    rounds : int
        How often the program learns.
    objects : int
        Objects corrected before each time; somewhat more where one edit leaves another object half mended.
    steps : int
        Training steps each time.
    ceiling_steps : int
        Training steps on all labels, in larger batches.
    size : int
        Width of a field, pixels.
    fields : int
        Most fields to work on; as many are held out at most.
    rivals : bool
        Whether the rivals run too.
    seed : int
        Seeds the annotator's hand and untrained networks.
    """

    rounds: int = 8
    objects: int = 5
    steps: int = 30
    ceiling_steps: int = 300
    size: int = 512
    fields: int = 8
    rivals: bool = True
    seed: int = 0

    def quick(self) -> Settings:
        """Return a run of a minute or two, which shows that all works and nothing more."""
        return replace(self, rounds=2, objects=2, steps=4, ceiling_steps=4, size=192, fields=2)


class Sitting:
    """One field as it is open in the window, and the annotator in front of it.

    Parameters
    ----------
    shown : Field
        Image and truth; the program never sees the truth.
    instances : bool
        Whether labels are objects.
    seed : int
        Seeds the annotator's hand.
    """

    def __init__(self, shown: Field, *, instances: bool = True, seed: int = 0) -> None:
        self.image = shown.image
        self.labels = np.zeros((1, 1, *shown.truth.shape), np.int32)
        self.corrections = Corrections(self.labels.shape, instances=instances)
        self.annotator = Annotator(shown.truth, instances=instances, seed=seed)
        self.kinds: Counter[str] = Counter()
        self.seconds = 0.0

    def show(self, model: Model, device: str = "cpu") -> None:
        """Segment the field and write what is not corrected, as `layers.session.LayerSession.write` does."""
        self.corrections.update(self.labels)
        everything = (slice(0, 1), slice(None), slice(None))
        predicted = segment(self.image, model, device=device).labels
        self.labels[0] = self.corrections.merge(self.labels, 0, everything, predicted[None])

    def correct(self, objects: int) -> int:
        """Mend so many objects or all there are, and mark the field as reviewed when all are well; return how many."""
        count = 0
        while True:
            edit = self.annotator.next_edit(self.labels[0, 0], self.corrections.protected(self.labels, (0, 0)))
            if edit is None:
                self.corrections.review(0, slice(None), slice(None), slice(None))
                self.seconds += self.annotator.look_over()
                return count
            if count >= objects and not edit.follows_up:
                return count
            edit.apply(self.labels[0, 0])
            self.seconds += edit.seconds
            self.kinds[edit.kind.value] += 1
            count += 1

    @property
    def reviewed(self) -> bool:
        """Whether the annotator is done with it."""
        return bool(self.corrections.reviewed.all())

    def material(self, model: Model) -> Material | None:
        """Return what there is to learn from here, as `layers.session.LayerSession.material` does."""
        self.corrections.update(self.labels)
        return gather_material(self.image, self.labels, self.corrections, model)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Scores on held-out fields, and on fields of the kind that the base model knows.

    Attributes
    ----------
    held_out, known : sequence of Field
        What is segmented; `known` may be empty.
    instances : bool
        AP at IoU 0.5 of objects, or mean Dice of all classes, the largest and the background among them.
    """

    held_out: Sequence[Field]
    known: Sequence[Field]
    instances: bool

    def marks(self, label: Callable[[Image], NDArray[Any]], *, known: bool = True) -> Row:
        """Return the scores of what makes labels of images."""
        row: Row = {"score": self._score(label, self.held_out)}
        if known and self.known:
            row["known"] = self._score(label, self.known)
        return row

    def _score(self, label: Callable[[Image], NDArray[Any]], fields: Sequence[Field]) -> float:
        task = "instances" if self.instances else "semantic"
        scores = evaluate([f.truth for f in fields], [label(f.image) for f in fields], task)  # type: ignore[arg-type]
        if scores.ap is not None:
            return round(scores.ap["0.50"], 4)
        return round(statistics.fmean((scores.dice_per_class or {}).values()), 4)


def sit_down(
    model: Model, fields: Sequence[Field], settings: Settings, *, instances: bool, device: str = "cpu"
) -> Iterator[tuple[Model, Checkpoint, Row]]:
    """Correct and learn in turn, field after field; yield the new model, what it learned from, and figures of it.

    Parameters
    ----------
    model : Model
        Where to begin.
    fields : sequence of Field
        In the order in which they are worked on.
    settings : Settings
        How many rounds, objects and steps.
    instances : bool
        Whether labels are objects.
    device : str
        Where the network runs.
    """
    waiting = [Sitting(shown, instances=instances, seed=settings.seed + i) for i, shown in enumerate(fields)]
    done = [waiting.pop(0)]
    done[0].show(model, device)
    for _ in range(settings.rounds):
        left = settings.objects
        while left > 0:
            left -= done[-1].correct(left)
            if left > 0 and not waiting:
                break
            if left > 0:
                done.append(waiting.pop(0))
                done[-1].show(model, device)
        watch = Stopwatch()
        material = [part for sitting in done if (part := sitting.material(model)) is not None]
        model = learn(model, material, settings.steps, device)
        done[-1].show(model, device)
        kinds = sum((sitting.kinds for sitting in done), Counter[str]())
        point = Checkpoint(sum(sitting.seconds for sitting in done), kinds.total(), material)
        yield model, point, {"wait": round(watch.seconds, 2), "fields": len(done), "kinds": dict(kinds)}
        if done[-1].reviewed and not waiting:
            return


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
    settings, source = settings or Settings(), DATA_SETS[name]
    fields, held_out = read_fields(data, source, settings.size, settings.fields)
    known = read_fields(data, KNOWN, settings.size, settings.fields)[0] if source.base == "nuclei" else []
    examiner = Examiner(held_out, known, source.instances)
    images, truths = [field.image for field in fields], [field.truth for field in fields]
    task = "instances" if source.instances else "semantic"
    untrained = new_model("unet2d", task, images, truths, settings.seed)  # type: ignore[arg-type]
    base = load_model(source.base) if source.base else untrained
    say(f"{name}: {len(fields)} fields to work on, {len(held_out)} held out, {len(known)} of what is known already")

    def by(model: Model) -> Callable[[Image], NDArray[Any]]:
        return lambda image: segment(image, model, device=device).labels

    rows: dict[str, list[Row]] = {"program": [{"seconds": 0.0, "objects": 0} | examiner.marks(by(base))]}
    say(f"  before {rows['program'][0]}")
    points: list[Checkpoint] = []

    def note(who: str, point: Checkpoint, marks: Row) -> None:
        rows.setdefault(who, []).append({"seconds": round(point.seconds, 1), "objects": point.objects} | marks)
        say(f"  {who} {rows[who][-1]}")

    for model, point, figures in sit_down(base, fields, settings, instances=source.instances, device=device):
        points.append(point)
        note("program", point, examiner.marks(by(model)) | figures)
    dense = Dense(base, fields, settings.steps, instances=source.instances, device=device, seed=settings.seed)
    best: Row = {}
    if settings.rivals:
        rivals: list[Rival] = [dense, Scratch(untrained, settings.steps, device)]
        try:
            rivals.append(Forest(instances=source.instances, seed=settings.seed))
        except ImportError:
            say("  Without scikit-learn there is no random forest to compare with.")
        for rival in rivals:
            for point in points:
                rival.learn(point)
                note(rival.name, point, examiner.marks(rival.segment, known=rival is dense))
        scratch = source.base is None
        trained = ceiling(base, fields, settings.ceiling_steps, scratch=scratch, device=device, seed=settings.seed)
        best = examiner.marks(by(trained))
        say(f"  ceiling {best}")
    objects = sum(field.objects for field in fields)
    figures = {
        "data": name, "measure": "AP at IoU 0.5" if source.instances else "mean Dice of all classes", "settings": asdict(settings),
        "base": source.base, "objects in the fields": objects, "seconds to draw all": round(dense.seconds),
        "summary": summary(rows, best.get("score"), objects, dense.seconds), "ceiling": best, "rows": rows,
    }  # fmt: skip
    for key, value in figures["summary"].items():
        say(f"  {key:<40} {value}")
    return report("annotator", figures)


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
    found: Row = {"seconds from the last stroke to a better picture": statistics.median(r["wait"] for r in program[1:])}
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
