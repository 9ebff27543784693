"""How far to go from the weights before the last stage to those after it: several shares, scored on "choose"."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from finish import CHOSEN_BY, REPORTED
from loop import part_of_the_way
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.io.readers import read_image, read_labels
from napari_unet.models.header import read_model_info
from napari_unet.models.model import Model

if TYPE_CHECKING:
    from pathlib import Path

    from recipe import Recipe

SHARES = (0.0, 0.5, 0.75, 1.0)


def compare_shares(recipe: Recipe, data: Path, run: Path, decoded_as: Path) -> None:
    """Print, for each share, what it scores on "choose": the mean that chooses the decoding, and AP by kind.

    Objects are read out as a model file says, before the decoding is chosen for the share that is taken.
    """
    card = recipe.card.model_copy(update={"decoding": read_model_info(decoded_as).decoding})
    images = [(p.kind, read_image(p.image), read_labels(p.labels)) for p in recipe.pairs(data, "choose")]
    for share in SHARES:
        model = Model(part_of_the_way(recipe, run, len(recipe.stages) - 1, share)[0], card)
        found: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
        for kind, image, labels in images:
            rows = (labels, segment(image, model, device="cpu").labels)
            found[kind].append(rows)
            found["all"].append(rows)
        scores = {kind: evaluate(*zip(*rows, strict=True)).to_dict()["ap"] for kind, rows in found.items()}
        mean = float(np.mean([scores["all"][iou] for iou in CHOSEN_BY]))
        by_kind = {kind: [round(ap[iou], 3) for iou in REPORTED] for kind, ap in scores.items()}
        print(json.dumps({"share": share, "mean": round(mean, 3), "ap": by_kind}), flush=True)
