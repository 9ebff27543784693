"""What *Fit to my corrections* gains on images that nobody has corrected.

    napari-unet benchmark sliders --data DATA [--seeds 3]

DATA: see `recipes/README.md`. The simulated annotator corrects 6, 12 and 18 objects and presses Learn after each six.
After each time, the sliders are fitted to all that is corrected by then: those of the model that it began with, and
those of the model that learned. Scored is AP at an IoU of 0.5 on fields that were not corrected, before and after. *by
itself* is what Learn does without being asked: it fits where the model has learned images of another domain.

The settings of the fit (`learning.policy.FittingPolicy`) were chosen on `cells_phase_t98g` and
`nuclei_cytospin_bsst265`. Nothing was chosen on the sets reported here. An interval is the 95 % of a bootstrap over
pairs of seed and field.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.learning.fitting import fit_to_corrections
from napari_unet.models.model import Model
from napari_unet.objects.redecoding import Sliders
from napari_unet_benchmarks.annotator_session import annotate_and_learn
from napari_unet_benchmarks.fields import DataSet, read_fields
from napari_unet_benchmarks.intervals import mean_interval
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.objects.decode import Decoding
    from napari_unet_benchmarks.fields import Field

SETS = {
    "E. coli, brightfield": DataSet("bacteria_ecoli_colicoords/train", base="cells_phase", prefix="bf_"),
    "nuclei, tissue": DataSet("nuclei_tissue_bsst265/train"),
    "nuclei, H&E": DataSet("histology_tnbc/train"),
}
ROUNDS, OBJECTS = 3, 6
SIZE = 512
"""Width of a field, pixels."""


class Scored:
    """The maps that a model makes of some fields, and how good what is read out of them is."""

    def __init__(self, model: Model, fields: Sequence[Field]) -> None:
        self.truths, self.maps, self.model = [field.truth for field in fields], [], model
        for field in fields:
            result = segment(field.image, model, device="cpu", keep_maps=True)
            assert result.maps is not None
            self.maps.append((result.maps[:, 0, 0], result.task.zoom))

    def aps(self, decoding: Decoding) -> NDArray[np.float64]:
        """Return AP at an IoU of 0.5 on each field."""
        model, scores = Model(self.model.net, self.model.info.with_decoding(decoding)), []
        for truth, (maps, zoom) in zip(self.truths, self.maps, strict=True):
            ap = evaluate([truth], [model.decode(maps, zoom)]).ap
            assert ap is not None
            scores.append(ap["0.50"])
        return np.array(scores)


def original(model: Model) -> Model:
    """Return a model with the settings that it had before any fit."""
    return Model(model.net, model.info.with_decoding(model.info.original_decoding or model.info.decoding))


def measured(
    base: Model, source: DataSet, data: Path, seed: int, held_out: int, steps: int
) -> Iterator[dict[str, Any]]:
    """Yield what fitting does after each round."""
    fields, others = read_fields(data, source, SIZE, held_out=held_out)
    order = np.random.default_rng(seed).permutation(len(fields))
    scored = Scored(base, others)
    for number, point in enumerate(
        annotate_and_learn(
            base, [fields[i] for i in order], ROUNDS, OBJECTS, steps, instances=True, device="cpu", seed=seed
        ),
        start=1,
    ):
        row: dict[str, Any] = {
            "seed": seed,
            "round": number,
            "objects": point.objects,
            "in use": point.figures["in use"],
        }
        learned = original(point.model)
        for name, model, on in (("base", base, scored), ("learned", learned, Scored(learned, others))):
            row[name] = _fitted(model, point.crops, on)
        by_itself = Scored(learned, others) if learned.net is not point.model.net else on
        row["by itself"] = by_itself.aps(point.model.info.decoding).round(4).tolist()
        yield row


def _fitted(model: Model, crops: Sequence[AnnotatedCrop], scored: Scored) -> dict[str, Any]:
    fitted = fit_to_corrections(model, crops, "cpu")
    sliders = Sliders.of(fitted.decoding)
    return {
        "before": scored.aps(model.info.decoding).round(4).tolist(),
        "after": scored.aps(fitted.decoding).round(4).tolist(),
        "sliders": [round(sliders.sensitivity, 3), round(sliders.separation, 3), sliders.smallest],
        "vouched": fitted.objects,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means, and the gains with their intervals, by round."""
    found: dict[str, Any] = {}
    for number in sorted({row["round"] for row in rows}):
        these = [row for row in rows if row["round"] == number]
        found[f"{number * OBJECTS} objects"] = {
            "base, fitted": _gain([(row["base"]["before"], row["base"]["after"]) for row in these]),
            "learned, fitted": _gain([(row["learned"]["before"], row["learned"]["after"]) for row in these]),
            "learned, by itself": _gain([(row["learned"]["before"], row["by itself"]) for row in these]),
        }
    return found


def _gain(pairs: Sequence[tuple[list[float], list[float]]]) -> dict[str, float]:
    before, after = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    gains = after - before
    low, high = mean_interval(gains)
    return {
        "before": round(float(before.mean()), 4),
        "gain": round(float(gains.mean()), 4),
        "from": round(low, 4),
        "to": round(high, 4),
        "fields": len(gains),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=6, help="most fields that are scored (default 6)")
    parser.add_argument("--steps", type=int, default=60, help="training steps after each six objects (default 60)")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures: dict[str, Any] = {}
    for name in arguments.only:
        source = SETS[name]
        assert source.base is not None
        base, rows = load_model(source.base), []
        for seed in range(arguments.seeds):
            for row in measured(base, source, arguments.data, seed, arguments.held_out, arguments.steps):
                rows.append(row)
                print(name, row, flush=True)
        figures[name] = {"base": source.base, "summary": summary(rows), "rows": rows}
        print(f"\n{name}: {figures[name]['summary']}\n", flush=True)
    if arguments.only == list(SETS):
        write_result("sliders", {"seeds": arguments.seeds, "steps": arguments.steps, "sets": figures})


if __name__ == "__main__":
    main()
