"""The kernels in C++ (native/src/module.cpp); twins of the functions in `mlbfs.store.twin`.

Every function releases the interpreter lock around its work, checks every length, and answers bad
bytes with a status (`mlbfs.store.recordformat`), never with an exception. Arguments that break a
rule of the caller raise ValueError or TypeError.
"""

from collections.abc import Sequence

from typing_extensions import Buffer

def cut_points(data: Buffer, final: bool) -> list[int]:
    """Returns the end offsets of the chunks of `data`; see `twin.cut_points`."""

def best_width(data: Buffer) -> int:
    """Returns the plane width the sample promises most from: 0 for raw, 1, 2, 4 or 8."""

def encode_records(
    data: Buffer, spans: Sequence[tuple[int, int, bytes]], kind: int, level: int
) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Makes one record of each span, long raw payloads left out; see `twin.encode_records`."""

def encode_record(kind: int, id32: bytes, plain: Buffer, level: int) -> bytes:
    """Makes one record; see `twin.encode_record`."""

def read_record(fd: int, offset: int, length: int, id32: bytes, nowait: bool) -> tuple[int, bytes]:
    """Reads, checks and decodes one record; see `twin.read_record`."""

def decode_record(record: Buffer, id32: bytes | None) -> tuple[int, bytes]:
    """Checks and decodes a record in memory; see `twin.decode_record`."""

def read_files(
    paths: Sequence[bytes], sizes: Sequence[int]
) -> tuple[bytes, list[tuple[int, int, int, int]]]:
    """Reads whole files, unlocking once for all of them; see `twin.read_files`."""

def list_folder(path: bytes) -> tuple[int, list[tuple[bytes, int, int, bytes]]]:
    """Lists a folder with mode, size and stamp, unlocking once; see `twin.list_folder`."""

def sha256_blocks(state: bytes, data: Buffer) -> bytes:
    """Hashes whole blocks of 64 bytes into a state of 32 bytes; see `twin.sha256_blocks`."""

def sha256_is_fast() -> bool:
    """Returns whether this processor has instructions for SHA-256 that the kernel uses."""

def split_planes(data: Buffer, width: int) -> bytes:
    """Returns the byte planes one after the other; for tests (`codec.split_planes`)."""

def join_planes(planes: Buffer, width: int) -> bytes:
    """Undoes `split_planes`; for tests (`codec.join_planes`)."""

def checksums(head: Buffer, body: Buffer) -> list[int]:
    """Returns the XXH3-64 of every variant this processor can run; for tests."""

def sha256_variants(state: bytes, data: Buffer) -> list[bytes]:
    """Returns what every variant this processor can run makes of whole blocks; for tests."""

def parameters() -> dict[str, int | tuple[int, ...]]:
    """Returns the constants compiled in, to be compared with those of the Python side."""
