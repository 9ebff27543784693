"""The site: each page has its place, links are turned rightly, and pages made from the code say what it says now."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def script(name: str):
    spec = spec_from_file_location(name, DOCS / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site():
    yield script("_site")
    del sys.modules["_site"]


@pytest.fixture(scope="module")
def reference():
    yield script("make_reference")
    del sys.modules["make_reference"]


def places() -> list[str]:
    """Return the pages that mkdocs.yml gives a place."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    return re.findall(r": (\S+\.md)$", nav, re.MULTILINE)


def test_each_page_has_one_place(site):
    own = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.parent.name != "decisions"}
    wanted = own | {site.place(page) for page in site.PAGES} | {"decisions/index.md"}
    assert sorted(places()) == sorted(wanted), "mkdocs.yml, nav"


def test_places_are_those_of_files(site):
    assert all((ROOT / site.origin(place)).is_file() for place in places() if place != "decisions/index.md")


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "docs/window.md", "docs/tutorial/unet.md"])
def test_a_page_is_found_again(site, path):
    assert site.origin(site.place(path)) == path


@pytest.mark.parametrize(
    ("path", "link", "turned"),
    [
        ("README.md", "docs/window.md#keys", "window.md#keys"),
        ("README.md", "docs/decisions/", "decisions/index.md"),
        ("README.md", "recipes/README.md", "recipes/README.md"),
        ("docs/window.md", "../README.md#figures", "index.md#figures"),
        ("docs/window.md", "images/gallery.png", "images/gallery.png"),
        ("docs/window.md", "#keys", "#keys"),
        ("docs/window.md", "https://napari.org/a.md", "https://napari.org/a.md"),
        ("docs/howto/time.md", "../gestures.md", "../gestures.md"),
        ("docs/howto/time.md", "../../README.md", "../index.md"),
        ("docs/tutorial/unet.md", "../../src/napari_unet/samples/README.md", "../src/napari_unet/samples/README.md"),
        ("recipes/README.md", "../docs/models.md", "../models.md"),
        ("src/napari_unet/samples/README.md", "../../../docs/models.md", "../../../models.md"),
    ],
)
def test_a_link_leads_to_the_same_page(site, path, link, turned):
    assert site.relinked(f"[a]({link}) ![b]({link})", path) == f"[a]({turned}) ![b]({turned})"


def test_code_is_left_as_it_is(site):
    text = "```\n[a](../README.md)\n```\n\n[a](../README.md)\n"
    assert site.relinked(text, "docs/window.md") == "```\n[a](../README.md)\n```\n\n[a](index.md)\n"


def test_all_decisions_are_listed(site):
    pages = [page.name for page in sorted((DOCS / "decisions").glob("*.md"))]
    assert re.findall(r"\]\(([^)]+)\)", site.decisions()) == pages


@pytest.mark.parametrize("name", ["commands.md", "settings.md"])
def test_a_page_of_reference_is_the_one_that_the_script_makes_now(reference, name):
    assert (reference.OUT / name).read_text(encoding="utf-8") == reference.pages()[name], "make figures"


def test_options_are_those_of_help(reference):
    typer_testing = pytest.importorskip("typer.testing")
    page = reference.pages()["commands.md"]
    for command in ("segment", "train", "measure", "contours", "evaluate", "models", "info", "demo"):
        said = typer_testing.CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(reference.app, [command, "-h"])
        section = page.split(f"\n## napari-unet {command}\n")[1].split("\n## ")[0]
        listed = set(re.findall(r"`(--[a-z-]+)`", section))
        assert listed == set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", _table(said.output))) - {"--help"}, command


def _table(text: str) -> str:
    """Return the first columns of the table of options: what is before two blanks."""
    lines = [line.strip(" │|*") for line in text.splitlines()]
    return "\n".join(re.split(r" {3,}[A-Z]", line)[0] for line in lines if line.startswith("-"))


def test_each_result_file_is_in_the_table_with_its_date():
    page = (DOCS / "figures.md").read_text(encoding="utf-8").split("\n## Every result file\n")[1]
    listed = dict(re.findall(r"^\| `([\w-]+)`.*? \| (\d{4}-\d\d-\d\d)", page, re.MULTILINE))
    files = {path.name: path for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    dates = {name: json.loads(path.read_text(encoding="utf-8"))["date"] for name, path in files.items()}
    assert {f"{name}-cpu.json": date for name, date in listed.items()} == dates, "docs/figures.md, the last table"


def test_a_release_has_to_be_of_the_version(tmp_path):
    spec = spec_from_file_location("check_release", ROOT / "tools" / "check_release.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "src" / "napari_unet").mkdir(parents=True)
    (tmp_path / "src" / "napari_unet" / "_version.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("version: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.0] - 2026-12-01\n")
    assert module.problems("v1.2.0", tmp_path) == []
    assert len(module.problems("1.2.0", tmp_path)) == len(module.problems("v1.2.0rc1", tmp_path)) == 1
    (tmp_path / "CITATION.cff").write_text("version: 1.1.0\n")
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.0rc1]\n")
    assert len(module.problems("v1.2.0", tmp_path)) == 2


def test_the_conda_recipe_requires_what_the_package_does():
    text = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    listed = dict(
        re.findall(r"^    - ([a-z-]+) >=([\d.]+)$", text.split("  run:\n")[1].split("run_constraints")[0], re.M)
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    renamed = {"torch": "pytorch", "dask[array]": "dask-core"}
    wanted = dict(line.split(">=") for line in project["dependencies"])
    assert listed == {renamed.get(name, name): version for name, version in wanted.items()}
    assert f'python_min: "{project["requires-python"].removeprefix(">=")}"' in text


def test_the_conda_recipe_is_yaml_and_of_this_version():
    import yaml

    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    version = re.search(
        r'__version__ = "([^"]+)"', (ROOT / "src" / "napari_unet" / "_version.py").read_text(encoding="utf-8")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert recipe["context"]["version"] == version[1]
    assert recipe["package"]["name"] == project["name"]
    assert recipe["about"]["license"] == project["license"]
    assert all((ROOT / name).is_file() for name in recipe["about"]["license_file"])
    (command, entry), *_ = project["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{command} = {entry}"]
    (napari,) = recipe["requirements"]["run_constraints"]
    assert napari.replace(" ", "") == project["optional-dependencies"]["all"][0].replace("[pyqt6]", "")


def test_lines_that_install_name_what_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (DOCS / "install.md").read_text(encoding="utf-8")
    extras = {one for found in re.findall(r"(?:interactive|\.)\[([a-z,]+)\]", text) for one in found.split(",")}
    assert extras <= set(project["optional-dependencies"])
    for line in re.findall(r"`((?:pip|uvx|pixi) [^`]*)`", text):
        for name in re.findall(r"napari-unet[a-z-]*", line):
            assert name in {project["name"], *project["scripts"]}, line
