"""Outlines as GeoJSON, in the dialect of QuPath: pixels instead of degrees, one feature an object."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.io.atomic import check_suffix, completed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

ObjectType = Literal["detection", "annotation"]

SUFFIXES = (".geojson", ".json")


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """An object of a GeoJSON file.

    Attributes
    ----------
    name : str
        As QuPath shows it.
    polygons : sequence of sequences of ndarray, shape (corners, 2), axes (Y, X)
        The parts of the object, each its outer ring and then its holes; rings are not closed. Pixel corners.
    z, t : int or None
        Slice and time point, from 0; None: the image has no such axis.
    classification : str, optional
        Class in QuPath.
    measurements : mapping of str to float
        Those that are not finite are left out: JSON has no word for them.
    """

    name: str
    polygons: Sequence[Sequence[NDArray[Any]]]
    z: int | None = None
    t: int | None = None
    classification: str | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self, object_type: ObjectType = "detection") -> dict[str, Any]:
        """Return it as the object that is written."""
        parts = [[_closed(ring) for ring in rings] for rings in self.polygons]
        geometry: dict[str, Any] = (
            {"type": "Polygon", "coordinates": parts[0]}
            if len(parts) == 1
            else {"type": "MultiPolygon", "coordinates": parts}
        )
        if self.z is not None or self.t is not None:
            geometry["plane"] = {"c": -1, "z": self.z or 0, "t": self.t or 0}  # QuPath's own; -1: all channels
        properties: dict[str, Any] = {"objectType": object_type, "name": self.name}
        if self.classification is not None:
            properties["classification"] = {"name": self.classification}
        known = {name: value for name, value in self.measurements.items() if math.isfinite(value)}
        if known:
            properties["measurements"] = known
        return {"type": "Feature", "geometry": geometry, "properties": properties}


def write_geojson(
    path: str | os.PathLike[str],
    features: Iterable[Feature],
    *,
    object_type: ObjectType = "detection",
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> int:
    """Write objects to a GeoJSON file, which has its name only when it is complete.

    QuPath opens it by *File > Import objects from file*, or when it is dropped on the image. Coordinates are x and y in
    pixels, (0, 0) the upper left corner of the image.

    Parameters
    ----------
    path : path
    features : iterable of Feature
        Written one after the other, a line each.
    object_type : {"detection", "annotation"}
        What they are in QuPath: detections are many and are measured, annotations can be edited.
    provenance : mapping, optional
        How it was made, for the member of that name.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    int
        Features written.

    Raises
    ------
    FileFormatError
        If the file exists and may not be replaced, its name has another ending, or it cannot be written.
    """
    path = Path(path)
    check_suffix(path, SUFFIXES)
    count = 0
    with completed(path, overwrite=overwrite) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type": "FeatureCollection",\n')
        if provenance is not None:  # "properties" is not allowed here (RFC 7946, section 7.1)
            file.write(f'"provenance": {json.dumps(provenance, allow_nan=False)},\n')
        file.write('"features": [')
        for count, feature in enumerate(features, 1):
            text = json.dumps(feature.to_dict(object_type), allow_nan=False, separators=(",", ":"))
            file.write(("\n" if count == 1 else ",\n") + text)
        file.write("\n]}\n")
    return count


def _closed(ring: NDArray[Any]) -> list[list[float]]:
    """Return the corners of a ring as x and y, the first one again at its end."""
    corners: list[list[float]] = ring[:, ::-1].tolist()
    return [*corners, corners[0]]
