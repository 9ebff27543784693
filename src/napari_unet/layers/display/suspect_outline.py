"""A line around the object that is looked at, which lies in a small layer of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_unet.layers.display.drawn_layer import DrawnLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.session.session import LayerSession

LINE, EDGE = "#fff275", "#101010"
"""Colours of the line (1), and of the edges on both sides of it (2): one of them shows on any image."""


class SuspectOutline(DrawnLayer):
    """Draws the line, moves it, and takes it away.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    NAME = "suspect"

    def show(self, session: LayerSession, frame: int, region: Region, mask: NDArray[np.bool_], width: int) -> None:
        """Draw a line around some pixels.

        Parameters
        ----------
        session : LayerSession
            Of the image.
        frame : int
            Time point.
        region : tuple of slice
            Where the mask lies, (Z, Y, X): one slice.
        mask : ndarray of bool, axes (Y, X)
            The object; there has to be room around it for the line, as far as the image goes.
        width : int
            Pixels of the line.
        """
        values = ring(mask, width)[None]
        data, placement = session.geometry.part_as_layer(values, frame, region)
        layer = self.layer
        if layer is not None and layer.ndim == data.ndim:
            layer.visible = False  # napari would draw it at each of these steps
            layer.data = data
            self.place(placement)
            layer.visible = True
            layer.editable = False
        else:
            self.add(data, self.NAME, {1: LINE, 2: EDGE}, placement)

    def hide(self) -> None:
        """Show no line; the layer stays, for adding one takes napari a fifth of a second."""
        if self.layer is not None:
            self.layer.visible = False


def ring(mask: NDArray[np.bool_], width: int) -> NDArray[np.uint8]:
    """Return a line (1) with an edge on either side (2) around a mask (Y, X); the mask's own pixels stay free."""
    values = np.zeros(mask.shape, np.uint8)
    edge = max(1, width // 2)
    away = ndimage.distance_transform_edt(~mask)
    values[(away > 0) & (away <= 2 * edge + width)] = 2
    values[(away > edge) & (away <= edge + width)] = 1
    return values
