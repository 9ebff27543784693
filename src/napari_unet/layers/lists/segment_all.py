"""Segments all images of the work list in the background, into their projects, without showing them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.layers.jobs import Job, Runner, in_words
from napari_unet.layers.lists.image_queue import ImageQueue
from napari_unet.layers.lists.segment_steps import Connected, ImageEnded, Part, Plan, segment_steps
from napari_unet.layers.lists.segmented_words import Ended
from napari_unet.progress import PauseToken, Stopwatch, counted, format_seconds
from napari_unet.projects.segmented_by import SegmentedBy
from napari_unet.projects.work_list import ImageState

if TYPE_CHECKING:
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.lists.image_switch import ImageSwitch
    from napari_unet.layers.lists.segment_steps import Event
    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.layers.saved_models import SavedModels
    from napari_unet.layers.workspace import Workspace

MIN_DONE = 2
"""Images after which it is said how long the rest takes."""


class SegmentAll:
    """Works through the list with the model in use: the image in view first, then its neighbours.

    What was corrected or reviewed stays as it is. It goes on after a stop, or another day, with what is left. Where
    another model comes into use meanwhile, the images that are left are segmented with that one.

    Parameters
    ----------
    workspace : Workspace
    work_list : WorkList
    image_switch : ImageSwitch
        Says which image is opened next.
    segmenter : Segmenter
        Segments the image in view; while it works, or something is learned, the others wait.
    saved_models : SavedModels
        Have the model that is taken where none was chosen.
    runner : Runner
        Where it runs.

    Attributes
    ----------
    done, total : int
        Images that are done, and all that were to be done.
    scheduler : str
        Of a cluster whose workers segment the images that nobody has corrected or reviewed; see
        `cluster.connection.connected`. Empty: all is done in this process. Where it cannot be used, too.
    """

    changed = Signal()  # whether it runs, or how far it is

    def __init__(
        self,
        workspace: Workspace,
        work_list: WorkList,
        image_switch: ImageSwitch,
        segmenter: Segmenter,
        saved_models: SavedModels,
        runner: Runner,
    ) -> None:
        self._workspace, self._list, self._switch = workspace, work_list, image_switch
        self._segmenter, self._saved_models, self._runner = segmenter, saved_models, runner
        self._queue, self._pause = ImageQueue(), PauseToken()
        self._job: Job | None = None
        self._by = SegmentedBy()  # what that segments by
        self._running = self._in_view = False  # `_in_view`: whether the segmenter works for it
        self._learning = False
        self._watch = Stopwatch()
        self._part = 0.0
        self.done = self.total = 0
        self.scheduler = ""
        self._workers: int | None = None  # of a cluster, while they work at it
        self._trouble: Exception | None = None  # why a cluster does not do all of it
        self._failed: list[tuple[str, Exception]] = []
        self._segmented: list[int] = []
        workspace.segmenting.connect(self._wait_for_others)
        segmenter.ended.connect(self._on_segmented)
        workspace.learning.connect(self._on_learning)
        work_list.outdated.connect(self._on_model)
        image_switch.changed.connect(self._on_switch)
        image_switch.arriving.connect(self._on_arriving)
        work_list.changed.connect(self._on_list)

    @property
    def busy(self) -> bool:
        """Whether it runs."""
        return self._running

    @property
    def writing(self) -> bool:
        """Whether a worker may still write into the folder of the list, after a stop too."""
        return self._job is not None

    @property
    def fraction(self) -> float:
        """Share of the images that is done, 0..1."""
        return min(1.0, (self.done + self._part) / self.total) if self.total else 1.0

    @property
    def in_words(self) -> str:
        """How far it is: ``Segmented 7 of 20 with 4 workers, about 2 min left``."""
        seconds = self._watch.seconds / self.fraction * (1 - self.fraction) if self.fraction else 0.0
        left = f", about {format_seconds(_rounded(seconds))} left" if MIN_DONE <= self.done < self.total else ""
        by = f" with {counted(self._workers, 'worker')}" if self._workers is not None else ""
        return f"Segmented {self.done} of {self.total}{by}{left}"

    def start(self) -> bool:
        """Begin, or go on where it was stopped; return whether there is something to do."""
        workspace, work_list = self._workspace, self._list
        if self._running:
            workspace.say("Segment all is under way. Press Stop first to start again.", "error")
            return False
        if not work_list.images:
            workspace.say("There is no list of images yet. Open a folder, or drop one on the panel.", "error")
            return False
        if workspace.model is None and not self._saved_models.choose_default():
            return False
        if workspace.model is not None and workspace.model.info.is_untrained:
            workspace.say("Nothing is learned yet. Paint some objects in one image, and press Learn first.", "error")
            return False
        todo = set(work_list.todo())
        if not todo:
            workspace.say("All images are segmented with this model, or done.", "done")
            return False
        self._queue.fill(todo)
        self._queue.come_near(work_list.in_view)
        self._running, self._watch, self._part = True, Stopwatch(), 0.0
        self.done, self.total = 0, len(todo)
        self._failed.clear()
        self._segmented.clear()
        self._trouble = None
        by = " with the workers of the scheduler" if self.scheduler else ""
        workspace.say(f"Segmenting {counted(len(todo), 'image')} of the list{by}. You can go on working.")
        self.changed.emit()
        self._go_on()
        return True

    def stop(self) -> None:
        """Stop; what is done stays done."""
        if self._running:
            self._queue.fill(set())
            self._queue.stop_current()
            if self._job is not None:
                self._job.cancel.cancel()
            if self._in_view:
                self._segmenter.stop()
            self._end(stopped=True)

    def close(self) -> None:
        """Stop, and tell of nothing any more."""
        self._running = False
        self._queue.fill(set())
        self._queue.stop_current()
        if self._job is not None:
            self._job.cancel.cancel()
            self._job = None
        self._pause.set(False)

    # -- what is next ----------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Have done what is left, by whoever is idle."""
        if self._running:
            self._begin_in_view()
        if not self._running or self._job is not None:
            return
        if len(self._queue) - (self._list.in_view in self._queue):
            self._begin()
        elif not len(self._queue) and not self._in_view:
            self._end()

    def _begin_in_view(self) -> None:
        """Have the image in view segmented, if that is to be done."""
        index = self._list.in_view
        if index is None or index not in self._queue or self._segmenter.busy or self._switch.busy:
            return
        self._in_view = True  # before it begins: it may be done at once
        if not self._segmenter.start(scope="stack"):  # why not is told
            self._in_view = False
            self._queue.discard(index)

    def _begin(self) -> None:
        job = self._job = Job("Segment all")
        self._by = self._list.in_use
        self._runner.start(
            job,
            partial(segment_steps, self._plan(), self._queue, job.cancel, self._pause),
            partial(self._on_event, job),
            lambda _: self._on_return(),
            self._on_error,
        )

    def _plan(self) -> Plan:
        """Return what is to be done now."""
        workspace, work_list = self._workspace, self._list
        assert workspace.model is not None
        assert work_list.folder is not None
        return Plan(
            workspace.model, work_list.folder, tuple(work_list.images), work_list.channel,
            workspace.device, workspace.flips, self.scheduler if self._trouble is None else "",
        )  # fmt: skip

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_event(self, job: Job, event: Event) -> None:
        if isinstance(event, ImageEnded):
            if event.index < len(self._list.images):
                self._take(event)
        elif job is not self._job or not self._running:
            return
        elif isinstance(event, Part):
            self._part = event.progress.fraction
            self.changed.emit()
        elif isinstance(event, Connected):
            self._take_workers(event.workers)
        else:
            self._take_trouble(event.error)

    def _take_workers(self, number: int | None) -> None:
        """Take note of how many workers of a cluster work at it."""
        self._workers = number
        if number == 0:
            text = "The scheduler has no workers yet. Segment all waits for them; press Stop to end that."
            self._workspace.say(text, "warning")
        self.changed.emit()

    def _take_trouble(self, error: Exception) -> None:
        """Tell why a cluster does not do all of it; what it does not is done here."""
        self._trouble = error
        details = " ".join(filter(None, in_words(error)))
        text = "The scheduler cannot do all of it: see Details. The rest is segmented on this computer."
        self._workspace.say(text, "warning", details)

    def _take(self, ended: ImageEnded) -> None:
        """Take note of what came of an image."""
        index = ended.index
        self._part = 0.0
        if ended.state is None:
            if self._running:
                self._queue.put_back(index)
        else:
            state = ended.state
            if ended.error is not None:
                self._failed.append((self._list.images[index].name, ended.error))
                if state.kind == "to do":
                    state = ImageState(kind="failed", problem=" ".join(filter(None, in_words(ended.error))))
            else:
                self._segmented.append(index)
            self._list.note_state(index, state)
            self.done += 1
            if self._running:
                self._workspace.say(f"{self.in_words}.")
        self._list.release(index)
        self.changed.emit()
        self._go_on()

    def _on_return(self) -> None:
        self._job = self._workers = None
        self._go_on()

    def _on_error(self, error: Exception) -> None:
        self._job = self._workers = None
        self._workspace.say_error(error)
        if self._running:
            self._end(stopped=True)

    def _on_segmented(self) -> None:
        if self._in_view:
            self._in_view = False
            self._take_in_view()
        self._go_on()

    def _take_in_view(self) -> None:
        """Take note of what came of the image in view; why it could not be segmented is told already."""
        index = self._list.in_view
        if index is None or index not in self._queue:
            return
        if not self._list.states[index].needs(self._list.in_use):
            self.done += 1
            self._segmented.append(index)
            if not self._switch.busy:
                self._switch.store(lambda: None)
        elif self._switch.busy:
            return  # it was left before the end, and is done in the background
        else:
            self.total = max(self.done, self.total - 1)
        self._queue.discard(index)
        self.changed.emit()

    def _on_learning(self, learning: bool) -> None:
        self._learning = learning
        self._wait_for_others()

    def _wait_for_others(self, _: bool = False) -> None:
        """Wait while the user waits for something else."""
        self._pause.set(self._segmenter.busy or self._learning or (self._switch.busy and self._list.claimed is None))

    def _on_model(self) -> None:
        """Go on with another model, or as the sliders stand by now; the image under way is begun anew."""
        if self._running and self._job is not None and self._by != self._list.in_use:
            self._job.cancel.cancel()
            self._queue.stop_current()

    def _on_arriving(self, index: int) -> None:
        """Let go of an image that is about to be opened."""
        if self._queue.come_near(index):
            self._list.claimed = index
        self._wait_for_others()

    def _on_switch(self) -> None:
        self._wait_for_others()
        if not self._switch.busy and self._list.in_view is not None:
            self._queue.come_near(self._list.in_view)
            self._go_on()

    def _on_list(self) -> None:
        """Stop where there is another list."""
        if self._running and self._list.folder is None:
            self.stop()

    def _end(self, *, stopped: bool = False) -> None:
        self._running = self._in_view = False
        states, images, model = self._list.states, self._list.images, self._workspace.model
        doubtful = [
            (images[index].name, str(states[index].doubt))
            for index in sorted(self._segmented)
            if index < len(states) and states[index].is_doubtful
        ]
        ended = Ended(self.done, self.total, tuple(self._failed), tuple(doubtful), stopped, self._trouble)
        self._workspace.say(*ended.in_words("" if model is None else model.name))
        self.changed.emit()


def _rounded(seconds: float) -> float:
    """Return a time as people say it: to 5 seconds, or to half minutes."""
    step = 5 if seconds < 90 else 30
    return max(step, step * round(seconds / step))
