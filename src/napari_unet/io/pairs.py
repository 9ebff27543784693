"""Files that belong together: images and labels, predictions and truth, matched by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.readers import check_exists, image_files
from napari_unet.io.zarrs import is_label_zarr, is_plate, is_zarr, plate_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LABEL_ENDINGS = ("_labels", "_cp_masks", "_masks")
"""Endings that the name of an image may have in the name of its labels."""

_OTHER_ENDINGS = ("_maps", "_overlay")
"""Endings of other results that lie beside an image: maps, and pictures with outlines."""

_CURVE = ".curve.png"
"""Ending of the picture of a learning curve; its table lies beside it."""

_UNFINISHED = ".unfinished"
"""Ending of the name of labels that could not be written completely; see `atomic.completed`."""


def match_by_stem(first: Path, second: Path) -> list[tuple[Path, Path]]:
    """Return the pairs of files of the same stem in two folders; two files are a pair whatever their names.

    ``a.ome.tif`` has the stem ``a``; ``a_labels.tif`` or ``a_masks.png`` belongs to it. Both may be the same
    folder: then the first of a pair is the file without such an ending. Of a plate each field is a file:
    ``p_A_1_0`` for the field ``A/1/0`` of ``p.zarr``.

    Parameters
    ----------
    first, second : Path
        Files (or Zarr folders), or folders of files. If one is a file, its partner is searched in the other.

    Returns
    -------
    list of (Path, Path)
        In the natural order of the first.

    Raises
    ------
    FileFormatError
        If a file has no partner (it is named), or two files have the same stem, or there is none at all.
    """
    alone_first, alone_second = _is_one(first), _is_one(second)
    if alone_first and alone_second:
        return [(first, second)]
    ours = {image_stem(first): first} if alone_first else _by_stem(first, prefer_labels=False)
    theirs = {image_stem(second): second} if alone_second else _by_stem(second, prefer_labels=True)
    wanted = list(theirs) if alone_second else list(ours)
    if not (alone_first or alone_second):
        wanted += [key for key in theirs if key not in ours]
    pairs = []
    for key in wanted:
        if key not in theirs:
            raise FileFormatError(f"{ours[key].name} has no partner in {second}; {_expected(key)}.")
        if key not in ours:
            raise FileFormatError(f"{theirs[key].name} has no partner in {first}; {_expected(key)}.")
        if ours[key] == theirs[key]:
            raise FileFormatError(f"{ours[key].name} has no partner in {first} but itself; {_expected(key)}.")
        pairs.append((ours[key], theirs[key]))
    return pairs


def stem(path: Path) -> str:
    """Return the name of an image without its endings: ``a`` for ``a.tif`` and for ``a.ome.zarr``."""
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


def field_stem(plate: Path, field: str) -> str:
    """Return the stem of results of a field of a plate: ``p_A_1_0``."""
    return "_".join([stem_within(plate), *field.split("/")])


def stem_within(path: Path) -> str:
    """Return the stem of results of an image; of one within a Zarr, such as a field, it begins with that Zarr's."""
    parents = list(path.parents)
    outer = [depth for depth, parent in enumerate(parents) if is_zarr(parent)]
    # The rows of a plate need not be Zarr groups: more than one folder that is none lies around it all.
    inside = 0
    for depth in outer:
        if depth > inside + 1:
            break
        inside = depth + 1
    return "_".join([*(stem(parent) for parent in reversed(parents[:inside])), stem(path)])


def is_labels_name(path: Path) -> bool:
    """Return whether a file is named as the labels of another, such as ``a_labels.tif``."""
    return stem(path).lower().endswith(LABEL_ENDINGS)


def split_results(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the images among the files of a folder, and the results of earlier runs: labels, maps and pictures.

    A file counts as a result if it is named after another of them, such as ``a_labels.tif`` beside ``a.tif``, or is an
    OME-Zarr label image, whatever its name.
    """
    stems = {stem(path) for path in files}
    results = [path for path in files if _is_result_of(path, stems) or (os.path.isdir(path) and is_label_zarr(path))]
    return [path for path in files if path not in set(results)], results


def label_files(path: Path) -> list[tuple[str, Path]]:
    """Return the label files that a path names, each with the stem of its image.

    Parameters
    ----------
    path : Path
        A file, or a folder. Of a folder in which files are named as labels (``a_labels.tif``) those are taken, else all
        its images.

    Raises
    ------
    FileFormatError
        If there is no such file, no image in the folder, or two have the same stem.
    """
    if _is_one(path):
        return [(image_stem(path), path)]
    found: dict[str, Path] = {}
    files = image_files(path)
    stems = {stem(file) for file in files}
    others = [file for file in files if not _is_result_of(file, stems)]
    for file in [file for file in files if is_labels_name(file)] or others:
        if image_stem(file) in found:
            other = found[image_stem(file)].name
            raise FileFormatError(
                f"{other} and {file.name} in {path} are both called {image_stem(file)}; keep one of them."
            )
        found[image_stem(file)] = file
    return list(found.items())


def _is_result_of(path: Path, stems: set[str]) -> bool:
    """Return whether a file has the name of a result of one of some images (or of labels)."""
    if path.name.lower().endswith(_CURVE):
        return os.path.exists(path.with_suffix(".csv"))
    name = stem(path)
    whole = name.removesuffix(_UNFINISHED)
    for ending in (*LABEL_ENDINGS, *_OTHER_ENDINGS):
        base = whole[: -len(ending)]
        if whole.lower().endswith(ending) and base:
            return any(base + other in stems - {name} for other in ("", *LABEL_ENDINGS))
    return False


def image_stem(path: Path) -> str:
    """Return the stem of the image that a file is, or is the labels of: ``a`` for ``a.tif`` and ``a_labels.tif``."""
    name = stem(path)
    for ending in LABEL_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def _is_one(path: Path) -> bool:
    check_exists(path)
    return not os.path.isdir(path) or (is_zarr(path) and not is_plate(path))


def _by_stem(folder: Path, *, prefer_labels: bool) -> dict[str, Path]:
    """Return the files of a folder by the image's stem; of ``a`` and ``a_labels`` the one asked for."""
    plate = plate_of(folder) if is_zarr(folder) else None
    if plate is not None:
        return {field_stem(folder, field): folder / field for field in plate.fields}
    chosen: dict[str, Path] = {}
    files = image_files(folder)
    stems = {stem(path) for path in files}
    for path in files:
        if not is_labels_name(path) and _is_result_of(path, stems):  # maps, a picture, or unfinished
            continue
        key = image_stem(path)
        other = chosen.get(key)
        if other is None:
            chosen[key] = path
        elif is_labels_name(path) == is_labels_name(other):
            raise FileFormatError(f"{other.name} and {path.name} in {folder} are both called {key}; keep one of them.")
        elif is_labels_name(path) == prefer_labels:
            chosen[key] = path
    return chosen


def _expected(key: str) -> str:
    return f"a file of the stem {key!r} is needed"
