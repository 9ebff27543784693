"""What a network is trained on: images with target maps and the pixels that count, and how patches are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import LabelsError, NothingToLearnError
from napari_unet.objects.flows import FLOWS
from napari_unet.objects.targets import border_weights, learned_maps, pieces_of_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOW_WEIGHT = 5.0
"""How much more the maps of a flow field count than others: with equal weight, touching objects stayed one more often
(docs/decisions/0006-decoding.md)."""

CORRECTED_SHARE = 3 / 4
"""Share of the patches that are centred on corrections; the others show what was right already. Data: not
recorded."""

MAX_SHIFT = 1 / 4
"""Share of a patch by which its centre lies off the pixel that it was drawn for, at most: that pixel is then anywhere
in the middle half of the patch."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image to learn from.

    Attributes
    ----------
    image : ndarray of float, axes (C, [Z,] Y, X)
        Normalised with the statistics of the whole image.
    targets : ndarray of float16, axes (K, [Z,] Y, X)
        Maps to be predicted, 0..1.
    supervised : ndarray of bool or float, axes (K, [Z,] Y, X)
        The pixels that count, for each map; or how much they do.
    focus : ndarray of int, axes (n, ndim)
        Positions that patches are centred on, drawn with equal chance; each is a supervised pixel.
    weight : float
        Relative chance of this image to be drawn.
    flows : int, optional
        The first of the maps that together are a flow field, one for each axis; None: there is none.
    """

    image: NDArray[Any]
    targets: NDArray[np.float16]
    supervised: NDArray[Any]
    focus: NDArray[np.intp]
    weight: float = 1.0
    flows: int | None = None


def make_sample(
    image: NDArray[Any],
    labels: NDArray[Any],
    outputs: Sequence[str],
    supervised: NDArray[np.bool_] | None = None,
    weight: float = 1.0,
    rng: np.random.Generator | None = None,
    max_focus: int = 4096,
    corrected: NDArray[np.bool_] | None = None,
    border: float = 0.0,
    in_slices: bool = False,
) -> Sample:
    """Return a `Sample` from a normalised image and its labels.

    Parameters
    ----------
    image : ndarray of float, axes (C, [Z,] Y, X)
    labels : ndarray of int, axes ([Z,] Y, X)
    outputs : sequence of str
        Names of the maps to be predicted, see `objects.targets.target_maps`.
    supervised : ndarray of bool, axes ([Z,] Y, X), optional
        The pixels that count; None: all of them.
    weight : float
        Relative chance of this image to be drawn.
    rng : numpy.random.Generator, optional
        Draws the positions that patches are centred on.
    max_focus : int
        Positions drawn.
    corrected : ndarray of bool, axes ([Z,] Y, X), optional
        Pixels of the corrections, a part of the supervised ones. Three of four patches are then centred on one of them,
        each correction as often as any other, whatever its size; the fourth on what was right already.
    border : float
        How much more a seam between two objects counts, or between two pieces of classes other than 0; see
        `objects.targets.border_weights`.
    in_slices : bool
        Whether distances within slices are learned of objects that are known in single ones; see
        `objects.targets.learned_maps`.

    Raises
    ------
    LabelsError
        If the shapes do not match.
    NothingToLearnError
        If no pixel is supervised.
    """
    if labels.shape != image.shape[1:]:
        raise LabelsError(f"The labels have the shape {labels.shape}, the image {image.shape[1:]}; they must be equal.")
    if supervised is None:
        supervised = np.ones(labels.shape, bool)
    if supervised.shape != labels.shape:
        raise LabelsError(f"The mask of supervised pixels has the shape {supervised.shape}, the labels {labels.shape}.")
    check_any(supervised.any())
    targets, known = learned_maps(labels, supervised, outputs, in_slices=in_slices)
    counts: NDArray[Any] = known
    if border:
        objects = pieces_of_classes(labels) if outputs[0].startswith("class_") else labels
        counts = known * (1 + border_weights(objects, border))
    rng = rng or np.random.default_rng(0)
    if corrected is not None and corrected.any():
        focus = _by_correction(corrected, supervised, max_focus, rng)
    else:
        focus = draw_focus(labels > 0, supervised, rng, max_focus)
    names = FLOWS[labels.ndim]
    flows = outputs.index(names[0]) if names[0] in outputs else None
    if flows is not None:
        counts = (counts * np.reshape(map_weights(outputs), (-1, *[1] * labels.ndim))).astype(np.float16)
    return Sample(image, targets, counts, focus, weight, flows)


def check_any(there: object) -> None:
    """Raise `NothingToLearnError` unless there is anything to learn from."""
    if not there:
        raise NothingToLearnError("No pixel is corrected or reviewed yet, so there is nothing to learn from.")


def map_weights(outputs: Sequence[str]) -> list[float]:
    """Return how much a pixel counts that is known, for each of the maps to be predicted."""
    return [FLOW_WEIGHT if name in FLOWS[3] else 1.0 for name in outputs]


def _by_correction(
    corrected: NDArray[np.bool_], supervised: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return positions to centre patches on: three of four in corrections, each of which is as likely as any other."""
    numbers, n_corrections = ndimage.label(corrected & supervised)
    right = np.flatnonzero(supervised & ~corrected)
    n_right = int((1 - CORRECTED_SHARE) * count) if len(right) else 0
    if not n_corrections:
        return np.stack(np.unravel_index(rng.choice(right, count), supervised.shape), axis=1)
    inside = np.flatnonzero(numbers)
    sizes = np.bincount(numbers.ravel()[inside], minlength=n_corrections + 1)
    chance = 1.0 / sizes[numbers.ravel()[inside]] / n_corrections
    positions = rng.choice(inside, count - n_right, p=chance)
    if n_right:
        positions = np.concatenate([positions, rng.choice(right, n_right)])
    return np.stack(np.unravel_index(positions, supervised.shape), axis=1)


def draw_focus(
    objects: NDArray[np.bool_],
    supervised: NDArray[np.bool_],
    rng: np.random.Generator | None = None,
    max_focus: int = 4096,
) -> NDArray[np.intp]:
    """Return positions to centre patches on, axes (n, ndim): half on objects, however few of the pixels these are.

    Parameters
    ----------
    objects, supervised : ndarray of bool, axes ([Z,] Y, X)
    rng : numpy.random.Generator, optional
    max_focus : int
        Positions drawn.
    """
    rng = rng or np.random.default_rng(0)
    halves = [np.flatnonzero(supervised & objects), np.flatnonzero(supervised & ~objects)]
    positions = np.concatenate([rng.choice(half, max_focus // 2) for half in halves if len(half)])
    return np.stack(np.unravel_index(positions, objects.shape), axis=1)


class PatchSampler:
    """Draws where the next patch comes from.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    patch : tuple of int
        Spatial shape of a patch.
    seed : int
        Seeds every draw.
    """

    def __init__(self, samples: Sequence[Sample], patch: tuple[int, ...], seed: int = 0) -> None:
        self.patch = patch
        self.rng = np.random.default_rng(seed)
        self.draw_from(samples)

    def draw_from(self, samples: Sequence[Sample]) -> None:
        """Draw from these samples from now on."""
        check_any(samples)
        self.samples = samples
        weights = np.array([sample.weight for sample in samples], float)
        self._chance = weights / weights.sum()

    def draw(self) -> tuple[Sample, tuple[float, ...]]:
        """Return a sample and the centre of a patch in it, near one of its supervised pixels."""
        sample = self.samples[self.rng.choice(len(self.samples), p=self._chance)]
        focus = sample.focus[self.rng.integers(len(sample.focus))]
        # The pixel that counts lands anywhere in the middle of the patch, not always at its centre.
        shift = self.rng.uniform(-MAX_SHIFT, MAX_SHIFT, len(focus)) * np.array(self.patch)
        return sample, tuple(float(v) for v in focus + shift)
