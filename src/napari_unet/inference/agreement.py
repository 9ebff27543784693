"""How far a network agrees with itself: its maps against those that follow from the objects found in them.

A network predicts for each pixel a map that tells objects apart: how far inside an object it lies, or a flow field.
Objects are found in these maps; from the objects, in turn, follow the maps that they should have. Where the network
knows what it sees, and at the size that it knows, the two agree. This needs no labels and no second network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.objects.flows import FLOWS
from napari_unet.objects.targets import target_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.models.info import ModelInfo


def disagreements(
    maps: NDArray[np.float32], labels: NDArray[np.int32], info: ModelInfo, names: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Return for each object the share by which its map differs from the one that follows from its outline.

    Parameters
    ----------
    maps : ndarray of float32, axes (K, [Z,] Y, X)
        As the network predicts them, 0..1.
    labels : ndarray of int32, axes ([Z,] Y, X)
        The objects found in them, with the ids 1, 2, ... without gaps.
    info : ModelInfo
        Of a model of objects; says which maps these are.
    names : sequence of str, optional
        Those that are compared; without any, those by which the model tells objects apart.

    Returns
    -------
    ndarray of float64, axes (object,)
        0: the same; 1: nothing in common.
    """
    names = tuple(names) or info.decoding.needs(info.spec.ndim)
    neutral = 0.5 if set(names) <= set(FLOWS[3]) else 0.0  # value of the map where there is no object
    predicted = maps[[info.outputs.index(name) for name in names]] - neutral
    expected = target_maps(labels, names).astype(np.float32) - neutral
    lengths = (np.sqrt((vectors**2).sum(0)) for vectors in (predicted - expected, predicted, expected))
    difference, *both = (np.bincount(labels.ravel(), length.ravel())[1:] for length in lengths)
    return np.asarray(difference / np.maximum(sum(both), 1e-6), np.float64)
