"""What an index of numpy stands for."""

from __future__ import annotations

from typing import Any


def full_index(index: Any, ndim: int) -> tuple[Any, ...]:
    """Return an index with one entry for each axis, of which one or more may be missing or stand for all others."""
    picks = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis not in picks:
        picks.append(Ellipsis)
    where = picks.index(Ellipsis)
    picks[where : where + 1] = [slice(None)] * (ndim - len(picks) + 1)
    return tuple(picks)
