"""What 5, 10, 20 and 40 corrections are worth on eight kinds of image, beside what else the time could have bought.

    napari-unet benchmark annotator_kinds --data DATA [--only KIND ...] [--seeds 3] [--steps 150] [--keep FILE]
                                          [--only-sum] [--smoke]

DATA: see `recipes/README.md`. Settings may be chosen on four kinds, and on the others never; on which, with which
model each begins and how files are dealt is told in docs/decisions/0036-eight-kinds.md. Each kind is run once before
the first is run with the next seed. Every run is kept in FILE when it is finished, and the same command goes on where
it was stopped; with `--only-sum` the table is that of the runs that are there. The result is written once each kind has
been run.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.learning.new_model import model_for_labels
from napari_unet.models.store import load_model
from napari_unet_benchmarks.annotator import at_scale_of
from napari_unet_benchmarks.annotator_rivals import Dense, ceiling, rivals_of
from napari_unet_benchmarks.annotator_session import annotate_and_learn
from napari_unet_benchmarks.annotator_table import CEILING, PROGRAM, as_markdown, goals, table
from napari_unet_benchmarks.fields import (
    HELD_OUT_PLANES,
    KNOWN,
    KNOWN_SIZE,
    DataSet,
    Field,
    cut_fields,
    file_groups,
    read_fields,
)
from napari_unet_benchmarks.kept_runs import keep, kept
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.model import Model

    Label = Callable[[Image], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image.

    Attributes
    ----------
    source : DataSet
        Where it lies, and the model to begin with.
    width : int
        Of a field, pixels.
    fields : int
        Most fields to work on.
    """

    source: DataSet
    width: int = 512
    fields: int = 6


CHOSEN_ON = {
    "phase contrast": Kind(DataSet("cells_phase_t98g")),
    "junctions": Kind(DataSet("cells_junctions_mdck_zo1/train")),
    "embryo slices": Kind(DataSet("embryo3d_bbbc050", grouped=True), fields=24),
    "breast cancer, H&E": Kind(DataSet("histology_tnbc/train", base="cells_phase", grouped=True), width=384),
}

REPORTED_ON = {
    "bacteria, brightfield": Kind(DataSet("bacteria_ecoli_colicoords/train", prefix="bf_")),
    "bacteria, fluorescence": Kind(DataSet("bacteria_ecoli_colicoords/train", prefix="fl_")),
    "axons, electron microscopy": Kind(DataSet("axons_sem", grouped=True, pieces_of=1), width=384),
    "stained nuclei, brightfield": Kind(DataSet("nuclei_dsb2018/train", base="cells_phase", prefix="brightfield")),
}

KINDS = CHOSEN_ON | REPORTED_ON

KNOWN_BY = "nuclei"
"""The model that knows the images of `KNOWN`."""

PARTS = 3
"""Parts that the files are dealt in: one is scored, and with the next seed the next."""

IOU = "0.50"

STEPS = 150
"""Training steps of one learning."""

CEILING_TO_STEPS = 4
"""Training steps on all labels, as a multiple of those of one learning: as many as of all four."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run is.

    Attributes
    ----------
    levels : tuple of int
        Corrections after which the program learns.
    steps, ceiling_steps : int
        Training steps each time, and on all labels.
    files : int
        Most files that are scored with each seed.
    known : int
        Fields scored of what the model knew.
    fields, width : int or None
        Most fields to work on, and their width, where that is less than of the kind.
    """

    levels: tuple[int, ...] = (5, 10, 20, 40)
    steps: int = STEPS
    ceiling_steps: int = CEILING_TO_STEPS * STEPS
    files: int = 6
    known: int = 16
    fields: int | None = None
    width: int | None = None

    def smaller(self, kind: Kind) -> Kind:
        """Return a kind within these limits."""
        fields = kind.fields if self.fields is None else min(self.fields, kind.fields)
        width = kind.width if self.width is None else min(self.width, kind.width)
        return Kind(kind.source, width, fields)


SMOKE = Limits((2, 4), steps=3, ceiling_steps=3, files=2, known=2, fields=2, width=192)
"""Some minutes for each run: to see that all works, and nothing more."""


def deal(data: Path, kind: Kind, seed: int, files: int) -> tuple[list[Field], dict[str, list[Field]]]:
    """Return the fields to work on, and the fields of each file to score.

    Files, or groups of them (of one patient, rat or embryo), are dealt in `PARTS` parts; part `seed` is scored. One
    file of each group comes first, then the second of each.
    """
    groups = file_groups(data, kind.source)
    parts = min(PARTS, len(groups))
    scored = _in_turn([group for index, group in enumerate(groups) if index % parts == seed % parts])
    others = _in_turn([group for index, group in enumerate(groups) if index % parts != seed % parts])
    worked_on: list[Field] = []
    for pair in others:
        if len(worked_on) < kind.fields:
            worked_on += cut_fields(pair, kind.width, kind.source, kind.source.planes)
    to_score: dict[str, list[Field]] = {}
    for pair in scored:
        if len(to_score) < files:
            found = cut_fields(pair, kind.width, kind.source, HELD_OUT_PLANES * kind.source.planes)
            to_score |= {pair[0].stem: found} if found else {}
    return worked_on[: kind.fields], to_score


def _in_turn(groups: Sequence[Sequence[tuple[Path, Path]]]) -> list[tuple[Path, Path]]:
    """Return the first of each group, then the second of each, ..."""
    return [pair for pair in chain.from_iterable(zip_longest(*groups)) if pair is not None]


def file_counts(label: Label, files: Mapping[str, Sequence[Field]]) -> dict[str, list[int]]:
    """Return, of each file, the true objects, those that are predicted, and how many of the two match."""
    found = {}
    for name, fields in files.items():
        scores = evaluate([one.truth for one in fields], [label(one.image) for one in fields]).to_dict()
        both = scores["n_truth"] + scores["n_pred"]
        found[name] = [scores["n_truth"], scores["n_pred"], round(scores["f1"][IOU] * both / 2) if both else 0]
    return found


@dataclass(slots=True, eq=False)
class _Scorer:
    """Scores whoever has learned, and keeps a row of it.

    Attributes
    ----------
    files, known : fields to score
    rows : list of dict
        See `run_once`.
    """

    files: Mapping[str, Sequence[Field]]
    known: Sequence[Field]
    say: Callable[[str], None]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def note(self, who: str, asked: int, label: Label, *, known: bool = False, **more: Any) -> None:
        """Score, and keep what it came to."""
        row: dict[str, Any] = {"who": who, "asked": asked, **more, "files": file_counts(label, self.files)}
        if known and self.known:
            scores = evaluate([one.truth for one in self.known], [label(one.image) for one in self.known]).to_dict()
            row["known"] = round(scores["ap"][IOU], 4)
        self.rows.append(row)
        true, predicted, matched = np.sum(list(row["files"].values()), axis=0)
        self.say(f"  {who:<8} {asked:>3} asked  AP {matched / max(1, true + predicted - matched):.3f}")


def run_once(
    data: Path,
    name: str,
    kind: Kind,
    seed: int,
    limits: Limits,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the annotator and its rivals on one kind with one seed.

    Returns
    -------
    dict
        ``kind``, ``seed``, ``limits``, ``base``; ``objects`` in the ``fields`` worked on; ``seconds``: how long each
        part of the run took. ``rows``: ``who``; ``asked``: how many corrections were asked for until then; ``files``:
        see `file_counts`. Of the program also ``objects``: how many corrections there were; ``seconds`` of annotation;
        ``wait``: seconds until it had learned and segmented what is in view; ``known``: AP on images that the model
        knew at the start.
    """
    kind = limits.smaller(kind)
    worked_on, to_score = deal(data, kind, seed, limits.files)
    base = load_model(str(kind.source.base))
    knows = kind.source.base == KNOWN_BY
    scorer = _Scorer(to_score, read_fields(data, KNOWN, KNOWN_SIZE, limits.known)[0] if knows else [], say)
    seconds: dict[str, float] = {}
    clock = time.perf_counter

    def by(model: Model) -> Label:
        return lambda image: segment(image, model, device=device).labels

    began = clock()
    scorer.note(PROGRAM, 0, by(base), known=True, objects=0, seconds=0.0)
    increments = np.diff([0, *limits.levels]).tolist()
    points = []
    for point in annotate_and_learn(
        base, worked_on, len(increments), increments, limits.steps, instances=True, device=device, seed=seed
    ):
        points.append(point)
        figures = {"objects": point.objects, "seconds": round(point.seconds, 1), "wait": point.figures["wait"]}
        scorer.note(PROGRAM, point.asked, by(point.model), known=knows, **figures)
    seconds[PROGRAM] = clock() - began
    dense = Dense(base, worked_on, limits.steps, instances=True, device=device, seed=seed)
    images, truths = [one.image for one in worked_on], [one.truth for one in worked_on]
    untrained = model_for_labels("unet2d", "instances", images, truths, seed)
    for rival in rivals_of(dense, untrained, seed, instances=True, say=say):
        began = clock()
        for point in points:
            rival.learn(point)
            scorer.note(rival.name, point.asked, rival.segment)
        seconds[rival.name] = clock() - began
    began = clock()
    best = ceiling(at_scale_of(points, base), worked_on, limits.ceiling_steps, device=device, seed=seed)
    scorer.note(CEILING, 0, by(best))
    seconds[CEILING] = clock() - began
    return {
        "kind": name, "seed": seed, "limits": _as_json(limits), "base": base.name, "fields": len(worked_on),
        "objects": sum(one.objects for one in worked_on), "seconds to draw all": round(dense.seconds),
        "seconds": {part: round(value, 1) for part, value in seconds.items()}, "rows": scorer.rows,
    }  # fmt: skip


def _as_json(limits: Limits) -> dict[str, Any]:
    """Return limits as they are read from a file again."""
    return dict(json.loads(json.dumps(asdict(limits))))


def kept_runs(path: Path, limits: Limits) -> list[dict[str, Any]]:
    """Return the runs that are kept; the last line may be a part of one, if the machine was switched off.

    Raises
    ------
    UNetError
        If they were run with other limits: a table of both would say nothing.
    """
    runs = kept(path)
    if not all(isinstance(run, dict) and run.get("limits") == _as_json(limits) for run in runs):
        raise UNetError(
            f"{path} holds other runs, or runs of another length. Name another file with --keep, or delete it."
        )
    return runs


def missing(runs: Sequence[Mapping[str, Any]], kinds: Sequence[str], seeds: int) -> list[tuple[int, str]]:
    """Return the seeds and kinds that are still to be run, in this order: every kind once, then with the next seed."""
    done = {(run["seed"], run["kind"]) for run in runs}
    return [(seed, kind) for seed in range(seeds) for kind in kinds if (seed, kind) not in done]


def all_runs(
    path: Path, limits: Limits, todo: Sequence[tuple[int, str]], once: Callable[[str, int], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Run what is missing; each run is kept in the file before it is yielded."""
    for number, (seed, kind) in enumerate(todo):
        print(f"{kind}, seed {seed}: {number + 1} of {len(todo)} runs that are left", flush=True)
        run = once(kind, seed)
        keep(path, run)
        yield run


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table with the goals, and how long the runs took."""
    rows = table(runs, list(KINDS))
    return {
        "chosen on": [kind for kind in rows if kind in CHOSEN_ON],
        "table": rows,
        "goals": goals(rows),
        "seconds of each run": {f"{run['kind']}, {run['seed']}": round(sum(run["seconds"].values())) for run in runs},
    }


def main() -> None:
    """Run all kinds with all seeds, or go on where it was stopped, and write what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of all data")
    parser.add_argument("--only", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps of each learning")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=Path, default=Path("annotator_kinds.jsonl"), help="where finished runs are kept")
    parser.add_argument("--only-sum", action="store_true", help="the table of the runs that are finished")
    parser.add_argument("--smoke", action="store_true", help="short runs, to see that all works; writes no result")
    arguments = parser.parse_args()
    limits = (
        SMOKE if arguments.smoke else Limits(steps=arguments.steps, ceiling_steps=CEILING_TO_STEPS * arguments.steps)
    )
    try:
        runs = kept_runs(arguments.keep, limits)
    except UNetError as error:
        parser.error(str(error))
    todo = [] if arguments.only_sum else missing(runs, arguments.only, arguments.seeds)

    def once(kind: str, seed: int) -> dict[str, Any]:
        return run_once(arguments.data, kind, KINDS[kind], seed, limits, arguments.device)

    for run in all_runs(arguments.keep, limits, todo, once):
        runs.append(run)
    if not runs:
        parser.error(f"{arguments.keep} holds no finished run yet.")
    found = summary(runs)
    print(as_markdown(found["table"], list(CHOSEN_ON)))
    for goal, told in found["goals"].items():
        print(f"{goal}: {len(told['on'])} of {told['kinds run']} kinds (goal: {told['goal']})")
    if not arguments.smoke and set(found["table"]) == set(KINDS):
        write_result("annotator_kinds", {"limits": _as_json(limits)} | found | {"runs": runs})


if __name__ == "__main__":
    main()
