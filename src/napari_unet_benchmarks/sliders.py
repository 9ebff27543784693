"""What *Fit to my corrections* gains on images that nobody has corrected.

    napari-unet benchmark sliders --data DATA [--seeds 3] [--choosing] [--only KIND ...] [--keep FILE]

DATA: see `recipes/README.md`. The simulated annotator corrects 5, 10 and 20 objects and presses Learn each time.
After each time, the sliders are fitted to all that is corrected by then: those of the model that it began with, and
those of the model that learned. Scored is AP at an IoU of 0.5 on fields that were not corrected, before and after;
*new domain* says whether the model in use has learned images of another domain.

With ``--choosing`` on the kinds that the settings of the fit (`learning.policy.FittingPolicy`) were chosen on, or that
may be chosen on: decisions are made there, and no figure is reported on them. Nothing of the fit was chosen on the
others. An interval is the 95 % of a bootstrap over pairs of seed and field. With ``--keep`` each seed of a kind is
appended to a file, and what is in it is not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.learning.domain_shift import NEW_DOMAIN, has_new_domain
from napari_unet.learning.fit_to_corrections import fit_to_corrections
from napari_unet.models.model import Model
from napari_unet.objects.redecoding import Sliders
from napari_unet_benchmarks.annotator_session import annotate_and_learn
from napari_unet_benchmarks.fields import DataSet, read_fields
from napari_unet_benchmarks.intervals import mean_interval
from napari_unet_benchmarks.kept_runs import keep, kept
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
CHOOSING = {
    "T98G, phase contrast": DataSet("cells_phase_t98g"),
    "nuclei, cytospins": DataSet("nuclei_cytospin_bsst265/train"),
    "junctions, MDCK": DataSet("cells_junctions_mdck_zo1/train"),
}
OBJECTS = (5, 5, 10)
"""Objects that are corrected before each time that it learns."""

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
    points = annotate_and_learn(
        base, [fields[i] for i in order], len(OBJECTS), OBJECTS, steps, instances=True, device="cpu", seed=seed
    )
    for number, point in enumerate(points):
        learned = original(point.model)
        yield {
            "seed": seed,
            "corrected": sum(OBJECTS[: number + 1]),
            "objects": point.objects,
            "in use": point.figures["in use"],
            "new domain": has_new_domain(learned.info),
            "base": _fitted(base, point.crops, scored),
            "learned": _fitted(learned, point.crops, on := Scored(learned, others)),
            "learned, noise kept": _fitted(_known_domain(learned), point.crops, on),
        }


def _known_domain(model: Model) -> Model:
    """Return a model of which it is not known that it has learned another domain."""
    recipe = {name: value for name, value in model.info.recipe.items() if name != NEW_DOMAIN}
    return Model(model.net, model.info.model_copy(update={"recipe": recipe}))


def _fitted(model: Model, crops: Sequence[AnnotatedCrop], scored: Scored) -> dict[str, Any]:
    fitted = fit_to_corrections(model, crops, "cpu")
    sliders = Sliders.of(fitted.decoding)
    return {
        "before": scored.aps(model.info.decoding).round(4).tolist(),
        "after": scored.aps(fitted.decoding).round(4).tolist(),
        "sliders": [round(sliders.sensitivity, 3), round(sliders.separation, 3), sliders.smallest],
        "vouched": fitted.objects,
        "right": [round(fitted.before, 4), round(fitted.after, 4)],
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means, and the gains with their intervals, by how many objects were corrected."""
    found: dict[str, Any] = {}
    for corrected in sorted({row["corrected"] for row in rows}):
        these = [row for row in rows if row["corrected"] == corrected]
        found[f"{corrected} objects"] = {
            name: _gain([(row[name]["before"], row[name]["after"]) for row in these])
            for name in ("base", "learned", "learned, noise kept")
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
    parser.add_argument("--steps", type=int, default=60, help="training steps each time (default 60)")
    parser.add_argument("--choosing", action="store_true", help="on the kinds that may be chosen on")
    parser.add_argument("--only", nargs="+", choices=[*CHOOSING, *SETS], help="some of the kinds")
    parser.add_argument("--keep", type=Path, help="file that each seed is appended to, and that is gone on with")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    sets = CHOOSING if arguments.choosing else SETS
    known = kept(arguments.keep)
    done: dict[tuple[str, int], list[dict[str, Any]]] = {(name, seed): rows for name, seed, rows in known}
    figures: dict[str, Any] = {}
    for name, source in sets.items():
        if name not in (arguments.only or sets):
            continue
        assert source.base is not None
        base, found = load_model(source.base), []
        for seed in range(arguments.seeds):
            if (name, seed) not in done:
                rows = [*measured(base, source, arguments.data, seed, arguments.held_out, arguments.steps)]
                print(name, *rows, sep="\n", flush=True)
                done[name, seed] = rows
                keep(arguments.keep, [name, seed, rows])
            found += done[name, seed]
        figures[name] = {"base": source.base, "summary": summary(found), "rows": found}
        print(f"\n{name}: {figures[name]['summary']}\n", flush=True)
    if [*figures] == [*sets]:
        about = {"seeds": arguments.seeds, "steps": arguments.steps, "sets": figures}
        write_result("sliders_choosing" if arguments.choosing else "sliders", about)


if __name__ == "__main__":
    main()
