"""*Segment all* of the window with real workers: the labels are those of this process, and lie where these do."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import tifffile

from hand_made import bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.projects.on_workers import FOLDER
from napari_unet.projects.project import Project
from napari_unet.projects.segmented_by import SegmentedBy

pytest.importorskip("distributed")
components = pytest.importorskip("napari.components")


def test_segment_all_with_workers(client, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        tifffile.imwrite(folder / f"c{number}.tif", (200 * squares((64 + number, 64))).astype(np.uint8))
    controller, said = Controller(components.ViewerModel(), InlineRunner()), []
    controller.workspace.said.connect(said.append)
    controller.use_model(bright())
    controller.open(folder)
    controller.segment_all.scheduler = client.scheduler.address
    controller.segment_all.start()
    assert said[-1].level == "done", said[-1]
    work_list = controller.work_list
    assert not (work_list.folder / FOLDER).exists()
    assert dask.base.get_scheduler() is None, "what the window reads by dask is read here"
    for index in range(1, 4):
        with_workers = Project.open(work_list.project(index))
        assert with_workers.segmented_by == SegmentedBy(controller.model.sha256())
        controller.image_switch.go_to(index)
        controller.session.segmented_by = SegmentedBy()
        assert controller.segment()
        assert np.array_equal(with_workers.image.canonical_labels(with_workers.labels), controller.session.labels)
        assert controller.session.count() == 3
    controller.close()
