"""Zeiss' files: real ones where the library czifile goes with this Python, and a stand-in for it everywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import dask.array as da
import numpy as np
import pytest

from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io import lazy
from napari_unet.io.finding import FoundImage, find_images
from napari_unet.io.readers import list_series, read_image

FILES = Path(__file__).parent / "files"


def pixels(shape, seed=0, dtype=np.uint16):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def size(image):
    return None if image.pixel_size is None else (image.pixel_size.z, image.pixel_size.y, image.pixel_size.x)


# -- real files, made with Zeiss' own library (files/make_czi.py) ------------------------------------------------------


@pytest.fixture
def czifile():
    found = pytest.importorskip("czifile")
    if not hasattr(found.CziFile, "scenes"):
        pytest.skip("czifile is too old")


@pytest.mark.parametrize("lazily", [False, True])
def test_real_files(czifile, monkeypatch, lazily):
    if lazily:
        monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    stack = read_image(FILES / "stack.czi")
    assert isinstance(stack.data, da.Array) is lazily
    np.testing.assert_array_equal(stack.data, pixels((2, 2, 3, 7, 9)))
    assert (stack.axes, stack.channel_names) == ("TCZYX", ("DAPI", "GFP ü"))
    assert size(stack) == pytest.approx((2.0, 0.5, 0.25))

    tiles = pixels((2, 2, 2, 12, 14), 1)
    assert [one.shape for one in list_series(FILES / "scenes.czi")] == [(22, 26), (22, 26)]
    for number, scene in enumerate(tiles):
        whole = np.zeros((22, 26), np.uint16)
        for j, i in np.ndindex(2, 2):
            whole[10 * j : 10 * j + 12, 12 * i : 12 * i + 14] = scene[j, i]
        image = read_image(FILES / "scenes.czi", series=number)
        np.testing.assert_array_equal(image.data, whole)
        assert (image.axes, size(image)) == ("YX", (None, 0.25, 0.25))

    colours = read_image(FILES / "colours.czi")
    np.testing.assert_array_equal(np.asarray(colours.data), pixels((12, 14, 3), 2, np.uint8)[..., ::-1])
    assert colours.is_colour
    first, last = pixels((2, 7, 9), 3)
    stopped = read_image(FILES / "stopped.czi")
    np.testing.assert_array_equal(stopped.data, [first, 0 * first, last])
    assert (stopped.axes, stopped.pixel_size, stopped.channel_names) == ("TYX", None, ())


@pytest.mark.parametrize("keep", [0, 5, 600, 5000])
def test_real_files_that_are_cut_off(czifile, tmp_path, keep):
    (tmp_path / "a.czi").write_bytes((FILES / "stack.czi").read_bytes()[:keep])
    with pytest.raises(FileFormatError, match=r"a\.czi"):
        read_image(tmp_path / "a.czi")


# -- a stand-in for the library ----------------------------------------------------------------------------------------

XML = """<ImageDocument><Metadata><Information><Image><Dimensions><Channels><Channel Id="Channel:0" Name="DAPI"/>
<Channel Id="Channel:1"><Fluor>Alexa 488</Fluor></Channel></Channels><S><Scenes><Scene Index="2" Name="P1"><ArrayName>B4
</ArrayName></Scene><Scene Index="5" Name="井戸 2"/></Scenes></S></Dimensions></Image></Information><Scaling><Items>
<Distance Id="X"><Value>2.5e-07</Value></Distance><Distance Id="Y"><Value>5e-07</Value></Distance>
<Distance Id="Z"><Value>2e-06</Value></Distance></Items></Scaling></Metadata></ImageDocument>"""


class FakeScene:
    """What czifile shows of a scene of the axes C, Z, Y, X whose numbers begin at `start`."""

    dims = ("C", "Z", "Y", "X")
    start = (1, 10, -7, 30)

    def __init__(self, data, *, missing=(), entry=None):
        self.data, self.missing, self.asked = data, missing, []
        self.shape, self.dtype, self.subblock_sizes = data.shape, data.dtype, {"Y": 4, "X": 5}
        self.directory_entries = [entry or SimpleNamespace(dims=self.dims, shape=(1, 1, 4, 5), file_part=0)]

    def __call__(self, *, roi, C, Z):  # noqa: N803
        at, (x, y, width, height) = (C - self.start[0], Z - self.start[1]), roi
        if at in self.missing:
            raise ValueError("selection matches no subblocks")
        self.asked.append((width, height))
        y, x = y - self.start[2], x - self.start[3]
        part = self.data[at][y : y + height, x : x + width]
        return SimpleNamespace(asarray=lambda maxworkers: part.squeeze())


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Put scenes into a file that the stand-in reads; returns its path and the files that are open."""
    is_open = []

    def put(scenes, xml=XML):
        class CziFile:
            def __init__(self, path):
                is_open.append(path)
                self.scenes = scenes
                self.xml_element = xml and ElementTree.fromstring(xml)
                self.subblock_directory = [entry for scene in scenes.values() for entry in scene.directory_entries]

            def close(self):
                is_open.pop()

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.close()

        CziFile.scenes = None
        monkeypatch.setitem(sys.modules, "czifile", SimpleNamespace(CziFile=CziFile))
        path = tmp_path / "Gewebe 3.czi"
        path.write_bytes(b"czi")
        return path, is_open

    return put


def test_scenes_of_a_plate(opened, monkeypatch):
    data = pixels((2, 3, 8, 9))
    scene = FakeScene(data, missing=[(1, 2)])
    path, is_open = opened({2: scene, 5: FakeScene(data + 1)})
    assert [(one.number, one.name, one.axes) for one in list_series(path)] == [
        (0, "B4 P1", "CZYX"),
        (1, "井戸 2", "CZYX"),
    ]
    image = read_image(path, series="b4 p1")
    np.testing.assert_array_equal(image.data[0], data[0])
    np.testing.assert_array_equal(image.data[1], [*data[1, :2], 0 * data[1, 2]])
    assert (size(image), image.channel_names) == (pytest.approx((2.0, 0.5, 0.25)), ("DAPI", "Alexa 488"))
    assert not is_open
    assert [one.series for one in find_images([path]) if isinstance(one, FoundImage)] == [0, 1]

    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(lazy, "_CHUNK_BYTES", 40)
    large = read_image(path, series="井戸 2")
    np.testing.assert_array_equal(large.data, data + 1)
    scene.asked.clear()
    np.testing.assert_array_equal(read_image(path, series=0).data[0, 1, 1:3, 6:7], data[0, 1, 1:3, 6:7])
    assert scene.asked == [(1, 2)]  # no more of a plane is read than is asked for
    assert is_open


def test_without_metadata(opened):
    path, _ = opened({0: FakeScene(pixels((2, 1, 8, 9)))}, None)
    image = read_image(path)
    assert (image.pixel_size, image.channel_names, list_series(path)[0].name) == (None, (), "")


def test_what_is_no_image_is_told(opened):
    data = pixels((2, 3, 8, 9))
    line = SimpleNamespace(dims=FakeScene.dims, shape=(1, 3, 1, 9), file_part=0)
    path, is_open = opened({0: FakeScene(data), 1: FakeScene(data, entry=line)})
    assert "1 more that are not read" in read_image(path).notes[0]
    far = SimpleNamespace(dims=FakeScene.dims, shape=(1, 1, 4, 5), file_part=0)
    path, _ = opened({0: FakeScene(np.broadcast_to(data, (1000, 2, 3, 8, 9))[:, 0], entry=far)})
    with pytest.raises(FileFormatError, match="damaged: its parts lie 1000 apart along C"):
        read_image(path)
    other = SimpleNamespace(dims=FakeScene.dims, shape=(1, 1, 4, 5), file_part=1)
    path, _ = opened({0: FakeScene(data, entry=other)})
    for call in (read_image, list_series):
        with pytest.raises(FileFormatError, match="one of several files"):
            call(path)
    assert not is_open
    with pytest.raises(UNetError, match="no scene B2; it has 0 'B4 P1'"):
        read_image(opened({2: FakeScene(data)})[0], series="B2")


@pytest.mark.parametrize(
    ("version", "module", "said"),
    [
        ((3, 13), None, 'a b.czi needs one more package: pip install "napari-unet-interactive[czi]".'),
        ((3, 11), None, "a b.czi: CZI files need Python 3.12 or later. Save it as OME-TIFF with ZEN or Fiji."),
        (
            (3, 11),
            SimpleNamespace(CziFile=object),
            'a b.czi needs a newer package: pip install -U "napari-unet-interactive[czi]".',
        ),
    ],
)
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, version, module, said):
    monkeypatch.setitem(sys.modules, "czifile", module)
    monkeypatch.setattr(sys, "version_info", version)
    (tmp_path / "a b.czi").write_bytes(b"x")
    for call in (read_image, list_series):
        with pytest.raises(FileFormatError) as error:
            call(tmp_path / "a b.czi")
        assert str(error.value) == said
