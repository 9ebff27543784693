"""Draws the figures of `benchmarks.annotator`: scores against seconds of annotation and against corrected objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "program": "this program",
    "dense": "fields drawn by hand",
    "scratch": "untrained network",
    "forest": "random forest",
}


def draw_curves(figures: dict[str, Any], path: Path) -> None:
    """Write a picture of the curves (PNG). Needs matplotlib.

    Parameters
    ----------
    figures : dict
        From `benchmarks.annotator.run`.
    path : Path
        Where to; overwritten.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(10, 4.3), layout="constrained")
    panels = picture.subplots(1, 2, sharey=True)
    horizontal = (("seconds", "seconds of annotation"), ("objects", "corrections"))
    for panel, (key, title) in zip(panels, horizontal, strict=True):
        for index, (who, name) in enumerate(NAMES.items()):
            rows = figures["rows"].get(who, [])
            if not (key == "objects" and who == "dense"):  # nothing was corrected there
                panel.plot(
                    [row[key] for row in rows], [row["score"] for row in rows], ".-", color=f"C{index}", label=name
                )
        if figures["ceiling"]:
            panel.axhline(figures["ceiling"]["score"], color="grey", ls="--", label="trained on all labels")
        known = [row["known"] for row in figures["rows"]["program"] if "known" in row]
        if known:
            at = [row[key] for row in figures["rows"]["program"]]
            panel.plot(at, known, ":", color="grey", label="this program, on what it knew")
        panel.set(xlabel=title, ylim=(0, 1), xlim=(0, None))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(figures["measure"])
    picture.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    picture.suptitle(figures["data"])
    picture.savefig(path, dpi=120)
