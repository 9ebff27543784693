"""Write the tables of round trips in docs/files.md: what other libraries read of files written here, and the reverse.

    pip install --target LIBS bioio bioio-ome-tiff bioio-ome-zarr bioio-tifffile ome-zarr ngff-zarr yaozarrs
    PYTHONPATH=LIBS python docs/make_round_trips.py

Each trip writes a small image or labels with one library, reads them with another, and says what came back. These
libraries are no dependencies of anything here.
"""

from __future__ import annotations

import datetime
import itertools
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_unet.axes import PixelSize, Placement
from napari_unet.io.readers import read_image
from napari_unet.io.writers import write_labels, write_maps
from napari_unet.io.zarr_labels import write_labels_into
from napari_unet.io.zarrs import plate_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Found = dict[str, bool]
    Trip = Callable[[Path], Found]

PAGE = Path(__file__).with_name("files.md")
BEGIN, END = "<!-- round trips -->", "<!-- /round trips -->"

IMAGE = np.random.default_rng(0).integers(0, 4000, (2, 4, 32, 48)).astype(np.uint16)  # C, Z, Y, X
LABELS = np.random.default_rng(1).integers(0, 300, (4, 32, 48)).astype(np.int32)  # Z, Y, X
SERIES = np.random.default_rng(2).integers(0, 300, (3, 4, 32, 48)).astype(np.int32)  # T, Z, Y, X
SCALE = {"z": 2.0, "y": 0.5, "x": 0.25}
ORIGIN = {"z": 10.0, "y": -4.0, "x": 7.0}
SIZE = PixelSize(z=2.0, y=0.5, x=0.25)
NAMES = ["DAPI", "GFP ü"]

PLACE = Placement("ZYX", tuple(SCALE.values()), tuple(ORIGIN.values()), ("micrometer",) * 3)


def close(found: Any, expected: Any) -> bool:
    """Return whether numbers are the same but for rounding; False where there are none."""
    try:
        return bool(np.allclose(np.asarray(found, float), np.asarray(expected, float), rtol=1e-4))
    except (TypeError, ValueError):
        return False


def same(found: Any, expected: Any) -> bool:
    """Return whether pixels are the same, but for axes of length 1."""
    return np.array_equal(np.squeeze(np.asarray(found)), np.squeeze(expected))


# -- written here, read by others --------------------------------------------------------------------------------------


def imagej_by_tifffile(folder: Path) -> Found:
    """Labels as ImageJ TIFF."""
    write_labels(folder / "a.tif", SERIES, "TZYX", SIZE)
    with tifffile.TiffFile(folder / "a.tif") as file:
        about, page = file.imagej_metadata or {}, file.pages[0]
        wide = [page.tags[name].value for name in ("XResolution", "YResolution")]
        sizes = [about.get("spacing"), *(below / above for above, below in reversed(wide))]
        return {
            "pixels": same(file.asarray(), SERIES),
            "axes": file.series[0].axes == "TZYX",
            "pixel size": close(sizes, list(SCALE.values())) and about.get("unit") in ("um", "micron"),
        }


def ome_by_tifffile(folder: Path) -> Found:
    """Labels as OME-TIFF."""
    write_labels(folder / "a.ome.tif", SERIES, "TZYX", SIZE)
    with tifffile.TiffFile(folder / "a.ome.tif") as file:
        text = file.ome_metadata or ""
        return {
            "pixels": same(file.asarray(), SERIES),
            "axes": file.series[0].axes == "TZYX",
            "pixel size": all(f'PhysicalSize{a}="{SCALE[a.lower()]}"' in text for a in "XYZ"),
        }


def tiff_by_bioio(name: str) -> Trip:
    """Return the trip of labels as a TIFF."""

    def trip(folder: Path) -> Found:
        from bioio import BioImage

        write_labels(folder / name, SERIES, "TZYX", SIZE)
        found = BioImage(folder / name)
        return {
            "pixels": same(found.get_image_data("TZYX"), SERIES),
            "axes": (found.dims.T, found.dims.C, found.dims.Z) == (3, 1, 4),
            "pixel size": close(tuple(found.physical_pixel_sizes), list(SCALE.values())),
        }

    return trip


def labels_zarr(folder: Path) -> tuple[Path, Any]:
    """Write labels as OME-Zarr 0.4."""
    return write_labels(folder / "a.zarr", LABELS, "ZYX", SIZE, placement=PLACE), LABELS


def maps_zarr(folder: Path) -> tuple[Path, Any]:
    """Write maps as OME-Zarr 0.4."""
    maps = (IMAGE / 4000).astype(np.float32)
    return write_maps(
        folder / "a.zarr",
        maps,
        "CZYX",
        SIZE,
        placement=Placement("CZYX", (1.0, *PLACE.scale), (0.0, *PLACE.translation), ("", *PLACE.units)),
    ), maps


def labels_in_image(ngff: str) -> Callable[[Path], tuple[Path, Any]]:
    """Return what writes labels into an OME-Zarr image of three resolutions."""

    def write(folder: Path) -> tuple[Path, Any]:
        by_ome_zarr(ngff)(folder)
        return write_labels_into(folder / "a.zarr", LABELS, "ZYX"), LABELS

    return write


def levels_of(pixels: Any, count: int) -> list[Any]:
    """Return labels by resolution, each half as wide as the one before, by the nearest pixel."""
    return [pixels[..., 2**k // 2 :: 2**k, 2**k // 2 :: 2**k] for k in range(count)]


def zarr_by_ome_zarr(write: Callable[[Path], tuple[Path, Any]]) -> Trip:
    """Return the trip to ome-zarr-py."""

    def trip(folder: Path) -> Found:
        from ome_zarr.io import parse_url
        from ome_zarr.reader import Reader

        path, pixels = write(folder)
        nodes = list(Reader(parse_url(path))())  # for labels in an image that comes, and the list of its labels
        node = next(one for one in nodes if one.data and one.data[0].ndim == pixels.ndim)
        steps = [
            {step["type"]: step[step["type"]] for step in one} for one in node.metadata["coordinateTransformations"]
        ]
        return zarr_found(pixels, node.data, [a["name"] for a in node.metadata["axes"]], steps)

    return trip


def zarr_by_ngff_zarr(write: Callable[[Path], tuple[Path, Any]]) -> Trip:
    """Return the trip to ngff-zarr."""

    def trip(folder: Path) -> Found:
        import ngff_zarr

        path, pixels = write(folder)
        images = ngff_zarr.from_ngff_zarr(path, validate=False).images
        dims = list(images[0].dims)
        steps = [{key: [getattr(i, key)[d] for d in dims] for key in ("scale", "translation")} for i in images]
        return zarr_found(pixels, [i.data for i in images], dims, steps)

    return trip


def zarr_by_yaozarrs(write: Callable[[Path], tuple[Path, Any]]) -> Trip:
    """Return the trip to yaozarrs, which checks all metadata by the specification."""

    def trip(folder: Path) -> Found:
        import yaozarrs

        path, pixels = write(folder)
        group = yaozarrs.validate_zarr_store(path)
        multiscale = group.ome_metadata().multiscales[0]
        steps = [
            {step.type: getattr(step, step.type) for step in one.coordinateTransformations}
            for one in multiscale.datasets
        ]
        arrays = [group[one.path].to_zarr_python()[...] for one in multiscale.datasets]
        return zarr_found(pixels, arrays, [axis.name for axis in multiscale.axes], steps)

    return trip


def zarr_by_bioio(write: Callable[[Path], tuple[Path, Any]]) -> Trip:
    """Return the trip to bioio."""

    def trip(folder: Path) -> Found:
        from bioio import BioImage
        from bioio_ome_zarr import Reader

        path, pixels = write(folder)
        found = BioImage(path, reader=Reader)
        return {
            "pixels": same(found.get_image_data("CZYX" if pixels.ndim == 4 else "ZYX"), pixels),
            "pixel size": close(tuple(found.physical_pixel_sizes), list(SCALE.values())),
        }

    return trip


def zarr_found(pixels: Any, arrays: list[Any], axes: list[str], steps: list[dict[str, Any]]) -> Found:
    """Return what came back of an OME-Zarr: of the full resolution, and of all of them."""
    where = [axes.index(letter) for letter in "zyx"]
    origin = list(ORIGIN.values())
    found = {
        "pixels": same(arrays[0], pixels),
        "axes": axes == list("czyx"[-pixels.ndim :]),
        "pixel size": close([steps[0]["scale"][i] for i in where], list(SCALE.values())),
    }
    if steps[0].get("translation") and any(steps[0]["translation"]):
        found["place"] = close([steps[0]["translation"][i] for i in where], origin)
    if len(arrays) > 1:
        wanted = levels_of(pixels, len(arrays))
        right = all(same(one, two) for one, two in zip(arrays, wanted, strict=True))
        wide = [close(step["scale"][where[2]], SCALE["x"] * 2**level) for level, step in enumerate(steps)]
        found["all resolutions"] = right and all(wide)
    return found


# -- written by others, read here --------------------------------------------------------------------------------------


def read_here(path: Path, pixels: Any, axes: str, *, channels: bool = False, place: bool = False) -> Found:
    """Return what this program reads of an image."""
    image = read_image(path)
    size = image.pixel_size
    letters = "".join(a for a, n in zip(image.axes, image.data.shape, strict=True) if n > 1)
    found = {
        "pixels": same(image.data, pixels),
        "axes": letters == axes,
        "pixel size": size is not None and close([size.z, size.y, size.x], list(SCALE.values())),
    }
    if channels:
        found["channel names"] = image.channel_names == tuple(NAMES)
    if place:
        at = image.placement
        found["place"] = at is not None and close([at.of(a.upper())[1] for a in ORIGIN], list(ORIGIN.values()))
    return found


def imagej_of_tifffile(folder: Path) -> Found:
    """ImageJ TIFF."""
    about = {"axes": "ZCYX", "spacing": 2.0, "unit": "um", "Labels": NAMES * 4}
    tifffile.imwrite(
        folder / "a.tif", IMAGE.swapaxes(0, 1), imagej=True, resolution=(1 / 0.25, 1 / 0.5), metadata=about
    )
    return read_here(folder / "a.tif", IMAGE.swapaxes(0, 1), "ZCYX", channels=True)


def ome_of_tifffile(folder: Path) -> Found:
    """OME-TIFF with resolutions."""
    about: dict[str, Any] = {"axes": "CZYX", "Channel": {"Name": NAMES}}
    for letter, size in SCALE.items():
        about |= {f"PhysicalSize{letter.upper()}": size, f"PhysicalSize{letter.upper()}Unit": "µm"}
    with tifffile.TiffWriter(folder / "a.ome.tif") as file:
        file.write(IMAGE, subifds=1, metadata=about, tile=(16, 16))
        file.write(IMAGE[..., ::2, ::2], subfiletype=1, tile=(16, 16))
    return read_here(folder / "a.ome.tif", IMAGE, "CZYX", channels=True)


def ome_of_bioio(folder: Path) -> Found:
    """OME-TIFF."""
    from bioio import PhysicalPixelSizes
    from bioio.writers import OmeTiffWriter

    OmeTiffWriter.save(
        IMAGE, folder / "a.ome.tif", dim_order="CZYX", channel_names=NAMES,
        physical_pixel_sizes=PhysicalPixelSizes(2.0, 0.5, 0.25),
    )  # fmt: skip
    return read_here(folder / "a.ome.tif", IMAGE, "CZYX", channels=True)


def zarr_of_bioio(ngff: str) -> Trip:
    """Return the trip of an OME-Zarr."""

    def trip(folder: Path) -> Found:
        from bioio.writers import OMEZarrWriter
        from bioio_ome_zarr.writers import Channel

        writer = OMEZarrWriter(
            str(folder / "a.zarr"), [IMAGE.shape, IMAGE[..., ::2, ::2].shape], IMAGE.dtype,
            zarr_format=2 if ngff == "0.4" else 3, axes_names=list("czyx"), axes_types=["channel", *["space"] * 3],
            axes_units=[None, *["micrometer"] * 3], physical_pixel_size=[1.0, *SCALE.values()],
            channels=[Channel(label=name, color="FFFFFF") for name in NAMES],
        )  # fmt: skip
        writer.write_full_volume(IMAGE)
        return read_here(folder / "a.zarr", IMAGE, "CZYX", channels=True)

    return trip


def omero() -> dict[str, Any]:
    """Return names of channels as OME-Zarr has them."""
    window = {"start": 0, "end": 4000, "min": 0, "max": 65535}
    return {"channels": [{"label": name, "color": "FFFFFF", "active": True, "window": window} for name in NAMES]}


def by_ome_zarr(ngff: str) -> Trip:
    """Return the trip of an OME-Zarr of three resolutions."""

    def trip(folder: Path) -> Found:
        _ome_zarr_image(folder / "a.zarr", ngff)
        return read_here(folder / "a.zarr", IMAGE, "CZYX", channels=True)

    return trip


def _ome_zarr_image(path: Path, ngff: str) -> None:
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image

    write_image(
        IMAGE, str(path), scale_factors=[2, 4], axes="czyx", fmt=FormatV04() if ngff == "0.4" else FormatV05(),
        scale=SCALE | {"c": 1.0}, axes_units=dict.fromkeys("zyx", "micrometer"), omero=omero(),
    )  # fmt: skip


def labels_by_ome_zarr(ngff: str) -> Trip:
    """Return the trip of labels in an OME-Zarr image."""

    def trip(folder: Path) -> Found:
        from ome_zarr.format import FormatV04, FormatV05
        from ome_zarr.writer import write_labels as write

        _ome_zarr_image(folder / "a.zarr", ngff)
        write(
            LABELS, str(folder / "a.zarr"), name="cells", axes="zyx", fmt=FormatV04() if ngff == "0.4" else FormatV05(),
            scale=SCALE, axes_units=dict.fromkeys("zyx", "micrometer"), scale_factors=[2, 4], scaler=None,
        )  # fmt: skip
        return read_here(folder / "a.zarr" / "labels" / "cells", LABELS, "ZYX")

    return trip


def plate_by_ome_zarr(ngff: str) -> Trip:
    """Return the trip of a plate with one well that is missing."""

    def trip(folder: Path) -> Found:
        import zarr
        from ome_zarr.format import FormatV04, FormatV05
        from ome_zarr.writer import write_plate_metadata, write_well_metadata

        fmt = FormatV04() if ngff == "0.4" else FormatV05()
        plate = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=2 if ngff == "0.4" else 3)
        write_plate_metadata(plate, ["A", "B"], ["1", "2"], ["A/1", "B/2", "B/1"], fmt=fmt)
        for well in ("A/1", "B/2"):
            write_well_metadata(plate.require_group(well), ["0", "1"], fmt=fmt)
            for field in "01":
                _ome_zarr_image(folder / "a.zarr" / well / field, ngff)
        return plate_here(folder, ("B/1",))

    return trip


def plate_here(folder: Path, missing: tuple[str, ...]) -> Found:
    """Return what this program reads of a plate."""
    plate = plate_of(folder / "a.zarr")
    fields = () if plate is None else plate.fields
    every = [read_here(folder / "a.zarr" / field, IMAGE, "CZYX") for field in fields]
    return {
        "wells and fields": fields == tuple(f"{w}/{f}" for w, f in itertools.product(("A/1", "B/2"), "01")),
        **{key: all(one[key] for one in every) for key in every[0]},
        **({"missing wells named": plate.missing == missing} if missing and plate is not None else {}),
    }


def by_ngff_zarr(ngff: str) -> Trip:
    """Return the trip of an OME-Zarr of two resolutions that does not lie at the origin."""

    def trip(folder: Path) -> Found:
        import ngff_zarr

        image = ngff_zarr.to_ngff_image(
            IMAGE, list("czyx"), SCALE | {"c": 1.0}, ORIGIN | {"c": 0.0},
            axes_units=dict.fromkeys("zyx", "micrometer"), channel_names=NAMES,
        )  # fmt: skip
        multiscales = ngff_zarr.to_multiscales(image, scale_factors=[{"z": 1, "y": 2, "x": 2}])
        multiscales.metadata.omero = ngff_zarr.compute_omero_from_ngff_image(image)  # else names are not written
        ngff_zarr.to_ngff_zarr(folder / "a.zarr", multiscales, version=ngff)
        return read_here(folder / "a.zarr", IMAGE, "CZYX", channels=True, place=True)

    return trip


def _yao_image(labels: bool = False) -> Any:
    from yaozarrs import v05

    letters = "zyx" if labels else "czyx"
    axes = [v05.ChannelAxis(name="c")] if not labels else []
    axes += [v05.SpaceAxis(name=letter, unit="micrometer") for letter in "zyx"]
    steps = [
        v05.ScaleTransformation(scale=[SCALE.get(a, 1.0) for a in letters]),
        v05.TranslationTransformation(translation=[ORIGIN.get(a, 0.0) for a in letters]),
    ]
    datasets = [v05.Dataset(path="0", coordinateTransformations=steps)]
    multiscales = [v05.Multiscale(axes=axes, datasets=datasets)]
    if labels:
        return v05.LabelImage(multiscales=multiscales, image_label={})
    return v05.Image(multiscales=multiscales, omero=omero())


def by_yaozarrs(folder: Path) -> Found:
    """OME-Zarr with labels."""
    from yaozarrs.write.v05 import write_image

    write_image(folder / "a.zarr", _yao_image(), IMAGE, labels={"cells": (_yao_image(True), LABELS)})
    found = read_here(folder / "a.zarr", IMAGE, "CZYX", channels=True, place=True)
    labels = read_here(folder / "a.zarr" / "labels" / "cells", LABELS, "ZYX", place=True)
    return found | {"labels": all(labels.values())}


def plate_by_yaozarrs(folder: Path) -> Found:
    """Plate."""
    from yaozarrs.write.v05 import write_plate

    wells = [("A", "1"), ("B", "2")]
    write_plate(folder / "a.zarr", {(*well, field): (_yao_image(), [IMAGE]) for well in wells for field in "01"})
    return plate_here(folder, ())


OURS: list[tuple[str, str, Trip]] = [
    ("labels, ImageJ TIFF", "tifffile", imagej_by_tifffile),
    ("labels, ImageJ TIFF", "bioio", tiff_by_bioio("a.tif")),
    ("labels, OME-TIFF", "tifffile", ome_by_tifffile),
    ("labels, OME-TIFF", "bioio", tiff_by_bioio("a.ome.tif")),
    *[
        (what, library, by(write))
        for what, write in (
            ("labels, OME-Zarr 0.4", labels_zarr),
            ("maps, OME-Zarr 0.4", maps_zarr),
            ("labels in the image's OME-Zarr 0.4", labels_in_image("0.4")),
            ("labels in the image's OME-Zarr 0.5", labels_in_image("0.5")),
        )
        for library, by in (
            ("ome-zarr", zarr_by_ome_zarr),
            ("ngff-zarr", zarr_by_ngff_zarr),
            ("yaozarrs", zarr_by_yaozarrs),
            ("bioio-ome-zarr", zarr_by_bioio),
        )
    ],
]

THEIRS: list[tuple[str, str, Trip]] = [
    ("image, ImageJ TIFF", "tifffile", imagej_of_tifffile),
    ("image, OME-TIFF of two resolutions", "tifffile", ome_of_tifffile),
    ("image, OME-TIFF", "bioio-ome-tiff", ome_of_bioio),
    *[
        (f"{what}, OME-Zarr {ngff}", library, trip(ngff))
        for what, library, trip in (
            ("image", "ome-zarr", by_ome_zarr),
            ("labels", "ome-zarr", labels_by_ome_zarr),
            ("plate", "ome-zarr", plate_by_ome_zarr),
            ("image", "ngff-zarr", by_ngff_zarr),
            ("image", "bioio-ome-zarr", zarr_of_bioio),
        )
        for ngff in ("0.4", "0.5")
    ],
    ("image with labels, OME-Zarr 0.5", "yaozarrs", by_yaozarrs),
    ("plate, OME-Zarr 0.5", "yaozarrs", plate_by_yaozarrs),
]


def run(trip: Trip) -> Found | str:
    """Return what came back of a trip, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return trip(Path(folder))
        except Exception as error:  # noqa: BLE001 - libraries raise errors of many kinds
            return f"{type(error).__name__}: {error}".split("\n")[0][:120]


def table(trips: list[tuple[str, str, Trip]], verb: str) -> list[str]:
    """Return a table: what comes back, by file and library; one line for those of which the same comes back."""
    found: dict[tuple[str, str], list[str]] = {}
    for what, library, trip in trips:
        back = run(trip)
        print(f"{what} | {library} | {back}")
        said = back if isinstance(back, str) else ", ".join(key for key, right in back.items() if right)
        lost = "all" if isinstance(back, str) else ", ".join(key for key, right in back.items() if not right)
        found.setdefault((what, f"{said} | {lost or '–'}"), []).append(f"{library} {version(library)}")
    lines = [f"| File | {verb} | Comes back | Does not |", "|---|---|---|---|"]
    return lines + [f"| {what} | {', '.join(libraries)} | {said} |" for (what, said), libraries in found.items()]


def main() -> None:
    """Write them into the page."""
    ours, theirs = table(OURS, "Read by"), table(THEIRS, "Written by")
    day = datetime.date.today().isoformat()
    text = "\n".join(
        [
            BEGIN,
            f"Made by `docs/make_round_trips.py`, {day}; the versions are those that it was tried with.",
            "",
            "Written here, read by others:",
            "",
            *ours,
            "",
            "Written by others, read here:",
            "",
            *theirs,
            END,
        ]
    )
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + text + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
