"""What a person has set on napari's page of preferences for this plugin."""

from __future__ import annotations

from functools import partial
from typing import Any

from psygnal import Signal

PLUGIN = "napari-unet-interactive"

DEFAULTS: dict[str, dict[str, Any]] = {
    "computing": {"device": "auto", "threads": 0, "scheduler": ""},
    "saving": {"recovery": True},
    "keys": {
        "review_view": "R",
        "review_slice": "Shift-R",
        "review_object": "T",
        "next_suspect": "N",
        "next_object": "Shift-N",
        "previous_object": "Shift-P",
        "accept_object": "A",
        "cut_free": "S",
        "add_object": "I",
        "shrink_object": "Shift-I",
        "delete_object": "D",
        "outline_tool": "U",
        "fill_holes": "W",
        "smooth_outline": "Shift-W",
        "toggle_outlines": "Q",
        "carry_object": "K",
        "carry_back": "Shift-K",
        "suggest_between": "J",
        "take_suggestion": "G",
        "take_everywhere": "Shift-G",
        "next_image": "PageDown",
        "previous_image": "PageUp",
        "show_help": "H",
    },
}
"""What holds where nothing was set, by section; the manifest says the same. napari has such pages from 0.9 on."""


class Preferences:
    """Reads the preferences, and tells of changes.

    Signals
    -------
    changed : Signal(str, str)
        Section and name of what is another now.
    """

    changed = Signal(str, str)

    def __init__(self) -> None:
        self._settings: Any = _settings()
        self._followed: list[tuple[Any, Any]] = []
        for section, names in DEFAULTS.items():
            for name in names:
                event = getattr(getattr(getattr(self._settings, section, None), "events", None), name, None)
                if event is not None:
                    told = partial(self._tell, section, name)
                    event.connect(told)
                    self._followed.append((event, told))

    def __getitem__(self, key: tuple[str, str]) -> Any:
        """Return what is set for a section and name."""
        section, name = key
        return getattr(getattr(self._settings, section, None), name, DEFAULTS[section][name])

    def release(self) -> None:
        """Follow the changes no longer."""
        for event, told in self._followed:
            event.disconnect(told)
        self._followed.clear()

    def _tell(self, section: str, name: str, event: Any = None) -> None:
        self.changed.emit(section, name)


def _settings() -> Any:
    """Return napari's settings of this plugin; None before napari 0.9, and where the plugin is not installed."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return get_plugin_settings(PLUGIN)
    except KeyError:
        return None
