"""Exports the results of sessions in the background, and tells how to make them again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from napari_unet.errors import UNetError
from napari_unet.io.zarrs import is_zarr
from napari_unet.layers.image import adapter
from napari_unet.layers.jobs import Job
from napari_unet.layers.measuring.copy_job import CopyJob
from napari_unet.layers.measuring.snapshot import snapshot_of
from napari_unet.layers.workspace import with_notes
from napari_unet.measuring.commands import LABEL_KINDS, Recipe, as_command, as_python
from napari_unet.measuring.export import Item, existing, export_steps, planned
from napari_unet.measuring.kinds import Kind
from napari_unet.measuring.methods import methods
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.measuring.made_by import MadeBy
    from napari_unet.layers.measuring.results import Results
    from napari_unet.layers.measuring.snapshot import Snapshot
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Level, Workspace
    from napari_unet.measuring.export import Report

Extent = Literal["this", "all", "list"]
"""Of which images: the chosen one, all that are open and segmented, or all of the work list that have labels."""


@dataclass(frozen=True, slots=True)
class Request:
    """An export that is asked for."""

    kinds: tuple[Kind, ...]
    folder: Path
    extent: Extent = "this"


class Exporter:
    """Writes results to files.

    Parameters
    ----------
    workspace : Workspace
    made_by : MadeBy
        Knows which models made the labels.
    results : Results
        Know how much was measured.
    runner : Runner
        Where reading and writing run.

    Attributes
    ----------
    kinds : tuple of Kind
        What was chosen last in this window.
    """

    def __init__(self, workspace: Workspace, made_by: MadeBy, results: Results, runner: Runner) -> None:
        self.kinds: tuple[Kind, ...] = (Kind.measurements, Kind.imagej_tiff)
        self._workspace, self._made_by, self._results = workspace, made_by, results
        self._done: dict[Hashable, tuple[Request, list[Path]]] = {}  # and the label files of each session
        self.jobs = CopyJob(workspace, runner, "Stopped. Files that are complete stay.")
        workspace.session_closing.connect(self._on_closing)

    def sessions(self, extent: Extent) -> list[LayerSession]:
        """Return the sessions that an export is about.

        Raises
        ------
        UNetError
            If there are none.
        """
        session = self._workspace.session
        found = self._workspace.sessions if extent == "all" else [session] if session is not None else []
        if not found:
            raise UNetError("There are no objects yet. Press Segment first.")
        return found

    @property
    def in_zarr(self) -> bool:
        """Whether the chosen image is a Zarr, into which its labels can be written."""
        session = self._workspace.session
        return session is not None and _zarr_of(session) is not None

    def start_folder(self) -> Path | None:
        """Return a folder for results, beside the chosen image; None: that has no file."""
        session = self._workspace.session
        source = None if session is None else adapter.source_of(session.layer)
        return None if source is None else source.parent / "results"

    def existing(self, request: Request) -> list[Path]:
        """Return which files an export would replace.

        Raises
        ------
        UNetError
            If nothing is chosen, or there is nothing to export.
        """
        items = [self._item(session, Job("")) for session in self.sessions(request.extent)]
        return existing(planned(items, request.kinds, request.folder))

    def export(self, request: Request, *, overwrite: bool = False) -> bool:
        """Write results; return whether it began. Existing files are replaced only if that is said."""
        workspace, job = self._workspace, Job("Export")
        try:
            sessions = self.sessions(request.extent)
            items = [self._item(session, job) for session in sessions]
            plan = planned(items, request.kinds, request.folder)
        except UNetError as error:
            workspace.say_error(error)
            return False
        keep = [path for layer in workspace.viewer.layers if (path := adapter.source_of(layer)) is not None]
        steps = partial(
            export_steps, items, request.kinds, request.folder, overwrite=overwrite, keep=keep, cancel=job.cancel
        )

        def done(report: Report) -> None:
            for number, session in enumerate(sessions):
                labels = {one.kind: one.path for one in plan if one.item == number}
                self._done[session.key] = request, [labels[kind] for kind in LABEL_KINDS if kind in labels]
            workspace.say(*in_words(report, request.folder))

        if not self.jobs.busy:
            workspace.say(f"Exporting {counted(len(items), 'image')} to {short_path(request.folder)}.")
        return self.jobs.start(job, sessions, steps, done)

    def close(self) -> None:
        """Stop, and tell nobody; files that are complete stay."""
        self.jobs.close()

    # -- how it was done -------------------------------------------------------------------------------------------

    def command(self) -> str:
        """Return commands that give the results of the chosen image again.

        Raises
        ------
        UNetError
            If none do: the sentence says why.
        """
        return as_command(self._recipe())

    def python(self) -> str:
        """Return a script that gives the results of the chosen image again; errors as of `command`."""
        return as_python(self._recipe())

    def methods(self) -> str:
        """Return a paragraph for a paper, about all images that are open and segmented.

        Raises
        ------
        UNetError
            If none is.
        """
        sessions = self.sessions("all")
        counts = [count for session in sessions if (count := self._results.count(session)) is not None]
        exported = any(Kind.measurements in request.kinds for request, _ in self._done.values())
        known = sum(counts) if len(counts) == len(sessions) else None
        origins = [self._snapshot(session).origin() for session in sessions]
        return methods(origins, known, measured=bool(counts) or exported)

    def _recipe(self) -> Recipe:
        (session,) = self.sessions("this")
        snapshot, done = self._snapshot(session), self._done.get(session.key)
        folder = self.start_folder() if done is None else done[0].folder
        if folder is None or snapshot.source is None:
            raise UNetError("This image is in no file. Save it, open it from there, and segment it.")
        if snapshot.file() is None:
            raise UNetError("The pixels are not those of the file any more. Save them, open that, and segment it.")
        kinds, written = ((), []) if done is None else (done[0].kinds, done[1])
        labels = next((path for path in written if path.exists()), None)
        origin = snapshot.origin()
        by_hand = bool(snapshot.by_hand.corrected_pixels)
        again = folder.with_name(f"{folder.name}_again")  # nothing that is there is written over
        return Recipe(snapshot.source, origin.segmentations, by_hand, kinds, again, labels, snapshot.shown)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _snapshot(self, session: LayerSession) -> Snapshot:
        return snapshot_of(session, self._workspace, self._made_by)

    def _item(self, session: LayerSession, job: Job) -> Item:
        snapshot = self._snapshot(session)
        inputs = () if snapshot.source is None else (snapshot.source,)
        return Item(snapshot.name, inputs, partial(snapshot.steps, job.cancel), _zarr_of(session))

    def _on_closing(self, session: LayerSession) -> None:
        self._done.pop(session.key, None)


def _zarr_of(session: LayerSession) -> Path | None:
    source = adapter.source_of(session.layer)
    return source if source is not None and source.is_dir() and is_zarr(source) else None


def in_words(report: Report, folder: Path) -> tuple[str, Level, str]:
    """Return text, level and details of what to say of an export that has ended."""
    files = "\n".join(map(str, report.written))
    if report.failed:
        done = f"{counted(len(report.written), 'file')} written, {len(report.failed)} not: {report.failed[0]}"
        short = f"{counted(len(report.written), 'file')} written, {len(report.failed)} not: see Details."
        details = "\n".join([*report.failed, *report.notes, files])
        return (done if len(done) <= 100 else short), "error", details
    text, details = with_notes(
        f"Exported {counted(len(report.written), 'file')} to {short_path(folder)}.", report.notes
    )
    return text, "done", "\n".join(filter(None, (details, files)))


def short_path(folder: Path) -> str:
    """Return a folder so that it fits into a sentence."""
    text = str(folder)
    return text if len(text) <= 50 else f"…{text[-49:]}"
