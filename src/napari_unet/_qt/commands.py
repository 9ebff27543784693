"""What napari's command palette and menus offer: each docks the panel if need be, and does what a button of it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari.viewer  # noqa: TC002 - napari resolves the annotations when it hands over the viewer

from napari_unet.layers.preferences import PLUGIN

if TYPE_CHECKING:
    from napari_unet._qt.main_widget import UNetWidget


def segment(viewer: napari.viewer.Viewer) -> None:
    """Segment the image, as *How much* says."""
    _panel(viewer, "Segment").segment_panel.button.click()


def learn(viewer: napari.viewer.Viewer) -> None:
    """Learn from the corrections."""
    _panel(viewer, "Learn").learn_panel.button.click()


def correct(viewer: napari.viewer.Viewer) -> None:
    """Show the tools that correct objects, and the page of help on mouse and keys."""
    _panel(viewer, "Correct").correct_panel.tools.show_help()


def show_objects_table(viewer: napari.viewer.Viewer) -> None:
    """Show the list of all objects."""
    _panel(viewer, "Correct").show_objects_table()


def show_tour(viewer: napari.viewer.Viewer) -> None:
    """Show what is where in the panel, in a few bubbles."""
    _panel(viewer, "Segment").show_tour()


def _panel(viewer: Any, tab: str) -> UNetWidget:
    """Return the docked panel, with a tab in front."""
    widget: UNetWidget
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "U-Net")
    widget.show_tab(tab)
    return widget
