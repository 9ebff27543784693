"""What is found out about a model is computed once, and does not keep the model."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING
from weakref import ref

from hand_made import bright
from napari_unet.models.cached import cached_per_model

if TYPE_CHECKING:
    from napari_unet.models.model import Model


def test_once_for_each_model():
    asked = []

    @cached_per_model
    def answer(model: Model, device: str = "cpu") -> str:
        asked.append((model.name, device))
        return f"{model.name} on {device}"

    one, other = bright("one"), bright("other")
    assert [answer(one), answer(one), answer(other), answer(one, "cuda")] == [
        "one on cpu",
        "one on cpu",
        "other on cpu",
        "one on cuda",
    ]
    assert asked == [("one", "cpu"), ("other", "cpu"), ("one", "cuda")]
    gone = ref(one)
    del one
    gc.collect()
    assert gone() is None
