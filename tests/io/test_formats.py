"""Files of microscopes and of arrays: pixels, axes, pixel size, channels and scenes come out as they went in."""

from __future__ import annotations

import gc
import json
import pickle
import struct
import sys
from types import SimpleNamespace

import dask.array as da
import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io import lazy
from napari_unet.io.channels import channel_number
from napari_unet.io.finding import FoundImage, LeftOut, find_images
from napari_unet.io.readers import image_files, list_series, read_image, read_labels
from napari_unet.io.scenes import Planes


def pixels(shape, seed=0, dtype=np.uint16):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def size(image):
    return None if image.pixel_size is None else (image.pixel_size.z, image.pixel_size.y, image.pixel_size.x)


# -- planes ------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_planes_are_indexed_as_an_array_is(data):
    array = pixels((3, 2, 5, 4))
    planes = Planes((3, 2), (5, 4), array.dtype, lambda *at: array[at])
    wanted = array.shape[: data.draw(st.integers(0, 4))]
    picks: list[object] = [data.draw(st.one_of(st.integers(0, n - 1), st.slices(n))) for n in wanted]
    if data.draw(st.booleans()):
        picks.append(...)
    np.testing.assert_array_equal(planes[tuple(picks)], array[tuple(picks)])
    assert planes[tuple(picks)].dtype == array.dtype


def test_a_plane_of_another_size_is_damage():
    planes = Planes((2,), (5, 4), np.uint8, lambda z: np.zeros((5, 3)))
    with pytest.raises(FileFormatError, match="damaged"):
        planes[0]


# -- HDF5 and Imaris ---------------------------------------------------------------------------------------------------


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def test_hdf5(tmp_path, h5py, monkeypatch):
    stack, colours = pixels((4, 12, 13)), pixels((12, 13, 3), dtype=np.uint8)
    path = tmp_path / "ткань 3.h5"
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("exported data/raw", data=stack, chunks=(1, 6, 13))
        raw.attrs["element_size_um"] = [2.0, 0.5, 0.25]
        file["colours"] = colours
        tagged = file.create_dataset("tagged", data=pixels((2, 12, 13, 5)))
        tagged.attrs["axistags"] = json.dumps({"axes": [{"key": letter} for letter in "cyxz"]})
        labelled = file.create_dataset("labelled", data=stack)
        for dimension, letter in zip(labelled.dims, "tyx", strict=True):
            dimension.label = letter
        file["table"], file["text"], file["empty"] = np.zeros(7), "text", h5py.Empty("f")
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    assert [one.name for one in list_series(path)] == ["colours", "exported data/raw", "labelled", "tagged"]
    image = read_image(path, series="exported data/raw")
    np.testing.assert_array_equal(image.data, stack)
    assert (image.axes, size(image)) == ("ZYX", (2.0, 0.5, 0.25))
    assert read_image(path, series="colours").axes == "YXC"
    assert read_image(path, series="tagged").axes == "CYXZ"
    assert read_image(path, series="labelled").axes == "TYX"
    assert "Choose another with --scene" in read_image(path).notes[0]
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    large = read_image(path, series="exported data/raw")
    assert isinstance(large.data, da.Array)
    np.testing.assert_array_equal(large.data, stack)
    np.testing.assert_array_equal(large.read(z=slice(2, 3), y=slice(3, 9))[0, 0], stack[2, 3:9])


def imaris(h5py, path, data, *, pad=3, extent=True):
    """An image (T, C, Z, Y, X) as Imaris 5.5 lays it out, with texts as arrays of letters."""

    def letters(text):
        return np.frombuffer(text.encode(), "S1")

    with h5py.File(path, "w") as file:
        for t, c in np.ndindex(data.shape[:2]):
            group = file.create_group(f"DataSet/ResolutionLevel 0/TimePoint {t}/Channel {c}")
            group["Data"] = np.pad(data[t, c], pad)[pad:, pad:, pad:]
            for letter, n in zip("ZYX", data.shape[2:], strict=True):
                group.attrs[f"ImageSize{letter}"] = letters(str(n))
        for c in range(data.shape[1]):
            file.create_group(f"DataSetInfo/Channel {c}").attrs["Name"] = letters(f"Kanal ü{c}")
        if extent:
            image = file.create_group("DataSetInfo/Image")
            image.attrs["Unit"] = letters("um")
            for axis, (n, step) in enumerate(zip(data.shape[:1:-1], (0.25, 0.5, 2.0), strict=True)):
                image.attrs[f"ExtMin{axis}"] = letters("-3.5")
                image.attrs[f"ExtMax{axis}"] = letters(str(n * step - 3.5))


def test_imaris(tmp_path, h5py, monkeypatch):
    data = pixels((11, 2, 3, 7, 8))
    imaris(h5py, tmp_path / "a.ims", data)
    image = read_image(tmp_path / "a.ims")
    np.testing.assert_array_equal(image.data, data)
    assert (image.axes, image.channel_names) == ("TCZYX", ("Kanal ü0", "Kanal ü1"))
    assert channel_number(image, "kanal ü1") == 1
    assert size(image) == pytest.approx((2.0, 0.5, 0.25))
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    large = read_image(tmp_path / "a.ims")
    np.testing.assert_array_equal(large.data, data)
    np.testing.assert_array_equal(large.read(10, channels=[1])[0], data[10, 1])
    imaris(h5py, tmp_path / "b.ims", data[:1, :, :1], extent=False)
    plane = read_image(tmp_path / "b.ims")
    np.testing.assert_array_equal(plane.data, data[0, :, 0])
    assert (plane.axes, plane.pixel_size) == ("CYX", None)


@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".ims"])
@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_broken_hdf5(tmp_path, h5py, ending, content):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"a{ending}"):
        read_image(path)


def test_hdf5_that_is_no_image(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["line"] = np.zeros(5)
        file["complex"] = np.zeros((5, 5), np.complex64)
    with pytest.raises(FileFormatError, match="holds no image"):
        read_image(tmp_path / "a.h5")
    (tmp_path / "a.h5").rename(tmp_path / "a.ims")
    with pytest.raises(FileFormatError, match="no complete image of Imaris"):
        read_image(tmp_path / "a.ims")
    imaris(h5py, tmp_path / "b.ims", pixels((2, 2, 3, 7, 8)))
    with h5py.File(tmp_path / "b.ims", "a") as file:
        del file["DataSet/ResolutionLevel 0/TimePoint 1/Channel 1/Data"]
    with pytest.raises(FileFormatError, match="no complete image of Imaris"):
        read_image(tmp_path / "b.ims")


# -- NumPy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes"), [((12, 13), "YX"), ((5, 12, 13), "ZYX"), ((12, 13, 3), "YXC"), ((2, 3, 12, 13), "TZYX")]
)
def test_npy(tmp_path, shape, axes, monkeypatch):
    np.save(tmp_path / "a.npy", pixels(shape))
    image = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(image.data, pixels(shape))
    assert (image.axes, image.pixel_size) == (axes, None)
    np.save(tmp_path / "b.npy", np.asfortranarray(pixels(shape)))
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    large = read_image(tmp_path / "b.npy")
    assert isinstance(large.data, da.Array)
    np.testing.assert_array_equal(large.data, pixels(shape))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.npy") if "C" not in axes else pixels(shape), pixels(shape))


def test_npy_runs_no_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harm").write_text, ("done",)

    np.save(tmp_path / "a.npy", np.array([Harm(), 1], object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps({"masks": 1}))
    np.save(tmp_path / "c.npy", pixels((12, 13)))
    (tmp_path / "c.npy").write_bytes((tmp_path / "c.npy").read_bytes()[:-30])
    (tmp_path / "d.npy").write_bytes(b"")
    for name, said in (("a", "can hold code"), ("b", "damaged"), ("c", "cut off"), ("d", "damaged")):
        with pytest.raises(FileFormatError, match=said):
            read_image(tmp_path / f"{name}.npy")
    assert not (tmp_path / "harm").exists()
    np.save(tmp_path / "e.npy", np.zeros(5))
    with pytest.raises(UNetError, match="two to five axes"):
        read_image(tmp_path / "e.npy")


def test_arrays_in_a_folder_count_where_there_are_no_other_images(tmp_path):
    np.save(tmp_path / "a.npy", pixels((5, 6)))
    np.save(tmp_path / "a_seg.npy", pixels((5, 6)))
    assert [path.name for path in image_files(tmp_path)] == ["a.npy"]
    tifffile.imwrite(tmp_path / "a.tif", pixels((5, 6)))
    assert [path.name for path in image_files(tmp_path)] == ["a.tif"]


# -- Leica -------------------------------------------------------------------------------------------------------------


def lif(path, images):
    """A LIF file by its public layout: a description in XML, and a block of memory for each image.

    `images` are pairs of name and array (T, C, Z, Y, X), the channels as blocks of each time point.
    """
    elements, blocks = "", []
    for number, (name, data) in enumerate(images):
        step, sizes = data.itemsize, dict(zip("TCZYX", data.shape, strict=True))
        strides = {letter: int(np.prod(data.shape["TCZYX".index(letter) + 1 :])) * step for letter in "TCZYX"}
        channels = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{8 * step}" NameOfMeasuredQuantity="" '
            f'Min="0" Max="1" Unit="" LUTName="{colour}" IsLUTInverted="0" BytesInc="{c * strides["C"]}" BitInc="0"/>'
            for c, colour in zip(range(sizes["C"]), ("Green", "Gray", "Red"), strict=False)
        )
        wide = {"X": 0.25e-6, "Y": 0.5e-6, "Z": 2e-6, "T": 1.0}
        dimensions = "".join(
            f'<DimensionDescription DimID="{number}" NumberOfElements="{sizes[letter]}" Origin="0" '
            f'Length="{wide[letter] * (sizes[letter] - 1)}" Unit="m" BytesInc="{strides[letter]}" BitInc="0"/>'
            for number, letter in ((1, "X"), (2, "Y"), (3, "Z"), (4, "T"))
            if sizes[letter] > 1
        )
        elements += (
            f'<Element Name="{name}" UniqueID="{number}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
            f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{data.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        blocks.append((f"MemBlock_{number}", data.tobytes()))
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="f" UniqueID="f"><Children>{elements}</Children></Element>'
        "</LMSDataContainerHeader>"
    )
    with path.open("wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml)) + xml.encode("utf-16-le"))
        for name, content in blocks:
            file.write(struct.pack("<IIBQBI", 0x70, 14 + 2 * len(name), 0x2A, len(content), 0x2A, len(name)))
            file.write(name.encode("utf-16-le") + content)


def test_leica(tmp_path, monkeypatch):
    pytest.importorskip("liffile")
    first, second = pixels((2, 2, 3, 7, 8)), pixels((1, 1, 1, 20, 30), 1, np.uint8)
    path = tmp_path / "Förster 1.lif"
    lif(path, [("Series α", first), ("overall", second), ("Series ß", first + 1)])
    assert [(one.name, one.axes, one.shape) for one in list_series(path)] == [
        ("Series α", "TCZYX", (2, 2, 3, 7, 8)),
        ("overall", "YX", (20, 30)),
        ("Series ß", "TCZYX", (2, 2, 3, 7, 8)),
    ]
    image = read_image(path, series=0)
    np.testing.assert_array_equal(image.data, first)
    assert size(image) == pytest.approx((2.0, 0.5, 0.25))
    assert image.channel_names == ("Green", "Gray")
    np.testing.assert_array_equal(read_image(path).data, second[0, 0, 0])
    np.testing.assert_array_equal(read_image(path, series="series SS").data, first + 1)
    assert len(read_image(path).notes) == 1
    lif(tmp_path / "b.lif", [("one", first), ("one", first + 1)])
    assert "1 more that are not read" in read_image(tmp_path / "b.lif").notes[0]
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    large = read_image(path, series=2)
    np.testing.assert_array_equal(large.data, first + 1)
    np.testing.assert_array_equal(large.read(1, channels=[1])[0], first[1, 1] + 1)
    found = list(find_images([path]))
    assert [one.series for one in found if isinstance(one, FoundImage)] == [0, 1, 2]


@pytest.mark.parametrize(
    "content", [b"", b"text", struct.pack("<IIBI", 0x70, 25, 0x2A, 10) + "<notxml>xx".encode("utf-16-le")]
)
def test_broken_leica(tmp_path, content):
    pytest.importorskip("liffile")
    (tmp_path / "a.lif").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a\.lif"):
        read_image(tmp_path / "a.lif")
    assert [one.path.name for one in find_images([tmp_path / "a.lif"]) if isinstance(one, LeftOut)] == ["a.lif"]


# -- Nikon -------------------------------------------------------------------------------------------------------------


class FakeND2:
    """What the library nd2 shows of a file of the axes T, P, Z, C, Y, X: no program but Nikon's writes such files."""

    data = pixels((2, 3, 4, 2, 6, 7))
    opened = 0

    def __init__(self, path):
        if path.read_bytes() != b"nd2":
            raise OSError("file is not an ND2 file")
        type(self).opened += 1
        self.sizes = dict(zip("TPZCYX", self.data.shape, strict=True))
        self.dtype = self.data.dtype
        self.metadata = SimpleNamespace(
            channels=[SimpleNamespace(channel=SimpleNamespace(name=name)) for name in ("DAPI", "FITC")]
        )
        points = [SimpleNamespace(name=name) for name in ("A1", None, "井戸 2")]
        loops = [("TimeLoop", None), ("XYPosLoop", SimpleNamespace(points=points)), ("ZStackLoop", None)]
        self.experiment = [SimpleNamespace(type=kind, parameters=about) for kind, about in loops]

    def voxel_size(self):
        return SimpleNamespace(x=0.25, y=0.5, z=2.0)

    def read_frame(self, index):
        return self.data.reshape(-1, 2, 6, 7)[index]

    def close(self):
        type(self).opened -= 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def test_nikon(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nd2", SimpleNamespace(ND2File=FakeND2))
    path = tmp_path / "a.nd2"
    path.write_bytes(b"nd2")
    assert [(one.number, one.name, one.axes) for one in list_series(path)] == [
        (0, "A1", "TZCYX"), (1, "", "TZCYX"), (2, "井戸 2", "TZCYX"),
    ]  # fmt: skip
    image = read_image(path, series="井戸 2")
    np.testing.assert_array_equal(image.data, FakeND2.data[:, 2])
    assert (image.axes, size(image), image.channel_names) == ("TZCYX", (2.0, 0.5, 0.25), ("DAPI", "FITC"))
    assert FakeND2.opened == 0
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    large = read_image(path, series=1)
    np.testing.assert_array_equal(large.read(1, channels=[1])[0], FakeND2.data[1, 1, :, 1])
    assert FakeND2.opened == 1
    del large
    gc.collect()  # older releases of dask keep a circle
    assert FakeND2.opened == 0
    with pytest.raises(UNetError, match="no scene B2; it has 0 'A1'"):
        read_image(path, series="B2")
    assert FakeND2.opened == 0
    path.write_bytes(b"text")
    with pytest.raises(FileFormatError, match=r"a\.nd2"):
        read_image(path)


# -- all ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "module", "extra"),
    [(".nd2", "nd2", "nd2"), (".lif", "liffile", "lif"), (".ims", "h5py", "hdf5"), (".h5", "h5py", "hdf5")],
)
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, ending, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / f"a b{ending}").write_bytes(b"x")
    for call in (read_image, list_series):
        with pytest.raises(FileFormatError) as error:
            call(tmp_path / f"a b{ending}")
        assert (
            str(error.value) == f'a b{ending} needs one more package: pip install "napari-unet-interactive[{extra}]".'
        )


@pytest.mark.parametrize("ending", [".czi", ".nd2", ".lif", ".ims", ".h5", ".npy"])
def test_a_tiff_of_another_ending_is_told(tmp_path, ending):
    tifffile.imwrite(tmp_path / "a.tif", pixels((5, 6)))
    (tmp_path / "a.tif").rename(tmp_path / f"a{ending}")
    with pytest.raises(FileFormatError, match=f"a{ending}"):
        read_image(tmp_path / f"a{ending}")


def test_a_picture_of_too_many_pixels_is_not_called_damaged(tmp_path, monkeypatch):
    PIL.Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 700)
    with pytest.raises(
        FileFormatError, match=r"^a\.png has more pixels than are read of a picture\. Save it as TIFF\.$"
    ):
        read_image(tmp_path / "a.png")
