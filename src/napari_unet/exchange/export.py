"""Writes a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed
from napari_unet.models.store import load_model

if TYPE_CHECKING:
    import os

    from napari_unet.models.model import Model

ENDINGS = {"onnx": ".onnx"}
"""Formats that a model can be written in, and how a file of each ends."""


def export_model(
    model: Model | str | os.PathLike[str], path: str | os.PathLike[str], to: str = "onnx", *, overwrite: bool = False
) -> dict[str, Any]:
    """Write a model for another program.

    Parameters
    ----------
    model : Model, str or path
        The model, or its name or file.
    path : str or path
        File to write; ``.onnx``. It has its name only when it is whole and, if onnxruntime is installed, was found to
        give the maps that torch gives.
    to : {"onnx"}
        Format. ONNX: see `exchange.onnx_graph`.
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
        If the format or the ending is not known, a library is missing (the message names the extra), or the file
        exists or cannot be written.
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
        partial.write_bytes(graph.SerializeToString())
    return {"output": str(path), "format": to, "bytes": path.stat().st_size, "difference": difference}


def check_format(path: Path, to: str) -> None:
    """Raise `FileFormatError` unless the format is known, and the file's name ends as its files do."""
    if to not in ENDINGS:
        raise FileFormatError(f"A model can be written as {', '.join(ENDINGS)}; got {to!r}.")
    if path.suffix.lower() != ENDINGS[to]:
        raise FileFormatError(
            f"The file must end in {ENDINGS[to]}; got {path.name!r}, for example {path.stem}{ENDINGS[to]}."
        )
