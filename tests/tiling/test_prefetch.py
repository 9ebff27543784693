"""Work in other threads: in order, bounded, and its errors come where it is taken."""

import threading

import numpy as np
import pytest

from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.prefetch import OrderedThreadPool, Prefetcher
from napari_unet.tiling.source import ArraySource, read_tile


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_work(threads):
    with OrderedThreadPool(threads) as aside:
        for number in range(5):
            aside.put(lambda number=number: number)
        assert list(aside.take()) == [0, 1, 2, 3, 4]
        assert list(aside.take()) == []


def test_no_more_than_asked_for_stays_under_way():
    gate = threading.Event()
    with OrderedThreadPool(1) as aside:
        aside.put(lambda: 1)
        aside.put(gate.wait)
        aside.put(lambda: 3)
        assert list(aside.take(2)) == [1]
        assert len(aside) == 2
        assert list(aside.take(2)) == [], "it does not wait for what may stay"
        gate.set()
        assert list(aside.take()) == [True, 3]


def test_only_one_kind_is_taken():
    with OrderedThreadPool(0) as aside:
        aside.put(lambda: 1, "a")
        aside.put(lambda: 2, "b")
        aside.put(lambda: 3, "a")
        assert list(aside.take(kind="a")) == [1]
        assert list(aside.take()) == [2, 3]


@pytest.mark.parametrize("threads", [0, 1])
def test_an_error_comes_where_the_work_is_taken(threads):
    def fail():
        raise ValueError("broken")

    def attempt():
        with OrderedThreadPool(threads) as aside:
            aside.put(fail)
            list(aside.take())

    with pytest.raises(ValueError, match="broken"):
        attempt()


def test_leaving_waits_for_what_writes_and_drops_the_rest():
    begun, gate, done = threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        gate.wait(60)
        done.append(1)

    with OrderedThreadPool(1) as aside:
        aside.put(slow)
        aside.put(lambda: done.append(2))
        _, (second, _) = aside._begun
        second.add_done_callback(lambda _: gate.set())  # when it is dropped, the first is still at work
        assert begun.wait(60)
    assert done == [1]


class Counting(ArraySource):
    def __init__(self):
        super().__init__(np.random.default_rng(0).random((1, 96, 96), np.float32))
        self.threads = []

    def read(self, region):
        self.threads.append(threading.current_thread().name)
        return super().read(region)


def test_a_tile_is_read_once_and_before_it_is_needed():
    source, other = Counting(), Counting()
    first, second, *_ = make_plan(UNetSpec(features=2, levels=1), (96, 96), 32).tiles
    reader = Prefetcher()
    reader.begin(source, first)
    reader.begin(source, second)
    reader.begin(source, first)
    assert np.array_equal(reader(source, first), read_tile(other, first))
    assert np.array_equal(reader(source, second), read_tile(other, second))
    assert len(source.threads) == 2
    assert all(name.startswith("read") for name in source.threads)
    assert np.array_equal(reader(source, first), read_tile(other, first)), "what was not begun is read all the same"
    assert source.threads[-1] == threading.current_thread().name
    reader.close()


def test_what_is_not_needed_after_all_makes_room():
    source = Counting()
    tiles = make_plan(UNetSpec(features=2, levels=1), (96, 96), 32).tiles
    reader = Prefetcher()
    for tile in tiles[:5]:
        reader.begin(source, tile)
    assert len(reader._begun) == 2
    for tile in tiles[:5]:
        assert reader(source, tile).shape == (1, *tile.read_shape)
    reader.close()


def test_an_error_of_reading_is_that_of_the_tile_that_needs_it():
    class Broken(Counting):
        def read(self, region):
            raise OSError("gone")

    source, (tile, *_) = Broken(), make_plan(UNetSpec(features=2, levels=1), (96, 96), 32).tiles
    reader = Prefetcher()
    reader.begin(source, tile)
    with pytest.raises(OSError, match="gone"):
        reader(source, tile)
    reader.close()
