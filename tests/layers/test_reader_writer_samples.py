from __future__ import annotations

import dask.array as da
import napari
import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.layers._source import Source

from napari_unet.axes import PixelSize
from napari_unet.errors import FileFormatError
from napari_unet.io import lazy
from napari_unet.io.readers import read_image, read_labels
from napari_unet.io.writers import write_labels, write_maps
from napari_unet.io.zarr_writer import create_zarr
from napari_unet.layers import samples
from napari_unet.layers.reader import get_reader, read_layers
from napari_unet.layers.writer import write_labels_layer


def layers(path):
    reader = get_reader(path)
    assert reader is not None
    return [Layer.create(*layer_data) for layer_data in reader(path)]


def test_a_stack_in_micrometres(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (4, 20, 30)).astype(np.uint16)
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(2, 2), metadata=metadata)
    (layer,) = layers(str(tmp_path / "a.tif"))
    assert isinstance(layer, Image)
    assert layer.name == "a"
    assert layer.axis_labels == ("z", "y", "x")
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_allclose(layer.scale, (2, 0.5, 0.5))
    assert layer.metadata["napari_unet"]["axes"] == "ZYX"
    assert layer.metadata["napari_unet"]["source"].endswith("a.tif")
    np.testing.assert_array_equal(layer.data, data)


def test_unknown_pixel_size_leaves_scale_and_units_alone(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8))
    ((_, options, _),) = read_layers(tmp_path / "a.tif")
    assert "scale" not in options
    assert "units" not in options
    (layer,) = layers(tmp_path / "a.tif")
    assert [str(unit) for unit in layer.units] == ["pixel"] * 2


def test_time_and_unknown_depth_are_not_given_a_length(tmp_path):
    metadata = {"axes": "TZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((2, 3, 20, 30), np.uint8), ome=True, metadata=metadata)
    (layer,) = layers(tmp_path / "a.ome.tif")
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel", "micrometer", "micrometer"]
    np.testing.assert_allclose(layer.scale, (1, 1, 0.5, 0.5))


@pytest.mark.parametrize("threshold", [0, lazy.IN_MEMORY_BYTES])
def test_channels_are_layers_of_their_own(tmp_path, monkeypatch, threshold):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", threshold)
    data = np.random.default_rng(0).integers(0, 99, (4, 2, 20, 30)).astype(np.uint16)
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata)
    first, second = layers(tmp_path / "a.ome.tif")
    assert (first.name, second.name) == ("a DAPI", "a GFP")
    assert (first.colormap.name, second.colormap.name) == ("green", "magenta")
    assert first.blending == second.blending == "additive"
    assert second.metadata["napari_unet"]["axes"] == "ZYX"
    assert isinstance(second.data, da.Array) == (threshold == 0)
    np.testing.assert_array_equal(np.asarray(second.data), data[:, 1])


def test_colour_is_one_layer(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    (layer,) = layers(tmp_path / "a.tif")
    assert layer.rgb
    assert layer.axis_labels == ("z", "y", "x")
    assert layer.metadata["napari_unet"]["axes"] == "ZYXC"


@pytest.mark.parametrize("name", ["a_labels.tif", "a.zarr"])
def test_labels_are_recognised_and_can_be_painted(tmp_path, name):
    labels = np.arange(600).reshape(20, 30)
    write_labels(tmp_path / name, labels, "YX", PixelSize(0.5, 0.5))
    (layer,) = layers(tmp_path / name)
    assert isinstance(layer, Labels)
    assert isinstance(layer.data, np.ndarray)
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    layer.paint((3, 3), 700)
    np.testing.assert_array_equal(read_labels(tmp_path / name), labels)


def test_several_files(tmp_path):
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in paths:
        tifffile.imwrite(path, np.zeros((8, 9), np.uint8))
    assert [options["name"] for _, options, _ in read_layers(paths)] == ["a", "b"]
    assert get_reader([str(path) for path in paths]) is None, "a list is to be one stack: napari's own reader makes it"
    assert [layer.name for layer in layers([str(paths[1])])] == ["b"]


def test_other_kinds_are_left_to_other_readers(tmp_path):
    for name in ("a.oib", "a.csv", "project.json"):
        (tmp_path / name).write_text("{}")
        assert get_reader(str(tmp_path / name)) is None
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8))
    assert get_reader(tmp_path / "not there.tif") is None
    assert get_reader([tmp_path / "a.tif", tmp_path / "a.csv"]) is None
    assert get_reader([]) is None
    assert get_reader(tmp_path) is None
    for name in ("empty.zarr", "a file.unetproj"):
        (tmp_path / name).mkdir() if name.endswith("zarr") else (tmp_path / name).write_text("")
        assert get_reader(tmp_path / name) is None


def test_a_bad_file_is_told_in_words(tmp_path):
    (tmp_path / "a.tif").write_text("no image")
    reader = get_reader(tmp_path / "a.tif")
    with pytest.raises(FileFormatError, match="cannot be read as a TIFF"):
        reader(tmp_path / "a.tif")


# Writer


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
@pytest.mark.parametrize(("unit", "factor"), [("um", 1), ("nm", 1e-3), ("pixel", None)])
def test_a_labels_layer_is_written(tmp_path, name, unit, factor):
    labels = np.random.default_rng(0).integers(0, 300, (3, 20, 30))
    layer = Labels(labels, scale=(1, 4, 2), units=("pixel", unit, unit), axis_labels=("t", "y", "x"))
    data, meta, _ = layer.as_layer_data_tuple()
    path = str(tmp_path / name)
    assert write_labels_layer(path, data, meta) == [path]
    assert write_labels_layer(path, data, meta) == [path]  # napari has asked
    image = read_image(path)
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data, labels)
    if factor is None:
        assert image.pixel_size is None
    else:
        assert image.pixel_size.y == pytest.approx(4 * factor)
        assert image.pixel_size.x == pytest.approx(2 * factor)


def test_axes_without_labels_come_from_the_reader_or_are_guessed(tmp_path):
    labels = np.ones((3, 20, 30), int)
    for metadata, axes in [
        ({"napari_unet": {"axes": "TYX"}}, "TYX"),
        ({}, "ZYX"),
        ({"napari_unet": 3}, "ZYX"),
    ]:
        data, meta, _ = Labels(labels, metadata=metadata).as_layer_data_tuple()
        write_labels_layer(str(tmp_path / "a.tif"), data, meta)
        assert read_image(tmp_path / "a.tif").axes == axes


def test_multiscale_labels_are_written_in_full(tmp_path):
    full = np.ones((40, 60), int)
    data, meta, _ = Labels([full, full[::2, ::2]], multiscale=True).as_layer_data_tuple()
    write_labels_layer(str(tmp_path / "a.tif"), data, {**meta, "multiscale": True})
    assert read_labels(tmp_path / "a.tif").shape == (40, 60)


@pytest.mark.parametrize("reader", ["ours", "another"])
@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_the_file_of_an_open_image_is_never_replaced(tmp_path, monkeypatch, reader, name):
    pytest.importorskip("qtpy")
    path = tmp_path / name
    if name == "a.tif":
        tifffile.imwrite(path, np.full((20, 30), 7, np.uint8))
    else:
        write_maps(path, np.full((1, 20, 30), 7.0), "CYX")
    viewer = ViewerModel()
    if reader == "ours":
        viewer.add_layer(Layer.create(*read_layers(path)[0]))
    else:
        viewer.add_image(np.full((20, 30), 7, np.uint8))._source = Source(path=str(path), reader_plugin="napari")
    monkeypatch.setattr(napari, "current_viewer", lambda: viewer)
    labels = viewer.add_labels(np.ones((20, 30), int))
    data, meta, _ = labels.as_layer_data_tuple()
    (tmp_path / "link.tif").symlink_to(path)
    for target in (path, tmp_path / "link.tif", *([path / "0" / "l.tif"] if name == "a.zarr" else [])):
        with pytest.raises(FileFormatError, match="the file of an image that is open"):
            write_labels_layer(str(target), data, meta)
    assert (np.asarray(read_image(path).data) == 7).all()
    other = str(tmp_path / "a_labels.tif")
    for _ in range(2):  # labels may be saved over the file that they were read from
        assert write_labels_layer(other, data, meta) == [other]
        viewer.add_layer(layers(other)[0])


def test_labels_that_are_painted_in_their_file_are_not_written_over_it(tmp_path, monkeypatch):
    path = write_labels(tmp_path / "a_labels.zarr", np.full((20, 30), 70000), "YX")
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    (layer,) = layers(path)
    layer.data[0:2, 0:2] = 5
    data, meta, _ = layer.as_layer_data_tuple()
    with pytest.raises(FileFormatError, match="read from and painted in"):
        write_labels_layer(str(path), data, meta)
    assert write_labels_layer(str(tmp_path / "b.tif"), data, meta)
    for name in ("a_labels.zarr", "b.tif"):
        assert set(np.unique(read_labels(tmp_path / name))) == {5, 70000}


# Samples


@pytest.mark.parametrize(
    ("make", "name", "axes", "rgb"),
    [
        (samples.nuclei_2d, "nuclei", "YX", False),
        (samples.nuclei_stack, "nuclei stack", "TYX", False),
        (samples.histology, "histology", "YXC", True),
    ],
)
def test_samples(make, name, axes, rgb):
    ((data, options, kind),) = make()
    layer = Layer.create(data, options, kind)
    assert layer.name == name
    assert layer.metadata["napari_unet"]["axes"] == axes
    assert layer.rgb is rgb
    assert isinstance(data, np.ndarray)
    assert data.max() > 100


@pytest.mark.parametrize(("shape", "axes"), [((200, 300), "YX"), ((4, 200, 300), "ZYX")])
def test_large_label_files_are_painted_where_they_are(tmp_path, monkeypatch, shape, axes):
    """A result larger than memory is corrected with napari's tools: strokes are in the file, and undone there."""
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 1000)
    path, chunks = tmp_path / "a_labels.zarr", (64,) * len(shape)
    size = PixelSize(y=0.5, x=0.5, z=2.0)
    stored = create_zarr(path, shape, axes, size, np.uint32, name="a", labels=True, chunks=chunks)
    stored[..., 20:40, 30:50] = 7
    ((data, options, kind),) = read_layers(path)
    assert kind == "labels"
    assert isinstance(data, zarr.Array), "it was not read into memory"
    layer = Labels(data, **options)
    assert layer.scale[-1] == 0.5
    assert str(layer.units[-1]) == "micrometer"
    layer.brush_size = 5
    front = (0,) * (len(shape) - 2)
    layer.paint((*front, 100, 100), 9)
    layer.fill((*front, 30, 35), 3)
    plane = stored[front] if front else stored[...]
    assert (plane == 9).sum() > 15
    assert (plane == 3).sum() == 400
    layer.undo()
    plane = stored[front] if front else stored[...]
    assert (plane == 7).sum() == 400
    layer.undo()
    assert not (stored[...] == 9).any()


def ome_zarr(path, scale, translation=None, unit="micrometer", shape=(3, 20, 30)):
    array = create_zarr(path, shape, "ZYX", None, np.uint8, name="a")
    group = zarr.open_group(path)
    steps = [{"type": "scale", "scale": scale}]
    steps += [] if translation is None else [{"type": "translation", "translation": translation}]
    axes = [{"name": letter, "type": "space"} | ({"unit": unit} if unit else {}) for letter in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return array


def test_a_layer_lies_where_its_file_says_and_labels_of_it_are_written_there(tmp_path):
    ome_zarr(tmp_path / "a.zarr", [2000, 500, 250], [10_000, 20_000, 30_000], "nanometer")
    (layer,) = layers(str(tmp_path / "a.zarr"))
    np.testing.assert_allclose(layer.scale, (2, 0.5, 0.25))
    np.testing.assert_allclose(layer.translate, (10, 20, 30))
    labels = Labels(np.ones(layer.data.shape, int), scale=layer.scale, translate=layer.translate, units=layer.units)
    write_labels_layer(str(tmp_path / "b.zarr"), *labels.as_layer_data_tuple()[:2])
    (back,) = layers(str(tmp_path / "b.zarr"))
    np.testing.assert_allclose(back.scale, layer.scale)
    np.testing.assert_allclose(back.translate, layer.translate)
    assert back.units == layer.units


def test_a_scale_without_a_unit_is_a_scale_in_pixels(tmp_path):
    ome_zarr(tmp_path / "a.zarr", [4, 0.5, 0.5], [8, 1, 1], unit="")
    (layer,) = layers(str(tmp_path / "a.zarr"))
    np.testing.assert_allclose(layer.scale, (4, 0.5, 0.5))
    np.testing.assert_allclose(layer.translate, (8, 1, 1))
    assert [str(unit) for unit in layer.units] == ["pixel"] * 3
    assert "without a unit" in layer.metadata["napari_unet"]["notes"][0]
    write_labels_layer(str(tmp_path / "b.zarr"), np.ones(layer.data.shape, int), layer.as_layer_data_tuple()[1])
    (multiscale,) = zarr.open(tmp_path / "b.zarr").attrs["multiscales"]
    steps = multiscale["datasets"][0]["coordinateTransformations"]
    assert steps == [{"type": "scale", "scale": [4, 0.5, 0.5]}, {"type": "translation", "translation": [8, 1, 1]}]


def test_every_image_of_a_file_is_a_layer_and_the_one_that_is_meant_is_shown(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (3, 20, 30)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for number, plane in enumerate(data):
            writer.write(plane, metadata={"axes": "YX", "Name": f"p{number}"})
    found = layers(str(tmp_path / "a.ome.tif"))
    assert [layer.name for layer in found] == ["a p1", "a p2", "a p0"]
    assert [layer.visible for layer in found] == [False, False, True]
    for layer, number in zip(found, (1, 2, 0), strict=True):
        np.testing.assert_array_equal(layer.data, data[number])


def test_of_many_images_one_is_a_layer_and_it_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.layers.reader.MAX_SERIES", 2)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for _ in range(3):
            writer.write(np.zeros((20, 30), np.uint8), metadata={"axes": "YX"})
    (layer,) = layers(str(tmp_path / "a.ome.tif"))
    assert "holds 3 images" in layer.metadata["napari_unet"]["notes"][0]


def test_labels_with_a_palette_stay_numbers(tmp_path):
    from PIL import Image as Picture

    numbers = np.random.default_rng(0).integers(0, 9, (20, 30)).astype(np.uint8)
    picture = Picture.fromarray(numbers, "P")
    picture.putpalette(np.random.default_rng(1).integers(0, 255, 768).astype(np.uint8).tolist())
    picture.save(tmp_path / "a_labels.png")
    picture.save(tmp_path / "b.png")
    (labels,), (image,) = layers(str(tmp_path / "a_labels.png")), layers(str(tmp_path / "b.png"))
    assert isinstance(labels, Labels)
    np.testing.assert_array_equal(labels.data, numbers)
    assert image.rgb
