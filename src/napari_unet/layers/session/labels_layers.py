"""Adds labels layers to a viewer, places them on images, and does what napari has no call for."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet.layers.image.adapter import FOR_INFORMATION
from napari_unet.layers.session.object_colours import object_colours


def place_layer(layer: Any, placement: dict[str, Any]) -> None:
    """Give a layer a placement, see `LayerGeometry.placement`; what is so already is not set again."""
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


def add_labels(viewer: Any, data: Any, name: str, placement: dict[str, Any]) -> Any:
    """Add a labels layer to paint on, and return it."""
    # napari draws a layer that is seen three times while it is added, and again when it is given other colours, which
    # for a large image takes long.
    layer = viewer.add_labels(data, name=name, visible=False, colormap=object_colours(), **placement)
    layer.visible = True
    return layer


def add_read_only_labels(
    viewer: Any,
    data: Any,
    name: str,
    colours: dict[int | None, str],
    opacity: float,
    placement: dict[str, Any],
    *,
    visible: bool = True,
) -> Any:
    """Add a labels layer that cannot be painted on, and return it; the selected layer and its tool stay selected."""
    from napari.utils.colormaps import DirectLabelColormap

    selected = set(viewer.layers.selection)
    options = {"colormap": DirectLabelColormap(color_dict=colours), "metadata": FOR_INFORMATION} | placement
    layer = viewer.add_labels(data, name=name, opacity=opacity, visible=visible, **options)
    layer.editable = False
    viewer.layers.selection = selected
    return layer


def widen(layer: Any) -> None:
    """Give a labels layer a type that holds more ids, int32: the user made it a smaller one."""
    layer.data = np.asarray(layer.data).astype(np.int32)


def forget_undo(layer: Any) -> None:
    """Empty the undo history of a labels layer, in which the pixels are those before a new prediction.

    napari does so when a layer is made read-only; the tool in use is put back.
    """
    mode = layer.mode
    layer.editable = False
    layer.editable = True
    layer.mode = mode
