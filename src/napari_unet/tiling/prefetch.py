"""Work that other threads do while the network is busy: reading the next tiles, and finishing the last ones."""

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


class Prefetcher:
    """Reads tiles before they are needed; at most two are held, since tiles may be large."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._begun: deque[tuple[Source, Tile, Future[NDArray[np.float32]]]] = deque(maxlen=2)

    def begin(self, source: Source, tile: Tile) -> None:
        """Begin to read a tile, unless that was begun before."""
        if not any(other is source and begun == tile for other, begun, _ in self._begun):
            if len(self._begun) == self._begun.maxlen:
                self._begun[0][2].cancel()
            self._begun.append((source, tile, self._pool.submit(read_tile, source, tile)))

    def __call__(self, source: Source, tile: Tile) -> NDArray[np.float32]:
        """Return the pixels of a tile, prefetched or read now; a prefetched tile is returned only once."""
        for index, (other, begun, future) in enumerate(self._begun):
            if other is source and begun == tile:
                del self._begun[index]
                return future.result()
        return read_tile(source, tile)

    def close(self) -> None:
        """Stop prefetching."""
        self._begun.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


class OrderedThreadPool(Generic[T]):
    """Runs functions in other threads and returns their results in the order in which they were put.

    Parameters
    ----------
    threads : int
        How many. 0: `put` runs the function itself, in the calling thread.
    wait : bool
        Whether leaving the context waits for functions that are running: it must if they write files.
    """

    def __init__(self, threads: int = 1, *, wait: bool = True) -> None:
        self._wait = wait
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ordered") if threads else None
        self._begun: deque[tuple[Future[T], str]] = deque()

    def __enter__(self) -> OrderedThreadPool[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self._begun.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=self._wait, cancel_futures=True)

    def __len__(self) -> int:
        """How many results were not taken yet."""
        return len(self._begun)

    def put(self, work: Callable[[], T], kind: str = "") -> None:
        """Begin to run a function; `kind` is a name for `take`."""
        if self._pool is not None:
            self._begun.append((self._pool.submit(work), kind))
            return
        future: Future[T] = Future()
        future.set_result(work())
        self._begun.append((future, kind))

    def take(self, most: int = 0, kind: str | None = None) -> Iterator[T]:
        """Yield results that are ready; wait until at most `most` are pending.

        Parameters
        ----------
        most : int
            How many may stay pending. What a function raised is raised here, in its turn.
        kind : str, optional
            Stop before the first function of another kind.
        """
        while self._begun and (len(self._begun) > most or self._begun[0][0].done()):
            if kind not in (None, self._begun[0][1]):
                return
            yield self._begun.popleft()[0].result()
