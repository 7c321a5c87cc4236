"""Makes the golden store and the damaged files. Running it again is a format change.

    python tests/format/make_store_vectors.py

writes the stores of tests/format/golden/ and the files of tests/format/should_fail/, and prints the
vectors that the pages under docs/format/ show.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import sys
from pathlib import Path

import xxhash
from blake3 import blake3

from mlbfs.store import dirindex, packformat, recipe, twin
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import DirectoryEntry, EntryKind, encode_directory

HERE = Path(__file__).parent
HELLO = b"hello, pack"


def golden_files() -> dict[str, bytes]:
    """Returns the files of the golden store: every codec, an empty file, several chunks."""
    counter = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(1500))
    floats = struct.pack("<4000d", *[1.0 + number / 4096 for number in range(4000)])
    return {
        "empty": b"",
        "one-nul": b"\0",
        "text": b"the same line again and again\n" * 100,
        "noise": counter,
        "floats": floats,
        "shared": counter[:40_000] + b"another end",
    }


def golden_large_files() -> dict[str, bytes]:
    """Returns the files of the golden store with midstates: long, and small in a pack."""
    return {"zeros": bytes(recipe.MIDSTATE_SPACING) + b"end"}


def hello_pack() -> bytes:
    """Returns a pack with one raw chunk."""
    chunk_id = blake3(HELLO).digest()
    record = twin.encode_record(1, chunk_id, HELLO, 3)
    head = packformat.encode_header()
    _, footer = packformat.encode_footer([(chunk_id, len(head), len(record), len(HELLO), 1, 0)])
    return head + record + footer


def hello_root() -> bytes:
    """Returns the root of a file of one chunk."""
    return recipe.encode_root(len(HELLO), 0, [(blake3(HELLO).digest(), len(HELLO))])


def large_root() -> bytes:
    """Returns the root of a file with one midstate."""
    size = recipe.MIDSTATE_SPACING + 5
    return recipe.encode_root(size, 1, [(b"\1" * 32, size)], b"\2" * 32)


def hello_node() -> bytes:
    """Returns a node with one chunk."""
    return recipe.encode_node(0, [(blake3(HELLO).digest(), len(HELLO))])


def hello_directory() -> bytes:
    """Returns a directory with two entries."""
    entries = [
        DirectoryEntry(b"b", EntryKind.DIRECTORY, 0, b"\xbb" * 20),
        DirectoryEntry(b"a", EntryKind.EXECUTABLE, 3, b"\xaa" * 32),
    ]
    return encode_directory(entries, time_ns=1)


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    at = at if at >= 0 else len(data) + at
    return data[:at] + new + data[at + len(new) :]


def _sealed_pack(data: bytes) -> bytes:
    """Makes pack id and checksum of a changed table right, so that only the change is wrong."""
    table, trailer = data[-120:-64], data[-64:]
    checked = blake3(table).digest() + trailer[32:48]
    checksum = xxhash.xxh3_64_intdigest(checked).to_bytes(8, "little")
    return data[:-120] + table + checked + checksum + trailer[56:]


def _sealed_directory(data: bytes) -> bytes:
    checksum = xxhash.xxh3_64_intdigest(data[:32] + data[40:]).to_bytes(8, "little")
    return data[:32] + checksum + data[40:]


def damaged_packs() -> dict[str, bytes]:
    """Returns packs with one defect each."""
    good = hello_pack()
    table = len(good) - 120
    sealed = {
        "offset-gap": _patched(good, table + 32, b"\x11"),
        "record-shorter-than-header": _patched(good, table + 40, b"\x37"),
        "plain-length-over-limit": _patched(good, table + 44, b"\x01\x00\x04\x00"),
        "unknown-kind": _patched(good, table + 48, b"\x04"),
        "zero-not-zero": _patched(good, table + 50, b"\x01"),
        "more-zero-not-zero": _patched(good, table + 52, b"\x01"),
    }
    return {
        "empty": b"",
        "header-magic": _patched(good, 0, b"M"),
        "header-version": _patched(good, 8, b"\x02"),
        "header-flags": _patched(good, 12, b"\x01"),
        "no-trailer": good[:-64],
        "last-byte-missing": good[:-1],
        "byte-behind-the-end": good + b"\0",
        "byte-between": good[:-120] + b"\0" + good[-120:],
        "end-magic": _patched(good, -1, b"D"),
        "trailer-checksum": _patched(good, -10, b"\xff"),
        "trailer-table-length": _patched(good, -32, b"\xff"),
        "pack-id": _patched(good, -64, b"\xff"),
        "table-id": _patched(good, table, b"\xff"),
        **{name: _sealed_pack(data) for name, data in sealed.items()},
    }


def damaged_recipes() -> dict[str, bytes]:
    """Returns roots with one defect each."""
    good = hello_root()
    zero = recipe.encode_root(11, 0, [(bytes(32), 11), (bytes(32), 0)])
    return {
        "empty": b"",
        "header-cut": good[:15],
        "version": _patched(good, 0, b"\x03"),
        "version-with-midstates": _patched(good, 0, b"\x02"),
        "depth-over-limit": _patched(good, 1, b"\x09"),
        "flags": _patched(good, 2, b"\x01"),
        "count-too-high": _patched(good, 4, b"\x02"),
        "count-too-low": _patched(good, 4, b"\x00"),
        "count-over-limit": recipe.encode_root(513, 0, [(bytes(32), 1)] * 513),
        "size-differs": _patched(good, 8, b"\x0c"),
        "last-byte-missing": good[:-1],
        "byte-behind-the-end": good + b"\0",
        "entry-covers-nothing": zero,
    }


def _sealed_root(data: bytes) -> bytes:
    """Returns a root with its checksum made right, so that only what was changed is wrong."""
    return data[:-8] + xxhash.xxh3_64_intdigest(data[:-8]).to_bytes(8, "little")


def damaged_large_recipes() -> dict[str, bytes]:
    """Returns roots with midstates with one defect each."""
    good = large_root()
    short = recipe.encode_root(recipe.MIDSTATE_SPACING - 1, 0, [], b"\2" * 32)
    sealed = {
        "flags": _patched(good, 2, b"\x01"),
        "count-too-high": _patched(good, 4, b"\x02"),
        "count-too-low": _patched(good, 4, b"\x00"),
        "size-differs": _patched(good, 8, b"\x06"),
        "size-of-more-midstates": _patched(good, 11, b"\x08"),
        "depth-over-limit": _patched(good, 1, b"\x09"),
    }
    return {
        "version": _sealed_root(_patched(good, 0, b"\x03")),
        "midstate": _patched(good, 56, b"\x03"),
        "entry": _patched(good, 16, b"\x03"),
        "checksum": _patched(good, -1, b"\x00"),
        "checksum-missing": good[:-8],
        "last-byte-missing": good[:-1],
        "byte-behind-the-end": good + b"\0",
        "midstate-missing": _sealed_root(good[:56] + good[-8:]),
        "midstate-too-many": _sealed_root(good[:-8] + bytes(32) + good[-8:]),
        "file-without-room": short,
        **{name: _sealed_root(data) for name, data in sealed.items()},
    }


def damaged_nodes() -> dict[str, bytes]:
    """Returns nodes with one defect each."""
    good = hello_node()
    return {
        "header-cut": good[:7],
        "version": _patched(good, 0, b"\x00"),
        "flags": _patched(good, 3, b"\x80"),
        "no-entry": recipe.encode_node(0, []),
        "last-byte-missing": good[:-1],
    }


def damaged_directories() -> dict[str, bytes]:
    """Returns directory indexes with one defect each."""
    good = hello_directory()
    sealed = {
        "magic": _patched(good, 0, b"m"),
        "version": _patched(good, 4, b"\x02"),
        "flags": _patched(good, 6, b"\x01"),
        "zero-not-zero": _patched(good, 24, b"\x01"),
        "count-too-high": _patched(good, 16, b"\x03"),
        "names-length": _patched(good, 20, b"\x03"),
        "unknown-kind": _patched(good, 44, b"\x06"),
        "content-length": _patched(good, 45, b"\x10"),
        "name-end-behind-names": _patched(good, 40, b"\x09"),
        "name-empty": _patched(good, 40, b"\x00"),
        "name-with-slash": good[:-2] + b"/b",
        "names-not-sorted": good[:-2] + b"ba",
        "name-twice": good[:-2] + b"bb",
    }
    return {
        "empty": b"",
        "header-cut": good[:39],
        "checksum": _patched(good, 32, b"\xff"),
        "last-byte-missing": good[:-1],
        **{name: _sealed_directory(data) for name, data in sealed.items()},
    }


DAMAGED = {
    "pack": damaged_packs,
    "recipe-root": damaged_recipes,
    "recipe-root-2": damaged_large_recipes,
    "recipe-node": damaged_nodes,
    "directory": damaged_directories,
}


def make_golden(target: Path, files: dict[str, bytes]) -> None:
    """Writes a golden store: its format file and its packs, without the index."""
    shutil.rmtree(target, ignore_errors=True)
    with ChunkStore.create(target) as store, store.writer() as writer:
        for data in files.values():
            writer.put_bytes(data)
        writer.commit()
    for name in ("index.lmdb", "index.lmdb-lock", "lock"):
        (target / name).unlink()


def main() -> None:
    """Writes everything."""
    make_golden(HERE / "golden" / "store-v1", golden_files())
    make_golden(HERE / "golden" / "store-v1-midstates", golden_large_files())
    for kind, make in DAMAGED.items():
        folder = HERE / "should_fail" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (folder / f"{name}.bin").write_bytes(data)
    for vector in (hello_pack(), hello_root(), large_root(), hello_directory()):
        sys.stdout.write("\n".join(_lines(vector)) + "\n\n")
    assert dirindex.HEADER.size == 40


def _lines(data: bytes) -> list[str]:
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    return [" ".join(part.hex() for part in (line[:8], line[8:]) if part) for line in lines]


if __name__ == "__main__":
    main()
