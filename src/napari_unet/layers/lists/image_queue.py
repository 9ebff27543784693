"""Which images of the list wait to be segmented, shared by the window and the worker."""

from __future__ import annotations

import threading

from napari_unet.progress import CancelToken


class ImageQueue:
    """Indices of images: the nearest to the one in view is next, and that one itself is left to the window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._in_view: int | None = None
        self._current: tuple[int, CancelToken] | None = None

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
            return False

    def take(self) -> tuple[int, CancelToken] | None:
        """Return the next image, and what stops it; None: there is none (worker)."""
        with self._lock:
            near = self._in_view if self._in_view is not None else 0
            waiting = sorted(self._waiting - {self._in_view}, key=lambda index: (abs(index - near), -index))
            if not waiting:
                return None
            self._waiting.discard(waiting[0])
            self._current = waiting[0], CancelToken()
            return self._current

    def ended(self) -> None:
        """Take note that the image under way is not any more (worker)."""
        with self._lock:
            self._current = None

    def stop_current(self) -> None:
        """Stop the image under way, which is not saved then."""
        with self._lock:
            if self._current is not None:
                self._current[1].cancel()
