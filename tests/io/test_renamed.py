"""Names of earlier versions in files, and those of today."""

from __future__ import annotations

from typing import Any

import pytest

from napari_unet.io.renamed import Key, Value, up_to_date

TABLE = (
    Key(2, "old", "new"),
    Key(2, "outer.inner", "within"),
    Key(2, "outer", "around"),
    Key(2, "items.*.old", "new"),
    Key(3, "gone", None),
    Value(3, "how.way", "by hand", "manual"),
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"old": 1, "kept": 2}, {"new": 1, "kept": 2}),
        ({"outer": {"inner": 1, "old": 2}}, {"around": {"within": 1, "old": 2}}),
        ({"items": [{"old": 1}, {"old": 2, "kept": 3}]}, {"items": [{"new": 1}, {"new": 2, "kept": 3}]}),
        ({"gone": 1}, {}),
        ({"how": {"way": "by hand"}}, {"how": {"way": "manual"}}),
        ({"how": {"way": "else"}}, {"how": {"way": "else"}}),
        ({"items": {"old": 1}, "outer": 3, "how": None}, {"items": {"old": 1}, "around": 3, "how": None}),
        ([1], [1]),
        (None, None),
    ],
)
def test_of_the_first_version(before: Any, after: Any) -> None:
    assert up_to_date(before, 1, TABLE) == after


def test_only_what_is_newer_than_the_file() -> None:
    assert up_to_date({"old": 1, "gone": 2}, 2, TABLE) == {"old": 1}
    assert up_to_date({"old": 1, "gone": 2}, 3, TABLE) == {"old": 1, "gone": 2}
