"""The image of a project: the path of its file or, if its pixels are in no file, a copy of them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import CANONICAL, Image, PixelSize, Placement
from napari_unet.errors import FileFormatError, ImageError, ImageMissingError, UNetError
from napari_unet.io.fingerprint import Fingerprint
from napari_unet.io.readers import read_image
from napari_unet.io.writers import in_order
from napari_unet.io.zarr_writer import write_zarr
from napari_unet.projects.description import SUFFIX, ImageReference, PixelSizes
from napari_unet.projects.names import relative

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

COPY = re.compile(r"image-\d{1,9}\.zarr")
"""Name of a copy in the folder of a project; its axes are in the order T, C, Z, Y, X."""

_WINDOW = 512
"""Most pixels across of the windows that are hashed to tell whether two images are the same."""

_MAX_KNOWN = 256
_known: dict[Hashable, str] = {}  # hashes of sampled pixels, by what says that they are the same ones


def refer(
    image: Image,
    source: Path | None,
    folder: Path,
    copy: Path,
    ready: Path | None = None,
    series: int | None = None,
) -> ImageReference:
    """Return the reference to an image, whose pixels are copied if they are in no file.

    Parameters
    ----------
    image : Image
    source : Path, optional
        The file that it was read from. It is used only if it still has the same pixels: the data of a layer can be
        changed in napari.
    folder : Path
        Of the project.
    copy : Path
        Path in that folder where a copy is written, if one is needed.
    ready : Path, optional
        A copy that `copy_pixels` has made before; it is moved to `copy`.
    series : int, optional
        Number of the image in the file, where it holds several and one was chosen.

    Raises
    ------
    FileFormatError
        If the pixels cannot be read or written.
    """
    sampled = _sampled(image, _key_of(image))
    found = _found_in(image, sampled, source, folder, series)
    if found is None:
        if ready is not None and ready.is_dir():
            os.replace(ready, copy)
        else:
            copy_pixels(image, copy)
        path, absolute, fingerprint = copy.name, None, Fingerprint.of(copy)
        series = channel = None
    else:
        source, series, channel = found
        fingerprint = Fingerprint.of(source)
        path, absolute = relative(source, folder.resolve()), None if folder.resolve() in source.parents else str(source)
    size = image.pixel_size
    return ImageReference(
        path=path,
        absolute=absolute,
        modified_ns=fingerprint.modified_ns,
        size_bytes=fingerprint.size_bytes,
        n_files=fingerprint.n_files,
        sampled_sha256=sampled,
        file_channel=channel,
        file_series=series,
        axes=image.axes,
        shape=tuple(int(n) for n in image.data.shape),
        pixel_size=None if size is None else PixelSizes(y=size.y, x=size.x, z=size.z),
        name=image.name[:1000],
        diameter=image.diameter,
        found_diameter=image.found_diameter,
        found_against=image.found_against,
    )


def read_ahead(image: Image, source: Path, series: int | None = None) -> None:
    """Read what `refer` has to read of an image and its file, and then knows: of a large one that takes seconds."""
    _found_in(image, _sampled(image, _key_of(image)), source, source.parent, series)


def is_in_file(image: Image, source: Path, series: int | None = None) -> bool:
    """Return whether a file has the pixels of an image, in one of its channels or in all; False: or cannot be read."""
    return _found_in(image, _sampled(image, _key_of(image)), source, source.parent, series) is not None


def copy_pixels(image: Image, copy: Path) -> None:
    """Write the pixels of an image to a folder as they are stored in a project."""
    data, letters = in_order(image.data, image.axes)
    dtype = image.data.dtype
    write_zarr(copy, data, letters, image.pixel_size, dtype, name=image.name, placement=image.placement)


def load(reference: ImageReference, folder: Path, given: Any = None) -> tuple[Image, Path | None, str]:
    """Return the image of a project, its file (None: `given` is an array), and a note for the user, mostly empty.

    Parameters
    ----------
    reference : ImageReference
    folder : Path
        Of the project.
    given : path or array-like, optional
        Another path of the image, or its pixels, axes as in `reference`.

    Raises
    ------
    ImageMissingError
        If it is not where it was.
    FileFormatError, ImageError
        If it cannot be read, or is another image.
    """
    path, fingerprint = None, None
    if given is None or isinstance(given, str | os.PathLike):
        path = _find(reference, folder) if given is None else Path(given).resolve()
        data, damage, placement = _pixels(path, reference, given)
        name, fingerprint = path.name, Fingerprint.of(path)
    else:
        data, damage, name = (given.data, given.damage, given.name) if isinstance(given, Image) else (given, None, "It")
        data = data if hasattr(data, "shape") else np.asarray(data)
        placement = given.placement if isinstance(given, Image) else None
    if tuple(data.shape) != reference.shape:
        raise ImageError(
            f"{name} is not the image of {folder.name}: it has the shape {tuple(data.shape)}, and that one had "
            f"{reference.shape} (axes {reference.axes})."
        )
    size = reference.pixel_size
    image = Image(
        data,
        reference.axes,
        None if size is None else PixelSize(y=size.y, x=size.x, z=size.z),
        name=reference.name,
        damage=damage,
        diameter=reference.diameter,
        found_diameter=reference.found_diameter,
        found_against=reference.found_against,
        source=None if isinstance(data, np.ndarray) else path,
        placement=placement,
    )
    unchanged = fingerprint is not None and (fingerprint.modified_ns, fingerprint.size_bytes, fingerprint.n_files) == (
        reference.modified_ns,
        reference.size_bytes,
        reference.n_files,
    )
    if unchanged or sampled_sha256(image) == reference.sampled_sha256:
        return image, path, ""
    return image, path, f"{name} has changed since {folder.name} was saved: check the labels."


def _find(reference: ImageReference, folder: Path) -> Path:
    """Return the path of the image: by its relative path, else by its absolute path if only the project was moved."""
    candidates = [folder / reference.path, *([Path(reference.absolute)] if reference.absolute else [])]
    for candidate in candidates:
        if os.path.exists(candidate):
            return candidate.resolve()
    last = os.path.normpath(candidates[-1])
    raise ImageMissingError(
        f"The image of {folder.name} is not there any more: {last}. Put it back, or say where it is "
        "(Python: Project.open(path, image=...)).",
        last,
    )


def _pixels(path: Path, reference: ImageReference, given: object) -> tuple[Any, object, Placement | None]:
    """Return the pixels of the image, its `Image.damage`, and its placement."""
    image = read_image(path, series=reference.file_series, tolerant=True)
    if given is None and COPY.fullmatch(reference.path):
        if image.data.ndim != len(reference.axes):
            raise FileFormatError(f"{path} is damaged: it has the shape {tuple(image.data.shape)}.")
        return _from_copy(image.data, reference.axes), image.damage, image.placement
    if reference.file_channel is None:
        return image.data, image.damage, image.placement
    if reference.file_channel >= image.n_channels or "C" not in image.axes:
        raise ImageError(f"{path.name} is another image: it has no channel {reference.file_channel}.")
    return _channel(image, reference.file_channel), image.damage, image.placement


_Found = tuple[Path, int | None, int | None]
"""A file, which of its images (None: the one that is read if none is chosen), and which channel of it (None: all)."""


def _found_in(
    image: Image, sampled: str, source: Path | None, folder: Path, series: int | None = None
) -> _Found | None:
    """Return the file that has the pixels of an image, and where in it they are."""
    if source is None:
        return None
    source = source.resolve()
    if any(parent.suffix.lower() == SUFFIX and parent != folder.resolve() for parent in source.parents):
        return None  # in another project, which may change or be removed
    copied = source.parent == folder.resolve() and COPY.fullmatch(source.name)
    for number in (None,) if copied else dict.fromkeys((series, None)):
        try:
            if copied:
                stored = read_image(source, tolerant=True).data
                fits = stored.ndim == len(image.axes) and _same(_from_copy(stored, image.axes), image, sampled)
                return (source, None, None) if fits else None
            found, channel = _found_in_series(image, sampled, source, number)
        except (UNetError, OSError, ValueError):  # of a format that is not read here, or gone
            continue
        if found:
            return source, number, channel
    return None


def _found_in_series(image: Image, sampled: str, source: Path, series: int | None) -> tuple[bool, int | None]:
    """Return whether one of the images in a file has the pixels of an image, and in which channel (None: all)."""
    stored, key = read_image(source, series=series, tolerant=True), (source, Fingerprint.of(source), series)
    if _same(stored.data, image, sampled, (*key, None)):
        return True, None
    for channel in range(stored.n_channels if "C" in stored.axes else 0):
        if _same(_channel(stored, channel), image, sampled, (*key, channel)):
            return True, channel
    return False, None


def _same(data: Any, image: Image, sampled: str, key: Hashable | None = None) -> bool:
    """Return whether some pixels are those of an image, as far as `sampled_sha256` tells; for `key` see `_sampled`."""
    same_shape = tuple(data.shape) == tuple(image.data.shape)
    return same_shape and _sampled(Image(data, image.axes), (key, image.axes) if key else None) == sampled


def _key_of(image: Image) -> Hashable | None:
    """Return by what to know the pixels of an image again; None: they are in memory, where anybody can change them."""
    return None if image.identity is None or isinstance(image.data, np.ndarray) else (image.identity, image.axes)


def _sampled(image: Image, key: Hashable | None) -> str:
    """Return `sampled_sha256` of an image, which is computed once for all with the same key (None: each time)."""
    found = _known.get(key) if key is not None else None
    if found is None:
        found = sampled_sha256(image)
        if key is not None:
            _known[key] = found
            for old in list(_known)[:-_MAX_KNOWN]:
                _known.pop(old, None)
    return found


def _channel(image: Image, channel: int) -> Any:
    return image.data[(slice(None),) * image.axes.index("C") + (channel,)]


def _from_copy(data: Any, axes: str) -> Any:
    """Return the pixels of a copy, which has the axes T, C, Z, Y, X, with the axes of the image."""
    letters = [letter for letter in CANONICAL if letter in axes]
    return data.transpose([letters.index(letter) for letter in axes])


def sampled_sha256(image: Image) -> str:
    """Return a SHA-256 of the middle of the first, the middle and the last plane: quick, also for a large image."""
    digest = hashlib.sha256()
    for frame, z in _planes(image):
        y, x = (slice(max(0, (n - _WINDOW) // 2), (n + _WINDOW) // 2) for n in image.space[1:])
        block = image.read(frame, slice(z, z + 1), y, x)
        digest.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _planes(image: Image) -> Iterator[tuple[int, int]]:
    depth = image.size("Z")
    total = image.n_frames * depth
    for index in sorted({0, total // 2, total - 1}):
        yield divmod(index, depth)
