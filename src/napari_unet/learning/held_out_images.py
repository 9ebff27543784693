"""Whole images that nothing is learned from, where several are reviewed: the honest check of a new model.

An image that a model, or one that it was learned from, has learned from is never among them: the recipe of a model says
which those are. So an image may be held out one time after the other, or be learned from, but not first the one and
then the other way round.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from napari_unet.axes import Image
    from napari_unet.learning.policy import SplitPolicy
    from napari_unet.models.info import ModelInfo

LEARNED = "learned_images"
"""In the recipe of a model: digests of the names of the images that it, or one before it, has learned from."""

HELD_OUT = "held_out_images"
"""In the recipe of a model: digests of the names of the images that it was checked on as a whole."""


def digest_of(image: Image) -> str:
    """Return what an image is known by in a recipe: a digest of its name, which in a list of images is its own."""
    return hashlib.blake2b(image.name.encode(), digest_size=4).hexdigest()


def noted(info: ModelInfo, key: str) -> frozenset[str]:
    """Return the digests of images that the recipe of a model has under a key."""
    return frozenset(filter(None, str(info.recipe.get(key) or "").split(",")))


def images_to_hold_out(
    reviewed: Collection[str],
    learned: Collection[str],
    held_out: Collection[str],
    policy: SplitPolicy = DEFAULT_POLICY.split,
) -> frozenset[str]:
    """Return which images are held out: a quarter of the reviewed ones, or none where few are reviewed.

    Parameters
    ----------
    reviewed : collection of str
        Digests of the images in which something is reviewed.
    learned : collection of str
        Of those that were learned from before: none of these.
    held_out : collection of str
        Of those that were held out before: these first. Among others the digests decide.
    policy : SplitPolicy
    """
    number = len(reviewed) // policy.images_per_held_out
    free = sorted(set(reviewed) - set(learned), key=lambda digest: (digest not in held_out, digest))
    return frozenset(free[:number])


def with_images_noted(model: Model, before: ModelInfo, learned: Iterable[str], held_out: Iterable[str]) -> Model:
    """Return a model whose recipe says which images it and those before it have learned from, and was checked on.

    Parameters
    ----------
    model : Model
    before : ModelInfo
        Of the model that it was learned from.
    learned, held_out : iterable of str
        Digests of images.
    """
    facts = {LEARNED: ",".join(sorted(noted(before, LEARNED).union(learned))), HELD_OUT: ",".join(sorted(held_out))}
    recipe = model.info.recipe | {key: digests for key, digests in facts.items() if digests}
    return Model(model.net, model.info.model_copy(update={"recipe": recipe}))
