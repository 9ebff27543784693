"""The one family of errors that this package raises for input it cannot use.

Every message says what was got, what is allowed, and where it can the nearest valid value, in words that can be shown
to the person at the microscope as they are.
"""

from __future__ import annotations


class UNetError(Exception):
    """Base of all errors raised for input that cannot be used; its text is meant for the user."""


class ImageError(UNetError):
    """An image cannot be segmented as it is (shape, dtype, axes or content)."""


class ModelFileError(UNetError):
    """A model file is missing, truncated, foreign or hostile."""


class ModelMismatchError(UNetError):
    """A model and an image (or its labels) do not fit together."""


class LabelsError(UNetError):
    """Labels cannot be used: wrong shape, dtype or no usable object."""


class EditError(UNetError):
    """An edit of labels (merge, split, add, ...) cannot be made where it was asked for; the labels are as they were."""


class NothingToLearnError(UNetError):
    """Learning was asked for with no supervised pixel."""


class LearningError(UNetError):
    """Learning cannot go on; the model that it began with is as it was."""


class UntrainedModelError(UNetError):
    """A model has learned nothing yet, so there is nothing that it could find."""


class FileFormatError(UNetError):
    """A file cannot be read or written in that format."""


class ImageMissingError(FileFormatError):
    """The image of a project is not where it was: at `place`."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class DeviceError(UNetError):
    """A compute device was asked for that this machine does not have."""


class DeviceMemoryError(DeviceError):
    """A device, or the computer, has not enough memory for a step; a smaller one may do."""


class ModelOutputError(UNetError):
    """A network gave values that are not numbers."""


class Cancelled(UNetError):  # noqa: N818 - it is an outcome, not a fault
    """A long job was stopped by its cancel token; what it had finished is kept."""
