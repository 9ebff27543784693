"""Whether snapshots of a network that learns tell where it is wrong: where they disagree.

    napari-unet benchmark snapshots --data DATA [--seeds 2]

DATA: see `recipes/README.md`. A simulated annotator corrects seven objects of one image, and the program learns 60
steps from them, as in `harm`; the networks after 20 and 40 steps are kept. Then a walk leads through each other image,
segmented by the new model, past the same stops in other orders:

- `walk`: the program's
- `snapshots`: by how much the three networks disagree on the foreground of each stop (standard deviation, its mean)
- `both`: by the sum of the two ranks
- `random`: the mean of 20 draws

Reported is the share of all errors found by walks as long as the number of errors of their image, with 95 % intervals
(bootstrap over images), as in `walk`. Images with no error say nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import rankdata

from napari_unet.guidance.suspects import Suspects, find_suspects
from napari_unet.inference.in_memory import segment
from napari_unet.models.model import Model
from napari_unet.objects.maps import Maps
from napari_unet_benchmarks.check_evidence import Looks
from napari_unet_benchmarks.harm import CHOSEN_ON, opened
from napari_unet_benchmarks.harm_ways import USUAL, WAYS, learned_and_marks
from napari_unet_benchmarks.object_errors import true_pieces
from napari_unet_benchmarks.results import write_result
from napari_unet_benchmarks.walk import DRAWS, Shown, share, visits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet_benchmarks.fields import Field

OBJECTS, STEPS, SNAPSHOTS = 7, 60, (20, 40)


def shown_by(models: Sequence[Model], field: Field) -> tuple[Shown, NDArray[np.float32]]:
    """Return a plane as the last of some models segments it, and how far all disagree on its foreground (Y, X)."""
    foregrounds = []
    for model in models:
        result = segment(field.image, model, device="cpu", keep_maps=True)
        assert result.maps is not None
        values = result.maps.reshape(-1, *field.truth.shape).astype(np.float32)
        foregrounds.append(values[model.info.outputs.index("foreground")])
    maps = Maps(values, model.info.outputs, result.task.zoom)
    labels = result.labels.reshape(field.truth.shape).astype(np.int32)
    return Shown(true_pieces(field.truth), labels, maps), np.std(foregrounds, axis=0)


def disagreement(found: Suspects, labels: NDArray[np.int32], spread: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of a map (Y, X) in the object of each stop; where one may be missing, in its box."""
    sums, sizes = (np.bincount(labels.ravel(), weights) for weights in (spread.ravel(), None))
    boxes = [spread[top:bottom, left:right] for top, left, bottom, right in found.boxes]
    return np.array(
        [box.mean() if one == 0 else sums[one] / sizes[one] for one, box in zip(found.ids, boxes, strict=True)]
    )


def orders(image: Shown, spread: NDArray[np.float32], seed: int) -> dict[str, list[Any]]:
    """Return the orders of the stops in an image."""
    walk = find_suspects(image.labels, image.maps)
    stops = visits_of(walk)
    by_walk, by_spread = (rankdata(-v) for v in (walk.probabilities, disagreement(walk, image.labels, spread)))
    rng = np.random.default_rng(seed)
    return {
        "walk": [stops],
        "snapshots": [[stops[n] for n in np.argsort(by_spread, kind="stable")]],
        "both": [[stops[n] for n in np.argsort(by_walk + by_spread, kind="stable")]],
        "random": [[stops[n] for n in rng.permutation(len(stops))] for _ in range(DRAWS)],
    }


def of_kind(data: Path, name: str, seed: int) -> list[tuple[Shown, NDArray[np.float32]]]:
    """Correct one image, learn from it, and return the others as the new model segments them."""
    base, session, spare, others = opened(data, CHOSEN_ON[name], seed, Looks())
    session.correct(OBJECTS)
    learned, marks = learned_and_marks(base, session.crops(base), STEPS, WAYS[USUAL])
    models = [*(Model(marks[step], learned.model.info) for step in SNAPSHOTS), learned.model]
    found = [shown_by(models, one) for one in (*spare, *others)]
    return [(image, spread) for image, spread in found if image.errors]


def main() -> None:
    """Run it on all kinds and write what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name in CHOSEN_ON:
        shown = [one for seed in range(arguments.seeds) for one in of_kind(arguments.data, name, seed)]
        every = [orders(*one, seed) for seed, one in enumerate(shown)]
        errors = np.array([len(image.errors) for image, _ in shown])
        row: dict[str, Any] = {"images": len(shown), "errors": int(errors.sum())}
        for order in every[0]:
            when = [[image.found_at(one) for one in here[order]] for (image, _), here in zip(shown, every, strict=True)]
            row[order] = share(np.array([fmean((w <= len(w)).sum() for w in draws) for draws in when]), errors)
        figures[name] = row
        print(name, row, flush=True)
    means = {order: round(fmean(row[order]["share"] for row in figures.values()), 3) for order in every[0]}
    write_result("snapshots", {"seeds": arguments.seeds, "steps": STEPS, "mean": means, "kinds": figures})


if __name__ == "__main__":
    main()
