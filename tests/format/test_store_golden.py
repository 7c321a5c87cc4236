"""Stores written by older versions are read for ever; damaged files are refused."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3

from mlbfs.errors import CorruptionError
from mlbfs.ids import FileId
from mlbfs.store import recipe
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import DirectoryIndex
from mlbfs.store.fsck import fsck
from mlbfs.store.packs import read_table
from mlbfs.store.sha256twin import hash_blocks
from mlbfs.store.twin import decode_record

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "store-v1"
DAMAGED = sorted((HERE / "should_fail").rglob("*.bin"))


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vectors", HERE / "make_store_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _maker()


CONTENTS = {
    "store-v1": MAKER.golden_files,
    "store-v1-midstates": MAKER.golden_large_files,
}


def _copy(name: str, folder: Path) -> Path:
    """Returns a copy of a golden store, with an index made from its packs."""
    root = folder / "store"
    shutil.copytree(HERE / "golden" / name, root)
    with ChunkStore.open(root, repair=True) as store:
        store.rebuild_index()
    return root


def test_every_golden_store_has_contents() -> None:
    """None is forgotten by the tests below."""
    assert {path.name for path in (HERE / "golden").iterdir()} == set(CONTENTS)


@pytest.mark.parametrize("name", CONTENTS)
def test_every_file_of_a_golden_store_is_read(name: str, tmp_path: Path) -> None:
    """By its id, byte for byte."""
    with ChunkStore.open(_copy(name, tmp_path)) as store:
        for data in CONTENTS[name]().values():
            file_id = FileId(hashlib.sha256(data).digest())
            assert data == store.open_file(file_id).read(0, len(data) + 1)
        assert list(fsck(store, content=True)) == []


@pytest.mark.parametrize("name", CONTENTS)
def test_the_golden_content_is_known_to_a_writer(name: str, tmp_path: Path) -> None:
    """Cut points and ids are what they were, so nothing is stored again."""
    with ChunkStore.open(_copy(name, tmp_path)) as store, store.writer() as writer:
        for data in CONTENTS[name]().values():
            writer.put_bytes(data)
        assert writer.statistics().stored_bytes == 0


def test_the_golden_midstate_is_that_of_sha256(tmp_path: Path) -> None:
    """What is left of the file, hashed on from it by the reference, comes to the file id."""
    (data,) = MAKER.golden_large_files().values()
    with ChunkStore.open(_copy("store-v1-midstates", tmp_path)) as store:
        assert store.format.required == ("sha256-midstates",)
        root = store.open_file(FileId(hashlib.sha256(data).digest())).root
    end = data[recipe.MIDSTATE_SPACING :] + b"\x80"
    end += bytes((56 - len(end)) % 64) + (8 * len(data)).to_bytes(8, "big")
    assert hashlib.sha256(data).digest() == hash_blocks(root.midstates, memoryview(end))


def test_the_golden_pack_read_by_an_independent_reader() -> None:
    """Written from the page alone: offsets as numbers, no code of the store but the codecs."""
    (path,) = (GOLDEN / "packs").iterdir()
    data = path.read_bytes()
    trailer = data[-64:]
    table_length = int.from_bytes(trailer[32:40], "little")
    table = data[-64 - table_length : -64]
    assert b"mlbfspak" + bytes([1, 0, 0, 0, 0, 0, 0, 0]) == data[:16]
    assert trailer[:32] == blake3(table).digest() == bytes.fromhex(path.stem)
    assert 56 * int.from_bytes(trailer[40:44], "little") == table_length
    chunks, roots = {}, {}
    for at in range(0, table_length, 56):
        entry = table[at : at + 56]
        offset = int.from_bytes(entry[32:40], "little")
        length = int.from_bytes(entry[40:44], "little")
        status, plain = decode_record(data[offset : offset + length], entry[:32])
        assert (0, int.from_bytes(entry[44:48], "little")) == (status, len(plain))
        (roots if entry[48] == 3 else chunks)[entry[:32]] = plain
    for content in MAKER.golden_files().values():
        root = roots[hashlib.sha256(content).digest()]
        ids = [root[at : at + 32] for at in range(16, len(root), 40)]
        assert content == b"".join(chunks[one] for one in ids)


@pytest.mark.parametrize("path", DAMAGED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_damaged_files_are_refused(path: Path) -> None:
    """Each has the one defect that its name says."""
    data = path.read_bytes()
    with pytest.raises(CorruptionError) as caught:
        _read(path.parent.name, path, data)
    assert caught.value.message


def _read(kind: str, path: Path, data: bytes) -> None:
    if kind == "pack":
        read_table(path)
    elif kind.startswith("recipe-root"):
        recipe.parse_root(data)
    elif kind == "recipe-node":
        recipe.parse_node(data)
    else:
        DirectoryIndex(data).check()


@pytest.mark.parametrize("kind", MAKER.DAMAGED)
def test_the_damaged_files_are_those_that_the_script_makes(kind: str) -> None:
    """None is missing and none is left over."""
    files = {path.stem: path.read_bytes() for path in DAMAGED if path.parent.name == kind}
    assert MAKER.DAMAGED[kind]() == files


def test_the_files_without_damage_are_read(tmp_path: Path) -> None:
    """So each damaged one is refused for its defect, not for something else."""
    (tmp_path / "good.pack").write_bytes(MAKER.hello_pack())
    read_table(tmp_path / "good.pack")
    recipe.parse_root(MAKER.hello_root())
    recipe.parse_root(MAKER.large_root())
    recipe.parse_node(MAKER.hello_node())
    DirectoryIndex(MAKER.hello_directory()).check()
