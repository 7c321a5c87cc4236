"""Records of docs/format/record-v1.md: the vectors of the page, and its byte table."""

from __future__ import annotations

import importlib
import re
import struct
from pathlib import Path

import blake3
import pytest

from mlbfs.store import recordformat
from mlbfs.store.recordformat import ReadStatus, RecordKind, parse_record_header

SPEC = Path(__file__).parents[2] / "docs" / "format" / "record-v1.md"


@pytest.fixture(
    params=[pytest.param("mlbfs._native", marks=pytest.mark.native), "mlbfs.store.twin"]
)
def kernels(request):
    return importlib.import_module(request.param)


def vectors() -> list[bytes]:
    return [
        bytes.fromhex(text)
        for text in re.findall(r"```record\n(.*?)```", SPEC.read_text(), re.DOTALL)
    ]


def test_a_raw_record_is_written_as_the_page_says(kernels):
    """The first vector, byte for byte."""
    plain = b"hello, record"
    id32 = blake3.blake3(plain).digest()
    assert vectors()[0] == kernels.encode_record(RecordKind.CHUNK, id32, plain, 3)


def test_the_vectors_are_read(kernels):
    """Both vectors decode to the plain bytes the page names."""
    numbers = struct.pack("<16f", *(1 + i / 8 for i in range(16))) * 2
    for record, plain in zip(vectors(), [b"hello, record", numbers], strict=True):
        id32 = blake3.blake3(plain).digest()
        assert (ReadStatus.OK, plain) == kernels.decode_record(record, id32)


def test_the_docstring_has_the_table_of_the_page():
    """Offsets and sizes in recordformat.py are those of the specification."""
    page = re.findall(
        r"^\| (\d+) \| (\d+|stored length) \| (\w+) \| ([\w ]+) \|", SPEC.read_text(), re.MULTILINE
    )
    code = re.findall(
        r"^    (\d+) +(\d+|n) +(\w+) +(.*)$", recordformat.__doc__ or "", re.MULTILINE
    )
    assert len(page) == len(code) == 9
    for (offset, size, kind, _), (code_offset, code_size, code_kind, _) in zip(
        page, code, strict=True
    ):
        assert (offset, size.replace("stored length", "n")) == (code_offset, code_size)
        assert kind == code_kind


def test_the_header_parser_reads_the_vectors():
    """Fields come out as the page spells them."""
    header = parse_record_header(vectors()[1])
    assert header is not None
    assert (1, 3, 128, len(vectors()[1])) == (
        header.kind,
        header.codec,
        header.plain_length,
        header.record_length,
    )
