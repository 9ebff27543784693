"""Rules by which a new model is used or held back, judged as a test of diagnosis by stored evidence."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import ttest_1samp

from napari_unet.learning.comparison import Comparison
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet_benchmarks.intervals import mean_interval, share_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

Row = dict[str, Any]
"""The evidence of one learning; see `check_evidence.learned_with_evidence`."""

WORSE = 0.03
"""AP on other images by which a model is worse."""

COMPARED = "before", "after", "low", "high", "n"


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


def estimate_elsewhere(row: Row) -> float:
    """Return the same on other images, which nobody has corrected."""
    before, after = ([one["estimate"] for one in row["others"][when]["images"]] for when in ("before", "after"))
    return statistics.fmean(after) - statistics.fmean(before)


def surely_worse(row: Row) -> bool:
    """Return whether the new model is surely worse on held-out reviewed regions; see `learning.comparison`."""
    compared = row["verdict"]["reviewed"]
    return bool(compared and Comparison(*(compared[name] for name in COMPARED)).surely_worse())


def forgets(row: Row) -> bool:
    """Return whether a new model has lost more than two points of what the first one could do, in its own domain."""
    return not row["verdict"]["out of domain"] and retention(row) < -DEFAULT_POLICY.promotion.max_forgetting


def as_decided(row: Row) -> bool:
    """Return what `learning.gate.Verdict` decides."""
    return not (surely_worse(row) or forgets(row))


RULES: dict[str, Callable[[Row], bool]] = {
    "always": lambda row: True,
    "never": lambda row: False,
    "decision 29": as_decided,
    "corrected and reviewed objects, mean IoU": lambda row: mean_change(changes(row)) >= 0,
    "corrected and reviewed objects, t-test of IoU": lambda row: not surely_negative(changes(row)),
    "held-out objects, mean IoU": lambda row: mean_change(changes(row, held_out=True)) >= 0,
    "held-out objects, t-test of IoU": lambda row: not surely_negative(changes(row, held_out=True)),
    "held-out regions, surely worse": lambda row: not surely_worse(row),
    "base data, in its domain": lambda row: not forgets(row),
    "base data, in any domain": lambda row: retention(row) >= -DEFAULT_POLICY.promotion.max_forgetting,
    "loss on corrections": lambda row: statistics.fmean(row["losses"][-3:]) <= statistics.fmean(row["losses"][:3]),
    "estimate": lambda row: estimate(row) >= 0,
    "estimate, less by 2 points": lambda row: estimate(row) >= -0.02,
    "estimate, less by 2 points, and decision 29": lambda row: as_decided(row) and estimate(row) >= -0.02,
    "estimate, less by 5 points": lambda row: estimate(row) >= -0.05,
    "estimate on images that nobody corrected": lambda row: estimate_elsewhere(row) >= 0,
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
