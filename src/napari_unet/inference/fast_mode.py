"""How much of its halo a model can do without: measured on images, never assumed.

Most of what decides about a pixel lies near it, so tiles with a smaller halo give nearly the result of exact ones for
less work. How nearly depends on the weights: of two networks of one shape, one may depend on what is far away, and the
other not. So images are segmented in tiles with smaller and smaller halos, and compared with one pass over the whole.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.inference.scale import magnification, rescaled
from napari_unet.inference.task import choose_channels
from napari_unet.models.info import FastMode
from napari_unet.models.model import Model
from napari_unet.models.normalize import measure
from napari_unet.nets import geometry
from napari_unet.objects.stitch import match_ids, renumber
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_unet.axes import Image

MAX_LABELS_DIFFERING = 1e-4
"""Largest share of pixels whose label may differ."""

MAX_CROP = {2: (448, 448), 3: (32, 128, 128)}
"""Most of an image that is compared, by the number of spatial axes."""


def with_fast_mode(model: Model, images: Iterable[Image], *, max_images: int = 4) -> Model:
    """Return a model that knows its fast mode, as measured on the middle of some images.

    Parameters
    ----------
    model : Model
        Whatever it knew is measured anew.
    images : iterable of Image
        What it is for; those that it cannot take, or that are too small to be cut, are passed over.
    max_images : int
        How many images it is measured on at most.
    """
    net, info = model.net, model.info
    predictor = Predictor(net, softmax=not info.finds_objects)
    blocks = list(itertools.islice(_blocks(model, images), max_images))
    at_once = [make_plan(info.spec, block.shape[1:], budget=2**62) for block in blocks]
    wholes = [gather(plan, ArraySource(block), predictor) for plan, block in zip(at_once, blocks, strict=True)]
    found = None
    for halo in _smaller_halos(model) if blocks else ():
        error, differing, pixels = 0.0, 0, 0
        for block, whole in zip(blocks, wholes, strict=True):
            plan = make_plan(info.spec, block.shape[1:], tile=min(block.shape[-2:]) // 2, halo=halo)
            tiled = gather(plan, ArraySource(block), predictor)
            error = max(error, float(np.abs(tiled - whole).max()))
            differing += _differing(model, tiled, whole)
            pixels += whole[0].size
        if differing <= MAX_LABELS_DIFFERING * pixels:
            found = FastMode(halo=halo, maps_error=round(error, 5), labels_differing=round(differing / pixels, 7))
            break
    return Model(net, info.model_copy(update={"fast_mode": found}))


def _smaller_halos(model: Model) -> Iterator[tuple[int, ...]]:
    spec = model.info.spec
    if spec.padding == "valid":
        return
    exact = geometry.halo(spec)
    steps = max(math.ceil(width / stride) for width, stride in zip(exact, spec.stride, strict=True))
    for step in range(1, steps):
        widths = (math.ceil(width * step / steps / stride) for width, stride in zip(exact, spec.stride, strict=True))
        yield tuple(width * stride for width, stride in zip(widths, spec.stride, strict=True))


def _blocks(model: Model, images: Iterable[Image]) -> Iterator[NDArray[np.float32]]:
    """Yield the middle of each image as the network sees it, axes (C, [Z,] Y, X)."""
    ndim = model.info.spec.ndim
    for image in images:
        if ndim == 3 and not image.is_volume:
            continue
        try:
            channels = choose_channels(image, model)
        except UNetError:
            continue
        zoom = magnification(image, model.info)
        if min(n * z for n, z in zip(image.space[-2:], zoom[-2:], strict=True)) < 4 * model.info.spec.stride[-1]:
            continue
        widths = [round(most / z) for most, z in zip(MAX_CROP[ndim], zoom, strict=True)]
        starts = [max(0, (n - width) // 2) for n, width in zip(image.space[-ndim:], widths, strict=True)]
        box = [slice(a, a + width) for a, width in zip(starts, widths, strict=True)]
        middle = image.space[0] // 2
        pixels = image.read(0, box[0] if ndim == 3 else slice(middle, middle + 1), box[-2], box[-1], channels)
        block = model.normalized(pixels, measure(pixels.reshape(len(pixels), -1), model.info.normalization))
        yield rescaled(block, zoom)


def _differing(model: Model, tiled: NDArray[np.float32], whole: NDArray[np.float32]) -> int:
    """Return how many pixels are of another class or object; the ids need not be the same."""
    expected, got = model.decode(whole), model.decode(tiled)
    if model.info.finds_objects:
        got = renumber(got, match_ids(expected, got), int(expected.max(initial=0)) + 1)
    return int(np.count_nonzero(expected != got))
