"""What the window says when *Segment all* has ended: what failed, what is not credible, or what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.layers.jobs import in_words
from napari_unet.progress import counted, shortened

if TYPE_CHECKING:
    from napari_unet.layers.workspace import Level

_FIND_DOUBTFUL = 'Filter the list by "fit" or "nothing found" to see these. To keep good ones, mark them as done.'
_MAX_NAME = 24
"""Characters of a model's name that are said."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of *Segment all*.

    Attributes
    ----------
    done, total : int
        Images that were segmented or failed, and all that were to be done.
    failed : tuple of (str, Exception)
        Names of images that could not be segmented, and why.
    doubtful : tuple of (str, str)
        Names of images of which the result is not credible, and why: ``may not fit``.
    stopped : bool
        Whether the user has stopped it.
    trouble : Exception, optional
        Why the scheduler could not be used, or not for all images.
    """

    done: int
    total: int
    failed: tuple[tuple[str, Exception], ...] = ()
    doubtful: tuple[tuple[str, str], ...] = ()
    stopped: bool = False
    trouble: Exception | None = None

    def in_words(self, model: str) -> tuple[str, Level, str]:
        """Return what to say: text, level and details; `model` is the name of the model in use."""
        doubtful = [f"{name}: {why}" for name, why in self.doubtful]
        trouble = [f"Scheduler: {' '.join(filter(None, in_words(self.trouble)))}"] if self.trouble is not None else []
        if self.failed:
            return self._failure([*doubtful, *trouble])
        if self.stopped:
            text = f"Stopped: {self.done} of {self.total} images are segmented. Segment all does the rest."
            return text, "info", "\n".join([*doubtful, *trouble])
        done = counted(self.done, "image")
        if not doubtful and trouble:
            text = f"Segmented {done}. The scheduler could not do all of them; this computer did the rest: see Details."
            return text, "warning", trouble[0]
        if not doubtful:
            return f"Segmented {done}. Go through them with Page Down, and correct them.", "done", ""
        which = f"{len(doubtful)} of them: see Details."
        if len(doubtful) == self.done:
            which = "it." if self.done == 1 else "them."
        text = f"Segmented {done}, but {shortened(model, _MAX_NAME)} does not seem to fit {which} Try Which model?"
        return text, "warning", "\n".join([_FIND_DOUBTFUL, *doubtful, *trouble])

    def _failure(self, more: list[str]) -> tuple[str, Level, str]:
        lines = [f"{name}: {' '.join(filter(None, in_words(error)))}" for name, error in self.failed]
        short = shortened(self.failed[0][0], 30)
        rest = f" and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
        good = self.done - len(self.failed)
        text = f"Segmented {good} of {self.total} images. {short}{rest} could not be: see Details."
        return text, "error", "\n".join([*lines, *more])
