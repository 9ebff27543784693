"""Outlines of objects as a shapes layer of napari, to be moved, counted or saved as napari does."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import Job
from napari_unet.layers.measuring.copy_job import CopyJob
from napari_unet.layers.measuring.snapshot import snapshot_of
from napari_unet.objects.contours import trace_contours
from napari_unet.objects.label_images import sections
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.image.geometry import LayerGeometry
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.measuring.made_by import MadeBy
    from napari_unet.layers.workspace import Workspace
    from napari_unet.progress import CancelToken

MAX_OUTLINES = 1000
"""napari 0.9.2 takes about 10 ms for each polygon on two busy cores, and is slow to draw a layer of more of them."""

TOLERANCE = 0.5
"""Pixels by which a polygon may lie off the edges of the pixels: a tenth of the corners, and no step is seen."""

_AT_ONCE = 4
"""Polygons that are made before the window looks at the mouse again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """A polygon: its corners, (Y, X) from the middle of the first pixel, the object, and where it lies."""

    corners: NDArray[Any]
    label: int
    frame: int
    z: int

    def vertices(self, geometry: LayerGeometry) -> NDArray[Any]:
        """Return the corners in the data coordinates of the labels layer."""
        y, x = self.corners.T
        zeros = np.zeros_like(y)
        values = {"T": zeros + self.frame, "Z": zeros + self.z, "C": zeros, "Y": y, "X": x}
        return np.stack([values[letter] for letter in geometry.label_letters], 1)


class OutlineShapes:
    """Makes shapes layers of outlines.

    Parameters
    ----------
    workspace : Workspace
    made_by : MadeBy
        Knows which models made the labels.
    runner : Runner
        Where outlines are traced.
    """

    def __init__(self, workspace: Workspace, made_by: MadeBy, runner: Runner) -> None:
        self._workspace, self._made_by = workspace, made_by
        self.jobs = CopyJob(workspace, runner, "Stopped. No layer was added.")

    def add(self, ids: Collection[int] | None = None) -> bool:
        """Add a shapes layer of the chosen image; return whether it began.

        Parameters
        ----------
        ids : collection of int, optional
            The objects; None: all. More than `MAX_OUTLINES` are refused.
        """
        workspace = self._workspace
        session = workspace.session
        try:
            if session is None or not session.alive():
                raise UNetError("There are no objects yet. Press Segment first.")
            if ids is not None and not ids:
                raise UNetError("No object is selected. Drag in the chart, or choose rows in the objects table.")
            snapshot = snapshot_of(session, workspace, self._made_by)
        except UNetError as error:
            workspace.say_error(error)
            return False
        job, geometry = Job("Outlines as shapes"), session.geometry
        layer = _empty_layer(f"{session.layer.name} outlines", geometry)
        drawn: list[int] = []

        def steps() -> Generator[Any, None, bool]:
            source = yield from snapshot.steps(job.cancel)
            chosen = None if ids is None else np.array(sorted(ids), np.int64)
            _check_number(source.labels, chosen, job.cancel)
            holes = _Holes()
            shapes = _shapes(source.labels, chosen, holes, job.cancel)
            while some := tuple(islice(shapes, _AT_ONCE)):
                yield some
            return holes.any

        def found(shapes: tuple[_Shape, ...]) -> None:
            layer.add([shape.vertices(geometry) for shape in shapes], shape_type="polygon")
            drawn.extend(shape.label for shape in shapes)

        def done(holes: bool) -> None:
            if not session.alive():
                return
            layer.features = {"label": np.array(drawn, np.int64)}
            layer.selected_data = set()
            workspace.viewer.add_layer(layer)
            notes = ["Outlines lie up to half a pixel off the edges of pixels, for fewer corners."]
            notes += ["Holes are not drawn: napari's polygons have none."] if holes else []
            workspace.say(f"Added {counted(len(drawn), 'outline')} as a shapes layer.", "done", "\n".join(notes))

        workspace.say("Tracing outlines.")
        return self.jobs.start(job, [session], steps, done, found)

    def stop(self) -> None:
        """Stop; no layer is added."""
        self.jobs.stop()

    def close(self) -> None:
        """Stop, and tell nobody."""
        self.jobs.close()


@dataclass(slots=True)
class _Holes:
    """Whether any outline has a hole."""

    any: bool = False


def _check_number(labels: Image, chosen: NDArray[np.int64] | None, cancel: CancelToken) -> None:
    """Raise `UNetError` if there is nothing to outline, or too much (worker)."""
    number = 0
    for _, _, plane in sections(labels, slices=True):
        cancel.check()
        there = np.unique(plane)
        number += int(np.isin(there, chosen).sum() if chosen is not None else (there > 0).sum())
    if not number:
        raise UNetError("There are no objects to outline.")
    if number > MAX_OUTLINES:
        raise UNetError(
            f"These are {number:,} outlines; a shapes layer takes {MAX_OUTLINES:,}. Select some, or export GeoJSON.",
            "Outlines are those of planes: an object of a volume has one in each slice.",
        )


def _shapes(labels: Image, chosen: NDArray[np.int64] | None, holes: _Holes, cancel: CancelToken) -> Iterator[_Shape]:
    """Yield the polygons of some objects, one for each of their parts (worker)."""
    wanted = None if chosen is None else set(chosen.tolist())
    for outline in trace_contours(labels, TOLERANCE, cancel=cancel):
        if wanted is not None and outline.label not in wanted:
            continue
        for outer, *inner in outline.polygons:
            holes.any = holes.any or bool(inner)
            yield _Shape(np.asarray(outer, float) - 0.5, outline.label, outline.time or 0, outline.slice or 0)


def _empty_layer(name: str, geometry: LayerGeometry) -> Any:
    """Return a shapes layer without shapes that lies where the labels do; nobody sees it yet."""
    from napari.layers import Shapes

    return Shapes(
        name=name,
        ndim=len(geometry.label_letters),
        edge_color="yellow",
        face_color="transparent",
        edge_width=1,
        **geometry.placement(),
    )
