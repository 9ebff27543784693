"""What napari's events of a labels layer say was edited: parts of the labels, or whole planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_unet.layers.image.geometry import LayerGeometry

Plane = tuple[int, int]
"""Time point and slice."""


def edited_parts(event: Any, viewer: Any, geometry: LayerGeometry) -> list[tuple[slice, slice, slice, slice]]:
    """Return the parts (T, Z, Y, X) of the labels that an event says were painted on.

    Parameters
    ----------
    event : napari event
        "paint", which has what was done, or "labels_update", which has what is drawn anew; others say nothing.
    viewer : napari.Viewer
    geometry : LayerGeometry
        Of the image whose labels they are.
    """
    letters = geometry.label_letters
    found: list[dict[str, slice]] = []
    if event.type == "paint":
        for change in event.value:
            parts = _changed_along(change, geometry).items()
            found.append({letter: part if isinstance(part, slice) else _range(part) for letter, part in parts})
    elif event.type == "labels_update":
        shown = [letters[index - (viewer.dims.ndim - len(letters))] for index in viewer.dims.displayed]
        sizes = zip(event.offset, event.data.shape, strict=False)
        found.append(dict(zip(shown, (slice(first, first + n) for first, n in sizes), strict=True)))
        frame, z = geometry.current_plane(viewer)
        found[0] = {"T": slice(frame, frame + 1), "Z": slice(z, z + 1)} | found[0]
    return [(box.get("T", slice(0, 1)), box.get("Z", slice(0, 1)), box["Y"], box["X"]) for box in found]


def edited_planes(edit: Any, geometry: LayerGeometry) -> set[Plane] | None:
    """Return the planes (T, Z) that an item of a labels layer's undo history has changed; None: it cannot be told.

    Parameters
    ----------
    edit : sequence
        As napari's `paint` event has it: for each change the part of the array, or the indices along each axis.
    geometry : LayerGeometry
        Of the image whose labels they are.
    """
    planes: set[Plane] = set()
    try:
        for change in edit:
            found = _changed_along(change, geometry)
            spans = [
                range(*part.indices(geometry.image.size(letter)))
                if isinstance(part, slice)
                else np.unique(part).tolist()
                for letter, part in ((letter, found.get(letter, slice(0, 1))) for letter in "TZ")
            ]
            planes.update((int(t), int(z)) for t in spans[0] for z in spans[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return planes


def _changed_along(change: Any, geometry: LayerGeometry) -> dict[str, Any]:
    """Return the part, or the indices, that were changed along each axis of `image.label_axes`."""
    where, axis = list(getattr(change, "slice_key", None) or change[0]), geometry.channel_axis
    if axis is not None:
        where.pop(axis)
    return dict(zip(geometry.image.label_axes, where, strict=True))


def _range(index: Any) -> slice:
    """Return the part of an axis that some indices lie in."""
    indices = np.atleast_1d(index)
    return slice(int(indices.min()), int(indices.max()) + 1) if indices.size else slice(0, 0)
