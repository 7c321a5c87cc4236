"""Golden cut points: changing one breaks deduplication against all data stored before.

If a test here fails, the change is a change of the format: it needs a new version of
docs/format/chunking-v1.md, not a new golden value.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path

import pytest

from mlbfs.store import chunker

SPEC = Path(__file__).parents[2] / "docs" / "format" / "chunking-v1.md"
GEAR_SHA256 = "abe1c76b8be716018510d07b89b530d4b184d83c62abe645467caa41447a2e4f"
RANDOM_SHA256 = "b38db8851838c79efc143bce875a404638b93916585caa027c396cf46fbad2f5"
TABLE_SHA256 = "ea7ea59ded660f6ab55e6c4781a6233014519f56c53ee7cd81061348ec602590"


@pytest.fixture(
    params=[pytest.param("mlbfs._native", marks=pytest.mark.native), "mlbfs.store.twin"]
)
def kernels(request):
    return importlib.import_module(request.param)


def random_bytes(length: int) -> bytes:
    return hashlib.shake_256(b"mlbfs golden chunking").digest(length)


def digest(cuts: list[int]) -> str:
    return hashlib.sha256(",".join(map(str, cuts)).encode()).hexdigest()


def test_the_gear_table_never_changes():
    """The table is the one made from the label, and its bytes have this hash."""
    raw = b"".join(number.to_bytes(8, "little") for number in chunker.make_gear())
    assert hashlib.sha256(raw).hexdigest() == GEAR_SHA256


def test_the_first_cuts_of_random_bytes(kernels):
    """The vector of the specification, loaded from its page."""
    vector = re.search(r"```cuts\n(.*?)```", SPEC.read_text(), re.DOTALL)
    assert vector is not None
    expected = [int(number) for number in vector[1].split()]
    assert expected == kernels.cut_points(random_bytes(expected[-1]), False)


@pytest.mark.native
def test_the_cuts_of_eight_mebibytes():
    """All cuts of 8 MiB, by hash."""
    native = importlib.import_module("mlbfs._native")
    cuts = native.cut_points(random_bytes(8 << 20), True)
    assert (len(cuts), digest(cuts)) == (109, RANDOM_SHA256)


def test_the_cuts_of_a_text_table(kernels):
    """All cuts of a table of 60,000 lines, by hash."""
    lines = (
        b"%d,%s\n" % (i, hashlib.sha256(b"%d" % i).hexdigest()[:12].encode()) for i in range(60_000)
    )
    cuts = kernels.cut_points(b"".join(lines), True)
    assert (len(cuts), digest(cuts)) == (15, TABLE_SHA256)
