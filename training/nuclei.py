"""Train the shipped model `nuclei`.

    python training/nuclei.py train  --data DATA --run runs/nuclei
    python training/nuclei.py refine --data DATA --run runs/nuclei --steps 2000
    python training/nuclei.py finish --data DATA --run runs/nuclei
    python training/nuclei.py bank   --data DATA

DATA holds `nuclei_dsb2018` (Broad BBBC038, CC0) and `nuclei_bbbc039` (CC0), each with train/images, train/labels,
val/images and val/labels. `train` learns three maps at once (foreground, boundary, distance) on 92 % of the training
images; `refine` goes on from there with milder deformations. `finish` chooses, on the other 8 %, which of boundary or
distance separates touching nuclei better and at which thresholds, drops the map that lost, scores the result on the
validation images (which nothing was chosen on), and writes the model file with all of this in its card. `bank` writes
the patches that the model carries along, so that learning from corrections does not make it forget: two thirds are of
the training images; the others, of the 8 %, tell whether it did.
"""

from __future__ import annotations

import argparse
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
import tifffile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_unet.axes import Image
from napari_unet.evaluation.metrics import evaluate
from napari_unet.fastmode import with_fast_mode
from napari_unet.learning.augment import Augmentation
from napari_unet.learning.sampling import Sample, make_sample
from napari_unet.learning.session import TrainingConfig, TrainingSession
from napari_unet.models.bank import BankPatch, save_bank
from napari_unet.models.checkpoint import save_model_file
from napari_unet.models.info import DataSource, ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.normalize import Normalization, measure, normalize
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet.objects.decode import Decoding, decode_instances
from napari_unet.pipeline import segment
from napari_unet.tiling.engine import predict_maps

OUTPUTS = ("foreground", "boundary", "distance")
SPEC = UNetSpec(ndim=2, in_channels=3, out_channels=len(OUTPUTS), features=16, levels=4)
# Share of the patches that each kind of image gets, however many images there are of it.
SHARES = {"fluorescence": 0.60, "histology": 0.25, "brightfield": 0.05, "bbbc039": 0.10}
# Patches that the model carries along, (to train on, to check with), of this width.
BANK = {"fluorescence": (18, 7), "histology": (10, 3), "brightfield": (4, 1), "bbbc039": (4, 2)}
BANK_WIDTH = 192
# Objects of 16 to 32 pixels are found equally well, those of 45 nearly so (docs/decisions/0012-object-diameter.md).
DIAMETER = 32.0
AUGMENTATION = Augmentation(
    scale=1.6, elastic=3.0, elastic_spacing=70, contrast=0.3, brightness=0.1, gamma=1.6, noise=0.08, blur=1.2,
    invert=0.05, grey=0.3,
)  # fmt: skip
MILD = Augmentation(
    scale=1.3, elastic=2.0, elastic_spacing=70, contrast=0.2, brightness=0.05, gamma=1.3, noise=0.03, blur=0.6,
    invert=0.02, grey=0.2,
)  # fmt: skip


def pairs(data: Path, split: str) -> list[tuple[str, Path, Path]]:
    """Kind, image and labels of every pair of a split."""
    return [
        (kind or path.name.split("_")[0], path, path.parents[1] / "labels" / path.name)
        for folder, kind in (("nuclei_dsb2018", None), ("nuclei_bbbc039", "bbbc039"))
        for path in sorted((data / folder / split / "images").glob("*.tif"))
    ]


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
        Sample(s.image, s.targets, s.supervised, s.focus, SHARES[kind] * s.weight / totals[kind]) for kind, s in samples
    ]


def train(arguments: argparse.Namespace) -> None:
    """Train, saving the weights now and then."""
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arguments.run.mkdir(parents=True, exist_ok=True)
    refine = arguments.part == "refine"
    config = TrainingConfig(
        steps=arguments.steps,
        batch_size=8,
        patch=(160, 160) if refine else (208, 208),  # smaller patches give more steps in the same time
        learning_rate=1.5e-3 if refine else 2e-3,
        weight_decay=1e-2,
        schedule="cosine",
        warmup=50,
        freeze_norm=False,
        augmentation=MILD if refine else AUGMENTATION,
        seed=arguments.seed + refine,
    )
    net = UNet(SPEC)
    before = 0
    if refine:
        net, before = load_state(arguments.run)
    session = TrainingSession(net, load(arguments.data), config, arguments.device)
    (arguments.run / f"{arguments.part}.json").write_text(config.model_dump_json(indent=1))
    recent: list[float] = []
    name = f"refine-from-{before}" if refine else "train"
    with (arguments.run / f"{name}.log").open("w", buffering=1) as log:
        for report in session.run():
            recent.append(report.loss)
            if report.step % 50 == 0 or report.step == report.steps:
                log.write(f"step {report.step} loss {np.mean(recent):.4f} seconds {report.seconds:.0f}\n")
                recent.clear()
            if report.step % 200 == 0 or report.step == report.steps:
                state = {k: v.detach().cpu().contiguous() for k, v in session.net.state_dict().items()}
                partial = arguments.run / "state.safetensors.partial"
                save_file(state, partial, metadata={"step": str(before + report.step)})
                partial.replace(arguments.run / "state.safetensors")


def load_state(run: Path) -> tuple[UNet, int]:
    """Return the network of a run, and the steps it was trained for."""
    net = UNet(SPEC)
    net.load_state_dict(load_file(run / "state.safetensors"))
    with safe_open(run / "state.safetensors", framework="pt") as file:
        return net, int(file.metadata()["step"])


def average_precision(truths: list[np.ndarray], maps: list[np.ndarray], decoding: Decoding) -> dict[str, float]:
    """AP at each IoU, pooled over the images."""
    predicted = [decode_instances(m, OUTPUTS, decoding) for m in maps]
    return evaluate(truths, predicted).to_dict()["ap"]


def choose_decoding(net: UNet, data: Path) -> tuple[Decoding, list[dict[str, object]]]:
    """Try both kinds of seeds over a grid of thresholds on the held-out training images."""
    held_out = [pair for pair in pairs(data, "train") if is_held_out(pair[1])]
    truths = [tifffile.imread(labels) for _, _, labels in held_out]
    maps = [predict_maps(net, read(image)) for _, image, _ in held_out]
    table: list[dict[str, object]] = []
    for seeds in ("distance", "boundary"):
        for foreground, threshold in itertools.product((0.4, 0.5), (0.4, 0.5, 0.6, 0.7, 0.8)):
            decoding = Decoding(foreground=foreground, seeds=seeds, seed_threshold=threshold)
            ap = average_precision(truths, maps, decoding)
            mean = float(np.mean([ap["0.50"], ap["0.70"], ap["0.80"]]))
            table.append({"seeds": seeds, "foreground": foreground, "threshold": threshold, "mean": mean, **ap})
    table.sort(key=lambda row: -float(str(row["mean"])))
    best = table[0]
    chosen = Decoding.model_validate(
        {"foreground": best["foreground"], "seeds": best["seeds"], "seed_threshold": best["threshold"]}
    )
    return chosen, table


def without_output(net: UNet, dropped: str) -> tuple[UNet, tuple[str, ...]]:
    """Return the network without one of its maps: a row less in its last layer."""
    keep = [index for index, name in enumerate(OUTPUTS) if name != dropped]
    smaller = UNet(SPEC.model_copy(update={"out_channels": len(keep)}))
    state = net.state_dict()
    state |= {name: state[name][keep] for name in ("head.weight", "head.bias")}
    smaller.load_state_dict(state)
    return smaller.eval(), tuple(OUTPUTS[index] for index in keep)


def finish(arguments: argparse.Namespace) -> None:
    """Choose the decoding, score on the validation images, and write the model file."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    net, steps = load_state(arguments.run)
    net.eval()
    decoding, table = choose_decoding(net, arguments.data)
    smaller, outputs = without_output(net, "boundary" if decoding.seeds == "distance" else "distance")
    trained = [pair for pair in pairs(arguments.data, "train") if not is_held_out(pair[1])]
    kinds = [kind for kind, _, _ in trained]
    info = ModelInfo(
        name="nuclei",
        description="Nuclei in fluorescence, histology (RGB) and brightfield images, 8 to 80 pixels across.",
        spec=smaller.spec,
        outputs=outputs,
        classes=("nucleus",),
        inputs="colour",
        diameter=DIAMETER,
        decoding=decoding,
        training_data=(
            DataSource(name="BBBC038 (2018 Data Science Bowl), corrected masks", licence="CC0-1.0",
                       source="https://bbbc.broadinstitute.org/BBBC038", images=len(trained) - kinds.count("bbbc039")),
            DataSource(name="BBBC039", licence="CC0-1.0",
                       source="https://bbbc.broadinstitute.org/BBBC039", images=kinds.count("bbbc039")),
        ),
        recipe={"script": "training/nuclei.py", "steps": steps, "seed": arguments.seed, "batch_size": 8, "patch": 208},
        licence="CC0-1.0",
        bank="nuclei",
    )  # fmt: skip
    # The weights are rounded to 16 bits in the file, so that is what is scored.
    smaller.load_state_dict(
        {k: v.half().float() if v.is_floating_point() else v for k, v in smaller.state_dict().items()}
    )
    model = Model(smaller, info)
    scores = validate(model, arguments.data)
    info = info.model_copy(update={"scores": {f"val {kind} AP@{iou}": round(ap, 4)
                                              for kind, aps in scores.items() for iou, ap in aps.items()
                                              if iou in ("0.50", "0.75")}})  # fmt: skip
    save_model_file(with_fast_mode(Model(smaller, info), examples(arguments.data)), arguments.out, half=True)
    report = {"steps": steps, "chosen": decoding.model_dump(), "held_out": table, "validation_ap": scores}
    (arguments.run / "finish.json").write_text(json.dumps(report, indent=1))
    print(json.dumps({"chosen": report["chosen"], "validation_ap": scores}, indent=1))


def bank(arguments: argparse.Namespace) -> None:
    """Write the patches that the model carries along."""
    rng = np.random.default_rng(arguments.seed)
    patches = []
    for kind, numbers in BANK.items():
        for check, number in zip((False, True), numbers, strict=True):
            found = [p for p in pairs(arguments.data, "train") if p[0] == kind and is_held_out(p[1]) == check]
            # Images with many objects are the hard ones, and the first to be forgotten.
            chance = np.array([np.count_nonzero(np.unique(tifffile.imread(labels))) for *_, labels in found], float)
            chosen = rng.choice(len(found), min(number, len(found)), replace=False, p=chance / chance.sum())
            patches += [bank_patch(*found[index][1:], check=check) for index in chosen]
    save_bank(patches, arguments.out.with_name("nuclei.bank.npz"))
    print(f"{len(patches)} patches, {sum(patch.labels.size for patch in patches) / 1e6:.1f} million pixels")


def bank_patch(image_path: Path, label_path: Path, *, check: bool) -> BankPatch:
    """Return the part of an image that shows the most objects."""
    image, labels = read(image_path), tifffile.imread(label_path)
    if (image[0] == image[1]).all():
        image = image[:1]
    corners = [
        (slice(y, y + BANK_WIDTH), slice(x, x + BANK_WIDTH))
        for y in range(0, max(1, labels.shape[0] - BANK_WIDTH + 1), 32)
        for x in range(0, max(1, labels.shape[1] - BANK_WIDTH + 1), 32)
    ]
    best = max(corners, key=lambda box: len(np.unique(labels[box])))
    cut = np.unique(labels[best], return_inverse=True)[1].reshape(labels[best].shape)
    return BankPatch(image[:, *best], cut + (labels[best].min() > 0), check)


def examples(data: Path) -> list[Image]:
    """Return the largest held-out training image of each kind, to measure the fast mode on."""
    largest: dict[str, Path] = {}
    for kind, path, _ in pairs(data, "train"):
        if is_held_out(path) and (kind not in largest or path.stat().st_size > largest[kind].stat().st_size):
            largest[kind] = path
    images = [tifffile.imread(path) for path in largest.values()]
    return [Image(image, "YXC" if image.ndim == 3 else "YX") for image in images]


def validate(model: Model, data: Path) -> dict[str, dict[str, float]]:
    """AP of the finished model on the validation images, by kind, through the program's own `segment`."""
    found: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for kind, image_path, label_path in pairs(data, "val"):
        image = tifffile.imread(image_path)
        result = segment(image, model, axes="YXC" if image.ndim == 3 else "YX", device="cpu")
        truths, predicted = found.setdefault(kind, ([], []))
        truths.append(tifffile.imread(label_path))
        predicted.append(result.labels)
    return {kind: evaluate(*lists).to_dict()["ap"] for kind, lists in found.items()}


def main() -> None:
    """Parse the command line and run one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["train", "refine", "finish", "bank"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/nuclei"))
    parser.add_argument("--out", type=Path, default=Path("src/napari_unet/models/weights/nuclei.safetensors"))
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.part == "finish":
        finish(arguments)
    elif arguments.part == "bank":
        bank(arguments)
    else:
        train(arguments)


if __name__ == "__main__":
    main()
