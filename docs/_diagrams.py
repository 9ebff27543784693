"""Figures of the tutorial that need no image: drawings of the network and of its parts."""

from __future__ import annotations

import numpy as np
import torch
from _panels import BLUE, GREEN, GREY, ORANGE, frame, grid
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from torch.nn import functional as F  # noqa: N812

from napari_unet.nets.geometry import output_size
from napari_unet.nets.spec import UNetSpec, unet2015


def up_convolution() -> plt.Figure:
    """Each value stamps a pattern of 2 x 2."""
    figure, panels = plt.subplots(1, 3, figsize=(7, 2.8), width_ratios=(0.7, 0.7, 1.2))
    values, stamp = np.array([[1, 2], [0, 3]]), np.array([[1, 2], [2, 0]])
    out = F.conv_transpose2d(torch.tensor(values[None, None]), torch.tensor(stamp[None, None]), stride=2)[0, 0].numpy()
    grid(panels[0], values, "2 × 2")
    grid(panels[1], stamp, "the stamp (learned)", cmap="Blues")
    grid(panels[2], out, "4 × 4")
    for (y, x), color in zip(np.ndindex(2, 2), (BLUE, ORANGE, GREEN, GREY), strict=True):
        frame(panels[0], x, y, 1, 1, color)
        frame(panels[2], 2 * x, 2 * y, 2, 2, color)
    return figure


def shapes(spec: UNetSpec, size: int) -> list[list[int]]:
    """Sizes along one axis: of each level on the way down, and on the way up again."""
    lost = 0 if spec.padding == "same" else 2
    rows = []
    for _ in range(spec.levels + 1):
        rows.append([size, size - lost, size - 2 * lost])
        size = rows[-1][-1] // 2
    for _ in range(spec.levels):
        start = rows[-1][-1] * 2
        rows.append([start, start - lost, start - 2 * lost])
    return rows


def the_u() -> plt.Figure:
    """Draw the network of 2015 as a U: boxes are maps, as high as they are wide in pixels."""
    spec = unet2015()
    rows = shapes(spec, 572)
    assert rows[-1][-1] == output_size(spec, 572)
    figure, axes = plt.subplots(figsize=(9, 5))
    levels = spec.levels
    for index, sizes in enumerate(rows):
        level = index if index <= levels else 2 * levels - index
        left, top, channels = 1.6 * index, -1.35 * level, spec.features * 2**level
        color = BLUE if index <= levels else GREEN
        for step, size in enumerate(sizes):
            height, width = size / 572, 0.1 + 0.06 * level
            x = left + step * 0.42
            axes.add_patch(
                Rectangle((x, top - height), width, height, fc=color, ec="white", alpha=0.35 + 0.3 * step / 2)
            )
            axes.text(x + width / 2, top - height - 0.05, str(size), rotation=90, ha="center", va="top", fontsize=8)
        axes.text(left + 0.45, top + 0.06, f"{channels} maps", ha="center", fontsize=9)
        if index < levels:
            down = {"arrowstyle": "-|>", "color": ORANGE, "lw": 2}
            axes.annotate("", (left + 1.45, top - 1.2), (left + 1.1, top - 0.75), arrowprops=down)
            target = 1.6 * (2 * levels - index) - 0.08
            y = top - 0.12
            axes.annotate("", (target, y), (left + 1.2, y), arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.5})
        elif index < 2 * levels:
            up = {"arrowstyle": "-|>", "color": GREEN, "lw": 2}
            axes.annotate("", (left + 1.5, top + 0.6), (left + 1.15, top + 0.1), arrowprops=up)
    middle = 1.6 * levels + 0.5
    axes.text(middle, -0.04, "skip connection: copy, crop, join", ha="center", color="#555a63", fontsize=10)
    axes.text(0.55, -3.2, "pooling:\nhalf the size", color=ORANGE, fontsize=10)
    axes.text(1.6 * 2 * levels - 0.9, -3.2, "up-convolution:\ntwice the size", color=GREEN, fontsize=10)
    axes.set(xlim=(-0.2, 1.6 * 2 * levels + 1.4), ylim=(-6.1, 0.4))
    axes.axis("off")
    return figure


def padding() -> plt.Figure:
    """Show what a 3 x 3 window can stand on, with and without padding."""
    figure, panels = plt.subplots(1, 2, figsize=(7.5, 3.6))
    for axes, ring, title in zip(
        panels, (0, 1), ("valid: 6 × 6 in, 4 × 4 out", "same: 6 × 6 in, 6 × 6 out"), strict=True
    ):
        axes.set(xlim=(-1.7, 6.7), ylim=(6.7, -1.7), aspect="equal", title=title)
        axes.axis("off")
        for y, x in np.ndindex(6 + 2 * ring, 6 + 2 * ring):
            y, x = y - ring, x - ring
            inside = 0 <= y < 6 and 0 <= x < 6
            answered = inside and (ring or (0 < y < 5 and 0 < x < 5))
            color = "#bcd3ec" if answered else "#e8eaee" if inside else "white"
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=color, ec=GREY, lw=0.7))
            if not inside:
                axes.text(x, y, "0", ha="center", va="center", color=ORANGE, fontsize=12)
        corner = -ring
        frame(axes, corner, corner, 3, 3, ORANGE)
        axes.plot(corner + 1, corner + 1, "o", color=BLUE, ms=9)
    return figure
