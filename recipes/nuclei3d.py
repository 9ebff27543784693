"""Train the shipped model `nuclei3d`: nuclei in volumes, with a 3D network.

DATA holds `embryo3d_bbbc050` (Broad BBBC050, CC BY 3.0): twelve volumes of eleven mouse embryos, of about 51 planes of
125 x 125 pixels. Split by embryo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from command import main
from napari_unet.models.info import DataSource, ModelInfo
from napari_unet.nets.spec import UNetSpec
from napari_unet.objects.flows import LEARNED
from napari_unet.training.config import Augmentation, TrainingConfig
from recipe import Pair, Recipe, Split

if TYPE_CHECKING:
    from pathlib import Path


SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("Emb01", "Emb03", "Emb04", "Emb07", "Emb09", "Emb11"),
    "choose": ("Emb05", "Emb10"),
    "val": ("Emb02", "Emb06", "Emb08"),
}
TRAINED_VOLUMES = 7


def pairs(data: Path, split: Split) -> list[Pair]:
    """Return the volumes of the embryos of a split."""
    paths = sorted((data / "embryo3d_bbbc050" / "images").glob("*.tif"))
    return [Pair.of("embryo", p) for p in paths if p.stem[:5] in SPLITS[split]]


FIRST = TrainingConfig(
    steps=600, batch_size=2, patch=(32, 80, 80), learning_rate=2e-3, weight_decay=1e-2, schedule="cosine", warmup=50,
    freeze_norm=False, ema=0.99, border=3.0,
    augmentation=Augmentation(
        scale=1.25, elastic=2.0, elastic_spacing=30, contrast=0.3, brightness=0.05, gamma=1.4, noise=0.05, blur=0.7,
    ),
)  # fmt: skip

RECIPE = Recipe(
    card=ModelInfo(
        name="nuclei3d",
        description="Nuclei in fluorescence volumes, about 15 voxels across, voxels about as deep as they are wide.",
        spec=UNetSpec(ndim=3, in_channels=1, out_channels=len(LEARNED[3]), features=8, levels=3),
        outputs=LEARNED[3],
        classes=("nucleus",),
        diameter=15.0,  # median of the training volumes
        training_data=(
            DataSource(
                name="BBBC050 (nuclei of mouse embryonic cells), Broad Bioimage Benchmark Collection",
                licence="CC-BY-3.0", source="https://bbbc.broadinstitute.org/BBBC050", images=TRAINED_VOLUMES,
            ),
        ),
        licence="CC-BY-3.0",
    ),
    stages=(
        FIRST,
        FIRST.model_copy(update={"steps": 1000, "seed": 1}),
        FIRST.model_copy(update={"steps": 5000, "seed": 2}),
    ),
    earlier=2,
    pairs=pairs,
    grids=(
        {
            "foreground": (0.2, 0.3, 0.4, 0.5),
            "prominence": (0.03, 0.05, 0.1, 0.15),
            "smoothing": (0.7, 1.0, 1.5),
            "min_size": (30, 100),
        },
    ),
    chosen_on=("train", "choose"),  # "choose" has but 36 nuclei, and the network does no better on what it learned from
    replay_set={"embryo": (7, 2)},
    replay_patch=(32, 96, 96),
)  # fmt: skip

if __name__ == "__main__":
    main(RECIPE, __doc__)
