"""A training that is checked on its way, keeps its best weights, and goes on where it was interrupted."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from napari_unet.errors import LearningError
from napari_unet.progress import Stopwatch
from napari_unet.training.checkpoint import load_checkpoint, save_checkpoint
from napari_unet.training.curve import CurvePoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_unet.nets.unet import UNet
    from napari_unet.progress import CancelToken
    from napari_unet.training.config import StepReport
    from napari_unet.training.trainer import Trainer

SAVE_SECONDS = 20.0
"""Time after which a checkpoint is written again: what a power cut costs at most, beside one step or check."""


class CheckedTraining:
    """Runs a `Trainer` and checks its weights at even shares of its steps or its time.

    Parameters
    ----------
    trainer : Trainer
    score : callable, optional
        Returns how good weights are, 0..1; the best ones are kept. None: the last ones are.
    checks : int
        How often they are checked, after a first time at the beginning.
    patience : int
        Checks without a better score after which training stops.
    checkpoint : Path, optional
        File to go on from, and to write to; None: it cannot be interrupted.
    identity : mapping of str to str, optional
        What is trained with which settings, by a name for the user: a checkpoint of anything else is refused.

    Attributes
    ----------
    curve : list of CurvePoint
    best_step : int or None
        Of the weights that `trained` returns; None: the last ones.
    stopped_early : bool
        Whether it ended for want of better scores.

    Raises
    ------
    FileFormatError
        If the checkpoint is damaged, or of another program.
    LearningError
        If it is of another training.
    """

    def __init__(
        self,
        trainer: Trainer,
        score: Callable[[UNet], float] | None = None,
        *,
        checks: int,
        patience: int,
        checkpoint: Path | None = None,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        self._trainer, self._score, self._checks, self._patience = trainer, score, checks, patience
        self._checkpoint, self._identity = checkpoint, dict(identity or {})
        self.curve: list[CurvePoint] = []
        self.best_step: int | None = None
        self.stopped_early = False
        self._best: dict[str, Tensor] = {}
        self._sum, self._n, self._checked, self._without_gain = 0.0, 0, 0, 0
        if checkpoint is not None:
            self._restore(checkpoint)

    @property
    def step(self) -> int:
        """Steps that are done, with those of earlier sessions."""
        return self._trainer.step

    @property
    def seconds(self) -> float:
        """Time that they took, in all sessions."""
        return self._trainer.seconds

    @property
    def last_score(self) -> float | None:
        """Score at the last check; None: there was none."""
        return self.curve[-1].score if self.curve else None

    @property
    def last_loss(self) -> float | None:
        """Mean loss since the check before the last; None: no step is done."""
        if self._n:
            return self._sum / self._n
        return self.curve[-1].loss if self.curve else None

    def run(self, cancel: CancelToken | None = None) -> Iterator[StepReport]:
        """Train to the end, or until `cancel` is set; yield a report after every step."""
        if self.stopped_early:
            return
        if not self.curve:
            self._check()
        saved: Stopwatch | None = None  # at once after the first step: a full disk is better known now than later
        with closing(self._steps(cancel)) as steps:
            for report in steps:
                self._sum, self._n = self._sum + report.loss, self._n + 1
                if not math.isfinite(self._sum):  # the step was taken back
                    self._sum, self._n = 0.0, 0
                yield report
                if self._is_check_due():
                    self._check()
                    if self._score is not None and self._without_gain >= self._patience:
                        self.stopped_early = True
                        break
                elif saved is not None and saved.seconds < SAVE_SECONDS:
                    continue
                self.save()
                saved = Stopwatch()
        if self._n and not (cancel is not None and cancel.cancelled):
            self._check()
        if self.step:
            self.save()

    def _steps(self, cancel: CancelToken | None) -> Any:  # a generator, which can be closed
        return self._trainer.run(cancel)

    def trained(self) -> UNet:
        """Return the network with its best weights, or the last ones: on the CPU, for use and not for training."""
        net = self._trainer.trained()
        if self._best:
            net.load_state_dict(self._best)
        return net

    def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        if self._checkpoint is None:
            return
        tensors = self._trainer.state() | {f"best.{name}": value for name, value in self._best.items()}
        facts = {
            "identity": self._identity,
            "curve": [astuple(point) for point in self.curve],
            "best_step": self.best_step,
            "stopped_early": self.stopped_early,
            "since": [self._sum, self._n, self._checked, self._without_gain],
        }
        save_checkpoint(self._checkpoint, tensors, facts)

    def _restore(self, path: Path) -> None:
        found = load_checkpoint(path)
        if found is None:
            return
        tensors, facts = found
        other = [name for name, value in self._identity.items() if facts["identity"].get(name) != value]
        if other:
            raise LearningError(
                f"{path.name} is of a training with {_listed(other)}. Train with the same to go on, or begin anew "
                "with --restart (Python: delete the file)."
            )
        self._best = {name.removeprefix("best."): v for name, v in tensors.items() if name.startswith("best.")}
        self._trainer.restore({name: v for name, v in tensors.items() if not name.startswith("best.")})
        self.curve = [CurvePoint(*point) for point in facts["curve"]]
        self.best_step, self.stopped_early = facts["best_step"], facts["stopped_early"]
        self._sum, self._n, self._checked, self._without_gain = facts["since"]

    def _is_check_due(self) -> bool:
        return int(self._trainer.spent * self._checks) > self._checked

    def _check(self) -> None:
        """Score the weights as they are, and keep them if they are the best."""
        loss = self._sum / self._n if self._n else None
        self._sum, self._n, self._checked = 0.0, 0, int(self._trainer.spent * self._checks)
        score = None
        if self._score is not None:
            net = self._trainer.trained()
            score = self._score(net)
            best = max((point.score for point in self.curve if point.score is not None), default=-1.0)
            self._without_gain = 0 if score > best or best <= 0 else self._without_gain + 1  # nothing found yet: wait
            if score >= best:
                self.best_step = self._trainer.step
                self._best = {name: value.clone() for name, value in net.state_dict().items()}
        if loss is not None or score is not None:
            self.curve.append(CurvePoint(self._trainer.step, self._trainer.seconds, loss, score))


def _listed(names: list[str]) -> str:
    """Return ``other a, b and c``."""
    first, last = names[:-1], names[-1]
    return f"other {', '.join(first)} and {last}" if first else f"other {last}"
