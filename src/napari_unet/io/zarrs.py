"""Reads Zarr folders: OME-Zarr (NGFF 0.1 to 0.5) and plain arrays."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image, PixelSize, Placement, axis_letter, guess_axes, named_axes
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io import lazy
from napari_unet.io.damage import Damage, missing_chunks
from napari_unet.io.series import Series, chosen
from napari_unet.io.tiffmeta import plausible
from napari_unet.io.units import length
from napari_unet.progress import first_names

if TYPE_CHECKING:
    from pathlib import Path

    import zarr

_METADATA_NAMES = ("zarr.json", ".zarray", ".zgroup")
_SPATIAL = "ZYX"
_NAMED = 4
"""Wells that a message names."""


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a Zarr array or group."""
    return any(os.path.isfile(path / name) for name in _METADATA_NAMES)  # False, too, where one may not look


def is_label_zarr(path: Path) -> bool:
    """Return whether a folder is an OME-Zarr label image."""
    import zarr

    try:
        return "image-label" in ngff_of(zarr.open(path, mode="r"))
    except Exception:  # noqa: BLE001 - an error is raised when it is read
        return False


def read_zarr(path: Path, axes: str | None = None, series: int | str | None = None, *, tolerant: bool = False) -> Image:
    """Read the full resolution of an OME-Zarr image, or a plain Zarr array, lazily if it is large.

    Parameters
    ----------
    path : Path
        The folder.
    axes : str, optional
        Meaning of the axes as they are stored; None: as the metadata say, or guessed from their number.
    series : int or str, optional
        Number or name of the image in a collection, as bioformats2raw writes it, or of several in one folder; None: the
        one with the largest planes.
    tolerant : bool
        Whether single damaged chunks count as empty and are noted in `Image.damage`, instead of being an error.

    Raises
    ------
    FileFormatError
        If it is damaged or holds no image.
    ImageError
        If there is no such series or its axes cannot be used.
    """
    try:
        found = _found(path)
        if not found:
            raise FileFormatError(f"{path.name} holds no image.")
        one, notes = chosen([_as_series(*each) for each in enumerate(found)], series, path.name)
        return _image(found[one.number], axes, path, Damage(path.name) if tolerant else None, notes)
    except UNetError:
        raise
    except Exception as error:  # zarr has many ways to say that a folder is not what it should be
        raise lazy.unreadable(path.name, error) from error


def list_zarr_series(path: Path) -> list[Series]:
    """Return the images in a Zarr folder.

    Raises
    ------
    FileFormatError
        If it is damaged, or does not say what its images are.
    """
    return [_as_series(*each) for each in enumerate(_found(path))]


@dataclass(frozen=True, slots=True)
class Plate:
    """An OME-Zarr plate, or a well, which is one of a single well.

    Attributes
    ----------
    fields : tuple of str
        Paths, within it, of the images that are there.
    missing : tuple of str
        Paths of the wells and fields that it lists, and that are not there or cannot be read.
    """

    fields: tuple[str, ...]
    missing: tuple[str, ...]

    def told(self, name: str) -> str:
        """Return a sentence about what is missing; empty if nothing is."""
        if not self.missing:
            return ""
        return f"{name} lists wells or fields that are not there, or are damaged: {first_names(self.missing, _NAMED)}."


def plate_of(path: Path) -> Plate | None:
    """Return the fields of an OME-Zarr plate, or of a well; None: the folder is neither.

    Raises
    ------
    FileFormatError
        If it is damaged, or nothing that it lists is there.
    """
    wells = _wells_of(path)
    if wells is None:
        return None
    fields: list[str] = []
    missing: list[str] = []
    for well in wells:
        names = _fields_of(path, well)
        if not names:
            missing.append(well)
        for name in names:
            inner = f"{well}/{name}" if well else name
            (fields if _lies_in(path, inner) else missing).append(inner)
    plate = Plate(tuple(fields), tuple(missing))
    if not fields:
        raise FileFormatError(plate.told(path.name) or f"{path.name} is a plate without wells.")
    return plate


def is_plate(path: Path) -> bool:
    """Return whether a folder is an OME-Zarr plate or a well, whether or not anything that it lists is there."""
    try:
        return os.path.isdir(path) and is_zarr(path) and _wells_of(path) is not None
    except FileFormatError:
        return False


def _wells_of(path: Path) -> list[str] | None:
    """Return the paths of the wells of a plate; of a well its own, which is empty; None: the folder is neither."""
    import zarr

    try:
        node = zarr.open(path, mode="r")
        metadata = {} if isinstance(node, zarr.Array) else ngff_of(node)
        if "plate" in metadata:
            return list(dict.fromkeys(str(well["path"]).strip("/") for well in metadata["plate"]["wells"]))
        return [""] if "well" in metadata else None
    except Exception as error:  # zarr has many ways to say that a folder is not what it should be
        raise lazy.unreadable(path.name, error) from error


def _lies_in(folder: Path, inner: str) -> bool:
    """Return whether a Zarr is there under a path within a folder, and not outside of it."""
    return not {"..", ""} & set(inner.split("/")) and is_zarr(folder / inner)


def _fields_of(path: Path, well: str) -> list[str]:
    """Return the names of the fields of a well of a plate, as it lists them, else all groups in it; none if damaged."""
    import zarr

    try:
        if well and not _lies_in(path, well):
            return []
        group = zarr.open_group(path / well, mode="r")
        images = ngff_of(group).get("well", {}).get("images")
        if images:
            return list(dict.fromkeys(str(image["path"]).strip("/") for image in images))
        return sorted(name for name in group.group_keys() if name != "labels")
    except Exception:  # noqa: BLE001 - zarr has many ways to say that a folder is not what it should be
        return []


def open_large_labels(path: Path) -> zarr.Array[Any] | None:
    """Open an OME-Zarr label image that is too large for memory, to be read and painted where it is.

    Returns
    -------
    zarr.Array or None
        The full resolution, in the order of the axes as stored; what is written to it is in the file at once. None
        where the labels are better read into memory: they are small, have channels, or must not be written.
    """
    import zarr

    try:
        node = zarr.open(path, mode="r+")
        multiscale = ngff_of(node)["multiscales"][0]
        array = node[multiscale["datasets"][0]["path"]]
        axes, _, _ = _axes(multiscale, array)
    except Exception:  # noqa: BLE001 - an error is raised when it is read
        return None
    fits = array.nbytes <= lazy.IN_MEMORY_BYTES or "C" in axes or array.dtype.kind not in "ui"
    return None if fits or not os.access(path / array.path, os.W_OK) else array


def ngff_of(node: Any) -> dict[str, Any]:
    """Return the NGFF metadata: under "ome" since version 0.5, directly in the attributes before."""
    attributes = dict(node.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


@dataclass(frozen=True, slots=True)
class _Found:
    """An image in a folder: its array and its metadata."""

    array: Any
    name: str = ""
    multiscale: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def _found(path: Path) -> list[_Found]:
    """Return the images in a folder: of a collection, of several pyramids, or one array."""
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return [_Found(node)]
    metadata = ngff_of(node)
    if metadata.get("multiscales"):
        return _pyramids(node, metadata)
    if "plate" in metadata or "well" in metadata:
        kind, plate = "plate of many" if "plate" in metadata else "well of several", plate_of(path)
        assert plate is not None
        raise FileFormatError(f"{path} is a {kind} images; give one field of it, such as {path / plate.fields[0]}.")
    if "bioformats2raw.layout" in metadata:
        order = ngff_of(node["OME"]).get("series") if "OME" in node else None
        names = (
            [str(name) for name in order] if isinstance(order, list) else sorted(filter(str.isdecimal, node), key=int)
        )
        members = [(name, node[name]) for name in names if name in node]
        return [
            replace(one, name=one.name or name)
            for name, one_node in members
            for one in _pyramids(one_node, ngff_of(one_node))
        ]
    arrays = sorted(node.arrays())
    if len(arrays) > 1:
        raise FileFormatError(
            f"{path.name} holds {len(arrays)} arrays and does not say which is the image; give the folder of one."
        )
    return [_Found(array) for _, array in arrays]


def _pyramids(node: Any, metadata: dict[str, Any]) -> list[_Found]:
    found = []
    for multiscale in metadata.get("multiscales") or ():
        array = node[multiscale["datasets"][0]["path"]]
        found.append(_Found(array, str(multiscale.get("name") or ""), multiscale, metadata))
    return found


def _as_series(number: int, found: _Found) -> Series:
    shape = tuple(int(n) for n in found.array.shape)
    if found.multiscale is not None:
        letters = _axes(found.multiscale, found.array)[0]
    else:
        letters = _named(found.array, "")[0] if 2 <= len(shape) <= 5 else ""
    return Series(number, found.name, letters, shape)


def _image(found: _Found, axes: str | None, path: Path, damage: Damage | None, notes: tuple[str, ...]) -> Image:
    name, array = path.name, found.array
    if found.multiscale is None:
        stored, note = _named(array, name)
        notes = (*notes, *([note] if note and axes is None else []))
        return Image(_pixels(array, path, damage), axes or stored, name=name, damage=damage, notes=notes)
    stored, units, note = _axes(found.multiscale, array)
    notes = (*notes, *([note] if note and axes is None else []))
    letters = axes or stored
    channels = dict(zip(letters, array.shape, strict=False)).get("C", 1)
    names = _channel_names(found.metadata, channels)
    pixels = _pixels(array, path, damage)
    placement = _placement(found.multiscale, stored, units) if len(letters) == len(stored) else None
    if placement is None:
        return Image(pixels, letters, None, names, name=name, damage=damage, notes=notes)
    pixel_size, warning = _pixel_size(placement, name)
    if pixel_size is None and not warning and {placement.of(letter)[0] for letter in "YX"} != {1.0}:
        scale = " and ".join(f"{placement.of(letter)[0]:g}" for letter in "YX")
        warning = f"{name} gives the scale {scale} (Y, X) without a unit of length, so the pixel size is not known."
    notes = (*notes, *([warning] if warning else []))
    same = (new if (new in _SPATIAL) == (old in _SPATIAL) else "-" for new, old in zip(letters, stored, strict=True))
    placement = replace(placement, axes="".join(same).upper())
    return Image(pixels, letters, pixel_size, names, name=name, damage=damage, notes=notes, placement=placement)


def _named(array: zarr.Array[Any], name: str) -> tuple[str, str]:
    """Return the axes of a plain array, as it names them (Zarr 3, xarray) or guessed, and what the user should know."""
    shape = tuple(array.shape)
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    names = list(names) if isinstance(names, list | tuple) else []
    letters = [axis_letter(one) for one in names]
    found, guessed = named_axes(letters, shape), guess_axes(shape)
    named = [one for one, letter in zip(names, letters, strict=True) if letter is None and isinstance(one, str) and one]
    note = ""
    if named and (found or guessed) and not all(re.fullmatch(r"(dim|axis)_?\d+", one) for one in named):
        note = (
            f"{name} calls its axes {', '.join(map(str, names))}, which is not known here; taken as "
            f"{found or guessed}. Say with --axes if they are others."
        )
    return found or guessed, note


def _pixels(array: zarr.Array[Any], path: Path, damage: Damage | None) -> Any:
    if damage is not None:
        damage.missing = missing_chunks(array)
    return lazy.load(array, path.name, damage=damage, folder=path)


def stored_axes(multiscale: dict[str, Any], array: Any) -> str:
    """Return the letters of the axes of an OME-Zarr image."""
    return _axes(multiscale, array)[0]


def _axes(multiscale: dict[str, Any], array: Any) -> tuple[str, list[str], str]:
    """Return the axes as letters, their units ("" for none), and a note for the user, mostly empty."""
    entries = multiscale.get("axes") or list("TCZYX"[-array.ndim :])
    entries = [entry if isinstance(entry, dict) else {"name": entry} for entry in entries]
    letters = [axis_letter(entry.get("name"), entry.get("type")) for entry in entries]
    units = [str(entry.get("unit") or "") for entry in entries]
    if None not in letters:
        return "".join(letter for letter in letters if letter is not None), units, ""
    found = named_axes(letters, tuple(array.shape)) or guess_axes(tuple(array.shape))
    names = ", ".join(str(entry.get("name")) for entry in entries)
    return found, units, f"Axes called {names:.80} are taken as {found}. Say with --axes if they are others."


def _placement(multiscale: dict[str, Any], axes: str, units: list[str]) -> Placement | None:
    """Return where the full resolution lies, by its own transformations and then those of all resolutions.

    None where they cannot be used: a scale that is not positive, or numbers that are none.
    """
    scale, translation = np.ones(len(axes)), np.zeros(len(axes))
    for holder in (multiscale["datasets"][0], multiscale):
        for step in holder.get("coordinateTransformations") or ():
            kind = step.get("type")
            if kind not in ("scale", "translation") or len(step.get(kind) or ()) != len(axes):
                continue
            numbers = np.asarray(step[kind], np.float64)
            if kind == "scale":
                scale, translation = scale * numbers, translation * numbers
            else:
                translation = translation + numbers
    if not (np.isfinite(scale).all() and np.isfinite(translation).all() and (scale > 0).all()):
        return None
    return Placement(axes, tuple(map(float, scale)), tuple(map(float, translation)), tuple(units))


def _pixel_size(placement: Placement, name: str) -> tuple[PixelSize | None, str]:
    found = {letter: length(placement.of(letter)[0], placement.of(letter)[2]) for letter in _SPATIAL}
    y, x = found.get("Y"), found.get("X")
    return (None, "") if y is None or x is None else plausible((found.get("Z"), y, x), name)


def _channel_names(metadata: dict[str, Any], n_channels: int) -> tuple[str, ...]:
    omero = metadata.get("omero")
    entries = omero.get("channels") if isinstance(omero, dict) else None
    names = [str(entry.get("label") or "") for entry in entries or ()]
    return tuple(names) if len(names) == n_channels and all(names) else ()
