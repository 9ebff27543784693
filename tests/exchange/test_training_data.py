"""Training data for other programs, read again as these read it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

import napari_unet as nu
from napari_unet.axes import Image
from napari_unet.errors import FileFormatError, LabelsError, UNetError
from napari_unet.projects.project import Project


@pytest.fixture
def pairs(tmp_path, blobs):
    """Two planes and their labels, in folders whose names have spaces and other letters."""
    folder = tmp_path / "meine Bilder ß"
    folder.mkdir()
    made = []
    for number in range(2):
        image, labels = blobs((40, 50), n=4, seed=number)
        paths = folder / f"a b.{number}.tif", folder / f"a b.{number}_labels.tif"
        tifffile.imwrite(paths[0], (image * 200).astype(np.uint8))
        tifffile.imwrite(paths[1], labels.astype(np.uint16))
        made.append((paths, labels))
    return made


def sources(pairs):
    return [paths for paths, _ in pairs]


def test_cellpose(pairs, tmp_path):
    done = nu.export_training_data(sources(pairs), tmp_path / "out", "cellpose")
    assert done == {"output": str(tmp_path / "out"), "format": "cellpose", "n_images": 2, "supervised": 1.0}
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == [
        "a_b_0.tif", "a_b_0_masks.tif", "a_b_1.tif", "a_b_1_masks.tif"
    ]  # fmt: skip
    for number, (paths, labels) in enumerate(pairs):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"out/a_b_{number}.tif"), tifffile.imread(paths[0]))
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"out/a_b_{number}_masks.tif"), labels)
        assert (tifffile.imread(tmp_path / f"out/provenance/a_b_{number}.tif") == 4).all()
    told = json.loads((tmp_path / "out/provenance.json").read_text(encoding="utf-8"))
    assert [one["labels"] for one in told["images"]] == [str(paths[1]) for paths, _ in pairs]


def test_stardist_volume_with_channels(tmp_path):
    random = np.random.default_rng(0)
    image, labels = random.integers(0, 99, (3, 2, 20, 30), np.uint16), random.integers(0, 5, (3, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "v.tif", image, imagej=True, metadata={"axes": "ZCYX"})
    tifffile.imwrite(tmp_path / "v_labels.tif", labels, photometric="minisblack")
    nu.export_training_data([(tmp_path / "v.tif", tmp_path / "v_labels.tif")], tmp_path / "out", "stardist")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/images/v.tif"), np.moveaxis(image, 1, -1))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/masks/v.tif"), labels)


def test_nnunet_objects_that_touch_stay_apart(tmp_path):
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 5:15], labels[5:15, 15:25] = 1, 2
    tifffile.imwrite(tmp_path / "a.tif", labels * 50)
    tifffile.imwrite(tmp_path / "a_labels.tif", labels)
    folder = tmp_path / "Dataset007_Cells"
    nu.export_training_data([(tmp_path / "a.tif", tmp_path / "a_labels.tif")], folder, "nnunet")
    classes = tifffile.imread(folder / "labelsTr/a.tif")
    from scipy import ndimage

    assert ndimage.label(classes == 1)[1] == 2
    np.testing.assert_array_equal(classes > 0, labels > 0)
    np.testing.assert_array_equal(tifffile.imread(folder / "imagesTr/a_0000.tif"), labels * 50)
    about = json.loads((folder / "dataset.json").read_text())
    assert about["labels"] == {"background": 0, "inside": 1, "border": 2}
    assert about["numTraining"] == 1
    assert about["file_ending"] == ".tif"
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.json", "imagesTr", "labelsTr", "provenance", "provenance.json"
    ]  # fmt: skip


def a_project(instances=True):
    """Four slices, of which one was reviewed and one corrected."""
    image = Image(np.random.default_rng(0).random((4, 40, 40)).astype(np.float32), "ZYX", name="cells")
    labels = np.zeros((4, 40, 40), np.int32)
    labels[:, 5:10, 5:10] = 1
    project = Project(image, labels)
    project.corrections.instances = instances
    project.corrections.review(0, slice(1, 2), slice(0, 40), slice(0, 40))
    project.labels[2, 20:30, 20:30] = 2
    return project


def test_only_what_somebody_has_looked_at_of_a_project(tmp_path):
    project = a_project()
    done = nu.export_training_data([project], tmp_path / "out", "cellpose")
    assert done["n_images"] == 2
    assert 0.5 < done["supervised"] < 0.6
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/cells_z0002_masks.tif"), project.labels[2])
    known = tifffile.imread(tmp_path / "out/provenance/cells_z0002.tif")
    np.testing.assert_array_equal(known, project.provenance[2])
    assert (known[20:30, 20:30] == 2).all()


def test_nnunet_ignores_what_nobody_has_looked_at(tmp_path):
    project = a_project()
    nu.export_training_data([project], tmp_path / "Dataset001_a", "nnunet")
    about = json.loads((tmp_path / "Dataset001_a/dataset.json").read_text())
    assert about["labels"]["ignore"] == 3
    assert about["overwrite_image_reader_writer"] == "Tiff3DIO"
    classes = tifffile.imread(tmp_path / "Dataset001_a/labelsTr/cells.tif")
    np.testing.assert_array_equal(classes == 3, ~project.supervised)
    assert json.loads((tmp_path / "Dataset001_a/imagesTr/cells.json").read_text()) == {"spacing": [1.0, 1.0, 1.0]}


def test_what_is_refused_leaves_nothing(pairs, tmp_path):
    with pytest.raises(FileFormatError, match="cellpose, stardist, nnunet"):
        nu.export_training_data(sources(pairs), tmp_path / "out", "ilastik")
    with pytest.raises(FileFormatError, match="Dataset001_Nuclei"):
        nu.export_training_data(sources(pairs), tmp_path / "out", "nnunet")
    with pytest.raises(LabelsError, match="classes"):
        nu.export_training_data(sources(pairs), tmp_path / "out", "stardist", task="semantic")
    with pytest.raises(LabelsError, match="nothing to write"):
        nu.export_training_data([], tmp_path / "out")
    with pytest.raises(FileFormatError, match=r"exists already; choose another name\.$"):
        nu.export_training_data(sources(pairs), pairs[0][0][0].parent)
    with pytest.raises(UNetError, match="What labels are is 'objects'; it must be 'instances' or 'semantic'"):
        nu.export_training_data(sources(pairs), tmp_path / "out", task="objects")
    with pytest.raises(LabelsError, match="objects and some classes"):
        nu.export_training_data([*sources(pairs), a_project(instances=False)], tmp_path / "Dataset001_a", "nnunet")
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((7, 7), np.uint8))
    with pytest.raises(LabelsError, match="shape"):
        nu.export_training_data([sources(pairs)[0], (sources(pairs)[1][0], tmp_path / "small.tif")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))
