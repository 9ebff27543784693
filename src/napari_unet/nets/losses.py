"""Losses that see exactly the supervised pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from torch import Tensor

MAX_BALANCE = 50.0
"""Largest weight of a foreground pixel: a stroke of a few pixels must not count as much as a whole slice."""


def masked_bce(logits: Tensor, targets: Tensor, supervised: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of the supervised pixels of each image, less its minimum, axes (N,).

    Parameters
    ----------
    logits, targets : Tensor, axes (N, K, [Z,] Y, X)
        Targets are 0..1, soft values allowed.
    supervised : Tensor, axes (N, K, [Z,] Y, X) or (N, 1, [Z,] Y, X), 0..1
        Weight of each pixel, for each map or for all; 0 means that nothing is known there.

    Notes
    -----
    Unsupervised pixels are in neither the sum nor the divisor, so neither the value nor the gradient changes when
    unlabelled area is added. Multiplying the logits by the mask would not do: a logit of 0 still has a loss of log 2.

    For targets between 0 and 1, such as flows, even the best prediction has a cross-entropy above 0. That minimum is
    subtracted, which leaves the Kullback-Leibler divergence: a network that is right has a loss of 0.
    """
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    sure = targets.clamp(0, 1)  # interpolated targets may lie outside by rounding
    loss = loss + torch.xlogy(sure, sure) + torch.xlogy(1 - sure, 1 - sure)
    weight = supervised.expand_as(loss)
    return _of_each(loss * weight) / _of_each(weight).clamp_min(1e-6)


def masked_dice(probabilities: Tensor, targets: Tensor, supervised: Tensor) -> Tensor:
    """Return 1 - soft Dice over the supervised pixels of each image, mean over the K maps, axes (N,).

    Axes as in `masked_bce`, but probabilities, not logits. After Milletari et al. (2016, doi:10.1109/3DV.2016.79), with
    masked sums in numerator and denominator.
    """
    axes = tuple(range(2, targets.ndim))
    overlap = 2 * (probabilities * targets * supervised).sum(axes)  # once: a weight may be more than 1
    total = ((probabilities + targets) * supervised).sum(axes)
    # The smoothing is relative to what is supervised, so a map with no positive pixel gives a finite, fair loss.
    smooth = 1e-2 * supervised.sum(axes).clamp_min(1.0)
    return (1 - (overlap + smooth) / (total + smooth)).mean(1)


def masked_cross_entropy(logits: Tensor, targets: Tensor, supervised: Tensor) -> Tensor:
    """Return the mean cross-entropy of classes that exclude each other over the supervised pixels of each image.

    Axes as in `masked_bce`; the targets of a pixel add up to 1 over the K classes.
    """
    loss = -(targets * F.log_softmax(logits, dim=1)).sum(1, keepdim=True)
    return _of_each(loss * supervised) / _of_each(supervised).clamp_min(1e-6)


def balanced(targets: Tensor, supervised: Tensor, least_foreground: float) -> Tensor:
    """Return weights of pixels by which foreground (the first map) makes up at least that share of each image.

    Axes as in `masked_bce`. If there is more of it, or none, nothing changes; no weight grows by more than
    `MAX_BALANCE` times.
    """
    foreground = targets[:, :1] > 0.5
    inside, outside = _of_each(supervised * foreground), _of_each(supervised * ~foreground)
    factor = least_foreground / (1 - least_foreground) * outside / inside.clamp_min(1e-6)
    factor = factor.clamp(1, MAX_BALANCE).reshape(-1, *[1] * (targets.ndim - 1))
    return torch.where(foreground, supervised * factor, supervised)


def segmentation_loss(
    logits: Tensor,
    targets: Tensor,
    supervised: Tensor,
    dice_weight: float = 0.5,
    exclusive: bool = False,
    least_foreground: float = 0.0,
) -> Tensor:
    """Return cross-entropy plus soft Dice of each image, axes (N,); else axes as in `masked_bce`.

    Maps are independent, with the Dice of the first one, the foreground; or, with `exclusive`, they are classes of
    which each pixel has one, with the mean Dice of all. The loss is 0, with gradient 0, where nothing is supervised. It
    is computed for each image, because an image that is labelled everywhere would otherwise outweigh one with a few
    strokes. In the cross-entropy of independent maps, foreground has at least the share `least_foreground`
    (`balanced`).
    """
    if exclusive:
        loss = masked_cross_entropy(logits, targets, supervised[:, :1])
        return loss + dice_weight * masked_dice(F.softmax(logits, 1), targets, supervised[:, :1])
    counts = balanced(targets, supervised, least_foreground) if least_foreground else supervised
    loss = masked_bce(logits, targets, counts)
    return loss + dice_weight * masked_dice(torch.sigmoid(logits[:, :1]), targets[:, :1], supervised[:, :1])


def distillation_loss(
    logits: Tensor, before: Tensor, free: Tensor, sure: float = 0.8, exclusive: bool = False
) -> Tensor:
    """Return how far the maps of each image are from those of another network, where that was certain, axes (N,).

    Parameters
    ----------
    logits, before : Tensor, axes (N, K, [Z,] Y, X)
        Of the network that learns, and of the other one.
    free : Tensor, axes (N, K, [Z,] Y, X) or (N, 1, [Z,] Y, X), 0 or 1
        The pixels that are not supervised.
    sure : float
        Smallest probability, of foreground or background, that counts as certain.
    exclusive : bool
        Whether the outputs are classes of which each pixel has one.

    Notes
    -----
    The Kullback-Leibler divergence, which is 0 for equal maps (distillation after Li and Hoiem 2016,
    doi:10.1007/978-3-319-46493-0_37).
    """
    if exclusive:
        target = F.softmax(before, 1)
        weight = free[:, :1] * (target.amax(1, keepdim=True) >= sure)
        divergence = F.kl_div(F.log_softmax(logits, 1), target, reduction="none").sum(1, keepdim=True)
    else:
        target = torch.sigmoid(before)
        confidence = torch.maximum(target, 1 - target)[:, :1]  # of the first map, the foreground
        weight = (free * (confidence >= sure)).expand_as(target)
        divergence = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        divergence = divergence - F.binary_cross_entropy_with_logits(before, target, reduction="none")
    return _of_each(divergence * weight) / _of_each(weight).clamp_min(1e-6)


def _of_each(values: Tensor) -> Tensor:
    """Return the sum over each image, axes (N, ...) -> (N,)."""
    return values.flatten(1).sum(1)
