"""The models of a project: shipped models are stored by name, all others as files."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from napari_unet.errors import FileFormatError, ModelFileError
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.offload import linked
from napari_unet.models.store import list_models
from napari_unet.projects.description import ModelReference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.models.model import Model

_VERDICT = TypeAdapter(Verdict)


def write_model(generation: Generation, folder: Path, number: int) -> ModelReference:
    """Write a model into a folder, unless it comes with the program, and return the reference to it.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    name, sha256 = generation.info.name, generation.sha256()
    shipped = _shipped(name)
    comes_along = shipped is not None and shipped.info == generation.info and shipped.sha256() == sha256
    file = None if comes_along else f"model-{number}.safetensors"
    if file is not None:
        _write(generation, folder / file)
    verdict = None if generation.verdict is None else _VERDICT.dump_python(generation.verdict, mode="json")
    return ModelReference(name=name, sha256=sha256, shipped=comes_along, file=file, verdict=verdict)


def write_models(generations: Sequence[Generation], folder: Path) -> tuple[ModelReference, ...]:
    """Write models into a folder, and return the references to them; see `write_model` for errors."""
    index = {generation: number for number, generation in enumerate(generations)}
    return tuple(
        write_model(one, folder, number).model_copy(update={"before": index.get(one.before) if one.before else None})
        for one, number in index.items()
    )


def read_models(references: Sequence[ModelReference], folder: Path) -> tuple[list[Generation], tuple[str, ...]]:
    """Return the models of a project, and notes for the user; see `read_model` for errors."""
    read = [read_model(one, folder) for one in references]
    generations = [generation for generation, _ in read]
    for generation, reference in zip(generations, references, strict=True):
        if reference.before is not None and reference.before < len(generations):
            generation.before = generations[reference.before]
    return generations, tuple(note for _, note in read if note)


def read_model(reference: ModelReference, folder: Path) -> tuple[Generation, str]:
    """Return a model of a project, and a note for the user, which is mostly empty.

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


def _write(generation: Generation, path: Path) -> None:
    """Write a model file; if the model is in a file already, that gets a second name."""
    if generation.file is not None and not path.exists():
        with suppress(OSError):  # it was removed, or cannot be read: the model may be in memory still
            linked(generation.file, path)
            return
    save_model_file(generation.model, path)


def _shipped(name: str) -> Model | None:
    """Return the model of that name that comes with the program."""
    paths = [entry.path for entry in list_models() if entry.shipped and entry.name == name]
    return load_model_file(paths[0]) if paths else None
