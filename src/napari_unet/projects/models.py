"""The models of a project: shipped models are stored by name, all others as files."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from napari_unet.errors import FileFormatError, ModelFileError
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.offload import linked
from napari_unet.models.store import list_models
from napari_unet.objects.decode import Decoding
from napari_unet.projects.description import ModelReference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_VERDICT = TypeAdapter(Verdict)


def write_model(generation: Generation, folder: Path, number: int) -> ModelReference:
    """Write a model into a folder, unless it comes with the program, and return the reference to it.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    info, name, sha256 = generation.info, generation.info.name, generation.sha256()
    shipped, original = _shipped(name), info.with_decoding(info.original_decoding or info.decoding)
    comes_along = shipped is not None and shipped.info == original and shipped.sha256() == sha256
    file = None if comes_along else f"model-{number}.safetensors"
    if file is not None:
        _write(generation, folder / file)
    verdict = None if generation.verdict is None else _VERDICT.dump_python(generation.verdict, mode="json")
    reference = ModelReference(name=name, sha256=sha256, shipped=comes_along, file=file, verdict=verdict)
    return with_decoding_of(generation, reference)


def with_decoding_of(generation: Generation, reference: ModelReference) -> ModelReference:
    """Return the reference to a model with how objects are read out of its maps by now, where a user may have set that.

    Its file may have been written before.
    """
    info = generation.info
    known = not info.finds_objects or (reference.shipped and info.original_decoding is None)
    return reference.model_copy(update={"decoding": None if known else info.decoding.model_dump(mode="json")})


def write_models(generations: Sequence[Generation], folder: Path) -> tuple[ModelReference, ...]:
    """Write models into a folder, and return the references to them; see `write_model` for errors."""
    written = [write_model(one, folder, number) for number, one in enumerate(generations)]
    return _with_before(generations, written)


class WrittenModels:
    """Writes models into a folder that holds others already, each of them once (worker)."""

    def __init__(self) -> None:
        self._references: dict[Generation, ModelReference] = {}

    def references(self, generations: Sequence[Generation], folder: Path) -> tuple[ModelReference, ...]:
        """Return the references to models, whose files are in the folder then; see `write_model` for errors."""
        return _with_before(generations, [self.reference(one, folder) for one in generations])

    def reference(self, generation: Generation, folder: Path) -> ModelReference:
        """Return the reference to a model, whose file is in the folder then; see `write_model` for errors."""
        known = self._references.get(generation)
        if known is None or (known.file is not None and not (folder / known.file).is_file()):
            number = 1 + max((int(path.stem.removeprefix("model-")) for path in folder.glob("model-*")), default=0)
            known = self._references[generation] = write_model(generation, folder, number)
        return with_decoding_of(generation, known)


def _with_before(generations: Sequence[Generation], written: Sequence[ModelReference]) -> tuple[ModelReference, ...]:
    """Return the references to models, each with the number of the one that it was learned from."""
    numbers = {generation: number for number, generation in enumerate(generations)}
    return tuple(
        reference.model_copy(update={"before": numbers.get(one.before) if one.before is not None else None})
        for one, reference in zip(generations, written, strict=True)
    )


def read_models(references: Sequence[ModelReference], folder: Path) -> tuple[list[Generation], tuple[str, ...]]:
    """Return the models of a project, and notes for the user; see `read_model` for errors."""
    read = [read_model(one, folder) for one in references]
    generations = [generation for generation, _ in read]
    for generation, reference in zip(generations, references, strict=True):
        if reference.before is not None and reference.before < len(generations):
            generation.before = generations[reference.before]
    return generations, tuple(note for _, note in read if note)


def remove_unnamed(references: Sequence[ModelReference], folder: Path) -> None:
    """Remove model files of a folder that no reference names: of models that were deleted, or written once more.

    Nobody else may read or write the folder meanwhile. What cannot be removed stays.
    """
    named = {reference.file for reference in references}
    for path in folder.glob("model-*.safetensors"):
        if path.name not in named:
            with suppress(OSError):
                path.unlink()


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
    return Generation(_with_settings(model, reference), verdict), note


def _with_settings(model: Model, reference: ModelReference) -> Model:
    """Return a model with how objects are read out of its maps as the project says."""
    if reference.decoding is None or not model.info.finds_objects:
        return model
    try:
        decoding = Decoding.model_validate(reference.decoding)
        known = model.info.with_decoding(decoding)
        ModelInfo.model_validate(known.model_dump())  # whether it has the maps that they need
    except ValidationError as error:
        first = error.errors()[0]
        raise FileFormatError(f"The settings of the model {reference.name!r} are damaged: {first['msg']}.") from error
    return Model(model.net, known)


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
