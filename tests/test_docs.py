"""The documents: every relative link leads somewhere, every file that the code cites exists, every command is one."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*.md"), *ROOT.glob("src/**/*.md")]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return what a link into a page may name: its headings, in the way of GitHub."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target


@pytest.mark.parametrize("folder", ["src", "recipes", "tools", "tests"])
def test_documents_that_the_code_cites_exist(folder):
    cited = {
        cite
        for path in (ROOT / folder).rglob("*.py")
        for cite in re.findall(r"\bdocs/[\w/-]+(?:\.md)?", path.read_text(encoding="utf-8"))
    }
    for cite in cited:
        assert list(ROOT.glob(f"{cite}*")), cite


def test_commands_in_the_documents_exist():
    typer_main = pytest.importorskip("typer.main")
    from napari_unet.cli import app, main  # noqa: F401 - `main` registers the commands

    commands = typer_main.get_command(app).commands
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"napari-unet ([a-z][a-z_]*)", text):
            assert name in commands, f"{page.name}: napari-unet {name}"
        for name in re.findall(r"napari-unet benchmark ([a-z][a-z_0-9]*)", text):
            assert name in commands["benchmark"].commands, f"{page.name}: napari-unet benchmark {name}"


@pytest.fixture(scope="module")
def make_sentences():
    spec = spec_from_file_location("make_sentences", ROOT / "docs" / "make_sentences.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks there for its annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_page_of_sentences_is_the_one_that_the_script_makes_now(make_sentences):
    assert make_sentences.PAGE.read_text(encoding="utf-8") == make_sentences.page(), "make figures"


def test_sentences_of_the_window_are_short(make_sentences):
    found = [said for said in make_sentences.all_sentences() if said.room.split("/")[0] in make_sentences.WINDOW]
    assert len(found) > 200
    assert not [said for said in found if said.too_long]


JARGON = "halo", "tile", "tiles", "mirrored", "loss", "base data", "step", "steps", "desk", "flips", "mends"


def test_the_window_speaks_no_jargon(make_sentences):
    """What is only for scripts, and for who reads details, may."""
    rooms = ("_qt", "layers", "learning", "guidance", "corrections")
    for said in make_sentences.all_sentences():
        if said.room.split("/")[0] in rooms and said.kind != "details":
            assert not re.search(rf"\b({'|'.join(JARGON)})\b", said.text, re.IGNORECASE), said
