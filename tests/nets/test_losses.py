"""The loss sees exactly the supervised pixels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from napari_unet.nets.losses import MAX_BALANCE, balanced, distillation_loss, masked_bce, segmentation_loss


def draw(shape=(2, 3, 12, 14), seed=0, exclusive=False):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator)
    if exclusive:
        targets = F.one_hot(torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator), shape[1])
        targets = targets.movedim(-1, 1).float()
    else:
        targets = torch.rand(shape, generator=generator)
    supervised = (torch.rand((shape[0], 1, *shape[2:]), generator=generator) < 0.3).float()
    return logits.requires_grad_(True), targets, supervised


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("margin", [1, 7, 40])
def test_unlabelled_area_changes_neither_value_nor_gradient(margin, exclusive):
    logits, targets, supervised = draw(exclusive=exclusive)
    loss = segmentation_loss(logits, targets, supervised, exclusive=exclusive)
    loss.mean().backward()
    around = [margin] * 4
    wide = F.pad(logits.detach(), around, value=3.0).requires_grad_(True)
    more = segmentation_loss(wide, F.pad(targets, around, value=1.0), F.pad(supervised, around), exclusive=exclusive)
    more.mean().backward()
    assert more.mean().item() == pytest.approx(loss.mean().item(), rel=1e-5)
    inner = wide.grad[..., margin:-margin, margin:-margin]
    assert torch.allclose(inner, logits.grad, atol=1e-7)
    assert float(wide.grad.abs().sum() - inner.abs().sum()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("exclusive", [False, True])
def test_what_is_not_supervised_has_no_influence(exclusive):
    logits, targets, supervised = draw(exclusive=exclusive)
    loss = segmentation_loss(logits, targets, supervised, exclusive=exclusive)
    garbage = torch.where(supervised.bool(), targets, 1 - targets)
    assert segmentation_loss(logits, garbage, supervised, exclusive=exclusive).mean().item() == pytest.approx(
        loss.mean().item()
    )
    loss.mean().backward()
    free = ~supervised.bool().expand_as(logits)
    assert float(logits.grad[free].abs().max()) == 0
    assert float(logits.grad[~free].abs().min()) > 0


def test_nothing_supervised_is_no_loss():
    logits, targets, supervised = draw()
    loss = segmentation_loss(logits, targets, torch.zeros_like(supervised))
    loss.mean().backward()
    assert torch.isfinite(loss).all()
    assert float(logits.grad.abs().max()) == 0


def test_a_perfect_prediction_costs_little_however_little_is_labelled():
    targets = torch.zeros(1, 1, 100, 100)
    targets[..., 40:60, 40:60] = 1
    supervised = torch.zeros(1, 1, 100, 100)
    supervised[..., 55:65, 40:60] = 1  # 2 % of the pixels
    assert segmentation_loss(20 * (2 * targets - 1), targets, supervised).item() < 0.01
    assert segmentation_loss(-20 * (2 * targets - 1), targets, supervised).item() > 5


@pytest.mark.parametrize("exclusive", [False, True])
def test_holding_on_costs_nothing_where_nothing_moved(exclusive):
    logits, _, supervised = draw(exclusive=exclusive)
    before = logits.detach() * 4
    still = distillation_loss(before.clone().requires_grad_(True), before, 1 - supervised, exclusive=exclusive)
    moved = distillation_loss(-before, before, 1 - supervised, exclusive=exclusive)
    assert still.mean().item() == pytest.approx(0, abs=1e-6)
    assert moved.mean().item() > 1
    assert distillation_loss(-before, before, 0 * supervised, exclusive=exclusive).sum().item() == 0


def test_each_image_counts_on_its_own():
    logits, targets, supervised = draw()
    both = segmentation_loss(logits, targets, supervised)
    for index in range(len(logits)):
        one = slice(index, index + 1)
        assert segmentation_loss(logits[one], targets[one], supervised[one]).item() == pytest.approx(both[index].item())


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_weight_counts_once(exclusive):
    """Where seams count more, the weights say how the pixels share the loss, not how large it is."""
    logits, targets, _ = draw(exclusive=exclusive)
    everywhere = torch.ones_like(targets[:, :1])
    once = segmentation_loss(logits, targets, everywhere, exclusive=exclusive)
    assert torch.allclose(segmentation_loss(logits, targets, 4 * everywhere, exclusive=exclusive), once, rtol=1e-4)


def test_a_network_that_is_right_has_no_loss():
    """Also where the right answer is between 0 and 1, and where it is a little beyond by interpolation."""
    targets = torch.tensor([0.0, 1.0, 0.3, 0.5, 0.9]).reshape(1, 1, 1, 5)
    logits = torch.logit(targets).clamp(-20, 20).requires_grad_(True)
    loss = masked_bce(logits, targets, torch.ones_like(targets))
    loss.sum().backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad.abs().max() < 1e-5
    assert torch.isfinite(masked_bce(logits, targets + torch.tensor([-1e-7, 1e-7, 0, 0, 0]), torch.ones_like(targets)))
    assert masked_bce(logits + 1, targets, torch.ones_like(targets)) > 0.05


@pytest.mark.parametrize(("objects", "share"), [(0, 0.0), (1, 0.25), (10, 0.25), (40, 0.4)])
def test_foreground_makes_up_a_least_share_of_what_counts(objects, share):
    targets = torch.zeros(2, 2, 1, 10, 10)
    targets[:, :, 0].flatten(2)[..., :objects] = 1
    supervised = torch.ones(2, 1, 1, 10, 10)
    counts = balanced(targets, supervised, 0.25)
    inside = targets[:, :1] > 0.5
    assert torch.equal(counts[~inside], supervised[~inside])
    assert float(counts[inside].sum() / counts.sum()) == pytest.approx(share)
    assert not balanced(targets, 0 * supervised, 0.25).any()


def test_a_pixel_does_not_count_without_end():
    targets = torch.zeros(1, 1, 100, 100)
    targets[0, 0, 5, 5] = 1
    assert float(balanced(targets, torch.ones(1, 1, 100, 100), 0.25).max()) == MAX_BALANCE


def test_more_weight_for_what_is_missed():
    logits, targets, supervised = (
        torch.full((1, 1, 4, 8, 8), -2.0),
        torch.zeros(1, 1, 4, 8, 8),
        torch.zeros(1, 1, 4, 8, 8),
    )
    targets[:, :, 1, :2, :2], supervised[:, :, 1] = 1, 1
    plain = segmentation_loss(logits, targets, supervised)
    assert segmentation_loss(logits, targets, supervised, least_foreground=0.25) > plain
    assert segmentation_loss(logits, targets, supervised, least_foreground=0.01) == plain
