"""Labelled fields of view for the simulated annotator, cut from folders of image pairs and split by file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_unet.errors import FileFormatError
from napari_unet.io.pairs import match_by_stem
from napari_unet.io.readers import read_image, read_labels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image

HELD_OUT = 3
"""Every third file (or animal) is held out."""

HELD_OUT_PLANES = 3
"""How many times as many planes of a held-out volume are scored: nobody has to work on them, and few tell little."""

SMALLEST_PIECE = 30
"""Pixels below which a connected piece of a class is no object."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What is in view of one image, and how it should be segmented.

    Attributes
    ----------
    image : Image
        Axes (Y, X), (Y, X, C), or (Z, Y, X).
    truth : ndarray of int32, axes ([Z,] Y, X)
        Objects or classes.
    planes : tuple of int
        The slices of a volume that somebody corrects.
    """

    image: Image
    truth: NDArray[np.int32]
    planes: tuple[int, ...] = (0,)

    @property
    def slices(self) -> NDArray[np.int32]:
        """The truth with the axes (Z, Y, X)."""
        return self.truth.reshape(-1, *self.truth.shape[-2:])

    @property
    def objects(self) -> int:
        """True objects, or classes other than 0; an object of a volume counts in every slice that it is seen in."""
        return sum(int(np.count_nonzero(np.unique(plane))) for plane in self.slices)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Where fields come from.

    Attributes
    ----------
    folder : str
        Within the folder of all data; holds ``images`` and ``labels``.
    base : str or None
        The model to begin with; None: one from nothing, as `New model…` makes it.
    instances : bool
        Whether labels are objects, or classes.
    prefix : str
        What the names of its files begin with.
    grouped : bool
        Whether files are of one animal if their names are the same up to the first ``_``.
    planes : int
        Planes taken of a volume, evenly spaced; three times as many of one that is held out.
    whole : bool
        Whether volumes are segmented whole and only corrected in these planes, or the planes are images of their own.
    pieces_of : int or None
        Of class labels: the class whose connected pieces are the objects, but for those below `SMALLEST_PIECE`.
    """

    folder: str
    base: str | None = "nuclei"
    instances: bool = True
    prefix: str = ""
    grouped: bool = False
    planes: int = 4
    whole: bool = False
    pieces_of: int | None = None


DATA_SETS = {
    "cells_phase_t98g": DataSet("cells_phase_t98g"),
    "embryo3d_bbbc050": DataSet("embryo3d_bbbc050", grouped=True),
    "embryo3d_volumes": DataSet("embryo3d_bbbc050", grouped=True, whole=True),
    "histology": DataSet("nuclei_dsb2018/train", prefix="histology"),
    "em_membranes_isbi2012": DataSet("em_membranes_isbi2012", base=None, instances=False),
    "axons_sem": DataSet("axons_sem", base=None, instances=False, grouped=True),
}

KNOWN = DataSet("nuclei_dsb2018/val", prefix="fluorescence")
"""What the shipped model knows already, of which learning should make it forget nothing."""

MAX_KNOWN, KNOWN_SIZE = 40, 256
"""Fields of that, and their width in pixels: 1106 nuclei, so that one is a tenth of a point."""


def read_fields(
    data: Path, source: DataSet, size: int, fields: int = 8, held_out: int = 8
) -> tuple[list[Field], list[Field]]:
    """Return fields to work on and held-out ones, from different files or animals.

    Parameters
    ----------
    data : Path
        The folder of all data.
    source : DataSet
        Which of them.
    size : int
        Width and height of a field, pixels, cut from the middle of the image.
    fields, held_out : int
        Most fields to work on, and most held out.
    """
    groups = file_groups(data, source)
    parts: tuple[list[Field], list[Field]] = ([], [])
    for index, pairs in enumerate(groups):
        held = (index + 1) % min(HELD_OUT, len(groups)) == 0
        for pair in pairs:
            if len(parts[held]) < (fields, held_out)[held]:
                planes = source.planes * (HELD_OUT_PLANES if held else 1)
                parts[held].extend(cut_fields(pair, size, source, planes))
    return parts[0][:fields], parts[1][:held_out]


def file_groups(data: Path, source: DataSet) -> list[list[tuple[Path, Path]]]:
    """Return the files of a data set, images with their labels: a list for each animal, or for each file.

    Raises
    ------
    FileFormatError
        If there are less than two.
    """
    folder = data / source.folder
    groups: dict[str, list[tuple[Path, Path]]] = {}
    for image, labels in match_by_stem(folder / "images", folder / "labels"):
        if image.name.startswith(source.prefix):
            groups.setdefault(image.stem.split("_")[0] if source.grouped else image.stem, []).append((image, labels))
    if len(groups) < 2:
        raise FileFormatError(f"{folder} holds {len(groups)} images to tell apart; two are needed at least.")
    return list(groups.values())


def cut_fields(pair: tuple[Path, Path], size: int, source: DataSet, planes: int) -> list[Field]:
    """Return the fields of one file (image and labels) that show something, `size` wide, of so many planes at most."""
    image = read_image(pair[0])
    truth = image.canonical_labels(read_labels(pair[1]))[0]
    if source.pieces_of is not None:
        truth = _pieces(truth == source.pieces_of)
    if source.base is None:
        truth = truth + 1  # where a model is made from nothing, 0 is what nobody has painted
    depth = image.size("Z")
    wanted = (0,) if depth == 1 else tuple(np.linspace(0, depth - 1, planes + 2)[1:-1].astype(int).tolist())
    y, x = (slice(max(0, (n - size) // 2), max(0, (n - size) // 2) + size) for n in image.space[1:])
    if source.whole:
        volume = replace(image, data=image.read(0, slice(0, depth), y, x)[0], axes="ZYX")
        return [Field(volume, truth[:, y, x].astype(np.int32), wanted)]
    found = []
    for z in wanted:
        pixels = image.read(0, slice(z, z + 1), y, x)[:, 0]
        axes, pixels = ("YXC", np.moveaxis(pixels, 0, -1)) if len(pixels) > 1 else ("YX", pixels[0])
        cut = replace(image, data=pixels, axes=axes, name=f"{image.name}, plane {z}" if depth > 1 else image.name)
        found.append(Field(cut, truth[z, y, x].astype(np.int32)))
    return [field for field in found if field.truth.any()]


def _pieces(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the connected pieces of each plane (Z, Y, X), numbered, without the smallest."""
    flat = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]
    pieces, _ = ndimage.label(mask, flat)
    large = np.bincount(pieces.ravel()) >= SMALLEST_PIECE
    return np.where(large[pieces] & mask, pieces, 0).astype(np.int32)
