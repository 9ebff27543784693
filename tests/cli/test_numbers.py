"""What every option that takes a number says where it is given none, or one that cannot be."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from napari_unet.cli import app


def commands():
    """Yield the words that call each command, and its function."""
    for entry in app.registered_commands:
        yield [entry.name or entry.callback.__name__.replace("_", "-")], entry.callback
    for group in app.registered_groups:
        for entry in group.typer_instance.registered_commands:
            yield [group.name, entry.name or entry.callback.__name__.replace("_", "-")], entry.callback


def options(function):
    """Yield name, type and description of the options of a command."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if hasattr(hints[name], "__metadata__"):
            kind, about = hints[name].__origin__, hints[name].__metadata__[0]
            yield f"--{name.replace('_', '-')}", kind, about, parameter.default is inspect.Parameter.empty


def has_number(kind: Any) -> bool:
    return kind in (int, float) or any(map(has_number, get_args(kind)))


NUMBERS = [
    pytest.param(words, function, name, about, id=" ".join([*words, name]))
    for words, function in commands()
    for name, kind, about, _ in options(function)
    if has_number(kind) or about.min is not None
]


def test_there_are_some():
    assert len(NUMBERS) > 20


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "", " ", "wide", "-1e9", "1e99", "9" * 5000])
@pytest.mark.parametrize(("words", "function", "option", "about"), NUMBERS)
def test_a_number_that_cannot_be_is_answered_with_what_can(words, function, option, about, text, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    needed = []
    for name, _, other, required in options(function):
        if isinstance(other, typer.models.ArgumentInfo):
            needed.append("a.tif")
        elif required and name != option:
            needed += [other.default if str(other.default).startswith("-") else (other.param_decls or [name])[0], "a"]
    result = CliRunner().invoke(app, [*words, *map(str, needed), f"{option}={text}"])
    said = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert re.search(
        rf"{option}.*: a (whole )?number from {about.min:.10g} to {about.max:.10g}(, or \w+,)? is needed", said
    )
    assert f"got '{text[:20]}" in said
