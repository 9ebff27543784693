"""Panels of the tutorial's figures: images, small arrays with their numbers, frames and outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY = "#2a6fbb", "#d9662b", "#2e9e6b", "#8a8f98"
YELLOW = "#f2c14e"


def show(axes: Axes, image: np.ndarray, title: str = "", **options: Any) -> None:
    """Draw an image without ticks."""
    axes.imshow(image, **({"cmap": "gray", "interpolation": "nearest"} | options))
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def grid(axes: Axes, values: np.ndarray, title: str = "", size: float = 13, **options: Any) -> None:
    """Draw a small array as squares with their numbers."""
    values = np.asarray(values)
    most = max(float(np.abs(values).max()), 1.0)
    show(axes, values, title, **({"cmap": "Greys", "vmin": 0, "vmax": 1.8 * most} | options))
    for (y, x), value in np.ndenumerate(values):
        axes.text(x, y, f"{value:g}", ha="center", va="center", fontsize=size)
    for edge in range(max(values.shape) + 1):
        axes.axhline(edge - 0.5, color="white", lw=1)
        axes.axvline(edge - 0.5, color="white", lw=1)


def frame(axes: Axes, x: float, y: float, width: float, height: float, color: str, **options: Any) -> None:
    """Draw a rectangle around pixels x..x+width, y..y+height."""
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, ec=color, lw=2.5, zorder=5, **options))


def outlines(axes: Axes, labels: np.ndarray, color: str) -> None:
    """Draw a line around each object."""
    for label in np.unique(labels[labels > 0]):
        axes.contour(labels == label, [0.5], colors=color, linewidths=1.3)
