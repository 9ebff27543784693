"""Tiles are as large as the memory that is free now allows."""

from types import SimpleNamespace

import pytest
import torch

from napari_unet.axes import Image
from napari_unet.inference.task import make_task
from napari_unet.nets.blocked import bytes_per_pixel
from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling import budget

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))
SPEC = UNetSpec(features=16, levels=4)


@pytest.fixture
def free(monkeypatch):
    def set_free(n_bytes):
        monkeypatch.setattr(budget.psutil, "virtual_memory", lambda: SimpleNamespace(available=n_bytes))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (n_bytes, 2 * n_bytes))
        monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: n_bytes)
        monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: n_bytes // 2)

    return set_free


def test_it_follows_the_free_memory(free):
    free(400 * 2**20)
    pixels = budget.pixel_budget(SPEC, CPU)
    assert 0.2 < pixels * bytes_per_pixel(SPEC) / (400 * 2**20) < 0.3
    free(200 * 2**20)
    assert budget.pixel_budget(SPEC, CPU) == pytest.approx(pixels / 2, rel=0.01)


def test_it_has_a_least_and_a_most(free):
    free(1000)
    assert budget.pixel_budget(SPEC, CPU) == budget.MIN_PIXELS
    free(2**40)
    assert budget.pixel_budget(SPEC, CPU) == budget.MAX_PIXELS[2]
    assert budget.pixel_budget(UNetSpec(ndim=3), CPU) == budget.MAX_PIXELS[3]


def test_a_gpu_takes_more_but_no_more_than_its_libraries_can_count(free):
    free(140 * 2**30)
    for features in (16, 64):
        spec = UNetSpec(features=features, levels=4)
        pixels = budget.pixel_budget(spec, CUDA)
        assert pixels > budget.MAX_PIXELS[2]
        assert pixels * 2 * features < 2**31
    free(2**30)
    assert budget.pixel_budget(SPEC, MPS) < budget.pixel_budget(SPEC, CUDA)


def test_an_image_that_fits_is_one_tile(free, bright_model):
    import numpy as np

    model = bright_model(features=16, levels=4)
    image = Image(np.broadcast_to(np.uint8(0), (1400, 1400)), "YX")
    free(2**40)
    assert len(make_task(image, model).plan.tiles) == 1
    free(300 * 2**20)
    assert len(make_task(image, model).plan.tiles) > 1
