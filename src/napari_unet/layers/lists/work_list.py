"""The images of an afternoon: which there are, how far each is, and the folder in which all of that is kept."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.io.atomic import remove
from napari_unet.io.finding import LeftOut
from napari_unet.layers.jobs import Job, PresentJob, Runner, ignore, in_words, once
from napari_unet.layers.lists.image_search import NewImages, added_in_words, search_steps
from napari_unet.layers.lists.list_models import ListedModels, ModelWriter
from napari_unet.layers.lists.list_place import ListPlace, claimed
from napari_unet.progress import counted, shortened
from napari_unet.projects.models import read_models, remove_unnamed
from napari_unet.projects.work_list import (
    FILE,
    JUDGED,
    MODELS,
    SUFFIX,
    ImageState,
    WorkListDescription,
    copy_list,
    read_list,
    state_of,
    write_list,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_unet.layers.workspace import Workspace
    from napari_unet.learning.history import Generation
    from napari_unet.projects.segmented_by import SegmentedBy
    from napari_unet.projects.work_list import ListedImage


class WorkList:
    """A list of images, of which one is worked on at a time.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where files are looked for, read and written.

    Attributes
    ----------
    images : list of ListedImage
    states : list of ImageState
        Of each image, as it is saved or, in view, as it is now.
    in_view : int or None
        Index of the image that is worked on; see `ImageSwitch`.
    channel : int or None
        Channel of the files that is segmented, where they have several.
    claimed : int or None
        Index of an image whose project a worker writes just now, and which is to be shown next.

    Notes
    -----
    Until the user saves it, a list lies among the recovery copies, and is offered again after a crash.
    """

    changed = Signal()  # it is another list, or there is none
    extended = Signal(int, int)  # index of the first image that was added, and how many were
    state_changed = Signal(int)  # index
    outdated = Signal()  # another model is in use: which images are out of date
    moved = Signal()  # another image is in view
    busy_changed = Signal()  # whether files are looked for, or the list is opened or saved
    wanted = Signal(int)  # index of an image to be shown: the first of a list that was made or opened
    released = Signal(int)  # index of an image that is not claimed any more

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace, self._runner = workspace, runner
        self.images: list[ListedImage] = []
        self.states: list[ImageState] = []
        self.in_view: int | None = None
        self.channel: int | None = None
        self.claimed: int | None = None
        self._place: ListPlace | None = None
        self._job = PresentJob(runner, self.busy_changed.emit)
        self._writing = self._dirty = self._closed = False
        self._told = ""
        self._models = ModelWriter()
        workspace.history.changed.connect(self._on_models)

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether files are looked for, or the list is opened or saved."""
        return self._job.busy

    @property
    def folder(self) -> Path | None:
        """Where the list lies; None: there is none."""
        return self._place.folder if self._place is not None else None

    @property
    def saved_as(self) -> Path | None:
        """Where the user has saved it; None: nowhere yet."""
        return self.folder if self._place is not None and self._place.copy is None else None

    @property
    def in_use(self) -> SegmentedBy:
        """By what *Segment all* segments: the model in use, as the sliders stand; false: there is none."""
        return self._workspace.history.segments_by

    def file(self, index: int) -> Path:
        """Return the file of an image."""
        assert self.folder is not None  # there are images
        return self.images[index].file(self.folder)

    def project(self, index: int) -> Path:
        """Return the project of an image; it is there once the image has labels."""
        assert self.folder is not None
        return self.folder / self.images[index].project

    def has_work(self) -> list[int]:
        """Return the indices of the images in which something was corrected or reviewed."""
        return [index for index, state in enumerate(self.states) if state.by_user]

    def todo(self) -> list[int]:
        """Return the indices of the images that *Segment all* has something to do with."""
        by = self.in_use
        return [index for index, state in enumerate(self.states) if state.needs(by)]

    def note_state(self, index: int, state: ImageState) -> None:
        """Take note of how far an image is; suspects and doubt are known until another model has segmented it."""
        if index < len(self.states) and self.states[index].segmented_by == state.segmented_by:
            before = self.states[index]
            kept = {name: getattr(before, name) for name in JUDGED if getattr(state, name) is None}
            state = state.model_copy(update=kept)
        if index < len(self.states) and state != self.states[index]:
            self.states[index] = state
            self.state_changed.emit(index)

    def note_suspects(self, index: int, number: int | None) -> None:
        """Take note of how many suspects of an image nobody has looked at."""
        if index < len(self.states) and self.states[index].suspects != number:
            self.states[index] = self.states[index].model_copy(update={"suspects": number})
            self.state_changed.emit(index)
            session = self._workspace.session
            if index == self.in_view and session is not None and session.listed:
                session.suspects = number

    def set_done(self, index: int, done: bool) -> None:
        """Say that an image is done, or is not."""
        self.images[index] = self.images[index].model_copy(update={"done": done})
        assert self.folder is not None
        self.note_state(index, state_of(self.images[index], self.folder))
        self.write()

    def set_in_view(self, index: int | None) -> None:
        """Take note of which image is worked on."""
        self.in_view = index
        self.moved.emit()
        if index is not None:
            self.write()

    def set_channel(self, channel: int | None) -> None:
        """Take note of which channel of the files is segmented."""
        if channel is not None and channel != self.channel:
            self.channel = channel
            self.write()

    def release(self, index: int) -> None:
        """Let an image be shown whose project was being written."""
        if self.claimed == index:
            self.claimed = None
            self.released.emit(index)

    # -- add -------------------------------------------------------------------------------------------------------

    def add(self, paths: Sequence[Path]) -> bool:
        """Add images, and what is in folders and plates, to the list, or begin one; return whether it began.

        Files that cannot be read are named, and the others are added all the same.
        """
        job = self._begin("Look for images")
        if job is None:
            return False
        before, left_out = len(self.images), list[LeftOut]()

        def found(event: ListPlace | NewImages | LeftOut) -> None:
            if isinstance(event, ListPlace):
                self._place = event
            elif isinstance(event, LeftOut):
                left_out.append(event)
            else:
                self._extend(event)

        self._workspace.say("Looking for images.")
        steps = partial(search_steps, paths, list(self.images), self._place, job.cancel)
        done = partial(self._added, before, left_out)
        self._job.run(job, steps, done, self._workspace.say_error, found)
        return True

    def _extend(self, new: NewImages) -> None:
        first = len(self.images)
        self.images += new.images
        self.states += new.states
        if new.images:
            self.extended.emit(first, len(new.images))

    def _added(self, before: int, left_out: list[LeftOut], _: Any) -> None:
        """Say what was added to so many images, and keep it."""
        added = len(self.images) - before
        self._workspace.say(*added_in_words(added, left_out))
        if not self.images and self._place is not None:
            self._leave_place()
        elif added:
            self.write()
            if not before or self.in_view is None:
                self.wanted.emit(before)

    # -- open, save ------------------------------------------------------------------------------------------------

    def open(self, path: Path) -> bool:
        """Open a list that was saved, or left behind, in place of the present one; return whether it began."""
        folder = path.parent if path.name == FILE else path
        if folder == self.folder:
            self._workspace.say(f"{folder.name} is open already.")
            return False
        job = self._begin(f"Open {folder.name}")
        if job is None:
            return False

        def read() -> tuple[ListPlace, WorkListDescription, list[ImageState], list[Generation], tuple[str, ...]]:
            place = claimed(folder)
            try:
                said = read_list(folder)
                states = [state_of(image, folder) for image in said.images]
                references = (*said.models, *([said.waiting] if said.waiting else []))
                generations, notes = read_models(references, folder / MODELS)
                remove_unnamed(references, folder / MODELS)
            except BaseException:
                place.let_go()
                raise
            return place, said, states, generations, notes

        def opened(
            found: tuple[ListPlace, WorkListDescription, list[ImageState], list[Generation], tuple[str, ...]],
        ) -> None:
            place, said, states, generations, notes = found
            self._leave_place()
            self._place = place
            self.images, self.states, self.channel = list(said.images), states, said.channel
            self.changed.emit()
            if generations:
                waiting = generations[-1] if said.waiting else None
                learned = generations[: len(said.models)]
                self._workspace.history.take_up(learned, min(said.current, len(learned) - 1), waiting)
            missing = sum(state.kind == "failed" for state in states)
            gone = f" {counted(missing, 'image')} cannot be read." if missing else ""
            text = f"Opened {_short(folder.stem)}: {counted(len(states), 'image')}.{gone}"
            problems = [state.problem for state in states if state.problem]
            self._workspace.say(text, "error" if missing else "done", "\n".join([*problems, *notes]))
            if states:
                self.wanted.emit(min(said.in_view or 0, len(states) - 1))

        self._workspace.say(f"Opening {_short(folder.name)}.")
        self._job.run(job, once(read), opened, self._workspace.say_error)
        return True

    def save(self, path: Path) -> bool:
        """Save the list, with the labels of all images, in a new place, and go on there; return whether it began.

        The image in view has to be stored before (`ImageSwitch.store`).
        """
        target = path if path.suffix.lower() == SUFFIX else path.with_name(path.name + SUFFIX)
        place = self._place
        if place is None:
            self._workspace.say("There is no list to save yet. Open a folder of images first.", "error")
            return False
        job = self._begin(f"Save {target.name}")
        if job is None:
            return False
        made = self._snapshot()

        def copied() -> tuple[ListPlace, WorkListDescription]:
            said = copy_list(place.folder, target, made(place.folder), job.cancel)
            return claimed(target), said

        def done(found: tuple[ListPlace, WorkListDescription]) -> None:
            self._place, said = found
            if place.copy is not None:
                remove(place.copy.discard())
            else:
                place.release()
            self.images = list(said.images)
            session = self._workspace.session
            if session is not None and session.listed and self.in_view is not None:
                session.saved_as = self.project(self.in_view)
            self.changed.emit()
            self._workspace.say(f"Saved as {_short(target.name)}. From now on, all you do is kept there.", "done")

        self._job.run(job, once(copied), done, self._workspace.say_error)
        return True

    def write(self) -> None:
        """Have the description written soon, in the background."""
        if self._place is None or self._closed:
            return
        if self._writing:
            self._dirty = True
            return
        self._writing, self._dirty = True, False
        made, folder = self._snapshot(), self._place.folder

        def written(_: Any) -> None:
            self._writing = False
            if self._dirty:
                self.write()

        def failed(error: Exception) -> None:
            self._writing = False
            text, details = in_words(error)
            if text != self._told:  # not after every image
                self._told = text
                self._workspace.say(
                    "The list of images could not be written: see Details.", "error", f"{text}\n{details}"
                )

        def work() -> None:
            write_list(folder, made(folder))

        self._runner.start(Job("Keep the list"), once(work), ignore, written, failed)

    def close(self) -> None:
        """Let go of the list; what is kept of it stays."""
        self._job.stop()
        if self._dirty and self._place is not None:
            with suppress(UNetError):
                write_list(self._place.folder, self._snapshot()(self._place.folder))
        self._closed = True
        self._workspace.history.changed.disconnect(self._on_models)
        self._leave_place()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _snapshot(self) -> Callable[[Path], WorkListDescription]:
        """Return what makes the description of the list as it is now; it also writes models, in a worker."""
        said = WorkListDescription(images=tuple(self.images), in_view=self.in_view, channel=self.channel)
        return partial(self._models.noted, ListedModels.of(self._workspace.history), said)

    def _on_models(self) -> None:
        self.outdated.emit()
        self.write()

    def _begin(self, title: str) -> Job | None:
        if self._job.busy:
            self._workspace.say("The list is being read or saved. Wait until that is done.", "error")
            return None
        return self._job.begin(title)

    def _leave_place(self) -> None:
        """Let go of the present list."""
        place, self._place = self._place, None
        self.images, self.states, self.in_view, self.claimed = [], [], None, None
        self._models.forget()
        if place is not None:
            place.release()
            if not self._closed:
                self.changed.emit()


def _short(name: str) -> str:
    return shortened(name, 40)
