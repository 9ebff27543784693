"""The models of a work list: written into its folder once each, and named in its description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import reason
from napari_unet.projects.models import WrittenModels
from napari_unet.projects.work_list import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.layers.model_history import ModelHistory
    from napari_unet.learning.history import Generation
    from napari_unet.projects.work_list import WorkListDescription


@dataclass(frozen=True, slots=True, eq=False)
class ListedModels:
    """The models of a history at a time, so that a worker can write them."""

    generations: tuple[Generation, ...]
    current: int
    waiting: Generation | None

    @classmethod
    def of(cls, history: ModelHistory) -> ListedModels:
        """Return those that there are now."""
        return cls(tuple(history.generations), history.current, history.waiting)

    @property
    def learned(self) -> bool:
        """Whether anything was learned; else the list need not hold them: they can be chosen again."""
        return any(one.learned for one in self.generations) or self.waiting is not None


class ModelWriter:
    """Writes the models of a list (worker)."""

    def __init__(self) -> None:
        self._written = WrittenModels()

    def forget(self) -> None:
        """Take note that there is another list."""
        self._written = WrittenModels()

    def noted(self, models: ListedModels, said: WorkListDescription, folder: Path) -> WorkListDescription:
        """Return a description that names the models, whose files are then in the folder of the list.

        Raises
        ------
        FileFormatError, ModelFileError
            If they cannot be written.
        """
        if not models.learned:
            return said
        try:
            (folder / MODELS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileFormatError(f"{folder} could not be written: {reason(error)}.") from error
        references = self._written.references(models.generations, folder / MODELS)
        waiting = self._written.reference(models.waiting, folder / MODELS) if models.waiting is not None else None
        return said.model_copy(update={"models": references, "current": models.current, "waiting": waiting})
