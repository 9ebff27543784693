"""How rules are judged that hold new models back: by made evidence."""

from __future__ import annotations

import pytest

from napari_unet_benchmarks.check import CHOSEN_ON, REPORTED_ON, scenarios
from napari_unet_benchmarks.check_rules import RULES, as_decided, changes, diagnosis, gain, judged, surely_negative


def row(
    before, after, *, estimates=(0.5, 0.5), reviewed=None, retention=(0.8, 0.8), kind="tissue", out_of_domain=False
):
    """Evidence of one learning, with one open image."""

    def scored(ap, estimate):
        return {"ap": ap, "images": [{"true": 10, "estimate": estimate}]}

    names = "before", "after", "low", "high", "n"
    return {
        "scenario": {"kind": kind},
        "verdict": {
            "in use": True,
            "out of domain": out_of_domain,
            "reviewed": None if reviewed is None else dict(zip(names, reviewed, strict=True)),
            "retention": dict(zip(names, (*retention, 0, 0, 9), strict=True)),
        },
        "losses": [0.3, 0.2, 0.1],
        "fields": [
            {  # size, corrected, reviewed, held out, near, IoU before, and after
                "objects": [[100, 1, 0, 0, 1, 0.2, 0.9], [90, 0, 1, 1, 0, 0.8, 0.7], [80, 0, 0, 0, 0, 0.9, 0.0]],
                "erased": [[5, 1.0, 0.25]],
                "estimates": list(estimates),
            }
        ],
        "others": {"before": scored(before, estimates[0]), "after": scored(after, estimates[1])},
    }


def test_only_what_somebody_touched_or_reviewed_counts():
    one = row(0.5, 0.6)
    assert changes(one) == pytest.approx([0.7, -0.1, 0.75])
    assert changes(one, corrected=False) == pytest.approx([-0.1])
    assert changes(one, held_out=True) == pytest.approx([-0.1])


def test_a_mean_is_surely_negative_where_chance_makes_none_such():
    assert surely_negative([-0.3, -0.2, -0.25, -0.3])
    assert surely_negative([-1.0, -1.0])
    assert not surely_negative([-0.3, 0.2, -0.25, 0.3])
    assert not surely_negative([-1.0])
    assert not surely_negative([])


def test_wrong_decisions_are_counted_among_the_better_and_among_the_worse():
    rows = [row(0.5, 0.6), row(0.5, 0.51), row(0.5, 0.49), row(0.5, 0.4), row(0.5, 0.3)]
    always, never = (diagnosis(rows, RULES[name]) for name in ("always", "never"))
    assert (always["better held back"]["n"], always["better held back"]["wrong"]) == (2, 0)
    assert (always["worse by 3 points used"]["n"], always["worse by 3 points used"]["wrong"]) == (2, 2)
    assert (never["better held back"]["wrong"], never["better by 3 points held back"]["n"]) == (2, 1)
    assert always["mean gain"][0] == pytest.approx(sum(map(gain, rows)) / 5)
    assert never["mean gain"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("evidence", "used"),
    [
        ({}, True),
        ({"estimates": (0.5, 0.49)}, True),
        ({"estimates": (0.5, 0.4)}, True),
        ({"reviewed": (0.5, 0.4, -0.2, -0.05, 9)}, False),
        ({"reviewed": (0.5, 0.4, -0.2, -0.05, 3)}, True),
        ({"reviewed": (0.5, 0.4, -0.2, 0.05, 9)}, True),
        ({"retention": (0.8, 0.7)}, False),
        ({"retention": (0.8, 0.7), "out_of_domain": True}, True),
    ],
)
def test_stored_evidence_is_decided_as_in_the_window(evidence, used):
    assert as_decided(row(0.5, 0.5, **evidence)) is used


def test_each_kind_is_chosen_on_or_reported_on():
    assert not CHOSEN_ON.keys() & REPORTED_ON.keys()
    assert min(len(CHOSEN_ON), len(REPORTED_ON)) >= 4
    found = judged([row(0.5, 0.6), row(0.5, 0.4, kind="cytospins")], CHOSEN_ON, REPORTED_ON)
    assert [found[part]["learnings"] for part in ("chosen on", "reported on")] == [1, 1]
    assert found["reported on"]["rules"]["always"]["worse by 3 points used"]["wrong"] == 1


def test_scenarios_are_the_same_in_each_run():
    first = list(scenarios(40))
    assert first == list(scenarios(40))
    assert first[:20] == list(scenarios(20))
    assert {one.kind for one in first} == CHOSEN_ON.keys() | REPORTED_ON.keys()
