"""Make the figures of docs/learning.md: from a bundled sample, and from the stored result of `benchmark check`.

make figures, or python docs/make_learning_figures.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from _files import draw_all
from _panels import BLUE, GREEN, GREY, ORANGE, YELLOW, frame, outlines, show
from make_tutorial_figures import bright, sample
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from napari_unet import Project, segment
from napari_unet.axes import Image

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images" / "learning"
RESULT = ROOT / "benchmarks" / "results" / "check-cpu.json"

Z95 = 1.96
"""Standard deviations on either side that hold 95 %."""


def learned_from() -> plt.Figure:
    """Show which pixels count, after one correction and one reviewed region."""
    field = sample("nuclei_stack")[4][:200, :260]
    whole = segment(field, "nuclei", axes="YX", device="cpu").labels.astype(np.int32)
    y, x = np.nonzero(whole)
    wrong = int(whole[y, x][np.argmin((y - 50) ** 2 + (x - 70) ** 2)])  # the object that is nearest to a place
    predicted = whole.copy()
    predicted[:, 65:][whole[:, 65:] == wrong] = 0  # as if only its left part had been found
    project = Project(Image(field, "YX"), predicted.copy())
    reviewed = (slice(105, 200), slice(130, 260))
    project.corrections.review(0, slice(0, 1), *reviewed)
    project.labels[whole == wrong] = wrong
    picture, counts = np.clip(bright(field), 0, 1) ** 0.6, project.supervised
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.1))
    show(panels[0], picture, "predicted")
    outlines(panels[0], predicted, YELLOW)
    show(panels[1], picture, "corrected (orange), reviewed (blue)")
    outlines(panels[1], whole, YELLOW)
    outlines(panels[1], np.where(whole == wrong, wrong, 0), ORANGE)
    rows, columns = reviewed
    frame(panels[1], columns.start, rows.start, columns.stop - columns.start - 1, rows.stop - rows.start - 1, BLUE)
    panels[1].set(xlim=panels[0].get_xlim(), ylim=panels[0].get_ylim())
    share = round(100 * float(counts.mean()))
    show(panels[2], np.where(counts, picture, picture * 0.15), f"what counts: {share} % of the pixels")
    return figure


def rules() -> plt.Figure:
    """Draw what rules held back and let through, in the benchmark of decision 29."""
    stored = json.loads(RESULT.read_text())["reported on"]["rules"]
    named = {"always": "always use it", "never": "never use it", "decision 29": "the check, as it is"}
    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    axes.add_patch(Rectangle((0, 0), 10, 5, color=GREEN, alpha=0.35, lw=0))
    axes.annotate("the goal", (10, 5), (18, 11), color=GREEN, arrowprops={"arrowstyle": "-", "color": GREEN})
    for name, rule in stored.items():
        held, used = rule["better held back"]["share"], rule["worse by 3 points used"]["share"]
        point, color = (100 * held[0], 100 * used[0]), ORANGE if name == "decision 29" else GREY
        if name == "decision 29":
            spread = 100 * np.abs(np.array([held, used])[:, 1:] - np.array([held, used])[:, :1])
            axes.errorbar(*point, xerr=spread[:1].T, yerr=spread[1:].T, color=color, lw=1)
        axes.plot(*point, "o", color=color, ms=7, zorder=4 if color == ORANGE else 3, clip_on=False)
        if name in named:
            right = name == "never"
            axes.annotate(
                named[name],
                point,
                (-8 if right else 9, 8),
                textcoords="offset points",
                ha="right" if right else "left",
                color=color,
            )
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="better models that are held back, %")
    axes.set_ylabel("models worse by 3 points that are used, %")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def interval() -> plt.Figure:
    """Draw how far a share that is counted on n objects may be from the truth (Wilson's interval, 95 %)."""
    counts, share = np.geomspace(10, 2000, 200), 0.7
    middle = (share + Z95**2 / (2 * counts)) / (1 + Z95**2 / counts)
    half = Z95 / (1 + Z95**2 / counts) * np.sqrt(share * (1 - share) / counts + Z95**2 / (4 * counts**2))
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    axes.fill_between(counts, 100 * (middle - half), 100 * (middle + half), color=BLUE, alpha=0.25, lw=0)
    axes.axhline(100 * share, color=BLUE, lw=1.5)
    for at in (20, 200, 1000):
        low, high = (100 * np.interp(at, counts, middle + sign * half) for sign in (-1, 1))
        axes.plot([at, at], [low, high], color=ORANGE, lw=1.5)
        axes.text(at * 1.05, high + 1.5, f"{low:.0f} to {high:.0f} %", color=ORANGE)
    axes.set_xscale("log")
    axes.set(ylim=(30, 100), xlabel="objects that were compared", ylabel="true share may be, %")
    axes.set_title("70 % of the objects were found right", loc="left")
    axes.set_xticks([10, 20, 50, 100, 200, 500, 1000, 2000], [10, 20, 50, 100, 200, 500, 1000, 2000])
    axes.spines[["top", "right"]].set_visible(False)
    return figure


FIGURES = {figure.__name__: figure for figure in (learned_from, rules, interval)}

if __name__ == "__main__":
    draw_all(FIGURES, OUT)
