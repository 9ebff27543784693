"""Random crops, and the deformations that make few annotated images go a long way.

One path for 2D and 3D: a crop is drawn by sampling the source at deformed coordinates, so that rotation, scaling,
mirroring and elastic deformation cost one interpolation together. The elastic field is that of Ronneberger et al.
(2015): random displacements on a coarse grid, smoothly interpolated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_unet.training.config import Augmentation
    from napari_unet.training.samples import Sample


BLUR_CHANCE = 0.25
"""Probability that a patch is blurred. Data: not recorded."""


def draw_patch(
    sample: Sample,
    shape: tuple[int, ...],
    center: tuple[float, ...],
    augmentation: Augmentation | None,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return one (augmented) crop of a sample.

    Parameters
    ----------
    sample : Sample
        Source arrays.
    shape : tuple of int
        Spatial shape of the crop, ([Z,] Y, X).
    center : tuple of float
        Where the middle of the crop lies in the source, pixels; beyond the border the source is mirrored.
    augmentation : Augmentation or None
        None takes the crop as it is.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    image : Tensor of float32, axes (C, [Z,] Y, X)
    targets : Tensor of float32, axes (K, [Z,] Y, X)
    supervised : Tensor of float32, axes (K, [Z,] Y, X), 0 or 1
    """
    coordinates = _coordinates(shape, center, augmentation, rng)
    space = sample.image.shape[1:]
    box, grid = _window(coordinates, space)
    image, targets, counts = (_cut(source, box) for source in (sample.image, sample.targets, sample.supervised))
    image, supervised = _sampled(image, grid, "bilinear"), _sampled(counts, grid, "nearest")
    # Interpolated among supervised pixels only: what lies beside them, unknown, must not leak in.
    share = _sampled(counts, grid, "bilinear").clamp_min(1e-3)
    maps = _sampled(targets * counts, grid, "bilinear") / share
    if sample.flows is not None:
        parts = slice(sample.flows, sample.flows + len(shape))
        # A mean of vectors from both sides of an outline would be shorter, or lead elsewhere.
        maps[parts] = _turned(_sampled(targets[parts], grid, "nearest"), coordinates, space)
    if augmentation is not None:
        image = _vary_intensity(image, augmentation, rng)
    return image, maps, supervised


def _coordinates(
    shape: tuple[int, ...], center: tuple[float, ...], augmentation: Augmentation | None, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Source coordinates, axes (ndim, *shape), in pixels."""
    axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"))
    if augmentation is not None:
        if augmentation.elastic:
            offsets = offsets + _elastic_field(shape, augmentation, rng)
        offsets = np.tensordot(_random_matrix(len(shape), augmentation, rng), offsets, axes=1)
    return np.asarray(offsets + np.reshape(center, (-1, *[1] * len(shape))), np.float32)


def _random_matrix(ndim: int, augmentation: Augmentation, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotation in YX, common scale of YX, another one of Z, mirroring of all axes.

    Z is not rotated into YX: voxels are seldom as deep as they are wide.
    """
    angle = np.deg2rad(rng.uniform(-augmentation.rotate, augmentation.rotate))
    zoom = augmentation.scale ** rng.uniform(-1, 1)
    matrix = np.eye(ndim)
    matrix[-2:, -2:] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    if ndim == 3 and augmentation.depth > 1:
        matrix[0, 0] = augmentation.depth ** -rng.uniform(-1, 1)
    if augmentation.flip:
        matrix = matrix @ np.diag(rng.choice([-1.0, 1.0], size=ndim))
    return matrix


def _elastic_field(shape: tuple[int, ...], augmentation: Augmentation, rng: np.random.Generator) -> NDArray[Any]:
    """Smooth random displacements in pixels, axes (ndim, *shape); none along Z."""
    ndim = len(shape)
    points, spacing = augmentation.elastic_points, augmentation.elastic_spacing
    coarse = tuple(points or max(4, round(n / spacing) + 3) for n in shape)
    field = np.zeros((ndim, *shape), np.float32)
    for axis in range(ndim - 2, ndim):
        knots = torch.from_numpy(rng.normal(0, augmentation.elastic, coarse).astype(np.float32))
        if ndim == 2:
            fine = F.interpolate(knots[None, None], size=shape, mode="bicubic", align_corners=True)
        else:
            fine = F.interpolate(knots[None, None], size=shape, mode="trilinear", align_corners=True)
        field[axis] = fine[0, 0].numpy()
    return field


def _window(coordinates: NDArray[np.float32], space: tuple[int, ...]) -> tuple[tuple[slice, ...], Tensor]:
    """Return the box of a source that coordinates (ndim, *shape) touch, and where they lie in it, as torch wants it.

    Only the box is converted and multiplied: the source may be a whole slide. What lies beyond the border of the source
    is mirrored there, not at that of the box.
    """
    box, normalised = [], []
    for beyond, size in zip(coordinates, space, strict=True):
        last = max(1, size - 1)
        positions = last - np.abs(beyond % (2 * last) - last)
        start = min(max(0, int(np.floor(positions.min())) - 1), size - 1)
        stop = max(min(size, int(np.ceil(positions.max())) + 2), start + 1)
        box.append(slice(start, stop))
        normalised.append((positions - start) * (2 / max(stop - start - 1, 1)) - 1)
    grid = np.stack(normalised[::-1], axis=-1).astype(np.float32)  # x, y, z
    return tuple(box), torch.from_numpy(grid)[None]


def _cut(source: NDArray[Any], box: tuple[slice, ...]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(source[(slice(None), *box)], dtype=np.float32))


def _sampled(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Interpolate (C, *box); mirrored beyond the border."""
    return F.grid_sample(values[None], grid, mode=mode, padding_mode="reflection", align_corners=True)[0]


def _turned(flows: Tensor, coordinates: NDArray[np.float32], space: tuple[int, ...]) -> Tensor:
    """Return the maps of a flow field, sampled at coordinates (ndim, *shape), with its vectors turned as these are.

    What points up a gradient in the source, points up the gradient of the same heat in the crop: it is multiplied by
    the transposed derivative of the coordinates. Its length stays.
    """
    vectors = 2 * flows.numpy() - 1
    for axis, size in enumerate(space):  # beyond the border the source is mirrored, and its vectors with it
        vectors[axis] *= np.where(coordinates[axis] % (2 * max(1, size - 1)) <= size - 1, 1, -1)
    slopes = [np.gradient(part) for part in coordinates]
    turned = np.stack([sum(slopes[i][j] * vectors[i] for i in range(len(space))) for j in range(len(space))])
    length, new = (np.sqrt((v**2).sum(0)) for v in (vectors, turned))
    return torch.from_numpy((0.5 + 0.5 * turned * (length / np.maximum(new, 1e-6))).astype(np.float32))


def _vary_intensity(image: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast, gamma, blur, noise, inversion and loss of colour of a normalised image (C, *space)."""
    if image.shape[0] == 3 and rng.random() < augmentation.grey:
        image = image.mean(0, keepdim=True).expand_as(image)
    if rng.random() < augmentation.invert:
        image = 1 - image
    if augmentation.gamma > 1:
        exponent = augmentation.gamma ** rng.uniform(-1, 1)
        image = image.sign() * image.abs().pow(exponent)
    if augmentation.blur and rng.random() < BLUR_CHANCE:
        sigma = rng.uniform(0, augmentation.blur)
        image = torch.from_numpy(ndimage.gaussian_filter(image.numpy(), (0, *[0] * (image.ndim - 3), sigma, sigma)))
    image = image * (1 + augmentation.contrast * rng.uniform(-1, 1)) + augmentation.brightness * rng.uniform(-1, 1)
    if augmentation.noise:
        seed = int(rng.integers(2**31))
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
        image = image + noise * rng.uniform(0, augmentation.noise)
    return image
