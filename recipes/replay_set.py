"""The patches of its data that a shipped model carries along, so that learning from corrections forgets little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.io.readers import read_labels
from napari_unet.models.replay_set import ReplayPatch, replay_set_path, save_replay_set
from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from pathlib import Path

    from recipe import Pair, Recipe

STEP = 32
"""Pixels between the positions that a patch may be cut from."""


def write_replay_set(recipe: Recipe, data: Path, out: Path) -> None:
    """Write the replay set beside the model file: patches to learn again, and others, held out, to check with."""
    rng = np.random.default_rng(recipe.stages[0].seed)
    patches = []
    for kind, numbers in recipe.replay_set.items():
        for split, number in zip(("train", "choose"), numbers, strict=True):
            pairs = [pair for pair in recipe.pairs(data, split) if pair.kind == kind]
            # Images with many objects are the hard ones, and the first to be forgotten.
            crowd = np.array([np.count_nonzero(np.unique(read_labels(pair.labels))) for pair in pairs], float)
            chosen = rng.choice(len(pairs), min(number, len(pairs)), replace=False, p=crowd / crowd.sum())
            patches += [crowded_patch(recipe, pairs[index], check=split == "choose") for index in chosen]
    save_replay_set(patches, out.with_name(replay_set_path(recipe.card.name).name))
    print(f"{len(patches)} patches, {sum(patch.labels.size for patch in patches) / 1e6:.1f} million pixels")


def crowded_patch(recipe: Recipe, pair: Pair, *, check: bool) -> ReplayPatch:
    """Return the part of an image that shows the most objects."""
    image, labels = recipe.load(pair)
    if len(image) == 3 and (image[0] == image[1]).all():
        image = image[:1]
    starts = [range(0, max(1, n - width + 1), STEP) for n, width in zip(labels.shape, recipe.replay_patch, strict=True)]
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, labels.ndim)
    boxes = [
        tuple(slice(a, a + width) for a, width in zip(corner, recipe.replay_patch, strict=True)) for corner in corners
    ]
    best = max(boxes, key=lambda box: len(np.unique(labels[box])))
    # Ids of a whole slide need not fit into 16 bits.
    cut = compact(labels[best]) if recipe.card.finds_objects else labels[best]
    return ReplayPatch(image[(slice(None), *best)], cut.astype(np.uint16), check)
