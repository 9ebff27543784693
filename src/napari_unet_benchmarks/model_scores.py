"""A model on labelled images that it has never seen, beside a classical pipeline; and how long it takes."""

from __future__ import annotations

import copy
import statistics
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.io.readers import read_image, read_labels
from napari_unet.models.model import resolve_device
from napari_unet_benchmarks.classical import tuned_for_classes, tuned_for_objects
from napari_unet_benchmarks.intervals import ap_interval
from napari_unet_benchmarks.report import in_turn, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.model import Model
    from napari_unet.nets.unet import UNet
    from napari_unet_benchmarks.classical import Labelled

    Pairs = Sequence[tuple[Path, Path]]
    """Files of images and of their labels."""

TUNED_ON, TUNED_PIXELS = 40, 4_000_000
"""The classical pipeline is tuned on at most so many training images of a kind, spread evenly, and so many pixels."""

WITH_INTERVAL = ("0.50", "0.75")
"""Average precision at these IoU is given with an interval of 95 %: a bootstrap over images."""

SIZE = 1024
"""Width and height, pixels, of the image that is timed."""

BARE_WIDTHS = {2: (256, 512, 1024), 3: (64, 128)}
"""Widths of tiles among which the bare network's fastest is looked for."""


def run(
    model: Model,
    val: Mapping[str, Pairs],
    train: Mapping[str, Pairs] | None = None,
    device: str = "cpu",
    rounds: int = 5,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Score a model and, tuned on the training images, a classical pipeline; time both, and the bare network.

    Parameters
    ----------
    model : Model
    val, train : mapping
        For each kind of image its files, those to be scored and those to tune on. Without the latter there is no
        classical pipeline.
    device : str
        Where the network runs.
    rounds : int
        How often each is timed, in turn.
    say : callable
        Called with lines for people.

    Returns
    -------
    dict
        The model, and for each kind, and for all where there are several, its scores; the times.
    """
    rows: dict[str, dict[str, Any]] = {}
    results: dict[str, dict[str, list[NDArray[Any]]]] = {}
    for kind, pairs in val.items():
        truths, calls, settings = _contestants(model, pairs, (train or {}).get(kind, ()), device)
        results[kind] = {"truth": truths}
        rows[kind] = {"images": len(pairs)}
        for name, call in calls.items():
            results[kind][name], time_taken = _segmented(call, pairs, device)
            rows[kind][name] = _scores(model, truths, results[kind][name]) | time_taken | settings.get(name, {})
        _tell(kind, rows[kind], say)
    if len(rows) > 1:
        rows["all"] = _pooled(model, results)
        _tell("all", rows["all"], say)
    first = read_image(next(iter(val.values()))[0][0])
    found = {"model": model.name, "sha256": model.sha256(), "kinds": rows, "time": timed(model, first, device, rounds)}
    say(f"  time: {found['time']}")
    return found


def _contestants(
    model: Model, pairs: Pairs, training: Pairs, device: str
) -> tuple[list[NDArray[Any]], dict[str, Callable[[Path], NDArray[Any]]], dict[str, dict[str, Any]]]:
    """Return the truth, what segments the file of an image, and the settings of what was tuned."""
    truths = [read_labels(labels) for _, labels in pairs]
    calls: dict[str, Callable[[Path], NDArray[Any]]] = {
        model.name: lambda path: segment(read_image(path), model, device=device).labels
    }
    settings: dict[str, dict[str, Any]] = {}
    if training:
        samples = tuning_samples(training)
        pipeline = (tuned_for_objects if model.info.finds_objects else tuned_for_classes)(samples)
        calls["classical"] = lambda path: pipeline(_pixels(read_image(path)))
        settings["classical"] = {"settings": asdict(pipeline), "tuned_on": len(samples)}
    return truths, calls, settings


def _segmented(
    call: Callable[[Path], NDArray[Any]], pairs: Pairs, device: str
) -> tuple[list[NDArray[Any]], dict[str, float]]:
    """Return labels of images, and how long it takes to read and to segment one: on a CPU, seconds of one core."""
    on_cpu = resolve_device(device).type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    with _one_thread() if on_cpu else nullcontext():
        begin = clock()
        found = [call(image) for image, _ in pairs]
        each = round((clock() - begin) / len(pairs), 3)
    return found, {"core_seconds_per_image" if on_cpu else "seconds_per_image": each}


def tuning_samples(pairs: Pairs) -> list[Labelled]:
    """Return images (C, [Z,] Y, X) and labels to tune on, evenly spread, as many as there is time for."""
    samples: list[Labelled] = []
    step = max(1, len(pairs) // TUNED_ON)
    for image, labels in list(pairs)[::step][:TUNED_ON]:
        if samples and sum(truth.size for _, truth in samples) >= TUNED_PIXELS:
            break
        samples.append((_pixels(read_image(image)), read_labels(labels)))
    return samples


def _pixels(image: Image) -> NDArray[Any]:
    """Return an image of one time point, axes (C, [Z,] Y, X)."""
    block = image.read()
    return block if image.is_volume else block[:, 0]


def _scores(model: Model, truths: list[NDArray[Any]], found: list[NDArray[Any]]) -> dict[str, Any]:
    scores = evaluate(truths, found, model.info.task).to_dict()
    if model.info.finds_objects:
        kept = ("n_truth", "n_pred", "ap", "f1", "pq")
        each = [evaluate([truth], [labels]) for truth, labels in zip(truths, found, strict=True)]
        intervals = {iou: list(ap_interval(each, iou)) for iou in WITH_INTERVAL}
        return {name: scores[name] for name in kept} | {"ap_interval": intervals}
    named = list(enumerate(model.info.classes))[1:]
    return {"dice": {name: scores["dice_per_class"].get(str(index), 0.0) for index, name in named}}


def _pooled(model: Model, results: Mapping[str, Mapping[str, list[NDArray[Any]]]]) -> dict[str, Any]:
    """Return the scores over the images of all kinds, of what has segmented all of them."""
    names = [name for name in next(iter(results.values())) if all(name in found for found in results.values())]
    pooled = {name: [labels for found in results.values() for labels in found[name]] for name in names}
    truths = pooled.pop("truth")
    return {"images": len(truths)} | {name: _scores(model, truths, found) for name, found in pooled.items()}


def timed(model: Model, image: Image, device: str = "cpu", rounds: int = 5) -> dict[str, Any]:
    """Return how long a model takes for an image of 1024 x 1024 pixels, from pixels to labels, and the bare network.

    The image is made of mirrored copies, so that there is to decode what there is in it; a volume is taken as it is for
    a model of volumes. The bare network goes once over as many pixels as the network sees, in the tiles that it is
    fastest in: the floor. On a CPU both are measured once more on one thread, in seconds of a core, which do not depend
    on what else the machine does.
    """
    image = as_wide(image, SIZE) if model.info.spec.ndim == 2 else image
    where = str(resolve_device(device))
    task = segment(image, model, device=where).task  # the first call prepares kernels and memory
    seen = list(task.plan.shape)
    bare, share = _bare(model.net, seen, where)
    calls: dict[str, Callable[[], Any]] = {"segment": lambda: segment(image, model, device=where), "bare": bare}
    found: dict[str, Any] = {"shape": list(image.space[-len(seen) :]), "shape that the network sees": seen}
    bare()
    found |= _measured(in_turn(calls, rounds), share, "seconds") | {"threads": torch.get_num_threads()}
    if where == "cpu":
        with _one_thread():
            found["on one thread"] = _measured(in_turn(calls, rounds, time.process_time), share, "core seconds")
    return found


def _measured(seconds: dict[str, list[float]], share: float, unit: str) -> dict[str, Any]:
    floor = [value * share for value in seconds["bare"]]
    return {
        unit: round(statistics.median(seconds["segment"]), 3),
        f"{unit} of each round": [round(value, 3) for value in seconds["segment"]],
        f"bare network, {unit}": round(statistics.median(floor), 3),
        "segment / bare": ratio(seconds["segment"], floor),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch have one thread meanwhile: several that wait for each other on a busy machine are busy too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def as_wide(image: Image, size: int) -> Image:
    """Return one plane of an image, mirrored until it is so wide and high, or cut."""
    plane = image.read(z=slice(0, 1))[:, 0]
    grown = np.pad(plane, [(0, 0), *((0, max(0, size - n)) for n in plane.shape[1:])], mode="symmetric")
    cut = grown[:, :size, :size]
    if image.n_channels == 1:
        return replace(image, data=cut[0], axes="YX")
    return replace(image, data=np.moveaxis(cut, 0, -1), axes="YXC")


def _bare(net: UNet, seen: Sequence[int], device: str) -> tuple[Callable[[], None], float]:
    """Return a pass of the network in its fastest tiles over about so many pixels, and the share that was asked for."""
    layout = torch.channels_last if len(seen) == 2 else torch.channels_last_3d
    net = copy.deepcopy(net).to(device, memory_format=layout)  # type: ignore[call-overload]
    depth = tuple(-(-n // 16) * 16 for n in seen[:-2])
    pixels = float(np.prod(seen))

    def tiles(width: int, count: int) -> None:
        block = torch.rand(1, net.spec.in_channels, *depth, width, width, device=device)
        with torch.inference_mode():
            for _ in range(count):
                net(block.contiguous(memory_format=layout)).cpu()

    def a_pixel(width: int) -> float:
        tiles(width, 1)
        begin = time.perf_counter()
        tiles(width, 2)
        return (time.perf_counter() - begin) / width**2

    widths = [width for width in BARE_WIDTHS[len(seen)] if width <= max(seen[-2:])] or [BARE_WIDTHS[len(seen)][0]]
    best = min(widths, key=a_pixel)
    one = float(np.prod((*depth, best, best)))
    count = max(1, round(pixels / one))
    return lambda: tiles(best, count), pixels / (count * one)


def _tell(kind: str, row: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Print the scores of a kind as a table."""
    say(f"\n{kind}: {row['images']} images")
    for name, scores in row.items():
        if name == "images":
            continue
        seconds = "".join(f"  {value:6.2f} s" for key, value in scores.items() if key.endswith("per_image"))
        if "dice" in scores:
            parts = [f"Dice {part} {value:.3f}" for part, value in scores["dice"].items()]
        else:
            parts = [f"AP {iou} {scores['ap'][iou]:.3f}" for iou in ("0.50", "0.60", "0.70", "0.80", "0.90")]
            parts += [f"F1 {scores['f1']['0.50']:.3f}", f"PQ {scores['pq']:.3f}"]
        say(f"  {name:<12} {'  '.join(parts)}{seconds}")
