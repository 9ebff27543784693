"""Looks for the images that are to come to a list, in a worker, and says what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.io.finding import FoundImage, LeftOut, find_images
from napari_unet.layers.lists.list_place import ListPlace, begun
from napari_unet.progress import counted, shortened
from napari_unet.projects.work_list import ImageState, listed, state_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_unet.layers.workspace import Level
    from napari_unet.progress import CancelToken
    from napari_unet.projects.work_list import ListedImage

_AT_ONCE = 200
"""So many images are added to the list at a time: the window draws in between."""


@dataclass(frozen=True, slots=True, eq=False)
class NewImages:
    """Images that come to a list, and how far each of them is."""

    images: list[ListedImage]
    states: list[ImageState]

    @classmethod
    def of(cls, known: list[ListedImage], found: list[FoundImage], folder: Path) -> NewImages:
        """Return those of the found ones that are not known, which are known then (worker)."""
        images = listed(found, folder, known)
        known += images
        return cls(images, [state_of(one, folder) for one in images])


def search_steps(
    paths: Sequence[Path], known: list[ListedImage], place: ListPlace | None, cancel: CancelToken
) -> Generator[ListPlace | NewImages | LeftOut, None, None]:
    """Yield the images that some paths name, some at a time, and what is left out (worker).

    Parameters
    ----------
    paths : sequence of Path
        Files, folders and plates.
    known : list of ListedImage
        Those that are in the list already.
    place : ListPlace or None
        Where the list lies; None: one is begun, and yielded first.
    cancel : CancelToken
    """
    if place is None:
        place = begun(_name_for(paths))
        yield place
    batch: list[FoundImage] = []
    known = list(known)
    for found in find_images(paths):
        cancel.check()
        if isinstance(found, LeftOut):
            yield found
            continue
        batch.append(found)
        if len(batch) == _AT_ONCE:
            yield NewImages.of(known, batch, place.folder)
            batch = []
    yield NewImages.of(known, batch, place.folder)


def _name_for(paths: Sequence[Path]) -> str:
    """Return the name of a list that begins with some paths."""
    name = paths[0].stem if len(paths) == 1 else paths[0].parent.name if paths else ""
    return name or "images"


def added_in_words(added: int, left_out: Sequence[LeftOut]) -> tuple[str, Level, str]:
    """Return what came of adding images: a sentence, its level, and details."""
    bad = [one for one in left_out if one.is_image]
    details = "\n".join(one.why for one in (*bad, *(one for one in left_out if not one.is_image)))
    what = counted(added, "image")
    if bad:
        rest = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        lead = f"Added {what} to the list. " if added else ""
        return (
            f"{lead}{shortened(bad[0].name or bad[0].path.name, 40)}{rest} could not be read: see Details.",
            "error",
            details,
        )
    if added:
        return f"Added {what} to the list. Press Segment all, or go on with Page Down.", "done", details
    return "These images are in the list already." if not left_out else "There is no image in it.", "error", details
