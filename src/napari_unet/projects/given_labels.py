"""Labels that another program, or an earlier day, has made of an image, as the start of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import LabelsError
from napari_unet.io import spill
from napari_unet.progress import CancelToken, counted
from napari_unet.projects.project import Project, all_predicted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.axes import Image

LARGEST_ID = 2**31 - 1
"""Largest id in the labels of a project, which are int32."""

_PIXELS = 2**22  # that are read at a time


def project_from_labels(
    image: Image, labels: Any, *, instances: bool = True, cancel: CancelToken | None = None
) -> Project:
    """Return a project that begins with labels from elsewhere.

    They count as a prediction: nothing in them is corrected or reviewed yet, so nothing is learned from them until
    somebody corrects or reviews, and segmenting again may replace them.

    Parameters
    ----------
    image : Image
    labels : array-like of int
        Axes as `image.label_axes`; axes of length one may be missing, or more than there are. It is read part by part
        and never changed, so it may be lazy. An id is kept. Of objects, ids above `LARGEST_ID` get new ones; and if
        there is but one id, in several pieces in a plane, it is taken for a mask, and each piece becomes an object.
    instances : bool
        Whether they are ids of objects, or classes.
    cancel : CancelToken, optional
        Stops it.

    Returns
    -------
    Project
        Its labels are a copy, int32. `notes` says what was changed.

    Raises
    ------
    LabelsError
        If they are no whole numbers, negative, of another shape, or classes above `LARGEST_ID`.
    Cancelled
        If it was stopped.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet.axes import Image
    >>> from napari_unet.projects.given_labels import project_from_labels
    >>> image = Image(np.zeros((64, 64), np.uint8), "YX", name="cells")
    >>> labels = np.zeros((64, 64), np.uint16)
    >>> labels[10:20, 10:20] = 7
    >>> project = project_from_labels(image, labels)
    >>> int(project.labels.max()), int(project.supervised.sum())
    (7, 0)
    """
    check_labels(image, labels)
    cancel = cancel or CancelToken()
    copy: NDArray[np.int32] = spill.zeros(image.label_shape, np.int32)
    notes = [_copy(labels, copy.reshape(labels.shape), cancel, instances=instances)]
    if instances and _is_one_id(copy):
        pieces = _numbered_pieces(image, copy, cancel)
        notes += [f"These labels were a mask: its {pieces} pieces are objects now."] if pieces > 1 else []
    project = Project(image, copy, all_predicted(image, copy, instances=instances, cancel=cancel))
    project.notes = tuple(filter(None, notes))
    return project


def check_labels(image: Image, labels: Any) -> None:
    """Raise `LabelsError` if labels cannot be those of an image, as far as shape and data type tell."""
    kind = np.dtype(labels.dtype).kind
    if kind not in "bui":
        raise LabelsError(f"These labels are no whole numbers ({labels.dtype}). Convert them to integers first.")
    if _long(labels.shape) != _long(image.label_shape):
        theirs, ours = (" × ".join(map(str, shape)) for shape in (labels.shape, image.label_shape))
        raise LabelsError(f"The labels are {theirs}, the image {ours}. Choose the image that they were made of.")


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths of the axes that are longer than one."""
    return tuple(n for n in shape if n != 1)


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the indices of parts of an array of that shape, each of about `_PIXELS` pixels."""
    rows = max(1, _PIXELS // max(1, shape[-1]))
    for plane in np.ndindex(*shape[:-2]):
        for start in range(0, shape[-2], rows):
            yield (*plane, slice(start, start + rows))


def _copy(labels: Any, target: NDArray[np.int32], cancel: CancelToken, *, instances: bool) -> str:
    """Copy labels into an array of their shape; return a note of what was changed, or ""."""
    too_large: set[int] = set()
    largest = 0
    for where in _parts(target.shape):
        cancel.check()
        part = np.asarray(labels[where])
        low, high = (int(part.min()), int(part.max())) if part.size else (0, 0)
        if low < 0:
            raise LabelsError(f"These labels hold negative numbers ({low}). Set those pixels to 0 first.")
        if high > LARGEST_ID:
            too_large.update(np.unique(part[part > LARGEST_ID]).tolist())
            part = np.where(part > LARGEST_ID, 0, part)
        largest = max(largest, int(part.max(initial=0)))
        target[where] = part
    if not too_large:
        return ""
    if not instances or largest + len(too_large) > LARGEST_ID:
        raise LabelsError(f"The largest label is {max(too_large)}; at most {LARGEST_ID} is possible. Renumber them.")
    old = np.array(sorted(too_large), labels.dtype)
    for where in _parts(target.shape):
        cancel.check()
        part = np.asarray(labels[where])
        high_pixels = part > LARGEST_ID
        if high_pixels.any():
            new = largest + 1 + np.searchsorted(old, part[high_pixels])
            target[where][high_pixels] = new
    return f"{counted(len(old), 'id')} above {LARGEST_ID} got new numbers, from {largest + 1} on."


def _is_one_id(labels: NDArray[np.int32]) -> bool:
    """Whether all objects have the same id."""
    found = 0
    for where in _parts(labels.shape):
        part = labels[where]
        high = int(part.max(initial=0))
        if high and (found not in (0, high) or bool(((part != 0) & (part != high)).any())):
            return False
        found = found or high
    return found > 0


def _numbered_pieces(image: Image, labels: NDArray[np.int32], cancel: CancelToken) -> int:
    """Give each connected piece of a mask an id of its own, in place; return how many there are.

    What is in one piece in every plane is one object, which may be missing in some planes; then that is 1.
    """
    view, total = image.canonical_labels(labels), 0
    if all(ndimage.label(view[plane] > 0)[1] <= 1 for plane in np.ndindex(*view.shape[:2])):
        return 1
    for volume in view:
        cancel.check()
        found, count = ndimage.label(volume > 0)
        volume[...] = np.where(found > 0, found + total, 0)
        total += count
    return total
