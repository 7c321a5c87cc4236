"""What a writer remembers of the ids it has stored."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from mlbfs.store.files import Files
from mlbfs.store.packs import PackWriter
from mlbfs.store.seen import FingerprintTable, Seen
from mlbfs.store.spool import RowSpool, SpoolFolder, in_key_ranges

if TYPE_CHECKING:
    from pathlib import Path


def test_the_table_agrees_with_a_dict() -> None:
    """Through several sizes."""
    rng = random.Random(5)
    table, model = FingerprintTable(), {}
    for number in range(40_000):
        key = rng.randbytes(32)
        table.put(key, number)
        model[key] = number
    assert len(model) == len(table)
    assert all(table.get(key) == value for key, value in model.items())
    assert not any(table.get(rng.randbytes(32)) is not None for _ in range(1000))


def test_a_key_of_zeros_is_kept() -> None:
    """Zero marks an empty slot, but is a possible fingerprint."""
    table = FingerprintTable()
    assert table.get(bytes(32)) is None
    table.put(bytes(32), 7)
    assert table.get(bytes(32)) == 7


def test_a_full_table_begins_anew() -> None:
    """Memory is bounded; what was forgotten is stored twice, no worse."""
    table = FingerprintTable(max_slots=16)
    for number in range(100):
        table.put(number.to_bytes(32, "little"), number)
    assert len(table) <= 16
    assert table.get((99).to_bytes(32, "little")) == 99


def test_ids_of_a_sealed_pack_are_still_known(tmp_path: Path) -> None:
    """And an id that only shares the fingerprint is not taken for one of them."""
    seen = Seen()
    writer = PackWriter(tmp_path / "0.pack", Files())
    ids = [os.urandom(32) for _ in range(3)]
    for one in ids:
        writer.append([bytes(56)], [(one, 0, 56, 0, 1, 0)])
        seen.add(one)
    assert all(one in seen for one in ids)
    pack = writer.seal()
    seen.seal(writer, pack)
    assert all(one in seen for one in ids)
    assert ids[0][:8] + os.urandom(24) not in seen
    pack.close()


def test_rows_come_back_in_order_from_memory_and_from_disk(tmp_path: Path) -> None:
    """However little memory there is."""
    rows = [(os.urandom(32), os.urandom(at % 50)) for at in range(200)]
    for memory in (0, 1000, 10**6):
        spool = RowSpool(tmp_path / f"rows{memory}", Files(), memory)
        for key, value in rows:
            spool.add(key, value)
        assert rows == list(spool)
        assert rows == list(spool)
        spool.close()


def test_rows_are_parted_by_their_keys(tmp_path: Path) -> None:
    """Each list holds one range of keys, and none is lost."""
    rows = [(os.urandom(32), os.urandom(at % 9)) for at in range(1000)]
    lists = list(in_key_ranges(iter(rows), 1000, 150, SpoolFolder(tmp_path, Files())))
    assert len(lists) == 7
    assert sorted(rows) == [row for part in lists for row in sorted(part)]
    assert [rows] == list(in_key_ranges(rows, 1000, 1000, SpoolFolder(tmp_path, Files())))
