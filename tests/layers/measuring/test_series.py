"""What is measured is the image that was segmented: of several in a file, of channels, and of axes that were chosen."""

from __future__ import annotations

import csv
import json
import runpy
import shlex
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from hand_made import squares
from hand_made_series import KINDS, pixels, several, values
from napari_unet.cli import app
from napari_unet.layers.image import adapter
from napari_unet.layers.measuring.exporter import Request
from napari_unet.measuring.kinds import Kind
from napari_unet.projects.project import Project
from napari_unet.projects.results import measure_projects
from napari_unet.projects.segmenting import new_project


def layer_of(controller: Any, series: int, channel: int) -> Any:
    """Return the layer that is a channel of one of the images of a file."""
    (found,) = [
        layer
        for layer in controller.viewer.layers
        if adapter.is_image_layer(layer) and (adapter.series_of(layer), adapter.channel_of(layer)) == (series, channel)
    ]
    return found


def segmented(controller: Any, path: Any, series: int, channel: int) -> None:
    """Open a file and segment one of its channels."""
    assert controller.open([path])
    controller.choose_layer(layer_of(controller, series, channel))
    assert controller.segment()


def means(table: Any) -> dict[int, float]:
    return {n: table[f"intensity_mean_channel{n}"].max() for n in range(2)}


def right(series: int) -> dict[int, float]:
    return {n: values(series, n) for n in range(2)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("series", "channel"), [(0, 1), (1, 0), (2, 1)])
def test_each_of_several_images(controller: Any, tmp_path: Any, kind: str, series: int, channel: int) -> None:
    path = several(tmp_path / "a.tif", kind)
    segmented(controller, path, series, channel)
    assert controller.results.measure()
    assert means(controller.results.table) == right(series)
    # As a project: the image is named, not copied, and opened and measured as it was.
    saved = tmp_path / "p.unetproj"
    assert controller.projects.save(saved)
    said = json.loads((saved / "project.json").read_text())["image"]
    assert (said["file_series"], said["file_channel"]) == (series, channel)
    assert not list(saved.glob("image-*.zarr"))
    assert means(measure_projects(saved)) == right(series)
    controller.viewer.layers.clear()
    assert controller.projects.open(saved)
    assert adapter.series_of(controller.workspace.layer) == series
    assert controller.results.measure()
    assert means(controller.results.table) == right(series)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("series", [None, 2])
def test_a_list_measures_what_it_segmented(tmp_path: Any, kind: str, series: int | None) -> None:
    path = several(tmp_path / "a.tif", kind)
    project = new_project(path, series, channel=0)
    project.labels[10:20, 40:50] = 1
    project.save(tmp_path / "p.unetproj")
    again = Project.open(tmp_path / "p.unetproj")
    assert (again.image_path, again.image_series) == (path.resolve(), series)
    assert means(measure_projects(tmp_path / "p.unetproj")) == right(series or 0)


def test_a_project_goes_on_where_it_was(controller: Any, tmp_path: Any) -> None:
    """A layer of another image in the same file is not taken for that of the project."""
    path = several(tmp_path / "a.tif", "scenes")
    segmented(controller, path, 1, 0)
    assert controller.projects.save(tmp_path / "p.unetproj")
    controller.viewer.layers.clear()
    controller.open([path])
    assert controller.projects.open(tmp_path / "p.unetproj")
    assert controller.workspace.layer is layer_of(controller, 1, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_commands_and_python_name_it(controller: Any, tmp_path: Any, kind: str) -> None:
    path = several(tmp_path / "a.tif", kind)
    segmented(controller, path, 2, 0)
    request = Request((Kind.measurements, Kind.imagej_tiff), tmp_path / "out")
    assert controller.exporter.export(request)
    with (tmp_path / "out" / "measurements.csv").open(newline="") as file:
        window = list(csv.DictReader(file))
    for line in controller.exporter.command().splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
    with (tmp_path / "out_again" / "measurements.csv").open(newline="") as file:
        commands = list(csv.DictReader(file))
    script = tmp_path / "script.py"
    script.write_text(controller.exporter.python().replace("out_again", "out_python"))
    runpy.run_path(str(script))
    with (tmp_path / "out_python" / "measurements.csv").open(newline="") as file:
        scripted = list(csv.DictReader(file))
    for rows in (window, commands, scripted):
        assert len(rows) == 3
        assert {float(row["intensity_mean_channel1"]) for row in rows} == {values(2, 1)}


@pytest.mark.parametrize(("stored", "chosen"), [("CZYX", "TYX"), ("CTYX", "ZYX"), ("ZCYX", "TYX")])
def test_axes_that_the_user_has_chosen(controller: Any, tmp_path: Any, stored: str, chosen: str) -> None:
    """Slices taken for time points, and the reverse: all channels are measured so, too."""
    data = np.stack([np.stack([values(0, n) * squares()] * 3) for n in range(2)]).astype(np.uint8)
    data = data if stored[0] == "C" else data.swapaxes(0, 1)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata={"axes": stored})
    controller.open([path])
    controller.choose_layer(layer_of(controller, None, 0))
    controller.workspace.set_axes(chosen)
    assert controller.segment()
    assert controller.results.measure()
    table = controller.results.table
    assert means(table) == right(0)
    assert ("time" in table, len(table)) == ((True, 9) if chosen == "TYX" else (False, 3))


def test_pixels_that_were_changed_since(controller: Any, tmp_path: Any) -> None:
    """Another file under the same name is not measured for the image in the window."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(0), imagej=True, metadata={"axes": "CYX"})
    controller.open([path])
    controller.choose_layer(layer_of(controller, None, 0))
    controller.segment()
    tifffile.imwrite(path, pixels(2), imagej=True, metadata={"axes": "CYX"})
    assert controller.results.measure()
    assert controller.results.table["intensity_mean"].max() == values(0, 0)
    assert "a.tif has other pixels than are open here" in controller.messages[-1].text
