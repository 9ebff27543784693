"""Image + model -> labels in memory: what scripts call. `inference.steps.segment_steps` does the work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.inference.adjusting import adjusted
from napari_unet.inference.diameter import said_diameter, with_diameter
from napari_unet.inference.steps import SubimageDone, segment_steps
from napari_unet.inference.task import Mode, Task, as_image, make_task
from napari_unet.inference.which_model import with_chosen_model
from napari_unet.io.channels import channel_number
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.store import AUTO, load_model
from napari_unet.objects.stitch import stitch_slices
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import PixelSize
    from napari_unet.progress import CancelToken, ProgressCallback


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A segmentation.

    Attributes
    ----------
    labels : ndarray of int32
        In the order of `axes`: the image's own without the channels. Ids are unique in the whole array.
    maps : ndarray of float32 or None
        What the network returned, 0 to 1, axes (K, T, Z, Y, X), if it was asked for; `K` maps, named by
        ``task.model.info.outputs``.
    axes : str
        Axes of `labels`.
    n_objects : int
        Objects found (for a semantic model: classes present other than 0).
    seconds : float
        Time it took.
    device : str
        Where the network ran.
    task : Task
        What was done: plan, channels, scale.
    """

    labels: NDArray[np.int32]
    maps: NDArray[np.float32] | None
    axes: str
    n_objects: int
    seconds: float
    device: str
    task: Task


def segment(
    image: Any,
    model: Model | str,
    *,
    axes: str | None = None,
    pixel_size: PixelSize | Sequence[float] | None = None,
    diameter: float | Literal["auto"] | None = None,
    channel: int | str | None = None,
    device: str = "auto",
    mode: Mode = "auto",
    tile: int | None = None,
    flips: bool = False,
    sensitivity: float | None = None,
    separation: float | None = None,
    min_size: int | None = None,
    keep_maps: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Result:
    """Segment an image.

    Parameters
    ----------
    image : array-like of number (numpy, dask, zarr) or Image
        Two to five axes, of T, C, Z, Y and X.
    model : Model or str
        A model, or the name or path of one; "auto": the one that seems to fit the image best, which is then
        `result.task.model` (`inference.which_model.choose_model`). Where none seems to, `result.task.image.notes` says
        so.
    axes : str, optional
        Meaning of the image's axes, of T, C, Z, Y and X; None: guessed from their number.
    pixel_size : sequence of float or PixelSize, optional
        Micrometres, (Y, X) or (Z, Y, X). Where the model knows its own, the image is rescaled to it and the result
        back.
    diameter : float or "auto", optional
        Typical diameter of the objects, pixels. The image is rescaled so that they have the size at which the model
        finds them (`model.info.diameter`), and the result back, whatever the pixel sizes. None: by the pixel sizes, or
        as in the images that the model learned from; where nothing of that is known, and always for "auto", by what is
        found on the image (`inference.diameter`), which `Result.task.image.found_diameter` tells.
    channel : int or str, optional
        Number of the channel to segment, or its name if `image` is an `Image` with names; None: all of them, or the
        first if the model takes one only.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    mode : {"auto", "exact", "fast"}
        "exact": the result is that of one pass over the whole image. "fast": tiles read less around them; how much the
        result may differ was measured when the model was saved (`model.info.fast_mode`). "auto": exact, unless the
        other is clearly faster and as good as the same.
    tile : int, optional
        Width of the tiles, pixels; the exact result does not depend on it.
    flips : bool
        Average the network's maps over the image and its mirror images along Y, X and both (of a volume too: along Z a
        microscope sees otherwise). Up to four times the time, for a result that often is a little better.
    sensitivity, separation : float, optional
        From 0 to 1, as the sliders of the window: the larger, the fainter is what counts as an object, and the more
        objects are told apart. None: as the model has it.
    min_size : int, optional
        Pixels that an object has at least, at the scale at which the network sees the image. None: as the model has it.
    keep_maps : bool
        Also return the network's probability maps.
    progress : callable, optional
        Called with a `Progress` after every tile, and now and then during one that takes long.
    cancel : CancelToken, optional
        Stops within one tile, with `Cancelled`.

    Returns
    -------
    Result

    Raises
    ------
    ImageError, ModelFileError, ModelMismatchError, DeviceError
        If the input cannot be used.
    Cancelled
        If `cancel` stopped it.

    Notes
    -----
    The networks are U-Nets (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28). Objects are read out of a
    distance map by a watershed, or out of a flow field (Stringer et al. 2021, doi:10.1038/s41592-020-01018-x).

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet import segment
    >>> y, x = np.mgrid[:128, :128]
    >>> image = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 80) for a in (32, 96) for b in (32, 96))  # four spots
    >>> result = segment(image, "nuclei", diameter=20, device="cpu")
    >>> result.labels.shape, result.n_objects
    ((128, 128), 4)
    """
    watch = Stopwatch()
    auto = isinstance(diameter, str)
    image = as_image(image, axes, pixel_size, diameter=said_diameter(diameter))
    channel = channel_number(image, channel)
    device = str(resolve_device(device))
    if model == AUTO:
        image, model = with_chosen_model(image, channel=channel, device=device, cancel=cancel)
    if not isinstance(model, Model):
        model = load_model(model)
    image, model = with_diameter(image, model, channel=channel, always=auto, device=device, cancel=cancel)
    model = adjusted(model, sensitivity=sensitivity, separation=separation, min_size=min_size)
    task = make_task(image, model, channel=channel, tile=tile, device=device, mode=mode, flips=flips)
    result = segment_task(task, device=device, keep_maps=keep_maps, progress=progress, cancel=cancel)
    return replace(result, seconds=watch.seconds)


def segment_task(
    task: Task,
    *,
    device: str = "auto",
    keep_maps: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Result:
    """Segment what is planned; see `segment`.

    Parameters
    ----------
    task : Task
        From `make_task`, with all planes or volumes.
    device, keep_maps, progress, cancel
        As for `segment`.
    """
    watch, image, model = Stopwatch(), task.image, task.model
    device = str(resolve_device(device))
    labels = np.zeros(image.label_shape, np.int32)
    view = image.canonical_labels(labels)
    maps = np.zeros((model.info.spec.out_channels, *view.shape), np.float32) if keep_maps else None
    for event in segment_steps(task, device=device, cancel=cancel, tells=progress is not None):
        if isinstance(event, SubimageDone):
            view[(event.subimage.frame, *event.region)] = event.labels
            if maps is not None:
                maps[(slice(None), event.subimage.frame, *event.region)] = event.maps
        if progress is not None:
            progress(event.progress)
    semantic = not model.info.finds_objects
    n_objects = int(np.count_nonzero(np.unique(labels))) if semantic else number_objects(view, task)
    return Result(labels, maps, image.label_axes, n_objects, watch.seconds, device, task)


def number_objects(labels: NDArray[Any], task: Task) -> int:
    """Make ids unique in labels (T, Z, Y, X), stitching slices that a 2D model did one by one; return the last id."""
    last = 0
    for volume in labels:
        if task.model.info.spec.ndim == 2 and task.image.is_volume:
            volume[...] = stitch_slices(volume)
        volume[volume > 0] += last
        last = max(last, int(volume.max(initial=0)))
    return last
