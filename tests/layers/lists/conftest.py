"""A list of images, opened in a viewer without a window."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from hand_made import bright, squares
from napari_unet.layers.controller import Controller


@pytest.fixture
def opened_list(tmp_path):
    """Return a maker of controllers that have opened a folder of so many images, c0 and so on, with `bright` in use."""

    def make(number, runner):
        folder = tmp_path / "pictures"
        folder.mkdir()
        for index in range(number):
            tifffile.imwrite(folder / f"c{index}.tif", (200 * squares((64 + index, 64))).astype(np.uint8))
        controller = Controller(ViewerModel(), runner)
        controller.messages = []
        controller.workspace.said.connect(controller.messages.append)
        controller.use_model(bright())
        controller.open(folder)
        return controller

    return make
