"""Makes a model of a package of the BioImage Model Zoo, if its network is a U-Net as it is used here.

Only data are read: the description, the weights and the test tensors. The source of the network is never run; whether
the network is the one that is meant is told by the package's own test tensors, which have to come out.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import posixpath
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from pydantic import ValidationError

from napari_unet.errors import ImageError, ModelFileError
from napari_unet.exchange.weight_files import weights_from
from napari_unet.exchange.weight_mapping import as_unet
from napari_unet.models.header import first_line
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.normalize import Normalization, measure, normalize
from napari_unet.nets.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_unet.nets.spec import UNetSpec

_DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "rdf.yml", "model.yaml")
_MAX_BYTES = 4 * 2**30
_TOLERANCE = 1e-3
"""Largest difference from the test tensor, as a share of its range, if that is above 1."""

_WIDE = (-1e6, 1e6)
"""Range of normalised values of packages that cut off nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """What was found in a package.

    Attributes
    ----------
    spec : UNetSpec
    state : dict
        Weights by the names of `nets.unet.UNet`.
    activation : {"sigmoid", "softmax", "none"}
        What its network ends in.
    normalization : Normalization
    divide_by : float
        What intensities are divided by after that.
    channel_names : tuple of str
        What the description calls the maps.
    name, licence : str
    """

    spec: UNetSpec
    state: dict[str, Tensor]
    activation: str
    normalization: Normalization
    divide_by: float
    channel_names: tuple[str, ...]
    name: str
    licence: str


def is_package(path: Path) -> bool:
    """Return whether a file is such a package."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _description_in(archive) is not None
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _description_in(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the description in a package: at the top, or in the one folder that was zipped as a whole."""
    names = archive.namelist()
    folders = {name.split("/", 1)[0] for name in names if "/" in name and not name.startswith("__MACOSX/")}
    places = ["", *(f"{folder}/" for folder in folders if len(folders) == 1)]
    return next((place + one for place in places for one in _DESCRIPTIONS if place + one in names), None)


def read_package(path: Path) -> Model | Foreign:
    """Read a package: a model, if this program has written it, else what was found.

    Raises
    ------
    ModelFileError
        If it is damaged, was made for another library or another network, or does not give what its test tensors say.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Package(path.name, archive).read()
    except (zipfile.BadZipFile, OSError, yaml.YAMLError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path.name} is damaged, or no package as it should be.", first_line(error)) from error
    except (IndexError, EOFError, RuntimeError, NotImplementedError) as error:  # of zips that are encrypted or odd
        raise ModelFileError(f"{path.name} is damaged, or cannot be read.", first_line(error)) from error


class _Package:
    """An open package."""

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self._name, self._archive = name, archive
        described = _description_in(archive) or _DESCRIPTIONS[0]
        self._folder = posixpath.dirname(described)
        self._about: dict[str, Any] = yaml.safe_load(self._content(posixpath.basename(described)))

    def read(self) -> Model | Foreign:
        about = self._about
        if (kind := about.get("type", "model")) != "model":
            raise ModelFileError(f"{self._name} is a package of the type {kind}, and not of a model.")
        kinds = sorted(name for name, entry in about["weights"].items() if entry is not None)
        if "pytorch_state_dict" not in kinds:
            found = ", ".join(kinds) or "no weights"
            raise ModelFileError(
                f"{self._name} has no state_dict of PyTorch, which is needed; it has {found}.",
                "Labels that the other program makes can be opened and corrected here.",
            )
        if len(about["inputs"]) != 1 or len(about["outputs"]) != 1:
            raise ModelFileError(
                f"{self._name} is of a network with several inputs or outputs; one of each can be used."
            )
        entry = about["weights"]["pytorch_state_dict"]
        weights = weights_from(io.BytesIO(self._content(entry)), self._name)
        image, expected = self._tensor("input"), self._tensor("output")
        if (ours := (about.get("config") or {}).get("napari_unet")) is not None:
            return self._own(ours, weights, image, expected)
        return self._foreign(weights, image, expected)

    def _own(
        self, described: dict[str, Any], weights: dict[str, Tensor], image: NDArray[Any], expected: NDArray[Any]
    ) -> Model:
        """Return a model that this program has written."""
        try:
            info = ModelInfo.model_validate_json(_json({k: v for k, v in described.items() if k != "program"}))
        except ValidationError as error:
            raise ModelFileError(f"The description in {self._name} is not valid.", first_line(error)) from error
        with torch.device("meta"):
            wanted = UNet(info.spec, initialise=False).state_dict()
        if {k: v.shape for k, v in wanted.items()} != {k: v.shape for k, v in weights.items()}:
            raise ModelFileError(f"The weights in {self._name} are not those of the network that it describes.")
        net = network(info.spec, {k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
        found = _activation(net, _ready(image, info.normalization, 1.0), expected)
        if found != ("sigmoid" if info.finds_objects else "softmax"):
            raise self._lying()
        return Model(net, info)

    def _foreign(self, weights: dict[str, Tensor], image: NDArray[Any], expected: NDArray[Any]) -> Foreign:
        """Return what was found, as those choices of what no shape tells that give the test tensor."""
        after = self._steps("outputs", "postprocessing")
        if unknown := [name for name, _ in after if name not in ("sigmoid", "softmax")]:
            raise ModelFileError(
                f"{self._name} changes its maps afterwards in a way that is not known here: {', '.join(unknown)}.",
                "Known are sigmoid, softmax, or nothing.",
            )
        normalization, divide_by = self._normalization()
        ready = _ready(image, normalization, divide_by)
        for padding, join in itertools.product(("same", "valid"), ("skip-up", "up-skip")):
            spec, state = as_unet(weights, self._name, join=join, padding=padding)  # type: ignore[arg-type]
            activation = _activation(network(spec, state), ready, expected)
            if activation is not None:
                about, names = self._about, ()
                axes = about["outputs"][0]["axes"]
                if not isinstance(axes, str):
                    names = next((tuple(a.get("channel_names", ())) for a in axes if a.get("type") == "channel"), ())
                licence, name = str(about.get("license") or "unknown"), str(about.get("name") or self._name)[:120]
                return Foreign(spec, state, activation, normalization, divide_by, names, name, licence)
        raise self._lying()

    def _lying(self) -> ModelFileError:
        return ModelFileError(
            f"With the weights in {self._name} its own test image does not come out as it says, so it is not used.",
            "Its network may have another activation, another kind of pooling or norm, or the package is damaged.",
        )

    def _normalization(self) -> tuple[Normalization, float]:
        """Return how images are normalised, and what they are divided by then."""
        steps = self._steps("inputs", "preprocessing")
        names = [name for name, _ in steps]
        kinds = {"scale_range": "percentile", "zero_mean_unit_variance": "mean_std"}
        if names and names[0] in kinds and names[1:] in ([], ["clip"]):
            kwargs, clip = steps[0][1], steps[1][1] if len(steps) > 1 else {}
            per_channel = not {"c", "channel"} & set(kwargs.get("axes") or ["channel"])
            limits = float(clip.get("min", _WIDE[0])), float(clip.get("max", _WIDE[1]))
            low, high = kwargs.get("min_percentile", 0.0), kwargs.get("max_percentile", 100.0)
            return Normalization(method=kinds[names[0]], low=low, high=high, per_channel=per_channel, clip=limits), 1.0
        if not names:
            return Normalization(method="none"), 1.0
        if (
            names == ["scale_linear"]
            and not np.any(steps[0][1].get("offset", 0.0))
            and np.size(steps[0][1]["gain"]) == 1
        ):
            return Normalization(method="none"), 1 / float(np.ravel(steps[0][1]["gain"])[0])
        raise ModelFileError(
            f"{self._name} normalises images in a way that is not known here: {', '.join(map(str, names))}.",
            "Known are scale_range and zero_mean_unit_variance, with clip or not; scale_linear without offset; none.",
        )

    def _steps(self, side: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return name and options of each step before or after the network, but for changes of the data type."""
        listed = [
            (str(step.get("id") or step.get("name")), step.get("kwargs") or {})
            for step in self._about[side][0].get(kind) or []
        ]
        return [
            (f"fixed {name}" if kwargs.get("mode") == "fixed" else name, kwargs)
            for name, kwargs in listed
            if name != "ensure_dtype"
        ]

    def _tensor(self, kind: str) -> NDArray[Any]:
        """Return the test image or its maps, axes (N, C, [Z,] Y, X)."""
        entry = self._about[f"{kind}s"][0]
        axes = entry["axes"]
        letters = axes if isinstance(axes, str) else "".join(str(a.get("id") or a["type"])[0] for a in axes)
        if letters not in ("bcyx", "bczyx"):
            raise ModelFileError(f"The axes of {self._name} are {letters}; bcyx or bczyx can be used.")
        old = self._about.get(f"test_{kind}s")
        source = old[0] if old else entry["test_tensor"]
        array: NDArray[Any] = np.load(io.BytesIO(self._content(source)), allow_pickle=False)
        if array.ndim != len(letters) or array.dtype.kind not in "buif" or not array.size:
            raise ModelFileError(f"The test {kind} in {self._name} has the shape {array.shape}, and axes {letters}.")
        return array.astype(np.float32)

    def _content(self, source: Any) -> bytes:
        """Return a file of the package, given its name, or an entry with its name and perhaps its SHA-256."""
        entry = source if isinstance(source, dict) else {"source": source}
        name = str(entry["source"]).removeprefix("./")
        place = posixpath.join(self._folder, name)
        if place not in self._archive.namelist():
            raise ModelFileError(f"{self._name} lacks the file {name}; nothing is fetched from elsewhere.")
        if self._archive.getinfo(place).file_size > _MAX_BYTES:
            raise ModelFileError(f"{name} in {self._name} has more than 4 GB.")
        content = self._archive.read(place)
        wanted = entry.get("sha256")
        if wanted is not None and hashlib.sha256(content).hexdigest() != str(wanted).lower():
            raise ModelFileError(
                f"{name} in {self._name} is not the file that its description means, so it is not used.",
                f"Its SHA-256 should be {wanted}.",
            )
        return content


def network(spec: UNetSpec, state: dict[str, Tensor]) -> UNet:
    """Return a network with these weights."""
    with torch.device("meta"):
        net = UNet(spec, initialise=False)
    net.load_state_dict(state, assign=True)
    return net.requires_grad_(False).eval()


def _ready(image: NDArray[Any], normalization: Normalization, divide_by: float) -> NDArray[np.float32]:
    """Return the first test image, normalised, axes (C, [Z,] Y, X)."""
    block = image[0]
    return normalize(block, measure(block, normalization), normalization) / np.float32(divide_by)


def _activation(net: UNet, ready: NDArray[np.float32], expected: NDArray[Any]) -> str | None:
    """Return after which activation the maps are those that are expected; None: after none that is known."""
    try:
        with torch.inference_mode():
            logits = net(torch.from_numpy(np.ascontiguousarray(ready))[None])
    except (ImageError, RuntimeError):  # a size or a number of channels that this network does not take
        return None
    ways = {"sigmoid": logits.sigmoid(), "softmax": logits.softmax(1), "none": logits}
    if logits.shape[1] == 1:
        ways.pop("softmax")
    close = _TOLERANCE * max(1.0, float(np.ptp(expected)))
    for name, maps in ways.items():
        if maps.shape[1:] == expected.shape[1:] and bool(np.abs(maps[0].numpy() - expected[0]).max() <= close):
            return name
    return None


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
