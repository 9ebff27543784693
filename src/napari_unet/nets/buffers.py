"""Memory that networks use one after the other, as new memory takes time: the system clears every page of it.

Segmenting an image of 1024 x 1024 pixels writes to 200 MB of it, which takes a sixth of the time if all is new
(docs/decisions/0034-speed.md).
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class BufferPool:
    """Lends buffers to calls of networks, and keeps them for later calls while anybody is inside.

    As a context manager it can be entered several times, also from several threads. When the last has left, no memory
    is kept; where nobody is inside, each call gets memory of its own.

    Examples
    --------
    >>> pool = BufferPool()
    >>> with pool:
    ...     with pool.lent() as buffers:
    ...         buffers["skip 0"] = torch.zeros(8)
    ...     with pool.lent() as again:
    ...         assert again is buffers
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._free: list[dict[str, Tensor]] = []

    def __enter__(self) -> BufferPool:
        with self._lock:
            self._inside += 1
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._free.clear()

    @contextmanager
    def lent(self) -> Iterator[dict[str, Tensor]]:
        """Give buffers, by name, to one call, which may replace them and add others; nobody else has them meanwhile."""
        with self._lock:
            buffers = self._free.pop() if self._free else {}
        try:
            yield buffers
        finally:
            with self._lock:
                if self._inside:
                    self._free.append(buffers)


BUFFERS = BufferPool()
"""The buffers of `nets.blocked`. Whoever runs a network on several tiles or images enters it around all of them."""
