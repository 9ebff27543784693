"""The command line: segment, train and evaluate without a window.

Exit status: 0 success; 1 some inputs failed, each with a message; 2 wrong usage; 130 stopped by Ctrl-C. With --json the
last line on standard output is a JSON object; progress and messages go to standard error.
"""

import os
import sys

from napari_unet.cli import benchmark, contours, demo, exchange, measure, segment, show, train
from napari_unet.cli.app import NAME, app
from napari_unet.cli.messages import INTERRUPTED, say

__all__ = ["app", "benchmark", "contours", "demo", "exchange", "main", "measure", "segment", "show", "train"]


def main() -> None:
    """Run the command line."""
    # Threads of torch that have nothing to do sleep. By default they keep their cores busy for a while: where other
    # programs need those too, a network then takes several times as long (`napari-unet benchmark folders`).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name=NAME)
    except KeyboardInterrupt:  # before a command has begun, or after it has ended
        say("Stopped.")
        sys.exit(INTERRUPTED)
