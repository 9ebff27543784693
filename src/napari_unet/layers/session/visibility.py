"""Layers that belong to an image are shown while it is the chosen one: several results would hide each other."""

from __future__ import annotations

from typing import Any


class ChosenVisibility:
    """Shows a layer while its image is chosen and hides it otherwise, until the user does one of these by hand.

    Parameters
    ----------
    layer : napari.layers.Layer
    hidden_by_us : bool
        Whether it was the program that has hidden it so far.
    """

    def __init__(self, layer: Any, *, hidden_by_us: bool = False) -> None:
        self._layer, self._chosen, self._setting = layer, True, False
        self._by_hand: bool | None = None if layer.visible or hidden_by_us else False
        layer.events.visible.connect(self._on_visible)

    def set_chosen(self, chosen: bool) -> None:
        """Take note of whether its image is the chosen one."""
        self._chosen = chosen
        if self._by_hand is None and bool(self._layer.visible) != chosen:
            self._setting = True
            try:
                self._layer.visible = chosen
            finally:
                self._setting = False

    def close(self) -> None:
        """Follow no longer; the layer stays as it is."""
        self._layer.events.visible.disconnect(self._on_visible)

    def _on_visible(self, event: Any = None) -> None:
        """Leave to the user what differs from what would be done here."""
        if not self._setting:
            visible = bool(self._layer.visible)
            self._by_hand = None if visible == self._chosen else visible
