"""napari's image layers <-> the core's images."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet import limits
from napari_unet.axes import Image, PixelSize, Placement, guess_axes, normalize_axes
from napari_unet.errors import ImageError, UNetError
from napari_unet.io import spill
from napari_unet.layers.revisions import revision_of
from napari_unet.layers.writer import placement_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

METADATA_KEY = "napari_unet"


def is_image_layer(layer: Any) -> bool:
    """Whether a napari layer is an image (and not labels, shapes, ...)."""
    from napari.layers import Image as ImageLayer

    return isinstance(layer, ImageLayer)


def level_zero(layer: Any) -> Any:
    """Return the full-resolution array of an image layer."""
    return layer.data[0] if layer.multiscale else layer.data


def layer_axes(layer: Any) -> str:
    """Return the likely axes of an image layer: what its reader said, else its axis labels, else a guess."""
    shape = tuple(level_zero(layer).shape)
    known = _told(layer).get("axes") or _said_by_file(layer, shape)
    named = "".join(str(label) for label in layer.axis_labels) + ("c" if layer.rgb else "")
    for candidate in (known, named):
        if candidate:
            try:
                return normalize_axes(candidate, shape)
            except ImageError:
                continue
    try:
        return guess_axes(shape, rgb=layer.rgb)
    except ImageError as error:
        raise ImageError(f"{error} Right-click {layer.name!r} in the layer list and choose Split Stack.") from error


def _told(layer: Any) -> dict[str, Any]:
    """Return what the reader said of a layer; nothing, if it was another's."""
    told: dict[str, Any] = layer.metadata.get(METADATA_KEY, {}) if isinstance(layer.metadata, dict) else {}
    return told


def _said_by_file(layer: Any, shape: tuple[int, ...]) -> str | None:
    """Return the axes that its file says of a layer that another's reader has opened; None where that is not told.

    It is told by a file that holds one image of that very shape. A file is asked once.
    """
    path = layer.source.path
    return _axes_in_file(str(path), shape) if path is not None and len(shape) > 2 else None


@lru_cache(maxsize=256)
def _axes_in_file(path: str, shape: tuple[int, ...]) -> str | None:
    from napari_unet.io.readers import said_axes_of

    try:
        return said_axes_of(path, shape)
    except (UNetError, OSError):
        return None


def source_of(layer: Any) -> Path | None:
    """Return the file that a layer was read from, by whatever reader; None: it was made otherwise."""
    path = _told(layer).get("source") or layer.source.path
    return Path(path) if path else None


def channel_of(layer: Any) -> int | None:
    """Return which channel of its file a layer is; None: all of it, or not known."""
    channel: int | None = _told(layer).get("channel")
    return channel


def project_of(layer: Any) -> Path | None:
    """Return the project that a layer was read from as its labels."""
    path = _told(layer).get("project")
    return Path(path) if path else None


def axes_choices(layer: Any) -> list[str]:
    """Return the axes that an image layer may have, the likely ones first."""
    by_number = {
        2: ["YX"],
        3: ["ZYX", "TYX", "CYX"],
        4: ["TZYX", "CZYX", "ZCYX", "TCYX"],
        5: ["TCZYX", "TZCYX", "CTZYX"],
    }
    likely = layer_axes(layer)
    others = [axes + ("C" if layer.rgb else "") for axes in by_number.get(layer.ndim, [])]
    return [likely, *(axes for axes in others if axes != likely and len(set(axes)) == len(axes))]


def _lengths(layer: Any, letters: str) -> dict[str, float]:
    """Return the scale of a layer's axes in micrometres, 0 where the unit is no length."""
    sizes: dict[str, float] = {}
    for letter, unit, scale in zip(letters, layer.units, layer.scale, strict=True):
        try:
            factor = float((1 * unit).to("micrometer").magnitude)
        except Exception:  # noqa: BLE001 - pint raises errors of its own for units that are no length
            factor = 0.0
        sizes[letter] = factor * float(scale)
    return sizes


def layer_pixel_size(layer: Any, axes: str) -> PixelSize | None:
    """Return the pixel size that a layer's scale and units say, or None where the unit is no length."""
    sizes = _lengths(layer, axes.replace("C", "") if layer.rgb else axes)
    found = {letter: size for letter, size in sizes.items() if limits.within(size, limits.PIXEL_SIZE)}
    return PixelSize(y=found["Y"], x=found["X"], z=found.get("Z")) if {"Y", "X"} <= found.keys() else None


def notes_of(layer: Any, axes: str | None) -> tuple[str, ...]:
    """Return what its user should know of how an image layer was read, and of a scale that is not believed."""
    told = _told(layer).get("notes")
    notes = tuple(str(note) for note in told) if isinstance(told, list | tuple) else ()
    space = (axes or "").replace("C", "") if layer.rgb else axes or ""
    for letter, size in _lengths(layer, space).items() if axes else ():
        if letter in "ZYX" and size and not limits.within(size, limits.PIXEL_SIZE):
            allowed = limits.in_words(limits.PIXEL_SIZE)
            return (*notes, f"Its scale of {size:.3g} µm along {letter} is not used: it is not from {allowed}.")
    return notes


def layer_image(layer: Any, axes: str | None = None) -> Image:
    """Return the core's image of a napari image layer.

    Raises
    ------
    ImageError
        If the layer is no image, or one that cannot be segmented.
    """
    if not is_image_layer(layer):
        hint = " If it holds an image, right-click it in the layer list and choose Convert to Image."
        raise ImageError(
            f"{layer.name!r} is no image layer. Open an image and select it."
            + (hint if layer.__class__.__name__ == "Labels" else "")
        )
    data = level_zero(layer)
    axes = axes or layer_axes(layer)
    if layer.rgb and data.shape[-1] == 4:
        data = data[..., :3]  # what is transparent is no colour
    return Image(
        data,
        axes,
        layer_pixel_size(layer, axes),
        name=str(layer.name),
        damage=_told(layer).get("damage"),
        notes=notes_of(layer, axes),
        placement=_layer_placement(layer, axes),
        source=None if isinstance(data, np.ndarray) else source_of(layer),
        identity=(layer.unique_id, revision_of(layer)),
    )


def _layer_placement(layer: Any, axes: str) -> Placement | None:
    """Return where a layer lies, for what is written of it; None: at the origin."""
    if not np.any(layer.translate):
        return None
    letters = axes.replace("C", "") if layer.rgb else axes
    return placement_of(letters, {"scale": layer.scale, "translate": layer.translate, "units": layer.units})


def result_kwargs(layer: Any, image: Image) -> dict[str, Any]:
    """Return the placement that a labels layer needs to lie on its image, in its units.

    A channel axis that napari shows as a slider stays as an axis of length one, made as long as all channels together,
    so that the labels are seen in each of them.
    """
    kwargs: dict[str, Any] = {
        "scale": np.array(layer.scale, float),
        "translate": np.array(layer.translate, float),
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": np.array(layer.affine.affine_matrix, float),  # not the object itself, which would be shared
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }
    axis = channel_axis(layer, image)
    if axis is not None:
        n = image.n_channels
        kwargs["translate"][axis] += kwargs["scale"][axis] * (n - 1) / 2
        kwargs["scale"][axis] *= n
    return kwargs


def place(layer: Any, placement: dict[str, Any]) -> None:
    """Place a layer as `result_kwargs` says, or another placement; what is so already is left alone."""
    for name, value in placement.items():
        now = getattr(layer, name)
        if name == "affine":
            matrix = np.array(getattr(value, "affine_matrix", value), float)
            if not np.array_equal(now.affine_matrix, matrix):
                layer.affine = matrix
        elif name in ("units", "axis_labels"):
            if tuple(now) != tuple(value):
                setattr(layer, name, value)
        elif not np.array_equal(now, value):
            setattr(layer, name, value)


def channel_axis(layer: Any, image: Image) -> int | None:
    """Return the layer's dimension that is the channel, if napari shows it as one (not for colours)."""
    return None if layer.rgb or "C" not in image.axes else image.axes.index("C")


def empty_labels(layer: Any, image: Image) -> Any:
    """Return zeros (int32) for the labels layer of an image layer."""
    return as_layer_data(spill.zeros(image.label_shape, np.int32), layer, image)


def as_layer_data(labels: NDArray[Any], layer: Any, image: Image) -> NDArray[Any]:
    """Return labels, in the order of `image.label_axes`, as the data of the labels layer of an image layer: a view."""
    axis = channel_axis(layer, image)
    return labels if axis is None else np.expand_dims(labels, axis)


def part_of_labels(
    values: NDArray[Any], frame: int, region: tuple[slice, slice, slice], layer: Any, image: Image
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return labels (Z, Y, X) of a part of an image as data of a layer of their own, and where that has to lie.

    Parameters
    ----------
    values : ndarray of int, axes (Z, Y, X)
    frame : int
        Time point.
    region : tuple of slice
        Which part, (Z, Y, X).
    layer, image
        The image layer, and the same as the core sees it.
    """
    from napari.utils.transforms import Affine

    axis, letters = channel_axis(layer, image), image.label_axes
    rest = [index for index, letter in enumerate("TZYX") if letter not in letters]
    data = values[None].transpose(["TZYX".index(letter) for letter in letters] + rest)
    data = data.reshape(data.shape[: len(letters)])
    corner = [float(dict(zip("TZYX", (frame, *(part.start for part in region)), strict=True))[n]) for n in letters]
    if axis is not None:
        data, corner = np.expand_dims(data, axis), [*corner[:axis], 0.0, *corner[axis:]]
    placement = result_kwargs(layer, image)
    linear = Affine(scale=placement["scale"], rotate=placement["rotate"], shear=placement["shear"]).linear_matrix
    return data, placement | {"translate": placement["translate"] + linear @ np.array(corner)}


def add_to_look_at(
    viewer: Any,
    data: NDArray[Any],
    name: str,
    colours: dict[int | None, str],
    opacity: float,
    placement: dict[str, Any],
    *,
    visible: bool = True,
) -> Any:
    """Add a labels layer that cannot be painted on, and return it; what was selected, the brush with it, stays so."""
    from napari.utils.colormaps import DirectLabelColormap

    selected = set(viewer.layers.selection)
    colormap = DirectLabelColormap(color_dict=colours)
    layer = viewer.add_labels(data, name=name, colormap=colormap, opacity=opacity, visible=visible, **placement)
    layer.editable = False
    viewer.layers.selection = selected
    return layer


def canonical_view(data: Any, layer: Any, image: Image) -> Any:
    """Return labels of a layer of `image` as a writable view with the axes (T, Z, Y, X); see `own_view` for errors."""
    return image.canonical_labels(own_view(data, layer, image))


def own_view(data: Any, layer: Any, image: Image) -> Any:
    """Return labels of a layer of `image` as a writable view in the order of `image.label_axes`.

    Raises
    ------
    UNetError
        If they do not fit the image.
    """
    axis = channel_axis(layer, image)
    wanted = empty_shape = tuple(image.label_shape)
    if axis is not None:
        empty_shape = (*wanted[:axis], 1, *wanted[axis:])
    if tuple(data.shape) != empty_shape:
        raise UNetError(
            f"The labels have the shape {tuple(data.shape)}, but {image.name} needs {empty_shape}. "
            "Press Segment to make new ones."
        )
    return data if axis is None else data[(slice(None),) * axis + (0,)]


def layer_indices(
    frame: int, region: tuple[slice, slice, slice], where: Sequence[NDArray[np.intp]], layer: Any, image: Image
) -> tuple[NDArray[np.intp], ...]:
    """Return the places of some pixels in the data of a labels layer, one array for each of its axes.

    Parameters
    ----------
    frame : int
        Time point.
    region : tuple of slice
        A part of it, (Z, Y, X).
    where : sequence of ndarray of int
        Places within that part, along Z, Y and X.
    layer, image
        The labels are those of.
    """
    places = {letter: part.start + index for letter, part, index in zip("ZYX", region, where, strict=True)}
    places["T"] = np.full_like(where[0], frame)
    indices = [places[letter] for letter in image.label_axes]
    axis = channel_axis(layer, image)
    if axis is not None:
        indices.insert(axis, np.zeros_like(where[0]))
    return tuple(indices)


def painted_parts(event: Any, viewer: Any, layer: Any, image: Image) -> list[tuple[slice, slice, slice, slice]]:
    """Return the parts (T, Z, Y, X) of the labels of `layer`, an image, that an event says were painted on.

    Of napari's events of a labels layer: "paint", with what was done, and "labels_update", with what is drawn anew.
    """
    letters, axis = list(image.label_axes), channel_axis(layer, image)
    if axis is not None:
        letters.insert(axis, "C")
    found: list[dict[str, slice]] = []
    if event.type == "paint":
        for change in event.value:
            parts = _changed_along(change, layer, image).items()
            found.append({letter: part if isinstance(part, slice) else _range(part) for letter, part in parts})
    elif event.type == "labels_update":
        shown = [letters[index - (viewer.dims.ndim - len(letters))] for index in viewer.dims.displayed]
        sizes = zip(event.offset, event.data.shape, strict=False)
        found.append(dict(zip(shown, (slice(first, first + n) for first, n in sizes), strict=True)))
        frame, z = current_place(viewer, layer, image)
        found[0] = {"T": slice(frame, frame + 1), "Z": slice(z, z + 1)} | found[0]
    return [(box.get("T", slice(0, 1)), box.get("Z", slice(0, 1)), box["Y"], box["X"]) for box in found]


def _changed_along(change: Any, layer: Any, image: Image) -> dict[str, Any]:
    """Return the part, or the indices, that were changed along each axis of `image.label_axes`."""
    where, axis = list(getattr(change, "slice_key", None) or change[0]), channel_axis(layer, image)
    if axis is not None:
        where.pop(axis)
    return dict(zip(image.label_axes, where, strict=True))


def _range(index: Any) -> slice:
    """Return the part of an axis that some indices lie in."""
    indices = np.atleast_1d(index)
    return slice(int(indices.min()), int(indices.max()) + 1) if indices.size else slice(0, 0)


def current_place(viewer: Any, layer: Any, image: Image) -> tuple[int, int]:
    """Return the time point and slice that the viewer's sliders show."""
    step = in_pixels(layer, viewer.dims.point)
    place = {"T": 0, "Z": 0}
    for letter, value in zip(spatial_letters(layer, image), step, strict=True):
        if letter in place:
            place[letter] = int(np.clip(round(value), 0, image.size(letter) - 1))
    return place["T"], place["Z"]


def planes_of_edit(edit: Any, layer: Any, image: Image) -> set[tuple[int, int]] | None:
    """Return the planes (T, Z) that an item of a labels layer's undo history has changed; None: it cannot be told.

    Parameters
    ----------
    edit : sequence
        As napari's `paint` event has it: for each change the part of the array, or the indices along each axis.
    layer, image
        The labels are those of.
    """
    planes: set[tuple[int, int]] = set()
    try:
        for change in edit:
            found = _changed_along(change, layer, image)
            spans = [
                range(*part.indices(image.size(letter))) if isinstance(part, slice) else np.unique(part).tolist()
                for letter, part in ((letter, found.get(letter, slice(0, 1))) for letter in "TZ")
            ]
            planes.update((int(t), int(z)) for t in spans[0] for z in spans[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return planes


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which since napari 0.9 belongs to its scene."""
    return getattr(viewer, "scene", viewer).camera


def middle_of_view(viewer: Any, layer: Any, image: Image) -> tuple[float, float]:
    """Return the (Y, X) pixel that the camera looks at."""
    point = np.asarray(viewer.dims.point, float)
    displayed = list(viewer.dims.displayed)
    point[displayed] = np.asarray(camera_of(viewer).center)[-len(displayed) :]
    pixel = dict(zip(spatial_letters(layer, image), in_pixels(layer, point), strict=True))
    return pixel["Y"], pixel["X"]


def pixel_under_cursor(viewer: Any, layer: Any, image: Image) -> tuple[int, int] | None:
    """Return the (Y, X) pixel that the mouse points at, or None where there is none."""
    pixel = dict(zip(spatial_letters(layer, image), in_pixels(layer, viewer.cursor.position), strict=True))
    y, x = round(pixel["Y"]), round(pixel["X"])
    return (y, x) if 0 <= y < image.size("Y") and 0 <= x < image.size("X") else None


def look_at(viewer: Any, layer: Any, image: Image, place: tuple[int, int, float, float]) -> None:
    """Move sliders and camera to a place of an image: time point, slice, and (Y, X) pixel."""
    wanted = dict(zip("TZYX", place, strict=True))
    letters = spatial_letters(layer, image)
    pixel = [wanted.get(a, now) for a, now in zip(letters, in_pixels(layer, viewer.dims.point), strict=True)]
    world = np.asarray(viewer.dims.point, float)
    world[-layer.ndim :] = layer.data_to_world(pixel)
    displayed = list(viewer.dims.displayed)
    sliders = [axis for axis in range(len(world)) if axis not in displayed]
    viewer.dims.set_point(sliders, world[sliders].tolist())
    camera = camera_of(viewer)
    center = list(camera.center)
    center[-len(displayed) :] = world[displayed].tolist()
    camera.center = tuple(center)


def coarse_placement(layer: Any, image: Image, step: int) -> dict[str, Any]:
    """Return the placement of a layer that covers an image's planes with cells of `step` x `step` pixels.

    Its axes are those of the image layer. Along Y and X there is one cell for every `step` pixels; along the others
    there is one for all, so that the layer is seen in every plane.
    """
    letters = spatial_letters(layer, image)
    size = np.array([step if letter in "YX" else image.size(letter) for letter in letters], float)
    matrix = np.eye(len(letters) + 1)
    corner = np.array(layer.data_to_world([0] * len(letters)))
    for axis in range(len(letters)):
        one = np.eye(len(letters))[axis]
        matrix[:-1, axis] = (np.array(layer.data_to_world(one)) - corner) * size[axis]
    matrix[:-1, -1] = layer.data_to_world((size - 1) / 2)
    return {"affine": matrix, "units": layer.units, "axis_labels": layer.axis_labels}


def as_cells(plane: NDArray[Any], layer: Any, image: Image) -> NDArray[Any]:
    """Return one plane (Y, X) as the data of a layer with the axes of an image layer; the others have length one."""
    letters = spatial_letters(layer, image)
    ordered = plane if letters.index("Y") < letters.index("X") else plane.T
    return np.expand_dims(ordered, [axis for axis, letter in enumerate(letters) if letter not in "YX"])


def spatial_letters(layer: Any, image: Image) -> str:
    """Return the letters of the axes of an image layer, for which colours are none."""
    return image.axes[:-1] if layer.rgb else image.axes


def in_pixels(layer: Any, point: Any) -> Sequence[float]:
    """Return a point of the viewer's world in the layer's own pixels."""
    return [float(v) for v in np.atleast_1d(layer.world_to_data(np.asarray(point)[-layer.ndim :]))]
