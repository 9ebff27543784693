"""MONAI's sliding window as the oracle: where its windows do not matter, both give the same; where they do, it errs."""

from __future__ import annotations

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from napari_unet.nets import geometry
from napari_unet.tiling.engine import Predictor, run_plan
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource


def engine(net, image, **how):
    maps = np.empty((net.spec.out_channels, *image.shape[1:]), np.float32)
    for result in run_plan(make_plan(net.spec, image.shape[1:], **how), ArraySource(image), Predictor(net)):
        maps[(slice(None), *result.tile.region)] = result.maps
    return maps


def monai(net, image, window):
    with torch.inference_mode():
        logits = sliding_window_inference(torch.from_numpy(image)[None], window, 1, net, overlap=0.25, mode="gaussian")
        return torch.sigmoid(logits)[0].numpy()


def test_one_window_over_all_is_the_same_but_for_the_rim(tiny_net):
    net = tiny_net(levels=2, out_channels=2)
    image = np.random.default_rng(0).random((1, 160, 192), np.float32)
    reach = geometry.halo(net.spec)[-1]
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    assert np.abs(engine(net, image, tile=32)[inner] - monai(net, image, (160, 192))[inner]).max() < 1e-5


def test_tiles_err_less_than_sliding_windows(tiny_net):
    net = tiny_net(levels=2, out_channels=2)
    image = np.random.default_rng(0).random((1, 160, 192), np.float32)
    reach = geometry.halo(net.spec)[-1]
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    whole = monai(net, image, (160, 192))[inner]
    theirs = np.abs(monai(net, image, (64, 64))[inner] - whole).max()
    ours = np.abs(engine(net, image, tile=64)[inner] - whole).max()
    assert ours < 1e-5 < 100 * ours < theirs
