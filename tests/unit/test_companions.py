"""A database and its log come from one side."""

from __future__ import annotations

import pytest

from mlbfs.git.objects import object_id
from mlbfs.git.trees import MODE_FILE
from mlbfs.merge.companions import hold_split_databases
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.plan import make_plan
from mlbfs.merge.trees import Entry
from mlbfs.merge.versions import Side


class Trees:
    """Three flat trees, in memory."""

    def __init__(self, *trees: dict[str, str]) -> None:
        self._raw: dict[bytes, bytes] = {}
        self._entries: dict[tuple[Side, bytes], Entry] = {}
        self.ids = [self._add(side, tree) for side, tree in zip(Side, trees, strict=True)]

    def _add(self, side: Side, tree: dict[str, str]) -> bytes:
        raw = b""
        for name, text in sorted(tree.items()):
            blob = object_id("blob", text.encode())
            raw += b"100644 " + name.encode() + b"\0" + blob
            self._entries[side, name.encode()] = Entry(MODE_FILE, blob)
        oid = object_id("tree", raw)
        self._raw[oid] = raw
        return oid

    def read(self, oid: bytes) -> bytes:
        return self._raw[oid]

    def find(self, side: Side, path: bytes) -> Entry | None:
        return self._entries.get((side, path))


@pytest.mark.parametrize(
    ("ours", "theirs", "held"),
    [
        ({"d": "2", "d-wal": "b"}, {"d": "1", "d-wal": "c"}, ["d-wal"]),
        ({"d": "2"}, {"d": "1", "d-wal": "c"}, []),  # deleted and changed: a conflict anyway
        ({"d": "1"}, {"d": "2", "d-wal": "b"}, ["d"]),
        ({"d": "1", "d-wal": "c"}, {"d": "2", "d-wal": "b"}, ["d"]),
        ({"d": "1", "d-journal": "c", "d-wal": "b"}, {"d": "2", "d-wal": "b"}, ["d"]),
        ({"d": "1", "d-wal": "b"}, {"d": "2", "d-wal": "c"}, []),  # both come from theirs
        ({"d": "1", "d-wal": "b"}, {"d": "2"}, []),
        ({"d": "1", "d-wal": ""}, {"d": "2", "d-wal": "b"}, ["d"]),
        ({"d": "1", "d-wal": "b", "e": "1"}, {"d": "1", "d-wal": "c"}, []),
        ({"d": "1", "d-wal": "b"}, {"d": "1", "d-wal": "b", "x-wal": "1"}, []),  # no database
    ],
)
def test_what_would_take_a_database_apart(
    ours: dict[str, str], theirs: dict[str, str], held: list[str]
) -> None:
    """Is a conflict, told at the path that theirs changed."""
    trees = Trees({"d": "1", "d-wal": "b"}, ours, theirs)
    plan = make_plan(trees.read, *trees.ids)
    hold_split_databases(plan, trees.find)
    found = [one for one in plan.conflicts if one.kind is ConflictKind.SPLIT_DATABASE]
    assert [one.path.decode() for one in found] == held
    assert not {one.path for one in found} & {one.path for one in plan.changes}
