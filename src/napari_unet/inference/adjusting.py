"""A model with its sliders elsewhere: how objects are read out of its maps, as a person sets it."""

from __future__ import annotations

from napari_unet.errors import ModelMismatchError, UNetError
from napari_unet.limits import MIN_SIZE, SHARE, in_words, within
from napari_unet.models.model import Model
from napari_unet.objects.redecoding import Sliders


def adjusted(
    model: Model,
    *,
    sensitivity: float | None = None,
    separation: float | None = None,
    min_size: int | None = None,
) -> Model:
    """Return the same network with other settings for reading objects out of its maps.

    Parameters
    ----------
    model : Model
    sensitivity : float, optional
        From 0 to 1: the larger, the fainter is what counts as an object. None, here and below: as the model has it.
    separation : float, optional
        From 0 to 1: the larger, the more objects are told apart.
    min_size : int, optional
        Pixels (or voxels) that an object has at least, at the scale at which the network sees the image.

    Raises
    ------
    ModelMismatchError
        If the model finds classes, which are not read out that way.
    UNetError
        If a number is out of its range.

    Examples
    --------
    >>> from napari_unet import load_model
    >>> model = load_model("nuclei")
    >>> adjusted(model, sensitivity=0.6).info.decoding.foreground
    0.4
    """
    asked = {"sensitivity": sensitivity, "separation": separation, "min_size": min_size}
    if all(value is None for value in asked.values()):
        return model
    if not model.info.finds_objects:
        raise ModelMismatchError(
            f"The model {model.name!r} finds classes. Leave out sensitivity, separation and min_size, which are of "
            "objects."
        )
    for name, value in asked.items():
        limits = MIN_SIZE if name == "min_size" else SHARE
        if value is not None and not within(value, limits):
            raise UNetError(f"{name} is {value!r:.40}; it must be a number from {in_words(limits)}.")
    now = Sliders.of(model.info.decoding)
    wanted = Sliders(
        now.sensitivity if sensitivity is None else float(sensitivity),
        now.separation if separation is None else float(separation),
        now.smallest if min_size is None else round(min_size),
    )
    return Model(model.net, model.info.with_decoding(wanted.applied(model.info.decoding)))
