"""Train the shipped model `nuclei`: nuclei in fluorescence (cultures, tissue, cytospins), histology and brightfield.

DATA holds the folders of `FOLDERS`, each with train/images and train/labels, and most with val/images and val/labels.
Several maps are learned at once on some 92 % of the training images, with milder deformations towards the end; the
others choose the thresholds. The first three stages learned a boundary map, the others a flow field in its place. The
last stage is the first that sees tissue, cytospins, TNBC and CODEX.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from command import main
from napari_unet.models.info import DataSource, ModelInfo
from napari_unet.nets.spec import UNetSpec
from napari_unet.objects.decode import Decoding
from napari_unet.objects.flows import LEARNED
from napari_unet.training.config import Augmentation, TrainingConfig
from recipe import Pair, Recipe, Split, split_images

if TYPE_CHECKING:
    from pathlib import Path

SHARES = {
    "fluorescence": 0.34, "histology": 0.12, "brightfield": 0.04, "bbbc039": 0.06, "tissue": 0.16, "cytospin": 0.11,
    "tnbc": 0.11, "codex": 0.04, "cellbindb": 0.02,
}  # fmt: skip
FOLDERS = {
    "nuclei_dsb2018": "", "nuclei_bbbc039": "bbbc039", "nuclei_tissue_bsst265": "tissue",
    "nuclei_cytospin_bsst265": "cytospin", "histology_tnbc": "tnbc", "tissue_codex_expert": "codex",
    "tissue_cellbindb_demo": "cellbindb",
}  # fmt: skip
FIRST_SEEN_LAST = ("tissue", "cytospin", "tnbc", "codex", "cellbindb")
LEFT_OUT = ("10xDAPI", "10xHE", "mIF")
"""Of CellBinDB: not to be shipped, and whole cells by their membranes."""

HELD_OUT = (
    "Ganglioneuroblastoma_3", "otherspecimen_9", "Neuroblastoma_9_half", "normal_31_half", "normal_9_half",
    "patient06_1", "patient06_2", "patient06_3",
)  # fmt: skip
"""Images of the later sets that choose the decoding: of TNBC a patient, of others some of each look."""


def pairs(data: Path, split: Split) -> list[Pair]:
    """Return the images of a split; the kind begins the file's name, or is that of the folder."""
    return [
        Pair.of(kind or path.name.split("_")[0], path)
        for folder, kind in FOLDERS.items()
        for path in split_images(data / folder, split, is_held_out)
        if path.stem not in LEFT_OUT
    ]


def is_held_out(path: Path) -> bool:
    """Whether a training image is kept for choosing the decoding: of the first sets one in twelve, by its name."""
    if FOLDERS[path.parents[2].name] in FIRST_SEEN_LAST:
        return path.stem in HELD_OUT
    return zlib.crc32(path.stem.encode()) % 12 == 0


STRONG = Augmentation(
    scale=1.6, elastic=3.0, elastic_spacing=70, contrast=0.3, brightness=0.1, gamma=1.6, noise=0.08, blur=1.2,
    invert=0.05, grey=0.3,
)  # fmt: skip
MILD = Augmentation(
    scale=1.3, elastic=2.0, elastic_spacing=70, contrast=0.2, brightness=0.05, gamma=1.3, noise=0.03, blur=0.6,
    invert=0.02, grey=0.2,
)  # fmt: skip
FIRST = TrainingConfig(
    steps=2600, batch_size=8, patch=(208, 208), learning_rate=2e-3, weight_decay=1e-2, schedule="cosine", warmup=50,
    freeze_norm=False, augmentation=STRONG,
)  # fmt: skip
# Smaller patches give more steps in the same time.
REFINE = FIRST.model_copy(
    update={"steps": 2000, "patch": (160, 160), "learning_rate": 1.5e-3, "augmentation": MILD, "seed": 1}
)
REFINE_LONGER = REFINE.model_copy(update={"steps": 4800, "seed": 2})

FLOWS = REFINE.model_copy(update={"steps": 1800, "learning_rate": 1e-3, "seed": 3, "ema": 0.99, "border": 3.0})
# Crowds, where objects are missed most, more often than few large ones.
CROWDS = FLOWS.model_copy(update={"steps": 2800, "seed": 4, "border": 5.0})
# Once more, from the high rate down: "choose" rises from 0.604 to 0.624.
AGAIN = CROWDS.model_copy(update={"steps": 3200, "seed": 5})
# And longer, in bfloat16, which halves the time of a step: "choose" rises to 0.648.
LONGER = CROWDS.model_copy(update={"steps": 7000, "learning_rate": 1.5e-3, "seed": 6})
# The same again: 0.656.
LONGEST = LONGER.model_copy(update={"steps": 8000, "seed": 7})
# Tissue, cytospins, TNBC and CODEX: 14 to 90 pixels across, under many lights.
KINDS = CROWDS.model_copy(update={"steps": 2400, "seed": 8, "augmentation": STRONG.model_copy(update={"noise": 0.05})})

SIZES = {"foreground": (0.4, 0.5), "min_size": (24,)}

RECIPE = Recipe(
    card=ModelInfo(
        name="nuclei",
        description=(
            "Nuclei in fluorescence (also tissue and cytospins), histology (RGB) and brightfield, 8 to 80 pixels wide."
        ),
        spec=UNetSpec(ndim=2, in_channels=3, out_channels=len(LEARNED[2]), features=16, levels=4),
        outputs=LEARNED[2],
        classes=("nucleus",),
        inputs="colour",
        decoding=Decoding(seeds="flows"),
        diameter=32.0,  # the widest that are found as well as any: docs/decisions/0012
        training_data=(
            DataSource(
                name="BBBC038 (2018 Data Science Bowl), corrected masks", licence="CC0-1.0",
                source="https://bbbc.broadinstitute.org/BBBC038", images=516,
            ),
            DataSource(name="BBBC039", licence="CC0-1.0", source="https://bbbc.broadinstitute.org/BBBC039", images=21),
            DataSource(
                name="S-BSST265, tissue and cytospins (Kromp et al. 2020)", licence="CC0-1.0",
                source="https://www.ebi.ac.uk/biostudies/studies/S-BSST265", images=50,
            ),
            DataSource(
                name="TNBC, H&E (Naylor et al. 2019)", licence="CC-BY-4.0",
                source="https://doi.org/10.1109/TMI.2018.2865709", images=30,
            ),
            DataSource(
                name="CODEX tissue, labelled by an expert (Chen and Murphy 2023)", licence="MIT",
                source="https://github.com/murphygroup/CellSegmentationEvaluator", images=1,
            ),
            DataSource(
                name="CellBinDB, demonstration images (Shi et al. 2025)", licence="CC0-1.0 AND MIT",
                source="https://github.com/STOmics/cs-benchmark", images=3,
            ),
        ),
        licence="CC-BY-4.0 AND MIT",
    ),
    stages=(FIRST, REFINE, REFINE_LONGER, FLOWS, CROWDS, AGAIN, LONGER, LONGEST, KINDS),
    earlier=3,
    by_objects=5,
    last_share=0.5,  # chosen on "choose": recipes/logs/nuclei-mean.log
    pairs=pairs,
    shares=SHARES,
    grids=(
        {"seeds": ("flows",), "smoothing": (0.0, 1.0), "sink_radius": (2, 3)} | SIZES,
        {"seeds": ("distance",), "smoothing": (1.0, 1.5), "prominence": (0.1, 0.15, 0.2, 0.25, 0.3)} | SIZES,
    ),
    # All of it from CC0 images: none of TNBC (CC BY) and CODEX (MIT).
    replay_set={
        "fluorescence": (14, 5), "histology": (9, 3), "brightfield": (3, 1), "bbbc039": (3, 1), "tissue": (4, 1),
        "cytospin": (3, 1),
    },
    replay_patch=(192, 192),
)  # fmt: skip

if __name__ == "__main__":
    main(RECIPE, __doc__)
