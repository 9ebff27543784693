"""Why learning from corrections of one image makes other images of the kind worse: its parts, and ways to mend it.

    napari-unet benchmark harm --data DATA [--only KIND ...] [--ways WAY ...] [--seeds 2] [--objects 7] [--reviewed]
                               [--steps 60] [--keep FILE] [--name NAME] [--only-sum]

DATA: see `recipes/README.md`. A simulated annotator corrects a few objects of one image. From the same corrections the
program learns as it does, and in ways that differ in one thing. Scored are other images of the kind: with the new
weights and the old settings of decoding and scale, the other way round, after fewer steps, and with weights between the
old and the new ones. Ways are chosen on some kinds, and reported on others (docs/decisions/0032-harm.md). With
``--reviewed`` all of the image is corrected and reviewed, and only the end is scored, also on images that `nuclei`
knew.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE
from napari_unet.learning.retention import interpolate_weights
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet_benchmarks.check import Kind
from napari_unet_benchmarks.check_evidence import Looks, Session, scores_on_others
from napari_unet_benchmarks.fields import KNOWN, KNOWN_SIZE, DataSet, read_fields
from napari_unet_benchmarks.harm_begins import Begin
from napari_unet_benchmarks.harm_ways import MARKS, NEVER_OUT, USUAL, WAYS, learned_and_marks
from napari_unet_benchmarks.kept_runs import keep, kept
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_unet.models.info import ModelInfo
    from napari_unet.nets.unet import UNet
    from napari_unet_benchmarks.fields import Field

_T98G = DataSet("cells_phase_t98g")

CHOSEN_ON = {
    "phase contrast": Kind(_T98G, ("cells_phase",), 512, 3),
    "phase contrast from nuclei": Kind(_T98G, ("nuclei",), 512, 3),
    "junctions": Kind(DataSet("cells_junctions_mdck_zo1/train"), ("cells_phase",), 512, 2),
    "cytospins": Kind(DataSet("nuclei_cytospin_bsst265/train"), width=384, scored=4),
}

REPORTED_ON = {
    "breast cancer, H&E": Kind(DataSet("histology_tnbc/train")),
    "tissue": Kind(DataSet("nuclei_tissue_bsst265/train")),
    "bacteria, fluorescence": Kind(DataSet("bacteria_ecoli_colicoords/train", prefix="fl_"), width=512, scored=4),
}

MORE_CHOSEN_ON = {
    "histology": Kind(DataSet("nuclei_dsb2018/train", prefix="histology")),
    "grown cells": Kind(DataSet("nuclei_bbbc039/train"), width=384, scored=4),
}
"""What the ways that look at other images are chosen on, beside those of `CHOSEN_ON` that the model knows."""

CONFIRMED_ON = {
    "breast cancer, H&E; kept aside": Kind(DataSet("histology_tnbc/train")),
    "tissue; kept aside": Kind(DataSet("nuclei_tissue_bsst265/train")),
    "cytospins; kept aside": Kind(DataSet("nuclei_cytospin_bsst265/train"), width=384),
    "histology; kept aside": Kind(DataSet("nuclei_dsb2018/train", prefix="histology")),
    "grown cells; kept aside": Kind(DataSet("nuclei_bbbc039/train"), width=384),
}
"""Where images of the folder ``val`` are scored, which no model has learned and on which nothing was chosen here."""

HALF_KNOWN = {
    "cytospins from cells": Kind(DataSet("nuclei_cytospin_bsst265/train"), ("cells",), 384, 4),
    "tissue from cells": Kind(DataSet("nuclei_tissue_bsst265/train"), ("cells",), 384, 4),
}
"""Where a model finds about half, and has never learned from such images; for ``--reviewed``."""

HARD = {
    "breast cancer, H&E; hard": Kind(DataSet("histology_tnbc/val"), width=384),
    "tissue; hard": Kind(DataSet("nuclei_tissue_bsst265/val"), width=384),
    "histology; hard": Kind(DataSet("nuclei_dsb2018/val", prefix="histology")),
}
"""Where a model finds about half, too, and has learned from others of the kind; for ``--reviewed``."""

KINDS = CHOSEN_ON | MORE_CHOSEN_ON | REPORTED_ON | CONFIRMED_ON | HALF_KNOWN | HARD

SHARES = (0.25, 0.5, 0.75)
"""How far from the old weights to the new ones, of models that are scored, too."""


def settings_of(info: ModelInfo) -> dict[str, Any]:
    """Return what a model's description says of scale and decoding."""
    return {name: getattr(info, name) for name in ("image_diameter", "depth_ratio", "styles", "decoding", "pixel_size")}


def parts(base: Model, learned: Model, marks: Mapping[int, UNet]) -> dict[str, Model]:
    """Return the models that tell where a loss comes from: weights, settings, steps, or how far they went."""
    after = learned.info
    found = {"base": base, "new": learned}
    if settings_of(base.info) != settings_of(after):
        found["old weights, new settings"] = Model(base.net, after.model_copy(update={"fast_mode": None}))
        found["new weights, old settings"] = Model(learned.net, after.model_copy(update=settings_of(base.info)))
    found |= {f"{step} steps": Model(net, after) for step, net in marks.items()}
    return found | {f"share {share}": interpolate_weights(base, learned, share) for share in SHARES}


def opened(data: Path, kind: Kind, seed: int, looks: Looks) -> tuple[Model, Session, list[Field], list[Field]]:
    """Return the model to begin with, one image as it shows it, others to work on, and those that are scored."""
    base = load_model(kind.bases[0])
    work, others = read_fields(data, kind.source, kind.width, 12, kind.scored)
    corrected = work[seed % len(work)]
    session = Session(corrected, looks, seed)
    session.show(base)
    return base, session, [one for one in work if one is not corrected], others


def runs_of(name: str, seed: int, ways: Sequence[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Correct one image, learn from it in each of the ways, and yield scores; of the usual way, of all parts."""
    kind, looks = KINDS[name], Looks()
    base, session, spare, others = opened(arguments.data, kind, seed, looks)
    if name in CONFIRMED_ON:
        kept_aside = replace(kind.source, folder=str(Path(kind.source.folder).with_name("val")))
        work_aside, others_aside = read_fields(arguments.data, kept_aside, kind.width)
        others = work_aside + others_aside
    objects = session.correct(10**6 if arguments.reviewed else arguments.objects)
    known = read_fields(arguments.data, KNOWN, KNOWN_SIZE, 16)[0] if arguments.reviewed else []
    crops = session.crops(base)
    for way in ways:
        chosen, others_open, fits = WAYS[way], spare, None
        if chosen.only_where_it_fits:
            others_open = [one for one in spare if looks(base, one.image).estimate >= DEFAULT_MODEL_CHOICE.doubtful]
            fits = f"{len(others_open)} of {len(spare)}"
            knows = 2 * len(others_open) >= len(spare)
            chosen = replace(chosen, policy=NEVER_OUT) if knows else WAYS[USUAL]
        begin = chosen.begin(Begin(base, crops, others))
        learned, marks = learned_and_marks(begin.model, begin.crops, arguments.steps, chosen, others_open)
        models = {"base": begin.model, "new": learned.model}
        if way == USUAL and not arguments.reviewed:
            models = parts(base, learned.model, marks)
        first = marks.get(MARKS[0])
        if first is not None and not arguments.reviewed:
            models[f"{MARKS[0]} steps"] = Model(first, learned.model.info)
        yield {
            "kind": name,
            "seed": seed,
            "way": way,
            "objects": objects,
            "in use": learned.verdict.should_promote(),
            "out of domain": learned.verdict.out_of_domain,
            "interpolation": learned.model.info.recipe.get("interpolation"),
            "fitted": learned.fitted is not None,
            "fits": fits,
            "scores": {part: _scores(one, begin.others, looks) for part, one in models.items()},
            "known": {part: _scores(one, known, looks)["ap"] for part, one in models.items() if known},
        }
        looks.forget([base])


def _scores(model: Model, others: Sequence[Field], looks: Looks) -> dict[str, Any]:
    found = scores_on_others(model, others, looks)
    true, predicted = (sum(one[what] for one in found["images"]) for what in ("true", "predicted"))
    common = sum(one["common"][0] for one in found["images"])
    return {"ap": round(found["ap"], 4), "true": true, "predicted": predicted, "common": common}


def summary(rows: Sequence[dict[str, Any]], kinds: Sequence[str]) -> dict[str, Any]:
    """Return, by way, the mean over kinds of the AP of each part, and beside the way of the program as it is.

    Only what was run with every kind counts; of a kind, the mean over seeds.
    """
    usual = {(row["kind"], row["seed"]): row for row in rows if row["way"] == USUAL}
    found: dict[str, Any] = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        mine = {(row["kind"], row["seed"]): row for row in rows if row["way"] == way and row["kind"] in kinds}
        both = sorted(mine.keys() & usual.keys())
        if {kind for kind, _ in both} != set(kinds):
            continue

        def mean_of(part: str, chosen: Mapping[Any, Any], keys: Sequence[tuple[str, int]] = both) -> dict[str, float]:
            by_kind: dict[str, list[float]] = {}
            for key in keys:
                scores = chosen[key]["scores"]
                by_kind.setdefault(key[0], []).append(scores.get(part, scores["new"])["ap"])
            return {kind: round(statistics.fmean(values), 4) for kind, values in by_kind.items()}

        names = dict.fromkeys(part for key in both for part in mine[key]["scores"])
        differences = [mine[k]["scores"]["new"]["ap"] - usual[k]["scores"]["new"]["ap"] for k in both]
        error = 2 * statistics.stdev(differences) / len(both) ** 0.5 if len(both) > 1 else 0.0
        after = mean_of("new", mine)
        found[way] = {
            "runs": len(both),
            "by kind": after,
            "before by kind": mean_of("base", mine),
            "parts": {part: round(statistics.fmean(mean_of(part, mine).values()), 4) for part in names},
            "beside as it is": round(statistics.fmean(after[k] - v for k, v in mean_of("new", usual).items()), 4),
            "two standard errors": round(error, 4),
        }
    return found


def main() -> None:
    """Run all ways on all kinds, or go on where it was interrupted, and write what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of all data")
    parser.add_argument("--only", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--objects", type=int, default=7, help="corrections before learning")
    parser.add_argument("--reviewed", action="store_true", help="all of the image is corrected and reviewed")
    parser.add_argument("--steps", type=int, default=60, help="training steps")
    parser.add_argument("--keep", type=Path, default=Path("harm.jsonl"), help="where finished runs are kept")
    parser.add_argument("--name", default="harm", help="of the result file (default harm)")
    parser.add_argument("--only-sum", action="store_true", help="write the result of the runs that are finished")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = kept(arguments.keep)
    done = {(row["kind"], row["seed"], row["way"]) for row in rows}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for seed in () if arguments.only_sum else seeds:
        for kind in arguments.only:
            ways = [way for way in arguments.ways if (kind, seed, way) not in done]
            for row in runs_of(kind, seed, ways, arguments) if ways else ():
                rows.append(row)
                keep(arguments.keep, row)
                print(kind, seed, row["way"], {part: one["ap"] for part, one in row["scores"].items()}, flush=True)
    groups = {
        "chosen on": CHOSEN_ON,
        "more chosen on": MORE_CHOSEN_ON | {name: CHOSEN_ON[name] for name in ("phase contrast", "cytospins")},
        "reported on": REPORTED_ON,
        "confirmed on": CONFIRMED_ON,
        "half known": HALF_KNOWN,
        "hard": HARD,
    }
    sums = {title: summary(rows, list(kinds)) for title, kinds in groups.items()}
    limits = {name: getattr(arguments, name) for name in ("seeds", "objects", "reviewed", "steps")}
    write_result(arguments.name, {"limits": limits, "threads": 1} | sums | {"runs": rows})


if __name__ == "__main__":
    main()
