"""Segment microscopy images with a U-Net, correct the result, and let the network learn from the corrections.

The public names are loaded when they are first used: importing this package loads neither torch nor Qt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_unet._version import __version__

if TYPE_CHECKING:
    from napari_unet.cluster.scripts import segment_on_cluster
    from napari_unet.evaluation.metrics import evaluate
    from napari_unet.exchange.export import export_model
    from napari_unet.exchange.importing import import_model
    from napari_unet.exchange.training_data import export_training_data
    from napari_unet.inference.in_memory import segment
    from napari_unet.learning.from_labels import finetune
    from napari_unet.learning.train import train
    from napari_unet.models.store import load_model, save_model
    from napari_unet.objects.contours import contours
    from napari_unet.objects.measurements import measure
    from napari_unet.projects.project import Project

_HOMES = {
    "Project": "napari_unet.projects.project",
    "contours": "napari_unet.objects.contours",
    "evaluate": "napari_unet.evaluation.metrics",
    "export_model": "napari_unet.exchange.export",
    "export_training_data": "napari_unet.exchange.training_data",
    "finetune": "napari_unet.learning.from_labels",
    "import_model": "napari_unet.exchange.importing",
    "load_model": "napari_unet.models.store",
    "measure": "napari_unet.objects.measurements",
    "save_model": "napari_unet.models.store",
    "segment": "napari_unet.inference.in_memory",
    "segment_on_cluster": "napari_unet.cluster.scripts",
    "train": "napari_unet.learning.train",
}

__all__ = [
    "Project",
    "__version__",
    "contours",
    "evaluate",
    "export_model",
    "export_training_data",
    "finetune",
    "import_model",
    "load_model",
    "measure",
    "save_model",
    "segment",
    "segment_on_cluster",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
