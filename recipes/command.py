"""The command line of all recipes.

python recipes/NAME.py train  --data DATA     train, or go on where it was interrupted
python recipes/NAME.py finish --data DATA     choose how maps become labels, score, and write the model file
python recipes/NAME.py mean   --data DATA     compare weights between those before and after the last stage
python recipes/NAME.py replay --data DATA     write the patches that the model carries along
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from finish import finish
from loop import train
from mean import compare_shares
from replay_set import write_replay_set

if TYPE_CHECKING:
    from recipe import Recipe


def main(recipe: Recipe, doc: str | None) -> None:
    """Do what the command line asks for."""
    name = recipe.card.name
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["train", "finish", "mean", "replay"])
    parser.add_argument("--data", type=Path, required=True, help="folder of all data")
    parser.add_argument("--run", type=Path, default=Path("runs") / name, help="folder of the log and the state")
    parser.add_argument("--out", type=Path, default=Path(f"src/napari_unet/models/weights/{name}.safetensors"))
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.part == "train":
        train(recipe, arguments.data, arguments.run, arguments.device)
    elif arguments.part == "finish":
        finish(recipe, arguments.data, arguments.run, arguments.out)
    elif arguments.part == "mean":
        compare_shares(recipe, arguments.data, arguments.run, arguments.out)
    else:
        write_replay_set(recipe, arguments.data, arguments.out)
