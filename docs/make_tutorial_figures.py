"""Make the figures of docs/tutorial/ from the bundled samples and the shipped model.

make figures, or python docs/make_tutorial_figures.py NAME ...
"""

from __future__ import annotations

import argparse
import itertools
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch
from _diagrams import padding, the_u, up_convolution
from _files import draw_all
from _panels import BLUE, GREEN, GREY, ORANGE, YELLOW, frame, grid, outlines, show
from matplotlib import pyplot as plt
from torch.nn import functional as F  # noqa: N812

from napari_unet import evaluate, load_model, segment
from napari_unet.models.normalize import measure, normalize
from napari_unet.nets.geometry import output_size, valid_margin
from napari_unet.nets.spec import unet2015
from napari_unet.objects.targets import border_weights
from napari_unet.training.augmentation import draw_patch
from napari_unet.training.config import Augmentation
from napari_unet.training.samples import make_sample
from napari_unet_benchmarks.classical import ObjectPipeline

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images" / "tutorial"
SAMPLES = files("napari_unet") / "samples"
NUMBERS = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 7, 8], [1, 0, 6, 9, 9], [0, 1, 7, 8, 9], [1, 0, 1, 8, 8]])
EDGE = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def sample(name: str) -> np.ndarray:
    """Return a bundled sample image."""
    return np.asarray(tifffile.imread(str(SAMPLES / f"{name}.tif")))


def bright(image: np.ndarray) -> np.ndarray:
    """Return an image as 0..1, as the model sees it."""
    normalization = load_model("nuclei").info.normalization
    return normalize(image[None], measure(image[None], normalization), normalization)[0]


def threshold_or_network() -> plt.Figure:
    """Smoothed Otsu and watershed against the shipped network, on the same images."""
    measured = json.loads((ROOT / "benchmarks" / "results" / "shipped_models-cpu.json").read_text())
    tuned = measured["models"]["nuclei"]["kinds"]
    field, truth = sample("nuclei_stack")[4], sample("nuclei_stack_reference")[4].astype(int)
    kinds = (("bbbc039", field, "YX", truth), ("histology", sample("histology")[40:210, 60:272], "YXC", None))
    figure, panels = plt.subplots(2, 3, figsize=(9, 5.8), height_ratios=(1, 0.82))
    for row, (kind, image, order, wanted) in zip(panels, kinds, strict=True):
        threshold = ObjectPipeline(**tuned[kind]["classical"]["settings"])
        found = {
            "threshold": threshold(np.moveaxis(image, -1, 0) if image.ndim == 3 else image[None]),
            "network": segment(image, "nuclei", axes=order, device="cpu").labels,
        }
        picture = image / 255 if image.ndim == 3 else np.clip(bright(image), 0, 1) ** 0.6
        show(row[0], picture, "histology" if wanted is None else "fluorescence, outlined by an expert")
        if wanted is not None:
            outlines(row[0], wanted, YELLOW)
        for axes, (name, labels), color in zip(row[1:], found.items(), (ORANGE, "#22c55e"), strict=True):
            right = ""
            if wanted is not None:
                scores = evaluate(wanted, labels.astype(int))
                found_right = scores.f1["0.75"] * (scores.n_truth + scores.n_pred) / 2
                right = f": {round(found_right)} of {scores.n_truth} right, {scores.n_pred} drawn"
            show(axes, picture, name + right)
            outlines(axes, labels, color)
    return figure


def convolution() -> plt.Figure:
    """One window of numbers, and what whole filters answer to."""
    figure = plt.figure(figsize=(9, 5.4))
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    numbers, weights, result, text = above.subplots(1, 4, width_ratios=(1.3, 0.9, 0.9, 1.1))
    answer = F.conv2d(torch.tensor(NUMBERS[None, None]), torch.tensor(EDGE[None, None]))[0, 0].numpy()
    grid(numbers, NUMBERS, "pixels")
    grid(weights, EDGE, "nine weights", cmap="coolwarm", vmin=-6, vmax=6)
    grid(result, answer, "answers", cmap="coolwarm", vmin=-80, vmax=80)
    frame(numbers, 1, 1, 3, 3, ORANGE)
    frame(result, 1, 1, 1, 1, ORANGE)
    text.axis("off")
    products = [
        f"{v}×{w}".replace("-", "\N{MINUS SIGN}") for v, w in zip(NUMBERS[1:4, 1:4].flat, EDGE.flat, strict=True)
    ]
    lines = [" + ".join(products[i : i + 3]) for i in (0, 3, 6)]
    text.text(-0.1, 0.5, "\n+ ".join(lines) + f"\n= {answer[1, 1]}", va="center", fontsize=10)
    image = np.clip(bright(sample("nuclei"))[150:246, 300:396], 0, 1)
    kernels = {"brighter on the right": EDGE, "brighter below": EDGE.T, "average": np.ones((3, 3)) / 9}
    panels = below.subplots(1, 4)
    show(panels[0], image, "an image")
    for axes, (name, kernel) in zip(panels[1:], kernels.items(), strict=True):
        block, weight = (torch.tensor(a[None, None], dtype=torch.float32) for a in (image, kernel))
        found = F.conv2d(block, weight)[0, 0].numpy()
        limit = np.percentile(np.abs(found), 99.5)
        colours = {"cmap": "gray"} if name == "average" else {"cmap": "coolwarm", "vmin": -limit, "vmax": limit}
        show(axes, found, name, **colours)
    return figure


def kernels() -> plt.Figure:
    """Kernels that blur, sharpen and find edges, and what they make of an image."""
    image = np.clip(bright(sample("nuclei"))[150:246, 300:396], 0, 1)
    laplace = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    blur = np.outer([1, 2, 1], [1, 2, 1])
    shown = {
        "as it is": (np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]), 1),
        "blur": (blur, 16),
        "sharpen": (np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]), 1),
        "edges, all ways": (laplace, 1),
        "edges, left to right": (EDGE, 1),
    }
    figure, panels = plt.subplots(2, len(shown), figsize=(9, 4), height_ratios=(0.8, 1))
    for (above, below), (name, (kernel, divisor)) in zip(panels.T, shown.items(), strict=True):
        grid(above, kernel, name, cmap="coolwarm", vmin=-8, vmax=8)
        above.set_xlabel(f"divided by {divisor}" if divisor > 1 else "")
        block, weight = (torch.tensor(a[None, None], dtype=torch.float32) for a in (image, kernel / divisor))
        found = F.conv2d(block, weight)[0, 0].numpy()
        limit = np.percentile(np.abs(found), 99.5)
        signed = {"cmap": "coolwarm", "vmin": -limit, "vmax": limit}
        show(below, found, **(signed if kernel.sum() == 0 else {"cmap": "gray", "vmin": 0, "vmax": 1}))
    return figure


def relu() -> plt.Figure:
    """Draw the function, and a map before and after it."""
    figure, (curve, before, after) = plt.subplots(1, 3, figsize=(9, 3.2))
    x = np.linspace(-3, 3, 100)
    curve.plot(x, np.maximum(x, 0), color=BLUE, lw=3)
    curve.axhline(0, color=GREY, lw=0.8)
    curve.axvline(0, color=GREY, lw=0.8)
    curve.set(xlabel="what the filter answered", ylabel="what is passed on", title="ReLU: max(0, x)")
    image = bright(sample("nuclei"))[150:246, 300:396]
    found = F.conv2d(torch.tensor(image[None, None]), torch.tensor(EDGE[None, None], dtype=torch.float32))[0, 0].numpy()
    limit = np.percentile(np.abs(found), 99.5)
    show(before, found, "before: left and right edges", cmap="coolwarm", vmin=-limit, vmax=limit)
    show(after, np.maximum(found, 0), "after: left edges only", cmap="coolwarm", vmin=-limit, vmax=limit)
    return figure


def pooling() -> plt.Figure:
    """Numbers, and how far a 3 x 3 window sees after each pooling."""
    figure, panels = plt.subplots(1, 6, figsize=(9, 2.4), width_ratios=(1.1, 0.7, 1, 1, 1, 1))
    values = np.array([[1, 3, 0, 2], [4, 2, 1, 0], [0, 1, 9, 6], [2, 0, 5, 7]])
    grid(panels[0], values, "4 × 4", 11)
    grid(panels[1], values.reshape(2, 2, 2, 2).max((1, 3)), "2 × 2", 11)
    for (y, x), color in zip(np.ndindex(2, 2), (BLUE, ORANGE, GREEN, GREY), strict=True):
        frame(panels[0], 2 * x, 2 * y, 2, 2, color)
        frame(panels[1], x, y, 1, 1, color)
    image = np.clip(bright(sample("nuclei"))[150:278, 300:428], 0, 1)
    for axes, times in zip(panels[2:], (0, 1, 2, 3), strict=True):
        small = F.max_pool2d(torch.tensor(image[None, None]), 2**times)[0, 0].numpy()
        show(axes, small, f"{small.shape[0]} × {small.shape[1]}")
        middle = small.shape[0] // 2 - 2
        frame(axes, middle, middle, 3, 3, ORANGE)
    return figure


@torch.no_grad()
def foreground(block: np.ndarray, silent: int = 0) -> np.ndarray:
    """Foreground of the shipped network; its first `silent` skip connections say the same everywhere."""
    model = load_model("nuclei")
    net = model.net
    x = torch.from_numpy(np.ascontiguousarray(model.adapt_channels(block[None])))[None]
    skips = []
    for conv, pool in zip(net.down, net.pools, strict=False):
        x = conv(x)
        skips.append(x.mean((2, 3), keepdim=True).expand_as(x) if len(skips) < silent else x)
        x = pool(x)
    x = net.down[-1](x)
    for up in net.up:
        x = up(x, skips.pop())
    return torch.sigmoid(net.head(x))[0, 0].numpy()


def skips() -> plt.Figure:
    """Draw what the shipped network says with its skip connections cut, one after another."""
    image = bright(sample("nuclei"))[150:310, 300:460]
    figure, panels = plt.subplots(1, 4, figsize=(9, 2.7))
    show(panels[0], np.clip(image, 0, 1), "image")
    for axes, silent, title in zip(
        panels[1:], (0, 2, 3), ("all skips", "the two finest cut", "the three finest cut"), strict=True
    ):
        show(axes, foreground(image, silent), title, vmin=0, vmax=1, cmap="viridis")
    return figure


def tiles() -> plt.Figure:
    """Which part of a mirrored image the network of 2015 reads for one tile of its output."""
    spec, image = unet2015(), np.clip(bright(sample("nuclei")), 0, 1) ** 0.6
    margin, out = valid_margin(spec)[0], output_size(spec, 572)
    wide = np.pad(image, margin, mode="reflect")
    dim = 0.45 * np.ones_like(wide)
    dim[margin:-margin, margin:-margin] = 1
    picture = np.repeat((wide * dim)[..., None], 3, axis=-1)
    picture[dim < 1] += (0.06, 0.08, 0.16)
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.9))
    for axes, x, title in zip(panels, (0, image.shape[1] - out), ("one tile", "its neighbour"), strict=True):
        show(axes, np.clip(picture, 0, 1), title)
        frame(axes, margin, margin, image.shape[1], image.shape[0], "white", ls=":")
        frame(axes, x, 0, 572, 572, BLUE)
        frame(axes, x + margin, margin, out, out, YELLOW)
        box = {"fc": "black", "ec": "none", "pad": 2}
        axes.text(x + 286, 550, "read: 572 × 572", color="#9cc4f2", ha="center", fontsize=9, bbox=box)
        axes.text(x + 286, margin + out - 20, f"result: {out} × {out}", color=YELLOW, ha="center", fontsize=9, bbox=box)
    return figure


def mirror() -> plt.Figure:
    """Fields cut out of an image: what the network says at their border, by what is put around them."""
    image, size, rim = bright(sample("nuclei")), 128, 96
    distance = np.minimum.reduce([*np.indices((size, size)), *(size - 1 - np.indices((size, size)))])
    bands = np.arange(0, 41, 4)
    errors: dict[str, list[list[float]]] = {"mirrored": [], "zeros": []}
    surrounded = {}
    for y, x in itertools.product((96, 196, 296), (96, 196, 296, 396, 472)):
        whole = image[y - rim : y + size + rim, x - rim : x + size + rim]
        field = whole[rim:-rim, rim:-rim]
        truth = foreground(whole)[rim:-rim, rim:-rim]
        surrounded = {"mirrored": np.pad(field, rim, mode="reflect"), "zeros": np.pad(field, rim)}
        for name, block in surrounded.items():
            error = np.abs(foreground(block)[rim:-rim, rim:-rim] - truth)
            errors[name].append([error[(distance >= a) & (distance < a + 4)].mean() for a in bands])
    figure, panels = plt.subplots(1, 3, figsize=(9, 3.1), width_ratios=(1, 1, 1.25))
    for axes, (name, block) in zip(panels, surrounded.items(), strict=False):
        show(
            axes,
            np.clip(block, 0, 1) ** 0.6,
            f"{name} around a field",
        )
        frame(axes, rim, rim, size, size, YELLOW)
    for (name, found), color in zip(errors.items(), (GREEN, ORANGE), strict=True):
        panels[2].plot(bands + 2, 100 * np.mean(found, axis=0), "o-", color=color, label=name)
    panels[2].set(xlabel="distance from the border, pixels", ylabel="mean error of the probability, %", ylim=(0, None))
    panels[2].legend(frameon=False)
    return figure


def learning() -> plt.Figure:
    """Bend an image as in training, and show what seams between its nuclei count."""
    image, labels = bright(sample("nuclei_stack")[4]), sample("nuclei_stack_reference")[4].astype(int)
    squares = np.clip(image, 0, 1) ** 0.6
    squares[::32], squares[:, ::32] = 1, 1
    source = make_sample(squares[None], labels, ("foreground",))
    bent = Augmentation(
        flip=False, rotate=0, scale=1, elastic=10, elastic_points=3, contrast=0, brightness=0, gamma=1, noise=0, blur=0
    )
    figure, panels = plt.subplots(1, 4, figsize=(9, 2.7))
    show(panels[0], squares, "a field, with a grid")
    for axes, seed in zip(panels[1:], (1, 5), strict=False):
        show(axes, draw_patch(source, labels.shape, (127.5, 127.5), bent, np.random.default_rng(seed))[0][0], "bent")
    weights = panels[3].imshow(1 + border_weights(labels), cmap="magma", vmin=1, vmax=11)
    outlines(panels[3], labels, "#ffffff60")
    panels[3].set(title="how much a pixel counts", xticks=[], yticks=[])
    figure.colorbar(weights, ax=panels[3], shrink=0.8, ticks=[1, 6, 11])
    return figure


FIGURES: dict[str, Callable[[], plt.Figure]] = {
    f.__name__: f
    for f in (
        threshold_or_network,
        convolution,
        kernels,
        relu,
        pooling,
        up_convolution,
        skips,
        the_u,
        padding,
        tiles,
        mirror,
        learning,
    )
}


def main() -> None:
    """Draw all figures, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*FIGURES, []], metavar="NAME", help=", ".join(FIGURES))
    names = parser.parse_args().names or FIGURES
    draw_all({name: FIGURES[name] for name in names}, OUT)


if __name__ == "__main__":
    main()
