"""Labels in the OME-Zarr of their own image, as readers of somebody else's find them."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import zarr

from napari_unet.errors import FileFormatError
from napari_unet.io.readers import read_image
from napari_unet.io.zarr_labels import free_name, write_labels_into

AXES = {"TCZYX": (2, 2, 4, 16, 20), "CYX": (2, 16, 20), "YX": (16, 20), "ZYX": (4, 16, 20)}
KINDS = {"T": "time", "C": "channel"}


def make_image(path, axes="CYX", version="0.5", levels=2, consolidated=False):
    """Write an OME-Zarr image by hand, with some resolutions."""
    zarr_format = 3 if version == "0.5" else 2
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    datasets = []
    for level in range(levels):
        shape = [n if letter in "TC" else max(1, n // 2**level) for letter, n in zip(axes, AXES[axes], strict=True)]
        options = {"dimension_names": list(axes.lower())} if zarr_format == 3 else {}
        data = np.random.default_rng(level).integers(0, 99, shape).astype(np.uint16)
        group.create_array(f"s{level}", data=data, **options)
        scale = [1.0 if letter in "TC" else 0.5 * 2**level for letter in axes]
        datasets.append({"path": f"s{level}", "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    entries = [{"name": letter.lower(), "type": KINDS.get(letter, "space")} for letter in axes]
    for entry in entries:
        if entry["type"] == "space":
            entry["unit"] = "micrometer"
    multiscale = {"name": "image", "axes": entries, "datasets": datasets}
    if zarr_format == 3:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    else:
        group.attrs["multiscales"] = [{"version": version, **multiscale}]
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path)
    return path


def labels_for(axes):
    space = [n for letter, n in zip(axes, AXES[axes], strict=True) if letter != "C"]
    return np.random.default_rng(1).integers(0, 9, space).astype(np.int32), axes.replace("C", "")


def files_of(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file() and "labels" not in p.parts}


def attributes(path):
    """Return the OME metadata in a folder."""
    found = dict(zarr.open_group(path, mode="r").attrs)
    return found.get("ome", found)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", AXES)
def test_other_programs_find_them(tmp_path, axes, version):
    yaozarrs = pytest.importorskip("yaozarrs", minversion="0.2")
    image = make_image(tmp_path / "a.zarr", axes, version)
    before = files_of(image)
    labels, letters = labels_for(axes)
    target = write_labels_into(image, labels, letters, provenance={"program": "x"})
    assert target == image / "labels" / "unet"
    assert files_of(image) == before  # nothing of the image has changed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = yaozarrs.validate_zarr_store(image)
        assert group.ome_version() == version
        assert attributes(image / "labels")["labels"] == ["unet"]
        found = yaozarrs.validate_zarr_store(target)
    multiscale = found.ome_metadata().multiscales[0]
    assert [axis.name for axis in multiscale.axes] == list(letters.lower())
    assert len(multiscale.datasets) == 2
    np.testing.assert_array_equal(found["0"].to_zarr_python()[...], labels)
    half = tuple(slice(None) if letter == "T" else slice(1, None, 2) for letter in letters)
    np.testing.assert_array_equal(found["1"].to_zarr_python()[...], labels[half])
    assert attributes(target)["image-label"]["source"] == {"image": "../../"}
    assert zarr.open_group(target, mode="r").attrs["napari_unet"] == {"program": "x"}


def test_this_program_reads_them_with_their_pixel_size(tmp_path):
    image = make_image(tmp_path / "a.zarr", "ZYX")
    labels, _ = labels_for("ZYX")
    found = read_image(write_labels_into(image, labels.transpose(1, 2, 0), "YXZ"))
    np.testing.assert_array_equal(found.data, labels)
    assert (found.axes, found.pixel_size.x) == ("ZYX", 0.5)


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    image = make_image(tmp_path / "a.zarr")
    labels, letters = labels_for("CYX")
    names = [write_labels_into(image, labels + number, letters).name for number in range(3)]
    assert names == ["unet", "unet_2", "unet_3"]
    assert attributes(image / "labels")["labels"] == names
    assert free_name(image, "unet") == "unet_4"
    for number, name in enumerate(names):
        np.testing.assert_array_equal(read_image(image / "labels" / name).data, labels + number)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_consolidated_metadata_name_them_too(tmp_path, version):
    image = make_image(tmp_path / "a.zarr", version=version, consolidated=True)
    labels, letters = labels_for("CYX")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_labels_into(image, labels, letters)
    group = zarr.open_consolidated(image)
    np.testing.assert_array_equal(group["labels/unet/0"][...], labels)


def test_labels_of_another_program_stay_in_the_list(tmp_path):
    image = make_image(tmp_path / "a.zarr", version="0.4")
    zarr.open_group(image / "labels", mode="w", zarr_format=2).attrs["labels"] = ["theirs"]
    write_labels_into(image, *labels_for("CYX"))
    assert attributes(image / "labels")["labels"] == ["theirs", "unet"]


@pytest.mark.parametrize("what", ["array", "folder", "collection", "size"])
def test_what_has_no_place_for_them_is_left_alone(tmp_path, what):
    path, (labels, letters) = tmp_path / "a.zarr", labels_for("CYX")
    if what == "array":
        zarr.create_array(path, data=np.zeros((16, 20)))
    elif what == "folder":
        path.mkdir()
    elif what == "collection":
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.attrs["multiscales"] = [{"datasets": [{"path": "0"}]}, {"datasets": [{"path": "1"}]}]
    else:
        make_image(path)
        labels = labels[:-1]
    before = files_of(path)
    with pytest.raises(FileFormatError, match="of the size" if what == "size" else "no OME-Zarr of one image"):
        write_labels_into(path, labels, letters)
    assert files_of(path) == before
    assert not (path / "labels").exists()


def test_a_full_disk_leaves_no_half_labels(tmp_path, monkeypatch):
    image = make_image(tmp_path / "a.zarr")
    before = files_of(image)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_unet.io.zarr_labels._entry", full)
    with pytest.raises(FileFormatError, match="disk is full"):
        write_labels_into(image, *labels_for("CYX"))
    assert files_of(image) == before
    assert not (image / "labels" / "unet").exists()
    assert json.dumps([p.name for p in (image / "labels").iterdir()]) == "[]"
