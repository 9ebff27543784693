"""A small live plot of the loss."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

ACCENT = "#4a9eda"
"""Colour of the curve: seen well on napari's dark theme and on its light one."""


SCORE = "#6abf69"
"""Colour of the score."""


class LearningPlot(QWidget):
    """Draws the loss against the training steps, every step faintly and their running mean as a line.

    And, on a scale of its own from 0 to 1, the score on the reviewed places kept aside with its interval, beside a
    dashed line where the model before is.
    """

    SMOOTHING = 0.9

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses: list[float] = []
        self._means: list[float] = []
        self._scores: list[tuple[int, float, float, float]] = []  # after so many steps: score, low, high
        self._before: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Blue: error on your corrections; lower is better. "
            "Green: share right in what you reviewed, with its range; dashed: before learning."
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that the plot would like."""
        return QSize(240, 90)

    @property
    def losses(self) -> list[float]:
        """What is drawn."""
        return list(self._losses)

    @property
    def scores(self) -> list[float]:
        """Scores that are drawn."""
        return [score for _, score, _, _ in self._scores]

    def clear(self) -> None:
        """Begin a new curve."""
        self._losses.clear()
        self._means.clear()
        self._scores.clear()
        self.update()

    def add(self, loss: float) -> None:
        """Append the loss of one step; a step that failed has none."""
        if not math.isfinite(loss):
            return
        self._losses.append(loss)
        self._means.append(self._mean_after(loss))
        self.update()

    def add_score(self, before: float, after: float, low: float, high: float) -> None:
        """Append a score of now, with its interval, beside that of the model before."""
        self._before = before
        self._scores.append((len(self._losses), after, low, high))
        self.update()

    def _mean_after(self, loss: float) -> float:
        if not self._means:
            return loss
        # A running mean that is fair from the first step on: young curves are averaged over what there is.
        keep = min(self.SMOOTHING, 1 - 1 / len(self._losses))
        return keep * self._means[-1] + (1 - keep) * loss

    def paintEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Draw the plot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        metrics = painter.fontMetrics()
        left, bottom = metrics.horizontalAdvance("0.000") + 6, metrics.height() + 2
        box = QRectF(self.rect()).adjusted(left, 4, -left if self._scores else -6, -bottom)
        text.setAlphaF(0.35)
        painter.setPen(QPen(text, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        painter.drawLine(box.bottomLeft(), box.topLeft())
        text.setAlphaF(0.8)
        painter.setPen(text)
        if not self._losses:
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "the error on your corrections")
            return
        top = max(self._losses) * 1.05 or 1.0
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for y, number in ((box.top() + 3, f"{top:.2f}"), (box.bottom() - 1, "0")):
            painter.drawText(QRectF(0, y - 7, left - 5, 14), right, number)
            if self._scores:
                painter.drawText(QPointF(box.right() + 5, y + 4), "1" if number != "0" else "0")
        caption = f"error {self._means[-1]:.3f}"
        if self._scores:
            caption = f"{caption}, {self._scores[-1][1]:.0%} right"
        painter.drawText(QRectF(0, box.bottom(), self.width() - 6, bottom), right, caption)
        for values, alpha, width in ((self._losses, 0.35, 1.0), (self._means, 1.0, 2.0)):
            line = [self._point(box, step, value / top) for step, value in enumerate(values, start=1)]
            painter.setPen(_pen(ACCENT, alpha, width))
            painter.drawPolyline(QPolygonF(line))
        self._draw_scores(painter, box)

    def _draw_scores(self, painter: QPainter, box: QRectF) -> None:
        if self._before is None or not self._scores:
            return
        before = _pen(SCORE, 0.7, 1.0)
        before.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(before)
        painter.drawLine(self._point(box, 1, self._before), self._point(box, len(self._losses), self._before))
        painter.setPen(_pen(SCORE, 0.6, 1.0))
        for step, _, low, high in self._scores:
            painter.drawLine(self._point(box, step, low), self._point(box, step, high))
        line = [self._point(box, step, score) for step, score, _, _ in self._scores]
        painter.setPen(_pen(SCORE, 1.0, 2.0))
        painter.drawPolyline(QPolygonF(line))
        painter.setBrush(QColor(SCORE))
        for point in line:
            painter.drawEllipse(point, 2.0, 2.0)

    def _point(self, box: QRectF, step: int, height: float) -> QPointF:
        """Return where a step is, and a height from 0 to 1."""
        along = (step - 1) / max(len(self._losses) - 1, 1)
        return QPointF(box.left() + along * box.width(), box.bottom() - min(max(height, 0.0), 1.0) * box.height())


def _pen(colour: str, alpha: float, width: float) -> QPen:
    shade = QColor(colour)
    shade.setAlphaF(alpha)
    return QPen(shade, width)
