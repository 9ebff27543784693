"""What runs of the simulated annotator on several kinds of image come to: one table, its intervals, and the goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_unet_benchmarks.intervals import RESAMPLED, middle_95

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Run = Mapping[str, Any]
    """Of one kind and seed: see `annotator_kinds.run_once`."""

PROGRAM, CEILING = "program", "ceiling"

RIVALS: Final = {"dense": "fields drawn", "forest": "forest", "scratch": "untrained"}
"""Names of the rivals in the runs, and in the table."""

FEW_CORRECTIONS: Final = 20
"""Corrections that the goals allow on kinds with few objects; the rivals are compared there, too."""

SHARE_OF_OBJECTS: Final = 0.05
SHARE_OF_CEILING: Final = 0.9

GOALS: Final = {"90 % of the ceiling": 6, "ahead of all rivals": 7}
"""On how many of `KINDS_IN_ALL` kinds."""

KINDS_IN_ALL: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """How files of some seeds are drawn again and again: seeds with replacement, then files within each.

    Attributes
    ----------
    weights : ndarray of int, axes (draws, files)
        How often each file is in each draw; files of all seeds, one seed after the other.
    """

    weights: NDArray[np.int64]

    @classmethod
    def of(cls, files: Sequence[int], draws: int = RESAMPLED) -> Sample:
        """Draw from so many files of each seed."""
        rng = np.random.default_rng(0)
        starts = np.concatenate([[0], np.cumsum(files)])
        weights = np.zeros((draws, int(starts[-1])), np.int64)
        for row in weights:
            for seed in rng.integers(0, len(files), len(files)):
                np.add.at(row, starts[seed] + rng.integers(0, files[seed], files[seed]), 1)
        return cls(weights)

    def ap(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the pooled AP of each draw, of counts as in `pooled_ap`."""
        return _ap(self.weights @ counts)


def pooled_ap(counts: NDArray[np.int64]) -> float:
    """Return TP / (TP + FP + FN) over files.

    Parameters
    ----------
    counts : ndarray of int, axes (files, 3)
        True objects, predicted ones, and pairs that match.
    """
    return float(_ap(counts.sum(axis=0)))


def _ap(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    true, predicted, matched = np.moveaxis(sums, -1, 0)
    return np.asarray(matched / np.maximum(true + predicted - matched, 1))


def interval(values: NDArray[np.float64]) -> list[float]:
    """Return the 95 % interval of what was drawn again and again, rounded."""
    return [round(value, 3) for value in middle_95(values)]


def row_at(run: Run, who: str, level: int) -> Mapping[str, Any] | None:
    """Return what somebody had reached when so many corrections were asked for: the last row until then."""
    rows = [row for row in run["rows"] if row["who"] == who and row["asked"] <= level]
    return max(rows, key=lambda row: row["asked"]) if rows else None


def counts_of(runs: Sequence[Run], who: str, level: int) -> NDArray[np.int64] | None:
    """Return the counts (files, 3) of all seeds; None if that was not run with each."""
    rows = [row_at(run, who, level) for run in runs]
    if not all(rows):
        return None
    return np.array([counts for row in rows if row for counts in row["files"].values()], np.int64)


def table_row(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the row of one kind.

    Parameters
    ----------
    runs : sequence of Run
        One for each seed.

    Returns
    -------
    dict
        ``AP``: pooled over the files of all seeds, by who reached it and after how many corrections, with its interval.
        ``corrected``: how many objects that really were, mean over seeds. ``90 % of the ceiling``: how much of it is
        reached with what the goal allows, where it is first reached, and whether it is then. ``ahead``: by how much the
        program is ahead of each rival at `FEW_CORRECTIONS`, and whether of all of them. ``seconds to a new picture``:
        median, from the last stroke to labels of what is in view. ``known``: the score on images
        that the model at the start knew, before and in the end, or None.
    """
    levels = sorted({row["asked"] for run in runs for row in run["rows"] if row["who"] == PROGRAM})
    first = next(row for row in runs[0]["rows"] if row["who"] == PROGRAM)
    sample = Sample.of([len(row_at(run, PROGRAM, 0)["files"]) for run in runs])  # type: ignore[index]
    true = counts_of(runs, PROGRAM, 0)
    assert true is not None
    ap: dict[str, dict[str, Any]] = {}
    for who in (PROGRAM, *RIVALS, CEILING):
        for level in levels if who != CEILING else levels[-1:]:
            counts = counts_of(runs, who, level)
            if counts is not None:
                ap.setdefault(who, {})[str(level)] = {
                    "AP": round(pooled_ap(counts), 4),
                    "interval": interval(sample.ap(counts)),
                }
    worked_on = statistics.fmean(run["objects"] for run in runs)
    return {
        "base": runs[0]["base"],
        "seeds": len(runs),
        "files scored": len(true),
        "objects scored": int(true[:, 0].sum()),
        "objects in the fields worked on": round(worked_on, 1),
        "corrected": {str(level): _mean_of(runs, level, "objects") for level in levels},
        "seconds of annotation": {str(level): _mean_of(runs, level, "seconds") for level in levels},
        "AP": ap,
        "90 % of the ceiling": _near_ceiling(runs, levels, max(FEW_CORRECTIONS, SHARE_OF_OBJECTS * worked_on), sample),
        "ahead": _ahead(runs, sample),
        "seconds to a new picture": _median_wait(runs),
        "known": _known(runs, levels) if "known" in first else None,
    }


def _mean_of(runs: Sequence[Run], level: int, what: str) -> float:
    rows = [row_at(run, PROGRAM, level) for run in runs]
    return round(statistics.fmean(row[what] for row in rows if row), 1)


def _median_wait(runs: Sequence[Run]) -> float | None:
    """Return how long it took from the last stroke to labels of the new model; None if nothing was learned."""
    waits = [row["wait"] for run in runs for row in run["rows"] if "wait" in row]
    return round(statistics.median(waits), 1) if waits else None


def _known(runs: Sequence[Run], levels: Sequence[int]) -> list[float]:
    """Return the mean over seeds before the first and after the last learning."""
    ends = [[row_at(run, PROGRAM, level) for run in runs] for level in (levels[0], levels[-1])]
    return [round(statistics.fmean(row["known"] for row in rows if row), 4) for rows in ends]


def _near_ceiling(runs: Sequence[Run], levels: Sequence[int], allowed: float, sample: Sample) -> dict[str, Any] | None:
    """Return how near to the ceiling the program comes with as many corrections as are allowed; None without one."""
    best = counts_of(runs, CEILING, levels[-1])
    if best is None or not pooled_ap(best):
        return None
    ratios = {}
    for level in levels:
        counts = counts_of(runs, PROGRAM, level)
        assert counts is not None
        ratios[level] = pooled_ap(counts) / pooled_ap(best)
    at = max(level for level in levels if level <= allowed)
    mine = counts_of(runs, PROGRAM, at)
    assert mine is not None
    first = next((level for level in levels if ratios[level] >= SHARE_OF_CEILING), None)
    return {
        "corrections allowed": round(allowed, 1),
        "at": at,
        "share": round(ratios[at], 3),
        "interval": interval(sample.ap(mine) / np.maximum(sample.ap(best), 1e-9)),
        "first reached at": first,
        "reached": ratios[at] >= SHARE_OF_CEILING,
    }


def _ahead(runs: Sequence[Run], sample: Sample, level: int = FEW_CORRECTIONS) -> dict[str, Any] | None:
    """Return by how much the program is ahead of each rival; None if there is none."""
    mine = counts_of(runs, PROGRAM, level)
    assert mine is not None
    theirs = {who: counts for who in RIVALS if (counts := counts_of(runs, who, level)) is not None}
    if not theirs:
        return None
    ahead = {who: round(pooled_ap(mine) - pooled_ap(counts), 4) for who, counts in theirs.items()}
    rivals = {
        who: {"by": by, "interval": interval(sample.ap(mine) - sample.ap(theirs[who]))} for who, by in ahead.items()
    }
    return {"at": level, "rivals": rivals, "of all": len(ahead) == len(RIVALS) and min(ahead.values()) > 0}


def table(runs: Sequence[Run], kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a row for each kind that there are runs of, in this order."""
    by_kind = {kind: [run for run in runs if run["kind"] == kind] for kind in kinds}
    return {kind: table_row(sorted(mine, key=lambda run: int(run["seed"]))) for kind, mine in by_kind.items() if mine}


def goals(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return on which kinds of a table each goal is reached, and whether that is enough."""
    reached = {
        "90 % of the ceiling": [
            kind for kind, row in rows.items() if (near := row["90 % of the ceiling"]) and near["reached"]
        ],
        "ahead of all rivals": [kind for kind, row in rows.items() if (ahead := row["ahead"]) and ahead["of all"]],
    }
    return {
        goal: {
            "on": kinds, "kinds run": len(rows), "goal": f"{GOALS[goal]} of {KINDS_IN_ALL}",
            "reached": len(kinds) >= GOALS[goal] if len(rows) == KINDS_IN_ALL else None,
        }
        for goal, kinds in reached.items()
    }  # fmt: skip


def as_markdown(rows: Mapping[str, Mapping[str, Any]], chosen_on: Sequence[str]) -> str:
    """Return the table as it stands in a document: a row for each kind, those first on which settings may be chosen."""
    levels = sorted({int(level) for row in rows.values() for level in row["AP"][PROGRAM]})
    rivals = [who for who in RIVALS if any(who in row["AP"] for row in rows.values())]
    at = str(FEW_CORRECTIONS)
    heads = ["Kind", "Objects scored", "First", *(f"{level}" for level in levels if level), "All labels"]
    heads += [f"{RIVALS[who]}, {at}" for who in rivals]
    heads += ["90 % of the ceiling", "Ahead of all"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for kind, row in sorted(rows.items(), key=lambda item: item[0] not in chosen_on):
        cells = [f"*{kind}*" if kind in chosen_on else kind, str(row["objects scored"])]
        cells += [_cell(row["AP"][PROGRAM].get(str(level))) for level in levels]
        cells.append(_cell(next(iter(row["AP"].get(CEILING, {}).values()), None)))
        cells += [_cell(_at(row["AP"].get(who, {}), at)) for who in rivals]
        near, ahead = row["90 % of the ceiling"], row["ahead"]
        cells.append(
            "-" if near is None else f"{'yes' if near['reached'] else 'no'}, {near['share']:.0%} with {near['at']}"
        )
        cells.append("-" if ahead is None else "yes" if ahead["of all"] else "no")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _at(by_level: Mapping[str, Any], level: str) -> Any:
    """Return what was reached until then, as `row_at`: of a short run there is no such level."""
    reached = [one for one in by_level if int(one) <= int(level)]
    return by_level[max(reached, key=int)] if reached else None


def _cell(value: Mapping[str, Any] | None) -> str:
    return "-" if value is None else "{:.2f} ({:.2f} to {:.2f})".format(value["AP"], *value["interval"])
