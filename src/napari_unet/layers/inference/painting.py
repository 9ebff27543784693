"""Where there is no model yet that could segment: a layer to paint into, and what to paint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.models.model import Model

IMAGE_PER_BRUSH = 50
"""The brush, at first, is so many times smaller than the image."""


def ready_to_paint(session: LayerSession) -> None:
    """Select the labels of a session, with the brush in hand where nothing is painted yet."""
    layer = session.labels_layer
    session.viewer.layers.selection.active = layer
    layer.visible = True
    if session.summary.anything:
        return
    layer.brush_size = max(1, round(min(session.image.space[-2:]) / IMAGE_PER_BRUSH))
    layer.selected_label = 1
    layer.mode = "paint"


def carry_over(before: LayerSession, known: Model, session: LayerSession, model: Model) -> str:
    """Paint into an empty session what was corrected or reviewed in another one of the same image, and hide that.

    Only where both models find the same things (objects, or the same classes), and nothing that only the other one
    said. Reviewed background becomes reviewed again, and what was erased stays so. Returns in words what was carried
    over, "" if nothing was.
    """
    before.labels_layer.visible = False  # it would lie under what is painted
    objects = session.corrections.instances
    alike = objects or known.info.classes[1:] == model.info.classes[1:]  # the first one is background
    if not (before.alive() and before.corrections.instances == objects and alike):
        return ""
    old, new = before.corrections, session.corrections
    before.rescan()
    for plane in old.changed_planes():
        labels, protected = before.labels[plane], old.protected(before.labels, plane)
        erased = protected & (labels == 0) & ~old.reviewed[plane]
        new.prediction[plane] = np.where(erased, old.prediction[plane], 0)  # there it differs from what is painted
        new.seen[plane] = erased
        session.labels[plane] = np.where(protected, labels, 0)
        new.reviewed[plane] = old.reviewed[plane]
        session.rescan_slices(plane[0], slice(plane[1], plane[1] + 1))
    session.labels_layer.refresh()
    return session.in_words(session.count()) if session.summary.anything else ""


def paint_next(model: Model) -> str:
    """Return what is to be painted for an untrained model, in words."""
    if not model.info.finds_objects:
        names = ", ".join(f"{label} for {name}" for label, name in enumerate(model.info.classes) if label)
        return f"Paint some strokes of each class (label {names}), then press Learn."
    whole = " in all its slices" if model.info.spec.ndim == 3 else ""
    return f"Paint a few whole objects{whole}, each with its own label (M: next label), then press Learn."
