"""Which images of the list wait to be segmented, shared by the window and the worker."""

from __future__ import annotations

import threading

from napari_unet.progress import CancelToken


class ImageQueue:
    """Indices of images: the nearest to the one in view is next, and that one itself is left to the window.

    One image is under way here, and any number with the workers of a cluster. Those are let go of at once, because
    nothing of them is saved before they are claimed back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._in_view: int | None = None
        self._current: tuple[int, CancelToken] | None = None
        self._sent: dict[int, CancelToken] = {}
        self._only_here: set[int] = set()

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def __contains__(self, index: object) -> bool:
        with self._lock:
            return index in self._waiting

    def fill(self, indices: set[int]) -> None:
        """Let these wait, and no others."""
        with self._lock:
            self._waiting = set(indices)
            self._only_here.clear()

    def put_back(self, index: int) -> None:
        """Let an image wait that was taken."""
        with self._lock:
            self._waiting.add(index)

    def discard(self, index: int) -> None:
        """Let an image wait no longer."""
        with self._lock:
            self._waiting.discard(index)

    def come_near(self, index: int | None) -> bool:
        """Do next what is near an image that comes into view; return whether that is under way: it is stopped then."""
        with self._lock:
            self._in_view = index
            if self._current is not None and self._current[0] == index:
                self._current[1].cancel()
                return True
            sent = self._sent.pop(index, None) if index is not None else None
            if index is not None and sent is not None:
                sent.cancel()
                self._waiting.add(index)
            return False

    def take(self) -> tuple[int, CancelToken] | None:
        """Return the next image, and what stops it; None: there is none (worker)."""
        with self._lock:
            index = self._next(set())
            if index is None:
                return None
            self._current = index, CancelToken()
            return self._current

    def _next(self, without: set[int]) -> int | None:
        near = self._in_view if self._in_view is not None else 0
        waiting = self._waiting - {self._in_view} - without
        index = min(waiting, key=lambda index: (abs(index - near), -index), default=None)
        if index is not None:
            self._waiting.discard(index)
        return index

    # -- with the workers of a cluster -----------------------------------------------------------------------------

    def send(self, token: CancelToken) -> int | None:
        """Return the next image that a cluster may do, which `token` gives up; None: there is none (worker)."""
        with self._lock:
            index = self._next(self._only_here)
            if index is not None:
                self._sent[index] = token
            return index

    def claim(self, index: int, token: CancelToken) -> bool:
        """Have an image that was sent be under way here; return whether it was not given up meanwhile (worker)."""
        with self._lock:
            if self._sent.get(index) is not token or token.cancelled:
                return False
            del self._sent[index]
            self._current = index, token
            return True

    def keep_here(self, index: int) -> None:
        """Let an image wait that was to be sent, or was; from now on it is sent to no cluster (worker)."""
        with self._lock:
            self._sent.pop(index, None)
            self._only_here.add(index)
            self._waiting.add(index)

    def give_up(self) -> list[int]:
        """Give up all images that were sent, and return which they are (worker)."""
        with self._lock:
            given, self._sent = self._sent, {}
            for token in given.values():
                token.cancel()
            return sorted(given)

    def ended(self) -> None:
        """Take note that the image under way is not any more (worker)."""
        with self._lock:
            self._current = None

    def stop_current(self) -> None:
        """Stop the image under way, and those that were sent; they are not saved then."""
        with self._lock:
            for token in (*([self._current[1]] if self._current is not None else []), *self._sent.values()):
                token.cancel()
