"""How the folders look that other programs train on."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tifffile

from napari_unet.errors import FileFormatError
from napari_unet.io.writers import smallest_dtype

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_INSIDE, _BORDER = 1, 2


@dataclass(slots=True, eq=False)
class Piece:
    """A plane or a volume that is learned from.

    Attributes
    ----------
    name : str
        Of its files.
    pixels : ndarray, axes (C, [Z,] Y, X)
    labels : ndarray of int, axes ([Z,] Y, X)
    provenance : ndarray of uint8, axes ([Z,] Y, X)
        See `training_data.PROVENANCE`.
    supervised : ndarray of bool or None, axes ([Z,] Y, X)
        The pixels whose labels are known to be right; None: all.
    spacing : tuple of float
        Micrometres ([Z,] Y, X), or 1.
    channels : tuple of str
        Their names; may be empty.
    """

    name: str
    pixels: NDArray[Any]
    labels: NDArray[Any]
    provenance: NDArray[np.uint8]
    supervised: NDArray[np.bool_] | None
    spacing: tuple[float, ...]
    channels: tuple[str, ...]


class Folder(ABC):
    """A folder of training data.

    Parameters
    ----------
    path : Path
        It exists, and is empty.
    objects : bool
        Whether labels are ids of objects, and not classes.
    """

    planes: ClassVar[bool] = False
    """Whether it holds planes only."""
    takes_classes: ClassVar[bool] = False
    """Whether labels may be classes."""

    def __init__(self, path: Path, objects: bool) -> None:
        self._path, self._objects = path, objects

    @classmethod
    def check_name(cls, path: Path) -> None:
        """Raise `FileFormatError` if the folder cannot have that name; any will do, unless said otherwise."""
        return

    def write(self, piece: Piece) -> None:
        """Add an image and its labels."""
        self._write(piece)
        self._save(f"provenance/{piece.name}.tif", piece.provenance)

    @abstractmethod
    def _write(self, piece: Piece) -> None: ...

    def finish(self) -> None:
        """Write what describes all of it, if anything does."""
        return

    def _save(self, name: str, array: NDArray[Any]) -> None:
        path = self._path / name
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.ascontiguousarray(array), photometric="minisblack", compression="zlib")

    def _save_labels(self, name: str, labels: NDArray[Any]) -> None:
        self._save(name, labels.astype(smallest_dtype(labels)))


class CellposeFolder(Folder):
    """``a.tif`` (Y, X or C, Y, X) and ``a_masks.tif``."""

    planes = True

    def _write(self, piece: Piece) -> None:
        self._save(f"{piece.name}.tif", _storable(piece.pixels[0] if len(piece.pixels) == 1 else piece.pixels))
        self._save_labels(f"{piece.name}_masks.tif", piece.labels)


class StardistFolder(Folder):
    """``images/a.tif`` ([Z,] Y, X[, C]) and ``masks/a.tif``."""

    def _write(self, piece: Piece) -> None:
        pixels = piece.pixels[0] if len(piece.pixels) == 1 else np.moveaxis(piece.pixels, 0, -1)
        self._save(f"images/{piece.name}.tif", _storable(pixels))
        self._save_labels(f"masks/{piece.name}.tif", piece.labels)


class NnunetFolder(Folder):
    """``imagesTr/a_0000.tif`` for each channel, ``labelsTr/a.tif``, and ``dataset.json``, as version 2 of nnU-Net."""

    takes_classes = True

    def __init__(self, path: Path, objects: bool) -> None:
        super().__init__(path, objects)
        self._channels: list[str] = []
        self._classes, self._count, self._ignores, self._ndim = _BORDER if objects else 0, 0, False, 0

    @classmethod
    def check_name(cls, path: Path) -> None:
        """Raise `FileFormatError` unless it is named as nnU-Net wants it."""
        if not re.fullmatch(r"Dataset\d{3}_\w+", path.name):
            raise FileFormatError(f"nnU-Net wants its folder named like Dataset001_Nuclei; got {path.name!r}.")

    def _write(self, piece: Piece) -> None:
        names = list(piece.channels) or [f"channel {number}" for number in range(len(piece.pixels))]
        if self._count and (len(names) != len(self._channels) or piece.labels.ndim != self._ndim):
            raise FileFormatError(
                f"{piece.name} has other channels or dimensions than the images before; nnU-Net wants the same."
            )
        self._channels, self._ndim = self._channels or names, piece.labels.ndim
        for number, channel in enumerate(piece.pixels):
            self._save(f"imagesTr/{piece.name}_{number:04d}.tif", _storable(channel))
        classes = inside_and_border(piece.labels) if self._objects else piece.labels
        self._classes = max(self._classes, int(classes.max(initial=0)))
        ignored = None if piece.supervised is None or piece.supervised.all() else ~piece.supervised
        self._ignores |= ignored is not None
        # Which number stands for "ignore" is known only once all classes are.
        np.savez_compressed(
            self._path / f"{piece.name}.npz", classes=classes, ignored=ignored if ignored is not None else []
        )
        self._count += 1
        if self._ndim == 3:
            for folder in ("imagesTr", "labelsTr"):
                (self._path / folder).mkdir(exist_ok=True)
                (self._path / folder / f"{piece.name}.json").write_text(json.dumps({"spacing": piece.spacing}))

    def finish(self) -> None:
        """Write the labels, now that all classes are known, and what they mean."""
        for path in sorted(self._path.glob("*.npz")):
            with np.load(path) as stored:
                classes, ignored = stored["classes"], stored["ignored"]
            if ignored.size:
                classes = np.where(ignored, self._classes + 1, classes)
            self._save_labels(f"labelsTr/{path.stem}.tif", classes)
            path.unlink()
        names = ["inside", "border"] if self._objects else [f"class {n}" for n in range(1, self._classes + 1)]
        labels = {"background": 0} | {name: number for number, name in enumerate(names, start=1)}
        if self._ignores:
            labels["ignore"] = self._classes + 1
        about = {
            "channel_names": {str(number): name for number, name in enumerate(self._channels)},
            "labels": labels,
            "numTraining": self._count,
            "file_ending": ".tif",
            "overwrite_image_reader_writer": "NaturalImage2DIO" if self._ndim == 2 else "Tiff3DIO",
        }
        (self._path / "dataset.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


FOLDERS: dict[str, type[Folder]] = {"cellpose": CellposeFolder, "stardist": StardistFolder, "nnunet": NnunetFolder}


def inside_and_border(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 1 inside objects, 2 on their outermost pixels, so that objects that touch stay apart; 0 elsewhere."""
    from skimage.segmentation import find_boundaries

    border = find_boundaries(labels, mode="inner")
    return np.where(labels == 0, 0, np.where(border, _BORDER, _INSIDE)).astype(np.uint8)


def _storable(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels of a data type that image readers know."""
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8)
    known = pixels.dtype in (np.uint8, np.uint16, np.float32)
    return pixels if known else pixels.astype(np.float32)
