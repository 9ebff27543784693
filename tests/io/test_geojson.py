"""GeoJSON: what the standard and QuPath ask for, read back by json and shapely."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from napari_unet.errors import FileFormatError
from napari_unet.io.geojson import Feature, write_geojson
from napari_unet.objects.contours import contours


@pytest.fixture
def labels():
    labels = np.zeros((20, 30), int)
    labels[2:9, 3:12] = 1
    labels[4:6, 5:7] = 0
    labels[12:15, 1:4] = labels[16:18, 20:25] = 2
    return labels


def features(labels, **more):
    return [Feature(str(o.label), o.polygons, o.slice, o.time, **more) for o in contours(labels)]


def test_the_file_is_a_feature_collection(labels, tmp_path):
    path = tmp_path / "deep" / "a.geojson"
    assert write_geojson(path, features(labels), provenance={"program": "x"}) == 2
    found = json.loads(path.read_text())
    assert list(found) == ["type", "provenance", "features"]
    assert found["type"] == "FeatureCollection"
    one, two = found["features"]
    assert one["type"] == two["type"] == "Feature"
    assert one["geometry"]["type"] == "Polygon"
    assert two["geometry"]["type"] == "MultiPolygon"
    assert one["properties"] == {"objectType": "detection", "name": "1"}
    assert "plane" not in one["geometry"]


def test_rings_are_closed_and_turn_as_the_standard_says(labels, tmp_path):
    write_geojson(tmp_path / "a.geojson", features(labels))
    outer, hole = json.loads((tmp_path / "a.geojson").read_text())["features"][0]["geometry"]["coordinates"]
    for ring, sign in ((outer, 1), (hole, -1)):
        assert ring[0] == ring[-1]
        area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring)) / 2
        assert area == sign * (63 if sign > 0 else 4)
    assert all(isinstance(value, int) for corner in outer for value in corner)
    assert [3, 2] in outer  # x before y, at the corner of the pixel


def test_shapely_reads_it(labels, tmp_path):
    shapely = pytest.importorskip("shapely")
    write_geojson(tmp_path / "a.geojson", features(labels))
    found = shapely.from_geojson((tmp_path / "a.geojson").read_text())
    assert [shape.is_valid for shape in found.geoms] == [True, True]
    assert [shape.area for shape in found.geoms] == [(labels == n).sum() for n in (1, 2)]
    assert found.geoms[0].bounds == (3, 2, 12, 9)


def test_planes_classes_and_measurements(labels, tmp_path):
    values = {"area_px": 59.0, "circularity": math.nan, "intensity_mean": math.inf}
    stack = np.stack([labels * 0, labels])
    path = tmp_path / "a.json"
    write_geojson(path, features(stack, classification="Nucleus", measurements=values), object_type="annotation")
    one = json.loads(path.read_text())["features"][0]
    assert one["geometry"]["plane"] == {"c": -1, "z": 1, "t": 0}
    assert one["properties"]["objectType"] == "annotation"
    assert one["properties"]["classification"] == {"name": "Nucleus"}
    assert one["properties"]["measurements"] == {"area_px": 59.0}


def test_nothing_is_an_empty_collection(tmp_path):
    assert write_geojson(tmp_path / "a.geojson", []) == 0
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []


def test_a_file_is_whole_or_not_there(labels, tmp_path):
    path = tmp_path / "a.geojson"

    def breaking():
        yield features(labels)[0]
        raise FileFormatError("no more")

    with pytest.raises(FileFormatError, match="no more"):
        write_geojson(path, breaking())
    assert list(tmp_path.iterdir()) == []
    write_geojson(path, features(labels))
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match="exists already"):
        write_geojson(path, [])
    with pytest.raises(FileFormatError, match="no more"):
        write_geojson(path, breaking(), overwrite=True)
    assert path.read_bytes() == before
    with pytest.raises(FileFormatError, match=r"\.geojson"):
        write_geojson(tmp_path / "a.txt", [])
