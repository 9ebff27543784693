"""Volumes of kinds that `nuclei3d` does not know: made of volumes of embryos, or drawn.

There is one real set of labelled volumes to hand (BBBC050). What is made of it has real nuclei, with their real
neighbours and texture, in another size, depth of slices or contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_unet.inference.scale import nearest_indices
from napari_unet.tiling.scaled import resized

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = 32, 96, 96
"""Voxels (Z, Y, X) of a volume that is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A volume with true objects.

    Attributes
    ----------
    image : ndarray of float32, axes (Z, Y, X)
    labels : ndarray of int32, axes (Z, Y, X)
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]

    @property
    def objects(self) -> int:
        """True objects."""
        return int(np.count_nonzero(np.unique(self.labels)))


@dataclass(frozen=True, slots=True)
class VolumeKind:
    """One kind of volume.

    Attributes
    ----------
    make : callable
        From a source, which is the name of a file or the seed of a drawing, to a volume; takes the folder of data, too.
    learned, others : tuple
        Sources of the volumes that are learned from, and of others.
    chosen : bool
        Whether settings were chosen on it (docs/decisions/0030-volumes.md, 0035).
    """

    make: Callable[[Path, Any], Volume]
    learned: tuple[Any, ...]
    others: tuple[Any, ...]
    chosen: bool = False

    def volumes(self, data: Path) -> tuple[list[Volume], list[Volume]]:
        """Return the volumes that are learned from, and others."""
        learned, others = ([self.make(data, source) for source in sources] for sources in (self.learned, self.others))
        return learned, others


def embryo(data: Path, name: str) -> Volume:
    """Return a volume of BBBC050 as it is."""
    for folder in (data / "embryo3d_bbbc050", data / "embryo3d_bbbc050_more" / "train"):
        path = folder / "images" / f"{name}.tif"
        if path.exists():
            labels = tifffile.imread(folder / "labels" / path.name)
            return Volume(tifffile.imread(path).astype(np.float32), labels.astype(np.int32))
    raise FileNotFoundError(f"{data} holds no volume {name}.tif of BBBC050.")


def small(data: Path, name: str) -> Volume:
    """Return nuclei of 6 to 8 voxels."""
    return _noisy(_scaled(embryo(data, name), (0.45, 0.45, 0.45)), 6.0, name)


def flat(data: Path, name: str) -> Volume:
    """Return nuclei of 30 voxels in few slices."""
    source = _scaled(embryo(data, name), (0.5, 2.0, 2.0))
    part = slice(None), slice(40, 232), slice(40, 232)
    return _noisy(Volume(source.image[part], source.labels[part]), 10.0, name)


def dark(data: Path, name: str) -> Volume:
    """Return dark nuclei of 10 voxels, in few slices, on a bright, uneven ground."""
    source = _scaled(embryo(data, name), (0.35, 0.65, 0.65))
    rng = _rng(name)
    low, high = np.percentile(source.image, [1, 99.8])
    stain = np.clip((source.image - low) / (high - low), 0, 1)
    ground = 700 + 150 * _texture(stain.shape, (3, 12, 12), rng) + 60 * _texture(stain.shape, (1, 2, 2), rng)
    image = ground * (1 - 0.75 * stain) + rng.normal(0, 40, stain.shape)
    return Volume(image.astype(np.float32), source.labels)


def nucleoli(_: Path, seed: int) -> Volume:
    """Return crowded nuclei with dark nucleoli, in haze: 17 voxels wide, 8 slices deep, fainter with depth."""
    rng = np.random.default_rng(seed)
    middles = _scattered((9.0, 18.0, 18.0), rng)
    labels, image = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.float32)
    nearest = np.full(SHAPE, np.inf)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    for label, middle in enumerate(middles, start=1):
        radii = np.array([4.2, 8.5, 8.5]) * rng.uniform(0.75, 1.1, 3)
        distance = np.sqrt((((grid - middle) / radii) ** 2).sum(-1))
        inside = (distance < 1) & (distance < nearest)
        nearest[inside], labels[inside] = distance[inside], label
        core = np.sqrt((((grid - middle - rng.uniform(-1, 1, 3)) / (0.4 * radii)) ** 2).sum(-1)) < 1
        image[inside] = rng.uniform(0.5, 1.0) * np.where(core, 0.25, 1.0)[inside]
    image *= 1 + 0.25 * _texture(SHAPE, (0.7, 1.5, 1.5), rng)
    image = ndimage.gaussian_filter(image, (1.3, 0.9, 0.9)) + 0.5 * ndimage.gaussian_filter(image, (4, 10, 10))
    image *= np.exp(-np.arange(SHAPE[0]) / 40)[:, None, None]
    return Volume((rng.poisson(np.maximum(0, 60 * image + 8)) + 100).astype(np.float32), _whole(labels))


def balls(_: Path, seed: int) -> Volume:
    """Return dark balls of 7 voxels on a bright, noisy ground."""
    rng = np.random.default_rng(seed)
    labels = _ellipsoids((9.0, 16.0, 16.0), (3.5, 3.5, 3.5), rng)
    image = 1 - ndimage.gaussian_filter((labels > 0).astype(np.float32), (0.5, 0.7, 0.7))
    return Volume((image + rng.normal(0, 0.1, SHAPE)).astype(np.float32), _whole(labels))


def shells(_: Path, seed: int) -> Volume:
    """Return bright envelopes with a dark inside: 14 voxels wide, 9 slices deep, not crowded."""
    rng = np.random.default_rng(seed)
    labels = _ellipsoids((10.5, 16.0, 16.0), (4.5, 7.0, 7.0), rng)
    inside = np.zeros(SHAPE, bool)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        inside[box] |= ndimage.binary_erosion(labels[box] == label, border_value=1)
    image = ndimage.gaussian_filter(((labels > 0) & ~inside).astype(np.float32), (0.8, 0.6, 0.6))
    image *= 1 + 0.3 * _texture(SHAPE, (2, 5, 5), rng)
    return Volume((rng.poisson(np.maximum(0, 60 * image + 15)) + 80).astype(np.float32), _whole(labels))


def walls(_: Path, seed: int) -> Volume:
    """Return cells that touch, known by their bright walls: 20 voxels wide, 10 slices deep."""
    rng = np.random.default_rng(seed)
    spacing = np.array([10.0, 20.0, 20.0])
    middles = _scattered(tuple(spacing), rng)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    shift = np.stack([4 * _texture(SHAPE, (2, 6, 6), rng).ravel() for _ in range(3)], -1) / 20 * spacing / 2
    near = cKDTree(middles / spacing).query((grid + shift) / spacing, k=2)
    distances, numbers = np.asarray(near[0]), np.asarray(near[1])
    wall = np.exp(-(((distances[:, 1] - distances[:, 0]) / 0.08) ** 2)).reshape(SHAPE)
    within = np.sqrt((((grid - np.array(SHAPE) / 2) / (np.array(SHAPE) * 0.55)) ** 2).sum(-1)) < 1
    labels = np.where(within, numbers[:, 0] + 1, 0).reshape(SHAPE).astype(np.int32)
    image = ndimage.gaussian_filter(wall * within.reshape(SHAPE), (1.0, 0.7, 0.7))
    image *= 1 + 0.4 * _texture(SHAPE, (3, 8, 8), rng)
    return Volume((rng.poisson(np.maximum(0, 70 * image + 12)) + 50).astype(np.float32), _whole(labels))


CHOSEN_ON = ("Emb05_t501", "Emb07_t501"), ("Emb09_t501", "Emb10_t501")
REPORTED_ON = ("Emb02_t501", "Emb06_t501"), ("Emb08_t501", "Emb08_t351")

KINDS = {
    "small": VolumeKind(small, *CHOSEN_ON, chosen=True),
    "flat": VolumeKind(flat, *CHOSEN_ON, chosen=True),
    "nucleoli": VolumeKind(nucleoli, (1, 2), (3, 4), chosen=True),
    "balls": VolumeKind(balls, (21, 22), (23, 24), chosen=True),
    "shells": VolumeKind(shells, (31, 32), (33, 34), chosen=True),
    "dark": VolumeKind(dark, *REPORTED_ON),
    "walls": VolumeKind(walls, (11, 12), (13, 14)),
}

KNOWN = ("Emb02_t451", "Emb06_t401", "Emb08_t351")
"""Volumes of the kind that `nuclei3d` knows, on which what is forgotten shows; those of its validation."""


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


def _scaled(volume: Volume, zoom: tuple[float, float, float]) -> Volume:
    """Return a volume made larger or smaller, without the objects of which next to nothing is left."""
    shape = [round(n * z) for n, z in zip(volume.image.shape, zoom, strict=True)]
    sigma = [0.4 * max(0.0, 1 / z - 1) for z in zoom]
    image = resized(ndimage.gaussian_filter(volume.image, sigma)[None], shape)[0]
    return Volume(image, _whole(volume.labels[nearest_indices(volume.labels.shape, shape)]))


def _ellipsoids(
    spacing: tuple[float, float, float], radii: tuple[float, float, float], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return labels of scattered ellipsoids of nearly these radii (Z, Y, X); where two meet, the nearer middle wins."""
    labels, nearest = np.zeros(SHAPE, np.int32), np.ones(SHAPE)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    for label, middle in enumerate(_scattered(spacing, rng), start=1):
        distance = np.sqrt((((grid - middle) / (np.array(radii) * rng.uniform(0.85, 1.15, 3))) ** 2).sum(-1))
        inside = distance < nearest
        nearest[inside], labels[inside] = distance[inside], label
    return labels


def _whole(labels: NDArray[np.int32], least: int = 20) -> NDArray[np.int32]:
    """Return labels without objects of fewer voxels."""
    keep = np.bincount(labels.ravel()) >= least
    keep[0] = False
    return np.where(keep[labels], labels, 0).astype(np.int32)


def _noisy(volume: Volume, sigma: float, name: str) -> Volume:
    noise = _rng(name).normal(0, sigma, volume.image.shape)
    return Volume((volume.image + noise).astype(np.float32), volume.labels)


def _texture(shape: tuple[int, ...], sigma: tuple[float, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


def _scattered(spacing: tuple[float, float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return positions on a grid, each moved by up to a quarter of its spacing, axes (n, 3)."""
    axes = [np.arange(step / 2, size, step) for step, size in zip(spacing, SHAPE, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return np.asarray(points + rng.uniform(-0.25, 0.25, points.shape) * np.array(spacing))
