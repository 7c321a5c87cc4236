"""Summaries of files: what is told, and that no file can make one do anything else."""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.workspace.source import BytesReader
from mlbfs.workspace.summary import describe as module
from mlbfs.workspace.summary.describe import describe

if TYPE_CHECKING:
    from pathlib import Path


def _lines(data: bytes, name: str = "file") -> list[str]:
    return b"".join(describe(BytesReader(data), name)).decode().splitlines()


def _npy(kind: str = "<f4", shape: str = "(2, 3)") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header


def _npz(**arrays: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    return target.getvalue()


def _safetensors(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64)


def _database(path: Path, *statements: str) -> bytes:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path.read_bytes()


def test_tensors_and_arrays() -> None:
    """Name, type and shape of each, in the order of names; the length and SHA-256 before."""
    entry = {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}
    first, *rest = _lines(_safetensors({"b": entry, "a": entry, "__metadata__": {"format": "pt"}}))
    assert first.startswith("safetensors, ")
    assert rest == ["metadata format: pt", "a: F32 [4, 8]", "b: F32 [4, 8]"]
    assert _lines(_npy())[1:] == ["array: <f4 [2, 3]"]
    assert _lines(_npz(w=_npy(), b=_npy("<i8", "()")), "x.npz")[1:] == [
        "b: <i8 []",
        "w: <f4 [2, 3]",
    ]


def test_a_database(tmp_path: Path) -> None:
    """Tables with their columns and rows; what else there is, with its text."""
    data = _database(
        tmp_path / "x.db",
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "CREATE INDEX by_name ON runs (name)",
        "CREATE VIEW names AS SELECT name FROM runs",
        "INSERT INTO runs VALUES (1, 'one'), (2, 'two')",
    )
    assert _lines(data)[1:] == [
        "user_version: 0",
        "application_id: 0",
        "table runs: 2 rows",
        "  id INTEGER KEY 1",
        "  name TEXT NOT NULL",
        "index by_name: CREATE INDEX by_name ON runs (name)",
        "view names: CREATE VIEW names AS SELECT name FROM runs",
    ]


def test_a_database_is_only_read(tmp_path: Path) -> None:
    """No file beside it, no change in it, and a file of the host is opened where it lies."""
    path = tmp_path / "db #1?.sqlite"
    data = _database(path, "CREATE TABLE t (a)")
    lines = b"".join(describe(BytesReader(data), "x", path))
    assert b"table t: 0 rows" in lines
    assert path.read_bytes() == data
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_database_with_rows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting ends after so many steps; what was counted before stays."""
    from mlbfs.workspace.summary import sqlite

    data = _database(
        tmp_path / "x.db",
        "CREATE TABLE t (a)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) "
        "INSERT INTO t SELECT i FROM n",
    )
    monkeypatch.setattr(sqlite, "_MAX_STEPS", 0)
    monkeypatch.setattr(sqlite, "_STEPS_AT_ONCE", 10)
    assert "table t: too many rows to count" in _lines(data)


def test_text_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of commas is compared by its lines; a very long one ends with its SHA-256."""
    assert _lines(b"a,b\n1,2\n") == ["a,b", "1,2"]
    assert _lines("häuser\n".encode() * 2000) == ["häuser"] * 2000
    monkeypatch.setattr(module, "MAX_TEXT", 10)
    lines = _lines(b"0123456789ABC")
    assert lines[0] == "0123456789"
    assert lines[1].startswith("... of 13 bytes, sha256 ")


def test_other_files() -> None:
    """Length and SHA-256; a model says so."""
    (line,) = _lines(b"\0\1", "net.pt")
    assert line.startswith("model, 2 bytes, sha256 ")
    (line,) = _lines(b"\0\1", "net")
    assert line.startswith("binary file, 2 bytes, sha256 ")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (struct.pack("<Q", 2**63) + b'{"', "x.safetensors"),
        (struct.pack("<Q", 4) + b'{"a"', "x.safetensors"),
        (_safetensors([1]), "x.safetensors"),
        (_safetensors({"a": 1}), "x.safetensors"),
        (_safetensors({"a": {"dtype": "F32", "shape": "no"}}), "x.safetensors"),
        (_safetensors({"a": {"dtype": "F32", "shape": [[1]]}}), "x.safetensors"),
        (struct.pack("<Q", 200_000) + b'{"a":' * 40_000 + b"\0", "x.safetensors"),
        (_npy(shape="__import__('os')"), "x.npy"),
        (_npy(shape="(" * 5000), "x.npy"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "x.npy"),
        (b"PK\x03\x04 no archive\0", "x.npz"),
        (b"SQLite format 3\0" + bytes(100), "x.db"),
        (b"PAR1\0\0PAR1", "x.parquet"),
    ],
)
def test_files_that_are_not_what_they_promise(data: bytes, name: str) -> None:
    """One line says why they were not read; the first line is there all the same."""
    lines = _lines(data, name)
    assert len(lines) == 2
    assert lines[1].startswith("not read: ")


def test_nothing_reaches_the_terminal_and_nothing_is_without_end() -> None:
    """Names of strangers are escaped and cut."""
    entry = {"dtype": "\x1b[2J", "shape": [1]}
    many = {f"t{number:05}": entry for number in range(6000)}
    lines = _lines(_safetensors({"a\nb\u202e": entry, "c" * 9000: entry, **many}))
    assert lines[1] == "a\\u000ab\\u202e: \\u001b[2J [1]"
    assert max(map(len, lines)) < 700
    assert len(lines) == module.MAX_LINES + 1
    assert lines[-1] == "... and 1003 more lines"


@settings(max_examples=150)
@given(
    st.sampled_from(
        [b"SQLite format 3\0", b"\x93NUMPY\x01\0", b"PK\x03\x04\0", b'\x20\0\0\0\0\0\0\0{"', b"\0"]
    ),
    st.binary(max_size=600),
    st.sampled_from(["x", "x.npz", "x.safetensors", "x.db"]),
)
def test_noise_behind_a_promise(magic: bytes, noise: bytes, name: str) -> None:
    """Any bytes at all make a summary that a terminal can show."""
    for line in _lines(magic + noise, name):
        assert line.replace("\t", "").isprintable()


def _changed(data: bytes, at: int, new: bytes) -> bytes:
    at %= len(data)
    return data[:at] + new + data[at + len(new) :]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4), st.booleans())
def test_an_archive_with_some_bytes_changed(at: int, new: bytes, from_the_end: bool) -> None:
    """Whatever its directory says then, the first line is there."""
    data = _npz(weights=_npy(), bias=_npy())
    changed = _changed(data, -at - 1 if from_the_end else at, new)
    assert "bytes, sha256" in _lines(changed, "file.npz")[0]


def test_an_archive_that_begins_before_its_file() -> None:
    """And one whose names are no text: both are told of, as what is not read."""
    data = _npz(weights=_npy())
    end = data.rindex(b"PK\x05\x06")
    directory = int.from_bytes(data[end + 16 : end + 20], "little")
    farther = _changed(data, end + 16, (directory + 40).to_bytes(4, "little"))
    assert _lines(farther, "file.npz")[1].startswith("not read: ")
    flagged = _changed(_changed(data, directory + 8, b"\0\x08"), directory + 46, b"\xff")
    assert _lines(flagged, "file.npz")[1].startswith("not read: ")


def test_a_database_whose_names_are_no_text(tmp_path: Path) -> None:
    """SQLite gives out whatever bytes a schema has."""
    data = _database(tmp_path / "x", "CREATE TABLE marker (a)")
    assert _lines(data.replace(b"marker", b"mark\xff\xfe"), "x")[1].startswith("not read: ")
