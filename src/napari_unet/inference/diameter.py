"""How wide the objects in an image are, measured by the network that is to segment it.

For each pixel, a network predicts a map that tells objects apart (how far inside an object it lies, or a flow field).
Where objects have a size that the network knows, that map agrees with the map that follows from the objects that are
then found. At a wrong size it does not: large objects are split, small ones are merged. So one part of the image is
segmented at a few scales, and objects are measured where the two maps agree best. This needs no second network and no
training. What it gains is in docs/decisions/0013-found-diameter.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import ImageError, ModelMismatchError
from napari_unet.inference.agreement import disagreements
from napari_unet.inference.policy import DEFAULT_RESCALING, RescalingPolicy
from napari_unet.inference.scale import depth_zoom, is_rescaled, magnification, rescaled, scale_is_known
from napari_unet.inference.style import box_around, position_of_contrast, resembles_learned, volume_of_contrast
from napari_unet.inference.task import choose_channels
from napari_unet.models.model import Model, resolve_device
from napari_unet.objects.size import diameters
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo
    from napari_unet.progress import CancelToken


def said_diameter(diameter: float | str | None) -> float | None:
    """Return the diameter that somebody said; None where it is to be found ("auto"), or nothing is said.

    Raises
    ------
    ImageError
        If it is another word.
    """
    if isinstance(diameter, str):
        if diameter != "auto":
            raise ImageError(f"The object diameter is a number of pixels, or 'auto'; got {diameter!r}.")
        return None
    return diameter


def finds_diameter(model: Model) -> bool:
    """Return whether a model can tell how wide objects are; see `ModelInfo.finds_diameter`."""
    return model.info.finds_diameter


def needs_diameter(image: Image, model: Model) -> bool:
    """Return whether nobody said what the scale of an image is, and the model can measure it."""
    measured = image.found_diameter is not None and image.found_against == model.info.image_diameter
    by_itself = finds_diameter(model) and model.info.spec.ndim == 2  # in a volume only where somebody asks for it
    return by_itself and not measured and not scale_is_known(image, model.info)


def with_diameter(
    image: Image,
    model: Model,
    *,
    channel: int | None = None,
    always: bool = False,
    device: str = "auto",
    cancel: CancelToken | None = None,
    policy: RescalingPolicy = DEFAULT_RESCALING,
) -> tuple[Image, Model]:
    """Return an image that knows how wide its objects are, where nothing was known of its scale, and its model.

    Parameters
    ----------
    image, model, channel, device, cancel, policy
        As for `find_diameter`.
    always : bool
        Measure whatever is known of the scale. If a diameter is found, the model that is returned knows no other scale.

    Raises
    ------
    ModelMismatchError
        If `always` is set, and the model cannot measure a diameter.
    """
    if always and not finds_diameter(model):
        raise ModelMismatchError(
            f"The model {model.name!r} cannot find out how wide objects are. Leave the object diameter out, "
            "or give a number.",
            "That takes a model of objects, not made from scratch, that knows at which size it finds them.",
        )
    if not always and not needs_diameter(image, model):
        return image, model
    measuring = Model(model.net, _without_scale(model.info)) if always else model
    found = find_diameter(image, measuring, channel=channel, device=device, cancel=cancel, policy=policy)
    if found is None:
        return image, model
    said = None if always else image.diameter
    against = measuring.info.image_diameter
    return replace(image, diameter=said, found_diameter=found, found_against=against), measuring


def _without_scale(info: ModelInfo) -> ModelInfo:
    """Return the description of a model that is used to no pixel size and to no diameter in images."""
    return info.model_copy(update={"pixel_size": None, "image_diameter": None})


def find_diameter(
    image: Image,
    model: Model,
    *,
    channel: int | None = None,
    device: str = "auto",
    cancel: CancelToken | None = None,
    policy: RescalingPolicy = DEFAULT_RESCALING,
) -> float | None:
    """Return how wide the objects in an image are, in pixels of the image; None where that cannot be told.

    It cannot be told where there are too few objects, or where the image would have to be rescaled although the model
    does as well with it as it is. A model that is used to images with objects of one size tells only if it is sure that
    they are smaller here. The result depends on the image, the channel and the model alone: neither on tiles, nor on
    what is in view.

    Parameters
    ----------
    image : Image
    model : Model
        One for which `finds_diameter` is true.
    channel : int, optional
        Channel to measure in; as for segmenting.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        Ends it, with `Cancelled`.
    policy : RescalingPolicy
        Scales that are tried, and how sure the network has to be.

    Raises
    ------
    ImageError, ModelMismatchError, DeviceError
        If they do not fit together.
    """
    trials = _ScaleTrials(image, model, choose_channels(image, model, channel), device, cancel, policy)
    best, used_to = model.info.diameter or 1.0, model.info.image_diameter
    if used_to is not None and trials.shows_what_was_learned():
        return None
    found = _best_trial(trials, best, policy.plausible_diameter, always_at_full_scale=used_to is not None)
    if found is None:
        return None
    if used_to is not None and not trials.shows_smaller_than(used_to, found):
        return None
    measured = replace(image, diameter=None, found_diameter=found.diameter, found_against=None)
    zoom = magnification(measured, _without_scale(model.info), policy)
    if is_rescaled(zoom) and not trials.is_better_than_unscaled(trials.at(2.0) if zoom[-1] > 1 else found):
        return None
    return found.diameter


def _best_trial(
    trials: _ScaleTrials, best: float, plausible: tuple[float, float], *, always_at_full_scale: bool
) -> _ScaleTrial | None:
    """Return the trial in which the network disagrees least with itself; None if there are too few objects in all.

    `best` is the diameter that the model finds best, pixels of the network. What looks small at half scale is tried at
    full scale, too, and what looks wide at a quarter.
    """
    half = trials.at(0.5)
    tried = [half]
    if half is None or half.diameter < plausible[0] * best or always_at_full_scale:
        tried.append(trials.at(1.0))
    if half is None or half.diameter > plausible[1] * best:
        tried.append(trials.at(0.25))
    return min((trial for trial in tried if trial is not None), key=lambda trial: trial.disagreement, default=None)


@dataclass(frozen=True, slots=True)
class _ScaleTrial:
    """What segmenting a part of an image at one scale tells.

    Attributes
    ----------
    disagreement : float
        Of the typical object, the share (0..1) by which its map differs from the one that follows from the object.
    diameter : float
        Median diameter of the objects, pixels of the image.
    """

    disagreement: float
    diameter: float


class _ScaleTrials:
    """Segments one part of an image at any scale, once at each.

    Parameters
    ----------
    image : Image
    model : Model
    channels : sequence of int
    device : str
    cancel : CancelToken, optional
    policy : RescalingPolicy
    """

    def __init__(
        self,
        image: Image,
        model: Model,
        channels: Sequence[int],
        device: str,
        cancel: CancelToken | None,
        policy: RescalingPolicy,
    ) -> None:
        check = (lambda _: cancel.check()) if cancel is not None else None
        self._image, self._model, self._policy = image, model, policy
        self._predictor = Predictor(model.net, device=resolve_device(device), check=check)
        find = volume_of_contrast if model.info.spec.ndim == 3 else position_of_contrast
        self._block, self._position = find(image, model, channels)
        self._done: dict[float, _ScaleTrial | None] = {}

    def at(self, scale: float) -> _ScaleTrial | None:
        """Return the trial at a scale; None where there are too few objects."""
        if scale not in self._done:
            flat, policy = self._model.info.spec.ndim == 2, self._policy
            width = round((policy.trial_width(scale) if flat else policy.volume_trial_width) / scale)
            region = box_around(self._position, self._block.shape[1:], width)
            self._done[scale] = self._run(self._block[(slice(None), *region)], scale)
        return self._done[scale]

    def shows_what_was_learned(self) -> bool:
        """Whether the image looks like those that the model has learned at the size that it is used to."""
        if self._model.info.spec.ndim == 3:
            return False  # no styles are kept of volumes
        return resembles_learned(self._model, self._block, self._position, self._policy)

    def shows_smaller_than(self, used_to: float, trial: _ScaleTrial) -> bool:
        """Whether a trial surely shows smaller objects than those that the model is used to (pixels of the image)."""
        if trial.disagreement > self._policy.max_disagreement:
            return False
        if trial.diameter * self._policy.diameter_tolerance > used_to:
            return False
        usual = self.at((self._model.info.diameter or used_to) / used_to)
        return usual is None or trial.disagreement < usual.disagreement

    def is_better_than_unscaled(self, trial: _ScaleTrial | None) -> bool:
        """Whether the network disagrees clearly less with itself in a trial than at the image's own scale."""
        unscaled = self.at(1.0)
        if trial is None:
            return False
        return unscaled is None or trial.disagreement < unscaled.disagreement - self._policy.min_gain

    def _run(self, block: NDArray[np.float32], scale: float) -> _ScaleTrial | None:
        """Segment a part (C, [Z,] Y, X) of the image, made `scale` times as large."""
        if scale != 1:
            depth = (depth_zoom(self._image, scale),) if self._model.info.spec.ndim == 3 else ()
            block = rescaled(block, (*depth, scale, scale))
        plan = make_plan(self._model.info.spec, block.shape[1:], budget=2**62)
        maps = gather(plan, ArraySource(block), self._predictor)
        labels = self._model.decode(maps)
        if labels.max(initial=0) < self._policy.min_objects:
            return None
        return _ScaleTrial(
            float(np.median(disagreements(maps, labels, self._model.info))), float(np.median(diameters(labels))) / scale
        )
