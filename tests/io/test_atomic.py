"""Nothing that was there before is touched but the target, and nothing that is read is ever one."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import zarr

from napari_unet.errors import FileFormatError
from napari_unet.io import atomic
from napari_unet.io.atomic import Protected, check_free, completed
from napari_unet.io.readers import read_labels
from napari_unet.io.writers import write_labels, write_maps


def tree(folder):
    """All files below a folder with their bytes, and its empty folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


LEFTOVERS = ["{}.partial", "{}.replaced", "{}.blocks", "{}.maps", "{}.2.partial", ".napari-unet"]


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
@pytest.mark.parametrize("folder", [False, True])
def test_files_of_the_user_that_are_named_as_ours_are_kept(tmp_path, name, folder):
    for pattern in LEFTOVERS:
        path = tmp_path / pattern.format(name)
        if folder:
            path.mkdir()
            path = path / "thesis.txt"
        path.write_text("years of work")
    before = tree(tmp_path)
    for labels in (np.ones((8, 9), int), np.full((8, 9), 2)):
        write_labels(tmp_path / name, labels, "YX", overwrite=True)
        np.testing.assert_array_equal(read_labels(tmp_path / name), labels)
    assert {k: v for k, v in tree(tmp_path).items() if k in before} == before
    assert {p.name for p in tmp_path.iterdir()} == {p.format(name) for p in LEFTOVERS} | {name}


def test_what_a_killed_run_left_is_removed_and_what_it_replaced_is_put_back(tmp_path):
    code = """
import os, sys
from pathlib import Path
import numpy as np
from napari_unet.io.writers import write_labels
real, path = os.replace, Path(sys.argv[1])
def dies(source, target):
    if Path(target) == path:
        os._exit(9)
    real(source, target)
write_labels(path, np.ones((8, 9), int), "YX")
os.replace = dies
write_labels(path, np.full((8, 9), 2), "YX", overwrite=True)
"""
    path = tmp_path / "a.zarr"
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == 9
    assert not path.exists()
    with pytest.raises(FileFormatError, match="exists already"):
        write_labels(path, np.full((8, 9), 3), "YX")
    assert (read_labels(path) == 1).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_two_at_once_do_not_share_what_they_write(tmp_path):
    path = tmp_path / "a.tif"
    with completed(path) as first:
        first.write_text("first")
        with completed(path) as second:
            assert second != first
            second.write_text("second")
        first.write_text("the first is late")
        with pytest.raises(FileFormatError, match="exists already"), completed(path):
            pass
        path.rename(tmp_path / "elsewhere.tif")
    assert path.read_text() == "the first is late"
    (tmp_path / "elsewhere.tif").unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("stop", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_zarr_that_cannot_take_its_name_leaves_the_one_before(tmp_path, monkeypatch, stop):
    path = tmp_path / "a.zarr"
    write_labels(path, np.ones((8, 9), int), "YX")
    real = os.replace

    def fails(source, target):
        if os.fspath(target) == os.fspath(path) and "replaced" not in os.fspath(source):
            raise stop
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", fails)
    with pytest.raises((FileFormatError, KeyboardInterrupt)):
        write_labels(path, np.full((8, 9), 2), "YX", overwrite=True)
    assert (read_labels(path) == 1).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def plain(path):
    zarr.save(str(path), np.ones((8, 9)))


def pyramid(path):
    write_maps(path, np.ones((8, 9)), "YX")
    (path / "1").mkdir()


def with_labels(path):
    write_maps(path, np.ones((8, 9)), "YX")
    write_labels(path / "labels" / "cells.zarr", np.ones((8, 9), int), "YX")


def with_a_note(path):
    write_labels(path, np.ones((8, 9), int), "YX")
    (path / "0" / "note.txt").write_text("mine")


def folder(path):
    path.mkdir()
    (path / "note.txt").write_text("mine")


@pytest.mark.parametrize("make", [plain, pyramid, with_labels, with_a_note, folder])
@pytest.mark.parametrize("name", ["a.zarr", "a.tif"])
def test_a_folder_with_more_in_it_is_never_replaced(tmp_path, make, name):
    make(tmp_path / "a.zarr")
    path = (tmp_path / "a.zarr").rename(tmp_path / name)
    before = tree(tmp_path)
    with pytest.raises(FileFormatError, match="not replaced; choose another name"):
        write_labels(path, np.zeros((8, 9), int), "YX", overwrite=True)
    assert tree(tmp_path) == before


def test_an_empty_folder_and_a_system_s_clutter_may_be_replaced(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    for _ in range(2):
        write_labels(tmp_path / "a.zarr", np.full((8, 9), 2), "YX", overwrite=True)
        (tmp_path / "a.zarr" / ".DS_Store").touch()
    assert (read_labels(tmp_path / "a.zarr") == 2).all()


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    (tmp_path / "a.zarr").write_text("x")
    for name, said in (("a.tif", "a pipe"), ("a.zarr", "is a file")):
        with pytest.raises(FileFormatError, match=said):
            check_free(tmp_path / name, overwrite=True)


def test_a_link_to_nothing_counts_as_there(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "unplugged" / "b.tif")
    with pytest.raises(FileFormatError, match="exists already"):
        write_labels(tmp_path / "a.tif", np.ones((8, 9), int), "YX")
    assert (tmp_path / "a.tif").is_symlink()


# -- what is read --------------------------------------------------------------------------------------------------


def test_all_names_of_a_file_are_known(tmp_path, monkeypatch):
    image = tmp_path / "images" / "a.tif"
    image.parent.mkdir()
    image.write_text("pixels")
    (tmp_path / "soft.tif").symlink_to(image)
    (tmp_path / "hard.tif").hardlink_to(image)
    (tmp_path / "door").symlink_to(image.parent)
    monkeypatch.chdir(image.parent)
    protected = Protected([image])
    for name in ("a.tif", "./a.tif", "../images/a.tif", "../soft.tif", "../hard.tif", "../door/a.tif", str(image)):
        with pytest.raises(FileFormatError, match="is an input"):
            protected.check(type(image)(name))
    with pytest.raises(FileFormatError, match="holds an input"):
        protected.check(image.parent)
    for name in ("b.tif", "a.tif.zarr", "../a.tif", "../door/b.tif"):
        protected.check(type(image)(name))


def test_a_name_that_the_disk_takes_for_the_same(tmp_path):
    """As on a disk that knows no capital letters: another name leads to the same file."""
    (tmp_path / "a.tif").write_text("pixels")
    (tmp_path / "A.TIF").hardlink_to(tmp_path / "a.tif")
    with pytest.raises(FileFormatError, match="is an input"):
        Protected([tmp_path / "a.tif"]).check(tmp_path / "A.TIF")


def test_inside_and_around_a_folder(tmp_path):
    image = tmp_path / "in.zarr"
    write_maps(image, np.ones((8, 9)), "YX")
    for path in ("in.zarr", "in.zarr/labels.zarr", "in.zarr/deep/er/a.tif"):
        with pytest.raises(FileFormatError, match="an input"):
            Protected([image]).check(tmp_path / path)
    with pytest.raises(FileFormatError, match="holds an input"):
        Protected([image / "0"]).check(image)


def test_an_array_is_not_written_over_itself(tmp_path):
    path = write_labels(tmp_path / "a.zarr", np.full((8, 9), 70000), "YX")
    stored = zarr.open(str(path), mode="r")["0"]
    with pytest.raises(FileFormatError, match="is an input"):
        write_labels(path, stored, "YX", overwrite=True)
    with pytest.raises(FileFormatError, match="lies in an input"):
        write_maps(path / "maps.zarr", stored, "YX")
    write_labels(tmp_path / "b.zarr", stored, "YX")
    assert (read_labels(tmp_path / "b.zarr") == 70000).all()
    assert (read_labels(path) == 70000).all()


def test_a_new_file_with_the_inode_of_one_that_is_gone_is_no_input(tmp_path, monkeypatch):
    """Systems give the number of a file that was removed to the next one; here it is given at once."""
    gone, new = tmp_path / "a.tif", tmp_path / "a_labels.tif"
    gone.write_text("image")
    number, real = gone.stat().st_ino, os.stat

    def stat(path, **kwargs):
        about = real(path, **kwargs)
        return os.stat_result((about[0], number, *about[2:])) if os.fspath(path) == os.fspath(new) else about

    protected = Protected([gone])
    new.write_text("labels")
    monkeypatch.setattr(atomic.os, "stat", stat)
    with pytest.raises(FileFormatError, match="is an input"):
        protected.check(new)
    gone.unlink()
    protected.check(new)
    protected.check(new / "inside")
    with pytest.raises(FileFormatError, match="is an input"):
        protected.check(gone)
