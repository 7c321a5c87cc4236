"""The format file: what is read, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ErrorKind, FormatError, FormatVersionError, NotFoundError
from mlbfs.store.files import Files
from mlbfs.store.formatfile import (
    CHUNKER,
    MIDSTATES,
    StoreFormat,
    encode_format,
    parse_format,
    read_format,
    require_feature,
    write_format,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A new store has the format of this version."""
    write_format(tmp_path, Files())
    assert StoreFormat() == read_format(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["format"]


def test_a_required_feature_is_added_once(tmp_path: Path) -> None:
    """Whatever else the file says stays."""
    (tmp_path / "format").write_bytes(encode_format(StoreFormat(optional=("bloom-filter",))))
    for _ in range(2):
        require_feature(tmp_path, MIDSTATES, Files())
        assert read_format(tmp_path) == StoreFormat(
            required=(MIDSTATES,), optional=("bloom-filter",)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["format"]


def test_unknown_optional_features_are_ignored() -> None:
    """They are for readers that know them."""
    value = StoreFormat(optional=("bloom-filter",))
    assert value == parse_format(encode_format(value))


def test_an_unknown_required_feature_is_refused() -> None:
    """A reader that does not know it would read wrongly."""
    with pytest.raises(FormatVersionError, match="'encryption'") as caught:
        parse_format(encode_format(StoreFormat(required=("encryption",))))
    assert caught.value.kind is ErrorKind.FORMAT_UNKNOWN
    assert caught.value.hint is not None


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    """Whatever else is in the file."""
    with pytest.raises(FormatVersionError, match="format 2") as caught:
        parse_format(b"mlbfs-format 2\nsurprise\n")
    assert caught.value.kind is ErrorKind.FORMAT_TOO_NEW
    assert "update mlbfs" in (caught.value.hint or "")


def test_other_chunker_parameters_are_refused() -> None:
    """They would silently end deduplication."""
    with pytest.raises(FormatVersionError, match="chunker gear-1 1 2 3"):
        parse_format(encode_format(StoreFormat(chunker="gear-1 1 2 3")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"mlbfs-format\n",
        b"mlbfs-format x\n",
        b"other 1\n",
        b"mlbfs-format 1\n",
        f"mlbfs-format 1\nchunker {CHUNKER}\nchunker {CHUNKER}\n".encode(),
        f"mlbfs-format 1\nchunker {CHUNKER}\nwhat is this\n".encode(),
    ],
)
def test_damage_is_noticed(data: bytes) -> None:
    """A file that is not wholly understood is refused."""
    with pytest.raises(FormatError):
        parse_format(data)


def test_version_zero_never_was() -> None:
    """Neither too new nor readable."""
    with pytest.raises(FormatVersionError) as caught:
        parse_format(b"mlbfs-format 0\n")
    assert caught.value.kind is ErrorKind.FORMAT_UNKNOWN


def test_no_store(tmp_path: Path) -> None:
    """A place without a format file says so."""
    with pytest.raises(NotFoundError) as caught:
        read_format(tmp_path / "nowhere")
    assert caught.value.kind is ErrorKind.NOT_MLBFS
