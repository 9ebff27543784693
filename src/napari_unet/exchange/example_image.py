"""The image that a model package is tested with."""

from __future__ import annotations

import math
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.scale import is_rescaled, magnification
from napari_unet.io.readers import read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo


def example_image(info: ModelInfo, image: Image | None = None) -> NDArray[np.float32]:
    """Return an image at the scale of a model.

    Parameters
    ----------
    info : ModelInfo
    image : Image, optional
        Its first time point is taken. None: a sample; for volumes, fields of view of nuclei in place of slices.

    Returns
    -------
    ndarray of float32, axes (C, [Z,] Y, X)

    Raises
    ------
    ModelMismatchError
        If the image cannot be brought to the scale of the model.
    """
    from skimage.transform import resize

    if image is None:
        return np.repeat(_sample(info), info.spec.in_channels if info.spec.in_channels != 3 else 1, axis=0)
    block = image.read(0)
    if info.spec.ndim == 2:
        block = block[:, block.shape[1] // 2]
    zoom = magnification(image, info)[-info.spec.ndim :]
    if is_rescaled(zoom):
        shape = [max(1, math.floor(n * z)) for n, z in zip(block.shape[1:], zoom, strict=True)]
        block = np.stack([resize(c.astype(np.float32), shape, order=1, anti_aliasing=True) for c in block])
    return np.asarray(block, np.float32)


def _sample(info: ModelInfo) -> NDArray[Any]:
    name = "nuclei_stack.tif" if info.spec.ndim == 3 else "nuclei.tif"
    with as_file(files("napari_unet") / "samples" / name) as path:
        image = read_image(path, axes="ZYX" if info.spec.ndim == 3 else "YX")
        block = np.asarray(image.read(0), np.float32)
    return block if info.spec.ndim == 3 else block[:, 0]
