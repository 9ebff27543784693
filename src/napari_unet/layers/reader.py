"""Files to napari layers: the reader command of the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.channels import is_rgb
from napari_unet.io.pairs import is_labels_name, stem
from napari_unet.io.readers import SUFFIXES, list_series, read_image, read_labels
from napari_unet.io.series import chosen
from napari_unet.io.units import micrometres
from napari_unet.io.zarrs import is_label_zarr, is_zarr, open_large_labels
from napari_unet.projects.description import FILE, is_project

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from napari_unet.axes import Image
    from napari_unet.projects.project import Project

    LayerData = tuple[Any, dict[str, Any], str]
    Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

CHANNEL_COLORMAPS = ("green", "magenta", "cyan", "yellow", "red", "blue")
"""Colours of the channels of an image, in turn; the first two can be told apart by everybody."""


MAX_SERIES = 16
"""Images in one file up to which each gets a layer."""


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Return a function that reads a file or a folder, or None if it is of a kind not read here.

    Several paths are what napari wants to have as one stack: they are left to its own reader, which makes one.
    """
    paths = as_list(path)
    return read_layers if len(paths) == 1 and _is_supported(Path(paths[0])) else None


def read_layers(path: Paths) -> list[LayerData]:
    """Return the layers of a file, or of each of several files, one after the other.

    Parameters
    ----------
    path : path or sequence of path
        Images, or labels: OME-Zarr labels, and files of whole numbers named ``*_labels`` or ``*_masks``; or projects
        (``*.unetproj``, or the ``project.json`` in it), of which the widget, when it is docked, takes up the rest.

    Returns
    -------
    list of (data, dict, str)
        napari layer data. A layer in micrometres has a scale and the unit "micrometer"; one of unknown pixel
        size has no unit. ``metadata["napari_unet"]`` has the ``axes`` of the data, the ``source`` file, which
        ``channel`` of it and, of several images, which ``series`` a layer is, and ``notes`` on how it was read.
        Several images in a file are layers of their own, of which one is shown.

    Raises
    ------
    FileFormatError, ImageError, LabelsError, ModelFileError
        If a file cannot be read or used.
    """
    layers: list[LayerData] = []
    for one in map(Path, as_list(path)):
        project = as_project(one)
        if project is not None:
            from napari_unet.projects.project import Project  # loads torch, which other files do not need

            layers.extend(project_layers(Project.open(project)))
            continue
        image = read_image(one, tolerant=True, indices=is_labels_name(one))
        if _holds_labels(one, image):
            large = open_large_labels(one) if one.is_dir() else None
            labels = read_labels(one) if large is None else large
            layers.append(labels_layer(image, labels, stem(one), str(one)))
        else:
            layers.extend(_images(one, image))
    return layers


def _images(path: Path, image: Image) -> list[LayerData]:
    """Return the layers of a file: of all images in it where they are few, the one that is meant last and shown."""
    series = list_series(path) if image.notes else []
    if not 1 < len(series) <= MAX_SERIES:
        return image_layers(image, stem(path), str(path))
    meant, _ = chosen(series, None, path.name)
    layers: list[LayerData] = []
    for one in sorted(series, key=lambda one: one is meant):
        name = f"{stem(path)} {one.name or one.number}"
        found = image_layers(read_image(path, series=one.number, tolerant=True), name, str(path), one.number)
        layers.extend((data, {**said, "visible": one is meant}, kind) for data, said, kind in found)
    return layers


def image_layers(image: Image, name: str, source: str = "", series: int | None = None) -> list[LayerData]:
    """Return an image as layers: one of colours, or one for each channel.

    Parameters
    ----------
    image : Image
        Any axes.
    name : str
        Name of the layer, or the beginning of the names of the channels' layers.
    source : str
        Where it comes from, kept in the metadata.
    series : int, optional
        Number of the image in a file that holds several, kept in the metadata, too.
    """
    if is_rgb(image):
        placement = _placement(image, image.axes, source, series, colours=True)
        return [(image.data, {"name": name, "rgb": True, **placement}, "image")]
    if "C" not in image.axes:
        return [(image.data, {"name": name, **_placement(image, image.axes, source, series)}, "image")]
    where = image.axes.index("C")
    axes = image.axes.replace("C", "")
    layers: list[LayerData] = []
    for channel in range(image.n_channels):
        data = image.data[(slice(None),) * where + (channel,)]
        options: dict[str, Any] = {"name": name}
        if image.n_channels > 1:
            own = image.channel_names[channel] if image.channel_names else f"channel {channel + 1}"
            colormap = CHANNEL_COLORMAPS[channel % len(CHANNEL_COLORMAPS)]
            options = {"name": f"{name} {own}", "colormap": colormap, "blending": "additive"}
        placement = _placement(image, axes, source, series)
        placement["metadata"]["napari_unet"]["channel"] = channel
        layers.append((data, {**options, **placement}, "image"))
    return layers


def labels_layer(image: Image, labels: Any, name: str, source: str = "") -> LayerData:
    """Return labels (integers, in the order of `image.label_axes`) as a layer placed as `image` is."""
    return labels, {"name": name, **_placement(image, image.label_axes, source)}, "labels"


def project_layers(project: Project) -> list[LayerData]:
    """Return what was worked on in a project, and its labels last; other channels of its image before them.

    The labels' ``metadata["napari_unet"]`` names the ``project``.
    """
    image, source = project.image, str(project.image_path or "")
    colours = image.is_colour and np.dtype(image.data.dtype).kind in "uf"
    own: dict[str, Any] = {"rgb": True} if colours else {}
    layers: list[LayerData] = []
    if project.image_path is not None and project.image_channel is not None:
        whole = read_image(project.image_path, series=project.image_series, tolerant=True)
        layers = image_layers(whole, stem(project.image_path), source, project.image_series)
        own = layers.pop(project.image_channel)[1] if project.image_channel < len(layers) else own
    placement = _placement(image, image.axes, source, project.image_series, colours=colours)
    placement["metadata"]["napari_unet"]["channel"] = project.image_channel
    layers.append((image.data, {**own, **placement, "name": image.name}, "image"))
    labels, placement = project.labels, _placement(image, image.axes, colours=colours)
    if "C" in image.axes and not colours:  # one slice as wide as all channels together, as `adapter.result_kwargs`
        axis, n = image.axes.index("C"), image.n_channels
        scale = list(placement.get("scale", [1.0] * len(image.axes)))
        translate = list(placement.get("translate", [0.0] * len(scale)))
        scale[axis], translate[axis] = n, (n - 1) / 2
        labels, placement["scale"], placement["translate"] = np.expand_dims(labels, axis), scale, translate
    placement["metadata"]["napari_unet"] = {"axes": image.label_axes, "project": str(project.path)}
    name = f"{image.name} {'objects' if project.corrections.instances else 'classes'}"
    return [*layers, (labels, {"name": name, **placement}, "labels")]


def as_project(path: Path) -> Path | None:
    """Return the folder of the project that a path names: the folder, or the `project.json` in it; None: it is none."""
    folder = path.parent if path.name == FILE else path
    return folder if is_project(folder) else None


def as_list(path: Paths) -> list[str | os.PathLike[str]]:
    """Return a path, or several, as a list."""
    return [path] if isinstance(path, str | Path) or hasattr(path, "__fspath__") else list(path)


def _is_supported(path: Path) -> bool:
    if as_project(path) is not None:
        return True
    return is_zarr(path) if path.is_dir() else path.is_file() and path.suffix.lower() in SUFFIXES


def _holds_labels(path: Path, image: Image) -> bool:
    if np.dtype(image.data.dtype).kind not in "bui" or image.n_channels > 1:
        return False
    return is_labels_name(path) or (path.is_dir() and is_label_zarr(path))


def _placement(
    image: Image, axes: str, source: str = "", series: int | None = None, *, colours: bool = False
) -> dict[str, Any]:
    """Return the scale, place, units, axis labels and metadata of a layer, in which colours are not an axis."""
    letters = axes.replace("C", "") if colours else axes
    metadata: dict[str, Any] = {"axes": axes, "source": source} if source else {"axes": axes}
    if series is not None:
        metadata["series"] = series
    if image.damage is not None:
        metadata["damage"] = image.damage
    if image.notes:
        metadata["notes"] = image.notes
    placement: dict[str, Any] = {"axis_labels": tuple(letters.lower()), "metadata": {"napari_unet": metadata}}
    if image.pixel_size is not None:
        known = [image.pixel_size.along(letter) if letter in "ZYX" else None for letter in letters]
        placement["scale"] = tuple(1.0 if size is None else size for size in known)
        placement["units"] = tuple("pixel" if size is None else "micrometer" for size in known)
    if image.placement is not None:
        scale, units = placement.get("scale", [1.0] * len(letters)), placement.get("units", ["pixel"] * len(letters))
        where = [image.placement.of(letter) if letter in "ZYX" else (1.0, 0.0, "") for letter in letters]
        physical = [unit == "micrometer" for unit in units]
        factors = [(micrometres(unit) or 1.0) if um else 1.0 for (_, _, unit), um in zip(where, physical, strict=True)]
        offsets = [offset * factor for (_, offset, _), factor in zip(where, factors, strict=True)]
        said = [s if um else each[0] for s, um, each in zip(scale, physical, where, strict=True)]
        if "units" in placement or any(s != 1 for s in said):
            placement["scale"] = tuple(said)
        if any(offsets):
            placement["translate"] = tuple(offsets)
    return placement
