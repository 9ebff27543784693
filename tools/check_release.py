"""Check that a tag is the version, and that the changelog and CITATION.cff have it.

    python tools/check_release.py v0.1.0

Exit status 1, and what differs on standard error, if not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Return what is not as it has to be for a release of this tag."""
    version = _found(r'__version__ = "([^"]+)"', root / "src" / "napari_unet" / "_version.py")
    cited = _found(r"^version: (.+)$", root / "CITATION.cff")
    found = []
    if tag != f"v{version}":
        found.append(f"The tag is {tag}, the version in _version.py {version}: the tag has to be v{version}.")
    if cited != version:
        found.append(f"CITATION.cff names version {cited}, _version.py {version}.")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[?{re.escape(version)}\]?(?!\w)", changes, re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading for {version}: rename Unreleased.")
    return found


def _found(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip() if match else "(none)"


def main() -> None:
    """Say what is wrong, if anything is."""
    found = problems(sys.argv[1])
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
