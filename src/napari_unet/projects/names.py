"""Names of files and folders made of names that people gave."""

from __future__ import annotations

_MAX_NAME_BYTES = 120  # systems allow 255 bytes, and a letter may take several


def file_name(name: str) -> str:
    """Return a name, without a suffix, that a file may have on every system."""
    allowed = "".join("-" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in name)
    return allowed.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(" .") or "untitled"
