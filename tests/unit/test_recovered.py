"""The line that tells what a mount found of one that was not unmounted."""

from __future__ import annotations

import pytest

from mlbfs.mount.recovered import sentence

COMMIT = "1234567890" * 4
BEGIN = "the last mount was not unmounted; "


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"commit": None, "unsynced": []}, "everything that was written is there"),
        (
            {"commit": COMMIT, "unsynced": []},
            "its commit 123456789012 is on the branch, and everything that was written is there",
        ),
        ({"commit": None, "unsynced": ["a"]}, "a file lacks what was not synced: 'a'"),
        (
            {"commit": None, "unsynced": ["a", "b", "c", "d"]},
            "4 files lack what was not synced: 'a', 'b', 'c' ...",
        ),
    ],
)
def test_what_is_said(found, said):
    """One line: the commit, if there was one, and what is missing, if anything is."""
    assert sentence(found | {"deleted": 0}) == BEGIN + said
