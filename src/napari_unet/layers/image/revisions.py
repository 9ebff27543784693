"""Counts how often the data of an image layer were replaced: images that are made of the same data are the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Hashable


class _Revision:
    """Counts how often the data of a layer were replaced; kept alive by the layer's own event alone."""

    def __init__(self, layer: Any) -> None:
        self.number = 0
        layer.events.data.connect(lambda event=None: self._count())  # a bound method would be held weakly

    def _count(self) -> None:
        self.number += 1


_revisions: WeakValueDictionary[Hashable, _Revision] = WeakValueDictionary()


def revision_of(layer: Any) -> int:
    """Return how often the data of a layer were replaced since this was asked first.

    Data that are put back in place of themselves count as replaced: that is how napari is told that they were changed.
    """
    revision = _revisions.get(layer.unique_id)
    if revision is None:
        revision = _revisions[layer.unique_id] = _Revision(layer)
    return revision.number
