"""Which model? as a script sees it: cards, their order, the choice, and the advice after opening."""

from __future__ import annotations

import numpy as np
import pytest

from hand_made import bright, squares
from napari_unet.axes import Image
from napari_unet.inference import credibility
from napari_unet.inference.field import field_of
from napari_unet.inference.which_model import Trial
from napari_unet.layers.inference import model_gallery
from napari_unet.layers.inference.model_gallery import OUTLINE, grey_picture, outlined, trial_in_words
from napari_unet.models.store import save_model

SCORES = {
    "bright": 0.1, "sensitive": 0.7, "classes": 0.3, "nuclei": 0.0, "axons": 0.0, "cells": 0.25, "cells_phase": 0.2,
}  # fmt: skip


@pytest.fixture
def scores(monkeypatch):
    """Models have the scores that a test wants, and take no time."""
    given = dict(SCORES)
    monkeypatch.setattr(model_gallery, "models_for", lambda image, channel=None: list(given))

    def tried(field, models, *, device, cancel):
        for which in models:
            cancel.check()
            name = which if isinstance(which, str) else which.name
            labels = np.zeros(field.image.space[1:], np.int32)
            labels[2:9, 2:9] = 1
            yield Trial(name, given[name], labels, 1)

    monkeypatch.setattr(model_gallery, "try_models", tried)
    return given


def names(controller):
    return [card.name for card in controller.gallery.cards]


def said(controller):
    return controller.messages[-1].text


# -- the gallery -------------------------------------------------------------------------------------------------------


def test_all_models_are_tried_and_the_best_guess_is_first(viewer, controller, scores):
    viewer.add_image(squares(), name="image")
    assert controller.gallery.start()
    assert names(controller) == ["sensitive", "classes", "cells", "cells_phase", "bright", "nuclei", "axons"]
    assert not controller.gallery.busy
    assert controller.gallery.waiting == []
    assert "best guess first" in controller.gallery.in_words
    assert controller.model.name == "bright", "nothing is switched unasked"


def test_cards_come_one_by_one_and_are_sorted_as_they_come(viewer, later, scores):
    viewer.add_image(squares(), name="image")
    later.gallery.start()
    assert later.gallery.in_words == "Trying bright on what is in view (1 of 7)."
    later.runner.step()
    assert names(later) == ["bright"]
    later.runner.step()
    assert names(later) == ["sensitive", "bright"]
    assert later.gallery.in_words == "Trying classes on what is in view (3 of 7)."
    later.gallery.stop()
    later.runner.finish()
    assert names(later) == ["sensitive", "bright"], "what was tried stays, and nothing comes after"


def test_the_models_themselves_are_tried(viewer, controller):
    viewer.add_image(squares((96, 96)), name="image")
    controller.gallery.start()
    cards = {card.name: card for card in controller.gallery.cards}
    assert {"bright", "sensitive", "classes", "nuclei", "axons", "cells", "cells_phase"} == set(cards)
    assert cards["bright"].trial.n_objects == 3
    assert cards["sensitive"].trial.n_objects == 4
    assert cards["bright"].picture.shape == (96, 96, 3)
    assert (cards["bright"].picture == OUTLINE).all(-1).any()


def test_a_model_is_used_and_segmented_with(viewer, controller, scores):
    viewer.add_image(squares(), name="image")
    controller.gallery.start()
    assert controller.gallery.use("sensitive", segment=True)
    assert controller.model.name == "sensitive"
    assert len(np.unique(viewer.layers["image objects"].data)) == 5
    model = controller.model
    assert controller.gallery.use("sensitive")
    assert controller.model is model, "the one in use is not loaded again"
    assert said(controller) == "sensitive is used from now on. Press Segment."


def test_a_model_that_is_not_saved_is_tried_as_it_is(viewer, controller, scores):
    learned = bright("bright, corrected", threshold=0.2)
    controller.use_model(learned)
    scores["bright, corrected"] = 0.9
    viewer.add_image(squares(), name="image")
    controller.gallery.start()
    assert names(controller)[0] == "bright, corrected"
    assert controller.gallery.use("bright, corrected")
    assert controller.model is learned


def test_another_image_ends_it(viewer, later, scores):
    viewer.add_image(squares(), name="image")
    later.gallery.start()
    later.runner.step()
    viewer.add_image(squares(), name="other")
    assert not later.gallery.busy
    later.runner.finish()
    assert len(later.gallery.cards) == 1


def test_other_axes_end_it(viewer, later, scores):
    viewer.add_image(squares((3, 64, 64)), name="stack")
    later.gallery.start()
    later.set_axes("TYX")
    assert not later.gallery.busy


def test_a_model_that_vanished_is_told(viewer, controller, scores):
    viewer.add_image(squares(), name="image")
    controller.gallery.start()
    assert not controller.gallery.use("cells_phaze_x")
    assert said(controller) == "There is no model called 'cells_phaze_x'. The nearest is cells_phase."
    assert controller.model.name == "bright"


def test_without_an_image_it_says_so(controller):
    assert not controller.gallery.start()
    assert "There is no image to segment" in controller.gallery.in_words
    assert not controller.gallery.guess()


# -- advice, unasked ---------------------------------------------------------------------------------------------------


@pytest.fixture
def judged(controller, viewer):
    """A model whose objects' width is known is in use, and an image is open."""
    save_model(bright("bright", diameter=10.0), "bright", overwrite=True)
    controller.choose_model("bright")
    viewer.add_image(squares(), name="image")
    return controller


def test_a_model_that_fits_far_better_is_named(judged, scores):
    assert judged.gallery.guess()
    assert said(judged) == "sensitive seems to fit this image better than bright. Press Which model? to see both."
    assert judged.messages[-1].level == "warning"
    assert judged.model.name == "bright"


@pytest.mark.parametrize("own", [0.5, 0.55, 0.9])
def test_nothing_is_said_where_the_model_fits_or_nearly_as_well(judged, scores, own):
    scores["bright"] = own
    before = len(judged.messages)
    assert judged.gallery.guess()
    assert len(judged.messages) == before


def test_where_none_fits_that_is_said(judged, scores):
    scores.update(dict.fromkeys(scores, 0.1))
    judged.gallery.guess()
    assert said(judged).startswith("No model seems to fit this image.")


def test_a_blank_image_gets_no_advice(judged, scores, viewer):
    viewer.add_image(np.zeros((64, 64), np.float32), name="blank", contrast_limits=(0, 1))
    before = len(judged.messages)
    judged.gallery.guess()
    assert len(judged.messages) == before


def test_advice_comes_neither_after_something_else_nor_for_what_is_segmented(viewer, later, scores):
    save_model(bright("bright", diameter=10.0), "bright", overwrite=True)
    later.choose_model("bright")
    viewer.add_image(squares(), name="image")
    assert later.gallery.guess()
    later.say("Saved.")
    later.runner.finish()
    assert later.messages[-1].text == "Saved."
    assert later.gallery.guess()
    later.segment()
    assert not later.gallery.busy, "Segment needs the cores"
    later.runner.finish(-2)
    assert not later.gallery.guess()


def test_a_model_that_its_user_taught_is_not_doubted(viewer, controller, scores):
    viewer.add_image(squares(), name="image")
    assert not controller.gallery.guess(), "nothing is known of this model"
    controller.use_model(bright("mine", diameter=10.0, parent="bright (sha256 0123)"))
    assert not controller.gallery.guess()


# -- words and pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        ({"score": 0.6, "n_objects": 1}, "1 object; seems to fit"),
        ({"score": 0.4, "n_objects": 30}, "30 objects; may fit"),
        ({"score": 0.1, "n_objects": 259}, "259 objects; does not seem to fit"),
        ({"score": 0.4, "n_objects": 2, "of_classes": True}, "2 classes; seems to fit"),
        ({"score": 0.0}, "finds nothing"),
        ({"score": 0.0, "problem": "It is broken."}, "It is broken."),
    ],
)
def test_a_card_says_what_is_found_and_whether_to_believe_it(trial, words):
    assert trial_in_words(Trial("m", labels=np.zeros((2, 2), np.int32), **trial)) == words


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_pictures_show_any_pixels(dtype):
    pixels = (np.indices((20, 30)).sum(0) % 2).astype(dtype)
    picture = grey_picture(field_of(Image(pixels, "YX")))
    assert picture.shape == (20, 30, 3)
    assert {picture.min(), picture.max()} == {0, 255}
    colours = grey_picture(field_of(Image(np.stack([pixels, 0 * pixels, 0 * pixels], -1), "YXC")))
    assert colours[0, 1].tolist() == [255, 0, 0]
    labels = np.zeros((20, 30), np.int32)
    labels[5:10, 5:10] = 3
    drawn = outlined(picture, labels)
    assert tuple(drawn[5, 5]) == OUTLINE
    assert np.array_equal(drawn[7, 7], picture[7, 7])


# -- after Segment -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "level"), [(True, "done"), (False, "warning")])
def test_a_result_that_is_not_credible_is_no_success(judged, viewer, monkeypatch, right, level):
    monkeypatch.setattr(credibility, "seems_right", lambda *_: right)
    assert judged.segment()
    assert judged.messages[-1].level == level
    doubt = "Found 3 objects, but bright does not seem to fit this image. Try Which model?"
    assert (said(judged) == doubt) is not right
    assert len(np.unique(viewer.layers["image objects"].data)) == 4, "it stays all the same"


def test_what_is_segmented_after_learning_is_not_doubted(judged, monkeypatch):
    monkeypatch.setattr(credibility, "seems_right", lambda *_: False)
    judged.segmenter.start("Learned.")
    assert judged.messages[-1].level == "done"
