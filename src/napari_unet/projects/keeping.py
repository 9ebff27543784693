"""Keeps sessions that are not saved: copies them, in a worker, as far as they have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import reason, remove
from napari_unet.projects.journal import Content, Journal
from napari_unet.projects.recovery import Copy, recovery_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from napari_unet.progress import CancelToken
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.journal import Key
    from napari_unet.projects.project import Project

MAX_COPIED_BYTES = 2 * 2**30
"""No copies are made of a session whose labels, or pixels that are in no file, have more bytes."""


def why_not(project: Project) -> str:
    """Return why no copies are made of a session; empty: they are made."""
    pixels, labels = np.dtype(project.image.data.dtype).itemsize, np.dtype(project.labels.dtype).itemsize
    own = pixels * int(np.prod(project.image.data.shape, dtype=np.int64)) if project.image_path is None else 0
    if max(own, labels * int(np.prod(project.labels.shape, dtype=np.int64))) <= MAX_COPIED_BYTES:
        return ""
    limit = f"{MAX_COPIED_BYTES / 2**30:.0f} GB"
    return f"This image is too large for unsaved work to be kept by itself (over {limit}): press Save."


def keep_steps(
    project: Project, copy: Copy | None, saved: str, cancel: CancelToken
) -> Generator[Block, None, Copy | None]:
    """Keep a copy of a session that is not saved, if it has changed.

    `Block.take` has to be called on each block that is yielded.

    Parameters
    ----------
    project : Project
        The session as it is now; its `path` is where it was saved.
    copy : Copy, optional
        Its copy, which is updated; None: it has none yet.
    saved : str
        Digest of the saved state; empty: it was never saved.
    cancel : CancelToken
        Stops it; the copy stays as it was.

    Returns
    -------
    Copy or None
        The copy that holds the current state; None: there need not be one, since that is saved or holds no work of the
        user.

    Raises
    ------
    FileFormatError, ModelFileError
        If it cannot be written.
    """
    now = project.state_digest(cancel)
    if now.digest == saved or not (now.by_user or saved):
        return None
    if copy is not None and copy.digest == now.digest:
        return copy
    return (yield from _saved_steps(project, copy, cancel))


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """What the journal of a copy begins with, so that the copy has all work of the user from its first moment.

    Attributes
    ----------
    contents : mapping
        Blocks that were copied.
    earlier : sequence
        Other blocks, which are read by the worker. What is changed in them meanwhile has to be written once more.
    about : mapping
        What is added to the head of each record.
    """

    contents: Mapping[Key, Content] = field(default_factory=dict)
    earlier: Sequence[Key] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def write(self, project: Project, journal: Journal, cancel: CancelToken) -> dict[Key, bytes]:
        """Write them; return their digests.

        Raises
        ------
        FileFormatError
            If they cannot be written.
        Cancelled
            If it was stopped.
        """
        labels, digests = project.image.canonical_labels(project.labels), {}
        try:
            for key, content in self.contents.items():
                journal.append_block(key, content, dict(self.about))
                digests[key] = content.digest()
            for key in self.earlier:
                cancel.check()
                if key not in digests and (content := Content.of(key, labels, project.corrections)).by_user:
                    journal.append_block(key, content, dict(self.about))
                    digests[key] = content.digest()
            journal.sync()
        except OSError as error:
            raise FileFormatError(f"{recovery_folder()} cannot be written to: {reason(error)}.") from error
        finally:
            journal.close()
        return digests


def begin_steps(
    project: Project, copy: Copy | None, cancel: CancelToken, records: FirstRecords | None = None
) -> Generator[Block, None, Copy]:
    """Make a copy with empty labels, which a journal continues: that is written first.

    For errors see `keep_steps`.
    """
    target = copy or Copy.begin(project.image.name, project.path)
    journal = Journal(target.folder, target.next_journal())
    try:
        digests = (records or FirstRecords()).write(project, journal, cancel)
        yield from target.save_steps(project, cancel, empty=True)
    except BaseException:
        if target is copy:
            journal.remove()
        else:
            remove(target.discard())
        raise
    target.blocks = digests
    return target


def _saved_steps(project: Project, copy: Copy | None, cancel: CancelToken) -> Generator[Block, None, Copy]:
    target = copy or Copy.begin(project.image.name, project.path)
    try:
        yield from target.save_steps(project, cancel)
    except BaseException:
        if target is not copy:
            remove(target.discard())
        raise
    return target
