"""The recipes of the shipped models, which say how their data are split."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipe import Recipe

SHIPPED = ("nuclei", "cells", "cells_phase", "nuclei3d", "axons")

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a shipped model."""
    if str(RECIPES) not in sys.path:
        sys.path.append(str(RECIPES))
    recipe: Recipe = import_module(name).RECIPE
    return recipe
