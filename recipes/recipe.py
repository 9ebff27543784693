"""What makes up the recipe of a shipped model, and how it reads its data.

The data are split three ways, by file, animal or embryo: "train" is learned from, "choose" chooses the decoding, and
"val" is scored, and nothing is ever chosen on it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from napari_unet.io.readers import read_image, read_labels
from napari_unet.learning.crops import CropReader
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet.nets.unet import UNet
from napari_unet.objects.stitch import count_ids
from napari_unet.tiling.engine import predict_maps
from napari_unet.training.samples import Sample, make_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo
    from napari_unet.training.config import TrainingConfig

Split = Literal["train", "choose", "val"]

EARLIER = ("foreground", "boundary", "distance")
"""What was learned of objects before flows were found to be better; the boundary is dropped in the end."""

OUTLINE = 4
"""Pixels by which an outline may be off without being a mistake."""

MISTAKE_WEIGHT = 50.0
"""How much more often an image is drawn that is all mistakes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its labels; `kind` says of which group of the data they are."""

    kind: str
    image: Path
    labels: Path

    @classmethod
    def of(cls, kind: str, image: Path) -> Pair:
        """Return an image and its labels, which lie in the folder ``labels`` beside its own under the same name."""
        return cls(kind, image, image.parents[1] / "labels" / image.name)


def split_images(folder: Path, split: Split, chooses: Callable[[Path], bool]) -> list[Path]:
    """Return the images of a split of a folder with "train" and "val"; of "train", those that choose or the others."""
    paths = sorted((folder / ("val" if split == "val" else "train") / "images").glob("*.tif"))
    return [path for path in paths if split == "val" or chooses(path) == (split == "choose")]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one shipped model is made.

    Attributes
    ----------
    card : ModelInfo
        The model's description, as far as it is known before; its outputs are what is trained.
    stages : sequence of TrainingConfig
        How the network is trained, one after the other.
    earlier : int
        How many of the first stages learned the maps `EARLIER`.
    pairs : callable
        Folder of all data and split -> the pairs of that split.
    on_all : int
        How many of the last stages also learn from the split "choose", when the decoding has been chosen on it.
    on_mistakes : int
        How many of the last stages learn where the network before found an object that is none, or missed one.
    by_objects : int
        How many of the last stages see an image as often as it has objects, and not by its size.
    last_share : float
        Of the weights in the model file: how far (0..1) they have gone from those before the last stage to those after.
        Between the two a network keeps much of what it knew and of what it learned (Wortsman et al. 2022).
    shares : dict
        Share of the patches that each kind of image gets, however many images there are of it; empty: all alike.
    grids : sequence of dict
        For each field of the decoding, the values that are tried: of one dict, each with each.
    chosen_on : tuple of str
        The splits that they are tried on.
    replay_set : dict
        Patches of each kind that the model carries along: (to learn again, to check with).
    replay_patch : tuple of int
        Their shape.
    begins_with : str, optional
        The shipped model whose weights the first stage begins with; it has the maps of that stage. None: random ones.
    diameters : dict
        Diameter of the objects of each kind, in pixels of its images, by which these are brought to that of the card;
        a kind that is not named is taken as the card says. A user's image, and "val", has none: there it is found.
    """

    card: ModelInfo
    stages: Sequence[TrainingConfig]
    pairs: Callable[[Path, Split], list[Pair]]
    earlier: int = 0
    on_all: int = 0
    on_mistakes: int = 0
    by_objects: int = 0
    last_share: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)
    grids: Sequence[Mapping[str, Sequence[Any]]] = ()
    chosen_on: tuple[Split, ...] = ("choose",)
    replay_set: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    replay_patch: tuple[int, ...] = ()
    begins_with: str | None = None
    diameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def script(self) -> str:
        """Where it stands, for the card."""
        return f"recipes/{self.card.name}.py"

    @property
    def chooser(self) -> int:
        """The stage whose network chooses the decoding: the last that has not learned from what it is chosen on."""
        return len(self.stages) - 1 - self.on_all

    def learned(self, stage: int) -> tuple[Split, ...]:
        """Return the splits that a stage learns from."""
        return ("train",) if stage <= self.chooser else ("train", "choose")

    def outputs(self, stage: int) -> tuple[str, ...]:
        """Return the maps that a stage learns."""
        return EARLIER if stage < self.earlier else self.card.outputs

    def fresh(self, stage: int) -> UNet:
        """Return the network with the maps of a stage that this begins with: untrained, or of another model."""
        net = UNet(self.card.spec.model_copy(update={"out_channels": len(self.outputs(stage))}))
        if stage == 0 and self.begins_with is not None:
            net.load_state_dict(load_model(self.begins_with).net.state_dict())
        return net

    def read(self, pair: Pair) -> Image:
        """Return an image, with the diameter of its objects where the recipe names it."""
        image = read_image(pair.image)
        return replace(image, diameter=self.diameters.get(pair.kind, image.diameter))

    def load(self, pair: Pair) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return an image (C, [Z,] Y, X) as the network sees it, and its labels with the same pixels."""
        image = self.read(pair)
        reader = CropReader(image, Model(UNet(self.card.spec, initialise=False), self.card))
        whole = (slice(None), slice(None), slice(None))
        return reader.read(0, whole), reader.fit(image.canonical_labels(read_labels(pair.labels))[0])


def mistakes(net: UNet, image: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a network takes for an object what is none, or misses one; wider than outlines are uncertain."""
    found = predict_maps(net, image)[0] > 0.5
    return np.asarray(ndimage.binary_opening(found != (labels > 0), iterations=OUTLINE))


def samples(recipe: Recipe, data: Path, stage: int, net: UNet) -> list[Sample]:
    """Return what a stage learns from; `net` is what it begins with.

    Images are weighted by kind, and by the square root of their size or by their objects.
    """
    border = recipe.stages[stage].border
    by_objects = stage >= len(recipe.stages) - recipe.by_objects
    drawn: list[tuple[str, Sample]] = []
    for pair in itertools.chain.from_iterable(recipe.pairs(data, split) for split in recipe.learned(stage)):
        image, labels = recipe.load(pair)
        weight = 1 + count_ids(labels) if by_objects else labels.size**0.5
        settings: dict[str, Any] = {"weight": weight, "border": border}
        if stage >= len(recipe.stages) - recipe.on_mistakes:
            wrong = mistakes(net, image, labels)
            settings |= {"weight": settings["weight"] * (1 + MISTAKE_WEIGHT * wrong.mean()), "corrected": wrong}
        drawn.append((pair.kind, make_sample(image.astype(np.float16), labels, recipe.outputs(stage), **settings)))
    totals: dict[str, float] = defaultdict(float)
    for kind, sample in drawn:
        totals[kind] += sample.weight
    return [replace(s, weight=recipe.shares.get(kind, 1.0) * s.weight / totals[kind]) for kind, s in drawn]
