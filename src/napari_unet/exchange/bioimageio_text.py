"""What of a model package is for people: the picture, and the page that describes the model."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.models.info import ModelInfo


def picture(raw: NDArray[Any], maps: NDArray[Any], margin: Sequence[int]) -> bytes:
    """Return a PNG, twice as wide as high: the middle plane of an image, and the first map (of classes, the best one).

    Parameters
    ----------
    raw : ndarray, axes (C, [Z,] Y, X)
    maps : ndarray, axes (K, [Z,] Y, X)
    margin : sequence of int
        Pixels ([Z,] Y, X) that maps are smaller by on either side.
    """
    from PIL import Image

    inner = tuple(slice(m, n - m) for m, n in zip(margin, raw.shape[1:], strict=True))
    left, right = _plane(raw[(slice(None), *inner)]), _plane(maps)
    shown = left[:3] if len(left) >= 3 else left[:1]
    low, high = np.percentile(shown, [1, 99.8])
    shown = np.clip((shown - low) / max(high - low, 1e-6), 0, 1)
    first = right[0] if len(right) < 3 or right.sum(0).max() > 1.01 else right.argmax(0) / (len(right) - 1)
    both = np.concatenate(
        [np.broadcast_to(shown, (3, *first.shape)), np.broadcast_to(first, (3, *first.shape))], axis=2
    )
    side = min(first.shape)
    canvas = Image.fromarray((255 * both.transpose(1, 2, 0)).astype(np.uint8)).resize((2 * side, side))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _plane(block: NDArray[Any]) -> NDArray[Any]:
    return block[:, block.shape[1] // 2] if block.ndim == 4 else block


def readme(info: ModelInfo) -> str:
    """Return the page that describes a model, in Markdown."""
    parts = [f"# {info.name}", info.description or "A U-Net.", "## What goes in", _goes_in(info), "## What comes out"]
    parts += [f"Probabilities from 0 to 1: {', '.join(info.outputs)}. {_comes_out(info)}"]
    parts += ["## Trained on", "\n".join(_training(info)) or "Not recorded."]
    if " AND " in info.licence:
        parts += ["## Licence", f"The weights: {info.licence}, all of them. `rdf.yaml` has a place for the first only."]
    if info.scores:
        parts += ["## Scores", "\n".join(f"- {name}: {value:.4g}" for name, value in info.scores.items())]
    parts += [
        "## Validation",
        "Compare its maps with your images before you count on them: it may fail on images of another kind.",
        "## Made by",
        "napari-unet-interactive. The whole description of the model is in `config: napari_unet` of `rdf.yaml`.",
    ]
    return "\n\n".join(parts) + "\n"


def _goes_in(info: ModelInfo) -> str:
    spec = info.spec
    kind = "Volumes" if spec.ndim == 3 else "Planes"
    words = [f"{kind} of {spec.in_channels} channel{'s' if spec.in_channels > 1 else ''}."]
    if info.inputs == "colour":
        words.append("Red, green and blue; a grey image goes in three times.")
    if info.pixel_size is not None:
        words.append(f"Rescale them to pixels of {' x '.join(f'{size:g}' for size in info.pixel_size)} micrometres.")
    elif info.diameter is not None:
        words.append(f"It finds objects of about {info.diameter:g} pixels best: rescale other images to that.")
    return " ".join(words)


def _comes_out(info: ModelInfo) -> str:
    if not info.finds_objects:
        return f"One for each class: {', '.join(info.classes)}. The largest one is the class of a pixel."
    said = f"A pixel belongs to an object where the foreground is above {info.decoding.foreground:g}."
    flows = "Flows are unit vectors to the middle of an object, as (v + 1) / 2."
    seeds = {
        "flows": f"{flows} Pixels whose paths along them end together are one object.",
        "distance": "Touching objects are parted by a watershed from the peaks of the distance.",
        "boundary": "Touching objects are parted by a watershed from the peaks of foreground minus boundary.",
        "shape": "Touching objects are parted by a watershed from the peaks of the distance to the background.",
    }
    return f"{said} {seeds[info.decoding.seeds]}"


def _training(info: ModelInfo) -> list[str]:
    rows = []
    for source in info.training_data:
        images = "" if source.images is None else f", {source.images} images"
        rows.append(f"- {source.name}{images}, licence {source.licence}{f': {source.source}' if source.source else ''}")
    return rows
