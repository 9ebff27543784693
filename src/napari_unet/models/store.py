"""Where models are found: shipped ones in the package, the user's own in a folder of theirs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_unet.errors import ModelFileError
from napari_unet.io.names import is_device

if TYPE_CHECKING:
    from napari_unet.models.model import Model

# Modules that read and write weights load torch, which takes seconds: they are imported in the functions.

SUFFIX = ".safetensors"
DEFAULT_MODEL = "nuclei"
"""The shipped model that is used if none is named."""
AUTO = "auto"
"""Stands, in place of a name, for the model that fits an image best (`inference.which_model`)."""
HOME_VARIABLE = "NAPARI_UNET_HOME"
"""Environment variable with another folder for the user's models, and for recovery copies."""


_Version = tuple[int, int]

_kept: dict[Path, tuple[_Version, Model]] = {}
"""Models that were loaded ahead, by the file, and when that was changed and how large it was."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be chosen by name.

    Attributes
    ----------
    name : str
    path : Path
        Its file.
    shipped : bool
        Whether it came with the program; else it is the user's own.
    """

    name: str
    path: Path
    shipped: bool


def shipped_folder() -> Path:
    """Return the folder of the models that came with the program."""
    return Path(str(resources.files("napari_unet") / "models" / "weights"))


def data_folder() -> Path:
    """Return the folder of the program's data; it may not exist yet."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else Path(platformdirs.user_data_dir("napari-unet", appauthor=False))


def user_folder() -> Path:
    """Return the folder of the user's own models; it may not exist yet."""
    return data_folder() / "models"


def list_models() -> list[ModelEntry]:
    """Return what models there are; no file is opened.

    Returns
    -------
    list of ModelEntry
        The shipped ones, the default one first, then the user's own, each in alphabetical order.

    Examples
    --------
    >>> from napari_unet.models.store import list_models
    >>> [entry.name for entry in list_models() if entry.shipped]
    ['nuclei', 'axons', 'cells', 'cells_phase', 'nuclei3d']
    """
    entries = []
    for folder, shipped in ((shipped_folder(), True), (user_folder(), False)):
        if os.path.isdir(folder):
            found = [ModelEntry(path.stem, path, shipped) for path in folder.glob(f"*{SUFFIX}")]
            entries += sorted(found, key=lambda entry: (shipped and entry.name != DEFAULT_MODEL, entry.name.lower()))
    return entries


def find_model(name: str | os.PathLike[str]) -> Path:
    """Return the path of a model file, which exists; it is not opened.

    Parameters
    ----------
    name : str or path
        Name of a model, or path of a model file. A model of the user hides a shipped one with the same name.

    Raises
    ------
    ModelFileError
        If there is none.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise ModelFileError(f"A model is given by its name or the path of its file; got {type(name).__name__}.")
    text = os.fspath(name)
    entries = list_models()
    matches = [entry for entry in entries if entry.name == text]
    if matches:
        return matches[-1].path
    if text == "-":
        raise ModelFileError("A model is not read from standard input: give its name or its file.")
    if text.endswith(SUFFIX) or os.sep in text or os.path.exists(text):
        if not os.path.exists(text):  # False too for a name that no file can have
            raise ModelFileError(f"There is no model file {text}.")
        return Path(text)
    known = [entry.name for entry in entries]
    nearest = "".join(f" The nearest is {one}." for one in get_close_matches(text, known, n=1, cutoff=0))
    others = f"There is: {', '.join(known) or 'none'}; or give the path of a {SUFFIX} file."
    raise ModelFileError(f"There is no model called {text!r}.{nearest}", others)


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load a model.

    Parameters
    ----------
    name : str or path
        Name of a model, or path of a model file. A model of the user hides a shipped one with the same name.

    Returns
    -------
    Model

    Raises
    ------
    ModelFileError
        If there is none, or its file cannot be used.

    Examples
    --------
    >>> from napari_unet import load_model
    >>> model = load_model("nuclei")
    >>> model.info.outputs
    ('foreground', 'distance', 'flow_y', 'flow_x')
    """
    from napari_unet.models.checkpoint import load_model_file

    path = find_model(name)
    kept = _kept.get(path)
    return kept[1] if kept is not None and kept[0] == _version(path) else load_model_file(path)


def load_ahead(name: str) -> Model:
    """Load a model and keep it, so that `load_model` takes no time as long as its file does not change.

    Nothing is lost by sharing it: a model is never changed.

    Raises
    ------
    ModelFileError
        As of `load_model`.
    """
    path = find_model(name)
    version = _version(path)
    model = load_model(path)
    if version is not None:
        _kept[path] = version, model
    return model


def _version(path: Path) -> _Version | None:
    """Return when a file was changed, and how large it is; None if that cannot be told."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def save_model(model: Model, name: str, *, overwrite: bool = False) -> Path:
    """Save a model under a name, by which it can be loaded from then on.

    Parameters
    ----------
    model : Model
        It is not changed; the file has the new name.
    name : str
        Up to 80 letters, digits, spaces and ``. + - _``, beginning with a letter or digit. Not that of a shipped model.
    overwrite : bool
        Whether a model of the user with that name may be replaced.

    Returns
    -------
    Path
        The file, in the user's data folder. It has its name only when it is whole.

    Raises
    ------
    ModelFileError
        If the name is taken or cannot be that of a file, or the file cannot be written.

    Examples
    --------
    >>> from napari_unet import load_model, save_model
    >>> path = save_model(load_model("nuclei"), "my nuclei", overwrite=True)  # doctest: +SKIP
    >>> load_model("my nuclei").name  # doctest: +SKIP
    'my nuclei'
    """
    from napari_unet.models.checkpoint import save_model_file
    from napari_unet.models.model import Model

    name = name.strip()
    if not re.fullmatch(r"[\w][\w .+-]{0,79}", name):
        raise ModelFileError(
            f"{name!r} cannot be a model's name: use up to 80 letters, digits, spaces and . + - _, "
            "beginning with a letter or digit."
        )
    if is_device(name):
        raise ModelFileError(f'{name!r} cannot be a model\'s name: Windows takes it for a device. Try "my {name}".')
    if name == AUTO:
        raise ModelFileError(f"{AUTO!r} stands for the model that fits best; choose another name.")
    taken = {entry.name: entry for entry in list_models()}.get(name)
    if taken is not None and taken.shipped:
        raise ModelFileError(f"{name!r} is the name of a model that came with the program; choose another.")
    path = user_folder() / f"{name}{SUFFIX}"
    if os.path.lexists(path) and not overwrite:
        raise ModelFileError(f"There is a model called {name!r} already; choose another name.")
    renamed = Model(model.net, model.info.model_copy(update={"name": name}))
    save_model_file(renamed, path)
    return path
