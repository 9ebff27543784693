"""Ways to learn from the same corrections: as the program does, but for one thing."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch

from napari_unet.learning import interactive
from napari_unet.learning.crops import CropReader
from napari_unet.learning.policy import DEFAULT_POLICY, Policy
from napari_unet.models.model import Model
from napari_unet.nets.losses import distillation_loss, segmentation_loss
from napari_unet.progress import drive
from napari_unet.training import samples, trainer
from napari_unet.training.config import Augmentation, StepReport, TrainingConfig
from napari_unet.training.samples import MAX_SHIFT, Sample
from napari_unet_benchmarks.harm_begins import Begin, as_it_is, forest_as_input, mean_with_cells_phase
from napari_unet_benchmarks.harm_samples import pasted, small_ones_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.interactive import Learned
    from napari_unet.nets.unet import UNet
    from napari_unet_benchmarks.fields import Field

MARKS = (10, 20, 40)
"""Steps after which the weights are scored, too."""

USUAL = "as it is"

IN_DOMAIN = 1.0
"""Weight of distillation with which the program learns what is like the data of the model."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn: as the program does, but for what is named.

    Attributes
    ----------
    change : callable
        Returns the settings that are to be others, from those that the program chooses.
    policy : Policy
    sure : float
        Smallest probability of the old model, of foreground or background, that unsupervised pixels are held to.
    share : float
        How far to go from the old weights to the new ones, always.
    mean_of_all : bool
        Whether the mean of the weights is that of all steps, all alike, and of the old weights.
    eps : float, optional
        What Adam adds to the root of the mean squared gradient: weights with far smaller gradients hardly move.
    others : float
        Share of patches from images that are neither corrected nor scored, beside all others; there the network is held
        to the old one where that was sure. Only in its domain.
    only_where_it_fits : bool
        Whether these are only such images on which what the old model finds is credible; where that is half of them,
        the corrected image is taken to be in its domain.
    samples : callable
        Returns what is learned from instead of the usual samples, which it gets with the old model.
    own_teacher : bool
        Whether unsupervised pixels are held to the running mean of the network that learns, where that is sure, and not
        to the old one; the network sees them in other intensities than the mean does (Tarvainen and Valpola 2017;
        Sohn et al. 2020, arXiv:2001.07685).
    base_data : bool
        Whether the patches that the model carries along are learned again, and tell what it forgets.
    begin : callable
        Returns what learning begins with instead of the model and the images.
    rebuilt : float
        Weight of an auxiliary task: what the image is at single pixels that the network does not see (DenoiSeg:
        Buchholz et al. 2020, arXiv:2005.02987).
    decoder_first : float
        Share of the time in which the contracting path stays as it is.
    max_shift : float
        Share of a patch by which its centre lies off the corrected pixel that it was drawn for, at most.
    new_input : bool
        Whether the first level learns at the full rate, and not at a fraction, as it has to heed another channel.
    """

    change: Callable[[TrainingConfig], Mapping[str, Any]] = field(default=lambda config: {})
    policy: Policy = DEFAULT_POLICY
    sure: float = 0.8
    share: float = 1.0
    mean_of_all: bool = False
    eps: float | None = None
    others: float = 0.0
    only_where_it_fits: bool = False
    samples: Callable[[Sequence[Sample], Model], Sequence[Sample]] = field(default=lambda samples, model: samples)
    own_teacher: bool = False
    base_data: bool = True
    begin: Callable[[Begin], Begin] = as_it_is
    rebuilt: float = 0.0
    decoder_first: float = 0.0
    max_shift: float = MAX_SHIFT
    new_input: bool = False


def counted_out_of_domain(**numbers: float) -> Policy:
    """Return a policy with other numbers for when images are out of the domain of a model."""
    return DEFAULT_POLICY.model_copy(update={"domain_shift": DEFAULT_POLICY.domain_shift.model_copy(update=numbers)})


NEVER_OUT = counted_out_of_domain(min_objects=10**6)
ALWAYS_OUT = counted_out_of_domain(min_objects=1, min_area_share_near=0.0, min_area_share=0.0)

WAYS = {
    "as it is": Way(),
    "never out of domain": Way(policy=NEVER_OUT),
    "always out of domain": Way(policy=ALWAYS_OUT),
    "held everywhere": Way(lambda config: {"distillation": 1.0}, sure=0.5),
    "without base data": Way(base_data=False),
    "without base data, at least 1e-3": Way(
        lambda config: {"learning_rate": max(1e-3, config.learning_rate)}, base_data=False
    ),
    "a third of the rate": Way(lambda config: {"learning_rate": config.learning_rate / 3}),
    "stronger intensity": Way(
        lambda config: {"augmentation": Augmentation(contrast=0.5, brightness=0.25, gamma=2.0, noise=0.1, blur=2.0)}
    ),
    "without Dice": Way(lambda config: {"dice": 0.0}),
    "not held out of domain": Way(lambda config: {} if config.distillation >= IN_DOMAIN else {"distillation": 0.0}),
    "half of the change of intensity": Way(
        lambda config: {"augmentation": Augmentation(contrast=0.1, brightness=0.05, gamma=1.15, noise=0.025, blur=0.5)}
    ),
    "no change of intensity": Way(
        lambda config: {"augmentation": Augmentation(contrast=0, brightness=0, gamma=1, noise=0, blur=0)}
    ),
    "half of the patches, twice the steps": Way(
        lambda config: {"batch_size": config.batch_size // 2, "steps": 2 * config.steps}
    ),
    "half of the patches, twice the steps, half of the change of intensity": Way(
        lambda config: {
            "batch_size": config.batch_size // 2,
            "steps": 2 * config.steps,
            "augmentation": Augmentation(contrast=0.1, brightness=0.05, gamma=1.15, noise=0.025, blur=0.5),
        }
    ),
    "twice the patches, half of the steps": Way(
        lambda config: {"batch_size": 2 * config.batch_size, "steps": config.steps // 2}
    ),
    "norm of the patches first": Way(lambda config: {"free_norm": 0.5}),
    "slower running mean": Way(lambda config: {"ema": 0.98}),
    "three quarters of the way": Way(share=0.75),
    "falling rate": Way(lambda config: {"schedule": "cosine"}),
    "mean of all steps": Way(mean_of_all=True),
    "larger eps": Way(eps=1e-4),
    "slower start": Way(lambda config: {"warmup": 40}),
    "held on other images": Way(others=0.25),
    "held on other images, more": Way(others=0.5),
    "held where it fits": Way(others=0.5, only_where_it_fits=True),
    "own teacher": Way(lambda config: {"distillation": 1.0}, sure=0.95, own_teacher=True),
    "objects pasted elsewhere": Way(samples=pasted),
    "small ones left count as background": Way(samples=small_ones_left),
    "hidden pixels rebuilt": Way(rebuilt=1.0),
    "decoder first": Way(decoder_first=0.5),
    "cut off by the border of patches": Way(max_shift=0.5),
    "all levels at one rate": Way(lambda config: {"depth_rate": 1.0}),
    "forest as input": Way(begin=forest_as_input, base_data=False),
    "forest as input, the first level at the full rate": Way(begin=forest_as_input, base_data=False, new_input=True),
    "without base data, the first level at the full rate": Way(base_data=False, new_input=True),
    "from the mean of two models": Way(begin=mean_with_cells_phase),
}


def learned_and_marks(
    model: Model, crops: Sequence[AnnotatedCrop], steps: int, way: Way, spare: Sequence[Field] = ()
) -> tuple[Learned, dict[int, UNet]]:
    """Return what is learned from corrections, and the network after each of `MARKS`.

    `spare` are the images that nobody corrects or scores.
    """
    if not way.base_data:
        model = Model(model.net, model.info.model_copy(update={"replay_set": None}))
    marks: dict[int, UNet] = {}
    made: list[_Trainer] = []

    def make(*arguments: Any) -> trainer.Trainer:
        made.append(_Trainer(model, way, spare, *arguments))
        return made[-1]

    def note(event: object) -> None:
        if isinstance(event, StepReport) and event.step in MARKS and event.step < steps:
            marks[event.step] = made[0].trained()

    with ExitStack() as stack:
        stack.enter_context(patch.object(interactive, "Trainer", make))
        stack.enter_context(patch.object(trainer, "distillation_loss", partial(distillation_loss, sure=way.sure)))
        stack.enter_context(patch.object(samples, "MAX_SHIFT", way.max_shift))
        if way.rebuilt:
            stack.enter_context(
                patch.object(trainer, "segmentation_loss", lambda *of: segmentation_loss(*of) + made[0].rebuilt)
            )
        settings = {"steps": steps}
        learning = interactive.learning_steps(model, crops, None, "cpu", settings=settings, policy=way.policy)
        return drive(learning, note), marks


class _Trainer(trainer.Trainer):
    """Learns in a way; the last arguments are those of the usual one."""

    def __init__(
        self, model: Model, way: Way, spare: Sequence[Field],
        net: UNet, samples: Sequence[Sample], config: TrainingConfig, device: Any = "cpu",
    ) -> None:  # fmt: skip
        config = config.model_copy(update=dict(way.change(config)))
        self._way, self._before = way, net
        self._rebuild = torch.nn.Conv2d(net.spec.features, net.spec.in_channels, 1) if way.rebuilt else None
        self.rebuilt: Tensor | float = 0.0
        if way.others and config.distillation >= IN_DOMAIN:
            samples = [*samples, *unlabelled(model, spare, way.others, sum(one.weight for one in samples))]
        super().__init__(net, way.samples(samples, model), config, device)
        for group in self._optimizer.param_groups if way.eps else ():
            group["eps"] = way.eps
        if way.own_teacher and self._mean is not None:
            self._teacher = self._mean

    def trained(self) -> UNet:
        net = super().trained()
        if self._way.share < 1:
            mix(net, self._before, self._way.share)
        return net

    def _new_optimizer(self) -> torch.optim.Optimizer:
        optimizer = super()._new_optimizer()
        rate = self.config.learning_rate
        if self._way.new_input:
            optimizer.param_groups[0]["rate"] = rate
        if self._rebuild is not None:
            optimizer.add_param_group({"params": list(self._rebuild.parameters()), "rate": rate})
        return optimizer

    def _learn(self, images: Tensor, targets: Tensor, supervised: Tensor) -> float:
        if self.spent < self._way.decoder_first:
            for group in self._optimizer.param_groups[: len(self.net.down)]:
                group["lr"] = 0.0
        return super()._learn(images, targets, supervised)

    def _logits(self, net: UNet, images: Tensor) -> Tensor:
        if net is not self.net:
            return super()._logits(net, images)
        if self._way.own_teacher:
            images = other_light(images)
        if self._rebuild is None:
            return super()._logits(net, images)
        seen, hidden = with_hidden_pixels(images)
        features: list[Tensor] = []
        hook = net.head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        logits = super()._logits(net, seen)
        hook.remove()
        wrong = (self._rebuild(features[0]) - images) ** 2 * hidden
        self.rebuilt = self._way.rebuilt * wrong.sum((1, 2, 3)) / hidden.sum((1, 2, 3)).clamp_min(1)
        return logits

    @torch.no_grad()
    def _follow(self, mean: UNet) -> None:
        if self._way.mean_of_all:
            mix(mean, self.net, (1 + self.step) / (2 + self.step))
        else:
            super()._follow(mean)


def unlabelled(model: Model, spare: Sequence[Field], share: float, weight: float) -> list[Sample]:
    """Return images of which nothing is known, from which so large a share of all patches is drawn."""
    every = []
    for one in spare:
        height, width = one.truth.shape
        image = CropReader(one.image, model).read(0, (slice(0, 1), slice(0, height), slice(0, width)))
        nothing = np.zeros((len(model.info.outputs), *image.shape[1:]), np.float16)
        focus = np.random.default_rng(0).integers(0, image.shape[1:], (256, 2))
        each = weight * share / (1 - share) / len(spare)
        every.append(Sample(image, nothing, np.zeros(nothing.shape, bool), focus, each))
    return every


def other_light(images: Tensor) -> Tensor:
    """Return images (N, C, ...) in other intensities, each in its own: contrast, brightness and noise."""
    ones = [len(images), *[1] * (images.ndim - 1)]
    contrast, brightness = 1 + 0.3 * (2 * torch.rand(ones) - 1), 0.2 * (2 * torch.rand(ones) - 1)
    return images * contrast + brightness + 0.1 * torch.randn_like(images)


def with_hidden_pixels(images: Tensor, share: float = 0.02) -> tuple[Tensor, Tensor]:
    """Return images (N, C, Y, X) in which single pixels show what is nearby, and which (N, 1, Y, X) these are."""
    hidden = torch.rand(len(images), 1, *images.shape[2:]) < share
    nearby = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)]
    shift = nearby[int(torch.randint(len(nearby), ()))]
    return torch.where(hidden, images.roll(shift, (2, 3)), images), hidden


@torch.no_grad()
def mix(net: UNet, other: UNet, share: float) -> None:
    """Take so large a share of the weights of a network, and the rest of another's."""
    others = other.state_dict()
    for name, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(others[name], 1 - share)
