"""Four ways to tell touching objects apart: what a network learns for it, and how that becomes objects.

- `distance`: foreground and a distance map, a watershed from its middles; the program's own
- `classes`: background, inside, boundary; what is inside is grown to the outline
- `flows`: foreground and a field of directions that lead to the middle of the object; pixels that end at the same
  place are one object (cellpose: Stringer et al. 2021, doi:10.1038/s41592-020-01018-x)
- `offsets`: foreground, a map of centres, and for each pixel how far its centre is; pixels go to the nearest centre
  (Panoptic-DeepLab: Cheng et al. 2020, arXiv:1911.10194)

Written after the papers, for this comparison. All arrays of labels have the axes (Y, X), all fields (K, Y, X); vectors
are (Y, X), in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import KDTree

from napari_unet.nets.losses import distillation_loss, segmentation_loss
from napari_unet.objects.decode import Decoding, decode_instances, drop_small
from napari_unet.objects.flows import FLOWS, flow_field, middles
from napari_unet.objects.stitch import compact
from napari_unet.objects.targets import boundaries, known_maps, target_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

CENTRE = 2.0
"""Standard deviation of the spot around a centre, pixels."""

OFFSET_UNIT = 8.0
"""Pixels that an offset of 1 stands for, so that maps and offsets are of the same order."""

FLOW_WEIGHT = 5.0
"""Factor on directions as they are learned, as in cellpose."""

STEPS, MEETING_PLACE, MIN_MEETING = 200, 5, 10
"""Steps along the flows; how near, in pixels, to a place where at least so many end the others must end."""


@dataclass(frozen=True)
class Way:
    """How objects are told apart.

    Attributes
    ----------
    outputs : tuple of str
        What the network predicts.
    targets : callable
        Labels -> what is to be learned.
    known : callable
        Labels and supervised pixels -> where each of that follows from the supervised pixels alone.
    loss : callable
        Logits, targets and known pixels, axes (N, K, Y, X) -> loss of each image.
    maps : callable
        Logits -> what is decoded.
    decode : callable
        That and one choice of the grid -> labels.
    grid : dict
        What is tried to find the best decoding.
    vectors : int
        From which output on there are vectors; -1: none are.
    exclusive : bool
        Whether the outputs are classes.
    """

    outputs: tuple[str, ...]
    targets: Callable[[NDArray[Any]], NDArray[np.float32]]
    known: Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[np.bool_]]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    maps: Callable[[Tensor], Tensor]
    decode: Callable[[NDArray[np.float32], Mapping[str, Any]], NDArray[np.int32]]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    vectors: int = -1
    exclusive: bool = False

    def hold(self, logits: Tensor, before: Tensor, free: Tensor) -> Tensor:
        """Return how far each image has moved from what a network said before, on pixels that nothing supervises."""
        split = self.vectors if self.vectors >= 0 else logits.shape[1]
        loss = distillation_loss(logits[:, :split], before[:, :split], free[:, :split], exclusive=self.exclusive)
        if self.vectors >= 0:
            loss = loss + masked((logits[:, split:] - before[:, split:]).square(), free[:, split:])
        return loss


# -- Distances and classes: the program's own watershed ----------------------------------------------------------------


def class_targets(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return background, inside and boundary: the pixels of an object beside another one or background."""
    edge = boundaries(labels) & (labels > 0)
    return np.stack([labels == 0, (labels > 0) & ~edge, edge]).astype(np.float32)


def known_classes(labels: NDArray[Any], supervised: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a pixel is of the boundary needs its neighbours; of the background it is without them."""
    known = supervised & (ndimage.binary_erosion(supervised, border_value=1) | (labels == 0))
    return np.broadcast_to(known, (3, *labels.shape))


def decode_seeds(outputs: tuple[str, ...], maps: NDArray[np.float32], choice: Mapping[str, Any]) -> NDArray[np.int32]:
    """Return the objects of the program's own decoding."""
    seeds = "distance" if "distance" in outputs else "boundary"
    return decode_instances(maps, outputs, Decoding.model_validate({"seeds": seeds, **choice}))


def decode_classes(maps: NDArray[np.float32], choice: Mapping[str, Any]) -> NDArray[np.int32]:
    """Return what is inside, in pieces, grown to what is no background."""
    return decode_seeds(("foreground", "boundary"), np.stack([1 - maps[0], maps[2]]), choice)


# -- Flows -------------------------------------------------------------------------------------------------------------


def flow_targets(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return foreground and directions."""
    return np.concatenate([(labels > 0)[None].astype(np.float32), flow_field(labels)])


def flow_loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Return the loss of the foreground, and the squared error of directions, background included."""
    error = (logits[:, 1:] - FLOW_WEIGHT * targets[:, 1:]).square()
    return segmentation_loss(logits[:, :1], targets[:, :1], known[:, :1]) + 0.5 * masked(error, known[:, 1:])


def decode_flows(maps: NDArray[np.float32], choice: Mapping[str, Any]) -> NDArray[np.int32]:
    """Return as one object the pixels that flow to the same place; drop those that flow otherwise than they should."""
    inside = maps[0] > choice["foreground"]
    labels = np.zeros(inside.shape, np.int32)
    start = np.argwhere(inside)
    if not len(start):
        return labels
    flows = torch.from_numpy(np.where(inside, maps[1:] / FLOW_WEIGHT, 0).astype(np.float32))[None]
    limit = torch.tensor(inside.shape, dtype=torch.float32) - 1
    places = torch.from_numpy(start.astype(np.float32))
    for _ in range(STEPS):
        grid = (2 * places / limit - 1).flip(1)[None, None]  # torch wants x, y
        step = torch.nn.functional.grid_sample(flows, grid, align_corners=True)[0, :, 0].T
        places = torch.minimum((places + step).clamp_min(0), limit)
    ends = places.round().long().numpy()
    crowd = np.zeros(inside.shape, np.int32)
    np.add.at(crowd, tuple(ends.T), 1)
    # Where two neighbours are met at by equally many, they are one place.
    peaks, count = ndimage.label((crowd == ndimage.maximum_filter(crowd, 5)) & (crowd > MIN_MEETING), np.ones((3, 3)))
    if not count:
        return labels
    seeds = np.array(ndimage.center_of_mass(peaks > 0, peaks, range(1, count + 1)))
    distance, nearest = KDTree(seeds).query(ends, distance_upper_bound=MEETING_PLACE)
    labels[tuple(start.T)] = np.where(np.isfinite(distance), nearest + 1, 0)
    labels = drop_small(labels, choice["min_size"])
    return labels if choice["error"] is None else _consistent(labels, maps[1:] / FLOW_WEIGHT, choice["error"])


def _consistent(labels: NDArray[np.int32], flows: NDArray[np.float32], most: float) -> NDArray[np.int32]:
    """Drop the objects whose shape asks for other flows than were predicted."""
    error = ((flow_field(labels) - flows) ** 2).sum(0)
    numbers = np.arange(1, labels.max(initial=0) + 1)
    wrong = numbers[np.asarray(ndimage.mean(error, labels, numbers)) > most] if len(numbers) else numbers
    return drop_small(np.where(np.isin(labels, wrong), 0, labels), 1)


# -- Offsets -----------------------------------------------------------------------------------------------------------


def offset_targets(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return foreground, spots at the middles of objects, and the way from each pixel to its middle."""
    numbers = compact(labels)
    centres = middles(numbers)
    result = np.zeros((4, *labels.shape), np.float32)
    if len(centres):
        result[0] = numbers > 0
        result[1] = np.exp(-(_to_nearest(labels.shape, centres) ** 2) / (2 * CENTRE**2))
        result[2:] = _to_own(numbers, centres) / OFFSET_UNIT
    return result


def _to_nearest(shape: tuple[int, ...], centres: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the distance of each pixel to the nearest centre."""
    elsewhere = np.ones(shape, bool)
    elsewhere[tuple(centres.astype(int).T)] = False
    return np.asarray(ndimage.distance_transform_edt(elsewhere))


def _to_own(numbers: NDArray[Any], centres: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the way from each pixel of an object to its centre."""
    ways = np.concatenate([np.zeros((1, 2)), centres])[numbers].transpose(2, 0, 1) - np.indices(numbers.shape)
    return np.where(numbers > 0, ways, 0)


def known_offsets(labels: NDArray[Any], supervised: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where offsets are known, as directions, and spots: an unseen centre must be farther than the own one."""
    foreground, whole = known_maps(labels, supervised, ("foreground", "distance"))
    numbers = compact(labels)
    centres = middles(numbers)
    away = ndimage.distance_transform_edt(whole) if not whole.all() else np.full(labels.shape, np.inf)
    own = np.hypot(*_to_own(numbers, centres)) if len(centres) else np.full(labels.shape, np.inf)
    own[labels == 0] = np.inf
    return np.stack([foreground, whole & (away >= np.minimum(own, 3 * CENTRE)), whole, whole])


def offset_loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Return the loss of foreground and spots, and the absolute error of the offsets of foreground pixels."""
    error = (logits[:, 2:] - targets[:, 2:]).abs()
    maps = segmentation_loss(logits[:, :2], targets[:, :2], known[:, :2])
    return maps + masked(error, known[:, 2:] * targets[:, :1])


def decode_offsets(maps: NDArray[np.float32], choice: Mapping[str, Any]) -> NDArray[np.int32]:
    """Return as one object the pixels that say that their centre is near the same spot."""
    inside, spots = maps[0] > choice["foreground"], ndimage.gaussian_filter(maps[1], choice["smoothing"])
    peaks = np.argwhere((spots == ndimage.maximum_filter(spots, 7)) & (spots > choice["spot"]) & inside)
    labels = np.zeros(inside.shape, np.int32)
    start = np.argwhere(inside)
    if len(peaks) and len(start):
        said = start + OFFSET_UNIT * maps[2:][:, inside].T
        labels[tuple(start.T)] = KDTree(peaks).query(said)[1] + 1
    return drop_small(labels, choice["min_size"])


def masked(error: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over what counts of each image, axes (N,)."""
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1e-6)


def _some_sigmoid(count: int) -> Callable[[Tensor], Tensor]:
    return lambda logits: torch.cat([logits[:, :count].sigmoid(), logits[:, count:]], 1)


_OURS, _FLOWS = ("foreground", "distance"), ("foreground", *FLOWS[2])
_SEEDS = {"foreground": (0.4, 0.5), "min_size": (12,)}
WAYS = {
    "distance": Way(
        _OURS, lambda labels: target_maps(labels, _OURS).astype(np.float32),
        lambda labels, supervised: known_maps(labels, supervised, _OURS), segmentation_loss, torch.sigmoid,
        lambda maps, choice: decode_seeds(_OURS, maps, choice),
        _SEEDS | {"prominence": (0.05, 0.1, 0.15, 0.2), "smoothing": (0.5, 1.0, 2.0)},
    ),
    "classes": Way(
        ("background", "inside", "boundary"), class_targets, known_classes,
        lambda logits, targets, known: segmentation_loss(logits, targets, known, exclusive=True),
        lambda logits: logits.softmax(1), decode_classes,
        _SEEDS | {"prominence": (0.05, 0.1, 0.2, 0.3), "smoothing": (0.0, 0.5, 1.0)}, exclusive=True,
    ),
    "flows": Way(
        _FLOWS, flow_targets, lambda labels, supervised: known_maps(labels, supervised, _FLOWS), flow_loss,
        _some_sigmoid(1), decode_flows, _SEEDS | {"error": (None, 0.4, 0.8)}, vectors=1,
    ),
    "offsets": Way(
        ("foreground", "spot", "offset y", "offset x"), offset_targets, known_offsets, offset_loss, _some_sigmoid(2),
        decode_offsets, _SEEDS | {"spot": (0.1, 0.2, 0.3, 0.5), "smoothing": (0.5, 1.0, 2.0)}, vectors=2,
    ),
}  # fmt: skip
