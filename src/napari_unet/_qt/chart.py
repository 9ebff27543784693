"""A chart of measurements: a histogram of one column, or one point an object for two; a part of it can be brushed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_unet._qt.plot import ACCENT
from napari_unet.layers.display.marked_objects import COLOUR as MARKED
from napari_unet.measuring.chart import Axis, histogram, nearest_row, rows_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLICK = 4.0
"""Pixels of the screen within which a press and a release are a click, and nearer than twice which a point is meant."""

MAX_POINTS = 20_000
"""Most points that are drawn: beyond, every n-th is."""


class MeasurementChart(QWidget):
    """Draws measurements, and tells which rows are brushed.

    Signals
    -------
    brushed : ndarray of bool, shape (rows,), or None
        Rows within what was dragged over; None: nothing is chosen.
    picked : int
        Row of the point that was clicked on.
    """

    brushed = Signal(object)
    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._x: NDArray[np.float64] = np.zeros(0)
        self._y: NDArray[np.float64] | None = None
        self._names = ("", "")
        self._chosen: NDArray[np.bool_] | None = None
        self._press: QPointF | None = None
        self._drag: QRectF | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(190)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip(
            "Drag over the chart: these objects are shown in yellow on the image. Click a point to go to its object."
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that the chart would like."""
        return QSize(260, 200)

    @property
    def chosen(self) -> NDArray[np.bool_] | None:
        """The rows that are brushed."""
        return self._chosen

    def show_columns(self, x: NDArray[Any], name: str, y: NDArray[Any] | None = None, other: str = "count") -> None:
        """Chart a column, or two."""
        self._x = np.asarray(x, np.float64)
        self._y = None if y is None else np.asarray(y, np.float64)
        self._names, self._chosen, self._drag = (name, other), None, None
        self._counts, self._edges = histogram(self._x)
        self._across = Axis.over(self._x)
        self._up = Axis.over(self._counts.astype(float), zero=True) if self._y is None else Axis.over(self._y)
        self.update()

    def clear(self) -> None:
        """Chart nothing."""
        self._x, self._y, self._chosen, self._drag = np.zeros(0), None, None, None
        self.update()

    # -- mouse -----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Begin to brush."""
        if event.button() == Qt.MouseButton.LeftButton and len(self._x):
            self._press = event.position()

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw what is brushed."""
        if self._press is not None:
            self._drag = QRectF(self._press, event.position()).normalized()
            self.update()

    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Tell what was brushed, or clicked on."""
        press, self._press = self._press, None
        if press is None:
            return
        box, drag = self._box, QRectF(press, event.position()).normalized()
        if max(drag.width(), drag.height()) <= CLICK:
            self._click(box, press)
            return
        drag = drag.intersected(box)
        if self._y is None:
            drag = QRectF(drag.left(), box.top(), drag.width(), box.height())
        across = tuple(self._across.value((x - box.left()) / box.width()) for x in (drag.left(), drag.right()))
        up = tuple(self._up.value((box.bottom() - y) / box.height()) for y in (drag.bottom(), drag.top()))
        self._drag = drag
        self._choose(rows_within(self._x, self._y, (across[0], across[1]), (up[0], up[1])))

    def _click(self, box: QRectF, at: QPointF) -> None:
        self._drag = None
        if self._y is not None:
            width, height = box.width(), box.height()
            x, y = self._across.share(self._x) * width, (1 - self._up.share(self._y)) * height
            found = nearest_row(x, y, (at.x() - box.left(), at.y() - box.top()))
            if found is not None and found[1] <= 2 * CLICK:
                self._choose(np.arange(len(self._x)) == found[0])
                self.picked.emit(found[0])
                return
        self._choose(None)

    def _choose(self, rows: NDArray[np.bool_] | None) -> None:
        self._chosen = rows if rows is not None and rows.any() else None
        self.update()
        self.brushed.emit(self._chosen)

    # -- drawing ---------------------------------------------------------------------------------------------------

    @property
    def _box(self) -> QRectF:
        """Where the data are drawn."""
        metrics = self.fontMetrics()
        left, bottom = metrics.horizontalAdvance("000.00") + 8, 2 * metrics.height() + 6
        return QRectF(self.rect()).adjusted(left, metrics.height() + 4, -10, -bottom)

    def paintEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Draw the chart."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = QColor(self.palette().color(QPalette.ColorRole.WindowText))
        text.setAlphaF(0.85)
        painter.setPen(text)
        if not len(self._x):
            painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, "Measure, to see a chart here")
            return
        box = self._box
        self._draw_axes(painter, box, text)
        painter.setPen(Qt.PenStyle.NoPen)
        if self._y is None:
            self._draw_bars(painter, box)
        else:
            self._draw_points(painter, box)
        if self._drag is not None:
            shade = QColor(MARKED)
            painter.setPen(QPen(shade, 1))
            shade.setAlphaF(0.15)
            painter.setBrush(shade)
            painter.drawRect(self._drag)

    def _draw_axes(self, painter: QPainter, box: QRectF, text: QColor) -> None:
        metrics, line = painter.fontMetrics(), QColor(text)
        line.setAlphaF(0.35)
        middle, right = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for tick in self._across.ticks:
            x = box.left() + float(self._across.share(np.array(tick))) * box.width()
            painter.setPen(line)
            painter.drawLine(QPointF(x, box.bottom()), QPointF(x, box.bottom() + 3))
            painter.setPen(text)
            painter.drawText(QRectF(x - 40, box.bottom() + 4, 80, metrics.height()), middle, f"{tick:g}")
        for tick in self._up.ticks:
            y = box.bottom() - float(self._up.share(np.array(tick))) * box.height()
            painter.setPen(line)
            painter.drawLine(QPointF(box.left() - 3, y), QPointF(box.left(), y))
            painter.setPen(text)
            painter.drawText(QRectF(0, y - 8, box.left() - 5, 16), right, f"{tick:g}")
        painter.setPen(line)
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        painter.drawLine(box.bottomLeft(), box.topLeft())
        painter.setPen(text)
        painter.drawText(QRectF(box.left(), self.height() - metrics.height() - 2, box.width(), metrics.height()), right,
                         self._names[0])  # fmt: skip
        painter.drawText(QRectF(4, 0, self.width() - 8, metrics.height() + 2), Qt.AlignmentFlag.AlignLeft,
                         self._names[1])  # fmt: skip

    def _draw_bars(self, painter: QPainter, box: QRectF) -> None:
        shares = self._across.share(self._edges) * box.width()
        within = np.zeros_like(self._counts)
        if self._chosen is not None:
            within, _ = np.histogram(self._x[self._chosen], bins=self._edges)
        for counts, colour in ((self._counts, ACCENT), (within, MARKED)):
            painter.setBrush(QColor(colour))
            for count, start, end in zip(counts.tolist(), shares[:-1].tolist(), shares[1:].tolist(), strict=True):
                height = float(self._up.share(np.array(count))) * box.height()
                painter.drawRect(QRectF(box.left() + start, box.bottom() - height, max(end - start - 1, 1), height))

    def _draw_points(self, painter: QPainter, box: QRectF) -> None:
        assert self._y is not None
        x = box.left() + self._across.share(self._x) * box.width()
        y = box.bottom() - self._up.share(self._y) * box.height()
        known = np.isfinite(x) & np.isfinite(y)
        chosen = np.zeros(len(x), bool) if self._chosen is None else self._chosen
        for which, colour, alpha in ((known & ~chosen, ACCENT, 0.6), (known & chosen, MARKED, 1.0)):
            shade = QColor(colour)
            shade.setAlphaF(alpha)
            painter.setBrush(shade)
            rows = np.flatnonzero(which)
            for row in rows[:: max(1, len(rows) // MAX_POINTS)].tolist():
                painter.drawEllipse(QPointF(float(x[row]), float(y[row])), 2.5, 2.5)
