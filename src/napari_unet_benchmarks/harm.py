"""Why learning from corrections of one image makes other images of the kind worse: its parts, and ways to mend it.

    napari-unet benchmark harm --data DATA [--only KIND ...] [--ways WAY ...] [--seeds 2] [--objects 7] [--steps 60]
                               [--keep FILE] [--name NAME] [--only-sum]

DATA: see `recipes/README.md`. A simulated annotator corrects a few objects of one image. From the same corrections the
program learns as it does, and in ways that differ in one thing. Scored are other images of the kind: with the new
weights and the old settings of decoding and scale, the other way round, after fewer steps, and with weights between the
old and the new ones. Ways are chosen on some kinds, and reported on others (docs/decisions/0032-harm.md).
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch

from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE
from napari_unet.learning import interactive
from napari_unet.learning.crops import CropReader
from napari_unet.learning.policy import DEFAULT_POLICY, Policy
from napari_unet.learning.retention import interpolate_weights
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet.nets.losses import distillation_loss
from napari_unet.progress import drive
from napari_unet.training import trainer
from napari_unet.training.config import Augmentation, StepReport, TrainingConfig
from napari_unet.training.samples import Sample
from napari_unet_benchmarks.check import Kind
from napari_unet_benchmarks.check_evidence import Looks, Session, scores_on_others
from napari_unet_benchmarks.fields import DataSet, Field, read_fields
from napari_unet_benchmarks.kept_runs import keep, kept
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.interactive import Learned
    from napari_unet.models.info import ModelInfo
    from napari_unet.nets.unet import UNet

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

KINDS = CHOSEN_ON | MORE_CHOSEN_ON | REPORTED_ON | CONFIRMED_ON

MARKS = (10, 20, 40)
"""Steps after which the weights are scored, too."""

USUAL = "as it is"

IN_DOMAIN = 1.0
"""Weight of distillation with which the program learns what is like the data of the model."""

SHARES = (0.25, 0.5, 0.75)
"""How far from the old weights to the new ones, of models that are scored, too."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn: as the program does, but for what is named.

    Attributes
    ----------
    change : callable
        Returns the settings that are to be others, from those that the program chooses.
    policy : Policy
    sure : float
        Smallest probability of the old model, of foreground or background, that unsupervised pixels are held to.
    share : float
        How far to go from the old weights to the new ones, always.
    mean_of_all : bool
        Whether the mean of the weights is that of all steps, all alike, and of the old weights.
    eps : float, optional
        What Adam adds to the root of the mean squared gradient: weights with far smaller gradients hardly move.
    others : float
        Share of patches from images that are neither corrected nor scored, beside all others; there the network is held
        to the old one where that was sure. Only in its domain.
    only_where_it_fits : bool
        Whether these are only such images on which what the old model finds is credible; where that is half of them,
        the corrected image is taken to be in its domain.
    """

    change: Callable[[TrainingConfig], Mapping[str, Any]] = field(default=lambda config: {})
    policy: Policy = DEFAULT_POLICY
    sure: float = 0.8
    share: float = 1.0
    mean_of_all: bool = False
    eps: float | None = None
    others: float = 0.0
    only_where_it_fits: bool = False


_NEVER_OUT = DEFAULT_POLICY.model_copy(
    update={"domain_shift": DEFAULT_POLICY.domain_shift.model_copy(update={"min_objects": 10**6})}
)

WAYS = {
    "as it is": Way(),
    "never out of domain": Way(policy=_NEVER_OUT),
    "held everywhere": Way(lambda config: {"distillation": 1.0}, sure=0.5),
    "a third of the rate": Way(lambda config: {"learning_rate": config.learning_rate / 3}),
    "stronger intensity": Way(
        lambda config: {"augmentation": Augmentation(contrast=0.5, brightness=0.25, gamma=2.0, noise=0.1, blur=2.0)}
    ),
    "without Dice": Way(lambda config: {"dice": 0.0}),
    "norm of the patches first": Way(lambda config: {"free_norm": 0.5}),
    "slower running mean": Way(lambda config: {"ema": 0.98}),
    "three quarters of the way": Way(share=0.75),
    "falling rate": Way(lambda config: {"schedule": "cosine"}),
    "mean of all steps": Way(mean_of_all=True),
    "larger eps": Way(eps=1e-4),
    "slower start": Way(lambda config: {"warmup": 40}),
    "held on other images": Way(others=0.25),
    "held on other images, more": Way(others=0.5),
    "held where it fits": Way(others=0.5, only_where_it_fits=True),
}


def learned_and_marks(
    model: Model, crops: Sequence[AnnotatedCrop], steps: int, way: Way, spare: Sequence[Field] = ()
) -> tuple[Learned, dict[int, UNet]]:
    """Return what is learned from corrections, and the network after each of `MARKS`.

    `spare` are the images that nobody corrects or scores.
    """
    marks: dict[int, UNet] = {}
    made: list[trainer.Trainer] = []

    class Changed(trainer.Trainer):
        def __init__(self, net: UNet, samples: Sequence[Any], config: TrainingConfig, device: Any = "cpu") -> None:
            config = config.model_copy(update=dict(way.change(config)))
            if way.others and config.distillation >= IN_DOMAIN:
                samples = [*samples, *unlabelled(model, spare, way.others, sum(one.weight for one in samples))]
            super().__init__(net, samples, config, device)
            self._before = net
            for group in self._optimizer.param_groups if way.eps else ():
                group["eps"] = way.eps
            made.append(self)

        def trained(self) -> UNet:
            net = super().trained()
            if way.share < 1:
                mix(net, self._before, way.share)
            return net

        @torch.no_grad()
        def _follow(self, mean: UNet) -> None:
            if way.mean_of_all:
                mix(mean, self.net, (1 + self.step) / (2 + self.step))
            else:
                super()._follow(mean)

    def note(event: object) -> None:
        if isinstance(event, StepReport) and event.step in MARKS and event.step < steps:
            marks[event.step] = made[0].trained()

    with ExitStack() as stack:
        stack.enter_context(patch.object(interactive, "Trainer", Changed))
        stack.enter_context(patch.object(trainer, "distillation_loss", partial(distillation_loss, sure=way.sure)))
        settings = {"steps": steps}
        learning = interactive.learning_steps(model, crops, None, "cpu", settings=settings, policy=way.policy)
        return drive(learning, note), marks


def unlabelled(model: Model, spare: Sequence[Field], share: float, weight: float) -> list[Sample]:
    """Return images of which nothing is known, from which so large a share of all patches is drawn."""
    every = []
    for one in spare:
        height, width = one.truth.shape
        image = CropReader(one.image, model).read(0, (slice(0, 1), slice(0, height), slice(0, width)))
        nothing = np.zeros((len(model.info.outputs), *image.shape[1:]), np.float16)
        focus = np.random.default_rng(0).integers(0, image.shape[1:], (256, 2))
        each = weight * share / (1 - share) / len(spare)
        every.append(Sample(image, nothing, np.zeros(nothing.shape, bool), focus, each))
    return every


@torch.no_grad()
def mix(net: UNet, other: UNet, share: float) -> None:
    """Take so large a share of the weights of a network, and the rest of another's."""
    others = other.state_dict()
    for name, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(others[name], 1 - share)


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


def runs_of(name: str, seed: int, ways: Sequence[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Correct one image, learn from it in each of the ways, and yield scores; of the usual way, of all parts."""
    kind, looks = KINDS[name], Looks()
    base = load_model(kind.bases[0])
    work, others = read_fields(arguments.data, kind.source, kind.width, 12, kind.scored)
    if name in CONFIRMED_ON:
        kept_aside = replace(kind.source, folder=str(Path(kind.source.folder).with_name("val")))
        work_aside, others_aside = read_fields(arguments.data, kept_aside, kind.width)
        others = work_aside + others_aside
    corrected = work[seed % len(work)]
    session = Session(corrected, looks, seed)
    session.show(base)
    objects = session.correct(arguments.objects)
    crops, spare = session.crops(base), [one for one in work if one is not corrected]
    for way in ways:
        chosen, others_open, fits = WAYS[way], spare, None
        if chosen.only_where_it_fits:
            others_open = [one for one in spare if looks(base, one.image).estimate >= DEFAULT_MODEL_CHOICE.doubtful]
            fits = f"{len(others_open)} of {len(spare)}"
            knows = 2 * len(others_open) >= len(spare)
            chosen = replace(chosen, policy=_NEVER_OUT) if knows else WAYS[USUAL]
        learned, marks = learned_and_marks(base, crops, arguments.steps, chosen, others_open)
        models = parts(base, learned.model, marks) if way == USUAL else {"base": base, "new": learned.model}
        first = marks.get(MARKS[0])
        if first is not None:
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
            "scores": {part: _scores(one, others, looks) for part, one in models.items()},
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
    }
    sums = {title: summary(rows, list(kinds)) for title, kinds in groups.items()}
    limits = {name: getattr(arguments, name) for name in ("seeds", "objects", "steps")}
    write_result(arguments.name, {"limits": limits, "threads": 1} | sums | {"runs": rows})


if __name__ == "__main__":
    main()
