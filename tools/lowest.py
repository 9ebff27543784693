"""Print the lowest versions that pyproject.toml declares, one requirement a line: what `make lowest` tests.

PyTorch is left out: of its builds the Makefile takes one that is small. Names after the command are extras.
"""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

OWN = "napari-unet-interactive"


def lowest(requirements: list[str], extras: dict[str, list[str]]) -> dict[str, str]:
    """Return each requirement, by its name, pinned to the version that it is declared to work with."""
    pinned: dict[str, str] = {}
    for requirement in map(Requirement, requirements):
        if requirement.name == OWN:
            own = [line for extra in sorted(requirement.extras) for line in extras[extra]]
            pinned |= lowest(own, extras)
            continue
        floors = [spec.version for spec in requirement.specifier if spec.operator in (">=", "==")]
        if len(floors) != 1:
            raise SystemExit(f"{requirement} does not say from which version on it works.")
        if requirement.name != "torch" and (requirement.marker is None or requirement.marker.evaluate()):
            extra = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
            pinned[requirement.name] = f"{requirement.name}{extra}=={floors[0]}"
    return pinned


def main() -> None:
    """Print them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in sys.argv[1:] for line in extras[extra])]
    print("\n".join(lowest(wanted, extras).values()))


if __name__ == "__main__":
    main()
