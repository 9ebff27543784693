"""What else annotation could be spent on, learned at the same moments as the program does and from no more seconds."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy import ndimage

from napari_unet.corrections.corrections import Corrections
from napari_unet.inference.in_memory import segment
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.crops import CropReader, crop_sample
from napari_unet.learning.dense import train_steps, training_config
from napari_unet.learning.finetune import finetune_config, finetune_steps
from napari_unet.learning.labelled import with_chosen_channels
from napari_unet.models.normalize import Normalization, measure, normalize
from napari_unet.objects.stitch import stitch_slices
from napari_unet.progress import drive
from napari_unet_benchmarks.annotator_model import Annotator
from napari_unet_benchmarks.annotator_session import learn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model
    from napari_unet_benchmarks.annotator_session import Checkpoint
    from napari_unet_benchmarks.fields import Field


class Rival(Protocol):
    """Something that learns from annotation and segments."""

    name: str

    def learn(self, point: Checkpoint) -> None:
        """Learn from what there is at this moment."""

    def segment(self, image: Image) -> NDArray[Any]:
        """Return the labels ([Z,] Y, X) of an image."""


class Dense:
    """The same network, learning as the program does, from fields in which every object was drawn by hand.

    A field is learned from when it is finished, and never looked at before; the next one is then begun.
    """

    name = "dense"

    def __init__(
        self, model: Model, fields: Sequence[Field], steps: int, *, instances: bool, device: str = "cpu", seed: int = 0
    ) -> None:
        self.model, self.steps, self.device = model, steps, device
        drawn = [
            (field, z, Annotator(field.slices[z], instances=instances, seed=seed + i + z))
            for i, field in enumerate(fields)
            for z in field.planes
        ]
        self._finished_at = np.cumsum([person.draw_all() for _, _, person in drawn])
        self._crops = [_reviewed(field, z, person.truth, model, instances=instances) for field, z, person in drawn]

    @property
    def seconds(self) -> float:
        """What drawing all fields takes."""
        return float(self._finished_at[-1])

    def learn(self, point: Checkpoint) -> None:
        """Learn from the fields that are finished, if there is one."""
        finished = int(np.searchsorted(self._finished_at, point.seconds, side="right"))
        if finished:
            learned = learn(self.model, list(chain(*self._crops[:finished])), self.steps, self.device)
            self.model = learned.model if learned.verdict.should_promote() else self.model

    def segment(self, image: Image) -> NDArray[Any]:
        """Return the labels ([Z,] Y, X) of an image."""
        return segment(image, self.model, device=self.device).labels


def _reviewed(field: Field, z: int, truth: NDArray[Any], model: Model, *, instances: bool) -> list[AnnotatedCrop]:
    """Return a slice of a field of which somebody has said that all of it is right."""
    labels = np.zeros((1, *field.slices.shape), np.int32)
    labels[0, z] = truth
    corrections = Corrections(labels.shape, instances=instances)
    corrections.reviewed[0, z] = True
    corrections.update(labels)
    return annotated_crops(field.image, labels, corrections, model)


class Scratch:
    """An untrained network of the same size, learning from the same corrections as untrained networks do."""

    name = "scratch"

    def __init__(self, model: Model, steps: int, device: str = "cpu") -> None:
        self.model, self.steps, self.device = model, steps, device

    def learn(self, point: Checkpoint) -> None:
        """Train on; the statistics of its normalisation are learned too, and there is nothing to hold on to."""
        samples = []
        for one in point.crops:
            reader, part = CropReader(one.image, self.model, one.channels), one.part
            mask = part.mask("supervised")
            samples.append(crop_sample(reader, self.model, part.frame, part.corner, part.labels, mask))
        config = finetune_config(
            self.model, steps=self.steps, max_seconds=None, learning_rate=1e-3, freeze_norm=False, distillation=0.0
        )
        self.model = drive(finetune_steps(self.model, samples, config, self.device), lambda report: None)

    def segment(self, image: Image) -> NDArray[Any]:
        """Return the labels ([Z,] Y, X) of an image."""
        return segment(image, self.model, device=self.device).labels


class RandomForest:
    """A pixel classifier as in ilastik and Labkit: a random forest on multiscale features of the corrected pixels.

    Touching objects are parted by a watershed on the distance transform, with seeds as far apart as the corrected
    objects are wide. Needs scikit-learn.
    """

    name = "forest"
    _PIXELS = 20_000

    def __init__(self, *, instances: bool, seed: int = 0) -> None:
        from sklearn.ensemble import RandomForestClassifier

        self._instances, self._radius = instances, 1.0
        self._rng = np.random.default_rng(seed)
        self._forest = RandomForestClassifier(100, max_samples=0.5, min_samples_leaf=5, random_state=seed)

    def learn(self, point: Checkpoint) -> None:
        """Fit to the pixels that the program learned from."""
        self.fit(point.crops)

    def fit(self, crops: Sequence[AnnotatedCrop]) -> None:
        """Fit to the supervised pixels, a part of them where they are many."""
        features, classes, areas = [], [], [1]
        for one in crops:
            first, y, x = one.part.corner
            for z, (labels, mask) in enumerate(zip(one.part.labels, one.part.mask("supervised"), strict=True)):
                seen = pixel_features(one.image, first + z)[y : y + mask.shape[0], x : x + mask.shape[1]]
                features.append(seen[mask])
                classes.append(labels[mask] > 0 if self._instances else labels[mask])
                areas += np.bincount(labels[mask])[1:].tolist()
        all_features, all_classes = np.concatenate(features), np.concatenate(classes)
        chosen = self._rng.permutation(len(all_classes))[: self._PIXELS]
        self._forest.fit(all_features[chosen], all_classes[chosen])
        self._radius = float(np.sqrt(np.median([area for area in areas if area]) / np.pi))

    def segment(self, image: Image) -> NDArray[Any]:
        """Return the labels ([Z,] Y, X) of an image."""
        planes = [self._plane(pixel_features(image, z)) for z in range(image.size("Z"))]
        if not image.is_volume:
            return planes[0]
        return stitch_slices(np.stack(planes)) if self._instances else np.stack(planes)

    def foreground(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability (Y, X) that a pixel is of an object."""
        found = self._forest.predict_proba(features.reshape(-1, features.shape[-1])) @ (self._forest.classes_ > 0)
        return np.asarray(found, np.float32).reshape(features.shape[:-1])

    def _plane(self, features: NDArray[np.float32]) -> NDArray[np.int32]:
        from skimage.feature import peak_local_max
        from skimage.segmentation import watershed

        classes = self._forest.predict(features.reshape(-1, features.shape[-1])).reshape(features.shape[:-1])
        if not self._instances:
            return np.asarray(classes, np.int32)
        mask = ndimage.binary_opening(classes.astype(bool))
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
        peaks = peak_local_max(depth, min_distance=max(1, round(self._radius)), labels=ndimage.label(mask)[0])
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return np.asarray(watershed(-depth, seeds, mask=mask), np.int32)


def rivals_of(
    dense: Dense, untrained_model: Model, seed: int, *, instances: bool, say: Callable[[str], None]
) -> list[Rival]:
    """Return what else learns from the same annotation; a random forest only where scikit-learn is there."""
    rivals: list[Rival] = [dense, Scratch(untrained_model, dense.steps, dense.device)]
    try:
        rivals.append(RandomForest(instances=instances, seed=seed))
    except ImportError:
        say("  Without scikit-learn there is no random forest to compare with.")
    return rivals


def pixel_features(image: Image, z: int = 0) -> NDArray[np.float32]:
    """Return intensity, edges and texture of every pixel of a slice on several scales, axes (Y, X, features)."""
    from skimage.feature import multiscale_basic_features

    pixels = image.read()
    settings = Normalization()
    plane = normalize(pixels, measure(pixels, settings), settings)[:, z]
    found = multiscale_basic_features(plane, sigma_min=1, sigma_max=16, channel_axis=0)
    return np.asarray(found, np.float32)


def ceiling(model: Model, fields: Sequence[Field], steps: int, *, device: str = "cpu", seed: int = 0) -> Model:
    """Return the network trained on all labels of all fields, at the high falling rate at which new ones are.

    With the settings of fine-tuning, whose rate is a quarter and which keeps the normalisation's statistics, it would
    come nowhere near what there is to be had within some hundred steps.
    """
    config = training_config(model, scratch=True, steps=steps, max_seconds=None, seed=seed)
    config = config.model_copy(update={"batch_size": 4, "patch": (160, 160)})
    images = [with_chosen_channels(field.image, model) for field in fields]
    labels = [field.truth for field in fields]
    return drive(train_steps(model, images, labels, config, device=device), lambda report: None)
