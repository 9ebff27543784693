"""Renames keys in files that were written by an earlier version of the program, when they are read.

A file says which version of its format it has. Each format has a table of what was renamed since the first one:
`models.header.RENAMED` for model files, `projects.description.RENAMED` for projects and their journals. A new name is
one more line in such a table, and the format's next version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a JSON object that has another name now.

    Attributes
    ----------
    version : int
        First version of the format that has the new name.
    path : str
        The old key after those of the objects around it, joined by dots; ``*`` stands for every item of a list.
    new : str, optional
        The key now, in the same object. None: it is left out.
    """

    version: int
    path: str
    new: str | None

    def apply(self, document: dict[str, Any]) -> None:
        """Rename the key wherever it is."""
        *parents, old = self.path.split(".")
        for parent in _objects(document, parents):
            if old in parent:
                value = parent.pop(old)
                if self.new is not None:
                    parent[self.new] = value


@dataclass(frozen=True, slots=True)
class Value:
    """A text in a JSON object that is another now.

    Attributes
    ----------
    version : int
        First version of the format that has the new text.
    path : str
        Its key, as in `Key`.
    old, new : str
        The text before and now; others stay.
    """

    version: int
    path: str
    old: str
    new: str

    def apply(self, document: dict[str, Any]) -> None:
        """Replace the text wherever it is."""
        *parents, key = self.path.split(".")
        for parent in _objects(document, parents):
            if parent.get(key) == self.old:
                parent[key] = self.new


def up_to_date(document: Any, version: int, table: Sequence[Key | Value]) -> Any:
    """Return a JSON document of an earlier version of a format with the current names; it is changed in place.

    Parameters
    ----------
    document : object
        Parsed JSON. What does not follow the format stays as it is; checking it is the caller's task.
    version : int
        Of the format, as the document says.
    table : sequence of Key or Value
        In the order in which they are applied: what lies within a renamed key comes before it.
    """
    if isinstance(document, dict):
        for renamed in table:
            if version < renamed.version:
                renamed.apply(document)
    return document


def _objects(value: Any, path: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects at a path."""
    if not path:
        if isinstance(value, dict):
            yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list) else ():
            yield from _objects(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _objects(value[path[0]], path[1:])
