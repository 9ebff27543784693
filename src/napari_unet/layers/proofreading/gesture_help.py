"""The table of gestures as it is shown: what each is called, how mouse and keys make it, and what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.layers.keys import Keys

_ROWS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("Merge", "Shift + drag", (), "from one object into others"),
    ("Split", "Ctrl + drag", (), "a line across an object; the cut follows what the network saw"),
    ("Split", "Ctrl + click", ("cut_free",), "an object in parts where the network saw several"),
    ("Split", "button, then clicks", (), "once in each part; Esc forgets the dots"),
    ("Add", "Shift + click", ("add_object",), "on the background: the object that the network saw there"),
    ("Add", "Shift + wheel", ("add_object", "shrink_object"), "on the object just added: a little larger, smaller"),
    ("Add", "button, then Shift + drag", (), "up and down on what is suggested: larger, smaller; let go to add it"),
    ("Add", "button, then drag", (), "around an object that the network does not see"),
    ("Outline", "button, then drag", ("outline_tool",), "out of an object and back: adds; across it: cuts a piece off"),
    ("Outline", "", ("fill_holes", "smooth_outline"), "fill the holes of an object; smooth its outline"),
    ("Delete", "Ctrl + Shift + click", ("delete_object",), "an object; drag across several"),
)
"""Name, mouse, actions whose keys do the same, and what it does. Ctrl is Cmd on macOS."""


def help_rows(keys: Keys) -> list[tuple[str, str, str]]:
    """Return the rows of the table: the name of a gesture, how it is made, and what it does.

    Parameters
    ----------
    keys : Keys
        The keys that are set. A gesture that has neither a mouse nor a key is left out.
    """
    rows = []
    for name, mouse, actions, what in _ROWS:
        pressed = ", ".join(filter(None, map(keys.of, actions)))
        how = " or ".join(filter(None, (mouse, pressed)))
        if how:
            rows.append((name, how, what))
    return rows
