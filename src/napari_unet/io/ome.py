"""The images that the OME-XML of a TIFF file describes, and which of them are in the file itself.

Each file of a set describes all images of the set; names and UUIDs say which planes are in which file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_unet.errors import FileFormatError, ImageError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_COMPANION = 256 * 2**20
"""Largest size, in bytes, of a companion file; those of whole plates are a few megabytes."""


@dataclass(frozen=True, slots=True)
class OmeImage:
    """An image in the OME-XML.

    Attributes
    ----------
    number : int
        Its index among all images in the OME-XML.
    name : str
    pixels : Element
        Its ``Pixels`` element.
    here : bool
        Whether this file holds planes of it.
    """

    number: int
    name: str
    pixels: ElementTree.Element
    here: bool


@dataclass(frozen=True, slots=True)
class Ome:
    """An OME-XML document.

    Attributes
    ----------
    root : Element
    images : tuple of OmeImage
        All that it describes.
    notes : tuple of str
        Sentences for the user; may be empty.
    companion : Path, optional
        The file that it comes from, where it is not in the TIFF file itself.
    """

    root: ElementTree.Element
    images: tuple[OmeImage, ...]
    notes: tuple[str, ...] = ()
    companion: Path | None = None

    @property
    def choices(self) -> tuple[OmeImage, ...]:
        """The images with planes in this file; all images, if the OME-XML does not say."""
        return tuple(image for image in self.images if image.here) or self.images

    def files_beside(self, path: Path, *, of_all: bool = False) -> list[Path]:
        """Return the other files that are read with a file: those with planes of its images, and the companion.

        With `of_all` those of all images of the set.
        """
        images = self.images if of_all else self.choices
        named = {file for image in images for _, file in _stored(image.pixels) if file}
        others = [_beside(path, name) for name in sorted(named)] + ([self.companion] if self.companion else [])
        return [other for other in others if other != path and other.is_file()]

    def xml(self, number: int) -> str:
        """Return the OME-XML of one image alone, so that no other file is opened for the others."""
        root = ElementTree.Element(self.root.tag, self.root.attrib)
        seen = -1
        for element in self.root:
            seen += _is(element, "Image")
            if not _is(element, "Image") or seen == number:
                root.append(element)
        return ElementTree.tostring(root, encoding="unicode")


def refuse_entities(xml: str, name: str) -> None:
    """Refuse XML that declares entities: OME-XML has none, and they can be made to fill the memory.

    Raises
    ------
    FileFormatError
        If there is a document type declaration.
    """
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", xml, re.IGNORECASE):
        raise FileFormatError(f"{name} has a document type declaration in its OME-XML, which is not allowed there.")


def described(xml: str | None, path: Path) -> Ome | None:
    """Return what the OME-XML of a file says; None where it says nothing that can be used.

    Parameters
    ----------
    xml : str, optional
        As the file has it. It may name another file that has the description of a whole set; that is then read.
    path : Path
        The file.

    Raises
    ------
    FileFormatError
        If it declares entities.
    """
    root = _parsed(xml, path.name)
    notes: tuple[str, ...] = ()
    companion: Path | None = None
    binary = None if root is None else root.find("{*}BinaryOnly")
    if root is not None and binary is not None:
        own, named = root.get("UUID"), binary.get("MetadataFile", "")
        companion = _beside(path, named)
        root = _companion(companion)
        if root is None:
            notes = (
                f"{path.name} has its description in {named!r}, which is not beside it: pixel size and axes are not "
                "known.",
            )
            return Ome(ElementTree.Element("OME"), (), notes)
        root.attrib.pop("UUID", None)
        if own is not None:
            root.set("UUID", own)
    if root is None:
        return None
    elements = [element for element in root if _is(element, "Image")]
    parts = [[pixels for pixels in element if _is(pixels, "Pixels")] for element in elements]
    if not elements or not all(len(part) == 1 for part in parts):
        return None
    pixels = [part[0] for part in parts]
    here = _held(root, pixels, path)
    names = [element.get("Name") or "" for element in elements]
    images = [OmeImage(*each) for each in zip(range(len(names)), names, pixels, here, strict=True)]
    return Ome(root, tuple(images), notes, companion)


def _beside(path: Path, named: str) -> Path:
    """Return the path of a file that is named in the OME-XML of another one, perhaps with folders of its writer."""
    return path.with_name(named.replace("\\", "/").rpartition("/")[2] or "-")


def _is(element: ElementTree.Element, name: str) -> bool:
    return element.tag.rpartition("}")[2] == name


def _parsed(xml: str | None, name: str) -> ElementTree.Element | None:
    if xml is None:
        return None
    refuse_entities(xml, name)
    try:
        return ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None


def _companion(file: Path) -> ElementTree.Element | None:
    """Return the description in a file; None if it is not there or is none."""
    try:
        if not file.is_file() or file.stat().st_size > _MAX_COMPANION:
            return None
        text = file.read_text("utf-8", "replace")
    except OSError:
        return None
    return _parsed(text.partition("?>")[2] if text.lstrip("\ufeff").startswith("<?xml") else text, file.name)


def _stored(pixels: ElementTree.Element) -> list[tuple[str | None, str | None]]:
    """Return the UUID and the name of the file of each block of planes; None twice: they are where the description is.

    A block without planes is none.
    """
    found = []
    for block in pixels:
        if not _is(block, "TiffData") or block.get("PlaneCount") == "0":
            continue
        uuid = next((child for child in block if _is(child, "UUID")), None)
        found.append((None, None) if uuid is None else ((uuid.text or "").strip() or None, uuid.get("FileName")))
    return found


def _held(root: ElementTree.Element, pixels: list[ElementTree.Element], path: Path) -> list[bool]:
    """Return of each image whether this file holds planes of it.

    A file is known by its UUID, whatever it is called by now; where several files have the same one, they are copies
    of one description, and their names tell. One that is known by neither and has one file only is meant by it.

    Raises
    ------
    ImageError
        If it was renamed, so that it is not known which image it holds.
    """
    stored = [_stored(each) for each in pixels]
    own = (root.get("UUID") or "").strip() or None
    name = path.name.lower()
    bare = [(None, None) in blocks for blocks in stored]
    by_uuid = [own is not None and any(uuid == own for uuid, _ in blocks) for blocks in stored]
    by_name = [any(file is not None and file.lower() == name for _, file in blocks) for blocks in stored]
    if any(by_uuid) and any(by_name) and by_uuid != by_name and _shares_its_uuid(own, stored, path):
        root.attrib.pop("UUID")
        by_uuid = [False] * len(stored)
    for found in (by_uuid, by_name):
        if any(found):
            return [a or b for a, b in zip(found, bare, strict=True)]
    files = {block for blocks in stored for block in blocks if block != (None, None)}
    if any(bare) or not files:
        return bare
    if len(files) == 1:  # renamed, and there is no other
        for each in pixels:
            for block in each:
                for uuid in [child for child in block if _is(block, "TiffData") and _is(child, "UUID")]:
                    block.remove(uuid)
        return [bool(blocks) for blocks in stored]
    names = sorted(file for _, file in files if file)
    raise ImageError(
        f"{path.name} is one of a set of files and was renamed, so it is not known which of them it is. "
        f"Give it its old name back{f', such as {names[0]}' if names else ''}."
    )


def _shares_its_uuid(own: str | None, stored: list[list[tuple[str | None, str | None]]], path: Path) -> bool:
    """Return whether the file that the OME-XML names for a UUID exists beside this one, with that UUID."""
    import tifffile

    for file in {file for blocks in stored for uuid, file in blocks if uuid == own and file}:
        other = _beside(path, file)
        if other.name.lower() == path.name.lower() or not other.is_file():
            continue
        try:
            with tifffile.TiffFile(other) as tif:
                text = tif.pages[0].description
        except Exception:  # noqa: BLE001 - a damaged file beside it is not this one
            continue
        root = _parsed(text, other.name)
        if root is not None and (root.get("UUID") or "").strip() == own:
            return True
    return False
