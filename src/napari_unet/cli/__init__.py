"""The command line: everything that the window does, without one.

Exit status: 0 all done; 1 some inputs failed, each named with its reason; 2 wrong usage; 130 stopped by Ctrl-C. With
--json the last line on standard output is one JSON object; progress and messages go to standard error.
"""

import sys

from napari_unet.cli import benchmark, contours, demo, measure, segment, show, train
from napari_unet.cli.common import INTERRUPTED, NAME, app, say

__all__ = ["app", "benchmark", "contours", "demo", "main", "measure", "segment", "show", "train"]


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name=NAME)
    except KeyboardInterrupt:  # before a command began, or as it ended
        say("Stopped.")
        sys.exit(INTERRUPTED)
