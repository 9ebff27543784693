"""The replay set of a shipped model: a few patches of its training data, learned again with corrections.

Experience replay keeps a network from forgetting what it was trained on (Rolnick et al. 2019, arXiv:1811.11682).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import ModelFileError
from napari_unet.io.atomic import completed
from napari_unet.models.store import shipped_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.models.model import Model

SUFFIX = ".replay_set.npz"


@dataclass(frozen=True, slots=True, eq=False)
class ReplayPatch:
    """A labelled patch of the training data of a shipped model.

    Attributes
    ----------
    image : ndarray of float32, axes (C, [Z,] Y, X)
        Normalised with the statistics of its whole image; grey images have one channel.
    labels : ndarray of uint16, axes ([Z,] Y, X)
    check : bool
        Whether the model was not trained on it: such patches are used to check whether a new model has forgotten.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint16]
    check: bool


def replay_set_path(name: str) -> Path:
    """Return the path of the replay set of a shipped model."""
    return shipped_folder() / f"{name}{SUFFIX}"


def base_data(model: Model) -> list[ReplayPatch]:
    """Return the replay set of the shipped model that a model was fine-tuned from; empty if there is none."""
    if model.info.replay_set is None:
        return []
    try:
        return load_replay_set(model.info.replay_set)
    except ModelFileError:  # a model of another installation, whose replay set is not here
        return []


def load_replay_set(name: str) -> list[ReplayPatch]:
    """Return the patches of the replay set of a shipped model.

    Raises
    ------
    ModelFileError
        If there is none of that name, or it cannot be read.
    """
    try:
        with np.load(replay_set_path(name), allow_pickle=False) as file:
            return [_unpacked(file, index) for index in range(int(file["count"]))]
    except (OSError, KeyError, ValueError) as error:
        raise ModelFileError(f"The training images that come with {name!r} cannot be read ({error}).") from error


def save_replay_set(patches: Sequence[ReplayPatch], path: Path) -> None:
    """Write a replay set, compressed: images with 256 grey levels between their minimum and maximum."""
    arrays: dict[str, NDArray[np.generic]] = {"count": np.array(len(patches))}
    for index, patch in enumerate(patches):
        low, high = float(patch.image.min()), float(patch.image.max())
        levels = np.round((patch.image - low) * (255 / max(high - low, 1e-6)))
        arrays[f"image_{index}"] = levels.astype(np.uint8)
        arrays[f"labels_{index}"] = patch.labels.astype(np.uint16)
        arrays[f"about_{index}"] = np.array([low, high, patch.check], np.float32)
    with completed(path, overwrite=True) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _unpacked(file: np.lib.npyio.NpzFile, index: int) -> ReplayPatch:
    low, high, check = (float(value) for value in file[f"about_{index}"])
    image = file[f"image_{index}"].astype(np.float32) * ((high - low) / 255) + low
    return ReplayPatch(image.astype(np.float32), file[f"labels_{index}"], bool(check))
