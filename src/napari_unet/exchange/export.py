"""Writes a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed
from napari_unet.models.store import load_model

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from napari_unet.axes import Image
    from napari_unet.models.model import Model

ENDINGS = {"onnx": ".onnx", "bioimageio": ".zip"}
"""Formats that a model can be written in, and how a file of each ends."""


def export_model(
    model: Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    to: str = "onnx",
    *,
    image: Image | None = None,
    authors: Sequence[str] = (),
    licence: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a model for another program.

    Parameters
    ----------
    model : Model, str or path
        The model, or its name or file.
    path : str or path
        File to write; ``.onnx``, or ``.zip`` for bioimageio. It has its name only when it is whole and, if onnxruntime
        is installed, was found to give the maps that torch gives.
    to : {"onnx", "bioimageio"}
        Format. ONNX: see `exchange.onnx_graph`. bioimageio: a package of the BioImage Model Zoo, format 0.5, with the
        weights for PyTorch and as ONNX, test tensors, a picture and a description.
    image : Image, optional
        For bioimageio: an image that the model suits, for the test tensors and the picture. None: a sample.
    authors : sequence of str
        For bioimageio: who made the model. Not needed for models that came with the program.
    licence : str, optional
        For bioimageio: SPDX name of the licence of the weights. None: as the model says.
    overwrite : bool
        Whether an earlier file may be replaced.

    Returns
    -------
    dict
        ``output``, ``format``, ``bytes``, and the largest ``difference`` of a probability from torch's (None: not
        compared, because onnxruntime is not installed).

    Raises
    ------
    FileFormatError
        If the format or the ending is not known, nor authors or licence of a package; if a library is missing (the
        message names the extra), or the file exists or cannot be written.
    ModelFileError
        If there is no such model.

    Examples
    --------
    >>> import napari_unet as nu
    >>> nu.export_model("nuclei", "nuclei.onnx")["format"]  # doctest: +SKIP
    'onnx'
    """
    path = Path(path)
    check_format(path, to)
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        model = load_model(model)
    from napari_unet.exchange.onnx_check import check_onnx
    from napari_unet.exchange.onnx_graph import onnx_graph

    with completed(path, overwrite=overwrite) as partial:
        graph = onnx_graph(model)
        difference = check_onnx(graph, model)
        if to == "onnx":
            partial.write_bytes(graph.SerializeToString())
        else:
            from napari_unet.exchange.bioimageio_package import write_package
            from napari_unet.exchange.example_image import example_image

            pixels = example_image(model.info, image)
            write_package(partial, model, graph.SerializeToString(), pixels, authors, licence)
    return {"output": str(path), "format": to, "bytes": path.stat().st_size, "difference": difference}


def check_format(path: Path, to: str) -> None:
    """Raise `FileFormatError` unless the format is known, and the file's name ends as its files do."""
    if to not in ENDINGS:
        raise FileFormatError(f"A model can be written as {', '.join(ENDINGS)}; got {to!r}.")
    if path.suffix.lower() != ENDINGS[to]:
        raise FileFormatError(
            f"The file must end in {ENDINGS[to]}; got {path.name!r}, for example {path.stem}{ENDINGS[to]}."
        )
