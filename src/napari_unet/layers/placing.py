"""Places layers on others, and adds layers that are shown but cannot be painted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def add_read_only_labels(
    viewer: Any,
    data: NDArray[Any],
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
    colormap = DirectLabelColormap(color_dict=colours)
    layer = viewer.add_labels(data, name=name, colormap=colormap, opacity=opacity, visible=visible, **placement)
    layer.editable = False
    viewer.layers.selection = selected
    return layer
