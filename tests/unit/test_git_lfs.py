"""Content of the Git LFS client: found, checked once, read anywhere."""

from __future__ import annotations

import hashlib
import os

import pytest

from mlbfs.errors import CorruptionError
from mlbfs.git.lfs import LfsObjects, LfsReader
from mlbfs.git.pointers import Pointer, parse_pointer
from mlbfs.ids import FileId

CONTENT = b"0123456789" * 1000
NAME = FileId(hashlib.sha256(CONTENT).digest())


@pytest.fixture
def lfs(tmp_path):
    """An LFS directory that holds one content."""
    objects = LfsObjects(tmp_path)
    path = objects.path(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return objects


def test_content_is_found_where_git_lfs_keeps_it(lfs, tmp_path):
    """Two folders of two hex digits each, then the whole name."""
    text = NAME.hex()
    assert lfs.path(NAME) == tmp_path / "lfs" / "objects" / text[:2] / text[2:4] / text
    assert lfs.size(NAME) == len(CONTENT)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (9_995, 10), (10_000, 5), (20_000, 5), (3, 0), (0, 10**9)]
)
def test_ranges_are_read(lfs, offset, length):
    """Reads end where the content ends."""
    with lfs.open(NAME) as reader:
        assert reader.read(offset, length) == CONTENT[offset : offset + length]
        again = reader.read_nowait(offset, length)
        assert again in (None, CONTENT[offset : offset + length])


def test_missing_content_is_none(lfs):
    """What the LFS client did not fetch is simply not here."""
    assert lfs.open(FileId(b"\1" * 32)) is None
    assert lfs.size(FileId(b"\1" * 32)) is None


def test_damaged_content_is_never_served(lfs):
    """The hash is checked before the first byte is given out, and after every change."""
    path = lfs.path(NAME)
    lfs.open(NAME).close()
    path.write_bytes(b"X" + CONTENT[1:])
    for _ in range(2):
        with lfs.open(NAME) as reader:
            assert reader.read_nowait(1, 5) is None
            with pytest.raises(CorruptionError) as caught:
                reader.read(1, 5)
        assert "git lfs fetch" in (caught.value.hint or "")
    path.write_bytes(CONTENT)
    with lfs.open(NAME) as reader:
        assert reader.read(0, 4) == b"0123"


def test_nothing_is_read_before_it_is_asked_for(lfs):
    """Opening is for threads that may not wait: the check comes with the first read."""
    with lfs.open(NAME) as reader:
        assert reader.read_nowait(0, 10) is None
        reader.read(0, 10)
        assert reader.read_nowait(0, 10) in (None, CONTENT[:10])


class Linked(LfsReader):
    """While it checks its file, somebody gives that another name, once."""

    reads = 0

    def _pread(self, offset, length):
        self.reads += 1
        if self.reads == 2:
            path = self._objects.path(self._file_id)
            os.link(path, path.with_name("other"))
        return super()._pread(offset, length)


def test_a_second_name_for_a_content_is_no_damage(lfs):
    """Names come and go while another process adds a content; its bytes are the same."""
    descriptor = os.open(lfs.path(NAME), os.O_RDONLY)
    with Linked(lfs, NAME, descriptor, len(CONTENT)) as reader:
        assert reader.read(0, 4) == b"0123"
    assert lfs.path(NAME).with_name("other").exists()


def test_content_that_shrinks_under_a_reader_is_damage(lfs):
    """A file cut short while it is open is an error, not zeros."""
    with lfs.open(NAME) as reader:
        os.truncate(lfs.path(NAME), 5)
        with pytest.raises(CorruptionError):
            reader.read(0, 10)


def test_a_folder_in_place_of_content_is_damage(lfs):
    """Only regular files are content."""
    lfs.path(NAME).unlink()
    lfs.path(NAME).mkdir()
    assert lfs.size(NAME) is None
    with pytest.raises(CorruptionError):
        lfs.open(NAME)


def test_the_place_can_be_configured(tmp_path):
    """`lfs.storage` is relative to the Git directory, or absolute."""
    assert str(LfsObjects(tmp_path, storage="x").path(NAME)).startswith(str(tmp_path / "x"))
    assert str(LfsObjects(tmp_path, storage="/y").path(NAME)).startswith("/y/objects")


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{NAME.hex()}\nsize 10000\n"
EXTENSION = f"ext-0-foo sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "extra"),
    [
        (POINTER, ()),
        (POINTER.replace("git-lfs.github.com", "hawser.github.com"), ()),
        (POINTER.replace("\noid", f"\n{EXTENSION}\noid"), (EXTENSION.encode(),)),
        (POINTER.replace("\nsize", "\nq-x y z\nsize"), (b"q-x y z",)),
    ],
)
def test_pointers_of_other_clients_are_read(text, extra):
    """The older address, extensions and unknown keys are understood and kept."""
    assert Pointer(NAME, 10_000, extra) == parse_pointer(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        POINTER[:-1],
        POINTER + "\n",
        POINTER.replace("\n", "\r\n"),
        POINTER.replace("spec/v1", "spec/v2"),
        POINTER.replace("size 10000", "size 010000"),
        POINTER.replace("size 10000", "size -1"),
        POINTER.replace("size 10000", f"size {2**63}"),
        POINTER.replace("size 10000", "size 1e4"),
        POINTER.replace("sha256", "md5"),
        POINTER.upper(),
        POINTER.replace(NAME.hex(), NAME.hex().upper()),
        POINTER.replace("oid", "a b\noid") + "z z\n" * 300,
        "oid sha256:x\n" + POINTER,
        POINTER.replace("version", "Version"),
        POINTER + "a b\n",
        POINTER + "size 10000\n",
        POINTER.replace("size 10000\n", ""),
        POINTER.replace("\nsize 10000", "\nsize"),
        " " + POINTER,
    ],
)
def test_what_only_resembles_a_pointer_is_content(text):
    """Any deviation from the specification makes the blob content."""
    assert parse_pointer(text.encode()) is None
