"""Which image of a file, or of a set of files, is read: its own, or the largest, and never another without a word."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Picture

from napari_unet.errors import FileFormatError, ImageError
from napari_unet.io.jobs import FileJob
from napari_unet.io.readers import list_series, read_image
from napari_unet.io.tiffs import files_read

UUIDS = [f"urn:uuid:00000000-0000-0000-0000-00000000000{i}" for i in range(3)]
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def pixels(seed, shape=(24, 32)):
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def set_of_positions(uuids=UUIDS, files=("p0.ome.tif", "p1.ome.tif", "p2.ome.tif"), names=True):
    """The images of a set, as OME-XML: one for each file, of another pixel size each."""
    xml = ""
    for k, (uuid, file) in enumerate(zip(uuids, files, strict=True)):
        named = f' FileName="{file}"' if names else ""
        xml += (
            f'<Image ID="Image:{k}" Name="Pos{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="32" SizeY="24" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="{k + 1}" PhysicalSizeY="{k + 1}">'
            f'<Channel ID="Channel:{k}:0" Name="c{k}" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1">'
            f"<UUID{named}>{uuid}</UUID></TiffData></Pixels></Image>"
        )
    return xml


def write_ome(path, data, images, uuid=None):
    own = f' UUID="{uuid}"' if uuid else ""
    xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}"{own}>{images}</OME>'
    with tifffile.TiffWriter(path) as writer:
        for number, plane in enumerate(data):
            writer.write(plane, description=xml if number == 0 else None, metadata=None, contiguous=False)


def is_position(path, k):
    image = read_image(path)
    np.testing.assert_array_equal(image.data, pixels(k))
    assert (image.pixel_size.y, image.pixel_size.x) == (k + 1, k + 1)
    assert image.notes == ()
    assert [one.number for one in list_series(path)] == [k]


@pytest.mark.parametrize("own", ["uuids", "names"])
def test_each_file_of_a_set_is_read_as_itself(tmp_path, own):
    for k in range(3):
        write_ome(tmp_path / f"p{k}.ome.tif", [pixels(k)], set_of_positions(), UUIDS[k] if own == "uuids" else None)
    for k in range(3):
        is_position(tmp_path / f"p{k}.ome.tif", k)
    other = read_image(tmp_path / "p0.ome.tif", series=2)
    np.testing.assert_array_equal(other.data, pixels(2))
    assert other.pixel_size.x == 3
    with pytest.raises(ImageError, match="no scene 3; it has 0 'Pos0'"):
        read_image(tmp_path / "p0.ome.tif", series=3)


def test_a_file_of_a_set_that_is_alone_or_renamed_is_read_as_itself(tmp_path):
    write_ome(tmp_path / "p1.ome.tif", [pixels(1)], set_of_positions(), UUIDS[1])
    is_position(tmp_path / "p1.ome.tif", 1)
    (tmp_path / "p1.ome.tif").rename(tmp_path / "p2.ome.tif")
    is_position(tmp_path / "p2.ome.tif", 1)


def test_one_description_copied_to_all_files_is_told_apart_by_their_names(tmp_path):
    for k in range(3):
        write_ome(tmp_path / f"p{k}.ome.tif", [pixels(k)], set_of_positions(), UUIDS[0])
    for k in range(3):
        is_position(tmp_path / f"p{k}.ome.tif", k)


def test_a_renamed_file_that_nothing_tells_of_is_refused_and_a_single_one_is_read(tmp_path):
    write_ome(tmp_path / "a.ome.tif", [pixels(1)], set_of_positions())
    with pytest.raises(ImageError, match=r"renamed.*old name back, such as p0\.ome\.tif"):
        read_image(tmp_path / "a.ome.tif")
    write_ome(tmp_path / "b.ome.tif", [pixels(0)], set_of_positions(UUIDS[:1], ["p0.ome.tif"]))
    is_position(tmp_path / "b.ome.tif", 0)


def write_stack(folder):
    """Write an image over three files."""
    blocks = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="z{z}.ome.tif">{UUIDS[z]}</UUID></TiffData>'
        for z in range(3)
    )
    xml = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="32" SizeY="24" SizeC="1" '
        f'SizeZ="3" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{blocks}</Pixels></Image>'
    )
    for z in range(3):
        write_ome(folder / f"z{z}.ome.tif", [pixels(z)], xml, UUIDS[z])


def test_an_image_over_several_files_is_read_whole_from_any_of_them(tmp_path):
    write_stack(tmp_path)
    for z in range(3):
        image = read_image(tmp_path / f"z{z}.ome.tif")
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(image.data, [pixels(0), pixels(1), pixels(2)])
    (tmp_path / "z1.ome.tif").unlink()
    with pytest.raises(FileFormatError, match="several files"):
        read_image(tmp_path / "z0.ome.tif")


def write_with_companion(folder):
    """Write three files of an image each, described in a fourth one."""
    companion = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}" UUID="urn:uuid:x">{set_of_positions()}</OME>'
    )
    (folder / "set.companion.ome").write_text(companion)
    for k in range(3):
        write_ome(folder / f"p{k}.ome.tif", [pixels(k)], '<BinaryOnly MetadataFile="set.companion.ome"/>', UUIDS[k])


def test_a_description_beside_the_files_is_read(tmp_path):
    write_with_companion(tmp_path)
    for k in range(3):
        is_position(tmp_path / f"p{k}.ome.tif", k)
    (tmp_path / "set.companion.ome").unlink()
    image = read_image(tmp_path / "p1.ome.tif")
    np.testing.assert_array_equal(image.data, pixels(1))
    assert "set.companion.ome" in image.notes[0]


def test_the_files_that_an_image_is_read_from(tmp_path):
    write_stack(tmp_path)
    assert {path.name for path in files_read(tmp_path / "z1.ome.tif")} == {f"z{z}.ome.tif" for z in range(3)}
    write_with_companion(tmp_path)
    assert [path.name for path in files_read(tmp_path / "p1.ome.tif")] == ["p1.ome.tif", "set.companion.ome"]
    tifffile.imwrite(tmp_path / "alone.tif", pixels(0))
    (tmp_path / "damaged.tif").write_bytes(b"II*")
    for name in ("alone.tif", "damaged.tif", "gone.tif", "z0.zarr"):
        assert files_read(tmp_path / name) == [tmp_path / name]


@pytest.mark.parametrize("write", [write_stack, write_with_companion])
def test_no_result_replaces_a_file_that_the_image_is_read_from(tmp_path, write):
    write(tmp_path)
    source, *others = files_read(next(iter(sorted(tmp_path.glob("*.ome.tif")))))
    for other in others:
        with pytest.raises(FileFormatError, match="is an input"):
            FileJob(source, other).check(overwrite=True)
    FileJob(source, tmp_path / "labels.tif").check(overwrite=True)


def test_no_result_replaces_another_image_of_the_set(tmp_path):
    for k in range(3):
        write_ome(tmp_path / f"p{k}.ome.tif", [pixels(k)], set_of_positions(), UUIDS[k])
    assert files_read(tmp_path / "p0.ome.tif") == [tmp_path / "p0.ome.tif"]
    with pytest.raises(FileFormatError, match="is an input"):  # it may be read, by its number
        FileJob(tmp_path / "p0.ome.tif", tmp_path / "p1.ome.tif").check(overwrite=True)


def test_of_alike_images_the_first_is_taken_and_it_is_said_so(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for k in range(3):
            writer.write(pixels(k), metadata={"axes": "YX", "Name": f"p{k}", "PhysicalSizeX": 1.0 + k})
    image = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.data, pixels(0))
    (note,) = image.notes
    assert note.startswith("a.ome.tif holds 3 images; the first was taken, number 0 'p0' (24×32).")
    assert "--scene: 1 'p1' (24×32), 2 'p2' (24×32)" in note
    third = read_image(tmp_path / "a.ome.tif", series=2)
    np.testing.assert_array_equal(third.data, pixels(2))
    assert third.pixel_size.x == 3
    assert third.notes == ()
    assert [(one.number, one.name, one.shape) for one in list_series(tmp_path / "a.ome.tif")] == [
        (k, f"p{k}", (24, 32)) for k in range(3)
    ]


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("name", ["thumbnail", "image"])
def test_the_largest_is_taken_not_a_thumbnail(tmp_path, ome, name):
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    with tifffile.TiffWriter(path, ome=ome) as writer:
        writer.write(pixels(0, (12, 16)), metadata={"axes": "YX", "Name": name} if ome else None)
        writer.write(pixels(1), metadata={"axes": "YX", "Name": "cells"} if ome else None)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, pixels(1))
    assert "holds 2 images; the largest was taken, number 1" in image.notes[0]
    np.testing.assert_array_equal(read_image(path, series=0).data, pixels(0, (12, 16)))


def test_smaller_copies_that_are_called_so_are_no_images_of_their_own(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels(0, (12, 16)), metadata=None, subfiletype=1)
        writer.write(pixels(1), metadata=None)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, pixels(1))
    assert image.notes == ()


def test_pictures_of_several_frames(tmp_path):
    frames = [Picture.fromarray(pixels(k)) for k in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.data, pixels(0))
    assert "holds 3 images" in image.notes[0]
    assert read_image(tmp_path / "a.png", series=1).notes == ()
    with pytest.raises(ImageError, match="no scene 3; it has 0 "):
        read_image(tmp_path / "a.png", series=3)


@pytest.mark.parametrize("asked", [-1, 1.5, "", True])
def test_a_series_is_a_whole_number(tmp_path, asked):
    tifffile.imwrite(tmp_path / "a.tif", pixels(0))
    with pytest.raises(ImageError, match="whole number from 0"):
        read_image(tmp_path / "a.tif", series=asked)


def test_several_pyramids_in_one_zarr_folder(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    entries = []
    for k, shape in enumerate([(12, 16), (24, 32)]):
        group.create_array(f"{k}/0", data=pixels(k, shape), chunks=shape)
        entries.append({"name": f"m{k}", "axes": ["y", "x"], "datasets": [{"path": f"{k}/0"}]})
    group.attrs["multiscales"] = entries
    image = read_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.data, pixels(1))
    assert "holds 2 images; the largest was taken, number 1 'm1'" in image.notes[0]
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", series=0).data, pixels(0, (12, 16)))


# -- by name -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def positions(tmp_path):
    path = tmp_path / "lame à lumière 3.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, name in enumerate(("Pos A", "488", "試料 ß", "Pos a", "twice", "twice", "007")):
            writer.write(pixels(number), metadata={"axes": "YX", "Name": name})
    return path


@pytest.mark.parametrize(
    ("asked", "number"),
    [(0, 0), ("0", 0), ("Pos A", 0), ("Pos a", 3), (488, 1), ("488", 1), ("試料 ß", 2), (" 試料 SS ", 2), ("007", 6)],
)
def test_a_scene_by_name_or_number(positions, asked, number):
    np.testing.assert_array_equal(read_image(positions, series=asked).data, pixels(number))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Pos B", "has no scene Pos B; it has 0 'Pos A'"),
        (9, "has no scene 9; it has 0 'Pos A'"),
        ("twice", "several scenes called twice: choose by number, 4 and 5"),
        ("pos a", "several scenes called pos a: choose by number, 0 and 3"),
        ("", "a name"),
        (" ", "a name"),
        (-1, "whole number from 0"),
        (True, "whole number from 0"),
        (1.0, "whole number from 0"),
    ],
)
def test_no_such_scene(positions, asked, said):
    with pytest.raises(ImageError, match=said):
        read_image(positions, series=asked)
