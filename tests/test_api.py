"""The public names, used as the documentation shows them."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import napari_unet as nu


def test_public_names():
    assert set(nu.__all__) >= {"Project", "__version__", "evaluate", "finetune", "load_model", "save_model", "segment"}
    for name in nu.__all__:
        assert getattr(nu, name) is not None
        assert name in dir(nu)
    with pytest.raises(AttributeError, match="nonsense"):
        nu.nonsense  # noqa: B018
    assert nu.__version__[0].isdigit()


@pytest.mark.parametrize("name", ["Project", "contours", "evaluate", "finetune", "load_model", "measure", "segment"])
def test_examples_in_docstrings(name):
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(nu, name), name, globs={})
    assert example.examples
    told = []
    doctest.DocTestRunner().run(example, out=told.append)
    assert not told, "".join(told)


def test_segment_correct_learn_evaluate_save(bright_model, blobs):
    """The example of the interface, on a volume of small images."""
    nu.save_model(bright_model(threshold=0.8, steepness=8.0, info={"decoding": {"min_size": 3}}), "my cells")
    model = nu.load_model("my cells")
    planes = [blobs((64, 64), n=6, seed=seed) for seed in range(2)]
    image, truth = (np.stack(arrays) for arrays in zip(*planes, strict=True))

    result = nu.segment(image, model, axes="ZYX", device="cpu", keep_maps=True)
    assert result.axes == "ZYX"
    assert result.labels.shape == image.shape
    assert result.maps.shape == (2, 1, *image.shape)

    masks = np.zeros(truth.shape, bool)
    masks[0] = True  # the first slice was corrected
    better = nu.finetune(
        model, [image], [truth], supervised=[masks], axes="ZYX", max_seconds=None, steps=3, device="cpu",
        validation=([image[1:]], [truth[1:]]),
    )  # fmt: skip
    assert better.name == "my cells, corrected"
    assert set(better.info.scores) == {"validation before", "validation after"}

    scores = nu.evaluate(truth, nu.segment(image, better, device="cpu").labels)
    assert 0 <= scores.ap["0.50"] <= 1
    assert scores.to_dict()["n_images"] == 1
    path = nu.save_model(better, "cells 2")
    assert nu.load_model(path).sha256() == nu.load_model("cells 2").sha256() == better.sha256()


def test_models_can_be_given_by_name(nuclei_crop):
    result = nu.segment(nuclei_crop, "nuclei", device="cpu")
    assert result.n_objects >= 3
    assert result.task.model.name == "nuclei"


def test_all_errors_are_of_one_family():
    from napari_unet import errors

    family = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(family) > 5
    assert all(issubclass(e, errors.UNetError) for e in family)
