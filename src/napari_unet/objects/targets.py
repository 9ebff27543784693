"""Labels -> the maps that a network learns to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import LabelsError
from napari_unet.objects.flows import FLOWS, flow_field
from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INSTANCE_OUTPUTS = ("foreground", "boundary", "distance", *FLOWS[3])
"""Maps that can be made from an instance label image, by name."""

OF_WHOLE_OBJECTS = {"distance", *FLOWS[3]}
"""Those of them that depend on the whole object and its surroundings."""


def target_maps(labels: NDArray[Any], outputs: Sequence[str]) -> NDArray[np.float16]:
    """Return the target maps of a label image.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
        Instance ids, 0 is background.
    outputs : sequence of str
        Any of `INSTANCE_OUTPUTS`; or ``class_N`` names for a semantic task, where output k is ``labels == k``.

    Returns
    -------
    ndarray of float16, axes (K, [Z,] Y, X), values 0..1

    Raises
    ------
    LabelsError
        If the labels are not integers or an output is unknown.
    """
    if labels.dtype.kind not in "biu":
        raise LabelsError(f"Labels must be whole numbers (object ids); got the data type {labels.dtype}.")
    maps = np.empty((len(outputs), *labels.shape), np.float16)
    axes = FLOWS[labels.ndim]
    flows = flow_field(labels) if set(axes) & set(outputs) else np.zeros(0)
    for index, name in enumerate(outputs):
        if name == "foreground":
            maps[index] = labels > 0
        elif name == "boundary":
            maps[index] = boundaries(labels)
        elif name == "distance":
            maps[index] = normalized_distance(labels)
        elif name in axes:
            maps[index] = 0.5 + 0.5 * flows[axes.index(name)]
        elif name.startswith("class_"):
            maps[index] = labels == index
        else:
            raise LabelsError(f"There is no target map called {name!r}; there are {', '.join(INSTANCE_OUTPUTS)}.")
    return maps


def known_maps(labels: NDArray[Any], supervised: NDArray[np.bool_], outputs: Sequence[str]) -> NDArray[np.bool_]:
    """Return where each target map is known, given that only supervised pixels are.

    Foreground and classes are known at each supervised pixel. A boundary also depends on neighbouring pixels. A
    distance or a flow depends on the whole object and its surroundings, so it is unknown for an object that continues
    where nothing is supervised.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
        Instance ids or classes; those outside `supervised` have no influence.
    supervised : ndarray of bool, axes ([Z,] Y, X)
    outputs : sequence of str
        As in `target_maps`.

    Returns
    -------
    ndarray of bool, axes (K, [Z,] Y, X)
    """
    known = np.empty((len(outputs), *labels.shape), bool)
    surrounded = ndimage.binary_erosion(supervised, border_value=1)
    whole = np.ones_like(supervised)
    if not supervised.all() and OF_WHOLE_OBJECTS & set(outputs):
        cut = np.unique(labels[supervised & ~surrounded])
        whole = ~np.isin(labels, cut[cut > 0])
    for index, name in enumerate(outputs):
        known[index] = surrounded if name == "boundary" else supervised
        if name in OF_WHOLE_OBJECTS:
            known[index] &= whole
    return known


def learned_maps(
    labels: NDArray[Any], supervised: NDArray[np.bool_], outputs: Sequence[str], *, in_slices: bool = False
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Return the target maps of a label image, and where each is known, both with the axes (K, [Z,] Y, X).

    See `target_maps` and `known_maps`. With `in_slices`, if an object of a volume is known only in single slices (a
    user has painted it there), its distance is computed within the slice. That is too large except in the middle of the
    object; but otherwise only the distance of the background, 0, would be known, and objects would vanish.
    """
    targets, known = target_maps(labels, outputs), known_maps(labels, supervised, outputs)
    if in_slices and labels.ndim == 3 and "distance" in outputs:
        index = outputs.index("distance")
        for z in np.flatnonzero((supervised & ~known[index]).any((1, 2))):
            ids = np.where(supervised[z], labels[z], 0)
            flat = known_maps(ids, supervised[z], ("distance",))[0] & ~known[index, z]
            targets[index, z][flat] = normalized_distance(ids)[flat]
            known[index, z] |= flat
    return targets, known


def border_weights(labels: NDArray[Any], weight: float = 10.0, sigma: float = 5.0) -> NDArray[np.float32]:
    """Return additional weights of pixels in narrow gaps between objects.

    ``weight * exp(-(d1 + d2)**2 / (2 * sigma**2))``, where d1 and d2 are the distances, in pixels, to the nearest and
    to the second nearest object, 0 within one (Ronneberger, Fischer and Brox 2015, equation 2).

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
        Instance ids, 0 is background.
    weight : float
        Weight of a pixel that touches two objects.
    sigma : float
        Width of the Gaussian, in pixels.

    Returns
    -------
    ndarray of float32, axes ([Z,] Y, X)
    """
    reach = int(np.ceil(4 * sigma))  # beyond that, weights are below a thousandth
    nearest = np.full((2, *labels.shape), np.inf, np.float32)
    numbers = compact(labels)
    for label, box in enumerate(ndimage.find_objects(numbers), start=1):
        near = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
        distance = ndimage.distance_transform_edt(numbers[near] != label).astype(np.float32)
        first, second = nearest[0][near], nearest[1][near]
        second[...] = np.minimum(second, np.maximum(first, distance))
        first[...] = np.minimum(first, distance)
    return np.asarray(weight * np.exp(-(nearest.sum(0) ** 2) / (2 * sigma**2)), np.float32)


def pieces_of_classes(classes: NDArray[Any]) -> NDArray[np.int32]:
    """Return one id for each connected component (by edges) of a class other than 0, axes ([Z,] Y, X)."""
    from skimage.measure import label

    return np.asarray(label(classes, background=0, connectivity=1), np.int32)


def boundaries(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels, on both sides, where two labels (background included) are direct neighbours."""
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
        differs = labels[before] != labels[after]
        edge[before] |= differs
        edge[after] |= differs
    return edge


def normalized_distance(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return each pixel's distance to the outline of its object, divided by the largest within that object.

    Background is 0 and the innermost pixel of every object is 1, whatever its size, so that one threshold
    separates small and large objects. The border of the image is not an outline: an object that is cut off there
    continues beyond it.
    """
    result = np.zeros(labels.shape, np.float32)
    numbers = compact(labels)
    for label, box in enumerate(ndimage.find_objects(numbers), start=1):
        grown = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
        mask = numbers[grown] == label
        if mask.all():
            result[grown] = 1.0
            continue
        distance = ndimage.distance_transform_edt(mask)
        result[grown][mask] = (distance / distance.max())[mask]
    return result
