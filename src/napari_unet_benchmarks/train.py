"""What `napari-unet train` makes of three labelled fields in four minutes, scored on six others.

    napari-unet benchmark train --data DATA [--kind NAME] [--minutes M] [--seed N] [--smoke]

DATA: see `recipes/nuclei.py`. The command is run as its user runs it, in a process of its own, with `nuclei` to begin
with; then fields are segmented that it has not seen, and fields of nuclei, for what was forgotten. Settings
may be chosen on `junctions` and `cytospins`. The figure is that of `phase contrast`: nothing was chosen on its fields
for `train`, but rate, replay and fit had been chosen on fields of the same set (docs/decisions/0005-retention.md).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.io.readers import read_image, read_labels
from napari_unet.progress import Stopwatch
from napari_unet_benchmarks.fields import KNOWN, KNOWN_SIZE, read_fields
from napari_unet_benchmarks.intervals import ap_interval
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.evaluation.metrics import Scores
    from napari_unet.models.model import Model

BASE = "nuclei"
IOU = "0.50"
FORGETTING_FIELDS = 25


@dataclass(frozen=True, slots=True)
class Kind:
    """Fields of one kind.

    Attributes
    ----------
    folder : str
        Within the folder of all data; holds ``images`` and ``labels``.
    learned, scored : tuple of str
        Names of files without their ending.
    chosen_on : bool
        Whether settings may be chosen on it.
    """

    folder: str
    learned: tuple[str, ...]
    scored: tuple[str, ...]
    chosen_on: bool = True


KINDS = {
    "phase contrast": Kind(
        "cells_phase_t98g", ("01", "03", "12"), ("06", "23", "26", "28", "37", "39"), chosen_on=False
    ),
    "junctions": Kind(
        "cells_junctions_mdck_zo1/train",
        ("Myo1c_KO_1_half", "Myo1c_KO_2_half", "wt_5_half"),
        ("Myo1c_KO_3_half", "Myo1c_KO_5_half", "Myo1c_KO_6_half", "Myo1c_KO_8_half", "wt_8_half"),
    ),
    "cytospins": Kind(
        "nuclei_cytospin_bsst265/train",
        ("Neuroblastoma_0_half", "normal_0_half", "normal_20_half"),
        (
            "Neuroblastoma_3_half",
            "Neuroblastoma_8_half",
            "normal_13_half",
            "normal_2_half",
            "normal_31_half",
            "normal_6_half",
        ),
    ),
}


def files(data: Path, kind: Kind, names: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return images and labels."""
    folder = data / kind.folder
    return [(folder / "images" / f"{name}.tif", folder / "labels" / f"{name}.tif") for name in names]


def trained(pairs: Sequence[tuple[Path, Path]], folder: Path, options: Sequence[str]) -> tuple[Model, dict[str, Any]]:
    """Run the command; return the model, and what the command says."""
    for number, name in enumerate(("images", "labels")):
        (folder / name).mkdir()
        for pair in pairs:
            shutil.copy(pair[number], folder / name / pair[number].name)
    out = folder / "model.safetensors"
    watch = Stopwatch()
    done = subprocess.run(
        [
            sys.executable, "-m", "napari_unet.cli", "train", "--images", folder / "images", "--labels",
            folder / "labels", "--base", BASE, "-o", out, "--device", "cpu", "--json", *options,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    return load_model(str(out)), {"said": said_by(done.stderr), "steps": said["steps"],
                                  "seconds in all": round(watch.seconds, 1)}  # fmt: skip


def said_by(text: str) -> list[str]:
    """Return the sentences of a command's report, without its progress and the names of files."""
    return [line for line in text.splitlines() if not line.startswith(("training:", "Written:"))]


def scored(model: Model, pairs: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    """Return the AP of fields."""
    truths = [read_labels(labels) for _, labels in pairs]
    return _figures(truths, [segment(read_image(image), model, device="cpu").labels for image, _ in pairs])


def known(model: Model, data: Path) -> dict[str, Any]:
    """Return the AP of fields of nuclei, which the base model knows."""
    fields = read_fields(data, KNOWN, KNOWN_SIZE, FORGETTING_FIELDS, 0)[0]
    return _figures([f.truth for f in fields], [segment(f.image, model, device="cpu").labels for f in fields])


def _figures(truths: Sequence[Any], predicted: Sequence[Any]) -> dict[str, Any]:
    images: list[Scores] = [evaluate(*pair) for pair in zip(truths, predicted, strict=True)]
    together = evaluate(list(truths), list(predicted)).to_dict()
    return {
        "AP at IoU 0.50": round(together["ap"][IOU], 3),
        "95 % interval": ap_interval(images, IOU),
        "objects": together["n_truth"],
        "found": together["n_pred"],
        "of each image": [round(one.to_dict()["ap"][IOU], 3) for one in images],
    }


def run(data: Path, kind: Kind, options: Sequence[str]) -> dict[str, Any]:
    """Train and score."""
    with tempfile.TemporaryDirectory() as folder:
        model, made = trained(files(data, kind, kind.learned), Path(folder), options)
    others, base = files(data, kind, kind.scored), load_model(BASE)
    return {
        "learned from": kind.learned,
        "scored on": kind.scored,
        "options": list(options),
        **made,
        "decoding": model.info.decoding.model_dump(),
        "before": scored(base, others),
        "after": scored(model, others),
        "after, on what was learned from": scored(model, files(data, kind, kind.learned)),
        "nuclei before": known(base, data),
        "nuclei after": known(model, data),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=KINDS, default="phase contrast")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    kind = KINDS[arguments.kind]
    limits = ["--steps", "2"] if arguments.smoke else ["--minutes", str(arguments.minutes)]
    figures = run(arguments.data, kind, [*limits, "--seed", str(arguments.seed)])
    for name, value in figures.items():
        print(f"{name}: {value}", flush=True)
    if not arguments.smoke and not kind.chosen_on:
        write_result("train", figures)


if __name__ == "__main__":
    main()
