"""Labels written into the OME-Zarr of their own image, where viewers look for them: ``image.zarr/labels/NAME``."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed
from napari_unet.io.writers import in_order, smallest_dtype
from napari_unet.io.zarrs import is_label_zarr, is_zarr, ngff_of, stored_axes
from napari_unet.limits import times

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_CHUNK = 1024
"""Pixels along Y and X of a chunk; there is one for each plane."""


@dataclass(frozen=True, slots=True)
class _Parent:
    """The image that labels are written for.

    Attributes
    ----------
    multiscale : dict
        Its metadata.
    axes : str
        Letters of its axes, with the channel.
    shapes : tuple of tuple of int
        Of each of its resolutions.
    zarr_format : {2, 3}
    version : str
        Of OME-Zarr.
    """

    multiscale: dict[str, Any]
    axes: str
    shapes: tuple[tuple[int, ...], ...]
    zarr_format: int
    version: str

    @property
    def metadata_name(self) -> str:
        """Name of the file that has the list of labels."""
        return "zarr.json" if self.zarr_format == 3 else ".zattrs"

    @property
    def kept(self) -> list[int]:
        """Which of its axes labels have: all but the channel."""
        return [axis for axis, letter in enumerate(self.axes) if letter != "C"]


def free_name(image: Path, name: str) -> str:
    """Return a name that labels of an image can be given: `name`, or with a number after it."""
    number, found = 1, name
    while (image / "labels" / found).exists():
        number += 1
        found = f"{name}_{number}"
    return found


def check_takes_labels(image: Path, name: str) -> None:
    """Check, before long work, that labels of a name can be written into an image.

    Raises
    ------
    FileFormatError
        If it is no OME-Zarr of one image, holds labels of that name, or cannot be written to.
    """
    if not image.exists():
        raise FileFormatError(f"{image} does not exist.")
    _parent(image)
    if os.path.lexists(image / "labels" / name):
        raise FileFormatError(f"{image.name} has labels called {name!r} already; they are never replaced.")
    labels = image / "labels"
    if not os.access(labels if labels.exists() else image, os.W_OK):
        raise FileFormatError(f"{image.name} cannot be written to, so labels have no place in it. Write them with -o.")


def has_labels(image: Path, name: str) -> bool:
    """Return whether an image has labels of a name; they are listed if a run was killed just before it did that.

    Raises
    ------
    FileFormatError
        If the list cannot be read or written.
    """
    folder = image / "labels" / name
    if not is_zarr(folder) or not is_label_zarr(folder):
        return False
    parent = _parent(image)
    if name not in _listed(_json(image / "labels" / parent.metadata_name), parent):
        _list_labels(image, name, parent)
    return True


def write_labels_into(
    image: Path, labels: Any, axes: str, *, name: str = "unet", provenance: Mapping[str, Any] | None = None
) -> Path:
    """Write labels into the OME-Zarr of their image; nothing that is there is changed but the list of its labels.

    They have the resolutions, scale and place of the image, and its version of OME-Zarr (0.4 where that is older). They
    are complete before they are listed.

    Parameters
    ----------
    image : Path
        The folder of an image.
    labels : array-like of int
        Of the size of the image.
    axes : str
        Of T, Z, Y and X, in any order.
    name : str
        Of the labels. One that is taken gets a number.
    provenance : mapping, optional
        How they were made, for the attribute ``napari_unet``.

    Returns
    -------
    Path
        Their folder.

    Raises
    ------
    FileFormatError
        If the folder is no OME-Zarr of one image, labels are not of its size, or they cannot be written.
    LabelsError
        If labels are not whole numbers from 0 to 4294967295.
    """
    parent = _parent(image)
    labels, letters = in_order(labels, axes)
    wanted = "".join(parent.axes[axis] for axis in parent.kept)
    shape = tuple(parent.shapes[0][axis] for axis in parent.kept)
    for letter in wanted:
        if letter not in letters:  # an axis of length 1
            labels, letters = labels[None], letter + letters
    labels = labels.transpose([letters.index(letter) for letter in wanted])
    if tuple(labels.shape) != shape:
        raise FileFormatError(f"The labels are not of the size of {image.name}: {times(labels.shape)}, {times(shape)}.")
    dtype = smallest_dtype(labels)
    name = free_name(image, name)
    target = image / "labels" / name
    with completed(target) as partial:
        _write(partial, labels, dtype, parent, name, provenance)
    _list_labels(image, name, parent)
    return target


def _parent(image: Path) -> _Parent:
    import zarr

    try:
        group = zarr.open_group(image, mode="r")
        metadata = ngff_of(group)
        (multiscale,) = metadata["multiscales"]
        arrays = [group[dataset["path"]] for dataset in multiscale["datasets"]]
        axes = stored_axes(multiscale, arrays[0])
        said = str(metadata.get("version") or multiscale.get("version") or "0.4")
    except Exception as error:  # zarr has many ways to say that a folder is not what it should be
        raise FileFormatError(
            f"{image.name} is no OME-Zarr of one image, so labels have no place in it. Export them to a folder."
        ) from error
    zarr_format = int(group.metadata.zarr_format)
    shapes = tuple(tuple(int(n) for n in array.shape) for array in arrays)
    return _Parent(multiscale, axes, shapes, zarr_format, said if zarr_format == 3 else "0.4")


def _write(
    folder: Path,
    labels: Any,
    dtype: np.dtype[Any],
    parent: _Parent,
    name: str,
    provenance: Mapping[str, Any] | None,
) -> None:
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=parent.zarr_format)
    kept, datasets = parent.kept, parent.multiscale["datasets"]
    entries = parent.multiscale.get("axes") or [letter.lower() for letter in parent.axes]
    names = [entry["name"] if isinstance(entry, dict) else str(entry) for entry in entries]
    for level, shape in enumerate(parent.shapes):
        shape = tuple(shape[axis] for axis in kept)
        planes = tuple(1 if axis < len(shape) - 2 else min(n, _CHUNK) for axis, n in enumerate(shape))
        options: dict[str, Any] = (
            {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
            if parent.zarr_format == 2
            else {"dimension_names": [names[axis] for axis in kept]}
        )
        array = group.create_array(str(level), shape=shape, dtype=dtype, chunks=planes, fill_value=0, **options)
        _fill(array, labels, shape)
    multiscale: dict[str, Any] = {
        "name": name,
        "axes": [_entry(entries[axis], parent.axes[axis]) for axis in kept],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _without_channel(dataset, kept, parent, level)}
            for level, dataset in enumerate(datasets)
        ],
    }
    whole = parent.multiscale.get("coordinateTransformations")
    if whole:
        multiscale["coordinateTransformations"] = _chosen(whole, kept)
    label = {"source": {"image": "../../"}}
    if parent.zarr_format == 2:
        found = {"multiscales": [{"version": parent.version, **multiscale}]}
        attributes: dict[str, Any] = {**found, "image-label": {"version": parent.version, **label}}
    else:
        attributes = {"ome": {"version": parent.version, "multiscales": [multiscale], "image-label": label}}
    if provenance is not None:
        attributes["napari_unet"] = dict(provenance)
    group.attrs.update(attributes)


def _entry(entry: Any, letter: str) -> dict[str, Any]:
    """Return the metadata of an axis; versions before 0.4 have only its name."""
    if isinstance(entry, dict):
        return dict(entry)
    return {"name": letter.lower(), "type": "time" if letter == "T" else "space"}


def _fill(array: Any, labels: Any, shape: tuple[int, ...]) -> None:
    """Write a resolution, plane by plane: of each of its pixels the label of the pixel nearest to it."""
    nearest = [((np.arange(n) + 0.5) * old / n).astype(np.intp) for n, old in zip(shape, labels.shape, strict=True)]
    for index in np.ndindex(shape[:-2]):
        at = tuple(int(nearest[axis][i]) for axis, i in enumerate(index))
        plane: NDArray[Any] = np.asarray(labels[at])
        array[index] = plane[np.ix_(nearest[-2], nearest[-1])].astype(array.dtype, copy=False)


def _without_channel(dataset: dict[str, Any], kept: list[int], parent: _Parent, level: int) -> list[dict[str, Any]]:
    """Return the transformations of a resolution; versions before 0.4 have none, but a scale is needed."""
    found = _chosen(dataset.get("coordinateTransformations") or (), kept)
    if any(step["type"] == "scale" for step in found):
        return found
    sizes = zip(parent.shapes[0], parent.shapes[level], strict=True)
    scale = [old / new for old, new in sizes]
    return [{"type": "scale", "scale": [scale[axis] for axis in kept]}]


def _chosen(steps: Any, kept: list[int]) -> list[dict[str, Any]]:
    found = []
    for step in steps:
        kind = step.get("type")
        if kind in ("scale", "translation"):
            found.append({"type": kind, kind: [step[kind][axis] for axis in kept]})
    return found


def _list_labels(image: Path, name: str, parent: _Parent) -> None:
    """Add labels to the list of those of an image."""
    folder, metadata = image / "labels", parent.metadata_name
    known = _json(folder / metadata)
    attributes = known.get("attributes", {}) if parent.zarr_format == 3 else known
    listed = attributes.get("ome", {}) if parent.zarr_format == 3 else attributes
    listed["labels"] = [*(one for one in listed.get("labels", []) if one != name), name]
    if parent.zarr_format == 3:
        attributes["ome"] = {"version": parent.version, **listed}
        known = {"zarr_format": 3, "node_type": "group", **known, "attributes": attributes}
    elif not (folder / ".zgroup").exists():
        _write_json(folder / ".zgroup", {"zarr_format": 2})
    _write_json(folder / metadata, known)
    # Older versions of Zarr write null where there is none.
    consolidated = (image / ".zmetadata").exists() or bool(_json(image / "zarr.json").get("consolidated_metadata"))
    if consolidated:  # a copy of the metadata of all that is in it, which readers believe where it is there
        import zarr

        zarr.consolidate_metadata(image, zarr_format=parent.zarr_format)


def _listed(metadata: dict[str, Any], parent: _Parent) -> list[Any]:
    """Return the names of the labels in the list."""
    attributes = metadata.get("attributes", {}).get("ome", {}) if parent.zarr_format == 3 else metadata
    return list(attributes.get("labels", []))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be read, so the new labels are not listed there.") from error
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with completed(path, overwrite=True) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
