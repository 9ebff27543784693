"""Train the shipped model `cells_phase`: whole cells in phase contrast.

DATA holds `cells_phase_t98g` (Usiigaci, MIT): T98G glioblastoma cells, twelve fields. The cells are about 60 pixels
wide, so that a network of four poolings sees little more than one of them; the images are taken at half their size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from command import main
from napari_unet.models.info import DataSource, ModelInfo
from napari_unet.nets.spec import UNetSpec
from napari_unet.objects.decode import Decoding
from napari_unet.objects.flows import LEARNED
from napari_unet.training.config import Augmentation, TrainingConfig
from recipe import Pair, Recipe, Split

if TYPE_CHECKING:
    from pathlib import Path

IMAGE_DIAMETER = 60.0
"""Median of the training images, pixels; the files record no pixel size."""
SCALE = 0.5

SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("01", "03", "12", "14", "17", "28", "34"),
    "choose": ("26", "39"),
    "val": ("06", "23", "37"),
}


def pairs(data: Path, split: Split) -> list[Pair]:
    """Return the fields of a split."""
    folder = data / "cells_phase_t98g"
    return [Pair("T98G", folder / "images" / f"{n}.tif", folder / "labels" / f"{n}.tif") for n in SPLITS[split]]


FIRST = TrainingConfig(
    steps=1200, batch_size=8, patch=(160, 160), learning_rate=2e-3, weight_decay=1e-2, schedule="cosine", warmup=50,
    freeze_norm=False, ema=0.99, border=3.0,
    augmentation=Augmentation(
        scale=1.5, elastic=4.0, elastic_spacing=50, contrast=0.3, brightness=0.1, gamma=1.3, noise=0.06, blur=1.0,
    ),
)  # fmt: skip

RECIPE = Recipe(
    card=ModelInfo(
        name="cells_phase",
        description=(
            "Whole cells in phase contrast, also touching ones. Set the diameter if it is far from 60 pixels. "
            "Parts of a chamber's wall may be taken for cells."
        ),
        spec=UNetSpec(ndim=2, in_channels=1, out_channels=len(LEARNED[2]), features=16, levels=4),
        outputs=LEARNED[2],
        classes=("cell",),
        # What stage 0 chose, as far as it is of flows too: when they were learned, no field was left to choose on.
        decoding=Decoding(seeds="flows", smoothing=2.0, min_size=100),
        diameter=IMAGE_DIAMETER * SCALE,
        image_diameter=IMAGE_DIAMETER,
        training_data=(
            DataSource(
                name="Usiigaci, T98G cells", licence="MIT", source="https://github.com/oist/usiigaci",
                images=len(SPLITS["train"] + SPLITS["choose"]),
            ),
        ),
        licence="MIT",
    ),
    stages=(
        FIRST,
        FIRST.model_copy(update={"steps": 200, "learning_rate": 1e-3, "seed": 1}),
        FIRST.model_copy(update={"steps": 140, "learning_rate": 5e-4, "seed": 2, "warmup": 5}),
        FIRST.model_copy(update={"steps": 500, "learning_rate": 1e-3, "seed": 3}),
        FIRST.model_copy(update={"steps": 1200, "learning_rate": 1e-3, "seed": 4}),
    ),
    earlier=4,
    on_all=4,  # only one of the fields for choosing shows the wall of the chamber
    on_mistakes=3,  # and it shows little of it
    pairs=pairs,
)  # fmt: skip

if __name__ == "__main__":
    main(RECIPE, __doc__)
