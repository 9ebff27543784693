"""How numbers are told."""

from __future__ import annotations

import pytest

from napari_unet.progress import counted


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(0, "object", "0 objects"), (1, "object", "1 object"), (2, "reviewed place", "2 reviewed places"),
     (1, "class", "1 class"), (3, "class", "3 classes")],
)  # fmt: skip
def test_counted(number, noun, said):
    assert counted(number, noun) == said
