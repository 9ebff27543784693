"""What is shipped: the manifest, and what importing costs."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from npe2 import PluginManager, PluginManifest

NAME = "napari-unet-interactive"
ROOT = Path(__file__).resolve().parents[1]

WINDOW = ("napari", "qtpy", "superqt", "magicgui", "PyQt5", "PyQt6", "PySide6")

LIGHT = [
    "napari_unet",
    "napari_unet.axes",
    "napari_unet.corrections.corrections",
    "napari_unet.errors",
    "napari_unet.evaluation.metrics",
    "napari_unet.io.readers",
    "napari_unet.io.writers",
    "napari_unet.layers.reader",
    "napari_unet.layers.samples",
    "napari_unet.layers.writer",
    "napari_unet.training.samples",
    "napari_unet.measuring.files",
    "napari_unet.models.info",
    "napari_unet.models.normalize",
    "napari_unet.nets.geometry",
    "napari_unet.nets.spec",
    "napari_unet.objects.contours",
    "napari_unet.objects.decode",
    "napari_unet.objects.measurements",
    "napari_unet.objects.stitch",
    "napari_unet.objects.targets",
    "napari_unet.progress",
    "napari_unet.projects.description",
    "napari_unet.tiling.plan",
    "napari_unet.tiling.source",
]


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution(NAME)


# -- manifest ------------------------------------------------------------------------------------------------


def test_every_entry_of_the_manifest_can_be_imported(manifest: PluginManifest) -> None:
    assert manifest.name == NAME
    manifest.validate_imports()


def test_command_ids_start_with_the_name_of_the_distribution(manifest: PluginManifest) -> None:
    ids = [command.id for command in manifest.contributions.commands or ()]
    assert ids
    assert all(command_id.startswith(f"{NAME}.") for command_id in ids)
    assert len(set(ids)) == len(ids)


def test_keys_of_samples_are_no_ids_of_commands(manifest: PluginManifest) -> None:
    """napari registers an action `<name>.<key>` for each sample; it must not take the place of a command."""
    ids = {command.id for command in manifest.contributions.commands or ()}
    keys = [sample.key for sample in manifest.contributions.sample_data or ()]
    assert keys
    assert ids.isdisjoint(f"{NAME}.{key}" for key in keys)


def test_menus_and_contributions_name_commands_that_exist(manifest: PluginManifest) -> None:
    found = manifest.contributions
    ids = {command.id for command in found.commands or ()}
    items = [item for menu in found.menus.values() for item in menu]
    used = {
        entry.command
        for group in (found.widgets, found.readers, found.writers, found.sample_data, items)
        for entry in group or ()
    }
    assert used <= ids, "the others stand in the command palette alone"


def test_menus_are_ones_that_napari_lets_plugins_add_to(manifest: PluginManifest) -> None:
    """napari drops items for any other menu without a word."""
    menus = pytest.importorskip("napari._app_model.constants._menus")
    assert {"napari/layers/segment", "napari/layers/annotate"} <= set(manifest.contributions.menus)
    assert all(menus.is_menu_contributable(menu) for menu in manifest.contributions.menus)


READ = "tif tiff ome.tif btf tf2 tf8 lsm stk svs ndpi scn qptiff png jpg jpeg bmp"
"""Endings of the files that both napari and this program read."""


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    pytest.importorskip("napari")
    found = PluginManager()
    found.discover()
    return found


@pytest.mark.parametrize("suffix", READ.split())
@pytest.mark.parametrize("upper", [False, True])
def test_napari_asks_nothing_before_it_opens_an_image(plugins, tmp_path: Path, suffix: str, upper: bool) -> None:
    """It asks where the readers of two plugins claim a file."""
    path = tmp_path / (f"A.{suffix.upper()}" if upper else f"a.{suffix}")
    path.touch()
    assert {reader.plugin_name for reader in plugins.iter_compatible_readers([str(path)])} == {"napari"}


@pytest.mark.parametrize("name", ["folder", "a.zarr", "a.ome.zarr", "a.unetproj"])
def test_napari_asks_nothing_before_it_opens_a_folder(plugins, tmp_path: Path, name: str) -> None:
    """Once a second plugin accepts folders, it asks for each, whatever its name."""
    (tmp_path / name).mkdir()
    assert {reader.plugin_name for reader in plugins.iter_compatible_readers([str(tmp_path / name)])} == {"napari"}


def test_nobody_else_opens_the_file_of_a_project(plugins, tmp_path: Path) -> None:
    path = tmp_path / "a.unetproj" / "project.json"
    path.parent.mkdir()
    path.touch()
    assert [reader.plugin_name for reader in plugins.iter_compatible_readers([str(path)])] == [NAME]


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not run from the source tree")
def test_the_manifest_at_the_top_is_the_packaged_one() -> None:
    top, packaged = ROOT / "napari.yaml", ROOT / "src" / "napari_unet" / "napari.yaml"
    assert packaged.is_file()
    if top.resolve() != packaged.resolve():  # a clone without symbolic links holds the link's target as text
        assert top.read_text().strip() in ("src/napari_unet/napari.yaml", packaged.read_text().strip())


@pytest.mark.parametrize("name", ["napari.yaml", "py.typed"])
def test_files_that_others_look_for_lie_in_the_package(name: str) -> None:
    assert resources.files("napari_unet").joinpath(name).is_file()


# -- imports -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_neither_torch_nor_a_window(module: str) -> None:
    code = """
import importlib, sys
name, *heavy = sys.argv[1:]
importlib.import_module(name)
print(*sorted(set(heavy) & set(sys.modules)))
"""
    done = run_python(code, module, "torch", *WINDOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_no_module_outside_the_window_loads_napari_or_qt() -> None:
    """All modules but those of `_qt` in one process; the first that loads what it should not is named."""
    code = """
import importlib, pkgutil, sys
import napari_unet
found = []
for info in pkgutil.walk_packages(napari_unet.__path__, "napari_unet."):
    if "._qt" in info.name or info.name.endswith("__main__"):
        continue
    before = set(sys.modules)
    importlib.import_module(info.name)
    found += [f"{info.name}:{heavy}" for heavy in sys.argv[1:] if heavy in set(sys.modules) - before]
print(*found)
"""
    done = run_python(code, *WINDOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_public_names_are_found_without_loading_torch_first() -> None:
    code = """
import sys
import napari_unet
print(*dir(napari_unet))
assert "torch" not in sys.modules
for name in napari_unet.__all__:
    getattr(napari_unet, name)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert {"load_model", "segment", "finetune", "evaluate"} <= set(done.stdout.split())


def test_the_command_line_needs_no_window() -> None:
    code = """
import sys
class Door:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"napari", "qtpy", "PyQt6"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Door())
from napari_unet.cli import main
sys.argv = ["napari-unet", "--help"]
main()
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    for verb in ("segment", "train", "evaluate", "measure", "contours", "models", "info", "demo"):
        assert verb in done.stdout
