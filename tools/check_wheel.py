"""Build the wheel and check what a user would get: its files, its size, and its manifest as npe2 finds it.

    python tools/check_wheel.py

Works offline: the build backend is taken from the environment. Nothing is written to the source tree.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "napari-unet-interactive"
PACKAGE = "napari_unet"
ROOT = Path(__file__).resolve().parents[1]
MAX_MEGABYTES = 30
NEEDED = (
    f"{PACKAGE}/napari.yaml",
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/samples/*.tif",
    f"{PACKAGE}/models/weights/*.safetensors",
    f"{PACKAGE}/models/weights/*.replay_set.npz",
    "*.dist-info/entry_points.txt",
    "*.dist-info/licenses/LICENSE",
    "*.dist-info/licenses/*/weights/LICENSES.md",
)
METADATA = ("Project-URL:", "Author", "License-Expression:", "Classifier:", "Description-Content-Type: text/markdown")

# Where the installed manifest lies, as npe2 and importlib see it.
LOCATE = f"""
import json
from importlib.metadata import distribution
from importlib.util import find_spec

from npe2 import PluginManifest

manifest = PluginManifest.from_distribution({NAME!r})
print(json.dumps({{
    "package": find_spec({PACKAGE!r}).submodule_search_locations[0],
    "metadata": str(distribution({NAME!r}).locate_file({PACKAGE!r})),
    "name": manifest.name,
    "commands": len(manifest.contributions.commands or ()),
}}))
"""

# The command line where the editable install of the source tree is out of reach.
WITHOUT_SOURCE = f"""
import sys

sys.path = [folder for folder in sys.path if folder != {str(ROOT / "src")!r}]
from napari_unet.cli import main

main()
"""


def build(folder: Path) -> Path:
    """Build the wheel into a folder and return its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"The wheel cannot be built:\n{done.stdout}{done.stderr}")
    return next(folder.glob("*.whl"))


def content_problems(wheel: Path) -> list[str]:
    """Return what is wrong with the files in the wheel."""
    names = zipfile.ZipFile(wheel).namelist()
    problems = [f"no {pattern}" for pattern in NEEDED if not any(fnmatch(name, pattern) for name in names)]
    tops = {name.split("/")[0] for name in names}
    foreign = sorted(top for top in tops if top != PACKAGE and not top.endswith(".dist-info"))
    if foreign:
        problems.append(f"{', '.join(foreign)} should not be in it")
    strays = sorted(name for name in names if {"tests", "__pycache__"} & set(name.split("/")))
    if strays:
        problems.append(f"{', '.join(strays)} should not be in it")
    megabytes = wheel.stat().st_size / 1e6
    if megabytes > MAX_MEGABYTES:
        problems.append(f"it has {megabytes:.1f} MB; {MAX_MEGABYTES} MB are allowed")
    return problems


def page_problems(wheel: Path) -> list[str]:
    """Return what is wrong with what a package page shows."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    header, _, readme = archive.read(name).decode().partition("\n\n")
    problems = [f"its metadata say nothing of {field}" for field in METADATA if f"\n{field}" not in header]
    dead = re.findall(r"\]\((?!https?://|#)([^)]*)\)", readme)
    problems += [f"its README links to {target}, which is nowhere on a package page" for target in dead]
    return problems if len(readme) > 1000 else [*problems, "it has no README"]


def manifest_problems(wheel: Path, folder: Path) -> list[str]:
    """Install the wheel into a folder of its own, let npe2 check its manifest, and return what is wrong."""
    target, elsewhere = folder / "site", folder / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    # First on the path, so that the editable install of the source tree is not what gets checked.
    env = os.environ | {"PYTHONPATH": str(target)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, check=False)

    located = run("-c", LOCATE)
    if located.returncode:
        return [f"npe2 cannot load the manifest: {located.stderr.strip()}"]
    found = json.loads(located.stdout.splitlines()[-1])
    problems = [
        f"npe2 looked at {found[what]} and not at the wheel"
        for what in ("package", "metadata")
        if Path(found[what]).resolve() != (target / PACKAGE).resolve()
    ]
    validated = run("-m", "npe2", "validate", "--imports", NAME)
    if validated.returncode:
        problems.append(f"npe2 refuses the manifest: {validated.stderr.strip() or validated.stdout.strip()}")
    else:
        print(f"npe2 validate: {validated.stdout.strip()} ({found['commands']} commands, from the wheel)")
    return problems + benchmark_problems(run)


def benchmark_problems(run: Callable[..., subprocess.CompletedProcess[str]]) -> list[str]:
    """Return what is wrong with what the installed command says of benchmarks, which the wheel has not."""
    asked = run("-c", WITHOUT_SOURCE, "benchmark", "tiling", "--json")
    said = asked.stderr.strip()
    return (
        [] if asked.returncode == 2 and "come with the source" in said else [f"asked for a benchmark it says: {said}"]
    )


def main() -> int:
    """Check the wheel; 0 if all is well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
        problems = content_problems(wheel) + page_problems(wheel) + manifest_problems(wheel, folder)
    for problem in problems:
        print(f"wheel: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
