"""Results that depend on a model only, cached as long as the model is in use."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.models.model import Model

P = ParamSpec("P")
R = TypeVar("R")


def cached_per_model(function: Callable[Concatenate[Model, P], R]) -> Callable[Concatenate[Model, P], R]:
    """Decorate a function of a model and other hashable arguments so that it computes each result once.

    Unlike `functools.cache`, this does not keep a model alive that nothing else refers to; therefore the result must
    not refer to the model.
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
