"""Our network and other programs', each trained from scratch on the same images for the same time.

    napari-unet benchmark other_programs --data DATA [--minutes 8] [--only ours stardist cellpose] [--keep RUNS]

DATA: see `recipes/nuclei.py`. Learned from are the fluorescence images of `nuclei_dsb2018` that the recipe of `nuclei`
learns from, scored is its validation split. Everybody gets the same minutes of one processor core, as the system counts
them, so that it does not matter what else the machine is busy with; one after the other, each on one thread of a
process of its own. Else each is used as its users do:

- `ours`: what `napari-unet train --new unet2d` does, in as many steps as fit into the time
- `stardist`: StarDist 2D as in its example notebook (32 rays, grid of 2 x 2, flips, quarter turns and changes of
  intensity, its thresholds chosen on the images that the recipe keeps aside for that); BSD-3-Clause
- `cellpose`: the network of cellpose 3 for nuclei (diameter 17), by its own augmentation and falling rate, in as many
  epochs of 8 images as fit into the time; BSD-3-Clause

Time to prepare targets and to choose thresholds is told apart and not counted. The others are no dependencies of this
project, and better lie in an environment of their own:

    pip install torch && pip install "cellpose<4" stardist tensorflow-cpu && pip install -e .

With --keep, what has been measured stays in that folder, and is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet import evaluate
from napari_unet.axes import Image
from napari_unet.io.readers import read_image, read_labels
from napari_unet_benchmarks.results import write_result
from napari_unet_benchmarks.shipped import recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.training.config import StepReport
    from recipe import Split

    Predict = Callable[[np.ndarray], np.ndarray]

SEED = 0
THRESHOLDS = ("0.50", "0.60", "0.70", "0.75", "0.80", "0.90")
STEPS_FOR_TIMING = 4
IMAGES_AN_EPOCH = 8
"""Of cellpose, one batch: its rate rises for 10 epochs and falls over the last 50 or 100, so they must be short."""


class Images:
    """Images and labels of a split, axes (Y, X)."""

    def __init__(self, data: Path, split: Split, most: int | None = None) -> None:
        pairs = [pair for pair in recipe_of("nuclei").pairs(data, split) if pair.kind == "fluorescence"][:most]
        self.pixels = [np.asarray(read_image(pair.image).data) for pair in pairs]
        self.labels = [read_labels(pair.labels) for pair in pairs]


class OutOfTime(Exception):  # noqa: N818 - it is no error
    """Ends a training that offers no other way."""


class Clock:
    """Measures a training, from its first step on, by the processor's time."""

    def __init__(self, minutes: float) -> None:
        self.limit, self.steps = 60 * minutes, 0
        self._begin = self._cpu = 0.0

    def step(self) -> bool:
        """Count a step that begins; return whether there was time for it."""
        if not self.steps:
            self._begin, self._cpu = time.monotonic(), time.process_time()
        if time.process_time() - self._cpu > self.limit:
            return False
        self.steps += 1
        return True

    def facts(self, pixels: int) -> dict[str, Any]:
        """Return what came of it; `pixels` were seen in each step."""
        return {
            "steps": self.steps,
            "megapixels_seen": round(self.steps * pixels / 1e6, 1),
            "core_seconds": round(time.process_time() - self._cpu, 1),
            "wall_seconds": round(time.monotonic() - self._begin, 1),
            "load_average": round(os.getloadavg()[1], 1),
        }


def ours(train: Images, choose: Images, minutes: float) -> tuple[Predict, dict[str, Any]]:
    """Train the small U-Net of this program from scratch."""
    from napari_unet import segment
    from napari_unet.learning.dense import train_steps, training_config
    from napari_unet.learning.new_model import model_for_labels
    from napari_unet.progress import CancelToken, drive

    images = [Image(pixels, "YX") for pixels in train.pixels]
    model = model_for_labels("unet2d", "instances", images, train.labels, SEED)
    config = training_config(model, scratch=True, steps=STEPS_FOR_TIMING, max_seconds=None, seed=SEED)
    passed = [time.process_time()]
    drive(
        train_steps(model, images[:4], train.labels[:4], config, device="cpu"),
        lambda report: passed.append(time.process_time()),
    )
    steps = max(1, int(0.95 * 60 * minutes / float(np.median(np.diff(passed)[1:]))))
    clock, cancel = Clock(minutes), CancelToken()

    def count(report: StepReport) -> None:
        if not clock.step():
            cancel.cancel()

    config = config.model_copy(update={"steps": steps})
    trained = drive(train_steps(model, images, train.labels, config, device="cpu", cancel=cancel), count)
    facts = clock.facts(config.batch_size * int(np.prod(config.patch))) | {"steps_planned": steps}
    facts["parameters"] = sum(p.numel() for p in trained.net.parameters())
    return lambda pixels: segment(pixels, trained, axes="YX", device="cpu").labels, facts


def stardist(train: Images, choose: Images, minutes: float) -> tuple[Predict, dict[str, Any]]:
    """Train StarDist 2D (Schmidt et al. 2018) from scratch, as its example notebook does."""
    import tensorflow as tf
    from csbdeep.utils import normalize
    from stardist import fill_label_holes
    from stardist.models import Config2D, StarDist2D

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(SEED)
    clock, rng = Clock(minutes), np.random.default_rng(SEED)

    class Stop(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if not clock.step():
                self.model.stop_training = True

    def augmented(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        image, labels = np.rot90(image, turns), np.rot90(labels, turns)
        if flip:
            image, labels = image[::-1], labels[::-1]
        image = image * rng.uniform(0.6, 2) + rng.uniform(-0.2, 0.2)
        return image + 0.02 * rng.uniform(0, 1) * rng.normal(size=image.shape), labels

    ready = [[normalize(pixels, 1, 99.8) for pixels in images.pixels] for images in (train, choose)]
    masks = [[fill_label_holes(labels) for labels in images.labels] for images in (train, choose)]
    config = Config2D(n_rays=32, grid=(2, 2), n_channel_in=1, train_tensorboard=False)
    with tempfile.TemporaryDirectory() as folder:  # it keeps the weights that do best on the validation images
        model = StarDist2D(config, name="stardist", basedir=folder)
        model.prepare_for_training()
        model.callbacks.append(Stop())
        model.train(ready[0], masks[0], (ready[1], masks[1]), augmenter=augmented, seed=SEED)
        facts = clock.facts(config.train_batch_size * int(np.prod(config.train_patch_size)))
        begin = time.process_time()
        chosen = model.optimize_thresholds(ready[1], masks[1])
        facts["core_seconds_to_choose_thresholds"] = round(time.process_time() - begin, 1)
    facts["thresholds"] = {name: round(float(value), 3) for name, value in chosen.items()}
    facts["parameters"] = int(model.keras_model.count_params())
    return lambda pixels: np.asarray(model.predict_instances(normalize(pixels, 1, 99.8))[0]), facts


def cellpose(train: Images, choose: Images, minutes: float) -> tuple[Predict, dict[str, Any]]:
    """Train the network of cellpose 3 (Stringer et al. 2021) from scratch."""
    import torch
    from cellpose.models import CellposeModel
    from cellpose.train import train_seg

    torch.manual_seed(SEED)
    model = CellposeModel(gpu=False, pretrained_model=False, diam_mean=17.0)
    batch, width = 8, 224
    step_seconds = _seconds_a_step(torch, model.net, (batch, 2, width, width))
    torch.manual_seed(SEED)
    model = CellposeModel(gpu=False, pretrained_model=False, diam_mean=17.0)
    clock = Clock(minutes)

    def count(*_: Any) -> None:
        if not clock.step():
            raise OutOfTime

    counting = model.net.register_forward_pre_hook(count)
    epochs = max(1, int(0.95 * 60 * minutes / step_seconds / (IMAGES_AN_EPOCH // batch)))
    with tempfile.TemporaryDirectory() as folder:
        try:
            train_seg(
                model.net, train_data=train.pixels, train_labels=train.labels, channels=[0, 0], n_epochs=epochs,
                nimg_per_epoch=IMAGES_AN_EPOCH, save_path=folder,
            )  # fmt: skip
        except OutOfTime:
            print("cellpose: the time was up before its rate had fallen")
    facts = clock.facts(batch * width**2) | {"epochs_planned": epochs}
    counting.remove()
    facts["parameters"] = sum(p.numel() for p in model.net.parameters())
    model.diam_labels = float(model.net.diam_labels.item())  # as if it were saved and loaded again
    model.net.eval()
    return lambda pixels: np.asarray(model.eval(pixels, channels=[0, 0])[0]), facts


def _seconds_a_step(torch: Any, net: Any, shape: tuple[int, ...]) -> float:
    """Return how long cellpose takes to draw and learn from one batch, about, in seconds of a core."""
    from cellpose.transforms import random_rotate_and_resize

    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-6)
    image, maps = np.random.default_rng(SEED).random((2, 300, 300), np.float32), np.ones((3, 300, 300), np.float32)
    taken = []
    for _ in range(STEPS_FOR_TIMING):
        begin = time.process_time()
        drawn, _targets, _scale = random_rotate_and_resize([image] * shape[0], [maps] * shape[0], xy=shape[2:])
        loss = net(torch.from_numpy(drawn))[0].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.process_time() - begin)
    return float(np.median(taken))


RIVALS = {"ours": ours, "stardist": stardist, "cellpose": cellpose}


def measured(name: str, data: Path, minutes: float, most: int | None) -> dict[str, Any]:
    """Train one of them in this process, and score it on the validation images."""
    train, choose, val = (Images(data, split, most) for split in ("train", "choose", "val"))
    begin = time.process_time()
    try:
        predict, facts = RIVALS[name](train, choose, minutes)
    except ImportError as error:
        raise SystemExit(f'{name} cannot be measured, {error.name} is missing: pip install "cellpose<4" stardist '
                         "tensorflow-cpu, after torch, best into an environment of its own.") from error  # fmt: skip
    spent = facts["core_seconds"] + facts.get("core_seconds_to_choose_thresholds", 0)
    facts["core_seconds_to_prepare"] = round(time.process_time() - begin - spent, 1)
    predict(val.pixels[0])  # the first call prepares
    begin = time.process_time()
    found = [predict(pixels) for pixels in val.pixels]
    facts["core_seconds_per_image"] = round((time.process_time() - begin) / len(found), 3)
    scores = evaluate(val.labels, found).to_dict()
    kept = {score: scores[score] for score in ("n_images", "n_truth", "n_pred", "ap", "f1", "pq")}
    return kept | facts | {"training_images": len(train.pixels), "versions": versions(name)}


def versions(name: str) -> dict[str, str]:
    """Return the versions of what a rival runs on."""
    from importlib.metadata import version

    parts = {"ours": ("torch",), "stardist": ("stardist", "tensorflow-cpu"), "cellpose": ("cellpose", "torch")}
    return {part: version(part) for part in parts[name]}


def in_own_process(name: str, arguments: argparse.Namespace, kept: Path) -> None:
    """Measure one of them in a process that has one thread from its start, and keep what it came to."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
             "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # fmt: skip
    environment = os.environ | dict.fromkeys(names, "1") | {"CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, __file__, "--data", str(arguments.data), "--minutes", str(arguments.minutes)]
    command += ["--measure", name, "--keep", str(kept)]
    if arguments.images:
        command += ["--images", str(arguments.images)]
    subprocess.run(command, env=environment, check=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="of one core for training, for each")
    parser.add_argument("--only", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--images", type=int, help="most images of each split, to try it out; no result is written")
    parser.add_argument("--keep", type=Path, help="folder for what each came to")
    parser.add_argument("--measure", choices=RIVALS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        figures = measured(arguments.measure, arguments.data, arguments.minutes, arguments.images)
        arguments.keep.write_text(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        for name in arguments.only:
            if not (keep / f"{name}.json").exists():
                in_own_process(name, arguments, keep / f"{name}.json")
        rows = {name: json.loads((keep / f"{name}.json").read_text()) for name in arguments.only}
    print("\n  IoU        " + "  ".join(f"{iou:>6}" for iou in THRESHOLDS) + "      PQ   steps  s/image")
    for name, row in rows.items():
        aps = "  ".join(f"{row['ap'][iou]:6.3f}" for iou in THRESHOLDS)
        print(f"  {name:<10} {aps}  {row['pq']:6.3f}  {row['steps']:6d}  {row['core_seconds_per_image']:7.2f}")
    if arguments.images is None and set(rows) == set(RIVALS):
        write_result("other_programs", {"core_minutes": arguments.minutes, "rows": rows})


if __name__ == "__main__":
    main()
