"""Train the shipped model `nuclei`.

    python training/nuclei.py train  --data DATA --run runs/nuclei
    python training/nuclei.py finish --data DATA --run runs/nuclei --out src/napari_unet/models/weights/nuclei.safetensors

DATA holds `nuclei_dsb2018` (Broad BBBC038, CC0) and `nuclei_bbbc039` (CC0), each with train/images, train/labels,
val/images and val/labels. `train` learns three maps at once (foreground, boundary, distance) on 92 % of the training
images. `finish` chooses, on the other 8 %, which of boundary or distance separates touching nuclei better and at which
thresholds, drops the map that lost, scores the result on the validation images (which nothing was chosen on), and
writes the model file with all of this in its card. The log of both stands beside the weights.
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import tifffile
import torch
from safetensors.torch import load_file, save_file

from napari_unet.learning.augment import Augmentation
from napari_unet.learning.sampling import Sample, make_sample
from napari_unet.learning.session import TrainingConfig, TrainingSession
from napari_unet.models.normalize import Normalization, measure, normalize
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet

OUTPUTS = ("foreground", "boundary", "distance")
SPEC = UNetSpec(ndim=2, in_channels=3, out_channels=len(OUTPUTS), features=16, levels=4)
# Share of the patches that each kind of image gets, however many images there are of it.
SHARES = {"fluorescence": 0.60, "histology": 0.25, "brightfield": 0.05, "bbbc039": 0.10}
AUGMENTATION = Augmentation(
    scale=1.6, elastic=3.0, elastic_spacing=70, contrast=0.3, brightness=0.1, gamma=1.6, noise=0.08, blur=1.2,
    invert=0.05, grey=0.3,
)  # fmt: skip


def pairs(data: Path, split: str) -> list[tuple[str, Path, Path]]:
    """Kind, image and labels of every pair of a split."""
    found = []
    for folder, kind in (("nuclei_dsb2018", None), ("nuclei_bbbc039", "bbbc039")):
        for path in sorted((data / folder / split / "images").glob("*.tif")):
            found.append((kind or path.name.split("_")[0], path, path.parents[1] / "labels" / path.name))
    return found


def is_held_out(path: Path) -> bool:
    """Whether a training image is kept for choosing the decoding: one in twelve, by its name."""
    return zlib.crc32(path.stem.encode()) % 12 == 0


def read(path: Path) -> np.ndarray:
    """Image as (3, Y, X), normalised as at inference; grey is repeated."""
    image = tifffile.imread(path)
    image = np.moveaxis(image, -1, 0) if image.ndim == 3 else np.broadcast_to(image, (3, *image.shape))
    normalization = Normalization()
    return normalize(image, measure(image, normalization), normalization)


def load(data: Path) -> list[Sample]:
    """All training samples, weighted by kind and by the square root of their size."""
    chosen = [pair for pair in pairs(data, "train") if not is_held_out(pair[1])]
    samples = []
    for kind, image_path, label_path in chosen:
        image, labels = read(image_path).astype(np.float16), tifffile.imread(label_path)
        samples.append((kind, make_sample(image, labels, OUTPUTS, weight=labels.size**0.5, max_focus=1024)))
    totals = {kind: sum(s.weight for k, s in samples if k == kind) for kind in SHARES}
    return [
        Sample(s.image, s.targets, s.supervised, s.focus, SHARES[kind] * s.weight / totals[kind])
        for kind, s in samples
    ]


def train(arguments: argparse.Namespace) -> None:
    """Train, saving the weights now and then."""
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arguments.run.mkdir(parents=True, exist_ok=True)
    config = TrainingConfig(
        steps=arguments.steps, batch_size=8, patch=(208, 208), learning_rate=2e-3, weight_decay=1e-2,
        schedule="cosine", warmup=50, freeze_norm=False, augmentation=AUGMENTATION, seed=arguments.seed,
    )  # fmt: skip
    session = TrainingSession(UNet(SPEC), load(arguments.data), config, arguments.device)
    (arguments.run / "config.json").write_text(config.model_dump_json(indent=1))
    recent: list[float] = []
    with (arguments.run / "train.log").open("w", buffering=1) as log:
        for report in session.run():
            recent.append(report.loss)
            if report.step % 50 == 0 or report.step == report.steps:
                log.write(f"step {report.step} loss {np.mean(recent):.4f} seconds {report.seconds:.0f}\n")
                recent.clear()
            if report.step % 200 == 0 or report.step == report.steps:
                state = {k: v.detach().cpu().contiguous() for k, v in session.net.state_dict().items()}
                partial = arguments.run / "state.safetensors.partial"
                save_file(state, partial, metadata={"step": str(report.step)})
                partial.replace(arguments.run / "state.safetensors")


def main() -> None:
    """Parse the command line and run one of the two parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["train", "finish"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/nuclei"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.part == "train":
        train(arguments)


if __name__ == "__main__":
    main()
