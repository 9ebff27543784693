"""How a result was made: by which version of the program, from which files, by which model, and with which settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from napari_unet._version import __version__
from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed, reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo
    from napari_unet.objects.decode import Decoding

PROGRAM = "napari-unet-interactive"


@dataclass(frozen=True, slots=True)
class Segmentation:
    """How labels were found by a network.

    Attributes
    ----------
    model : str
        Name of the model; empty: not known.
    sha256 : str
        Of its weights; empty: not known.
    parent : str
        The model that it was fine-tuned from; empty: none.
    whole : bool
        Whether all of the image was segmented this way, and not only what was in view.
    axes : str, optional
        Of the image as stored, where they were not those that the file says.
    pixel_size : tuple of float, optional
        Micrometres, (Y, X) or (Z, Y, X), that the image was taken to have; None: not known.
    channel : int, optional
        Channel of the file that was segmented; None: as the model takes them.
    series : int or str, optional
        Number or name of the image in a file that holds several; None: the one that is read if none is chosen.
    diameter : float, optional
        Width of the objects in pixels, as the user said; None: nothing was said.
    found_diameter : float, optional
        The same, as it was found on the image; None: it was not needed.
    flips : bool, optional
        Whether maps were averaged over mirror images; None: not known.
    decoding : Decoding, optional
        How objects were read out of the maps; None: as the model came with.
    file : Path, optional
        The file of a model that has no name to be found by; None: the name finds it.
    """

    model: str
    sha256: str = ""
    parent: str = ""
    whole: bool = True
    axes: str | None = None
    pixel_size: tuple[float, ...] | None = None
    channel: int | None = None
    series: int | str | None = None
    diameter: float | None = None
    found_diameter: float | None = None
    flips: bool | None = False
    decoding: Decoding | None = None
    file: Path | None = None

    @classmethod
    def of(cls, image: Image, info: ModelInfo, **known: Any) -> Segmentation:
        """Return how an image was segmented by a model: what image and model tell, and what else is known.

        Parameters
        ----------
        image : Image
            As it was segmented.
        info : ModelInfo
        **known
            The other attributes.
        """
        size = image.pixel_size
        used = image.diameter is None and image.found_against == info.image_diameter
        return cls(
            model=info.name,
            parent=info.parent or "",
            pixel_size=None if size is None else tuple(_plain(s) for s in (size.z, size.y, size.x) if s is not None),
            diameter=image.diameter,
            found_diameter=image.found_diameter if used else None,
            decoding=None if info.original_decoding is None else info.decoding,
            **known,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; what is not known is left out, and so is the path of the model's file."""
        model = {"name": self.model or None, "sha256": self.sha256 or None, "fine_tuned_from": self.parent or None}
        settings = {
            "axes": self.axes,
            "pixel_size_um": None if self.pixel_size is None else list(self.pixel_size),
            "channel": self.channel,
            "series": self.series,
            "diameter_px": self.diameter,
            "found_diameter_px": self.found_diameter,
            "flips": self.flips,
            "decoding": None if self.decoding is None else self.decoding.model_dump(mode="json"),
        }
        return {
            "model": {name: value for name, value in model.items() if value is not None},
            "extent": "all" if self.whole else "a part",
            **{name: value for name, value in settings.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a user did to labels.

    Attributes
    ----------
    corrected_objects, corrected_pixels : int
        Of which not all is as it was predicted: outline or id.
    reviewed_share : float
        Share (0..1) of the pixels that were marked as reviewed.
    """

    corrected_objects: int = 0
    corrected_pixels: int = 0
    reviewed_share: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "corrected_objects": self.corrected_objects,
            "corrected_pixels": self.corrected_pixels,
            "reviewed_share": round(self.reviewed_share, 6),
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a label image comes from.

    Attributes
    ----------
    files : dict of str to Path
        The files that were read: ``labels``, ``image``.
    name : str
        Of what no file has.
    segmentations : tuple of Segmentation
        Of labels that were made here, in the order in which it was done; empty: not known.
    by_hand : ByHand, optional
        None: not known, as of a file.
    """

    files: Mapping[str, Path]
    name: str = ""
    segmentations: tuple[Segmentation, ...] = ()
    by_hand: ByHand | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, with the checksums of the files.

        Raises
        ------
        FileFormatError
            If a file cannot be read.
        """
        found: dict[str, Any] = {part: {"name": path.name, "sha256": sha256(path)} for part, path in self.files.items()}
        if not found:
            found["image"] = {"name": self.name, "sha256": None}
        if self.segmentations:
            found["segmentations"] = [one.to_dict() for one in self.segmentations]
        if self.by_hand is not None:
            found["by_hand"] = self.by_hand.to_dict()
        return found


def record_of(command: str, origins: Sequence[Origin], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a result. It holds no date: the same work gives the same record.

    Parameters
    ----------
    command : str
        What was done, as the command line calls it.
    origins : sequence of Origin
        Of each label image that the result was made from.
    settings : mapping
        Plain values. Those that are None are left out: they are what the files say.

    Returns
    -------
    dict
        ``program``, ``version``, ``command``, ``settings`` and ``inputs``: of each the names and SHA-256 of the files
        (a Zarr folder has no checksum), and of labels that were made here ``segmentations`` and ``by_hand``.

    Raises
    ------
    FileFormatError
        If a file cannot be read.
    """
    return {
        "program": PROGRAM,
        "version": __version__,
        "command": command,
        "settings": {name: value for name, value in settings.items() if value is not None},
        "inputs": [origin.to_dict() for origin in origins],
    }


def write_record(path: Path, record: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write a record as JSON; the file has its name only when it is complete."""
    with completed(path, overwrite=overwrite) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file; None of a folder.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    if path.is_dir():
        return None
    try:
        about = path.stat()
        return _sha256(path, about.st_mtime_ns, about.st_size)
    except FileNotFoundError:
        raise FileFormatError(f"{path.name} is no longer there ({path}).") from None
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {reason(error)}.") from error


@lru_cache(maxsize=64)
def _sha256(path: Path, modified_ns: int, size_bytes: int) -> str:
    """Return the SHA-256 of a file as of a time: each of several results asks for it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: float) -> float:
    """Return a number without rounding errors in its last digits: 0.65, where a resolution gave 0.6499999999999999."""
    return float(f"{value:.12g}")
