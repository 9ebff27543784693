"""Training that can be interrupted at any time and goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from napari_unet.io.atomic import completed
from napari_unet.learning.retention import interpolate_weights
from napari_unet.models.model import Model
from napari_unet.nets.unet import UNet
from napari_unet.training.trainer import Trainer
from recipe import samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recipe import Recipe

LOG_EVERY = 50
SAVE_EVERY = 50


def train(recipe: Recipe, data: Path, run: Path, device: str) -> None:
    """Train, stage after stage, with a log and the states in the folder `run`; go on where it was interrupted."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.stages[0].seed)
    net = recipe.fresh(0)
    for stage, config in enumerate(recipe.stages):
        path = _state(run, stage)
        if path.exists() and int(load_file(path)["step"]) >= config.steps:
            net = trained(recipe, run, stage)[0]
            continue
        if stage:
            net = with_maps(recipe.fresh(stage), net, recipe.outputs(stage - 1), recipe.outputs(stage))
        session = Trainer(net, samples(recipe, data, stage, net.eval()), config, device)
        if path.exists():
            session.restore(load_file(path))
        _run(session, run, stage)
        net = session.trained()


def with_maps(fresh: UNet, net: UNet, before: Sequence[str], now: Sequence[str]) -> UNet:
    """Return a fresh network with the weights of another one; of maps that this one had not, the fresh ones."""
    state, head = net.state_dict(), fresh.head.state_dict()
    for name, values in head.items():
        for index, output in enumerate(now):
            if output in before:
                values[index] = state[f"head.{name}"][before.index(output)]
        state[f"head.{name}"] = values
    fresh.load_state_dict(state)
    return fresh


def _run(session: Trainer, run: Path, stage: int) -> None:
    losses: list[float] = []
    with (run / "train.log").open("a", buffering=1) as log:
        for report in session.run():
            losses.append(report.loss)
            at_end = report.step == report.steps
            if report.step % LOG_EVERY == 0 or at_end:
                loss = np.mean(losses)
                log.write(f"stage {stage} step {report.step} loss {loss:.4f} seconds {report.seconds:.0f}\n")
                losses.clear()
            if report.step % SAVE_EVERY == 0 or at_end:
                with completed(_state(run, stage), overwrite=True) as partial:
                    save_file(session.state(), partial)


def trained(recipe: Recipe, run: Path, stage: int) -> tuple[UNet, int]:
    """Return the network at the end of a stage, or as far as it is, and for how many steps it was trained in all."""
    state = load_file(_state(run, stage))
    part = "mean." if recipe.stages[stage].ema else "net."
    net = recipe.fresh(stage)
    net.load_state_dict({name.removeprefix(part): value for name, value in state.items() if name.startswith(part)})
    steps = sum(config.steps for config in recipe.stages[:stage]) + int(state["step"])
    return net.eval().requires_grad_(False), steps


def net_of_card(recipe: Recipe, run: Path, stage: int) -> tuple[UNet, int]:
    """Return a trained network with the maps of the card alone, and its steps; of the last stage as it is shipped."""
    share = recipe.last_share if stage == len(recipe.stages) - 1 else 1.0
    return part_of_the_way(recipe, run, stage, share)


def part_of_the_way(recipe: Recipe, run: Path, stage: int, share: float) -> tuple[UNet, int]:
    """Return the network that has gone only a share (0..1) of the way from the stage before to this one, and its steps.

    See `napari_unet.learning.retention.interpolate_weights`.
    """
    after, steps = _with_card_maps(recipe, run, stage)
    if share < 1:
        before = _with_card_maps(recipe, run, stage - 1)[0]
        after = interpolate_weights(Model(before, recipe.card), Model(after, recipe.card), share).net
    return after.eval().requires_grad_(False), steps


def _with_card_maps(recipe: Recipe, run: Path, stage: int) -> tuple[UNet, int]:
    net, steps = trained(recipe, run, stage)
    fresh = UNet(recipe.card.spec, initialise=False)
    return with_maps(fresh, net, recipe.outputs(stage), recipe.card.outputs), steps


def _state(run: Path, stage: int) -> Path:
    return run / f"stage-{stage}.safetensors"
