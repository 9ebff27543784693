"""What `benchmark cluster --voxels` measures with: the same objects have to come out of every size."""

from __future__ import annotations

import napari_unet as nu
from napari_unet.io.readers import read_image
from napari_unet_benchmarks.cluster_memory import OBJECTS, SMALL, threshold_model, write_sparse


def test_the_objects_are_found_and_hardly_anything_is_written(tmp_path):
    side = 2 * SMALL["block"]
    write_sparse(tmp_path / "a.zarr", side, SMALL["block"])
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 50_000
    found = nu.segment(read_image(tmp_path / "a.zarr"), threshold_model(), device="cpu")
    assert found.labels.shape == (side,) * 3
    assert found.n_objects == OBJECTS
