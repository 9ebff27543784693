"""Which image is segmented into which file, checked before any work: no result may replace an image."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import Protected, check_free, check_outside_zarr
from napari_unet.io.pairs import split_results, stem, stem_within
from napari_unet.io.readers import image_files
from napari_unet.io.tiffs import files_read
from napari_unet.io.writers import LABEL_SUFFIXES
from napari_unet.io.zarr_labels import check_takes_labels
from napari_unet.io.zarrs import is_plate, is_zarr, plate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Format = Literal["tif", "zarr"]


@dataclass(frozen=True, slots=True)
class FileJob:
    """An image file and where its labels go.

    Attributes
    ----------
    source, target : Path
    inputs : Protected
        Other files that no result may replace.
    into : bool
        Whether the labels go into the image's own OME-Zarr; `target` is then their folder in it.
    problem : str
        Why it cannot be done, whatever is in the files; empty: nothing is known.
    """

    source: Path
    target: Path
    inputs: Protected = field(default_factory=lambda: Protected(()), repr=False, compare=False)
    into: bool = False
    problem: str = ""

    @property
    def name(self) -> str:
        """What the image is called in sentences: its file, or a field of a plate with the plate's name (p_A_1_0)."""
        within = stem_within(self.source)
        return self.source.name if within == stem(self.source) else within

    @property
    def as_zarr(self) -> bool:
        """Whether the labels are written as an OME-Zarr of their own."""
        return not self.into and self.target.suffix.lower() == ".zarr"

    @property
    def maps_target(self) -> Path:
        """Path of the predicted maps, if they are kept."""
        name = stem(self.target).removesuffix("_labels")
        return self.target.with_name(f"{name}_maps.zarr")

    @property
    def version(self) -> tuple[int, int] | None:
        """What tells the labels that lie there from others that replace them; None: there are none."""
        try:
            about = self.target.stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns

    def check(self, *, maps: bool = False, overwrite: bool = False) -> None:
        """Check that its results may be written under their names.

        Raises
        ------
        FileFormatError
            If one of them would replace an input or be written into one, or exists and may not be replaced; of labels
            that go into their image, if it cannot take them.
        """
        if self.into:
            check_takes_labels(self.source, self.target.name)
            return
        source = Protected(files_read(self.source, of_all=True))
        for path in [self.target, *([self.maps_target] if maps else [])]:
            source.check(path)
            self.inputs.check(path)
            check_outside_zarr(path)
            check_free(path, overwrite=overwrite)


def plan_into(inputs: Sequence[Path], name: str, *, tell: Callable[[str], object] | None = None) -> list[FileJob]:
    """Return the jobs by which each image gets labels of a name into its own OME-Zarr.

    Parameters
    ----------
    inputs : sequence of Path
        OME-Zarr images, folders of them, or plates.
    name : str
        Of the labels.
    tell : callable, optional
        Called with a sentence for each group of files that is left out.

    Raises
    ------
    FileFormatError
        If a folder holds no image, or the name is none that a folder can have on every system.
    """
    if not re.fullmatch(r"[^\W_][\w \-.+]{0,99}", name) or name.endswith((".", " ", ".partial")):
        raise FileFormatError(f"Labels cannot be called {name!r:.40}; a name of letters and digits is needed, as unet.")
    unique = {file.resolve(): file for file in _files(inputs, tell)}
    return [FileJob(file, file / "labels" / name, into=True) for file in unique.values()]


def is_several(inputs: Sequence[Path]) -> bool:
    """Return whether the results of some inputs go to a folder: several inputs, a folder or a plate."""
    return len(inputs) > 1 or any(_is_folder(path) for path in inputs)


def check_ending(out: Path, file_format: Format | None = None, *, several: bool = False) -> None:
    """Check the name that was given for results.

    Parameters
    ----------
    out : Path
        The file to be written or a folder, for one input; for several the folder.
    file_format : {"tif", "zarr"}, optional
        The format that was asked for.
    several : bool
        See `is_several`.

    Raises
    ------
    FileFormatError
        If results cannot have that suffix, or it contradicts the format.
    """
    suffix, folder = out.suffix.lower(), os.path.isdir(out) and not is_zarr(out)
    if out.name == "-":
        raise FileFormatError("Results are written to files, not to standard output; give -o a name.")
    if several:
        if is_zarr(out):
            raise FileFormatError(f"{out} is a Zarr; the results of several images go to a folder, named by -o.")
        if os.path.exists(out) and not folder:
            raise FileFormatError(f"{out} is a file; the results of several images go to a folder, named by -o.")
        if re.fullmatch(r"\.[a-z]\w*", suffix) and not folder:
            raise FileFormatError(
                f"The results of several images go to a folder, and {out.name!r} is named as a file is; "
                f"for example -o {out.stem}."
            )
    elif suffix in LABEL_SUFFIXES:
        if file_format is not None and (file_format == "zarr") != (suffix == ".zarr"):
            raise FileFormatError(
                f"--format {file_format} contradicts the ending of {out.name!r}; leave one of them out."
            )
    elif suffix and not folder:
        raise FileFormatError(
            f"Labels are not written as {out.suffix}: the name must end in {' or '.join(LABEL_SUFFIXES)}; "
            f"for example {out.stem}.tif."
        )


def plan_files(
    inputs: Sequence[Path],
    out: Path,
    file_format: Format | None = None,
    *,
    keep: Sequence[Path] = (),
    tell: Callable[[str], object] | None = None,
) -> list[FileJob]:
    """Return which file is segmented into which; each file once, however often it is named.

    Of files whose results would have one name none can be done; the `problem` of their jobs says so.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders of files, or plates, of which each field is one. In a folder, results of earlier runs are left
        out.
    out : Path
        For one input file the file to be written; for several, or a folder, the folder of `<stem>_labels.tif`.
    file_format : {"tif", "zarr"}, optional
        None: by the ending of `out`, else TIFF.
    keep : sequence of Path
        Other files that must not be replaced.
    tell : callable, optional
        Called with a sentence for each group of files that is left out.

    Raises
    ------
    FileFormatError
        If a folder holds no image, or `out` cannot be the name of a result.
    """
    several = is_several(inputs)
    check_ending(out, file_format, several=several)
    if not several:
        suffix = out.suffix.lower()
        inside = Protected([*inputs, *keep])
        if suffix in LABEL_SUFFIXES:
            return [FileJob(inputs[0], out, inside)]
        if file_format is not None and not os.path.isdir(out):
            return [FileJob(inputs[0], out.with_name(f"{out.name}.{file_format}"), inside)]
    files = _files(inputs, tell)
    protected = Protected([*files, *keep])
    by_target: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        by_target[out / f"{stem_within(file)}_labels.{file_format or 'tif'}"].append(file)
    return [
        FileJob(file, target, protected, problem=_clash(file, among, target))
        for target, among in by_target.items()
        for file in among
    ]


def _files(inputs: Sequence[Path], tell: Callable[[str], object] | None) -> list[Path]:
    """Return all images that some inputs name, each once; a link is a file of its own."""
    files = [file for path in inputs for file in (_images(path, tell) if _is_folder(path) else [path])]
    return list({os.path.abspath(file): file for file in files}.values())


def _clash(file: Path, among: Sequence[Path], target: Path) -> str:
    others = [other for other in among if other != file]
    return f"{file} and {others[0]} would both be written to {target}. Rename one." if others else ""


def _images(folder: Path, tell: Callable[[str], object] | None) -> list[Path]:
    plate = plate_of(folder) if is_zarr(folder) else None
    if plate is not None:
        if plate.missing and tell is not None:
            tell(plate.told(folder.name))
        return [folder / field for field in plate.fields]
    images, results = split_results(image_files(folder))
    if not images:
        raise FileFormatError(f"{folder} has results in it, such as {results[0].name}, and no image. Give the images.")
    if results and tell is not None:
        rest = f" and {len(results) - 1} more" if len(results) > 1 else ""
        tell(f"Left out of {folder}, as results of images: {results[0].name}{rest}.")
    return images


def _is_folder(path: Path) -> bool:
    """Return whether a path names several images: a folder, or a plate."""
    return is_plate(path) or (os.path.isdir(path) and path.suffix.lower() != ".zarr" and not is_zarr(path))
