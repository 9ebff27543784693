"""ImageJ ROIs, read back by roifile."""

from __future__ import annotations

import json
import sys
import zipfile

import numpy as np
import pytest
from skimage.draw import polygon2mask

from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io.imagej_rois import LARGEST, Roi, write_rois
from napari_unet.objects.contours import contours

roifile = pytest.importorskip("roifile")


def written(tmp_path, labels, **more):
    rois = [Roi(str(o.label), o.polygons, o.slice, o.time) for o in contours(labels, **more)]
    assert write_rois(tmp_path / "r.zip", rois) == len(rois)
    read = roifile.roiread(tmp_path / "r.zip")
    return read if isinstance(read, list) else [read]


def drawn(rois, shape):
    labels = np.zeros(shape, int)
    for roi in rois:
        mask = np.zeros(shape, bool)
        for ring in roi.coordinates(multi=True):
            mask ^= polygon2mask(shape, np.asarray(ring, float)[:, ::-1] - 0.5)
        labels[mask] = int(roi.name)
    return labels


def test_rois_drawn_again_are_the_labels(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 4, (40, 50)) * (rng.random((40, 50)) < 0.7)
    labels[30:39, 40:49] = 9
    rois = written(tmp_path, labels)
    assert np.array_equal(drawn(rois, labels.shape), labels)
    assert [roi.name for roi in rois] == ["1", "2", "3", "9"]
    assert rois[-1].roitype is roifile.ROI_TYPE.TRACED
    assert (rois[-1].left, rois[-1].top, rois[-1].right, rois[-1].bottom) == (40, 30, 49, 39)
    assert rois[0].composite


def test_simplified_outlines_lie_between_pixels(tmp_path):
    yy, xx = np.mgrid[:60, :60]
    labels = ((yy - 30) ** 2 + (xx - 30) ** 2 < 400).astype(int)
    (roi,) = written(tmp_path, labels, tolerance=1.0)
    assert roi.roitype in (roifile.ROI_TYPE.TRACED, roifile.ROI_TYPE.POLYGON)
    assert (drawn([roi], labels.shape) != labels).mean() < 0.02


def test_positions_in_stacks(tmp_path):
    labels = np.zeros((2, 3, 8, 8), int)
    labels[1, 2, 2:4, 2:4] = 1
    (roi,) = written(tmp_path, labels)
    assert (roi.c_position, roi.z_position, roi.t_position, roi.position) == (0, 3, 2, 0)
    (tmp_path / "r.zip").unlink()
    (roi,) = written(tmp_path, labels[1])
    assert (roi.position, roi.z_position, roi.t_position) == (3, 0, 0)


def test_the_zip_holds_rois_only_and_says_how_it_was_made(tmp_path):
    rois = [Roi("a", [[np.array([[0, 0], [0, 1], [1, 1], [1, 0]])]])]
    for name in ("1.zip", "2.zip"):
        write_rois(tmp_path / name, rois, provenance={"version": "1"})
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as file:
        assert file.namelist() == ["a.roi"]
        assert json.loads(file.comment) == {"version": "1"}
        assert file.testzip() is None


def test_coordinates_up_to_what_imagej_takes(tmp_path):
    def at(corner):
        return [Roi("7", [[np.array([[0, 0], [0, 2], [2, 2], [2, 0]]) + corner]])]

    write_rois(tmp_path / "a.zip", at([40_000, LARGEST - 2]))
    roi = roifile.roiread(tmp_path / "a.zip")
    roi = roi[0] if isinstance(roi, list) else roi
    assert roi.coordinates().max(0).tolist() == [LARGEST, 40_002]
    with pytest.raises(FileFormatError, match="object 7"):
        write_rois(tmp_path / "b.zip", at([0, LARGEST]))
    assert not (tmp_path / "b.zip").exists()


def test_no_objects_give_an_empty_zip(tmp_path):
    assert write_rois(tmp_path / "r.zip", []) == 0
    assert zipfile.ZipFile(tmp_path / "r.zip").namelist() == []


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(FileFormatError, match=r"\.zip"):
        write_rois(tmp_path / "r.roi", [])
    write_rois(tmp_path / "r.zip", [])
    with pytest.raises(FileFormatError, match="exists already"):
        write_rois(tmp_path / "r.zip", [])
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(UNetError, match="pip install roifile"):
        write_rois(tmp_path / "s.zip", [])
