"""Where the pixels of an image layer lie: in the layer, in the viewer's world, and in labels (T, Z, Y, X)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.io import spill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image

Region = tuple[slice, slice, slice]
"""A part of one time point, slices along Z, Y and X."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerGeometry:
    """Converts between the pixels of an image layer, its labels layer, the viewer's world and canonical coordinates.

    Canonical coordinates are the indices (T, Z, Y, X) of labels; an axis that the image lacks has length one.

    Attributes
    ----------
    layer : napari.layers.Image
        Its scale, translation, ... are read at each call, for the user may change them.
    image : Image
        The same as the core sees it: its axes.
    """

    layer: Any
    image: Image

    # -- axes ------------------------------------------------------------------------------------------------------

    @property
    def letters(self) -> str:
        """Letters of the layer's dimensions. The channels of a colour image are no dimension of its layer.

        Where its data were replaced by such with other axes, the last are taken for what they were, and "?" stands for
        those that are new: the viewer goes on asking, and that the result fits no more is told when the user does.
        """
        letters, ndim = self.image.axes[:-1] if self.layer.rgb else self.image.axes, int(self.layer.ndim)
        return letters[-ndim:].rjust(ndim, "?")

    @property
    def channel_axis(self) -> int | None:
        """The layer's dimension that is the channel; None for colours, and where there is no channel."""
        return None if self.layer.rgb or "C" not in self.image.axes else self.image.axes.index("C")

    @property
    def label_letters(self) -> list[str]:
        """Letters of the dimensions of the labels layer, in which a channel has length one."""
        letters, axis = list(self.image.label_axes), self.channel_axis
        if axis is not None:
            letters.insert(axis, "C")
        return letters

    def displayed_axes(self, viewer: Any) -> list[int]:
        """Return which dimensions of the layer, not of the viewer, are displayed."""
        more = viewer.dims.ndim - self.layer.ndim  # dimensions that the viewer has before those of this layer
        return [axis - more for axis in viewer.dims.displayed if axis >= more]

    def displayed_letters(self, viewer: Any) -> set[str]:
        """Return the letters of the dimensions that are displayed."""
        return {self.letters[axis] for axis in self.displayed_axes(viewer)}

    # -- labels and the data of their layer ------------------------------------------------------------------------

    def empty_labels(self) -> Any:
        """Return zeros (int32) for the labels layer."""
        return self.layer_data(spill.zeros(self.image.label_shape, np.int32))

    def layer_data(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels, in the order of `image.label_axes`, as the data of the labels layer: a view."""
        axis = self.channel_axis
        return labels if axis is None else np.expand_dims(labels, axis)

    def labels_of(self, data: Any) -> Any:
        """Return the data of the labels layer as a writable view in the order of `image.label_axes`.

        Raises
        ------
        UNetError
            If they do not fit the image.
        """
        axis, image = self.channel_axis, self.image
        wanted = tuple(image.label_shape)
        if axis is not None:
            wanted = (*wanted[:axis], 1, *wanted[axis:])
        if tuple(data.shape) != wanted:
            raise UNetError(
                f"The labels have the shape {tuple(data.shape)}, but {image.name} needs {wanted}. "
                "Press Segment to make new ones."
            )
        return data if axis is None else data[(slice(None),) * axis + (0,)]

    def canonical_labels(self, data: Any) -> Any:
        """Return the data of the labels layer as a writable view with the axes (T, Z, Y, X); errors as `labels_of`."""
        return self.image.canonical_labels(self.labels_of(data))

    def layer_indices(
        self, frame: int, region: Region, where: Sequence[NDArray[np.intp]]
    ) -> tuple[NDArray[np.intp], ...]:
        """Return the indices of some pixels in the data of the labels layer, one array for each of its dimensions.

        Parameters
        ----------
        frame : int
            Time point.
        region : tuple of slice
            A part of it, (Z, Y, X).
        where : sequence of ndarray of int
            Indices within that part, along Z, Y and X.
        """
        indices = {letter: part.start + index for letter, part, index in zip("ZYX", region, where, strict=True)}
        indices |= {"T": np.full_like(where[0], frame), "C": np.zeros_like(where[0])}
        return tuple(indices[letter] for letter in self.label_letters)

    def part_as_layer(self, values: NDArray[Any], frame: int, region: Region) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return a part of the labels as data of a layer of their own, and the placement of that layer.

        Parameters
        ----------
        values : ndarray of int, axes (Z, Y, X)
        frame : int
            Time point.
        region : tuple of slice
            Which part, (Z, Y, X).
        """
        from napari.utils.transforms import Affine

        axis, letters = self.channel_axis, self.image.label_axes
        rest = [index for index, letter in enumerate("TZYX") if letter not in letters]
        data = values[None].transpose(["TZYX".index(letter) for letter in letters] + rest)
        data = self.layer_data(data.reshape(data.shape[: len(letters)]))
        first = dict(zip("TZYX", (frame, *(part.start for part in region)), strict=True))
        corner = [float(first[letter]) for letter in letters]
        if axis is not None:
            corner.insert(axis, 0.0)
        placement = self.placement()
        linear = Affine(scale=placement["scale"], rotate=placement["rotate"], shear=placement["shear"]).linear_matrix
        return data, placement | {"translate": placement["translate"] + linear @ np.array(corner)}

    def cells_as_layer(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Return one plane of cells (rows, columns) as data of a layer whose other dimensions have length one."""
        letters = self.letters
        ordered = cells if letters.index("Y") < letters.index("X") else cells.T
        return np.expand_dims(ordered, [axis for axis, letter in enumerate(letters) if letter not in "YX"])

    # -- placement -------------------------------------------------------------------------------------------------

    def placement(self) -> dict[str, Any]:
        """Return the placement with which a labels layer lies on the image, in its units.

        A channel axis that napari shows as a slider stays as an axis of length one, made as long as all channels
        together, so that the labels are seen in each of them.
        """
        layer, axis = self.layer, self.channel_axis
        placement: dict[str, Any] = {
            "scale": np.array(layer.scale, float),
            "translate": np.array(layer.translate, float),
            "rotate": layer.rotate,
            "shear": layer.shear,
            "affine": np.array(layer.affine.affine_matrix, float),  # not the object itself, which would be shared
            "units": layer.units,
            "axis_labels": layer.axis_labels,
        }
        if axis is not None:
            n = self.image.n_channels
            placement["translate"][axis] += placement["scale"][axis] * (n - 1) / 2
            placement["scale"][axis] *= n
        return placement

    def cells_placement(self, step: int) -> dict[str, Any]:
        """Return the placement of a layer that covers the image's planes with cells of `step` x `step` pixels.

        Its dimensions are those of the image layer. Along Y and X there is one cell for every `step` pixels; along the
        others there is one for all, so that the layer is seen in every plane.
        """
        layer, letters = self.layer, self.letters
        size = np.array([step if letter in "YX" else self.image.size(letter) for letter in letters], float)
        matrix = np.eye(len(letters) + 1)
        corner = np.array(layer.data_to_world([0] * len(letters)))
        for axis in range(len(letters)):
            one = np.eye(len(letters))[axis]
            matrix[:-1, axis] = (np.array(layer.data_to_world(one)) - corner) * size[axis]
        matrix[:-1, -1] = layer.data_to_world((size - 1) / 2)
        return {"affine": matrix, "units": layer.units, "axis_labels": layer.axis_labels}

    # -- the viewer ------------------------------------------------------------------------------------------------

    def to_pixels(self, point: Any) -> list[float]:
        """Return a point of the viewer's world in the layer's pixels, one number for each of its dimensions."""
        return [float(v) for v in np.atleast_1d(self.layer.world_to_data(np.asarray(point)[-self.layer.ndim :]))]

    def _named(self, point: Any) -> dict[str, float]:
        """Return a point of the viewer's world in the layer's pixels, by letter."""
        return dict(zip(self.letters, self.to_pixels(point), strict=True))

    def current_plane(self, viewer: Any) -> tuple[int, int]:
        """Return the time point and the slice (T, Z) that the viewer's sliders show."""
        pixel, sizes = self._named(viewer.dims.point), self.image.size
        frame, z = (int(np.clip(round(pixel.get(letter, 0)), 0, sizes(letter) - 1)) for letter in "TZ")
        return frame, z

    def middle_of_view(self, viewer: Any) -> tuple[float, float]:
        """Return the pixel (Y, X) that the camera points at."""
        point = np.asarray(viewer.dims.point, float)
        displayed = list(viewer.dims.displayed)
        point[displayed] = np.asarray(camera_of(viewer).center)[-len(displayed) :]
        pixel = self._named(point)
        return pixel["Y"], pixel["X"]

    def pixel_under_cursor(self, viewer: Any) -> tuple[int, int] | None:
        """Return the pixel (Y, X) that the mouse points at, or None where there is none."""
        pixel = self._named(viewer.cursor.position)
        y, x = round(pixel["Y"]), round(pixel["X"])
        return (y, x) if 0 <= y < self.image.size("Y") and 0 <= x < self.image.size("X") else None

    def move_view_to(self, viewer: Any, position: tuple[int, int, float, float]) -> None:
        """Move sliders and camera to a canonical position: time point, slice, and pixel (Y, X)."""
        wanted, layer = dict(zip("TZYX", position, strict=True)), self.layer
        now = self.to_pixels(viewer.dims.point)
        pixel = [wanted.get(letter, value) for letter, value in zip(self.letters, now, strict=True)]
        world = np.asarray(viewer.dims.point, float)
        world[-layer.ndim :] = layer.data_to_world(pixel)
        displayed = list(viewer.dims.displayed)
        sliders = [axis for axis in range(len(world)) if axis not in displayed]
        viewer.dims.set_point(sliders, world[sliders].tolist())
        camera = camera_of(viewer)
        center = list(camera.center)
        center[-len(displayed) :] = world[displayed].tolist()
        camera.center = tuple(center)


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer, which since napari 0.9 belongs to its scene."""
    return getattr(viewer, "scene", viewer).camera
