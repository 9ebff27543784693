"""The errors that this package raises for input that it cannot use.

Every message says what was got, what is allowed and, if possible, the nearest valid value, in words for the user.
"""

from __future__ import annotations

import errno

_SHORT = ("can't start new thread", "can't allocate memory", "not enough memory")
"""What a `RuntimeError` of Python or PyTorch says where memory has run out."""


def is_short_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it comes from, says that memory has run out."""
    while error is not None:
        says = isinstance(error, RuntimeError) and any(text in str(error) for text in _SHORT)
        if says or isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        error = error.__cause__
    return False


class UNetError(Exception):
    """Base class of these errors; the message is meant for the user.

    Parameters
    ----------
    message : str
        One sentence or two, about 100 characters: what was got, what is allowed, what to do.
    details : str
        Numbers and reasons, for whoever wants to know more. A traceback shows them, too.
    """

    def __init__(self, message: str = "", details: str = "") -> None:
        super().__init__(message)
        self.details = details
        if details:
            self.add_note(details)

    @property
    def with_details(self) -> str:
        """The message and the details on one line."""
        return f"{self} {self.details}".rstrip()


class ImageError(UNetError):
    """An image cannot be segmented as it is (shape, dtype, axes or content)."""


class ModelFileError(UNetError):
    """A model file is missing, damaged, of another program, or dangerous."""


class ModelMismatchError(UNetError):
    """A model does not suit an image or its labels."""


class LabelsError(UNetError):
    """Labels cannot be used: wrong shape, dtype or no usable object."""


class EditError(UNetError):
    """An edit of labels (merge, split, add, ...) cannot be made where it was asked for; the labels are as they were."""


class NothingToLearnError(UNetError):
    """There is no supervised pixel to learn from."""


class LearningError(UNetError):
    """Learning failed; the model that it began with is unchanged."""


class UntrainedModelError(UNetError):
    """A model has not learned yet, so it cannot segment."""


class FileFormatError(UNetError):
    """A file cannot be read or written in that format."""


class ImageMissingError(FileFormatError):
    """The image of a project is not where it was, at `path`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class DeviceError(UNetError):
    """The device that was asked for does not exist on this machine, or it failed."""


class DeviceMemoryError(DeviceError):
    """A device has too little memory for a step; a smaller step may be possible."""


class ClusterError(UNetError):
    """A cluster cannot be reached, cannot do the work, or has not done all of it."""


class ModelOutputError(UNetError):
    """A network gave values that are not numbers."""


class Cancelled(UNetError):  # noqa: N818 - an outcome, not an error
    """A job was stopped by its cancel token; what it had finished is kept."""
