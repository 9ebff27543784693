"""What scripts call: one image, from its file to a Zarr folder of labels, by the workers of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.axes import PixelSize
from napari_unet.cluster.by_blocks import segment_by_blocks
from napari_unet.cluster.connection import check_workers
from napari_unet.inference.options import SegmentOptions
from napari_unet.io.jobs import FileJob

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from napari_unet.inference.task import Mode
    from napari_unet.progress import CancelToken, ProgressCallback


def segment_on_cluster(
    image: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    model: str,
    *,
    client: Any,
    axes: str | None = None,
    series: int | str | None = None,
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
    maps: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Segment an image file of any size with the workers of dask, block by block.

    Workers read the image and write the labels themselves. A call that was stopped goes on where it was. Maps, objects
    and their ids are those of ``napari-unet segment IMAGE -o LABELS.zarr``.

    Parameters
    ----------
    image : path
        The image. All workers have to see it, as `labels`, under the same path.
    labels : path
        The Zarr folder that is written; its name ends in ``.zarr``.
    model : str
        Name or file of a model, or "auto". A `Model` is saved first (`save_model`).
    client : distributed.Client
        The connection to the scheduler.
    axes, pixel_size, diameter, channel, mode, tile, flips, sensitivity, separation, min_size
        As for `segment`.
    series : int or str, optional
        Which image of a file that holds several.
    device : str
        Of each worker: "auto", "cpu", "cuda", "cuda:N" or "mps".
    maps : bool
        Whether the network's maps are written beside the labels, too.
    overwrite : bool
        Whether `labels` may exist already, and is replaced in the end.
    progress : callable, optional
        Called with a `Progress` after every tile and block.
    cancel : CancelToken, optional
        Stops, with `Cancelled`; what is finished is kept.

    Returns
    -------
    dict
        The report of ``napari-unet segment --json``: ``n_objects``, ``seconds``, ``tiles``, ``damaged`` and others.

    Raises
    ------
    ClusterError
        If the scheduler or workers lack this program or have another version of it, or some blocks could not be done;
        the others are kept, and the same call does the rest.
    UNetError
        If the image or model cannot be used, or the labels cannot be written.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> with Client(scheduler_file="scheduler.json") as client:  # doctest: +SKIP
    ...     segment_on_cluster("brain.zarr", "brain_labels.zarr", "nuclei3d", client=client)["n_objects"]
    81234
    """
    check_workers(client, cancel)
    if pixel_size is not None and not isinstance(pixel_size, PixelSize):
        pixel_size = PixelSize.from_sequence(pixel_size)
    options = SegmentOptions(
        axes, pixel_size, channel, device, mode, tile, maps, overwrite, diameter, flips, series,
        sensitivity, separation, min_size,
    )  # fmt: skip
    job = FileJob(Path(image), Path(labels))
    return segment_by_blocks(client, job, str(model), options, progress=progress, cancel=cancel)
