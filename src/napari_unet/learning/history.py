"""The models of a session of work, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from napari_unet.learning.domain_shift import has_new_domain
from napari_unet.models.checkpoint import load_model_file

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.learning.gate import Verdict
    from napari_unet.models.model import Model


class Generation:
    """A model that was in use, or might be, and what is known of it.

    Its weights are in memory while it is in use, or while they lie in no file. Else they are read from that file, page
    by page, when the model is asked for.

    Parameters
    ----------
    model : Model
    verdict : Verdict, optional
        What is known of it beside the one before; None: it was not learned here.
    before : Generation, optional
        The one that was in use before it: where *Go back* leads. None: there is none, or it is not known.

    Attributes
    ----------
    verdict, before
        As above.
    info : ModelInfo
    file : Path or None
        A file with its weights; see `release`.
    used : bool
        Whether it was ever in use.
    """

    def __init__(self, model: Model, verdict: Verdict | None = None, before: Generation | None = None) -> None:
        self.verdict, self.before, self.info, self.used = verdict, before, model.info, True
        self.file: Path | None = None
        self._held: Model | None = model
        self._loaded = ref(model)
        self._sha256 = ""

    @property
    def model(self) -> Model:
        """The model; it is read from its file if it is not in memory.

        Raises
        ------
        ModelFileError
            If that file is gone or damaged.
        """
        model = self._held or self._loaded()
        if model is None:
            assert self.file is not None  # see `release`
            model = load_model_file(self.file)
            self._loaded = ref(model)
        return model

    @property
    def in_memory(self) -> Model | None:
        """The model if it is kept in memory, else None."""
        return self._held

    @property
    def learned(self) -> bool:
        """Whether it was learned from corrections; else it was chosen, and can be chosen again."""
        return self.verdict is not None

    def sha256(self) -> str:
        """Return a hash of the weights, which is computed once."""
        if not self._sha256:
            self._sha256 = self.model.sha256()
        return self._sha256

    def hold(self) -> Model:
        """Keep the model in memory from now on, and return it; for errors see `model`."""
        self._held = self.model
        return self._held

    def release(self) -> None:
        """Keep it in memory no longer, if there is a file to read it from."""
        if self.file is not None:
            self._held = None

    def amend(self, model: Model) -> None:
        """Let it be the same model with more known of it."""
        self.info, self.file, self._held, self._loaded = model.info, None, model, ref(model)

    def __str__(self) -> str:
        if self.verdict is None:
            return self.info.name
        compared = self.verdict.reviewed
        learned = "learned another kind" if has_new_domain(self.info) else "learned"
        return learned if compared is None else f"{learned}, {compared.before:.0%} → {compared.after:.0%}"
