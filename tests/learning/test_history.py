"""What a list of models says of each."""

from __future__ import annotations

import pytest

from hand_made import bright
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.models.model import Model


@pytest.mark.parametrize(
    ("verdict", "another", "said"),
    [
        (None, False, "bright"),
        (Verdict(None), False, "learned"),
        (Verdict(Comparison(0.5, 0.7, 0.1, 0.3, 20)), False, "learned, 50% → 70%"),
        (Verdict(None), True, "learned another kind"),
        (Verdict(Comparison(0.5, 0.7, 0.1, 0.3, 20)), True, "learned another kind, 50% → 70%"),
    ],
)
def test_a_model_for_another_kind_of_image_is_listed_as_such(verdict, another, said):
    model = bright()
    info = model.info.model_copy(update={"recipe": {"new_domain": another}})
    assert str(Generation(Model(model.net, info), verdict)) == said
