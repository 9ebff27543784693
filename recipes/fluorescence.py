"""Train `fluorescence`, which is not shipped: with it the simulated annotator begins on histology.

The shipped `nuclei` has seen histology. This is its network after less training, on the fluorescence images alone:

    python recipes/fluorescence.py train  --data DATA
    python recipes/fluorescence.py finish --data DATA --out fluorescence.safetensors
    napari-unet benchmark annotator --data DATA --set histology --base fluorescence.safetensors
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import nuclei
from command import main

if TYPE_CHECKING:
    from pathlib import Path

    from recipe import Pair, Split

KINDS = ("fluorescence", "bbbc039")


def pairs(data: Path, split: Split) -> list[Pair]:
    """Return the fluorescence images of a split of `nuclei`."""
    return [pair for pair in nuclei.pairs(data, split) if pair.kind in KINDS]


RECIPE = replace(
    nuclei.RECIPE,
    card=nuclei.RECIPE.card.model_copy(
        update={
            "name": "fluorescence",
            "description": "Nuclei in fluorescence.",
            "licence": "CC0-1.0",
            "training_data": nuclei.RECIPE.card.training_data[:2],  # BBBC038 and BBBC039
        }
    ),
    stages=(nuclei.REFINE.model_copy(update={"steps": 360}),),
    pairs=pairs,
    last_share=1.0,
    shares={kind: nuclei.SHARES[kind] for kind in KINDS},
    replay_set={},
)

if __name__ == "__main__":
    main(RECIPE, __doc__)
