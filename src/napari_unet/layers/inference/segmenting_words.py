"""What the window says of a segmentation.

When it begins: of what, how long it takes, and at which scale. At its end: what was found, with a warning where that is
not credible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.inference.credibility import subimage_seems_right
from napari_unet.inference.field import blankness, field_of
from napari_unet.inference.scale import in_words, is_rescaled
from napari_unet.progress import format_seconds, shortened

if TYPE_CHECKING:
    from napari_unet.inference.credibility import Doubt
    from napari_unet.inference.steps import SubimageDone
    from napari_unet.inference.task import Task
    from napari_unet.layers.workspace import Level

_NOTHING_FOUND = "If there are some, try Which model?, or paint a few and press Learn."
_AFTER_LEARNING = "Go back undoes this."
_DAMAGED = "Parts of the file are damaged and count as empty."
_MAX_NAME = 24
"""Characters of a model's name that are said."""


def opening_words(task: Task, left: float = 1.0) -> tuple[str, Level, str]:
    """Return what to say of a segmentation that begins, of which a share is left to do: text, level and details."""
    scale, reason = _scale(task)
    details = "\n".join(filter(None, (reason, f"Plan: {task}.")))
    if left < 1:
        return f"{scale}Segmenting the rest: {left:.0%}.", "info", details
    extent, seconds = task.extent, task.seconds
    what = f" {extent}" if extent else ""
    time = f", about {format_seconds(max(1.0, seconds))}" if seconds else ""
    return f"{scale}Segmenting{what}{time}.", "info", details


def _scale(task: Task) -> tuple[str, str]:
    """Return what to say, and in the details, of a scale that was found on the image; nothing if there is none."""
    image, zoom, against = task.image, task.zoom, task.model.info.image_diameter
    found = image.found_diameter
    if found is None or image.diameter is not None or image.found_against != against:
        return "", ""
    text = f"Objects are about {found:.0f} pixels wide. "
    if not is_rescaled(zoom):
        return (text, f"The model learned objects of {against:.0f} pixels.") if against else ("", "")
    made = in_words(zoom[-1])
    return text, f"The network gets the image {made}. If the objects have another width, set Object diameter."


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found out of a result while it was made.

    Attributes
    ----------
    right : bool
        Whether it is one that the model makes of images that it knows.
    blank : str
        Why there is nothing to be seen in the image; empty: there is something.
    """

    right: bool = True
    blank: str = ""

    def doubt(self, count: int) -> Doubt:
        """Return why the result of a whole image, of so many objects, is not credible; empty: nothing is against it."""
        if not count:
            return "nothing found"
        return "" if self.right else "may not fit"


def judged_result(task: Task, event: SubimageDone) -> Judged | None:
    """Return what is to be told of a plane or volume; None where nothing is in it, or can be said of it (worker)."""
    right = subimage_seems_right(task, event)
    return None if right is None else Judged(right)


def judged_empty(task: Task, position: tuple[int, int, float, float] | None) -> Judged:
    """Return what is to be told where no object was found: whether there is anything to be seen there (worker)."""
    return Judged(blank=blankness(field_of(task.image, position).pixels[list(task.channels)]))


def closing_words(
    found: str, count: int, judged: Judged, model: str, lead: str, damage: str, go_on: str
) -> tuple[str, Level]:
    """Return what to say when something was segmented, and how.

    Parameters
    ----------
    found : str
        "12 objects".
    count : int
    judged : Judged
    model : str
        Name of the model.
    lead : str
        Said before, where the user did not ask for it; empty: asked.
    damage : str
        Of the file; empty: none.
    go_on : str
        What to press for the first object that may be wrong.
    """
    if lead:
        # What a model has just learned may be a kind of image of its own: whether it fits is not asked.
        level: Level = "warning" if damage or not count else "done"
        return f"{lead} In view: {found}. {_DAMAGED if damage else _AFTER_LEARNING}", level
    if damage:
        return f"Found {found}. {_DAMAGED}", "warning"
    if not count:
        return f"Found {found}. {judged.blank or _NOTHING_FOUND}", "warning"
    if not judged.right:
        name = shortened(model, _MAX_NAME)
        return f"Found {found}, but {name} does not seem to fit this image. Try Which model?", "warning"
    return f"Found {found}. Press {go_on} to see what may be wrong. Correct it, then Learn.", "done"
