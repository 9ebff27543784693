"""Buffers are lent to one call at a time, and kept exactly as long as somebody has asked for it."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from napari_unet.nets.buffers import BUFFERS, BufferPool


def test_they_are_kept_while_anybody_is_inside():
    pool = BufferPool()
    with pool, pool:
        with pool.lent() as first:
            first["one"] = torch.zeros(3)
        with pool:
            pass
        with pool.lent() as again:
            assert again is first
    with pool.lent() as fresh:
        assert fresh == {}, "none was kept"


def test_none_is_kept_outside():
    pool = BufferPool()
    with pool.lent() as first:
        first["one"] = torch.zeros(3)
    with pool, pool.lent() as second:
        assert second == {}


def test_two_calls_at_once_have_their_own():
    pool, both = BufferPool(), Barrier(2, timeout=60)

    def call(_):
        with pool.lent() as buffers:
            both.wait()
            return buffers

    with pool, ThreadPoolExecutor(2) as threads:
        one, other = threads.map(call, range(2))
        assert one is not other
        again = list(threads.map(call, range(2)))
        assert {id(one), id(other)} == set(map(id, again))


def test_they_come_back_and_go_after_an_error():
    pool, seen = BufferPool(), []

    def fail():
        with pool.lent() as buffers:
            seen.append(buffers)
            raise KeyError

    def fail_twice():
        with pool:
            with contextlib.suppress(KeyError):
                fail()
            fail()

    for _ in range(2):
        with pytest.raises(KeyError):
            fail_twice()
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert seen[1] is not seen[2], "they were gone when nobody was inside"


def test_no_memory_is_left_behind_by_segmenting(bright_model, blobs):
    """It was garbage that waited for Python's collector: hundreds of megabytes for each image."""
    from napari_unet import segment

    image, _ = blobs((64, 64))
    with BUFFERS:
        segment(image, bright_model(), device="cpu")
        with BUFFERS.lent() as buffers:
            assert buffers, "they are kept for the next image where there is one"
    with BUFFERS.lent() as buffers:
        assert buffers == {}
