"""Write docs/reference/commands.md and docs/reference/settings.md: every option, setting and key, from the code.

    python docs/make_reference.py

A test compares the pages with what the code says now.
"""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import typer
import yaml

from napari_unet.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "reference"
NAME = "napari-unet"

HUGE = 2**20
"""A largest value of so much is there to keep out nonsense, and says nothing."""

COMMANDS = f"""\
# Every command and option

As `{NAME} COMMAND -h` shows them; made from the code by `docs/make_reference.py`. What they do, in words:
[the command line](../command-line.md), [measurements](../measurements.md).
"""

SETTINGS = """\
# Settings and keys

**File > Preferences > U-Net interactive** in napari 0.9 or newer; before, the defaults hold. Made from the plugin's
manifest by `docs/make_reference.py`.
"""

KEYS_NOTE = """\
They work while the canvas has the focus. An empty field in the preferences means no key. What they do:
[the window](../window.md#keys), [gestures](../gestures.md).
"""


def pages() -> dict[str, str]:
    """Return the text of each page, by name."""
    return {"commands.md": commands(), "settings.md": settings()}


def commands() -> str:
    """Return the page of commands."""
    parts = [COMMANDS, *_command(NAME, app.registered_callback)]
    for entry in sorted(app.registered_commands, key=_name):
        parts += _command(f"{NAME} {_name(entry)}", entry)
    for group in app.registered_groups:
        inner = group.typer_instance
        parts += [f"## {NAME} {group.name or inner.info.name}\n", f"{inner.info.help}\n"]
        rows = [(f"`{_name(entry)}`", _text(entry).split("\n")[0]) for entry in inner.registered_commands]
        parts += [*_table(("Command", "What it does"), sorted(rows)), "", _example(inner.info.epilog)]
    return "\n".join(parts).rstrip() + "\n"


def settings() -> str:
    """Return the page of settings and keys."""
    manifest = yaml.safe_load((ROOT / "src" / "napari_unet" / "napari.yaml").read_text(encoding="utf-8"))
    parts = [SETTINGS]
    for name, section in manifest["contributions"]["configurations"].items():
        parts.append(f"## {section['title']}\n")
        if name == "keys":
            parts += [KEYS_NOTE, *_table(("Key", "What it does"), _keys(section))]
        else:
            parts += _table(("Setting", "Default", "Values", "What it does"), _settings(section))
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _name(entry: Any) -> str:
    return entry.name or entry.callback.__name__.replace("_", "-")


def _text(entry: Any) -> str:
    return inspect.cleandoc(entry.help or entry.callback.__doc__ or "")


def _command(title: str, entry: Any) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{_text(entry)}\n"
    hints = get_type_hints(entry.callback, include_extras=True)
    rows = [
        _option(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(entry.callback).parameters.items()
        if hasattr(hints[name], "__metadata__")
    ]
    if rows:
        yield from _table(("Option", "Value", "Default", "What it does"), rows)
        yield ""
    if entry.epilog:
        yield _example(entry.epilog)


def _example(epilog: str | None) -> str:
    """Return each paragraph of it, `What: command`, with the command as code."""
    paragraphs = [part.partition(": ") for part in (epilog or "").split("\n\n") if part]
    return "".join(f"{what}: `{command.strip()}`\n\n" for what, _, command in paragraphs)


def _option(name: str, hint: Any, default: Any) -> tuple[str, str, str, str]:
    kind, info = hint.__origin__, hint.__metadata__[0]
    flag = kind is bool
    first = info.default if isinstance(info.default, str) else ""  # typer keeps the first name there
    given = [first, *(info.param_decls or ())]
    names = [each for both in given for each in both.split("/") if each.startswith("-")]
    if not names:
        names = [f"--{name.replace('_', '-')}", *([f"--no-{name.replace('_', '-')}"] if flag else [])]
    if isinstance(info, typer.models.ArgumentInfo):
        names = [info.metavar or name.upper()]
    shown = "" if flag or isinstance(info, typer.models.ArgumentInfo) else _value(kind, info)
    return ", ".join(f"`{name}`" for name in names), shown, _default(default, flag), info.help or ""


def _value(kind: Any, info: Any) -> str:
    inner = [part for part in get_args(kind) if part is not type(None)] if get_origin(kind) is not Literal else []
    kind = inner[0] if inner else kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(str(member.value) for member in kind)
    if info.min is not None and info.max is not None:
        return f"{info.min:.10g} to {info.max:.10g}" if info.max < HUGE else f"from {info.min:.10g}"
    named = {int: "number", float: "number", str: "text", Path: "path"}
    return str(info.metavar or named.get(kind, "text")).lower()


def _default(default: Any, flag: bool) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    if default is None or default is False:
        return ""
    return "on" if flag else f"`{getattr(default, 'value', default)}`"


def _settings(section: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    rows = []
    for entry in section["properties"].values():
        values = ", ".join(entry.get("enum", [])) or {"boolean": "on, off"}.get(entry["type"], "")
        if "minimum" in entry:
            values = f"{entry['minimum']} to {entry['maximum']}"
        default = {True: "on", False: "off"}.get(entry["default"]) if entry["type"] == "boolean" else entry["default"]
        rows.append((entry["title"], str(default), values, entry["description"]))
    return rows


def _keys(section: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {"PageDown": "Page Down", "PageUp": "Page Up"}
    return [
        (shown.get(entry["default"], entry["default"].replace("Shift-", "Shift+")), entry["title"])
        for entry in section["properties"].values()
    ]


def _table(heading: tuple[str, ...], rows: Any) -> list[str]:
    lines = [heading, ("---",) * len(heading), *rows]
    return ["| " + " | ".join(_cell(str(cell)) for cell in row) + " |" for row in lines]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def main() -> None:
    """Write the pages."""
    OUT.mkdir(exist_ok=True)
    for name, text in pages().items():
        (OUT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
