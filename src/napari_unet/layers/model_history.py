"""The models that were learned or chosen, in that order: which one is in use, and which one waits for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.learning.history import Generation
from napari_unet.models.model import Model
from napari_unet.models.offload import DiskOffload
from napari_unet.projects.segmented_by import SegmentedBy

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.objects.decode import Decoding


class ModelHistory:
    """All models that were learned, and those that were chosen and learned from; none is lost that nobody deletes.

    A model that is not in use lies in a file, and not in memory.

    Attributes
    ----------
    waiting : Generation or None
        A learned model of which the user has to decide whether it is used.
    parking : DiskOffload
        Writes those files.
    """

    replaced = Signal()  # another model is in use
    changed = Signal()  # which models there are, which is in use, or which waits
    none_waits = Signal()  # no model waits for a decision any more

    def __init__(self) -> None:
        self._generations: list[Generation] = []
        self._in_use: Generation | None = None
        self._model: Model | None = None
        self.waiting: Generation | None = None
        self.parking = DiskOffload()

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def generations(self) -> list[Generation]:
        """The models, in the order in which they were learned or chosen."""
        return list(self._generations)

    @property
    def in_use(self) -> Generation | None:
        """What is known of the model in use; None: there is none yet."""
        return self._in_use

    @property
    def model(self) -> Model | None:
        """The model in use."""
        return self._model

    @property
    def current(self) -> int:
        """Index of the model in use."""
        return self._generations.index(self._in_use) if self._in_use is not None else 0

    @property
    def earlier(self) -> Generation | None:
        """The one that was in use before the one in use; None: there is none."""
        present = self._in_use
        if present is None:
            return None
        if present.before in self._generations:
            return present.before
        index = self._generations.index(present)
        return self._generations[index - 1] if index else None

    # -- what is in use --------------------------------------------------------------------------------------------

    def choose(self, model: Model) -> None:
        """Use a model that is not in the history; the learned ones stay in it, and so does one that waits.

        Of a model that was chosen before it nothing was learned yet: it is not kept.
        """
        self.set_aside()
        if self._in_use is None or self._in_use.in_memory is not model:
            generation, before = Generation(model), self._in_use
            if before is not None and not before.learned and before is self._generations[-1]:
                self._generations.pop()
                before = before.before
            generation.before = before
            self._generations.append(generation)
            self._make_current(generation)
        self._replace(model)

    def use(self, generation: Generation) -> None:
        """Use a model of the history.

        Raises
        ------
        ModelFileError
            If its file is gone or damaged.
        """
        model = generation.hold()
        self._make_current(generation)
        self._replace(model)

    def add(self, generation: Generation) -> None:
        """Use a new model, after all others."""
        generation.before = generation.before or self._in_use
        self._generations.append(generation)
        self.use(generation)

    def add_unused(self, generation: Generation) -> None:
        """Add a model that is not in use."""
        generation.used = False
        self._generations.append(generation)
        self._write(generation)
        self.changed.emit()

    def can_delete(self, generation: Generation) -> bool:
        """Whether a model of the history was learned, and is not in use."""
        return generation.learned and generation is not self._in_use and generation in self._generations

    def delete(self, generation: Generation) -> None:
        """Delete a model for which `can_delete` is true, with its file; what was learned from it stays."""
        self._generations.remove(generation)
        for other in (*self._generations, *([] if self.waiting is None else [self.waiting])):
            if other.before is generation:
                other.before = generation.before
        self.parking.discard(lambda: generation.file)
        self.changed.emit()

    @property
    def segments_by(self) -> SegmentedBy:
        """By what is segmented now: the model in use, as the sliders stand; false: there is none."""
        in_use = self._in_use
        return SegmentedBy() if in_use is None else SegmentedBy.of(in_use.sha256(), in_use.info)

    def amend(self, model: Model, known: Model) -> None:
        """Let a model be the same with more known of it."""
        for generation in self._generations:
            if generation.in_memory is model:
                generation.amend(known)
                self._write(generation)
        if self._model is model:
            self._model = known

    def adjust(self, decoding: Decoding) -> None:
        """Have the model in use read objects out of its maps otherwise: the same model, with other settings."""
        generation, model = self._in_use, self._model
        if generation is None or model is None or model.info.decoding == decoding:
            return
        known = Model(model.net, model.info.with_decoding(decoding))
        generation.amend(known)  # it is written when another one comes into use
        self._model = known
        self.changed.emit()

    def take_up(self, generations: list[Generation], current: int, waiting: Generation | None) -> None:
        """Use the models of a project that was opened; those that were learned before stay."""
        self.set_aside()
        before = self._in_use
        if not any(generation.learned for generation in self._generations):
            self._generations, before = [], None
        known = {one.sha256(): one for one in self._generations if one.learned}
        opened = [known.get(one.sha256(), one) if one.learned else one for one in generations]
        for generation in opened:
            if generation not in self._generations:
                if generation.before is None and not self._generations:
                    before = None
                self._generations.append(generation)
        first = opened[0]
        if first.before is None and first is not before:
            first.before = before
        self.use(opened[current])
        self.let_wait(waiting)
        for generation in (*opened, *([waiting] if waiting is not None else [])):
            self._write(generation)

    # -- what waits for a decision ---------------------------------------------------------------------------------

    def let_wait(self, generation: Generation | None) -> None:
        """Have a model wait for a decision, or none."""
        self.waiting = generation
        if generation is None:
            self.none_waits.emit()
        else:
            self._write(generation)
        self.changed.emit()

    def set_aside(self) -> None:
        """Have none wait for a decision any more; the one that did stays in the history."""
        waiting = self.waiting
        if waiting is not None and waiting not in self._generations:
            self.add_unused(waiting)
        self.let_wait(None)

    # -- memory and files ------------------------------------------------------------------------------------------

    def store(self, generation: Generation) -> None:
        """Write a new model that nobody knows of yet, and return when that is done (worker)."""

        def written(path: Path) -> None:
            generation.file = path

        self.parking.keep(generation.model, written)
        self.parking.settle()
        generation.sha256()  # takes long, too, and is noted with it

    def close(self) -> None:
        """Wait for what is being written, and write no more."""
        self.parking.close()

    def _make_current(self, generation: Generation) -> None:
        before, self._in_use = self._in_use, generation
        generation.used = True
        if before is not None and before is not generation and before in self._generations:
            self._write(before)
        if generation.learned:
            self._write(generation)

    def _replace(self, model: Model) -> None:
        self._model = model
        self.replaced.emit()
        self.changed.emit()

    def _write(self, generation: Generation) -> None:
        """Have the weights in a file soon, and no longer in memory unless it is in use."""
        if generation.file is None and generation.in_memory is not None:
            model = generation.in_memory

            def written(path: Path) -> None:  # in another thread
                if generation.in_memory is model:
                    generation.file = path
                    if generation is not self._in_use:
                        generation.release()

            self.parking.keep(model, written)
        elif generation is not self._in_use:
            generation.release()
