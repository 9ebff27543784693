"""Write docs/sentences.md: every sentence that the window can say, from the code.

    python docs/make_sentences.py

A string counts if it is a sentence: it has a space, and ends as a sentence does or begins with a capital letter.
Labels, menu entries, titles of jobs and tool tips count as they are. A test compares the page with what the code says
now, and the length of each sentence with `MAX_SENTENCE` and `MAX_TIP`.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "napari_unet"
PAGE = ROOT / "docs" / "sentences.md"

MAX_SENTENCE = 110
"""Most characters of a sentence or a label, what is filled in left out: the status line has two lines."""

MAX_TIP = 160
"""Most characters of a tool tip, what is filled in left out."""

WINDOW = ("_qt", "layers", "learning", "guidance", "inference", "corrections")
"""Rooms that speak to the user of the window. What other rooms say reaches the window as errors."""

NOT_SEEN = ("cli", "cluster", "evaluation")
"""Rooms whose errors do not reach the window."""

FILLED_IN = "{…}"

Kind = Literal["says", "error", "details", "label", "tip"]

SIGNS: dict[Kind, str] = {
    "says": "",
    "error": "(error) ",
    "details": "(details) ",
    "label": "(label) ",
    "tip": "(tip) ",
}

TIPS = {"setToolTip"}
LABELS = {
    *(
        "QPushButton",
        "QLabel",
        "QCheckBox",
        "QGroupBox",
        "QToolButton",
        "setText",
        "setTitle",
        "setWindowTitle",
        "confirmed",
    ),
    *("addAction", "addItems", "addMenu", "addRow", "setFormat", "drawText", "setSpecialValueText"),
    *("Job", "begin", "_begin"),
    *("getText", "getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
}
"""What Qt, and the activity dock, show of the strings that they are called with."""

_END = (".", "?", "…", ":")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the window.

    Attributes
    ----------
    room : str
        Path of the module in the package.
    line : int
        Where it begins in there.
    kind : {"says", "error", "details", "label", "tip"}
    text : str
        With `FILLED_IN` for what is filled in.
    """

    room: str
    line: int
    kind: Kind
    text: str

    @property
    def length(self) -> int:
        """Number of characters, what is filled in left out."""
        return len(self.text.replace(FILLED_IN, ""))

    @property
    def too_long(self) -> bool:
        """Whether it is longer than the window has room for; details are folded, and may be long."""
        return self.kind != "details" and self.length > (MAX_TIP if self.kind == "tip" else MAX_SENTENCE)


def template(node: ast.expr) -> str | None:
    """Return the text of a string in the code, with `FILLED_IN` for what is filled in; None if it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else FILLED_IN for part in node.values)
    return None


def sentences(path: Path) -> Iterator[Said]:
    """Yield what a module says, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    room = path.relative_to(SOURCE).as_posix()
    kinds, left_out = _kinds(tree), _left_out(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr) or id(node) in left_out:
            continue
        text = " ".join((template(node) or "").split())
        kind = kinds.get(id(node), "says")
        if _is_sentence(text) or (kind in ("label", "tip") and _has_words(text)):
            yield Said(room, node.lineno, kind, text)


def _is_sentence(text: str) -> bool:
    words = text.replace(FILLED_IN, "X").split(" ")
    return len(words) > 1 and _has_words(text) and (text.endswith(_END) or words[0][:1].isupper())


def _has_words(text: str) -> bool:
    """Return whether anything is left of a text without what is filled in."""
    return re.search(r"[^\W\d_]{2}", text.replace(FILLED_IN, "")) is not None


def _kinds(tree: ast.Module) -> dict[int, Kind]:
    """Return the kind of the strings (by the id of their node) that are not simply said."""
    return {
        id(inner): kind
        for node in ast.walk(tree)
        for part, kind in _marked_by(node)
        for inner in ast.walk(part)
    }  # fmt: skip


def _marked_by(node: ast.AST) -> Iterator[tuple[ast.AST, Kind]]:
    """Yield the parts of a node whose strings are of a kind, those of another kind in them after them."""
    if isinstance(node, ast.Raise) and node.exc is not None:
        yield node.exc, "error"
        if isinstance(node.exc, ast.Call) and _name(node.exc) != "ImageMissingError":
            yield from ((argument, "details") for argument in node.exc.args[1:])
    elif isinstance(node, ast.Call):
        kind: Kind | None = "tip" if _name(node) in TIPS else "label" if _name(node) in LABELS else None
        if kind is not None:
            yield from ((argument, kind) for argument in node.args)
        yield from ((keyword.value, "details") for keyword in node.keywords if keyword.arg == "details")
    elif isinstance(node, ast.FunctionDef) and node.name == "details":
        yield node, "details"


def _name(call: ast.Call) -> str:
    """Return what is called, without the object that it belongs to."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _left_out(tree: ast.Module) -> set[int]:
    """Return what is no sentence of its own: docstrings, parts of f-strings, annotations, asserts and keys."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            found.update(id(part) for part in ast.walk(node) if part is not node)
        elif isinstance(node, ast.Assert):
            found.update(id(part) for part in ast.walk(node))
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            found.update(id(part) for part in ast.walk(node.annotation))
    return found


def all_sentences() -> list[Said]:
    """Return what the window can say, module by module."""
    return [
        said
        for path in sorted(SOURCE.rglob("*.py"))
        if (room := path.relative_to(SOURCE).parts[0]) not in NOT_SEEN
        for said in sorted(sentences(path), key=lambda said: said.line)
        if room in WINDOW or said.kind in ("error", "details")
    ]


def page() -> str:
    """Return the page."""
    found = all_sentences()
    intro = (
        f"Made from the code by `python docs/make_sentences.py` (`make figures`). `{FILLED_IN}` is filled in. What has "
        "no sign is said by the status line, or is a part of that; *(label)* is on a button, in a menu, or the title "
        "of a dialog or a job; *(tip)* is a tool tip; *(details)* is behind *Details*. Without what is filled in, a "
        f"sentence of the window has at most {MAX_SENTENCE} characters, a tool tip {MAX_TIP}."
    )
    lines = ["# What the window can say", "", *textwrap.wrap(intro, 120)]
    for room in dict.fromkeys(said.room for said in found):
        lines += ["", f"## `{room}`", ""]
        for said in (said for said in found if said.room == room):
            text = re.sub(r"([*<>_`])", r"\\\1", said.text)
            sign = SIGNS[said.kind].strip()
            lines.append(f"- *{sign}* {text}" if sign else f"- {text}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE.relative_to(ROOT)}: {len(all_sentences())} sentences")
