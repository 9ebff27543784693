"""Make the pictures of the README: the headless demo, and the window that it leaves.

make screenshots
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from napari_unet._qt.demo import run_demo

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Run the demo and keep its two pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder), headless=True, say=print)
        for name in ("before.png", "after.png"):
            shutil.copy(Path(folder) / name, IMAGES / name)


if __name__ == "__main__":
    main()
