"""Ids that turn out to be of the same object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class DisjointSets:
    """Union-find (Tarjan 1975) over the ids 1, 2, ..."""

    parent: list[int] = field(default_factory=lambda: [0])

    def grow(self, count: int) -> NDArray[np.int32]:
        """Add ids, each on its own, and return them."""
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return np.arange(first, first + count, dtype=np.int32)

    def root(self, label: int) -> int:
        """Return the least id that is of the same object."""
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def join(self, a: int, b: int) -> None:
        """Make one object of two."""
        a, b = self.root(a), self.root(b)
        self.parent[max(a, b)] = min(a, b)

    def table(self) -> NDArray[np.int32]:
        """Return the number of the object of each id: 1, 2, ... without gaps; that of 0 is 0."""
        roots = np.array([self.root(label) for label in range(len(self.parent))], np.int64)
        _, ranks = np.unique(roots, return_inverse=True)
        return ranks.astype(np.int32)  # the root of 0 is 0, the first
