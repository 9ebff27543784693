"""All that is to be learned from is of one class: nothing in it tells that class from another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_unet.models.info import ModelInfo


@dataclass(frozen=True, slots=True)
class OneClass:
    """What is told of it where only a part of the pixels counts: the rest may be of other classes."""

    name: str

    def __str__(self) -> str:
        return f"All that is marked is of one class ({self.name}): mark some of another one, too."


def only_class(info: ModelInfo, classes: Collection[int]) -> OneClass | None:
    """Return which class of a model is the only one in labels; None where there are several."""
    if len(classes) != 1:
        return None
    (index,) = classes
    return OneClass(info.classes[index] if 0 <= index < len(info.classes) else str(index))
