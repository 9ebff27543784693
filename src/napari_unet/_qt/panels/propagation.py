"""Corrections carried on through slices and time points, and labels from elsewhere to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_unet._qt.panels.parts import count, row
from napari_unet.layers.proofreading.ghosts import COLOUR

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class GivenLabelsButton(QPushButton):
    """Makes the labels layer that is selected the result to correct; seen while there is one.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Correct these labels", parent)
        self._controller = controller
        self.clicked.connect(lambda: controller.correct_labels())
        controller.given_labels.changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        given, image = self._controller.given_labels, self._controller.layer
        layer = given.layer if image is not None else None
        self.setVisible(layer is not None)
        self.setEnabled(not given.busy)
        if layer is not None:
            self.setToolTip(f"Correct a copy of {layer.name} as the result of {image.name}. The layer itself stays.")


class SlicesAndFrames(QCollapsible):
    """What carries corrections from slice to slice, and from time point to time point; seen for stacks and series.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Slices and time points", parent)
        self._controller = controller
        self.keys = QLabel()
        self.keys.setWordWrap(True)
        self.keys.setTextFormat(Qt.TextFormat.RichText)
        self.link = self._button("", "")  # `_refresh` says what it does with the image
        self.tracks = self._button("Draw tracks", "Add a layer with the track of each object, by its id.")
        self.lost = QCheckBox("Show lost objects")
        self.take_all = self._button("Take all", "Make objects of all that is suggested: corrections to learn from.")
        self.discard = self._button("Discard", "Suggest nothing any more.")
        self.suggested = QLabel()
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.keys)
        self.offers = row((self.suggested, 0), (self.take_all, 1), (self.discard, 1))
        layout.addWidget(self.offers)
        layout.addWidget(self.lost)
        layout.addWidget(row((self.link, 1), (self.tracks, 1)))
        self.addWidget(inner)
        self.link.clicked.connect(lambda: controller.frame_links.link())
        self.tracks.clicked.connect(lambda: controller.frame_links.draw_tracks())
        self.take_all.clicked.connect(lambda: controller.propagation.take_all())
        self.discard.clicked.connect(lambda: controller.propagation.discard())
        self.lost.toggled.connect(self._on_lost)
        workspace, ghosts = controller.workspace, controller.ghosts
        for signal in (workspace.image_changed, workspace.session_opened, workspace.session_closing, ghosts.changed):
            signal.connect(self._refresh)
        controller.frame_links.changed.connect(self._refresh)
        workspace.keys.changed.connect(self._refresh)
        controller.workspace.relabelled.connect(ghosts.refresh)
        self._refresh()

    @staticmethod
    def _button(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys of the canvas stay the canvas's
        return button

    def _refresh(self, *_: Any) -> None:
        controller = self._controller
        session = controller.session
        propagation = controller.propagation
        self.setVisible(propagation.word is not None)
        if session is None or propagation.word is None:
            return
        word, frames = propagation.word, session.corrections.shape[0] > 1
        named = controller.workspace.keys.named
        carry, between = named("carry_object"), named("suggest_between")
        point = f"Point at an object: <b>{carry}</b> next {word}, <b>{between}</b> between corrected ones."
        one = named("take_suggestion")
        take = f"<span style='color:{COLOUR}'>■</span> suggested: <b>{one}</b> takes it."
        self.lost.setToolTip(
            f"Outline the objects of the time point before that are gone in this one. {one} takes one."
        )
        self.keys.setText(f"{point}<br>{take}")
        number = controller.ghosts.count
        self.offers.setVisible(number > 0)
        self.suggested.setText(f"{count(number, 'outline')} suggested")
        self.lost.setVisible(frames)
        with signals_blocked(self.lost):
            self.lost.setChecked(controller.ghosts.show_lost)
        self.link.setText("Link in time" if frames else "Join slices")
        self.link.setToolTip(
            f"Give each object one id {'at every time point' if frames else 'in every slice'}, by its overlap."
        )
        self.tracks.setVisible(frames)
        for button in (self.link, self.tracks):
            button.setEnabled(not controller.frame_links.busy)

    def _on_lost(self, checked: bool) -> None:
        self._controller.ghosts.show_lost = checked
