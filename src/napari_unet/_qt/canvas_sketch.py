"""Draws over napari's canvas what a gesture is about: the way of the mouse, dots, and outlines of objects.

A widget over the canvas, and no layer: napari takes a fifth of a second to add one, its overlays are private, and what
is drawn here costs no drawing of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QMainWindow, QOpenGLWidget, QWidget
from superqt.utils import QSignalThrottler

from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.proofreading.gesture_sketch import on_canvas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.layers.controller import Controller

SUGGEST_EVERY = 50
"""Milliseconds between two suggestions that are shown under the mouse, at least."""

LINE, SUGGESTED, SHADE = QColor(255, 255, 255), QColor(255, 214, 0), QColor(0, 0, 0, 160)
"""White and yellow lines over a dark shade are seen on black, on white and on colours."""

LINE_WIDTH, DOT = 1.6, 4.0
"""Of a line, and the radius of a dot, in pixels of the screen."""


class CanvasSketch(QWidget):
    """A sheet over the canvas that lets the mouse through.

    Parameters
    ----------
    controller : Controller
    canvas : QWidget
        napari's canvas, see `canvas_of`.
    """

    def __init__(self, controller: Controller, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._controller, self._mouse, self._canvas = controller, controller.gesture_mouse, canvas
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.resize(canvas.size())
        self.hide()
        self._suggest_soon = QSignalThrottler(parent=self)
        self._suggest_soon.setTimeout(SUGGEST_EVERY)
        self._suggest_soon.triggered.connect(self._mouse.show_suggestion)
        self._mouse.pointed.connect(self._on_pointed)
        self._mouse.sketched.connect(self._on_sketched)
        controller.image_switch.emptied.connect(self._draw_empty)
        camera = camera_of(controller.viewer).events
        self._emitters = [camera.center, camera.zoom]
        for emitter in self._emitters:
            emitter.connect(self._on_view)
        canvas.installEventFilter(self)

    def release(self) -> None:
        """Draw nothing any more."""
        self._mouse.pointed.disconnect(self._on_pointed)
        self._mouse.sketched.disconnect(self._on_sketched)
        self._controller.image_switch.emptied.disconnect(self._draw_empty)
        for emitter in self._emitters:
            emitter.disconnect(self._on_view)
        if not isalive(self):
            return  # the canvas is gone, and this with it
        self._suggest_soon.cancel()
        self._canvas.removeEventFilter(self)
        self.hide()
        self.deleteLater()

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Cover the canvas, and take note when the mouse leaves it."""
        if event.type() == QEvent.Type.Resize:
            self.resize(event.size())
        elif event.type() == QEvent.Type.Leave:
            self._suggest_soon.cancel()
            self._mouse.leave()
        return False

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the sketch where the image lies on the canvas now."""
        sketch, session = self._mouse.sketch, self._controller.session
        if session is None or not session.alive() or sketch.empty:
            return
        size = float(self.height()), float(self.width())
        scale = on_canvas(session, [(0, 0), (0, 1)], size)
        pixel = float(abs(scale[1] - scale[0]).max())

        def polygon(points: Any) -> QPolygonF:
            return QPolygonF([QPointF(x, y) for y, x in on_canvas(session, points, size).tolist()])

        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if sketch.width and len(sketch.path) > 1:
            band = QColor(LINE)
            band.setAlpha(70)
            painter.setPen(_pen(band, sketch.width * pixel))
            painter.drawPolyline(polygon(sketch.path))
        for pen in _pens(SUGGESTED if sketch.suggested else LINE):
            painter.setPen(pen)
            for ring in sketch.outlines:
                painter.drawPolygon(polygon(ring))
        for pen in _pens(LINE):
            painter.setPen(pen)
            if len(sketch.path) > 1:
                draw = painter.drawPolygon if sketch.closed else painter.drawPolyline
                draw(polygon(sketch.path))
            elif sketch.path and sketch.width:
                painter.drawEllipse(polygon(sketch.path)[0], sketch.width * pixel / 2, sketch.width * pixel / 2)
        painter.setPen(_pen(SHADE, 1.5))
        painter.setBrush(SUGGESTED)
        for at in polygon(sketch.dots) if sketch.dots else ():
            painter.drawEllipse(at, DOT, DOT)
        painter.end()

    def _on_sketched(self) -> None:
        self.setVisible(not self._mouse.sketch.empty)
        self.update()

    def _on_view(self, event: Any = None) -> None:
        if self.isVisible():
            self.update()

    def _draw_empty(self) -> None:
        """Draw the canvas now that an image is gone: napari and Mesa crash where the next one comes before that."""
        self._canvas.repaint()

    def _on_pointed(self) -> None:
        self._suggest_soon.throttle()


def canvas_of(widget: QWidget) -> QWidget | None:
    """Return napari's canvas in the window that a docked widget belongs to; None if there is none."""
    above: QWidget | None = widget
    while above is not None and not isinstance(above, QMainWindow):
        above = above.parentWidget()
    canvas: QWidget | None = None if above is None else above.centralWidget().findChild(QOpenGLWidget)
    return canvas


def _pens(colour: QColor) -> Iterator[QPen]:
    """Yield the pens that a line is drawn with, one after the other."""
    yield _pen(SHADE, LINE_WIDTH + 2)
    yield _pen(colour, LINE_WIDTH)


def _pen(colour: QColor, width: float) -> QPen:
    return QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
