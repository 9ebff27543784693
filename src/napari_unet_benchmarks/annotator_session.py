"""The simulated annotator at the program: correct, learn, look again, as somebody does in the window."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.corrections.corrections import Corrections
from napari_unet.corrections.unknown import forget_shapes
from napari_unet.errors import NothingToLearnError
from napari_unet.inference.in_memory import segment
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.policy import DEFAULT_POLICY, Policy
from napari_unet.progress import Stopwatch, drive
from napari_unet_benchmarks.annotator_model import Annotator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.interactive import Learned
    from napari_unet.models.model import Model
    from napari_unet_benchmarks.fields import Field


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A moment at which the program learned.

    Attributes
    ----------
    seconds : float
        Annotation until then.
    objects : int
        Objects (or regions) corrected until then.
    asked : int
        How many that should have been: it is fewer where one edit leaves another object half mended, and more where all
        is right.
    crops : sequence of AnnotatedCrop
        All that was corrected until then.
    model : Model
        What the program made of it.
    figures : dict
        ``wait``: seconds from the last stroke to the new picture of what is in view; ``fields`` worked on; ``kinds`` of
        what was wrong; ``verdict`` on what was learned: the model before stays in use where that is not better.
    """

    seconds: float
    objects: int
    asked: int
    crops: Sequence[AnnotatedCrop]
    model: Model
    figures: dict[str, Any]


def learn(
    model: Model,
    crops: Sequence[AnnotatedCrop],
    steps: int,
    device: str,
    settings: Mapping[str, Any] | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Learned:
    """Return what the window's Learn makes of a model in so many steps; see `learning_steps`."""
    changes = {"steps": steps} | dict(settings or {})
    return drive(learning_steps(model, crops, None, device, settings=changes, policy=policy), lambda event: None)


class AnnotatorSession:
    """One field as it is open in the window, and the annotator in front of it.

    Parameters
    ----------
    shown : Field
        Image and truth; the program never sees the truth.
    instances : bool
        Whether labels are objects.
    seed : int
        Seeds the annotator's hand.
    """

    def __init__(self, shown: Field, *, instances: bool = True, seed: int = 0) -> None:
        self.image = shown.image
        self.labels = np.zeros((1, *shown.slices.shape), np.int32)
        self.corrections = Corrections(self.labels.shape, instances=instances)
        self.people = {z: Annotator(shown.slices[z], instances=instances, seed=seed + z) for z in shown.planes}
        self.kinds: Counter[str] = Counter()
        self.seconds = 0.0

    def show(self, model: Model, device: str = "cpu") -> None:
        """Segment the field and write what is not corrected, as `layers.session.session.LayerSession.write` does."""
        if model.info.is_untrained:
            return  # there is an empty layer to paint into
        self.corrections.update(self.labels)
        forget_shapes(self.corrections, self.labels, model.sha256(), model.info.spec.ndim)
        everything = (slice(0, self.labels.shape[1]), slice(None), slice(None))
        predicted = self.predicted(model, device).reshape(self.labels.shape[1:])
        self.labels[0] = self.corrections.merge(self.labels, 0, everything, predicted)

    def predicted(self, model: Model, device: str) -> NDArray[Any]:
        """Return the labels that a model finds."""
        return segment(self.image, model, device=device).labels

    def correct(self, objects: int) -> int:
        """Mend so many objects or all there are, mark a plane as reviewed when all is well, and return how many."""
        count = 0
        while not self.reviewed:
            z = next(z for z in self.people if not self.corrections.reviewed[0, z].all())
            plane = self.labels[0, z]
            edit = self.people[z].next_edit(plane, self.corrections.protected(self.labels, (0, z)))
            if edit is None:
                self.corrections.review(0, slice(z, z + 1), slice(None), slice(None))
                self.seconds += self.people[z].review()
                continue
            if count >= objects and not (edit.follows_up and count < 2 * objects):
                break
            known = int(plane.max())
            edit.apply(plane)
            if self.corrections.instances:
                plane[plane > known] += int(self.labels.max()) - known  # an id that no other slice has
            self.seconds += edit.seconds
            self.kinds[edit.kind.value] += 1
            count += 1
        return count

    @property
    def reviewed(self) -> bool:
        """Whether the annotator is done with it."""
        return all(self.corrections.reviewed[0, z].all() for z in self.people)

    def crops(self, model: Model) -> list[AnnotatedCrop]:
        """Return what there is to learn from here, as `layers.session.session.LayerSession.material` does."""
        self.corrections.update(self.labels)
        return annotated_crops(self.image, self.labels, self.corrections, model)


def annotate_and_learn(
    model: Model,
    fields: Sequence[Field],
    rounds: int,
    objects: int | Sequence[int],
    steps: int,
    *,
    instances: bool,
    device: str = "cpu",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    policy: Policy = DEFAULT_POLICY,
    after: Callable[[Model], Model] | None = None,
) -> Iterator[Checkpoint]:
    """Correct and learn in turn, field after field; yield what each round came to.

    Parameters
    ----------
    model : Model
        Where to begin.
    fields : sequence of Field
        In the order in which they are worked on.
    rounds : int
        How often it learns, unless all fields are reviewed before.
    objects : int or sequence of int
        Objects corrected before each time (of a sequence: before the first, the second, ...). Where one edit leaves
        another object half mended, that is mended too, up to twice as many, and so many fewer the next time.
    steps : int
        Training steps each time.
    instances : bool
        Whether labels are objects.
    device : str
        Where the network runs.
    seed : int
        Seeds the annotator's hand.
    settings, policy : optional
        Of `learning_steps`, what is to be other than usual.
    after : callable, optional
        Changes a model that has learned, before it is used.
    """
    waiting = [AnnotatorSession(shown, instances=instances, seed=seed + i) for i, shown in enumerate(fields)]
    done = [waiting.pop(0)]
    done[0].show(model, device)
    for asked in accumulate([objects] * rounds if isinstance(objects, int) else objects[:rounds]):
        left = asked - sum(session.kinds.total() for session in done)
        while left > 0:
            if done[-1].reviewed:
                if not waiting:
                    break
                done.append(waiting.pop(0))
                done[-1].show(model, device)
            left -= done[-1].correct(left)
        watch = Stopwatch()
        crops = [part for session in done for part in session.crops(model)]
        try:
            learned = learn(model, crops, steps, device, settings, policy)
        except NothingToLearnError:  # one class alone teaches nothing: more is painted first, as the window asks for
            continue
        if learned.verdict.should_promote():
            model = learned.model if after is None else after(learned.model)
        done[-1].show(model, device)
        kinds = sum((session.kinds for session in done), Counter[str]())
        figures = {
            "wait": round(watch.seconds, 2), "fields": len(done), "kinds": dict(kinds),
            "in use": learned.verdict.should_promote(), "verdict": str(learned.verdict),
        }  # fmt: skip
        yield Checkpoint(sum(session.seconds for session in done), kinds.total(), asked, crops, model, figures)
        if done[-1].reviewed and not waiting:
            return
