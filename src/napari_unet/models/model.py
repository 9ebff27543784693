"""A model: a network with its description."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.errors import DeviceError, ModelMismatchError
from napari_unet.models.normalize import normalize
from napari_unet.objects.decode import decode_classes, decode_instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.models.info import ModelInfo
    from napari_unet.models.normalize import Statistics
    from napari_unet.nets.unet import UNet


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """A network with its description.

    Attributes
    ----------
    net : UNet
        Weights in float32, on the CPU, in evaluation mode. It is never changed: fine-tuning returns a new model.
    info : ModelInfo
        Description.
    """

    net: UNet
    info: ModelInfo

    @property
    def name(self) -> str:
        """Name for people."""
        return self.info.name

    def sha256(self) -> str:
        """Return a hash of the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def check_channels(self, channels: int) -> None:
        """Raise `ModelMismatchError` unless the model accepts images with so many channels."""
        wanted = (1, 3) if self.info.inputs == "colour" else (self.info.spec.in_channels,)
        if channels not in wanted:
            allowed = " or ".join(str(n) for n in wanted)
            hint = f" Choose one of the channels 0 to {channels - 1}." if 1 in wanted and channels > 1 else ""
            raise ModelMismatchError(
                f"The model {self.name!r} takes {allowed} channel{'s' if wanted[-1] > 1 else ''}; "
                f"the image has {channels}.{hint}"
            )

    def adapt_channels(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return a block (C, ...) with the channels of the network: a grey channel is repeated for a colour model."""
        self.check_channels(len(block))
        if self.info.inputs == "colour" and len(block) == 1:
            return np.broadcast_to(block, (3, *block.shape[1:]))
        return block

    def normalized(self, block: NDArray[Any], statistics: Statistics) -> NDArray[np.float32]:
        """Return a part of an image (C, Z, Y, X) as input of the network, (C, [Z,] Y, X); for a 2D model one slice."""
        ready = self.adapt_channels(normalize(block, statistics, self.info.normalization))
        return ready[:, 0] if self.info.spec.ndim == 2 else ready

    def decode(self, maps: NDArray[Any], zoom: tuple[float, ...] = ()) -> NDArray[np.int32]:
        """Return the labels of predicted maps; axes (K, [Z,] Y, X) -> ([Z,] Y, X).

        For maps that were computed on an image rescaled by `zoom` and resized back, lengths of `ModelInfo.decoding`
        are in pixels of the rescaled image.
        """
        if not self.info.finds_objects:
            return decode_classes(maps)
        return decode_instances(maps, self.info.outputs, self.info.decoding, zoom)


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device of that name; "auto" takes CUDA, else Apple's MPS, else the CPU.

    Raises
    ------
    DeviceError
        If this machine has no such device.
    """
    name, available = str(name), available_devices()
    if name == "auto":
        return torch.device(available[0])
    kind = name.split(":")[0]
    if kind not in {device.split(":")[0] for device in available} or (":" in name and name not in available):
        raise DeviceError(f"There is no device {name!r} on this machine; there is {', '.join(available)} (or auto).")
    return torch.device(name)


def available_devices() -> list[str]:
    """Return the names of this machine's devices, fastest first."""
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]
