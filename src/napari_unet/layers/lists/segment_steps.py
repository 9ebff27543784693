"""What the worker of *Segment all* does: image after image, in this process or with the workers of a cluster."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.errors import Cancelled, ClusterError, UNetError
from napari_unet.projects.segmenting import opened_or_new, segment_project_steps
from napari_unet.projects.work_list import state_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_unet.layers.lists.image_queue import ImageQueue
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken, PauseToken, Progress
    from napari_unet.projects.on_workers import SentImage
    from napari_unet.projects.work_list import ImageState, ListedImage

PATIENCE = 10.0
"""Seconds that a scheduler has to answer: somebody sits before the window, and the list can be segmented here."""


@dataclass(frozen=True, slots=True)
class ImageEnded:
    """What came of one image; `state` is None where it was given back, to be done later."""

    index: int
    state: ImageState | None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """How far the image under way is."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Connected:
    """So many workers of a cluster work at it now; None: none do, it goes on here."""

    workers: int | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a cluster cannot be used, or not for an image: what is left is done here."""

    error: Exception


Event = ImageEnded | Part | Connected | Trouble


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """With what images are segmented: a copy of what the window may change meanwhile.

    Attributes
    ----------
    model : Model
    folder : Path
        Of the list.
    images : tuple of ListedImage
    channel : int or None
    device : str
    flips : bool
    scheduler : str
        As for `cluster.connection.connected`; empty: all is done in this process.
    """

    model: Model
    folder: Path
    images: tuple[ListedImage, ...]
    channel: int | None
    device: str
    flips: bool
    scheduler: str = ""

    def steps(
        self, image: ListedImage, cancel: CancelToken, pause: PauseToken
    ) -> Generator[Progress, None, ImageState]:
        """Segment an image into its project, made if there is none, and return how far it is then."""
        where = self.folder / image.project
        project = opened_or_new(where, image.file(self.folder), image.series, self.channel, image.name, cancel)
        yield from segment_project_steps(
            project, self.model, where, device=self.device, flips=self.flips, cancel=cancel, pause=pause
        )
        return state_of(image, self.folder)

    def may_send(self, index: int) -> bool:
        """Return whether workers may do an image: it is there, and holds no work of the user."""
        state = state_of(self.images[index], self.folder)
        return state.kind != "failed" and not state.by_user


def segment_steps(
    plan: Plan, queue: ImageQueue, cancel: CancelToken, pause: PauseToken
) -> Generator[Event, None, None]:
    """Segment the images that wait, and yield what comes of each; what a cluster cannot do is done here."""
    if plan.scheduler:
        yield from _with_workers(plan, queue, cancel, pause)
    while not cancel.cancelled:
        pause.wait(cancel)
        taken = queue.take()
        if taken is None:
            return
        index, stop = taken
        try:
            state = yield from _parts(plan.steps(plan.images[index], stop, pause))
            ended = ImageEnded(index, state)
        except Cancelled:
            ended = ImageEnded(index, None)
        except Exception as error:  # noqa: BLE001 - it is told in words, and the others are done all the same
            ended = ImageEnded(index, state_of(plan.images[index], plan.folder), error)
        queue.ended()
        yield ended


def _parts(steps: Generator[Progress, None, ImageState]) -> Generator[Part, None, ImageState]:
    """Run through the steps of an image, and tell how far it is."""
    while True:
        try:
            yield Part(next(steps))
        except StopIteration as end:
            state: ImageState = end.value
            return state


def _with_workers(
    plan: Plan, queue: ImageQueue, cancel: CancelToken, pause: PauseToken
) -> Generator[Event, None, None]:
    """Have the workers of a cluster do what they can; in the end nothing is with them any more."""
    trouble: Exception | None = None
    try:
        from napari_unet.cluster.connection import connected
        from napari_unet.projects.on_workers import sending

        with connected(os.path.expanduser(plan.scheduler), patience=PATIENCE, cancel=cancel) as client:
            yield Connected(len(client.scheduler_info(n_workers=-1)["workers"]))
            with sending(plan.folder, plan.model) as folder:
                yield from _Sender(plan, queue, cancel, pause, folder).steps(client)
    except Cancelled:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the images are segmented here
        trouble = error
    for index in queue.give_up():
        yield ImageEnded(index, None)
    yield Connected(None)
    if trouble is not None:
        yield Trouble(trouble)


class _Sender:
    """Sends images to workers, and takes in what they have made.

    Parameters
    ----------
    plan, queue, cancel, pause
        As of `segment_steps`.
    folder : Path
        In which workers write.
    """

    def __init__(self, plan: Plan, queue: ImageQueue, cancel: CancelToken, pause: PauseToken, folder: Path) -> None:
        self._plan, self._queue, self._cancel, self._pause, self._folder = plan, queue, cancel, pause, folder
        self._numbers = itertools.count()
        self._sent: dict[int, tuple[int, CancelToken]] = {}

    def steps(self, client: Any) -> Generator[Event, None, None]:
        """Have images segmented, and yield what comes of each."""
        from napari_unet.projects.on_workers import drop, send

        told = False
        for sent, error in send(client, self._take, self._cancel):
            index, token = self._sent.pop(sent.number)
            if self._queue.claim(index, token):
                if isinstance(error, ClusterError):
                    self._queue.keep_here(index)
                    if not told:
                        yield Trouble(error)
                    told, ended = True, ImageEnded(index, None)
                else:
                    ended = self._taken_in(index, sent, error)
                self._queue.ended()
                yield ended
            drop(sent)

    def _take(self) -> SentImage | None:
        from napari_unet.cluster.connection import LOCAL
        from napari_unet.projects.on_workers import SentImage, Wanted, asked_file

        plan = self._plan
        if plan.scheduler == LOCAL:
            self._pause.wait(self._cancel)  # those of this machine would slow down what the user waits for
        while not self._cancel.cancelled:
            number = next(self._numbers)
            wanted = Wanted(asked_file(self._folder, number))
            taken = self._queue.send(wanted)
            if taken is None:
                return None
            if not plan.may_send(taken):
                self._queue.keep_here(taken)
                continue
            self._sent[number] = taken, wanted
            image = plan.images[taken]
            sent = SentImage(
                self._folder, number, image.name, image.file(plan.folder), image.series, plan.channel,
                plan.folder / image.project, plan.device, plan.flips,
            )  # fmt: skip
            wanted.ask()
            return sent
        return None

    def _taken_in(self, index: int, sent: SentImage, error: UNetError | None) -> ImageEnded:
        """Move what a worker has made to its place, unless it failed, or there is work of the user by now."""
        from napari_unet.projects.on_workers import put_in_place

        image, folder = self._plan.images[index], self._plan.folder
        if not self._plan.may_send(index):
            self._queue.keep_here(index)
            return ImageEnded(index, None)
        if error is None:
            try:
                put_in_place(sent)
            except UNetError as why:
                error = why
        return ImageEnded(index, state_of(image, folder), error)
