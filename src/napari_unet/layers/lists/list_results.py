"""Results of all images of the work list: measured and exported in the background, read from their projects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import Job
from napari_unet.layers.measuring.copy_job import CopyJob
from napari_unet.layers.measuring.exporter import in_words, short_path
from napari_unet.layers.measuring.results import place_of
from napari_unet.measuring.commands import ListRecipe, list_as_command, list_as_python
from napari_unet.measuring.export import existing, export_steps, planned
from napari_unet.measuring.methods import methods
from napari_unet.objects.summary import in_one_sentence
from napari_unet.progress import counted
from napari_unet.projects.results import measure_steps, of_images
from napari_unet.projects.work_list import JUDGED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.display.marked_objects import MarkedObjects
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.lists.image_switch import ImageSwitch
    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.layers.measuring.exporter import Request
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.measuring.export import Item, Report
    from napari_unet.objects.table import Table
    from napari_unet.projects.results import Measured, ProjectFile
    from napari_unet.projects.work_list import ImageState


class ListResults:
    """Measures and exports all images of the work list that have labels.

    The image in view is stored first. All are then read from their projects, one at a time, so that it does not matter
    which is shown meanwhile.

    Parameters
    ----------
    workspace : Workspace
    work_list : WorkList
    image_switch : ImageSwitch
        Stores the image in view, and goes to others.
    marks : MarkedObjects
        Outlines the objects that are picked in a chart, as far as they are in view.
    runner : Runner
        Where it runs.
    """

    changed = Signal()  # what is measured, whether it is as of now, or how far it is

    def __init__(
        self,
        workspace: Workspace,
        work_list: WorkList,
        image_switch: ImageSwitch,
        marks: MarkedObjects,
        runner: Runner,
    ) -> None:
        self._workspace, self._list, self._switch, self._marks = workspace, work_list, image_switch, marks
        self._measured: Measured | None = None
        self._indices: dict[str, int] = {}  # of the images that were measured, by their names in the table
        self._known: list[tuple[str, int | None]] = []  # the images of the list that was measured
        self._done: Request | None = None
        self._stale = False
        self._states: list[ImageState] = []  # of the images that were measured
        self._counted: Summary | None = None  # corrections of the image in view, as they are measured
        self._pending: tuple[int, tuple[int, int, float, float]] | None = None  # an object whose image is on its way
        self._measuring = CopyJob(workspace, runner, "Stopped. Nothing was measured.")
        self.jobs = CopyJob(workspace, runner, "Stopped. Files that are complete stay.")
        self._measuring.changed.connect(self.changed)
        self.jobs.changed.connect(self.changed)
        workspace.corrected.connect(self._on_corrected)
        workspace.relabelled.connect(self._on_relabelled)
        work_list.state_changed.connect(self._on_state)
        work_list.extended.connect(self._on_extended)
        work_list.changed.connect(self._on_list)
        image_switch.changed.connect(self._on_switch)

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def indices(self) -> list[int]:
        """Indices of the images that have labels."""
        work_list = self._list
        sure = ("segmented", "corrected", "reviewed")
        return [
            index
            for index, state in enumerate(work_list.states)
            if state.kind in sure or (state.kind != "to do" and work_list.project(index).is_dir())
        ]

    @property
    def busy(self) -> bool:
        """Whether it measures."""
        return self._measuring.busy

    @property
    def table(self) -> Table | None:
        """The measurements of all images; None: nothing was measured yet."""
        return None if self._measured is None else self._measured.table

    @property
    def is_stale(self) -> bool:
        """Whether labels may have changed since they were measured."""
        return self._measured is not None and self._stale

    @property
    def sentence(self) -> str:
        """What was measured, or how far it is; empty: nothing yet."""
        progress = self._measuring.progress
        if progress is not None:
            return f"Measured {progress.done} of {counted(progress.total, 'image')}."
        found = self._measured
        return "" if found is None else f"{counted(len(found.tables), 'image')}: {in_one_sentence(found.table)}."

    def start_folder(self) -> Path | None:
        """Return a folder for results, beside the images; None: there is no list."""
        return self._list.file(0).parent / "results" if self._list.images else None

    # -- measure ---------------------------------------------------------------------------------------------------

    def measure(self) -> bool:
        """Measure all objects of all images; return whether it began."""
        return self._begin(self._measure)

    def stop(self) -> None:
        """Stop measuring."""
        self._measuring.stop()

    def close(self) -> None:
        """Stop, and tell nobody; files that are complete stay."""
        self._measuring.close()
        self.jobs.close()

    def _measure(self) -> None:
        job, projects, indices = Job("Measure all images"), self._projects(), self._stored()
        mixed = self._mixed()

        def done(found: Measured) -> None:
            self._measured = found
            self._indices = dict(zip((one.name for one in projects), indices, strict=True))
            self._known = [one.key for one in self._list.images]
            what = f"Measured {counted(len(found.table), 'object')} in {counted(len(found.tables), 'image')}."
            each = [f"{name}: {in_one_sentence(table)}" for name, table in found.tables.items()]
            notes = [_with_advice(mixed), _calibration(found), *found.table.notes]
            details = "\n".join(filter(None, [*found.failed, *notes, *each]))
            if found.failed:
                what = f"{what[:-1]}. {counted(len(found.failed), 'image')} could not be: see Details."
            elif mixed:
                what = f"{what} {mixed}: see Details."
            self._workspace.say(what, "error" if found.failed else "warning" if mixed else "done", details)
            self.changed.emit()

        self._take_note()
        self._workspace.say(f"Measuring {counted(len(projects), 'image')}. You can go on working.")
        self._measuring.start(job, [], partial(measure_steps, projects, cancel=job.cancel), done)

    # -- export ----------------------------------------------------------------------------------------------------

    def existing(self, request: Request) -> list[Path]:
        """Return which files an export would replace.

        Raises
        ------
        UNetError
            If nothing is chosen, or there is nothing to export.
        """
        return existing(planned([one.item() for one in self._projects()], request.kinds, request.folder))

    def export(self, request: Request, *, overwrite: bool = False) -> bool:
        """Write the results of all images; return whether it began. For `overwrite` see `Exporter.export`."""
        return self._begin(partial(self._export, request, overwrite))

    def _export(self, request: Request, overwrite: bool) -> None:
        job, projects, mixed = Job("Export all images"), self._projects(), self._mixed()
        items: list[Item] = [one.item(job.cancel) for one in projects]
        keep = [self._list.file(index) for index in range(len(self._list.images))]
        steps = partial(
            export_steps, items, request.kinds, request.folder, overwrite=overwrite, keep=keep, cancel=job.cancel
        )

        def done(report: Report) -> None:
            self._done, self._known = request, [one.key for one in self._list.images]
            report.notes[:0] = [_with_advice(mixed)] if mixed else []
            self._workspace.say(*in_words(report, request.folder))

        if not self.jobs.busy:
            self._workspace.say(f"Exporting {counted(len(items), 'image')} to {short_path(request.folder)}.")
        self.jobs.start(job, [], steps, done)

    # -- how it was done -------------------------------------------------------------------------------------------

    def command(self) -> str:
        """Return commands that give the results of the list again.

        Raises
        ------
        UNetError
            If none do: the sentence says why.
        """
        return list_as_command(self._recipe())

    def python(self) -> str:
        """Return a script that gives the results of the list again; errors as of `command`."""
        return list_as_python(self._recipe())

    def methods(self) -> str:
        """Return a paragraph for a paper, about all images that were measured.

        Raises
        ------
        UNetError
            If none was.
        """
        if self._measured is None:
            raise UNetError("Press Measure first: then it is known how each image was segmented.")
        return methods(self._measured.origins, len(self._measured.table), measured=True)

    def _recipe(self) -> ListRecipe:
        saved = self._list.saved_as
        if saved is None:
            raise UNetError("Commands need the list in a place of its own. Save it first (Images: ⋮).")
        done = self._done
        folder = self.start_folder() if done is None else done.folder
        assert folder is not None  # there is a list
        again = folder.with_name(f"{folder.name}_again")  # nothing that is there is written over
        return ListRecipe(saved, () if done is None else done.kinds, again)

    # -- the objects of a chart ------------------------------------------------------------------------------------

    def mark(self, rows: NDArray[np.bool_] | None) -> None:
        """Outline the objects of some rows of the table, as far as their image is in view; None: none."""
        session, table = self._switch.shown.session, self.table
        if table is None:
            return
        chosen = np.zeros(len(table), bool) if rows is None else rows
        name = next((name for name, index in self._indices.items() if index == self._list.in_view), None)
        here = chosen & (table["image"] == name)
        labels = np.unique(table["label"][here]).tolist()
        if session is not None and session.corrections.instances:
            self._marks.show(session, labels)
        if chosen.any():
            images = len(np.unique(table["image"][chosen]))
            total, shown = counted(int(chosen.sum()), "object"), f"{len(labels):,} of them in this one, in yellow"
            self._workspace.say(f"{total} selected in {counted(images, 'image')}, {shown}.")

    def go_to(self, row: int) -> None:
        """Show the image of a row of the table, and move the view to the object."""
        table = self.table
        if table is None or not 0 <= row < len(table):
            return
        index = self._indices.get(str(table["image"][row]))
        if index is None:
            return
        self._pending = index, place_of(table, row)
        self._switch.go_to(index)
        self._on_switch()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, begin: Callable[[], object]) -> bool:
        """Store the image in view, then begin; return whether there is something to do."""
        if self._measuring.busy or self.jobs.busy:
            self._workspace.say("This is under way already. Wait for it, or press Stop.", "error")
            return False
        if not self.indices:
            self._workspace.say("No image of the list is segmented yet. Press Segment all first.", "error")
            return False
        if self._switch.busy:
            self._workspace.say("Another image is being opened. Wait until that is done.", "error")
            return False
        self._switch.store(begin)
        return True

    def _projects(self) -> list[ProjectFile]:
        """Return the projects of the images that have labels.

        Raises
        ------
        UNetError
            If there are none.
        """
        folder, indices = self._list.folder, self._stored()
        if folder is None or not indices:
            raise UNetError("No image of the list is segmented yet. Press Segment all first.")
        return of_images([self._list.images[index] for index in indices], folder)

    def _stored(self) -> list[int]:
        """Return the indices of the images that have a project."""
        return [index for index in self.indices if self._list.project(index).is_dir()]

    def _mixed(self) -> str:
        """Return a note where not one model, with one setting, has made all labels; empty where one has."""
        made = {self._list.states[index].segmented_by for index in self.indices}
        if len(made) < 2:
            return ""
        return f"Several {'models' if len({one.sha256 for one in made}) > 1 else 'settings'} made these labels"

    def _take_note(self) -> None:
        """Take note of how far the images are as they are measured."""
        session = self._switch.shown.session
        self._stale, self._states = False, [_as_measured(state) for state in self._list.states]
        self._counted = None if session is None else session.summary

    def _note_stale(self) -> None:
        if self._measured is not None and not self._stale:
            self._stale = True
            self.changed.emit()

    def _on_corrected(self, summary: Summary) -> None:
        session = self._switch.shown.session
        if session is None or session is not self._workspace.session:
            return
        if self._counted is not None and summary != self._counted:
            self._note_stale()
        self._counted = summary

    def _on_relabelled(self, session: LayerSession) -> None:
        if session is self._switch.shown.session:
            self._note_stale()

    def _on_state(self, index: int) -> None:
        if index >= len(self._states) or self._states[index] != _as_measured(self._list.states[index]):
            self._note_stale()
        self.changed.emit()

    def _on_extended(self, *_: int) -> None:
        self.changed.emit()

    def _on_list(self) -> None:
        """Let go of what is known of another list; the same one may have been saved elsewhere."""
        if self._known != [one.key for one in self._list.images][: len(self._known)]:
            self._measuring.stop()
            self._measured = self._done = self._pending = None
            self._indices, self._known = {}, []
        self.changed.emit()

    def _on_switch(self) -> None:
        """Move the view to the object whose image has come."""
        if self._switch.busy:
            self._counted = None  # that of the image that comes
            return
        if self._counted is None and self._switch.shown.session is not None:
            self._counted = self._switch.shown.session.summary
        if self._pending is None:
            return
        (index, place), self._pending = self._pending, None
        session = self._switch.shown.session
        if self._list.in_view == index and session is not None:
            session.geometry.move_view_to(self._workspace.viewer, place)


def _calibration(found: Measured) -> str:
    """Return a note where not all images have a pixel size; empty where all have, or none."""
    known = sum(table.known("area_um2") + table.known("volume_um3") > 0 for table in found.tables.values())
    total = len(found.tables)
    if known in (0, total):
        return ""
    return f"Sizes in µm are known of {known} of {total} images: the others have no pixel size."


def _with_advice(mixed: str) -> str:
    """Return a note of `ListResults` as a sentence that says what to do; empty where there is none."""
    return mixed and f"{mixed}. Segment all brings them up to date."


def _as_measured(state: ImageState) -> ImageState:
    """Return a state as far as measurements depend on it."""
    return state.model_copy(update=dict.fromkeys(JUDGED))
