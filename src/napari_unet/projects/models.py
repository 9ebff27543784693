"""The models of a project: those that come with the program by name, all others as files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from napari_unet.errors import FileFormatError, ModelFileError
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.store import list_models
from napari_unet.projects.description import ModelReference

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.models.model import Model

_VERDICT = TypeAdapter(Verdict)


def write_model(generation: Generation, folder: Path, number: int) -> ModelReference:
    """Write a model into a folder, unless it comes with the program, and return what is noted of it.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    model = generation.model
    shipped = _shipped(model.name)
    comes_along = shipped is not None and shipped.info == model.info and shipped.sha256() == model.sha256()
    file = None if comes_along else f"model-{number}.safetensors"
    if file is not None:
        save_model_file(model, folder / file)
    verdict = None if generation.verdict is None else _VERDICT.dump_python(generation.verdict, mode="json")
    return ModelReference(name=model.name, sha256=model.sha256(), shipped=comes_along, file=file, verdict=verdict)


def read_model(reference: ModelReference, folder: Path) -> tuple[Generation, str]:
    """Return a model of a project, and what the user should know of it.

    Raises
    ------
    FileFormatError, ModelFileError
        If it is missing or damaged.
    """
    try:
        verdict = None if reference.verdict is None else _VERDICT.validate_python(reference.verdict)
    except ValidationError as error:
        first = error.errors()[0]
        raise FileFormatError(f"What is noted of the model {reference.name!r} is damaged: {first['msg']}.") from error
    note = ""
    if reference.shipped:
        model = _shipped(reference.name)
        if model is None:
            raise ModelFileError(f"The model {reference.name!r} does not come with this version of the program.")
        if model.sha256() != reference.sha256:
            note = f"The model {reference.name!r} is a newer one than that which the project was saved with."
    elif reference.file is None:
        raise FileFormatError(f"The project does not say in which file the model {reference.name!r} is.")
    else:
        model = load_model_file(folder / reference.file)
        if model.sha256() != reference.sha256:
            raise ModelFileError(f"{folder / reference.file} is damaged: it is not as it was saved.")
    return Generation(model, verdict), note


def _shipped(name: str) -> Model | None:
    """Return the model of that name that comes with the program."""
    paths = [entry.path for entry in list_models() if entry.shipped and entry.name == name]
    return load_model_file(paths[0]) if paths else None
