"""What learning begins with instead of the model and the images as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from napari_unet.axes import Image
from napari_unet.inference.task import choose_channels
from napari_unet.models.model import Model
from napari_unet.models.normalize import Normalization, measure
from napari_unet.models.store import load_model
from napari_unet.nets.unet import UNet
from napari_unet_benchmarks.annotator_rivals import RandomForest, pixel_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet_benchmarks.fields import Field


class Begin(NamedTuple):
    """What learns, from what, and the images that are scored."""

    model: Model
    crops: Sequence[AnnotatedCrop]
    others: Sequence[Field]


def as_it_is(begin: Begin) -> Begin:
    """Return it as it is."""
    return begin


def mean_with_cells_phase(begin: Begin) -> Begin:
    """Return it with the mean of the weights of the model and of `cells_phase`, which are of one size.

    Of `cells` too, whose training began with `cells_phase`; of `nuclei`, which began with nothing, the mean is of two
    networks that have never had anything in common.
    """
    net, other = UNet(begin.model.net.spec).eval(), load_model("cells_phase").net.state_dict()
    weights = {}
    for name, value in begin.model.net.state_dict().items():
        theirs = other[name]
        if theirs.shape != value.shape:  # of one grey channel; a colour network gets grey images three times
            theirs = theirs.expand_as(value) / value.shape[1]
        weights[name] = torch.lerp(value, theirs, 0.5) if value.dtype.is_floating_point else value
    net.load_state_dict(weights)
    return begin._replace(model=Model(net.requires_grad_(False), begin.model.info))


def forest_as_input(begin: Begin) -> Begin:
    """Return it with one channel more: the foreground by a random forest on the corrected pixels.

    The network begins by ignoring it. After the shallow-to-deep learning of ilastik's authors (Matskevych, Wolny, Pape
    and Kreshuk 2022, doi:10.3389/fcomp.2022.805166), but beside the image and not instead of it.
    """
    model = begin.model
    forest = RandomForest(instances=True)
    forest.fit(begin.crops)
    spec = model.net.spec
    net = UNet(spec.model_copy(update={"in_channels": spec.in_channels + 1})).eval()
    weights = model.net.state_dict()
    first = weights["down.0.0.weight"]
    weights["down.0.0.weight"] = torch.cat([first, torch.zeros_like(first[:, :1])], dim=1)
    net.load_state_dict(weights)
    changes = {"spec": net.spec, "inputs": "channels", "normalization": Normalization(method="none")}
    info = model.info.model_copy(update=changes | {"replay_set": None, "fast_mode": None})
    every = tuple(range(net.spec.in_channels))
    known: dict[int, Image] = {}

    def widened(image: Image) -> Image:
        if id(image) not in known:
            planes = np.concatenate([_as_seen(image, model), forest.foreground(pixel_features(image))[None]])
            known[id(image)] = Image(planes, "CYX", image.pixel_size, name=image.name, diameter=image.diameter)
        return known[id(image)]

    crops = [replace(crop, image=widened(crop.image), channels=every) for crop in begin.crops]
    return Begin(
        Model(net.requires_grad_(False), info), crops, [replace(one, image=widened(one.image)) for one in begin.others]
    )


def _as_seen(image: Image, model: Model) -> NDArray[Any]:
    """Return the channels (C, Y, X) of a plane as a network gets them."""
    pixels = image.read(channels=choose_channels(image, model))
    return model.normalized(pixels, measure(pixels, model.info.normalization))
