"""The table of the simulated annotator on eight kinds: its arithmetic, and that runs are kept and dealt as told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.errors import UNetError
from napari_unet_benchmarks import annotator_kinds
from napari_unet_benchmarks.annotator_kinds import (
    CHOSEN_ON,
    KINDS,
    REPORTED_ON,
    Kind,
    Limits,
    all_runs,
    deal,
    kept_runs,
    missing,
    run_once,
)
from napari_unet_benchmarks.annotator_table import Sample, as_markdown, goals, pooled_ap, table
from napari_unet_benchmarks.fields import DataSet, cut_fields

DECISION = Path(__file__).parents[2] / "docs" / "decisions" / "0036-eight-kinds.md"


def row(who, asked, *files, **more):
    return {"who": who, "asked": asked, "files": {f"{i}": list(counts) for i, counts in enumerate(files)}} | more


def program(asked, *files, objects=None, known=0.8):
    more = {"objects": asked if objects is None else objects, "seconds": 10.0 * asked, "known": known} | (
        {"wait": asked / 2} if asked else {}
    )
    return row("program", asked, *files, **more)


def run(kind, seed, *rows, objects=100):
    return {"kind": kind, "seed": seed, "base": "nuclei", "objects": objects, "rows": list(rows)}


@pytest.fixture
def runs():
    """Two seeds of one file each: 10 true objects, of which more and more are found."""
    return [
        run(
            "cells", 0,
            program(0, (10, 10, 0)), program(20, (10, 10, 6), objects=21), program(40, (10, 10, 10)),
            row("dense", 20, (10, 10, 4)), row("dense", 40, (10, 10, 10)),
            row("forest", 20, (10, 10, 5)), row("scratch", 20, (10, 0, 0)),
            row("ceiling", 0, (10, 10, 10)),
        ),
        run(
            "cells", 1,
            program(0, (10, 0, 0)), program(20, (10, 10, 8), objects=23, known=0.6),  # all is right after 23
            row("dense", 20, (10, 10, 4)), row("forest", 20, (10, 10, 5)), row("scratch", 20, (10, 0, 0)),
            row("ceiling", 0, (10, 10, 8)), objects=300,
        ),
    ]  # fmt: skip


def test_the_row_of_a_kind(runs):
    found = table(runs[::-1], ["cells", "others"])["cells"]
    assert list(found["AP"]["program"]) == ["0", "20", "40"]
    assert found["AP"]["program"]["20"]["AP"] == round(14 / 26, 4), "pooled over the files of both seeds"
    assert found["AP"]["program"]["40"]["AP"] == round(18 / 22, 4), "the second seed stays with what it had reached"
    assert found["AP"]["dense"]["20"]["AP"] == 0.25
    assert found["AP"]["scratch"]["20"] == {"AP": 0.0, "interval": [0.0, 0.0]}
    assert found["AP"]["ceiling"] == {"40": {"AP": round(18 / 22, 4), "interval": [round(8 / 12, 3), 1.0]}}
    assert "0" not in found["AP"]["dense"], "rivals have not learned at the start"
    assert (found["seeds"], found["files scored"], found["objects scored"]) == (2, 2, 20)
    assert found["corrected"] == {"0": 0.0, "20": 22.0, "40": 31.5}
    assert found["objects in the fields worked on"] == 200.0
    assert found["known"] == [0.8, 0.7]
    assert found["seconds to a new picture"] == 10.0, "waits of 10, 20 and 10"
    near = found["90 % of the ceiling"]
    assert (near["corrections allowed"], near["at"], near["first reached at"]) == (20, 20, 40)
    assert near["share"] == round((14 / 26) / (18 / 22), 3)
    assert not near["reached"]
    ahead = found["ahead"]
    assert ahead["at"] == 20
    assert {who: one["by"] for who, one in ahead["rivals"].items()} == {
        "dense": round(14 / 26 - 0.25, 4),
        "forest": round(14 / 26 - 10 / 30, 4),
        "scratch": round(14 / 26, 4),
    }
    assert ahead["rivals"]["scratch"]["interval"] == [round(6 / 14, 3), round(8 / 12, 3)]
    assert ahead["of all"]


def test_more_corrections_are_allowed_where_there_are_many_objects(runs):
    for one in runs:
        one["objects"] = 800
    near = table(runs, ["cells"])["cells"]["90 % of the ceiling"]
    assert (near["corrections allowed"], near["at"], near["share"]) == (40, 40, 1.0)
    assert near["reached"]


def test_who_is_as_good_as_a_rival_is_not_ahead(runs):
    for one in runs:
        one["rows"][:] = [r for r in one["rows"] if r["who"] != "dense"]
        mine = next(r for r in one["rows"] if r["who"] == "program" and r["asked"] == 20)
        one["rows"].append(row("dense", 20, *mine["files"].values()))
    ahead = table(runs, ["cells"])["cells"]["ahead"]
    assert ahead["rivals"]["dense"] == {"by": 0.0, "interval": [0.0, 0.0]}, "differences are paired"
    assert not ahead["of all"]


@pytest.mark.parametrize("gone", ["dense", "forest", "scratch"])
def test_nobody_is_ahead_of_a_rival_that_did_not_run_with_every_seed(runs, gone):
    runs[1]["rows"][:] = [r for r in runs[1]["rows"] if r["who"] != gone]
    found = table(runs, ["cells"])["cells"]
    assert gone not in found["AP"]
    assert not found["ahead"]["of all"]
    assert "| no |" in as_markdown({"cells": found}, [])


def test_a_run_in_which_nothing_could_be_learned(runs):
    nothing = [run("cells", 0, program(0, (10, 3, 1)), row("ceiling", 0, (10, 0, 0)))]
    found = table(nothing, ["cells"])["cells"]
    assert found["AP"]["program"] == {"0": {"AP": round(1 / 12, 4), "interval": [round(1 / 12, 3)] * 2}}
    assert found["90 % of the ceiling"] is None, "nothing can be said beside a ceiling of 0"
    assert found["ahead"] is None
    assert as_markdown({"cells": found}, []).splitlines()[-1].endswith("| - | - |")


def test_goals_are_decided_once_all_kinds_are_run(runs):
    good = table(runs, ["cells"])["cells"]
    good = good | {"90 % of the ceiling": good["90 % of the ceiling"] | {"reached": True}}
    bad = good | {"90 % of the ceiling": None, "ahead": good["ahead"] | {"of all": False}}
    rows = {f"kind {i}": good if i < 6 else bad for i in range(8)}
    found = goals(rows)
    assert found["90 % of the ceiling"]["on"] == [f"kind {i}" for i in range(6)]
    assert found["90 % of the ceiling"]["reached"]
    assert not found["ahead of all rivals"]["reached"], "six of eight are not seven"
    few = goals({"kind 0": good})
    assert few["ahead of all rivals"]["on"] == ["kind 0"]
    assert few["ahead of all rivals"]["reached"] is None


def test_the_table_in_a_document(runs):
    rows = table(runs, ["cells"])
    head, line, cells = as_markdown(rows | {"chosen": rows["cells"]}, ["chosen"]).splitlines()[:3]
    assert head.count("|") == line.count("|") == cells.count("|")
    assert "| First | 20 | 40 | All labels | fields drawn, 20 | forest, 20 | untrained, 20 |" in head
    assert cells.startswith("| *chosen* | 20 | 0.00 (0.00 to 0.00) | 0.54 (")
    assert cells.endswith("| no, 66% with 20 | yes |")


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(1, 3))
def test_an_interval_lies_between_the_worst_and_the_best_file(files, seeds):
    """Pooled AP is a mean of those of the files, weighted; and of equal files there is no interval."""
    counts = np.array([[true, predicted, min(true, predicted, matched)] for true, predicted, matched in files])
    drawn = Sample.of([len(counts)] * seeds, draws=50).ap(np.concatenate([counts] * seeds))
    each = [pooled_ap(one[None]) for one in counts if one[:2].any()]
    assert (drawn <= max(each, default=0) + 1e-12).all()
    assert (drawn >= min((pooled_ap(one[None]) for one in counts), default=0) - 1e-12).all()
    same = Sample.of([2] * seeds, draws=20).ap(np.repeat(counts[:1], 2 * seeds, axis=0))
    np.testing.assert_allclose(same, pooled_ap(counts[:1]))


def test_files_are_drawn_within_seeds_that_are_drawn():
    weights = Sample.of([1, 3], draws=400).weights
    sums = {(int(row[0]), int(row[1:].sum())) for row in weights}
    assert sums == {(2, 0), (1, 3), (0, 6)}, "two seeds each time, with as many files as each has"


# -- kinds and runs ---------------------------------------------------------------------------------------------------


def test_no_kind_is_both_chosen_and_reported_on():
    sources = [
        {(kind.source.folder, kind.source.prefix) for kind in kinds.values()} for kinds in (CHOSEN_ON, REPORTED_ON)
    ]
    assert not sources[0] & sources[1]
    assert [len(part) for part in sources] == [4, 4]


@pytest.mark.parametrize("name", KINDS)
def test_the_decision_names_each_kind_with_what_it_begins_with(name):
    source = KINDS[name].source
    asked = "*chosen on*" if name in CHOSEN_ON else "*never*"
    lines = [line for line in DECISION.read_text().splitlines() if line.startswith(f"| {asked}")]
    told = [line for line in lines if f"`{source.prefix or source.folder}`" in line]
    assert len(told) == 1
    assert f"`{source.base}`" in told[0]


def test_every_kind_is_run_once_before_the_next_seed():
    kinds = ["a", "b"]
    assert missing([], kinds, 2) == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    assert missing([{"seed": 0, "kind": "a"}, {"seed": 1, "kind": "b"}], kinds, 2) == [(0, "b"), (1, "a")]


def test_what_is_finished_is_kept_and_gone_on_with(tmp_path):
    keep, limits, kinds = tmp_path / "new" / "runs.jsonl", Limits(), ["a", "b"]
    begun = []

    def once(kind, seed):
        begun.append((seed, kind))
        if begun[-1] == (1, "a") and begun.count((1, "a")) == 1:
            raise KeyboardInterrupt
        return {"kind": kind, "seed": seed, "limits": annotator_kinds._as_json(limits)}

    with pytest.raises(KeyboardInterrupt):
        list(all_runs(keep, limits, missing([], kinds, 2), once))
    assert len(kept_runs(keep, limits)) == 2
    with keep.open("a") as file:
        file.write('{"kind": "a", "seed": 1, "lim')  # the machine was switched off
    runs = kept_runs(keep, limits)
    runs += all_runs(keep, limits, missing(runs, kinds, 2), once)
    assert begun == [(0, "a"), (0, "b"), (1, "a"), (1, "a"), (1, "b")]
    assert kept_runs(keep, limits) == runs
    assert not missing(runs, kinds, 2)


@pytest.mark.parametrize(
    "line", ['{"kind": "a", "seed": 0, "limits": {"steps": 3}}', '{"way": "as it is"}', "[1]", "7"]
)
def test_runs_of_another_length_or_benchmark_are_not_mixed(tmp_path, line):
    keep = tmp_path / "runs.jsonl"
    keep.write_text(line + "\n")
    with pytest.raises(UNetError, match="--keep"):
        kept_runs(keep, Limits())
    assert keep.read_text() == line + "\n"


@pytest.fixture
def summed(tmp_path, monkeypatch, capsys):
    """Returns what is printed and what is written of the runs in a file."""
    written = []
    monkeypatch.setattr(annotator_kinds, "write_result", lambda name, figures: written.append((name, figures)))
    keep = tmp_path / "runs.jsonl"

    def sum_up(runs, *words):
        more = {"limits": annotator_kinds._as_json(Limits()), "seconds": {"program": 9}}
        keep.write_text("".join(json.dumps(one | more) + "\n" for one in runs))
        monkeypatch.setattr("sys.argv", ["annotator_kinds", "--data", "nowhere", "--keep", str(keep), *words])
        annotator_kinds.main()
        return capsys.readouterr().out, written

    return sum_up


def test_a_result_is_written_once_each_kind_was_run(runs, summed):
    printed, written = summed([one | {"kind": "junctions"} for one in runs], "--only-sum")
    assert "| *junctions* | 20 | 0.00 (0.00 to 0.00) |" in printed
    assert "90 % of the ceiling: 0 of 1 kinds (goal: 6 of 8)" in printed
    assert not written
    printed, written = summed([one | {"kind": kind} for one in runs for kind in KINDS], "--seeds", "2")
    assert "ahead of all rivals: 8 of 8 kinds" in printed
    ((name, figures),) = written
    assert name == "annotator_kinds"
    assert list(figures["table"]) == list(KINDS)
    assert figures["goals"]["ahead of all rivals"]["reached"]
    assert not figures["goals"]["90 % of the ceiling"]["reached"]
    assert figures["chosen on"] == list(CHOSEN_ON)
    assert figures["seconds of each run"]["axons, electron microscopy, 1"] == 9


def test_nothing_is_summed_up_where_nothing_is_there(summed, capsys):
    with pytest.raises(SystemExit):
        summed([], "--only-sum")
    assert "no finished run" in capsys.readouterr().err


def test_a_short_run_does_not_go_on_with_long_ones(summed, capsys):
    with pytest.raises(SystemExit):
        summed([run("junctions", 0)], "--smoke")
    assert "--keep" in capsys.readouterr().err


@pytest.fixture
def drawn(tmp_path, blobs):
    """A folder of small images: five animals, two of them with two images."""
    for number, name in enumerate(("a_0", "a_1", "b_0", "b_1", "c_0", "d_0", "e_0")):
        image, labels = blobs((72, 72), n=6, seed=number, radius=8)
        for folder, array in (("images", (1000 * image.clip(0)).astype(np.uint16)), ("labels", labels)):
            path = tmp_path / "drawn" / folder / f"{name}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, array.astype(np.uint16))
    return tmp_path


def test_every_file_is_scored_once_by_networks_that_have_not_seen_its_animal(drawn):
    kind = Kind(DataSet("drawn", grouped=True), width=64, fields=9)
    scored = []
    for seed in range(3):
        worked_on, to_score = deal(drawn, kind, seed, files=9)
        scored += to_score
        animals = {name[0] for name in to_score}
        assert animals.isdisjoint(one.image.name[0] for one in worked_on)
        assert len(worked_on) + len(to_score) == 7
    assert sorted(scored) == ["a_0", "a_1", "b_0", "b_1", "c_0", "d_0", "e_0"]


def test_few_fields_come_from_many_animals(drawn):
    kind = Kind(DataSet("drawn", grouped=True), width=64, fields=3)
    worked_on, to_score = deal(drawn, kind, 2, files=1)
    assert [one.image.name for one in worked_on] == ["a_0.tif", "b_0.tif", "d_0.tif"]
    assert list(to_score) == ["c_0"]
    assert worked_on[0].truth.shape == (64, 64)


def test_pieces_of_a_class_are_objects(tmp_path):
    classes = np.zeros((40, 60), np.uint8)
    classes[2:12, 2:12] = 1
    classes[12:20, 12:20] = 1  # touches by a corner only
    classes[2:12, 20:30] = 2
    classes[30:34, 30:34] = 1  # 16 pixels
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", classes)
    source = DataSet("", pieces_of=1)
    (one,) = cut_fields((tmp_path / "images" / "a.tif", tmp_path / "labels" / "a.tif"), 64, source, 1)
    assert one.objects == 2
    assert {int((one.truth == i).sum()) for i in np.unique(one.truth) if i} == {100, 64}
    assert not one.truth[30:34, 30:34].any()


def test_a_run_from_the_first_score_to_the_table(drawn):
    kind = Kind(DataSet("drawn", base="cells_phase", grouped=True), width=64, fields=2)
    limits = Limits((2, 4), steps=1, ceiling_steps=1, files=1, known=0)
    told = []
    found = run_once(drawn, "drawn", kind, 0, limits, say=told.append)
    assert json.loads(json.dumps(found)) == found, "it is kept as it is"
    by_who = {who: [r["asked"] for r in found["rows"] if r["who"] == who] for who in ("program", "dense", "ceiling")}
    assert by_who == {"program": [0, 2, 4], "dense": [2, 4], "ceiling": [0]}
    assert all(list(one["files"]) == ["a_0"] for one in found["rows"])
    assert len({counts[0] for one in found["rows"] for counts in one["files"].values()}) == 1, "the same true objects"
    corrected = [one["objects"] for one in found["rows"] if one["who"] == "program"]
    assert corrected == sorted(corrected)
    assert 2 <= corrected[1] <= 4
    assert found["fields"] == 2
    assert found["objects"] > 4
    assert set(found["seconds"]) >= {"program", "dense", "scratch", "ceiling"}
    assert len(told) >= len(found["rows"])
    made = table([found], ["drawn"])["drawn"]
    assert made["objects scored"] == found["rows"][0]["files"]["a_0"][0]
    assert made["known"] is None
    assert as_markdown({"drawn": made}, []).count("\n") == 2
