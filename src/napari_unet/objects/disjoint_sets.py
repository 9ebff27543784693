"""Disjoint sets of ids: which ids were found to be of the same object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class DisjointSets:
    """Union-find (Tarjan 1975, doi:10.1145/321879.321884) over the ids 1, 2, ..."""

    parent: list[int] = field(default_factory=lambda: [0])

    def grow(self, count: int) -> NDArray[np.int32]:
        """Add so many ids, each in a set of its own, and return them."""
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return np.arange(first, first + count, dtype=np.int32)

    def root(self, label: int) -> int:
        """Return the smallest id of the set that an id is in."""
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def join(self, a: int, b: int) -> None:
        """Join the sets of two ids."""
        a, b = self.root(a), self.root(b)
        self.parent[max(a, b)] = min(a, b)

    def table(self) -> NDArray[np.int32]:
        """Return for each id the number of its set: 1, 2, ... without gaps; 0 stays 0."""
        roots = np.array([self.root(label) for label in range(len(self.parent))], np.int64)
        _, ranks = np.unique(roots, return_inverse=True)
        return ranks.astype(np.int32)  # the root of 0 is 0, the first
