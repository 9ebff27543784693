"""Print what an extra of pyproject.toml names, a requirement a line, without the program's own dependencies.

python tools/extra.py NAME
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print("\n".join(project["optional-dependencies"][sys.argv[1]]))


if __name__ == "__main__":
    main()
