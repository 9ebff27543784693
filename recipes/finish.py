"""From a trained network to a model file: how maps become labels, what it scores, its card."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from loop import net_of_card
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.fast_mode import with_fast_mode
from napari_unet.inference.in_memory import segment
from napari_unet.io.atomic import completed
from napari_unet.io.readers import read_image, read_labels
from napari_unet.models.checkpoint import save_model_file
from napari_unet.models.model import Model
from napari_unet.nets.unet import UNet
from napari_unet.objects.decode import Decoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.in_memory import Result
    from recipe import Recipe

CHOSEN_BY = ("0.50", "0.70", "0.80")
"""The decoding is taken by the mean average precision at these intersections over union."""

NOISE = 0.005
"""Of those that come so near to the best mean, the one with the best first counts: that objects are found at all."""

REPORTED = ("0.50", "0.75")


def finish(recipe: Recipe, data: Path, run: Path, out: Path) -> None:
    """Choose the decoding, score on the validation images, and write the model file and the figures."""
    decoding, tried = recipe.card.decoding, []
    if recipe.grids:
        decoding, tried = choose_decoding(recipe, net_of_card(recipe, run, recipe.chooser)[0], data)
    net, steps = net_of_card(recipe, run, len(recipe.stages) - 1)
    model = rounded(Model(net, recipe.card.model_copy(update={"decoding": decoding})))
    scores = validate(recipe, model, data)
    config = recipe.stages[0]
    made: dict[str, str | int | float | bool | None] = {
        "script": recipe.script, "steps": steps, "seed": config.seed, "batch_size": config.batch_size,
        "patch": " x ".join(map(str, config.patch)),
    }  # fmt: skip
    if recipe.last_share < 1:
        made["share_of_last_stage"] = recipe.last_share
    told = {f"val {name}": round(value, 4) for name, value in told_of(model, scores).items()}
    carried = recipe.card.name if recipe.replay_set else None
    info = model.info.model_copy(update={"recipe": made, "scores": told, "replay_set": carried})
    save_model_file(with_fast_mode(Model(model.net, info), examples(recipe, data)), out, half=True)
    report = {"steps": steps, "chosen": decoding.model_dump(), "validation": scores, "tried": tried}
    with completed(run / "finish.json", overwrite=True) as partial:
        partial.write_text(json.dumps(report, indent=1))
    print(json.dumps({name: report[name] for name in ("steps", "chosen", "validation")}, indent=1))


def choose_decoding(recipe: Recipe, net: UNet, data: Path) -> tuple[Decoding, list[dict[str, Any]]]:
    """Try what the recipe's grids name on the images that it names; return the one to take, and all by their mean."""
    model = Model(net, recipe.card)
    pairs = [pair for split in recipe.chosen_on for pair in recipe.pairs(data, split)]
    truths = [read_labels(pair.labels) for pair in pairs]
    results = [segment(recipe.read(pair), model, device="cpu", keep_maps=True) for pair in pairs]
    tried: list[dict[str, Any]] = []
    for fields in itertools.chain.from_iterable(map(_combinations, recipe.grids)):
        decoding = Decoding.model_validate({**recipe.card.decoding.model_dump(), **fields})
        chosen = Model(net, recipe.card.model_copy(update={"decoding": decoding}))
        found = [chosen.decode(image_maps(result), result.task.zoom) for result in results]
        ap = evaluate(truths, found).to_dict()["ap"]
        tried.append({**fields, "mean": float(np.mean([ap[iou] for iou in CHOSEN_BY])), **ap})
    tried.sort(key=lambda row: -row["mean"])
    best = {name: value for name, value in preferred(tried).items() if name in Decoding.model_fields}
    return Decoding.model_validate({**recipe.card.decoding.model_dump(), **best}), tried


def preferred(tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the one to take of decodings that were tried, the best mean first."""
    as_good = [row for row in tried if row["mean"] >= tried[0]["mean"] - NOISE]
    return max(as_good, key=lambda row: float(row[CHOSEN_BY[0]]))


def _combinations(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield each value of each field with each of the others."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def image_maps(result: Result) -> NDArray[np.float32]:
    """Return the maps of an image of one plane or one volume, axes (K, [Z,] Y, X)."""
    assert result.maps is not None
    volume = result.maps[:, 0]
    return volume if result.task.model.info.spec.ndim == 3 else volume[:, 0]


def rounded(model: Model) -> Model:
    """Return a model with weights of 16 bits, as they are in the file: that is what is scored."""
    state = {name: v.half().float() if v.is_floating_point() else v for name, v in model.net.state_dict().items()}
    net = UNet(model.info.spec, initialise=False)
    net.load_state_dict(state)
    return Model(net.eval().requires_grad_(False), model.info)


def validate(recipe: Recipe, model: Model, data: Path) -> dict[str, dict[str, Any]]:
    """Return the scores on the validation images, by kind, through the program's own `segment`."""
    found: dict[str, list[tuple[Any, Any, float]]] = {}
    for pair in recipe.pairs(data, "val"):
        image, began = read_image(pair.image), time.perf_counter()
        labels = segment(image, model, device="cpu").labels
        found.setdefault(pair.kind, []).append((read_labels(pair.labels), labels, time.perf_counter() - began))
    task = model.info.task
    scores = {kind: _scored([r[:2] for r in rows], task) for kind, rows in found.items()}
    if len(found) > 1:
        scores["all"] = _scored([row[:2] for rows in found.values() for row in rows], task)
    for kind, rows in found.items():
        scores[kind]["seconds"] = [round(row[2], 2) for row in rows]
    return scores


def _scored(rows: list[Any], task: Any) -> dict[str, Any]:
    truths, predicted = zip(*rows, strict=True)
    return evaluate(truths, predicted, task).to_dict()


def told_of(model: Model, scores: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the scores that the card tells, by kind where there are several: average precision, or Dice by class."""
    told = {}
    for kind, values in scores.items():
        before = f"{kind} " if len(scores) > 1 else ""
        if model.info.finds_objects:
            told |= {f"{before}AP@{iou}": values["ap"][iou] for iou in REPORTED}
        else:
            names = list(enumerate(model.info.classes))[1:]
            told |= {f"{before}Dice {name}": values["dice_per_class"][str(index)] for index, name in names}
    return told


def examples(recipe: Recipe, data: Path) -> Iterator[Image]:
    """Yield an image of each kind that the decoding was chosen on, or was learned from, to measure the fast mode on."""
    seen = set()
    for pair in recipe.pairs(data, "choose") or recipe.pairs(data, "train"):
        if pair.kind not in seen:
            seen.add(pair.kind)
            yield read_image(pair.image)
