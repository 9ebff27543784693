"""What the site needs beyond docs/: pages and files elsewhere in the repository, and a page that lists the decisions.

mkdocs calls these functions (`hooks` in mkdocs.yml). In the repository, links are those of GitHub: relative to the page
that has them, and out of docs/ where they have to be. Here each is turned into one that leads to the same thing on the
site: docs/NAME is NAME, README.md is the first page, and any other file PATH is copied to PATH.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "recipes/README.md",
    "src/napari_unet/samples/README.md",
    "src/napari_unet/models/weights/LICENSES.md",
)
"""Pages that lie outside docs/."""

FOR_DEVELOPERS = ("decisions/", "architecture.md", "sentences.md", "CHANGELOG.md", "CONTRIBUTING.md", "recipes/")
"""The search finds these after what users look for."""

FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def place(path: str) -> str:
    """Return where on the site a path of the repository is.

    >>> place("docs/window.md"), place("README.md"), place("docs/decisions"), place("recipes/nuclei.py")
    ('window.md', 'index.md', 'decisions/index.md', 'recipes/nuclei.py')
    """
    if path == "README.md":
        return "index.md"
    if path == "docs/decisions":
        return "decisions/index.md"
    return path.removeprefix("docs/")


def origin(place: str) -> str:
    """Return where in the repository a page of the site is: the other way round.

    >>> origin("window.md"), origin("index.md"), origin("CONTRIBUTING.md")
    ('docs/window.md', 'README.md', 'CONTRIBUTING.md')
    """
    if place == "index.md":
        return "README.md"
    return place if place in PAGES else f"docs/{place}"


def targets(text: str, path: str) -> set[str]:
    """Return the paths in the repository that a page, of the path `path`, links to."""
    prose = FENCE.sub("", text)
    return {_resolved(link[1], path) for link in LINK.finditer(prose)}


def relinked(text: str, path: str) -> str:
    """Return a page, of the path `path` in the repository, with links that are right on the site.

    >>> relinked("[a](../README.md#figures) [b](models.md)", "docs/figures.md")
    '[a](index.md#figures) [b](models.md)'
    """
    start = posixpath.dirname(place(path))

    def turned(link: re.Match[str]) -> str:
        return posixpath.relpath(place(_resolved(link[1], path)), start or ".") + (link[2] or "")

    parts = FENCE.split(text)
    return "".join(part if FENCE.match(part) else LINK.sub(turned, part) for part in parts)


def decisions() -> str:
    """Return the page that lists the decisions, by their headings."""
    lines = [
        "# Decisions",
        "",
        "What was decided where the code does not tell, why, and what it costs. There is no number 31.",
        "",
    ]
    for page in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        heading = page.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")
        lines.append(f"- [{heading}]({page.name})")
    return "\n".join(lines) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages from outside docs/, and every file that a page links to."""
    from mkdocs.structure.files import File  # here, so that a test can use the rest of this without mkdocs

    wanted = set(PAGES)
    for file in files.documentation_pages():
        wanted |= targets(file.content_string, f"docs/{file.src_uri}")
    for page in PAGES:
        wanted |= targets((ROOT / page).read_text(encoding="utf-8"), page)
    for path in sorted(wanted):
        if (ROOT / path).is_file() and files.get_file_from_path(place(path)) is None:
            files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "decisions/index.md", content=decisions()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn the links of a page, and say how far up the search has it."""
    if page.file.src_uri.startswith(FOR_DEVELOPERS):
        page.meta["search"] = {"boost": 0.2}
    if page.file.src_uri == "decisions/index.md":
        return markdown
    return relinked(markdown, origin(page.file.src_uri))


def _resolved(link: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
