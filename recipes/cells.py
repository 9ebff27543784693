"""Train `cells`: whole cells of several looks, where `cells_phase` knows one.

DATA holds, all under MIT, as weights learned from it are:

| kind | folder | of | licence of the data |
|---|---|---|---|
| phase | `cells_phase_t98g` | T98G cells, phase contrast | MIT (Tsai et al. 2019) |
| junctions | `cells_junctions_mdck_zo1` | epithelium, by the junctions between cells | MIT, stated for the repository |
| brightfield, fluorescence | `bacteria_ecoli_colicoords` | E. coli | MIT (Smit et al. 2019), likewise |

Cells of 30 to 76 pixels are brought to one size, and varied around it. Training begins with the weights of
`cells_phase` (MIT) and never sees the fields that are kept aside for these (`cells_phase.SPLITS`, "val"). CODEX
tissue is left out: cells in it are drawn around nuclei, and only these are seen. Nuclei are left to `nuclei`, whose
weights are partly under CC BY; stained membranes of tissue to the demo, whose sample no shipped model has seen.

    python recipes/cells.py train  --data DATA
    python recipes/cells.py finish --data DATA --out cells.safetensors
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cells_phase
from command import main
from napari_unet.models.info import DataSource
from napari_unet.objects.decode import Decoding
from napari_unet.training.config import Augmentation
from recipe import Pair, Recipe, Split, split_images

if TYPE_CHECKING:
    from pathlib import Path

DIAMETERS = {"phase": 67.0, "junctions": 76.0, "brightfield": 31.0, "fluorescence": 31.0}
"""Median diameter of the labelled objects of each kind, by area, pixels of the images."""

SHARES = {"phase": 0.39, "junctions": 0.33, "brightfield": 0.15, "fluorescence": 0.13}

CHOOSE = ("Myo1c_KO_8_half", "bf_00007", "fl_00007")
"""Files that choose the decoding, of the sets that have "train" and "val". The bacteria are of one field of view."""

PREFIXES = {"bf": "brightfield", "fl": "fluorescence"}


def pairs(data: Path, split: Split) -> list[Pair]:
    """Return the images of a split.

    The fields of T98G that choose were learned by the weights that training begins with; those of "val" were not.
    """

    def images(folder: str) -> list[Path]:
        return split_images(data / folder, split, lambda path: path.stem in CHOOSE)

    found = [Pair.of("phase", pair.image) for pair in cells_phase.pairs(data, split)]
    found += [Pair.of("junctions", path) for path in images("cells_junctions_mdck_zo1")]
    return found + [Pair.of(PREFIXES[path.name[:2]], path) for path in images("bacteria_ecoli_colicoords")]


FIRST = cells_phase.FIRST.model_copy(
    update={
        "steps": 3000, "learning_rate": 1e-3,
        "augmentation": Augmentation(
            scale=1.6, elastic=4.0, elastic_spacing=50, contrast=0.3, brightness=0.1, gamma=1.5, noise=0.06, blur=1.2,
            invert=0.1,
        ),
    }
)  # fmt: skip
# Milder towards the end, as `nuclei` learned: outlines are learned from what images look like.
REFINE = FIRST.model_copy(
    update={
        "steps": 1500, "seed": 1,
        "augmentation": Augmentation(
            scale=1.3, elastic=3.0, elastic_spacing=50, contrast=0.2, brightness=0.05, gamma=1.3, noise=0.03, blur=0.6,
            invert=0.05,
        ),
    }
)  # fmt: skip

RECIPE = Recipe(
    card=cells_phase.RECIPE.card.model_copy(
        update={
            "name": "cells",
            "description": (
                "Whole cells: phase contrast, bacteria in brightfield and fluorescence, epithelium by its junctions."
            ),
            "decoding": Decoding(seeds="flows"),
            "image_diameter": None,  # of many kinds there is no usual one: it is found
            "training_data": (
                cells_phase.RECIPE.card.training_data[0],
                DataSource(
                    name="MDCK epithelium, ZO-1 junctions (labels by a network)", licence="MIT",
                    source="https://github.com/JahnJ/U-Net-based-image-quantification-of-epithelial-cell-shapes",
                    images=7,
                ),
                DataSource(
                    name="ColiCoords, E. coli (Smit et al. 2019)", licence="MIT",
                    source="https://github.com/Jhsmit/ColiCoords", images=12,
                ),
            ),
        }
    ),
    stages=(FIRST, REFINE),
    pairs=pairs,
    shares=SHARES,
    grids=(
        {"seeds": ("flows",), "smoothing": (0.0, 1.0, 2.0), "foreground": (0.4, 0.5, 0.6), "min_size": (24, 60, 100)},
    ),
    begins_with="cells_phase",
    diameters=DIAMETERS,
    # One of each image at most.
    replay_set={"phase": (7, 2), "junctions": (7, 1), "brightfield": (4, 1), "fluorescence": (3, 1)},
    replay_patch=(192, 192),
)  # fmt: skip

if __name__ == "__main__":
    main(RECIPE, __doc__)
