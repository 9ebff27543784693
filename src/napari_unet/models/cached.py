"""What was found out about a model, kept as long as the model itself is in use."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.models.model import Model

P = ParamSpec("P")
R = TypeVar("R")


def remembered(function: Callable[Concatenate[Model, P], R]) -> Callable[Concatenate[Model, P], R]:
    """Have a function of a model, which must not return the model, compute a result once.

    Unlike `functools.lru_cache`, it does not keep models that nobody else has.
    """
    results: WeakKeyDictionary[Model, dict[Any, R]] = WeakKeyDictionary()

    @wraps(function)
    def once(model: Model, /, *args: P.args, **kwargs: P.kwargs) -> R:
        known = results.setdefault(model, {})
        key = (args, tuple(sorted(kwargs.items())))
        if key not in known:
            known[key] = function(model, *args, **kwargs)
        return known[key]

    return once
