"""Train the shipped model `axons`: axons and their myelin in scanning electron microscopy.

DATA holds `axons_sem` (AxonDeepSeg, MIT): eight images of the spinal cords of six rats, of 0.07 to 0.18 um a pixel.
Split by rat. At 0.12 um most of them need not be resampled, the others lose at most 0.001 (axon) and 0.004 (myelin) of
Dice by it, and the network sees 11 um around a pixel, more than the widest fibres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from command import main
from napari_unet.models.info import DataSource, ModelInfo
from napari_unet.nets.spec import UNetSpec
from napari_unet.training.config import Augmentation, TrainingConfig
from recipe import Pair, Recipe, Split

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("background", "axon", "myelin")
PIXEL_SIZE = 0.12

SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("rat1", "rat2", "rat3", "rat7"),
    "choose": (),
    "val": ("rat4", "rat5"),
}
TRAINED_IMAGES = 6


def pairs(data: Path, split: Split) -> list[Pair]:
    """Return the images of the rats of a split; the kind is the rat, so that each counts alike."""
    paths = sorted((data / "axons_sem" / "images").glob("sub-rat*.tif"))
    found = [Pair.of(p.stem.split("_")[0].removeprefix("sub-"), p) for p in paths]
    return [pair for pair in found if pair.kind in SPLITS[split]]


FIRST = TrainingConfig(
    steps=400, batch_size=8, patch=(160, 160), learning_rate=2e-3, weight_decay=1e-2, schedule="cosine", warmup=50,
    freeze_norm=False, ema=0.99, exclusive=True,
    augmentation=Augmentation(
        scale=1.6, elastic=4.0, elastic_spacing=60, contrast=0.4, brightness=0.2, gamma=1.8, noise=0.12, blur=1.5,
    ),
)  # fmt: skip

RECIPE = Recipe(
    card=ModelInfo(
        name="axons",
        description="Axons and their myelin in scanning electron microscopy of nerve tissue.",
        spec=UNetSpec(ndim=2, in_channels=1, out_channels=len(CLASSES), features=16, levels=4),
        task="semantic",
        outputs=tuple(f"class_{index}" for index in range(len(CLASSES))),
        classes=CLASSES,
        pixel_size=(PIXEL_SIZE, PIXEL_SIZE),
        training_data=(
            DataSource(
                name="AxonDeepSeg, rat spinal cord, scanning electron microscopy", licence="MIT",
                source="https://github.com/axondeepseg/data_axondeepseg_sem", images=TRAINED_IMAGES,
            ),
        ),
        licence="MIT",
    ),
    stages=(
        FIRST,
        FIRST.model_copy(update={"steps": 800, "seed": 1}),
        FIRST.model_copy(update={"steps": 1500, "seed": 2}),
    ),
    pairs=pairs,
)  # fmt: skip

if __name__ == "__main__":
    main(RECIPE, __doc__)
