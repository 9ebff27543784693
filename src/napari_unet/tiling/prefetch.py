"""What other threads do while the network is busy: read what comes next, and finish what came before."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from napari_unet.tiling.source import read_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.tiling.grid import Tile
    from napari_unet.tiling.source import Source

T = TypeVar("T")


class ReadAhead:
    """Reads tiles before they are needed: two at most, for they may be large."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._begun: deque[tuple[Source, Tile, Future[NDArray[np.float32]]]] = deque(maxlen=2)

    def begin(self, source: Source, tile: Tile) -> None:
        """Begin to read a tile, if that was not done yet."""
        if not any(other is source and begun == tile for other, begun, _ in self._begun):
            if len(self._begun) == self._begun.maxlen:
                self._begun[0][2].cancel()
            self._begun.append((source, tile, self._pool.submit(read_tile, source, tile)))

    def __call__(self, source: Source, tile: Tile) -> NDArray[np.float32]:
        """Return what a tile reads, at once if it was begun; what was begun is handed out once."""
        for index, (other, begun, future) in enumerate(self._begun):
            if other is source and begun == tile:
                del self._begun[index]
                return future.result()
        return read_tile(source, tile)

    def close(self) -> None:
        """Begin nothing more."""
        self._begun.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Aside(Generic[T]):
    """Does work in other threads, and hands out what comes of it in the order in which it was put.

    Parameters
    ----------
    threads : int
        How many. 0: work is done at once, by whoever puts it.
    wait : bool
        Whether leaving waits for the work under way: it must, where that writes files.
    """

    def __init__(self, threads: int = 1, *, wait: bool = True) -> None:
        self._wait = wait
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aside") if threads else None
        self._begun: deque[tuple[Future[T], str]] = deque()

    def __enter__(self) -> Aside[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self._begun.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=self._wait, cancel_futures=True)

    def __len__(self) -> int:
        """How much was put and not yet taken."""
        return len(self._begun)

    def put(self, work: Callable[[], T], kind: str = "") -> None:
        """Begin some work."""
        if self._pool is not None:
            self._begun.append((self._pool.submit(work), kind))
            return
        future: Future[T] = Future()
        future.set_result(work())
        self._begun.append((future, kind))

    def take(self, most: int = 0, kind: str | None = None) -> Iterator[T]:
        """Yield what is done; wait until no more than `most` is under way.

        Parameters
        ----------
        most : int
            What may stay under way. Errors come where their work is taken.
        kind : str, optional
            Stop before the first work of another kind.
        """
        while self._begun and (len(self._begun) > most or self._begun[0][0].done()):
            if kind not in (None, self._begun[0][1]):
                return
            yield self._begun.popleft()[0].result()
