"""`napari-unet evaluate`, `models` and `info`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import describe_model
from napari_unet.cli.messages import fail, print_json, say
from napari_unet.cli.options import Json, complete_model, path_of
from napari_unet.errors import ModelFileError, UNetError


class ScoreTask(StrEnum):
    """What the labels are."""

    instances = "instances"
    semantic = "semantic"
    membranes = "membranes"


@app.command(epilog="Example: napari-unet evaluate --pred results --truth labels")
def evaluate(
    pred: Annotated[Path, typer.Option(parser=path_of, metavar="PATH", help="Predicted labels: a file or a folder.")],
    truth: Annotated[Path, typer.Option(parser=path_of, metavar="PATH", help="True labels: a file or a folder.")],
    task: Annotated[ScoreTask, typer.Option(help="What the labels are.")] = ScoreTask.instances,
    as_json: Json = False,
) -> None:
    """Score label images against the truth."""
    from napari_unet.io.pairs import match_by_stem

    try:
        pairs = match_by_stem(truth, pred)
        from napari_unet.evaluation.metrics import evaluate as score
        from napari_unet.io.readers import read_labels_and_notes

        read = [(read_labels_and_notes(a), read_labels_and_notes(b)) for a, b in pairs]
        truths, predicted = [a for (a, _), _ in read], [b for _, (b, _) in read]
        for (path, _), a, b in zip(pairs, truths, predicted, strict=True):
            if a.squeeze().shape != b.squeeze().shape:
                raise UNetError(f"{path.name}: the truth has the shape {a.shape}, the prediction {b.shape}.")
        scores = score([a.squeeze() for a in truths], [b.squeeze() for b in predicted], task=task.value).to_dict()
    except UNetError as error:
        fail(error, 1)
    notes = list(dict.fromkeys(note for pair in read for _, each in pair for note in each))
    for note in notes:
        say(note)
    if as_json:
        print_json(scores | {"notes": notes})
        return
    for name, value in scores.items():
        if isinstance(value, dict):
            typer.echo(f"{name:>14}  " + "  ".join(f"{k} {v:.3f}" for k, v in value.items()))
        else:
            typer.echo(f"{name:>14}  {value:.4f}" if isinstance(value, float) else f"{name:>14}  {value}")


@app.command(epilog="Example: napari-unet models --json")
def models(as_json: Json = False) -> None:
    """List the models: shipped and your own."""
    from napari_unet.models.header import read_model_info
    from napari_unet.models.store import list_models, user_folder

    rows: list[dict[str, Any]] = []
    for entry in list_models():
        row: dict[str, Any] = {"name": entry.name, "shipped": entry.shipped, "path": str(entry.path)}
        try:
            info = read_model_info(entry.path)
            row |= {"task": info.task, "ndim": info.spec.ndim, "description": info.description}
        except ModelFileError as error:
            row["error"] = str(error)
        rows.append(row)
    if as_json:
        print_json({"models": rows, "user_folder": str(user_folder())})
        return
    for row in rows:
        kind = "shipped" if row["shipped"] else "yours"
        typer.echo(f"{row['name']:<24} {kind:<8} {row.get('error') or row['description']}")


@app.command(epilog="Example: napari-unet info nuclei")
def info(
    name: Annotated[str, typer.Argument(help="Name or file of a model.", autocompletion=complete_model)],
    as_json: Json = False,
) -> None:
    """Show everything about a model: what it is for, what it was trained on, under which licences, and its scores."""
    from napari_unet.models.header import info_as_json, weights_sha256

    path, about = describe_model(name)
    try:
        card = info_as_json(about) | {"sha256": weights_sha256(path), "axes": about.axes}
    except ModelFileError as error:
        fail(error, 2)
    if as_json:
        print_json(card)
        return
    card.pop("styles")  # long lists of numbers
    for key, value in card.items():
        rows = value if isinstance(value, list) and any(isinstance(row, dict) for row in value) else [value]
        for row in rows:
            typer.echo(f"{key:>14}  {_in_words(row)}")


def _in_words(value: Any) -> str:
    """Return a value of a model's description as text, without empty fields."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(one)}" for key, one in value.items() if one not in (None, "", [], {}))
    return value if isinstance(value, str) else json.dumps(value)
