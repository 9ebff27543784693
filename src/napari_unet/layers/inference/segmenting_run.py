"""A segmentation under way: what it is about, its steps in the worker, and what an earlier one has done of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_unet.guidance.where_next import uncertainty_by_cell
from napari_unet.inference.steps import Finished, SubimageDone, UnderWay, segment_steps
from napari_unet.layers.inference.segmenting_words import Judged, judged_empty, judged_result
from napari_unet.layers.inference.viewport import FollowedView, pieces
from napari_unet.layers.session.kept_maps import to_keep

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.axes import Image
    from napari_unet.inference.task import Task
    from napari_unet.layers.jobs import Job
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Level
    from napari_unet.models.info import ModelInfo


@dataclass(slots=True, eq=False)
class Run:
    """A segmentation under way.

    Attributes
    ----------
    job : Job
    session : LayerSession
    lead : str
        Said before the closing sentence; empty where the user asked for it.
    details : str
        Of the closing message.
    level : {"info", "done", "warning", "error"}
        Of the closing message, if nothing in the result makes it a doubtful one.
    view : FollowedView
        Followed while it segments.
    untimed : Task or None
        Its task, until it is known how long that takes.
    whole : bool
        Whether all of the image is segmented.
    info : ModelInfo
        Of the model, as it was when that began.
    image : Image
        What is segmented.
    judged : Judged
        Whether what it finds is credible.
    """

    job: Job
    session: LayerSession
    lead: str
    details: str
    level: Level
    view: FollowedView
    untimed: Task | None
    whole: bool
    info: ModelInfo
    image: Image
    judged: Judged = field(default_factory=Judged)

    @property
    def is_current(self) -> bool:
        """Whether the layer still has the pixels that are segmented: a camera replaces them all the time."""
        return self.image.same_pixels(self.session.image)

    def steps(self, task: Task, finished: Finished, device: str) -> Generator[Any, None, None]:
        """Segment, and yield the result in pieces that are small enough to be written at once (worker)."""
        judged: Judged | None = None
        anything = False
        overlap = (os.cpu_count() or 1) > 2  # of two cores one is the window's
        events = segment_steps(
            task,
            device=device,
            focus=self.view.position,
            cancel=self.job.cancel,
            finished=finished,
            overlap=overlap,
            tells=True,
        )
        for event in events:
            yield from [event] if isinstance(event, UnderWay) else pieces(event)
            if isinstance(event, SubimageDone):
                yield uncertainty_by_cell(
                    event.maps, event.labels, task.model.info.outputs, event.subimage.frame, event.region
                )
                kept = to_keep(task, event, self.session.maps.memory_left)
                if kept is not None:
                    yield kept
                if judged is None:  # by what is in view, or the next of which something can be said
                    judged = judged_result(task, event)
                    anything = anything or bool(event.labels.any())
                    if judged is not None:
                        yield judged
        if not anything:
            yield judged_empty(task, self.view.position())


def done_before(session: LayerSession, task: Task) -> tuple[Task, Finished]:
    """Return the task, and what a stopped segmentation has done of it: something only if nothing that matters changed.

    It goes on by the plan that it was begun with: the memory that is free now may be another.
    """
    if session.unfinished is None:
        return task, Finished()
    before, finished = session.unfinished
    going_on = replace(task, plan=before.plan)
    same = (
        before.model.net is task.model.net
        and before.image.same_pixels(task.image)
        and (before.image.axes, before.channels) == (task.image.axes, task.channels)
        and (before.plan.shape, before.plan.region) == (task.plan.shape, task.plan.region)
        and before.flips == task.flips
    )
    return (going_on, finished) if same and len(finished.subimages) < len(task.subimages) else (task, Finished())
