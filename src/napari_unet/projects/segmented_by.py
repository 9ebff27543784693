"""By what an image was segmented: the same model with the sliders elsewhere finds other objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from napari_unet.objects.decode import Decoding  # noqa: TC001 - pydantic looks for it where this is a field

if TYPE_CHECKING:
    from napari_unet.models.info import ModelInfo


@dataclass(frozen=True, slots=True)
class SegmentedBy:
    """By what all of an image was segmented last; it is false where nothing was.

    Attributes
    ----------
    sha256 : str
        Hash of the weights of the model; empty: none, or not all of the image by one.
    decoding : Decoding or None
        How its objects were read out of the maps; None: as the model came with.

    Examples
    --------
    >>> bool(SegmentedBy()), SegmentedBy("3f2a") == SegmentedBy("3f2a")
    (False, True)
    """

    sha256: str = ""
    decoding: Decoding | None = None

    @classmethod
    def of(cls, sha256: str, info: ModelInfo) -> Self:
        """Return that of a model, by the hash of its weights and its description."""
        return cls(sha256, None if info.original_decoding is None else info.decoding)

    def __bool__(self) -> bool:
        """Whether all of the image was segmented by one model."""
        return bool(self.sha256)
