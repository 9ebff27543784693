"""Rules by which a new model is used or held back, judged as a test of diagnosis by stored evidence."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import ttest_1samp

from napari_unet_benchmarks.intervals import mean_interval, share_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

Row = dict[str, Any]
"""The evidence of one learning; see `check_evidence.learned_with_evidence`."""

WORSE = 0.03
"""AP on other images by which a model is worse."""


def gain(row: Row) -> float:
    """Return what the new model gains in AP on other images."""
    return float(row["others"]["after"]["ap"] - row["others"]["before"]["ap"])


def changes(row: Row, *, corrected: bool = True, reviewed: bool = True, held_out: bool = False) -> list[float]:
    """Return by how much the IoU of each object grows that somebody has corrected, or reviewed, or both.

    An object that was erased counts by the share of it that is no longer filled. `held_out`: only objects that were not
    learned from.
    """
    found = []
    for one in row["fields"]:
        for _, touched, vouched, aside, _, before, after in one["objects"]:
            if aside if held_out else (touched and corrected) or (vouched and reviewed):
                found.append(after - before)
        if corrected and not held_out:
            found += [before - after for _, before, after in one["erased"]]
    return found


def surely_negative(values: Sequence[float], significance: float = 0.05) -> bool:
    """Return whether the mean of values is below 0, by a one-sided t-test."""
    if len(values) < 2 or statistics.fmean(values) >= 0:
        return False
    if len(set(values)) == 1:
        return True
    return bool(ttest_1samp(values, 0, alternative="less").pvalue < significance)


def mean_change(values: Sequence[float]) -> float:
    """Return the mean, 0 of none."""
    return statistics.fmean(values) if values else 0.0


def retention(row: Row) -> float:
    """Return the change on the base data; 0 where there is none."""
    kept = row["verdict"]["retention"]
    return float(kept["after"] - kept["before"]) if kept else 0.0


def estimate(row: Row) -> float:
    """Return by how much more, or less, AP the new model is expected to reach on the open images, without labels."""
    return statistics.fmean(after - before for before, after in (one["estimates"] for one in row["fields"]))


def _present(row: Row) -> bool:
    return bool(row["verdict"]["in use"])


RULES: dict[str, Callable[[Row], bool]] = {
    "always": lambda row: True,
    "never": lambda row: False,
    "before this decision": _present,
    "corrected and reviewed objects, mean": lambda row: mean_change(changes(row)) >= 0,
    "corrected and reviewed objects, t-test": lambda row: not surely_negative(changes(row)),
    "reviewed objects, t-test": lambda row: not surely_negative(changes(row, corrected=False)),
    "held-out objects, mean": lambda row: mean_change(changes(row, held_out=True)) >= 0,
    "held-out objects, t-test": lambda row: not surely_negative(changes(row, held_out=True)),
    "base data": lambda row: retention(row) >= -0.02,
    "estimate": lambda row: estimate(row) >= 0,
}


def diagnosis(rows: Sequence[Row], rule: Callable[[Row], bool]) -> dict[str, Any]:
    """Return how often better models are held back and worse ones used, and the gain in AP that follows (95 %)."""
    used = [bool(rule(row)) for row in rows]
    gains = [gain(row) for row in rows]
    found: dict[str, Any] = {}
    for name, chosen, wrong in (
        ("better held back", [i for i, g in enumerate(gains) if g > 0], False),
        ("better by 3 points held back", [i for i, g in enumerate(gains) if g >= WORSE], False),
        ("worse by 3 points used", [i for i, g in enumerate(gains) if g <= -WORSE], True),
    ):
        hits = sum(used[i] is wrong for i in chosen)
        share = [round(hits / len(chosen), 3), *share_interval(hits, len(chosen))] if chosen else None
        found[name] = {"n": len(chosen), "wrong": hits, "share": share}
    follows = np.array([g if use else 0.0 for g, use in zip(gains, used, strict=True)])
    found["mean gain"] = [round(float(follows.mean()), 4), *(round(v, 4) for v in mean_interval(follows))]
    return found


def judged(rows: Sequence[Row], chosen_on: Collection[str], reported_on: Collection[str]) -> dict[str, Any]:
    """Return the diagnosis by each rule, on the kinds that rules were chosen on and on the others."""
    found: dict[str, Any] = {}
    for part, kinds in (("chosen on", chosen_on), ("reported on", reported_on)):
        mine = [row for row in rows if row["scenario"]["kind"] in kinds]
        found[part] = {
            "learnings": len(mine),
            "objects scored": sum(sum(one["true"] for one in row["others"]["before"]["images"]) for row in mine),
            "rules": {name: diagnosis(mine, rule) for name, rule in RULES.items()} if mine else {},
        }
    return found
