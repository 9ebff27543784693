"""The same training for every way to tell objects apart: the same patches, in the same order, for as many steps."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.models.normalize import Normalization, measure, normalize
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet, freeze_norm
from napari_unet.training.augmentation import draw_patch
from napari_unet.training.config import Augmentation
from napari_unet.training.samples import PatchSampler, Sample, draw_focus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_unet_benchmarks.decodings import Way

PATCH, BATCH = 128, 8

INTENSITIES = Augmentation(
    flip=False, rotate=0, scale=1, elastic=0, contrast=0.3, brightness=0.1, gamma=1.6, noise=0.08, blur=1.2
)
"""Besides flips and quarter turns: what bends an image would bend directions too, and each way in its own manner."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast is learned, from scratch or from corrections."""

    steps: int
    rate: float = 2e-3
    warmup: int = 50
    falling: bool = True
    batch: int = BATCH
    frozen: bool = False
    seed: int = 0

    def factor(self, step: int) -> float:
        """Return the factor on the rate at a step."""
        rising = min(1.0, (step + 1) / (self.warmup + 1))
        return rising * (0.5 * (1 + math.cos(math.pi * step / self.steps)) if self.falling else 1.0)


def prepared(
    way: Way, image: NDArray[Any], labels: NDArray[Any], supervised: NDArray[np.bool_] | None = None
) -> Sample:
    """Return what there is to learn from an image (Y, X)."""
    everything = np.ones(labels.shape, bool)
    supervised = everything if supervised is None else supervised
    focus = draw_focus(labels > 0, supervised, np.random.default_rng(0))
    return Sample(
        normalized(image), way.targets(labels).astype(np.float16), way.known(labels, supervised), focus,
        weight=float(labels.size**0.5),
    )  # fmt: skip


def normalized(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image (Y, X) as a network takes it, (1, Y, X)."""
    settings = Normalization()
    return normalize(image[None], measure(image[None], settings), settings)


def fresh(way: Way, seed: int) -> UNet:
    """Return an untrained network; what comes before its last layer is the same for every way."""
    torch.manual_seed(seed)
    return UNet(UNetSpec(ndim=2, in_channels=1, out_channels=len(way.outputs), features=16, levels=4))


def turned(maps: Tensor, turns: int, flip: bool, vectors: int = -1) -> Tensor:
    """Return maps (K, Y, X) after quarter turns and a flip of Y; from map `vectors` on they are one vector (Y, X)."""
    maps = torch.rot90(maps, turns, (1, 2))
    if flip:
        maps = maps.flip(1)
    if vectors >= 0:
        y, x = maps[vectors], maps[vectors + 1]
        for _ in range(turns % 4):
            y, x = -x, y
        maps = torch.cat([maps[:vectors], torch.stack([-y if flip else y, x])])
    return maps


class Patches:
    """Draws batches; with the same seed the same places, turns and intensities, whatever is learned of them."""

    def __init__(self, way: Way, samples: Sequence[Sample], batch: int, seed: int) -> None:
        self._sampler = PatchSampler(samples, (PATCH, PATCH), seed)
        self._vectors, self._batch = way.vectors, batch

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return images, targets and known pixels."""
        drawn = [self._one() for _ in range(self._batch)]
        images, targets, known = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return images, targets, known

    def _one(self) -> tuple[Tensor, Tensor, Tensor]:
        rng = self._sampler.rng
        sample, place = self._sampler.draw()
        # Within the image, and on whole pixels: mirrored or interpolated vectors would be wrong ones.
        half = (PATCH - 1) / 2
        y, x = (int(np.clip(round(p - half), 0, n - PATCH)) for p, n in zip(place, sample.image.shape[1:], strict=True))
        everywhere = replace(sample, supervised=np.ones_like(sample.supervised))
        image, targets, _ = draw_patch(everywhere, (PATCH, PATCH), (y + half, x + half), INTENSITIES, rng)
        known = torch.from_numpy(sample.supervised[:, y : y + PATCH, x : x + PATCH].astype(np.float32))
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        return (
            turned(image, turns, flip),
            turned(targets, turns, flip, self._vectors),
            turned(known, turns, flip),
        )


def learn(
    way: Way, net: UNet, samples: Sequence[Sample], schedule: Schedule, say: Callable[[str], None] = print
) -> UNet:
    """Return what a network becomes; the one handed in is not changed.

    Where not all is known it is held, elsewhere, to what it said before, as the program does.
    """
    teacher = None if all(sample.supervised.all() for sample in samples) else net
    net = copy.deepcopy(net).requires_grad_(True).train()
    if schedule.frozen:
        freeze_norm(net)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=schedule.rate, weight_decay=1e-2)
    patches, losses = Patches(way, samples, schedule.batch, schedule.seed), []
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * schedule.factor(step)
        images, targets, known = patches.draw()
        logits = net(images.contiguous(memory_format=torch.channels_last))
        loss = way.loss(logits, targets, known)
        if teacher is not None:
            with torch.no_grad():
                before = teacher(images)
            loss = loss + way.hold(logits, before, 1 - known)
        loss = loss.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            say(f"  step {step + 1}, loss {np.mean(losses[-50:]):.4f}")
    net = net.eval().requires_grad_(False)
    return net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]


def predicted(way: Way, net: UNet, image: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a network says of an image (Y, X) of any size, as it is decoded."""
    pixels = normalized(image)
    space = pixels.shape[1:]
    step = 2**net.spec.levels
    padding = [(0, 0), *((0, -n % step) for n in space)]
    block = torch.from_numpy(np.pad(pixels, padding, mode="reflect"))[None]
    with torch.inference_mode():
        maps = way.maps(net(block.contiguous(memory_format=torch.channels_last)))
    return maps[0, :, : space[0], : space[1]].float().numpy()
