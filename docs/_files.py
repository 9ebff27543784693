"""How figures become files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib import pyplot as plt
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def draw_all(figures: Mapping[str, Callable[[], plt.Figure]], folder: Path) -> None:
    """Draw figures, and write each to a PNG file of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("agg")
    plt.rcParams.update(
        {"font.size": 10, "axes.titlesize": 10, "savefig.dpi": 100, "figure.constrained_layout.use": True}
    )
    for name, draw in figures.items():
        figure = draw()
        canvas = io.BytesIO()
        figure.savefig(canvas, facecolor="white")
        plt.close(figure)
        # A palette makes the files a third as large, and nothing to be seen.
        Image.open(canvas).convert("RGB").quantize(200).save(folder / f"{name}.png", optimize=True)
        print(folder / f"{name}.png")
