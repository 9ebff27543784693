"""The order of a walk, and how far it is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.guidance.suspects import Reason, Suspects
from napari_unet.guidance.walk import Walk


def suspects(*probabilities: float, first: int = 1) -> Suspects:
    """Return objects with ids from `first`, as likely to be wrong as is said."""
    n = len(probabilities)
    places = np.stack([np.full(n, 5), 10 * np.arange(n)], 1)
    ids = np.arange(first, first + n)
    boxes = np.concatenate([places, places + 5], 1)
    return Suspects(ids, places, boxes, np.array(probabilities, float), np.full(n, int(Reason.SMALL)))


def ids(
    walk: Walk, n: int, near: tuple[int, int] = (0, 0), settled: tuple[int, ...] = (), **options: bool
) -> list[int]:
    found = [walk.next(near, lambda stop: stop.id in settled, **options) for _ in range(n)]
    return [stop.id for stop in found if stop is not None]


def test_suspects_only_or_everything():
    walk = Walk()
    assert walk.next((0, 0), lambda _: False) is None
    walk.take((0, 0), suspects(0.9, 0.5, 0.1, 0.05))
    assert walk.progress() is None
    assert ids(walk, 5) == [1, 2]
    assert (walk.progress().number, walk.progress().total) == (2, 2)
    assert ids(walk, 5, everything=True) == [3, 4]
    assert (walk.progress().number, walk.progress().total) == (4, 4), "of all objects: this is no suspect"
    assert walk.progress(of_planes=3).open
    assert not walk.progress(of_planes=1).open


def test_what_is_settled_is_left_out():
    walk = Walk()
    walk.take((0, 0), suspects(0.9, 0.8, 0.7))
    assert ids(walk, 3, settled=(1, 3)) == [2]


def test_back_and_on_again():
    walk = Walk()
    walk.take((0, 0), suspects(0.9, 0.8, 0.7, 0.6))
    assert walk.previous() is None
    assert ids(walk, 3) == [1, 2, 3]
    assert walk.previous().id == 2
    assert walk.previous().id == 1
    assert walk.previous() is None
    assert walk.current.id == 1
    assert ids(walk, 2, settled=(2,)) == [3, 4], "2 was accepted meanwhile"


def test_once_all_were_shown_they_come_again():
    walk = Walk()
    walk.take((0, 0), suspects(0.9, 0.8))
    assert ids(walk, 3) == [1, 2]
    walk.begin_again()
    assert ids(walk, 3, settled=(1,)) == [2]


def test_the_plane_in_view_first_then_the_nearest():
    walk = Walk()
    for z in range(4):
        walk.take((0, z), suspects(0.9, 0.3, first=10 * z + 1))
    assert ids(walk, 8, near=(0, 2)) == [21, 22, 11, 12, 31, 32, 1, 2]


def test_an_object_of_a_volume_is_a_suspect_once():
    walk = Walk(joins_slices=True)
    walk.take((0, 1), suspects(0.9, 0.1))
    walk.take((0, 0), suspects(0.8, 0.7))
    walk.take((1, 0), suspects(0.8))
    assert ids(walk, 9, near=(0, 1)) == [1, 2, 1]
    assert len(ids(walk, 9, near=(0, 1), everything=True)) == 2, "and in the walk through all, in every slice"


def test_where_nothing_is_likely_to_be_missing_there_is_nothing_to_see():
    walk = Walk()
    found = suspects(0.9, 0.1, 0.05)
    found.ids[:] = 0, 0, 7
    walk.take((0, 0), found)
    assert ids(walk, 5, everything=True) == [0, 7]
    assert walk.objects == 1
    assert walk.waiting() == 0


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1), max_size=6), min_size=1, max_size=4),
    st.lists(st.sampled_from("nNp"), max_size=40),
)
def test_every_object_is_shown_once_and_counted_in_order(planes, keys):
    walk = Walk()
    total = 0
    for z, probabilities in enumerate(planes):
        walk.take((0, z), suspects(*sorted(probabilities, reverse=True), first=100 * z + 1))
        total += len(probabilities)
    seen: list[object] = []
    for key in keys:
        stop = walk.previous() if key == "p" else walk.next((0, 0), lambda _: False, everything=key == "N")
        if stop is not None and not any(stop is other for other in seen):
            seen.append(stop)
        progress = walk.progress(everything=True)
        assert progress is None or 1 <= progress.number <= progress.total == total
    assert len({stop.id for stop in seen}) == len(seen)
