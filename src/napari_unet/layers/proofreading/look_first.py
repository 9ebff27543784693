"""Has the network look where a gesture needs its maps and none are kept; the gesture is made when they are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.layers.inference.maps_in_view import MapsInView
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

TRIES = 2
"""How often the network looks for one gesture: at first it may be looking at another place already."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """What waits for maps at a point (y, x) of a plane: it is done when they are there, or else something instead."""

    session: LayerSession
    plane: Plane
    point: NDArray[np.float64]
    do: Callable[[], object]
    instead: Callable[[], object]
    tries: int = TRIES

    @property
    def wanted(self) -> bool:
        """Whether that plane is still in view."""
        return self.session.alive() and self.session.plane == self.plane

    @property
    def possible(self) -> bool:
        """Whether the maps are there."""
        return has_maps(self.session, self.plane, self.point)


class LookFirst:
    """Keeps what waits for maps.

    Parameters
    ----------
    workspace : Workspace
    maps_in_view : MapsInView
    """

    looked = Signal()  # more maps are there

    def __init__(self, workspace: Workspace, maps_in_view: MapsInView) -> None:
        self._workspace, self._maps = workspace, maps_in_view
        self._waiting: list[_Waiting] = []
        self._failed: set[tuple[Hashable, Plane]] = set()
        maps_in_view.made.connect(self._on_made)
        maps_in_view.failed.connect(self._on_failed)
        workspace.model_changed.connect(self._on_model)
        workspace.session_closing.connect(self.forget)

    def then(
        self,
        session: LayerSession,
        point: NDArray[np.float64],
        do: Callable[[], object],
        instead: Callable[[], object],
    ) -> None:
        """Do something when there are maps at a point (y, x) of the plane in view; if there can be none, do another."""
        self._look(_Waiting(session, session.plane, point, do, instead))

    def for_hover(self, session: LayerSession, point: NDArray[np.float64]) -> None:
        """Have the network look around a point (y, x), unless that has failed in this plane; `looked` tells of it."""
        if (session.key, session.plane) not in self._failed:
            self._maps.make(session, point)

    def forget(self, _: Any = None) -> None:
        """Wait for nothing any more."""
        self._waiting.clear()

    def _look(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if not self._maps.make(waiting.session, waiting.point) and waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.instead()

    def _on_made(self, _: LayerSession) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.wanted or self._workspace.session is not one.session:
                continue
            if one.possible:
                one.do()
            elif one.tries > 1:
                self._look(replace(one, tries=one.tries - 1))
            else:
                one.instead()
        self.looked.emit()

    def _on_failed(self, session: LayerSession) -> None:
        self._failed.add((session.key, session.plane))
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if one.wanted:
                one.instead()

    def _on_model(self) -> None:
        self._failed.clear()
        self.forget()


def has_maps(session: LayerSession, plane: Plane, point: NDArray[np.float64]) -> bool:
    """Return whether maps are kept at a point (y, x) of a plane."""
    y, x = (int(p + 0.5) for p in point.tolist())
    return session.maps.part_at(plane[0], (plane[1], y, x)) is not None
