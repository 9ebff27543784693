"""The files of models that were learned: kept when the program ends, and removed only beyond a bound."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from hand_made import bright
from napari_unet.models import offload
from napari_unet.models.checkpoint import load_model_file
from napari_unet.models.offload import DiskOffload, learned_folder, linked, tidy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))


def test_one_folder_for_each_run():
    one, other = DiskOffload(), DiskOffload()
    written: list[Path] = []
    models = [bright("a"), bright("a", threshold=0.2), bright("b/..")]
    for place, model in zip((one, one, other), models, strict=True):
        place.keep(model, written.append)
        place.settle()
    assert [path.name for path in written] == ["001 a.safetensors", "002 a.safetensors", "001 b-...safetensors"]
    assert written[0].parent == written[1].parent != written[2].parent
    assert [load_model_file(path).sha256() for path in written] == [model.sha256() for model in models]
    one.close()
    other.close()
    assert all(path.exists() for path in written)


def test_only_what_is_old_and_too_much_is_removed(monkeypatch: pytest.MonkeyPatch):
    written: list[Path] = []
    runs = [DiskOffload() for _ in range(3)]
    for number, run in enumerate(runs):
        run.keep(bright(), written.append)
        run.settle()
        older = written[-1].parent.with_name(f"2020010{number}-000000-1-a")
        written[-1].parent.rename(older)
        written[-1] = older / written[-1].name
    for run in runs[:2]:
        run.close()
    monkeypatch.setattr(offload, "MAX_BYTES", written[0].stat().st_size)
    tidy(learned_folder())
    assert all(path.exists() for path in written), "all of today"
    for path in written:
        for file in path.parent.iterdir():
            os.utime(file, (time.time() - 2 * offload.MIN_AGE,) * 2)
    tidy(learned_folder())
    assert [path.exists() for path in written] == [False, False, True], "the last is in use"
    runs[2].close()


def test_under_another_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").write_bytes(b"weights")
    linked(tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("another disk")))
    linked(tmp_path / "a", tmp_path / "c")
    (tmp_path / "a").unlink()
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes() == b"weights"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]
