"""Thresholds fitted to images that are labelled as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.inference.in_memory import segment
from napari_unet.learning import fitting
from napari_unet.learning.fit_to_labels import fitted_to_labels
from napari_unet.learning.policy import DEFAULT_POLICY, Policy
from napari_unet.objects.decode import Decoding
from napari_unet.progress import CancelToken


def cubes(side: int = 4, n: int = 3, brightness: float = 1.0) -> tuple[Image, np.ndarray]:
    """A volume with bright cubes, and its labels (T, Z, Y, X)."""
    labels = np.zeros((1, 10 * n, 10 * n, 10 * n), np.int32)
    for index, corner in enumerate(np.ndindex(n, n, n), start=1):
        labels[0][tuple(slice(10 * c + 3, 10 * c + 3 + side) for c in corner)] = index
    return Image(brightness * (labels[0] > 0).astype(np.float32), "ZYX"), labels


def model(**decoding: Any) -> Any:
    return bright(ndim=3, decoding=Decoding(**({"smoothing": 0} | decoding)))


def test_objects_smaller_than_any_that_the_model_knew_are_found_again() -> None:
    image, labels = cubes()
    before = model(min_size=100)
    assert segment(image, before, device="cpu").labels.max() == 0
    after = fitted_to_labels(before, [image], [labels], [None], "cpu")
    assert segment(image, after, device="cpu").labels.max() == 27
    assert after.info.decoding.min_size <= 32
    assert after.info.original_decoding == before.info.decoding
    assert after.net is before.net


def test_what_is_right_stays() -> None:
    image, labels = cubes()
    before = model(min_size=12)
    assert fitted_to_labels(before, [image], [labels], [None], "cpu") is before


def test_pixels_that_do_not_count_have_no_influence() -> None:
    image, labels = cubes()
    known = np.zeros(labels.shape, bool)
    before = model(min_size=100)
    assert fitted_to_labels(before, [image], [labels], [known], "cpu") is before
    known[..., :20] = True  # all of 18 objects
    assert fitted_to_labels(before, [image], [labels], [known], "cpu").info.decoding.min_size < 64


@pytest.mark.parametrize("most", [4000, 10**6])
def test_a_part_of_large_volumes_is_enough(most: int) -> None:
    image, labels = cubes()
    policy = Policy(fitting=DEFAULT_POLICY.fitting.model_copy(update={"max_pixels": most}))
    before = model(min_size=100)
    after = fitted_to_labels(before, [image, image], [labels, labels], [None, None], "cpu", policy=policy)
    assert after.info.decoding.min_size <= 32


def test_classes_and_what_was_stopped_are_left_alone() -> None:
    image, labels = cubes()
    classes = bright(ndim=3, task="semantic", outputs=("class_0", "class_1"), classes=("a", "b"))
    assert fitted_to_labels(classes, [image], [labels], [None], "cpu") is classes
    token = CancelToken()
    token.cancel()
    before = model(min_size=100)
    assert fitted_to_labels(before, [image], [labels], [None], "cpu", token) is before


def test_what_is_stopped_meanwhile_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    image, labels = cubes()
    token, before, real = CancelToken(), model(min_size=100), fitting.decode_instances

    def stopped(*given: Any, **options: Any) -> Any:
        token.cancel()
        return real(*given, **options)

    monkeypatch.setattr(fitting, "decode_instances", stopped)
    assert fitted_to_labels(before, [image], [labels], [None], "cpu", token) is before
    assert token.cancelled
