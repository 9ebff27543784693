"""Corrections of images of the work list that are not open: read from their projects when something is learned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import in_words
from napari_unet.learning.annotations import AnnotatedCrop, annotated_crops
from napari_unet.projects.project import Project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


class StoredCorrections:
    """Says where corrections lie that no open image has.

    Parameters
    ----------
    work_list : WorkList
    """

    def __init__(self, work_list: WorkList) -> None:
        self._list = work_list

    @property
    def reviewed(self) -> bool:
        """Whether something is reviewed in an image of the list."""
        return any(state.reviewed_share > 0 for state in self._list.states)

    def projects(self) -> list[Path]:
        """Return the projects of the images of the list, but the one in view, that hold work of the user."""
        work_list = self._list
        return [work_list.project(index) for index in work_list.has_work() if index != work_list.in_view]


@dataclass(frozen=True, slots=True, eq=False)
class LearnedFrom:
    """All that is to be learned from at a time, as the window hands it to the worker.

    Attributes
    ----------
    crops : sequence of AnnotatedCrop
        Of the images that are open.
    projects : sequence of Path
        Of those that are not.
    changed : frozenset of Path
        Projects that may have changed since they were read.
    """

    crops: Sequence[AnnotatedCrop]
    projects: Sequence[Path] = ()
    changed: frozenset[Path] = frozenset()


@dataclass(slots=True, eq=False)
class ProjectCrops:
    """Reads annotated crops from projects, once each (worker).

    Attributes
    ----------
    model : Model
        What is to learn.
    cancel : CancelToken
    unread : dict
        Projects that could not be read, and why.
    """

    model: Model
    cancel: CancelToken
    unread: dict[Path, str] = field(default_factory=dict)
    _read: dict[Path, list[AnnotatedCrop]] = field(default_factory=dict)

    def all_of(self, given: LearnedFrom) -> list[AnnotatedCrop]:
        """Return the crops of open images and of projects."""
        for path in given.changed:
            self._read.pop(path, None)
        for path in given.projects:
            if path not in self._read and not self.cancel.cancelled:
                self._read[path] = self._crops(path)
        return [*given.crops, *(crop for path in given.projects for crop in self._read.get(path, ()))]

    def _crops(self, path: Path) -> list[AnnotatedCrop]:
        try:
            project = Project.open(path, cancel=self.cancel)
            labels = project.image.canonical_labels(project.labels)
            return annotated_crops(project.image, labels, project.corrections, self.model, project.channel)
        except UNetError as error:
            self.unread[path] = " ".join(filter(None, in_words(error)))
            return []
