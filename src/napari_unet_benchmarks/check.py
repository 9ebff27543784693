"""Whether the check of a new model tells the truth: small scripted learnings, from good to hopeless.

    napari-unet benchmark check --data DATA [--number 120] [--keep FILE] [--only-sum]

DATA: see `recipes/README.md`. A simulated annotator corrects a few objects of an image, or all of several and marks
them as reviewed; the program learns, twice in a row. Some annotators work carelessly or draw nonsense, some learnings
go too fast, some begin with a model for something else. Of each learning one line is kept with all that a rule could go
by, and how the old and the new model do on other images of the kind, which nobody corrected (`check_evidence`). Rules
are judged afterwards, without learning again (`check_rules`): chosen on some kinds, reported on others
(docs/decisions/0029-check.md).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from napari_unet.errors import UNetError
from napari_unet.models.store import load_model
from napari_unet_benchmarks.check_evidence import Looks, Session, learned_with_evidence
from napari_unet_benchmarks.check_rules import judged
from napari_unet_benchmarks.fields import DataSet, Field, read_fields
from napari_unet_benchmarks.kept_runs import keep, kept
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image: where it lies, the models to begin with, the width of scored fields, and how many they are.

    Of a field that is worked on, the middle is shown, `shown` pixels wide at most.
    """

    source: DataSet
    bases: tuple[str, ...] = ("nuclei",)
    width: int = 256
    scored: int = 6
    shown: int = 256


BOTH = ("nuclei", "cells_phase")

CHOSEN_ON = {
    "tissue": Kind(DataSet("nuclei_tissue_bsst265/train")),
    "breast cancer, H&E": Kind(DataSet("histology_tnbc/train")),
    "junctions": Kind(DataSet("cells_junctions_mdck_zo1/train"), BOTH, 512, 2, 384),
    "grown cells": Kind(DataSet("nuclei_bbbc039/train"), width=384, scored=4),
    "embryo slices": Kind(DataSet("embryo3d_bbbc050", grouped=True), width=128, scored=12),
}

REPORTED_ON = {
    "cytospins": Kind(DataSet("nuclei_cytospin_bsst265/train"), width=384, scored=6, shown=384),
    "phase contrast": Kind(DataSet("cells_phase_t98g"), BOTH, 512, 4, 384),
    "histology": Kind(DataSet("nuclei_dsb2018/train", prefix="histology"), scored=6),
    "cytology": Kind(DataSet("nuclei_dsb2018/train", prefix="brightfield"), BOTH, 512, 4, 384),
    "fluorescence": Kind(DataSet("nuclei_dsb2018/train", prefix="fluorescence"), scored=10),
}

KINDS = CHOSEN_ON | REPORTED_ON

LEARNINGS_IN_A_ROW = 2

HOPELESS = 0.1
"""A model that scores so much less on other images is not gone on with: anybody would see that."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who works on which images, and how the program learns.

    Attributes
    ----------
    kind, base : str
        Images, and the model to begin with.
    seed : int
    hand : str
        How the annotator works: one of `HANDS`.
    objects : int
        Corrected before each learning.
    reviewed : int
        Images that are corrected altogether and reviewed before the first learning.
    same_image : bool
        Whether the second learning has more corrections of the same image, or of the next.
    steps : int
        Training steps.
    rate : float or None
        Learning rate; None: as the program chooses it.
    """

    kind: str
    base: str
    seed: int
    hand: str
    objects: int
    reviewed: int
    same_image: bool
    steps: int
    rate: float | None


def careful(truth: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the truth (Y, X)."""
    return truth


def wide(truth: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return objects that are drawn too wide, by a sixth of their diameter on each side."""
    sizes = np.bincount(truth.ravel())[1:]
    reach = np.sqrt(np.median(sizes[sizes > 0]) * 4 / np.pi) / 6
    distance, nearest = ndimage.distance_transform_edt(truth == 0, return_indices=True)
    return np.where(distance <= reach, truth[tuple(nearest)], 0).astype(np.int32)


def choosy(truth: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the truth without a third of its objects: such ones are corrected here, and erased there."""
    ids = np.unique(truth[truth > 0])
    return np.where(np.isin(truth, rng.choice(ids, len(ids) // 3, replace=False)), 0, truth)


def merging(truth: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return objects that touch as one."""
    return np.asarray(ndimage.label(ndimage.binary_closing(truth > 0, iterations=2))[0], np.int32)


def nonsense(truth: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the objects of another place: the truth upside down."""
    return truth[::-1, ::-1].copy()


HANDS = {"careful": careful, "wide": wide, "choosy": choosy, "merging": merging, "nonsense": nonsense}


def scenarios(number: int) -> Iterator[Scenario]:
    """Yield so many scenarios, one kind after the other."""
    names = list(KINDS)
    for seed in range(number):
        rng = np.random.default_rng(seed)
        kind = names[seed % len(names)]
        yield Scenario(
            kind=kind,
            base=str(rng.choice(KINDS[kind].bases)),
            seed=seed,
            hand=str(rng.choice(list(HANDS), p=(0.6, 0.1, 0.1, 0.1, 0.1))),
            objects=int(rng.choice((1, 3, 6, 12))),
            reviewed=int(rng.choice((0, 1, 4), p=(0.5, 0.25, 0.25))),
            same_image=bool(rng.integers(2)),
            steps=int(rng.choice((8, 20, 40), p=(0.25, 0.5, 0.25))),
            rate=None if rng.random() < 0.8 else float(rng.choice((5e-3, 2e-2))),
        )


@cache
def _fields(data: Path, kind: str) -> tuple[list[Field], list[Field]]:
    one = KINDS[kind]
    work, others = read_fields(data, one.source, one.width, 12, one.scored)
    return [_middle(field, one.shown) for field in work], others


def _middle(field: Field, width: int) -> Field:
    """Return the middle of a plane."""
    y, x = (slice(max(0, (n - width) // 2), max(0, (n - width) // 2) + width) for n in field.truth.shape)
    return replace(field, image=replace(field.image, data=np.asarray(field.image.data)[y, x]), truth=field.truth[y, x])


@cache
def _base(name: str) -> Model:
    return load_model(name)


def run_scenario(data: Path, plan: Scenario, looks: Looks) -> list[dict[str, Any]]:
    """Return the evidence of each learning of a scenario."""
    rng = np.random.default_rng(plan.seed)
    work, others = _fields(data, plan.kind)
    fields = [work[i] for i in rng.permutation(len(work))]
    drawn = [replace(one, truth=HANDS[plan.hand](one.truth, rng)) for one in fields]
    sessions = [Session(one, looks, plan.seed + i) for i, one in enumerate(drawn)]
    model, rows = _base(plan.base), []
    opened: list[Session] = []
    for turn in range(LEARNINGS_IN_A_ROW):
        if turn == 0 and plan.reviewed:
            opened += _work(sessions, model, plan.reviewed, 10**6)
        elif turn == 0 or not plan.same_image or opened[-1].reviewed:
            opened += _work(sessions, model, 1, plan.objects)
        else:
            opened[-1].correct(plan.objects)
        try:
            new, evidence = learned_with_evidence(model, opened, others, looks, plan.steps, plan.rate)
        except UNetError as error:
            rows.append({"error": str(error)})
            break
        rows.append(evidence)
        if evidence["others"]["after"]["ap"] >= evidence["others"]["before"]["ap"] - HOPELESS:
            model = new
        for session in opened:
            session.show(model)
    return rows


def _work(sessions: list[Session], model: Model, number: int, objects: int) -> list[Session]:
    """Open so many images, correct so many objects in each, and return them."""
    opened = [sessions.pop(0) for _ in range(min(number, len(sessions)))]
    for session in opened:
        session.show(model)
        session.correct(objects)
    return opened


def main() -> None:
    """Make all learnings, or go on where it was interrupted, and judge the rules by them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of all data")
    parser.add_argument("--number", type=int, default=120, help="scenarios, of two learnings each")
    parser.add_argument(
        "--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="only each Nth, from I on"
    )
    parser.add_argument("--keep", type=Path, default=Path("check.jsonl"), help="where the evidence is kept")
    parser.add_argument("--only-sum", action="store_true", help="judge the rules by the learnings that are finished")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done, looks = {row["scenario"]["seed"] for row in kept(arguments.keep)}, Looks()
    for plan in () if arguments.only_sum else scenarios(arguments.number):
        if plan.seed in done or plan.seed % arguments.part[1] != arguments.part[0]:
            continue
        rows = run_scenario(arguments.data, plan, looks)
        looks.forget([_base(name) for name in BOTH])
        keep(arguments.keep, *({"scenario": asdict(plan), "turn": turn} | row for turn, row in enumerate(rows)))
        print(plan, [_summary(row) for row in rows], flush=True)
    rows = kept(arguments.keep)
    if not rows:
        parser.error(f"{arguments.keep} holds no finished learning yet.")
    write_result("check", {"threads": 1} | judged([row for row in rows if "error" not in row], CHOSEN_ON, REPORTED_ON))


def _summary(row: dict[str, Any]) -> Sequence[Any]:
    if "error" in row:
        return [row["error"]]
    before, after = (round(row["others"][when]["ap"], 3) for when in ("before", "after"))
    return [before, after, row["verdict"]["in use"], round(row["seconds"], 1)]


if __name__ == "__main__":
    main()
