"""The training loop: one for the shipped models, for `train`, and for learning from corrections."""

from __future__ import annotations

import copy
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.errors import DeviceError, LearningError, UNetError
from napari_unet.nets.geometry import input_size, output_size
from napari_unet.nets.losses import distillation_loss, segmentation_loss
from napari_unet.nets.unet import freeze_norm
from napari_unet.progress import Stopwatch
from napari_unet.tiling.prefetch import OrderedThreadPool
from napari_unet.tiling.throughput import learning_throughput_of
from napari_unet.training.augmentation import draw_patch
from napari_unet.training.config import StepReport, TrainingConfig
from napari_unet.training.samples import PatchSampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from napari_unet.nets.unet import UNet
    from napari_unet.progress import CancelToken, PauseToken
    from napari_unet.training.samples import Sample


Batch = tuple["Tensor", "Tensor", "Tensor"]
"""Images, targets and supervised pixels."""

DRAWING_THREADS = int((os.cpu_count() or 1) > 2)
"""Threads that draw patches while the network learns; on two cores the second one is the window's."""

CHECKPOINT_EVERY = 10
"""Steps between copies of the weights, to one of which a failed step returns."""

MAX_ROLL_BACKS = 6
"""Times that the rate is halved after a failed step, before learning is given up."""

MAX_GRADIENT_NORM = 5.0
"""Norm of the gradient of all weights above which it is scaled down, so that a single batch cannot ruin a network."""


class Trainer:
    """Trains a copy of a network; the network handed in is never touched.

    Parameters
    ----------
    net : UNet
        Where to begin.
    samples : sequence of Sample
        What to learn from.
    config : TrainingConfig
        How.
    device : torch.device or str
        Where.

    Notes
    -----
    `run` is a generator: after each step it hands back a report, and whoever drives it can paint, stop or simply not
    ask for more. Whenever it stops, `net` holds the weights of the last good step. A step whose loss or gradient is not
    a finite number is taken back, together with the few before it that led there, and the rate is halved.

    Attributes
    ----------
    net : UNet
        The weights of the last good step; those that are used are `trained`.
    step : int
        Steps that are done.
    seconds : float
        Time that they took, with what was done between them, but without pauses.
    """

    def __init__(
        self, net: UNet, samples: Sequence[Sample], config: TrainingConfig, device: torch.device | str = "cpu"
    ) -> None:
        spec = net.spec
        if len(config.patch) != spec.ndim:
            raise UNetError(f"The patch {config.patch} has {len(config.patch)} axes; the network has {spec.ndim}.")
        self.config = config
        self.device = torch.device(device)
        self.net = copy.deepcopy(net).to(self.device).requires_grad_(True)
        self._before = net
        self._teacher = self._teacher_for(samples)
        self.patch = tuple(input_size(spec, n, axis) for axis, n in enumerate(config.patch))
        self._output = tuple(output_size(spec, n, axis) for axis, n in enumerate(self.patch))
        self._sampler = PatchSampler(samples, self.patch, config.seed)
        self._optimizer = self._new_optimizer()
        self._mean = copy.deepcopy(self.net) if config.ema else None
        self._good = copy.deepcopy(self.net.state_dict())
        self._slowed, self._norm_is_free = 1.0, True
        # Channels side by side in memory: what convolutions on CPUs and on GPUs with matrix units take fastest.
        self._layout = torch.channels_last if spec.ndim == 2 else torch.channels_last_3d
        self._mixed = config.precision == "auto" and has_matrix_units(self.device)
        self._throughput = learning_throughput_of(spec, str(self.device))
        self.step = 0
        self.seconds = 0.0

    @property
    def spent(self) -> float:
        """Share of the steps or of the time that is used up, whichever is more; 0..1, or a little more."""
        return self._spent(self.seconds)

    def limit(self, max_seconds: float | None) -> None:
        """Set when it ends, in seconds of training; None: no limit. What comes before the first step is known late."""
        self.config = self.config.model_copy(update={"max_seconds": max_seconds})

    def has_time_for(self, seconds: float) -> bool:
        """Return whether something else may take so long before training ends."""
        return self.config.max_seconds is None or self.seconds + seconds <= self.config.max_seconds

    def learn_from(self, samples: Sequence[Sample]) -> None:
        """Go on with other samples: corrections were made meanwhile."""
        if self._teacher is None:
            self._teacher = self._teacher_for(samples)
        self._sampler.draw_from(samples)

    def run(self, cancel: CancelToken | None = None, pause: PauseToken | None = None) -> Iterator[StepReport]:
        """Train until the steps or the time are used up or `cancel` is set; yield a report after every step.

        Raises
        ------
        LearningError
            If it fails again and again, whatever the rate.
        """
        watch = Stopwatch()
        if self.seconds:
            watch.leave_out(-self.seconds)  # what was used up before it was interrupted
        self.net.train()
        self._norm_is_free = True
        self.net.to(memory_format=self._layout)  # type: ignore[call-overload]
        with OrderedThreadPool[Batch](DRAWING_THREADS) as drawn:
            yield from self._steps(watch, drawn, cancel, pause)

    def _steps(
        self, watch: Stopwatch, drawn: OrderedThreadPool[Batch], cancel: CancelToken | None, pause: PauseToken | None
    ) -> Iterator[StepReport]:
        config, step_seconds = self.config, 0.0
        while self.step < config.steps:
            if pause is not None:
                watch.leave_out(pause.wait(cancel))
            if cancel is not None and cancel.cancelled:
                break
            began = watch.seconds
            if self._norm_is_free and config.freeze_norm and self._spent(began) >= config.free_norm:
                freeze_norm(self.net)
                self._norm_is_free = False
            if config.max_seconds is not None and began + step_seconds > config.max_seconds:
                break  # the next step would end too late
            for group in self._optimizer.param_groups:
                group["lr"] = group["rate"] * self._slowed * self._rate_factor(watch.seconds)
            while len(drawn) <= DRAWING_THREADS:  # the next one is drawn while the network learns from this
                drawn.put(self._batch)
            loss = self._train_step(*next(drawn.take(len(drawn) - 1)))
            step_seconds = watch.seconds - began
            self._throughput.note(config.batch_size * math.prod(self.patch), step_seconds)
            note = ""
            if not math.isfinite(loss):
                note = self._roll_back()
            elif self.step % CHECKPOINT_EVERY == 0:
                self._good = copy.deepcopy(self.net.state_dict())
            self.step += 1
            self.seconds = watch.seconds
            yield StepReport(self.step, config.steps, loss, self.seconds, note)
            self.seconds = watch.seconds  # with what was done in between, such as a check of the weights

    def trained(self) -> UNet:
        """Return the network as it is now: on the CPU, for use and not for training."""
        net = copy.deepcopy(self.net if self._mean is None else self._mean).to("cpu").eval().requires_grad_(False)
        return net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]

    def state(self) -> dict[str, Tensor]:
        """Return what it takes to go on later, by name: weights, their mean, the optimiser's knowledge, step, time."""
        parts = {"net": self.net.state_dict()} | ({"mean": self._mean.state_dict()} if self._mean else {})
        known = {str(index): values for index, values in self._optimizer.state_dict()["state"].items()}
        parts |= {f"optimizer.{index}": values for index, values in known.items()}
        named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        numbers = {"step": self.step, "seconds": self.seconds, "slowed": self._slowed}
        named |= {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
        held = {name: value for name, value in named.items() if value is not None}  # gradient descent without momentum
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in held.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`, with patches drawn anew; the settings must be the same."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in state.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = value
        self.net.load_state_dict(parts["net"])
        if self._mean is not None:
            self._mean.load_state_dict(parts["mean"])
        known: dict[int, dict[str, Tensor]] = {}
        for name, value in parts.get("optimizer", {}).items():
            index, _, key = name.partition(".")
            known.setdefault(int(index), {})[key] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": known})
        self._good = copy.deepcopy(self.net.state_dict())
        self.step = int(state["step"])
        self.seconds, self._slowed = (float(state.get(name, value)) for name, value in (("seconds", 0), ("slowed", 1)))
        self._sampler.rng = np.random.default_rng([self.config.seed, self.step])

    def _teacher_for(self, samples: Sequence[Sample]) -> UNet | None:
        """Return what holds the network to earlier predictions where nothing is known; None where it is not needed."""
        if not self.config.distillation or all(sample.supervised.all() for sample in samples):
            return None
        return copy.deepcopy(self._before).to(self.device).eval().requires_grad_(False)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        config, deepest = self.config, len(self.net.down) - 1
        levels = [(module, config.depth_rate ** (deepest - level)) for level, module in enumerate(self.net.down)]
        levels += [(self.net.up, 1.0), (self.net.head, 1.0)]
        groups = [{"params": list(part.parameters()), "rate": config.learning_rate * f} for part, f in levels]
        if config.optimizer == "sgd":
            return torch.optim.SGD(
                groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
            )
        fused = self.device.type in ("cpu", "cuda")  # one pass over the weights, a tenth of a step's time on a CPU
        return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused)

    def _roll_back(self) -> str:
        self._slowed /= 2
        if self._slowed < 2**-MAX_ROLL_BACKS:
            raise LearningError(
                "Learning failed; the model is unchanged. Check the corrections: is an image or a label damaged?",
                "The network returned values that are not numbers, however slowly it learned.",
            )
        self.net.load_state_dict(self._good)
        if self._mean is not None:
            self._mean.load_state_dict(self._good)
        self._optimizer = self._new_optimizer()
        return "Something went wrong while learning. It was taken back, and learning goes on more slowly."

    def _rate_factor(self, seconds: float) -> float:
        """Factor on the learning rate at this step; a falling one reaches zero when the steps or the time run out."""
        config = self.config
        factor = min(1.0, (self.step + 1) / (config.warmup + 1))
        if config.schedule == "cosine":
            factor *= 0.5 * (1 + math.cos(math.pi * min(self._spent(seconds), 1.0)))
        return factor

    def _spent(self, seconds: float) -> float:
        """Return the share of the steps, or of the time, that is used up."""
        config = self.config
        return max(self.step / config.steps, seconds / config.max_seconds if config.max_seconds else 0.0)

    def _batch(self) -> Batch:
        """Images (N, C, ...); and, of the output's size, targets (N, K, ...) and supervised pixels (N, K, ...)."""
        drawn = []
        for _ in range(self.config.batch_size):
            sample, center = self._sampler.draw()
            drawn.append(draw_patch(sample, self.patch, center, self.config.augmentation, self._sampler.rng))
        images, targets, supervised = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        for axis, (whole, part) in enumerate(zip(self.patch, self._output, strict=True), start=2):
            start = (whole - part) // 2
            targets, supervised = targets.narrow(axis, start, part), supervised.narrow(axis, start, part)
        return images, targets, supervised

    def _train_step(self, images: Tensor, targets: Tensor, supervised: Tensor) -> float:
        """Learn from a batch and return its loss; NaN where that is no number, and nothing was learned.

        Raises
        ------
        DeviceError
            If a graphics card fails.
        """
        try:
            return self._learn(*(part.to(self.device) for part in (images, targets, supervised)))
        except RuntimeError as error:  # what torch raises where a card runs out of memory, or is gone
            if self.device.type == "cpu":
                raise
            raise DeviceError(
                f"Learning stopped: the device {self.device} failed. The model is unchanged; choose another "
                "device, such as cpu.",
                str(error).splitlines()[0],
            ) from error

    def _learn(self, images: Tensor, targets: Tensor, supervised: Tensor) -> float:
        images = images.contiguous(memory_format=self._layout)
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._logits(self.net, images)
        config = self.config
        loss = segmentation_loss(logits, targets, supervised, config.dice, config.exclusive, config.least_foreground)
        free = (supervised == 0).to(supervised.dtype)
        unlabelled = free.flatten(1).any(1)  # the images in which something is not supervised
        if self._teacher is not None and unlabelled.any():
            with torch.no_grad():
                before = self._logits(self._teacher, images[unlabelled])
            held = distillation_loss(logits[unlabelled], before, free[unlabelled], exclusive=config.exclusive)
            loss = loss.index_add(0, unlabelled.nonzero()[:, 0], held, alpha=config.distillation)
        loss = loss.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), MAX_GRADIENT_NORM)
        if not (torch.isfinite(norm) and torch.isfinite(loss)):
            return math.nan
        self._optimizer.step()
        if self._mean is not None:
            self._follow(self._mean)
        return float(loss.detach())

    def _logits(self, net: UNet, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            logits: Tensor = net(images)
        return logits.float()

    @torch.no_grad()
    def _follow(self, mean: UNet) -> None:
        """Move the running mean towards the weights; at first faster, or it would still be where they began."""
        keep = min(self.config.ema, (1 + self.step) / (4 + self.step))
        for kept, now in zip(mean.state_dict().values(), self.net.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(now, 1 - keep)
            else:
                kept.copy_(now)


def has_matrix_units(device: torch.device) -> bool:
    """Return whether a device has units that multiply matrices of bfloat16: AMX on a CPU, the tensor cores of a GPU.

    Without them bfloat16 is no faster, and on most CPUs many times slower.
    """
    if device.type == "cpu":
        known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # younger than the oldest torch allowed
        return bool(known.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
