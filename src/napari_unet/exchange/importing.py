"""Makes a model of weights that another program trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from pydantic import ValidationError

from napari_unet.errors import ModelFileError
from napari_unet.exchange.package_import import is_package, network, read_package
from napari_unet.exchange.weight_files import read_weights
from napari_unet.exchange.weight_mapping import as_unet
from napari_unet.io.fingerprint import contents_sha256
from napari_unet.limits import check_choice
from napari_unet.models.info import MAX_NAME, ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.normalize import Normalization
from napari_unet.objects.decode import Decoding

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torch import Tensor

    from napari_unet.exchange.package_import import Foreign
    from napari_unet.nets.spec import UNetSpec

Join = Literal["skip-up", "up-skip"]
Padding = Literal["same", "valid"]


def import_model(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    outputs: Sequence[str] | None = None,
    join: Join = "skip-up",
    padding: Padding = "same",
    normalization: Normalization | None = None,
    divide_by: float = 1.0,
    pixel_size: Sequence[float] | None = None,
    diameter: float | None = None,
    licence: str = "unknown",
) -> Model:
    """Return a model made of another program's U-Net: of plain weights, or of a package of the BioImage Model Zoo.

    Each weight is given its place by its shape. Nothing in the file is run. What no shape tells has to be said, and is
    taken as given: `join`, `padding`, how images were normalised, ReLU as activation, batch norms with torch's own
    ``eps``. Look at a first result: where one of these is wrong, it makes no sense.

    Parameters
    ----------
    path : str or path
        A ``state_dict``, written by ``torch.save`` or safetensors; or a package (``.zip``) with weights for PyTorch. A
        package says itself how images are normalised, and its test tensors tell `join` and `padding`: it is used only
        if these come out.
    name : str, optional
        Name of the model; the file's if not given.
    outputs : sequence of str, optional
        What the maps are, in their order. For objects: "foreground", alone or with "boundary", "distance", or "flow_y",
        "flow_x" (and "flow_z"), each of which ended in a sigmoid. None: classes, background first; one map only is the
        foreground, and gives the classes background and foreground.
    join : {"skip-up", "up-skip"}
        In which order its network joins a skip connection and the enlarged map (``torch.cat``).
    padding : {"same", "valid"}
        Whether its convolutions are padded.
    normalization : Normalization, optional
        How images were normalised. None: by percentiles, as models of this program.
    divide_by : float
        What intensities were divided by after that, for example 255.
    pixel_size : sequence of float, optional
        Micrometres ([Z,] Y, X) of the images that it was trained on.
    diameter : float, optional
        Diameter, in pixels, of the objects in these.
    licence : str
        Of the weights.

    Returns
    -------
    Model

    Raises
    ------
    ModelFileError
        If the file cannot be read, holds more than weights, or is not a U-Net that fits; ``details`` lists what does
        not.
    UNetError
        If `join` or `padding` is none of those that there are.

    Examples
    --------
    >>> import napari_unet as nu
    >>> model = nu.import_model("unet.pth", outputs=("foreground", "boundary"))  # doctest: +SKIP
    """
    check_choice(join, get_args(Join), "The order of joining")
    check_choice(padding, get_args(Padding), "The padding")
    path = Path(path)
    if is_package(path):
        package = read_package(path)
        if isinstance(package, Model):
            if outputs is not None and tuple(outputs) != package.info.outputs:
                raise ModelFileError(f"{path.name} says itself what its maps are: {', '.join(package.info.outputs)}.")
            return package if name is None else Model(package.net, package.info.model_copy(update={"name": name}))
        spec, state, outputs = package.spec, package.state, outputs or _outputs(package, path.name)
        normalization, divide_by = package.normalization, package.divide_by
        name, licence = name or package.name, package.licence
    else:
        spec, state = as_unet(read_weights(path), path.name, join=join, padding=padding)
    if not 0 < divide_by < float("inf"):
        raise ModelFileError(f"Intensities can be divided by a number above 0; got {divide_by:g}.")
    if outputs is None and spec.out_channels == 1:
        spec, state = _two_classes(spec, state)
    state["down.0.0.weight"] = state["down.0.0.weight"] / divide_by  # padding is zero, so this is exact
    names = tuple(outputs) if outputs is not None else tuple(f"class_{n}" for n in range(spec.out_channels))
    try:
        info = ModelInfo(
            name=name or path.stem[:MAX_NAME],
            description=f"Imported from {path.name}.",
            spec=spec,
            outputs=names,
            task="semantic" if outputs is None else "instances",
            classes=("object",) if outputs is not None else _class_names(spec.out_channels),
            normalization=normalization or Normalization(),
            decoding=Decoding(seeds=_seeds(names)),
            pixel_size=None if pixel_size is None else tuple(pixel_size),
            diameter=diameter,
            licence=licence,
            recipe={"method": "imported", "file": path.name, "sha256": contents_sha256(path)},
        )
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelFileError(f"With what was said of {path.name} it cannot be used: {said}.") from error
    return Model(network(spec, state), info)


def _outputs(package: Foreign, file: str) -> tuple[str, ...] | None:
    """Return what the maps of a package are, where they are no classes."""
    if package.activation != "sigmoid" or package.spec.out_channels == 1:
        return None
    known = set(package.channel_names)
    named = len(package.channel_names) == package.spec.out_channels
    if named and "foreground" in known and known & {"boundary", "distance", "flow_y"}:
        return package.channel_names
    raise ModelFileError(
        f"What the {package.spec.out_channels} maps of {file} are is not known. Say it: --outputs foreground,boundary.",
        f"The package calls them {', '.join(package.channel_names) or 'nothing'}.",
    )


def _two_classes(spec: UNetSpec, state: dict[str, Tensor]) -> tuple[UNetSpec, dict[str, Tensor]]:
    """Return a network with a class for the background: softmax of 0 and a logit is the sigmoid of that logit."""
    doubled = {key: torch.cat([torch.zeros_like(state[key]), state[key]]) for key in ("head.weight", "head.bias")}
    return spec.model_copy(update={"out_channels": 2}), state | doubled


def _class_names(count: int) -> tuple[str, ...]:
    return ("background", "foreground") if count == 2 else ("background", *(f"class {n}" for n in range(1, count)))


def _seeds(outputs: tuple[str, ...]) -> Any:
    if outputs == ("foreground",):
        return "shape"
    return "flows" if "flow_y" in outputs else "distance" if "distance" in outputs else "boundary"
