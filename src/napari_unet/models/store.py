"""Where models are found: the shipped ones in the package, and the user's own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_unet.errors import ModelFileError

if TYPE_CHECKING:
    from napari_unet.models.model import Model

# What reads and writes weights loads torch, which takes seconds: it is imported where they are.

SUFFIX = ".safetensors"
DEFAULT_MODEL = "nuclei"
"""The shipped model that is taken where none is named."""
HOME_VARIABLE = "NAPARI_UNET_HOME"
"""Environment variable that names another folder for the user's own models, and for work that is not saved yet."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be chosen by name: ``shipped`` with the program, or the user's own."""

    name: str
    path: Path
    shipped: bool


def shipped_folder() -> Path:
    """Return the folder of the models that came with the program."""
    return Path(str(resources.files("napari_unet") / "models" / "weights"))


def data_folder() -> Path:
    """Return the folder of what the program keeps for its user; it need not exist."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else Path(platformdirs.user_data_dir("napari-unet", appauthor=False))


def user_folder() -> Path:
    """Return the folder of the user's own models; it need not exist."""
    return data_folder() / "models"


def list_models() -> list[ModelEntry]:
    """Return the shipped models, that which is taken where none is named first, then the user's own, each by name."""
    entries = []
    for folder, shipped in ((shipped_folder(), True), (user_folder(), False)):
        if folder.is_dir():
            found = [ModelEntry(path.stem, path, shipped) for path in folder.glob(f"*{SUFFIX}")]
            entries += sorted(found, key=lambda entry: (shipped and entry.name != DEFAULT_MODEL, entry.name.lower()))
    return entries


def find_model(name: str | os.PathLike[str]) -> Path:
    """Return the file of a model, which is there but not looked into.

    Parameters
    ----------
    name : str or path
        Name of a shipped or own model, or the path of a model file. An own model hides a shipped one of its name.

    Raises
    ------
    ModelFileError
        If there is none.
    """
    text = os.fspath(name)
    matches = [entry for entry in list_models() if entry.name == text]
    if matches:
        return matches[-1].path
    if text == "-":
        raise ModelFileError("A model is not read from standard input: give its name or its file.")
    if text.endswith(SUFFIX) or os.sep in text or os.path.exists(text):
        if not os.path.exists(text):  # False too for a name that no file can have
            raise ModelFileError(f"There is no model file {text}.")
        return Path(text)
    known = ", ".join(entry.name for entry in list_models()) or "none"
    raise ModelFileError(f"There is no model called {text!r}. There is: {known}; or give the path of a {SUFFIX} file.")


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load a model.

    Parameters
    ----------
    name : str or path
        As for `find_model`.

    Raises
    ------
    ModelFileError
        If there is none, or its file cannot be used.
    """
    from napari_unet.models.checkpoint import load_model_file

    return load_model_file(find_model(name))


def save_model(model: Model, name: str, *, overwrite: bool = False) -> Path:
    """Save a model under a name, by which it can be chosen from then on; return its path.

    Raises
    ------
    ModelFileError
        If the name cannot be a file's name or is taken, or the file cannot be written.
    """
    from napari_unet.models.checkpoint import save_model_file
    from napari_unet.models.model import Model

    name = name.strip()
    if not re.fullmatch(r"[\w][\w .+-]{0,79}", name):
        raise ModelFileError(
            f"{name!r} cannot be a model's name: use up to 80 letters, digits, spaces and . + - _, "
            "beginning with a letter or digit."
        )
    taken = {entry.name: entry for entry in list_models()}.get(name)
    if taken is not None and taken.shipped:
        raise ModelFileError(f"{name!r} is the name of a model that came with the program; choose another.")
    path = user_folder() / f"{name}{SUFFIX}"
    if os.path.lexists(path) and not overwrite:
        raise ModelFileError(f"There is a model called {name!r} already; choose another name.")
    renamed = Model(model.net, model.info.model_copy(update={"name": name}))
    save_model_file(renamed, path)
    return path
