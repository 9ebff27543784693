"""A digest of the state of a project: what has to be saved has changed exactly when the digest has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.learning.history import Generation
    from napari_unet.projects.arrays import Tally


@dataclass(frozen=True, slots=True)
class StateDigest:
    """A digest of the state of a project.

    Attributes
    ----------
    digest : str
        Hash of labels, of which of them are corrected and reviewed, of models, and of settings.
    by_user : bool
        Whether something of it is the user's work: corrected, reviewed, or learned from that.
    """

    digest: str
    by_user: bool


def digest_of(found: Tally, models: Sequence[Generation], settings: tuple[object, ...]) -> StateDigest:
    """Return the digest of a project.

    Parameters
    ----------
    found : Tally
        Of its arrays.
    models : sequence of Generation
        All that it has.
    settings : tuple
        All else that is saved.
    """
    state = (found.digest, [(one.sha256(), one.info.decoding) for one in models], *settings)
    by_user = bool(found.corrected or found.reviewed) or len(models) > 1 or any(one.learned for one in models)
    return StateDigest(hashlib.blake2b(repr(state).encode(), digest_size=16).hexdigest(), by_user)
