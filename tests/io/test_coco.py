"""COCO JSON: polygons and run lengths, read back by json and shapely."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.errors import FileFormatError
from napari_unet.io.coco import CocoImage, CocoObject, write_coco
from napari_unet.objects.contours import contours


def objects(labels, image, category="object"):
    return [CocoObject(one.label, image, one.polygons, category) for one in contours(labels)]


def drawn(annotation, shape):
    """Return the pixels of an annotation, by another code than the one that wrote it."""
    outline = annotation["segmentation"]
    if isinstance(outline, dict):
        assert outline["size"] == list(shape)
        assert sum(outline["counts"]) == shape[0] * shape[1]
        values = np.arange(len(outline["counts"])) % 2 == 1
        return np.repeat(values, outline["counts"]).reshape(shape, order="F")
    shapely = pytest.importorskip("shapely")
    y, x = np.indices(shape)
    polygons = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in outline]
    assert all(polygon.is_valid for polygon in polygons)
    return np.logical_or.reduce([shapely.contains_xy(one, x + 0.5, y + 0.5) for one in polygons])


@given(labels=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)))
def test_the_labels_can_be_drawn_again(labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    image = CocoImage("a.tif", *labels.shape)
    count = write_coco(path, objects(labels, image), [image])
    found = json.loads(path.read_text())["annotations"]
    assert count == len(found) == len(set(labels[labels > 0].tolist()))
    again = np.zeros_like(labels)
    for one in found:
        mask = drawn(one, labels.shape)
        again[mask] = one["label"]
        assert one["area"] == mask.sum()
        x, y, width, height = one["bbox"]
        ys, xs = np.nonzero(mask)
        assert (x, y, width, height) == (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
    np.testing.assert_array_equal(again, labels)


def test_the_file_has_what_coco_wants(tmp_path):
    labels = np.zeros((6, 9), int)
    labels[1:3, 2:6] = 4
    planes = [CocoImage("a.tif", 6, 9, z) for z in range(2)]
    write_coco(tmp_path / "a.json", objects(labels, planes[1], "nucleus"), planes, provenance={"program": "x"})
    found = json.loads((tmp_path / "a.json").read_text())
    assert set(found) == {"info", "licenses", "images", "annotations", "categories"}
    assert found["info"]["provenance"] == {"program": "x"}
    assert found["images"][1] == {"id": 2, "file_name": "a.tif", "height": 6, "width": 9, "slice": 1}
    assert found["categories"] == [{"id": 1, "name": "nucleus", "supercategory": ""}]
    assert found["annotations"] == [
        {
            "id": 1, "image_id": 2, "category_id": 1, "label": 4, "area": 8.0, "bbox": [2, 1, 4, 2], "iscrowd": 0,
            "segmentation": found["annotations"][0]["segmentation"],
        }
    ]  # fmt: skip
    assert sorted(map(tuple, np.reshape(found["annotations"][0]["segmentation"], (-1, 2)).tolist())) == [
        (2, 1), (2, 3), (6, 1), (6, 3),
    ]  # fmt: skip


def test_no_objects(tmp_path):
    write_coco(tmp_path / "a.json", [], [CocoImage("a.tif", 3, 4)])
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["annotations"], len(found["categories"])) == ([], 1)


def test_another_ending_and_an_existing_file(tmp_path):
    with pytest.raises(FileFormatError, match=r"\.json"):
        write_coco(tmp_path / "a.geojson", [], [])
    (tmp_path / "a.json").write_text("precious")
    with pytest.raises(FileFormatError, match="exists already"):
        write_coco(tmp_path / "a.json", [], [])
    assert (tmp_path / "a.json").read_text() == "precious"
