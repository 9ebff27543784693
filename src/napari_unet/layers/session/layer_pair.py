"""An image layer and its labels layer: where they lie, and what of them is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.layers.image import canvas
from napari_unet.layers.image.geometry import LayerGeometry
from napari_unet.objects.stitch import count_ids

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.session.edit_events import Plane


class LayerPair:
    """Says what two layers of a viewer show; it changes nothing.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Image
    image : Image
        The same as the core sees it.
    """

    def __init__(self, viewer: Any, layer: Any, image: Image) -> None:
        self.viewer, self.layer, self.image = viewer, layer, image
        self.labels_layer: Any = None

    @property
    def key(self) -> Hashable:
        """By what is kept that is about these labels; the layer may be taken up again by another session."""
        key: Hashable = self.labels_layer.unique_id
        return key

    @property
    def geometry(self) -> LayerGeometry:
        """Where the pixels of the image lie."""
        return LayerGeometry(self.layer, self.image)

    @property
    def labels(self) -> NDArray[Any]:
        """The layer's labels as they are now, a view with the axes (T, Z, Y, X).

        Raises
        ------
        UNetError
            If the layer's array was replaced by one that does not fit the image.
        """
        return np.asarray(self.geometry.canonical_labels(self.labels_layer.data))

    @property
    def own_labels(self) -> NDArray[Any]:
        """The same in the order of `image.label_axes`."""
        return np.asarray(self.geometry.labels_of(self.labels_layer.data))

    @property
    def plane(self) -> Plane:
        """Time point and slice in view."""
        return self.geometry.current_plane(self.viewer)

    @property
    def field(self) -> tuple[slice, slice]:
        """Pixels (Y, X) in view; none where the image lies beside the canvas."""
        return canvas.field_in_view(self.viewer, self.geometry)

    @property
    def middle(self) -> tuple[float, float]:
        """Pixel (Y, X) in the middle of the view."""
        return self.geometry.middle_of_view(self.viewer)

    def in_view(self, purpose: str) -> tuple[Plane, tuple[slice, slice], NDArray[np.bool_] | None]:
        """Return the plane (T, Z) and the field (Y, X) that are on the canvas, and which pixels of that; None: all.

        Raises
        ------
        UNetError
            If there are none; the sentence says what to do for the `purpose`.
        """
        field, where = canvas.part_on_canvas(self.viewer, self.geometry, purpose)
        return self.plane, field, where

    def alive(self) -> bool:
        """Whether both layers are still in the viewer."""
        layers = self.viewer.layers
        return self.layer in layers and self.labels_layer in layers

    def count(self, *, in_view: bool = False) -> int:
        """Return how many objects (or classes) there are now: in all, or in what is in view of the plane."""
        if not in_view:
            return count_ids(self.labels_layer.data)
        field = self.field
        where = canvas.pixels_in_view(self.viewer, self.geometry, field)
        labels = self.labels[(*self.plane, *field)]
        return count_ids(labels if where is None else labels[where])
