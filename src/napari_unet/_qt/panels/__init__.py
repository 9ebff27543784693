"""The panels of the dock. Each shows what the controller tells and hands intents back; none computes anything."""

from napari_unet._qt.panels.correct import CorrectPanel
from napari_unet._qt.panels.decision import DecisionBar
from napari_unet._qt.panels.decoding import DecodingSlidersPanel
from napari_unet._qt.panels.image import ImagePanel
from napari_unet._qt.panels.learn import LearnPanel
from napari_unet._qt.panels.progress import SegmentProgress
from napari_unet._qt.panels.results import ResultsPanel
from napari_unet._qt.panels.segment import SegmentPanel
from napari_unet._qt.panels.walk import WalkPanel

__all__ = [
    "CorrectPanel",
    "DecisionBar",
    "DecodingSlidersPanel",
    "ImagePanel",
    "LearnPanel",
    "ResultsPanel",
    "SegmentPanel",
    "SegmentProgress",
    "WalkPanel",
]
