"""Python in the documents runs, and prints what stands below it.

A block of `python` is run, the blocks of a page one after the other. A block of `text` right after one is what it
prints. Names that a page takes for granted (`image`, `labels`, ...) are those of `given`; learning takes two steps.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from skimage.draw import disk

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if BLOCK.search(page.read_text())
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def spots(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return bright discs on noise, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.int32)
    for i, (y, x) in enumerate([(20, 20), (20, 70), (70, 20), (70, 70)], start=1):
        labels[(..., *disk((y, x), 12, shape=shape[-2:]))] = i
    return (rng.normal(100, 10, shape) + 400 * (labels > 0)).clip(0).astype(np.uint16), labels


def saved_list(folder: Path, labels: np.ndarray) -> None:
    """Write day1.unetlist, a list of the images in a folder, each with labels."""
    from napari_unet import Project
    from napari_unet.io.finding import FoundImage
    from napari_unet.io.readers import read_image
    from napari_unet.projects.work_list import WorkListDescription, listed, write_list

    home = folder / "day1.unetlist"
    paths = sorted((folder / "images").glob("*.tif"))
    images = listed([FoundImage(path, None, path.stem) for path in paths], home, [])
    write_list(home, WorkListDescription(images=tuple(images)))
    for path, one in zip(paths, images, strict=True):
        Project(read_image(path), labels).save(home / one.project)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """What pages take for granted: an image, its labels, files of the same, and a project of them."""
    from napari_unet import Project, load_model
    from napari_unet.axes import Image
    from napari_unet.learning import from_labels, train
    from napari_unet.nets.spec import UNetSpec
    from napari_unet.nets.unet import UNet

    for module, name in ((from_labels, "finetune"), (train, "train")):
        learn, limit = getattr(module, name), {"steps": 2, "max_seconds": None}
        monkeypatch.setattr(module, name, lambda *a, learn=learn, limit=limit, **k: learn(*a, **k | limit))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "images").mkdir()
    image, labels = spots((96, 96))
    for name in "ab":
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image)
    project = Project(Image(image, "YX", name="cells"), np.where(labels == 1, 0, labels), models=[load_model("nuclei")])
    project.labels[labels == 1] = 1  # a correction
    project.save(tmp_path / "monday.unetproj")
    torch.save(UNet(UNetSpec(features=2, levels=1, out_channels=2)).state_dict(), tmp_path / "unet.pth")
    saved_list(tmp_path, labels)
    return {
        "image": image,
        "other_image": image[::-1].copy(),
        "labels": labels,
        "truth": labels,
        "mask": labels >= 0,
    }


@pytest.fixture
def scheduler(given, tmp_path):
    """A worker, whose scheduler has written its file, and a volume."""
    pytest.importorskip("distributed")
    from napari_unet.cluster.connection import local_workers
    from napari_unet.io.zarr_writer import create_zarr

    volume = create_zarr(tmp_path / "brain.zarr", (16, 64, 64), "ZYX", None, np.uint16, name="brain")
    volume[:] = spots((16, 64, 64))[0]
    with local_workers(1) as client:
        client.write_scheduler_file("scheduler.json")
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_python_of_a_page_runs(name, given, request):
    if name == "docs/howto/cluster.md":
        request.getfixturevalue("scheduler")
    if name in STACKS:
        image, labels = spots((2, 96, 96))
        given |= {"image": image, "labels": labels, "truth": labels, "mask": labels >= 0}
    for code, shown in BLOCK.findall((ROOT / name).read_text(encoding="utf-8")):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, name, "exec"), given)
        assert not shown or said.getvalue() == shown, (
            f"{name}: the page shows\n{shown}\nbut it prints\n{said.getvalue()}"
        )


STACKS = ("README.md", "docs/command-line.md")
"""Pages that speak of an image with axes ZYX."""
