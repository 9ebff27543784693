"""What each rule of learning is worth: the same corrections learned with a rule, and without it.

    napari-unet benchmark rules --data DATA [--only KIND ...] [--ways WAY ...] [--seeds 3] [--rounds 2] [--objects 6]
                                [--steps 80] [--enlarge 1] [--keep FILE]

DATA: see `recipes/nuclei.py`. A simulated annotator mends the worst objects of one image after the other, and the
program learns in between, as in the window. Scored are other images of the kind, and fluorescence that the model knew
before. With `--enlarge 3` the objects are far wider than those that the model finds best. A rule is worth what the mean
over kinds falls by without it. These kinds choose which rules stay, so that no figure of quality is reported on them.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from napari_unet.axes import Image
from napari_unet.inference.in_memory import segment
from napari_unet.learning.policy import DEFAULT_POLICY, Policy
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet_benchmarks.annotator import Evaluator
from napari_unet_benchmarks.annotator_session import annotate_and_learn
from napari_unet_benchmarks.fields import KNOWN, KNOWN_SIZE, DataSet, Field, read_fields
from napari_unet_benchmarks.kept_runs import keep, kept
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = {
    "tissue": DataSet("nuclei_tissue_bsst265/train"),
    "cytospin": DataSet("nuclei_cytospin_bsst265/train"),
    "junctions": DataSet("cells_junctions_mdck_zo1/train"),
    "histology": DataSet("histology_tnbc/train"),
}
"""No rule of learning was tuned on any of them, and `nuclei` has learned none of their images."""

FIELD_WIDTH, HELD_OUT_FIELDS, KNOWN_FIELDS = 384, 4, 10


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn: as the program does, but for what is named.

    Attributes
    ----------
    settings : dict
        Of `TrainingConfig`.
    policy : Policy
    free_scale : bool
        Whether a model forgets, after it has learned, at which scale that was: each image is then looked at anew.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY
    free_scale: bool = False


def _policy(part: str, **numbers: Any) -> Policy:
    changed = getattr(DEFAULT_POLICY, part).model_copy(update=numbers)
    return DEFAULT_POLICY.model_copy(update={part: changed})


WAYS = {
    "as it is": Way(),
    "one rate for all levels": Way(settings={"depth_rate": 1.0}),
    "no interpolation": Way(policy=_policy("promotion", interpolation_shares=(1.0,))),
    "two interpolation shares": Way(policy=_policy("promotion", interpolation_shares=(1.0, 0.5))),
    "one rate, two interpolation shares": Way(
        settings={"depth_rate": 1.0}, policy=_policy("promotion", interpolation_shares=(1.0, 0.5))
    ),
    "outlines and objects elsewhere left aside": Way(
        policy=_policy("domain_shift", outline_iou=0.5, min_area_share=0.0)
    ),
    "scale found on each image": Way(free_scale=True),
}


def free_of_scale(model: Model) -> Model:
    """Return a model that knows of no scale or style of the images that it has learned."""
    return Model(model.net, model.info.model_copy(update={"image_diameter": None, "styles": ()}))


def enlarged(field: Field, factor: int) -> Field:
    """Return a field with so many times larger objects, as a stronger objective shows them."""
    if factor == 1:
        return field
    image = field.image
    axes = [axis for axis, letter in enumerate(image.axes) if letter in "YX"]
    zoom = [factor if axis in axes else 1 for axis in range(len(image.axes))]
    pixels = ndimage.zoom(np.asarray(image.data, np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    truth = field.truth.repeat(factor, -2).repeat(factor, -1)
    return replace(field, image=Image(pixels, image.axes, name=image.name), truth=truth)


def run_once(kind: str, way: Way, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the scores before learning, and after each round."""
    cut = read_fields(arguments.data, KINDS[kind], FIELD_WIDTH, 99, HELD_OUT_FIELDS)
    fields, held_out = ([enlarged(one, arguments.enlarge) for one in part] for part in cut)
    known = read_fields(arguments.data, KNOWN, KNOWN_SIZE, KNOWN_FIELDS)[0]
    first = 3 * seed % len(fields)  # with every seed other images
    evaluator = Evaluator(held_out, known, instances=True)

    def scores(model: Model) -> dict[str, Any]:
        return evaluator.scores(lambda image: segment(image, model, device="cpu").labels)

    base = load_model("nuclei")
    learned = annotate_and_learn(
        base, [*fields[first:], *fields[:first]], arguments.rounds, arguments.objects, arguments.steps,
        instances=True, seed=seed, settings=way.settings, policy=way.policy,
        after=free_of_scale if way.free_scale else None,
    )  # fmt: skip
    rows = [scores(base)]
    rows.extend(scores(at.model) | {"objects": at.objects, "in use": at.figures["in use"]} for at in learned)
    return {"objects held out": sum(shown.objects for shown in held_out), "rows": rows}


def summary(runs: dict[str, dict[str, Any]], ways: Sequence[str]) -> dict[str, Any]:
    """Return, for each way, the gain over the base model: of each kind, and the mean of kinds beside ``as it is``.

    Of a kind: the mean over seeds of the mean over rounds; the interval is that of the paired differences by kind and
    seed (mean and two standard errors).
    """
    gains: dict[str, dict[tuple[str, int], tuple[float, float]]] = {}
    for key, run in runs.items():
        kind, way, seed = key.split("|")
        before, *after = run["rows"]
        if after:
            gain = statistics.fmean(row["score"] for row in after) - before["score"]
            kept = statistics.fmean(row["known"] for row in after) - before["known"]
            gains.setdefault(way, {})[kind, int(seed)] = gain, kept
    found: dict[str, Any] = {}
    for way in ways:
        mine, usual = gains.get(way, {}), gains.get("as it is", {})
        both = sorted(mine.keys() & usual.keys())
        if not both:
            continue
        differences = [[mine[key][what] - usual[key][what] for key in both] for what in (0, 1)]
        errors = [2 * statistics.stdev(d) / len(d) ** 0.5 if len(d) > 1 else 0.0 for d in differences]
        kinds = sorted({kind for kind, _ in both})
        found[way] = {
            "runs": len(both),
            "gain by kind": {k: round(statistics.fmean(mine[key][0] for key in both if key[0] == k), 4) for k in kinds},
            "gain beside as it is": round(statistics.fmean(differences[0]), 4),
            "two standard errors": round(errors[0], 4),
            "known beside as it is": round(statistics.fmean(differences[1]), 4),
            "two standard errors of that": round(errors[1], 4),
        }
    return found


def main() -> None:
    """Run all ways on all kinds, or go on where it was interrupted, and write what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of all data")
    parser.add_argument("--only", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--objects", type=int, default=6, help="corrections before each learning")
    parser.add_argument("--steps", type=int, default=80, help="training steps of each")
    parser.add_argument("--enlarge", type=int, default=1, help="how many times larger the objects are made")
    parser.add_argument("--keep", type=Path, default=Path("rules.jsonl"), help="where finished runs are kept")
    parser.add_argument("--only-sum", action="store_true", help="write the result of the runs that are finished")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, dict[str, Any]] = dict(kept(arguments.keep))
    for seed in range(0 if arguments.only_sum else arguments.seeds):
        for way in arguments.ways:
            for kind in arguments.only:
                key = f"{kind}|{way}|{seed}"  # the file is of one choice of the other options
                if key in runs:
                    continue
                runs[key] = run_once(kind, WAYS[way], seed, arguments)
                keep(arguments.keep, [key, runs[key]])
                print(key, [(row["score"], row["known"]) for row in runs[key]["rows"]], flush=True)
    found = summary(runs, arguments.ways)
    for way, figures in found.items():
        print(way, figures)
    limits = {name: getattr(arguments, name) for name in ("seeds", "rounds", "objects", "steps", "enlarge")}
    write_result(
        "rules" if arguments.enlarge == 1 else "rules_enlarged",
        {"limits": limits, "threads": 1, "summary": found, "runs": runs},
    )


if __name__ == "__main__":
    main()
