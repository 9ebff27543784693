"""A small live plot of the loss."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

ACCENT = "#4a9eda"
"""Colour of the curve: seen well on napari's dark theme and on its light one."""


class LossPlot(QWidget):
    """Draws the loss against the training steps: every step faintly, and their running mean as a line."""

    SMOOTHING = 0.9

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses: list[float] = []
        self._means: list[float] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Loss on the corrected pixels: the lower, the better the network agrees with you.")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size that the plot would like."""
        return QSize(240, 90)

    @property
    def losses(self) -> list[float]:
        """What is drawn."""
        return list(self._losses)

    def clear(self) -> None:
        """Begin a new curve."""
        self._losses.clear()
        self._means.clear()
        self.update()

    def add(self, loss: float) -> None:
        """Append the loss of one step."""
        self._losses.append(loss)
        self._means.append(self._mean_after(loss))
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
        palette = self.palette()
        text, accent = palette.color(QPalette.ColorRole.WindowText), QColor(ACCENT)
        metrics = painter.fontMetrics()
        left, bottom = metrics.horizontalAdvance("0.000") + 6, metrics.height() + 2
        box = QRectF(self.rect()).adjusted(left, 4, -6, -bottom)
        text.setAlphaF(0.35)
        painter.setPen(QPen(text, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        painter.drawLine(box.bottomLeft(), box.topLeft())
        text.setAlphaF(0.8)
        painter.setPen(text)
        if not self._losses:
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "the loss appears here")
            return
        top = max(self._losses) * 1.05 or 1.0
        count = max(len(self._losses), 2)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, box.top() - 4, left - 5, 14), right, f"{top:.2f}")
        painter.drawText(QRectF(0, box.bottom() - 8, left - 5, 14), right, "0")
        caption = f"loss {self._means[-1]:.3f} after {len(self._losses)} step{'s' if len(self._losses) > 1 else ''}"
        painter.drawText(QRectF(box.left(), box.bottom(), box.width(), bottom), right, caption)
        for values, alpha, width in ((self._losses, 0.35, 1.0), (self._means, 1.0, 2.0)):
            accent.setAlphaF(alpha)
            painter.setPen(QPen(accent, width))
            points = [
                QPointF(box.left() + i * box.width() / (count - 1), box.bottom() - v / top * box.height())
                for i, v in enumerate(values)
            ]
            painter.drawPolyline(QPolygonF(points))
