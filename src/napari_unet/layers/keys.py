"""Which key does what on the canvas, for all sentences that name one: keys are set on napari's page of preferences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.layers.preferences import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

BUTTONS = {
    "review_view": "Reviewed",
    "next_suspect": "Next",
    "previous_object": "Previous",
    "accept_object": "Accept",
    "outline_tool": "Outline",
    "show_help": "?",
}
"""Buttons of the panel that do the same as a key."""

NO_KEY = "(no key)"


class Keys:
    """The keys of the canvas as they are now.

    Notes
    -----
    Where a window is open, `_qt.keys.BoundKeys` says which keys are bound; before that, the usual ones hold.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._set: dict[str, str] = dict(DEFAULTS["keys"])

    def note(self, keys: Mapping[str, str]) -> None:
        """Take note of which keys are bound, by action, as napari writes them; an action that is missing has none."""
        if dict(keys) != self._set:
            self._set = dict(keys)
            self.changed.emit()

    def of(self, action: str) -> str:
        """Return the key of an action as it is written in a sentence; "" if it has none.

        Parameters
        ----------
        action : str
            A name in `preferences.DEFAULTS["keys"]`.

        Examples
        --------
        >>> Keys().of("next_object")
        'Shift+N'
        """
        if action not in DEFAULTS["keys"]:
            raise KeyError(action)
        return shown(self._set.get(action, ""))

    def named(self, action: str) -> str:
        """Return what to press for an action: its key; else the button that does the same; else `NO_KEY`."""
        return self.of(action) or BUTTONS.get(action, NO_KEY)

    def beside(self, text: str, action: str) -> str:
        """Return the text of a button or menu with the key of its action, if it has one: "Accept  (A)"."""
        key = self.of(action).replace("Shift+", "⇧")
        return f"{text}  ({key})" if key else text


def shown(key: str) -> str:
    """Return a key as people write it: napari's "Shift-N" is "Shift+N", and "PageUp" is "Page Up"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"(?<=[a-z])-(?=.)", "+", key))
