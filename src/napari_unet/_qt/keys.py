"""The keys of the canvas: what each does, and which it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding

from napari_unet.layers.preferences import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.layers.controller import Controller
    from napari_unet.layers.preferences import Preferences

VERBS: dict[str, Callable[[Controller], object]] = {
    "review_view": lambda controller: controller.toggle_reviewed("view"),
    "review_slice": lambda controller: controller.toggle_reviewed("slice"),
    "review_object": lambda controller: controller.toggle_reviewed("object"),
    "next_suspect": lambda controller: controller.list_walk.next(),
    "next_object": lambda controller: controller.walk.next(everything=True),
    "previous_object": lambda controller: controller.walk.previous(),
    "accept_object": lambda controller: controller.walk.accept(),
    "cut_free": lambda controller: controller.gestures.at_cursor("cut_free"),
    "add_object": lambda controller: controller.gestures.at_cursor("add"),
    "shrink_object": lambda controller: controller.gestures.at_cursor("smaller"),
    "delete_object": lambda controller: controller.gestures.at_cursor("delete"),
    "outline_tool": lambda controller: controller.gestures.switch_tool("outline"),
    "fill_holes": lambda controller: controller.gestures.at_cursor("fill_holes"),
    "smooth_outline": lambda controller: controller.gestures.at_cursor("smooth"),
    "toggle_outlines": lambda controller: controller.appearance.toggle(),
    "carry_object": lambda controller: controller.propagation.carry_at_cursor(),
    "carry_back": lambda controller: controller.propagation.carry_at_cursor(-1),
    "suggest_between": lambda controller: controller.propagation.suggest_at_cursor(),
    "take_suggestion": lambda controller: controller.propagation.take_at_cursor(),
    "take_everywhere": lambda controller: controller.propagation.take_at_cursor(everywhere=True),
    "next_image": lambda controller: controller.image_switch.next(),
    "previous_image": lambda controller: controller.image_switch.previous(),
    "show_help": lambda controller: controller.gestures.help_wanted.emit(),
}
"""What each key does, by its name in the preferences."""


class BoundKeys:
    """Binds the keys of the preferences to a viewer, again whenever they are changed there.

    Parameters
    ----------
    viewer : napari.Viewer
    controller : Controller
    preferences : Preferences
    """

    def __init__(self, viewer: Any, controller: Controller, preferences: Preferences) -> None:
        self._viewer, self._controller, self._preferences = viewer, controller, preferences
        self._bound: dict[str, str] = {}  # key to the name of what it does
        preferences.changed.connect(self._on_changed)
        self._bind()

    def release(self) -> None:
        """Let go of the keys."""
        for key in self._bound:
            self._viewer.bind_key(key, None, overwrite=True)
        self._bound.clear()

    def _on_changed(self, section: str, _: str) -> None:
        if section == "keys":
            self.release()
            self._bind()

    def _bind(self) -> None:
        """Bind the keys. One that is no key, or that another verb has, is left out and told of; an empty one is not."""
        for name, verb in VERBS.items():
            wanted = self._preferences["keys", name].strip()
            if not wanted:
                continue
            key = str(coerce_keybinding(wanted))
            if not key or key.endswith("+") or key in self._bound:
                why = "has another job" if key in self._bound else "is no key"
                what, usual = name.replace("_", " "), DEFAULTS["keys"][name]
                self._controller.say(f"{wanted!r} {why}: {what!r} has no key now. Its usual key is {usual}.", "error")
                continue
            self._viewer.bind_key(key, self._pressed(verb), overwrite=True)
            self._bound[key] = name
        self._controller.workspace.keys.note({name: key for key, name in self._bound.items()})

    def _pressed(self, verb: Callable[[Controller], object]) -> Callable[[Any], None]:
        """Return what napari calls on a key; it wants a function that has a name."""

        def pressed(viewer: Any) -> None:
            verb(self._controller)

        return pressed
