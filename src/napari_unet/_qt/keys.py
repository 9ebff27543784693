"""The keys of the canvas: what each does, and which it is unless somebody wants another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.layers.controller import Controller


@dataclass(frozen=True)
class Key:
    """One key of the canvas.

    Attributes
    ----------
    name : str
        What it is called in the preferences.
    default : str
        The key, as napari writes it ("Shift-R"). napari 0.9 has none of ours for the viewer, labels or images.
    verb : callable
        What it does.
    """

    name: str
    default: str
    verb: Callable[[Controller], object]


KEYS = (
    Key("review_view", "R", lambda controller: controller.toggle_reviewed("view")),
    Key("review_slice", "Shift-R", lambda controller: controller.toggle_reviewed("slice")),
    Key("review_object", "T", lambda controller: controller.toggle_reviewed("object")),
    Key("where_next", "N", lambda controller: controller.look_next()),
    Key("cut_free", "S", lambda controller: controller.gestures.at_cursor("cut_free")),
    Key("add", "I", lambda controller: controller.gestures.at_cursor("add")),
    Key("smaller", "Shift-I", lambda controller: controller.gestures.at_cursor("smaller")),
    Key("delete", "D", lambda controller: controller.gestures.at_cursor("delete")),
    Key("outlines", "U", lambda controller: controller.appearance.toggle()),
    Key("help", "H", lambda controller: controller.gestures.help_wanted.emit()),
)


class BoundKeys:
    """Binds the keys to a viewer, and lets go of them.

    Parameters
    ----------
    viewer : napari.Viewer
    controller : Controller
    """

    def __init__(self, viewer: Any, controller: Controller) -> None:
        self._viewer, self._controller = viewer, controller
        for key in KEYS:
            viewer.bind_key(key.default, self._pressed(key.verb), overwrite=True)

    def release(self) -> None:
        """Let go of the keys."""
        for key in KEYS:
            self._viewer.bind_key(key.default, None, overwrite=True)

    def _pressed(self, verb: Callable[[Controller], object]) -> Callable[[Any], None]:
        """Return what napari calls on a key; it wants a function that has a name."""

        def pressed(viewer: Any) -> None:
            verb(self._controller)

        return pressed
