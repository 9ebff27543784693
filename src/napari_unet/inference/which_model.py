"""Which model fits an image: each is tried on one field, and what it makes of that is judged without any labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import Cancelled, ImageError, ModelFileError, ModelMismatchError, UNetError
from napari_unet.inference.credibility import estimated_ap, likeness
from napari_unet.inference.diameter import with_diameter
from napari_unet.inference.field import Field, field_of
from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE, ModelChoicePolicy
from napari_unet.inference.scale import magnification, nearest_indices, rescaled, scaled_shape
from napari_unet.inference.task import choose_channels
from napari_unet.models.header import read_model_info
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.normalize import measure
from napari_unet.models.store import list_models, load_model
from napari_unet.objects.stitch import count_ids
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo
    from napari_unet.progress import CancelToken


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a model makes of a field.

    Attributes
    ----------
    name : str
        Of the model.
    score : float
        Its AP at IoU 0.50, as it is estimated, 0..1; for a model of classes, how like the image is to those it learned.
    labels : ndarray of int32, axes (Y, X)
        Of the plane that is looked at.
    n_objects : int
        Objects in it (for a model of classes: classes other than 0).
    of_classes : bool
        Whether it is a model of classes.
    about : str
        The description of the model.
    problem : str
        Why it could not be tried; empty: it could.
    """

    name: str
    score: float
    labels: NDArray[np.int32]
    n_objects: int = 0
    of_classes: bool = False
    about: str = ""
    problem: str = ""


def models_for(image: Image, channel: int | None = None) -> list[str]:
    """Return the names of all models, shipped and the user's own, that can be used on an image.

    Left out are models that have learned nothing yet, that take other channels, or volumes where the image is a plane,
    or that do not know how wide objects are where that is said of the image.
    """
    paths = {entry.name: entry.path for entry in list_models()}
    found = []
    for name, path in paths.items():
        try:
            info = read_model_info(path)
        except ModelFileError:
            continue  # said when it is chosen
        if _fits(image, info, channel):
            found.append(name)
    return found


def try_model(
    field: Field,
    model: Model,
    *,
    name: str | None = None,
    device: str = "auto",
    cancel: CancelToken | None = None,
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> Trial:
    """Segment a field with a model, and estimate how well that went.

    Parameters
    ----------
    field : Field
    model : Model
    name : str, optional
        By which it is known, if not by its own name.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        Ends it, with `Cancelled`.
    policy : ModelChoicePolicy

    Raises
    ------
    UNetError
        If image and model do not fit together, or it is cancelled.
    """
    image, info = field.image, model.info
    image, _ = with_diameter(image, model, channel=field.channel, device=device, cancel=cancel)
    block = _as_seen(image, field, model, policy)
    check = (lambda _: cancel.check()) if cancel is not None else None
    predictor = Predictor(model.net, softmax=not info.finds_objects, device=resolve_device(device), check=check)
    maps = gather(make_plan(info.spec, block.shape[1:], budget=2**62), ArraySource(block), predictor)
    labels = model.decode(maps)
    if info.finds_objects:
        score = estimated_ap(maps, labels, info, policy=policy)
    else:
        score = likeness(model, block, maps, policy) or 0.0
    if field.image.is_volume and info.spec.ndim == 2:
        score *= policy.flat_in_volume
    if info.spec.in_channels == 1 and field.is_colourful:
        score *= policy.one_of_colours
    plane = labels if info.spec.ndim == 2 else _slice_of(labels, field)
    shown = plane[nearest_indices(plane.shape, image.space[1:])]
    return Trial(name or model.name, score, shown, count_ids(shown), not info.finds_objects, info.description)


def try_models(
    field: Field,
    models: Sequence[str | Model],
    *,
    device: str = "auto",
    cancel: CancelToken | None = None,
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> Iterator[Trial]:
    """Try models one after the other; one that cannot be used says why (`Trial.problem`).

    Parameters
    ----------
    field : Field
    models : sequence of str or Model
        Names as `models_for` gives them, or models.
    device, cancel, policy
        As for `try_model`.

    Raises
    ------
    Cancelled
        If `cancel` is set.
    """
    for which in models:
        name = which if isinstance(which, str) else which.name
        if cancel is not None:
            cancel.check()
        try:
            model = load_model(which) if isinstance(which, str) else which
            yield try_model(field, model, name=name, device=device, cancel=cancel, policy=policy)
        except Cancelled:
            raise
        except UNetError as error:
            yield Trial(name, 0.0, np.zeros(field.image.space[1:], np.int32), problem=str(error))


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials with the best first; of those alike, in the order in which they come."""
    return sorted(trials, key=lambda trial: (bool(trial.problem), -trial.score))


def choose_model(
    image: Image,
    *,
    channel: int | None = None,
    device: str = "auto",
    cancel: CancelToken | None = None,
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> tuple[Model, list[Trial]]:
    """Return the model that fits an image best, of all that there are, and what each made of it, the best first.

    Parameters
    ----------
    image : Image
    channel, device, cancel, policy
        As for `field_of` and `try_model`.

    Raises
    ------
    ImageError
        If no model can be used on the image.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet.axes import Image
    >>> y, x = np.mgrid[:128, :128]
    >>> spots = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 80) for a in (32, 96) for b in (32, 96))
    >>> model, trials = choose_model(Image(spots, "YX"), device="cpu")
    >>> model.name
    'nuclei'
    """
    field, names = field_of(image, channel=channel, policy=policy), models_for(image, channel)
    trials = ranked(list(try_models(field, names, device=device, cancel=cancel, policy=policy)))
    if not trials or trials[0].problem:
        reason = trials[0].problem if trials else ""
        raise ImageError(f"No model can be used on {image.name}. Name one, or train one on images like it.", reason)
    return load_model(trials[0].name), trials


def _fits(image: Image, info: ModelInfo, channel: int | None) -> bool:
    if info.is_untrained or (info.spec.ndim == 3 and not image.is_volume):
        return False
    if image.diameter is not None and info.diameter is None:
        return False
    colour = info.inputs == "colour"
    one = channel is not None or info.spec.in_channels == 1 or (colour and not image.is_colour)
    return (1 if one else image.n_channels) in ((1, 3) if colour else (info.spec.in_channels,))


def _as_seen(image: Image, field: Field, model: Model, policy: ModelChoicePolicy) -> NDArray[np.float32]:
    """Return the pixels of a field as the network sees them, normalised and rescaled, axes (C, [Z,] Y, X)."""
    pixels = image.read(channels=choose_channels(image, model, field.channel))
    if model.info.spec.ndim == 2:
        pixels = pixels[:, field.plane : field.plane + 1]
    block = np.ascontiguousarray(model.normalized(pixels, measure(pixels, model.info.normalization)))
    zoom = magnification(image, model.info)
    if math.prod(scaled_shape(block.shape[1:], zoom)) > max(policy.max_pixels, math.prod(block.shape[1:])):
        raise ModelMismatchError(
            f"{model.name!r} would need the image {zoom[-1]:.1f} times larger. Check the pixel size and the diameter."
        )
    return rescaled(block, zoom)


def _slice_of(labels: NDArray[np.int32], field: Field) -> NDArray[np.int32]:
    """Return the plane that is looked at of a labelled volume, which may have been rescaled."""
    plane: NDArray[np.int32] = labels[min(len(labels) - 1, field.plane * len(labels) // field.image.size("Z"))]
    return plane


def with_chosen_model(
    image: Image, *, channel: int | None = None, device: str = "auto", cancel: CancelToken | None = None
) -> tuple[Image, Model]:
    """Return an image and the model that fits it best; where none seems to fit, it has a note; see `choose_model`."""
    model, trials = choose_model(image, channel=channel, device=device, cancel=cancel)
    if trials[0].score >= DEFAULT_MODEL_CHOICE.doubtful:
        return image, model
    note = f"No model seems to fit {image.name}; the best guess is {model.name}. Look at the result, or train a model."
    return replace(image, notes=(*image.notes, note)), model
