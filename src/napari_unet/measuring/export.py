"""Several results of several label images, in one go: what the window's *Export…* does, and scripts can.

What cannot be done is named, and the rest is done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.io.atomic import Protected, check_free
from napari_unet.io.zarrs import is_zarr
from napari_unet.measuring.files import check_target, write_table
from napari_unet.measuring.kinds import ENDINGS, Kind, OutlineOptions, measured, write_kind
from napari_unet.measuring.record import record_of, write_record
from napari_unet.objects.summary import summarize
from napari_unet.objects.table import Table, concatenate
from napari_unet.progress import CancelToken, Progress, Stopwatch, drive

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from napari_unet.measuring.labelled import Labelled
    from napari_unet.measuring.record import Origin

TABLE, SUMMARY, RECORD = "measurements.csv", "measurements_by_image.csv", "measurements.json"
"""Names of the table of all objects, of that with a row for each image, and of the record of how they were made."""

Load = Callable[[], Generator[Any, None, "Labelled"]]
"""Makes the generator that returns a label image; it may yield what has to be done for it elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A label image that is exported.

    Attributes
    ----------
    name : str
        Results are named after it.
    inputs : tuple of Path
        Files that nothing is written over.
    load : callable
        Makes the generator that returns it. It is called when its turn comes, so that one is in memory at a time.
    zarr : Path, optional
        The OME-Zarr of its image, for `Kind.own_zarr`.
    """

    name: str
    inputs: tuple[Path, ...]
    load: Load
    zarr: Path | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A result that is to be written: of an item (its number), or (None) of all."""

    kind: Kind
    path: Path
    item: int | None = None


@dataclass(slots=True)
class Report:
    """What came of an export.

    Attributes
    ----------
    written : list of Path
    failed : list of str
        A sentence for each result that could not be written.
    notes : list of str
        What the user should know.
    n_objects : int
        Rows of the table of measurements.
    """

    written: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_objects: int = 0


def planned(items: Sequence[Item], kinds: Sequence[Kind], folder: Path) -> list[Output]:
    """Return what an export writes. Items of one name get numbers.

    Raises
    ------
    UNetError
        If nothing is chosen.
    """
    if not items or not kinds:
        raise UNetError("Nothing is chosen. Choose what to export, and of which images.")
    found: list[Output] = []
    if Kind.measurements in kinds:
        found += [Output(Kind.measurements, folder / name) for name in (TABLE, SUMMARY, RECORD)]
    for number, name in enumerate(apart([item.name for item in items])):
        found += [Output(kind, folder / f"{name}{ENDINGS[kind]}", number) for kind in kinds if kind in ENDINGS]
        zarr = items[number].zarr
        if Kind.own_zarr in kinds:
            found.append(Output(Kind.own_zarr, folder if zarr is None else zarr, number))
    return found


def existing(outputs: Sequence[Output]) -> list[Path]:
    """Return which files are there already, and would be replaced. Labels in a zarr of an image get a free name."""
    return [one.path for one in outputs if one.kind is not Kind.own_zarr and _is_taken(one.path)]


def export(
    items: Sequence[Labelled],
    kinds: Sequence[Kind | str],
    folder: str | os.PathLike[str],
    *,
    options: OutlineOptions | None = None,
    overwrite: bool = False,
) -> Report:
    """Write results of label images that are in memory, or are read lazily.

    Parameters
    ----------
    items : sequence of Labelled
        From `measuring.labelled.labelled`.
    kinds : sequence of Kind or str
        What they are exported as; see `Kind`.
    folder : path
        Made if it is not there. Files are named after the image: ``cells_outlines.geojson``.
    options : OutlineOptions, optional
        How outlines are drawn.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    Report
        What was written, and what could not be.

    Raises
    ------
    UNetError
        If nothing is chosen, or a kind is not known.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from napari_unet.measuring.export import export
    >>> from napari_unet.measuring.labelled import labelled
    >>> cells = labelled(np.eye(4, dtype=int), name="cells")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export([cells], ["measurements", "geojson"], folder)
    >>> [path.name for path in report.written][-1], report.failed
    ('cells_outlines.geojson', [])
    """
    chosen = known_kinds(kinds)
    listed = [Item(one.name, tuple(one.inputs), _loaded(one), _zarr_of(one)) for one in items]
    return drive(export_steps(listed, chosen, Path(folder), options, overwrite=overwrite), lambda _: None)


def known_kinds(kinds: Sequence[Kind | str]) -> list[Kind]:
    """Return kinds of export by their names, each once.

    Raises
    ------
    UNetError
        If there is none of that name.
    """
    known = {kind.value: kind for kind in Kind}
    if unknown := [kind for kind in kinds if kind not in known]:
        raise UNetError(f"There is no kind of export {unknown[0]!r}; there is {', '.join(known)}.")
    return [known[kind] for kind in dict.fromkeys(kinds)]


def export_steps(
    items: Sequence[Item],
    kinds: Sequence[Kind],
    folder: Path,
    options: OutlineOptions | None = None,
    *,
    overwrite: bool = False,
    keep: Sequence[Path] = (),
    cancel: CancelToken | None = None,
) -> Generator[Any, None, Report]:
    """Write results of label images, one image after the other; yield what loading them yields, and `Progress`.

    Parameters
    ----------
    items, kinds, folder, options, overwrite
        As for `export`.
    keep : sequence of Path
        More files that nothing is written over.
    cancel : CancelToken, optional
        Stops between planes, with `Cancelled`; results that are complete stay.

    Returns
    -------
    Report
    """
    outputs = planned(items, kinds, folder)
    report, tables, watch = Report(), _Tables(), Stopwatch()
    cancel = cancel or CancelToken()
    inputs = Protected([*(path for item in items for path in item.inputs), *keep])
    refused: set[Path] = set()
    for one in outputs:
        try:
            if one.kind is not Kind.own_zarr:
                check_target(one.path, inputs, overwrite=overwrite)
        except UNetError as error:
            refused.add(one.path)
            report.failed.append(str(error))
    outputs = [one for one in outputs if one.path not in refused]
    of_all = [one for one in outputs if one.item is None]
    names = apart([item.name for item in items])
    for number, item in enumerate(items):
        cancel.check()
        own = [one for one in outputs if one.item == number]
        if own or of_all:
            yield Progress(number, len(items), watch.seconds, "images", f"Exporting {item.name}")
            yield from _export_one(
                replace(item, name=names[number]), own, options, report, tables if of_all else None, overwrite, cancel
            )
    _write_tables(of_all, tables, report, overwrite)
    yield Progress(len(items), len(items), watch.seconds, "images")
    return report


@dataclass(slots=True)
class _Tables:
    """The measurements of all images so far."""

    tables: list[Table] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)


def _export_one(
    item: Item,
    outputs: Sequence[Output],
    options: OutlineOptions | None,
    report: Report,
    tables: _Tables | None,
    overwrite: bool,
    cancel: CancelToken,
) -> Generator[Any, None, None]:
    """Write the results of one image; what cannot be written is named in the report."""
    source: Labelled | None = None
    with _attempt(report, item.name):
        found = yield from item.load()
        source = replace(found, name=item.name)
    if source is None:
        return
    if tables is not None:
        with _attempt(report, item.name):
            _measure(source, options, tables, report, cancel)
    for one in outputs:
        cancel.check()
        if one.kind is Kind.own_zarr and item.zarr is None:
            report.failed.append(f"{item.name} is not an OME-Zarr, so its labels cannot be written into it.")
            continue
        with _attempt(report, item.name):
            done = write_kind(one.kind, source, one.path, options, overwrite=overwrite, cancel=cancel)
            report.written.append(done.path)
            _note(report, done.notes)


@contextmanager
def _attempt(report: Report, name: str) -> Iterator[None]:
    """Go on where something within cannot be done, and say so in the report."""
    try:
        yield
    except Cancelled:
        raise
    except (UNetError, OSError, MemoryError) as error:
        report.failed.append(_in_words(error, name))


def _measure(
    source: Labelled, options: OutlineOptions | None, tables: _Tables, report: Report, cancel: CancelToken
) -> None:
    table = measured(source, None if options is None else options.measure, cancel=cancel)
    _note(report, table.notes)
    tables.tables.append(table)
    tables.names.append(source.name)
    tables.origins.append(source.origin)


def _write_tables(outputs: Sequence[Output], tables: _Tables, report: Report, overwrite: bool) -> None:
    """Write the tables of all images, and the record of how they were made."""
    if not tables.tables:
        return
    whole = concatenate(tables.tables)
    report.n_objects = len(whole)
    for path in (one.path for one in outputs):
        with _attempt(report, path.name):
            if path.name == TABLE:
                write_table(path, whole, overwrite=overwrite)
            elif path.name == SUMMARY:
                write_table(path, summarize(whole, images=tables.names), overwrite=overwrite)
            else:
                write_record(path, record_of("measure", tables.origins, {}), overwrite=overwrite)
            report.written.append(path)


def _note(report: Report, notes: Sequence[str]) -> None:
    report.notes += [note for note in notes if note not in report.notes]


def _in_words(error: Exception, name: str) -> str:
    if isinstance(error, UNetError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"There is not enough memory to export {name}."
    return f"{name} could not be read or written: {error}."


def _loaded(one: Labelled) -> Load:
    def load() -> Generator[Any, None, Labelled]:
        yield from ()
        return one

    return load


def _zarr_of(one: Labelled) -> Path | None:
    path = one.origin.files.get("image")
    return path if path is not None and is_zarr(path) else None


def _is_taken(path: Path) -> bool:
    try:
        check_free(path)
    except FileFormatError:
        return True
    return False


def apart(names: Sequence[str]) -> list[str]:
    """Return names, with numbers after those that were there before."""
    found: list[str] = []
    for name in names:
        number, one = 1, name
        while one in found:
            number += 1
            one = f"{name}_{number}"
        found.append(one)
    return found
