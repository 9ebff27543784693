"""The four ways to tell objects apart that `src/napari_unet_benchmarks/decoding.py` compares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.evaluation.metrics import evaluate
from napari_unet.objects.flows import middles
from napari_unet_benchmarks.decoding import IOUS, counts, difference, known_share, without, worst
from napari_unet_benchmarks.decodings import FLOW_WEIGHT, OFFSET_UNIT, WAYS, decode_flows
from napari_unet_benchmarks.same_training import PATCH, Patches, Schedule, fresh, learn, predicted, prepared, turned

RULES = ("distance", "classes", "flows", "offsets")


def discs(seed, shape=(64, 70), count=16):
    """Discs that touch, hide a little of each other, and are cut off by the border; ids with gaps."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number in range(count):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        disc = (y - cy) ** 2 + (x - cx) ** 2 < rng.uniform(6, 9) ** 2
        seen = disc & (labels == 0)
        if seen.sum() > max(60, 0.85 * disc.sum()):
            labels[seen] = 3 * number + 2
    return labels


def middle_choice(way):
    return {name: values[len(values) // 2] for name, values in way.grid.items()}


def as_maps(name, targets):
    """What a network that has learned all would predict."""
    maps = targets.copy()
    if name == "flows":
        maps[1:] *= FLOW_WEIGHT
    return maps


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_perfect_maps_give_the_objects_back(name, seed):
    labels, way = discs(seed), WAYS[name]
    found = way.decode(as_maps(name, way.targets(labels)), middle_choice(way))
    scores = evaluate(labels, found).to_dict()
    assert scores["f1"]["0.70"] == 1.0


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 10_000), turns=st.integers(0, 3), flip=st.booleans())
@settings(max_examples=15, deadline=None)
def test_targets_turn_with_the_labels(name, seed, turns, flip):
    labels, way = discs(seed), WAYS[name]
    other = turned(torch.from_numpy(labels[None]), turns, flip)[0].numpy()
    expected = turned(torch.from_numpy(way.targets(labels)), turns, flip, way.vectors).numpy()
    found = way.targets(other)
    if name in ("flows", "offsets"):  # of two pixels that are equally near to the middle, another one may be the first
        same = np.abs(expected - found).max(0) < 0.05
        assert same.mean() > 0.5
    else:
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 10_000), y=st.integers(0, 30), x=st.integers(0, 30))
@settings(max_examples=15, deadline=None)
def test_what_is_known_does_not_depend_on_what_nobody_has_looked_at(name, seed, y, x):
    labels, way = discs(seed), WAYS[name]
    supervised = np.zeros(labels.shape, bool)
    supervised[y : y + 34, x : x + 34] = True
    supervised |= labels == labels.max()  # and a whole object
    other = discs(seed + 1)
    other = np.where(supervised, labels, np.where(other > 0, other + 1000, 0))
    known = way.known(labels, supervised)
    assert known.shape == way.targets(labels).shape
    assert not known[:, ~supervised].any()
    assert known.any()
    close = 0.02 if name == "offsets" else 1e-4  # a hundredth of a spot reaches farther than it counts
    np.testing.assert_allclose(way.targets(labels)[known], way.targets(other)[known], atol=close)
    assert way.known(labels, np.ones_like(supervised)).all()


def test_middles_lie_in_their_objects_and_offsets_end_there():
    labels = discs(4)
    found = middles(labels).astype(int)
    ids = np.unique(labels[labels > 0])
    assert labels[tuple(found.T)].tolist() == ids.tolist()
    targets = WAYS["offsets"].targets(labels)
    ends = (np.indices(labels.shape) + OFFSET_UNIT * targets[2:])[:, labels == ids[0]]
    assert np.allclose(ends.T, found[0])


def test_objects_with_wrong_flows_are_dropped():
    labels = discs(5)
    maps = as_maps("flows", WAYS["flows"].targets(labels))
    choice = {"foreground": 0.5, "min_size": 12, "error": None}
    kept = decode_flows(maps, choice)
    first = labels == labels.max()
    maps[1:, first] = maps[1:, first][::-1]  # directions mirrored: still somewhere, but of no such shape
    assert decode_flows(maps, choice | {"error": 0.1}).max() < kept.max()


def test_nothing_gives_nothing():
    empty = np.zeros((40, 40), np.int32)
    for name, way in WAYS.items():
        assert not way.decode(as_maps(name, way.targets(empty)), middle_choice(way)).any()


def picture(labels, seed=0):
    noise = np.random.default_rng(seed).normal(0, 8, labels.shape)
    return (40 + 120 * (labels > 0) + noise).clip(0, 255).astype(np.uint8)


def test_every_way_sees_the_same_patches():
    labels = discs(6, (150, 160), 60)
    drawn = {}
    for name, way in WAYS.items():
        drawn[name] = Patches(way, [prepared(way, picture(labels), labels)], 3, seed=1).draw()
        assert drawn[name][0].shape == (3, 1, PATCH, PATCH)
        assert drawn[name][1].shape == drawn[name][2].shape == (3, len(way.outputs), PATCH, PATCH)
    for images, targets, _ in drawn.values():
        assert torch.equal(images, drawn["distance"][0])
        assert targets.isfinite().all()
    assert torch.allclose(drawn["flows"][1][:, 0], drawn["offsets"][1][:, 0])


@pytest.mark.parametrize("name", RULES)
def test_every_way_learns_and_the_first_network_stays(name):
    labels, way = discs(7, (140, 150), 60), WAYS[name]
    net = fresh(way, 0).eval().requires_grad_(False)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    said = []
    schedule = Schedule(steps=4, batch=1, warmup=0)
    better = learn(way, net, [prepared(way, picture(labels), labels)], schedule, said.append)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert any(not torch.equal(value, before[key]) for key, value in better.state_dict().items())
    maps = predicted(way, better, picture(labels))
    assert maps.shape == (len(way.outputs), *labels.shape)
    assert way.decode(maps, middle_choice(way)).shape == labels.shape


@pytest.mark.parametrize("name", RULES)
def test_what_is_held_does_not_move_where_nothing_has_moved(name):
    way = WAYS[name]
    logits = torch.randn(2, len(way.outputs), 8, 8)
    free = torch.ones_like(logits)
    assert torch.allclose(way.hold(logits, logits, free), torch.zeros(2), atol=1e-5)
    assert (way.hold(logits + 3, 4 * logits, free) > 0).all()


def test_matches_of_images_add_up_to_the_pooled_score():
    truths, found = [discs(i) for i in range(3)], [np.roll(discs(i), i + 1, 1) for i in range(3)]
    table = counts(truths, found).sum(0)
    ap = evaluate(truths, found).to_dict()["ap"]
    for column, iou in enumerate(IOUS):
        assert table[column] / (table[-1] - table[column]) == pytest.approx(ap[iou])


def test_a_way_is_no_better_than_itself():
    table = counts([discs(i) for i in range(4)], [np.roll(discs(i), 1, 1) for i in range(4)])
    assert all(values == [0, 0, 0] for values in difference(table, table).values())


def test_corrected_objects_leave_the_score():
    labels = discs(8)
    first = int(labels.max())
    mask = labels == first
    assert first not in np.unique(without(labels, mask))
    assert len(np.unique(without(labels, mask))) == len(np.unique(labels)) - 1
    shifted = np.where(mask, 0, labels)
    assert worst(labels, [labels, shifted])[0] == first


def test_share_that_is_known():
    labels = discs(9, (140, 150), 60)
    shares = {name: known_share(way, [(picture(labels), labels)], field=True) for name, way in WAYS.items()}
    assert all(0 < share < 1 for share in shares.values())
    assert shares["classes"] > shares["distance"] >= shares["offsets"]
