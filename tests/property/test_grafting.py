"""Trees that are built from a scan and laid over each other are what a dictionary says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlbfs.git.commits import Commit, Signature
from mlbfs.ids import ObjectId
from mlbfs.repository import Repository
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.store.files import Files
from mlbfs.store.spool import ByteSpool
from mlbfs.workspace.grafting import Grafter, Row, TreeBuilder, TreeWriter
from mlbfs.workspace.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.objects import ObjectWriter

pytestmark = pytest.mark.slow

NAMES = st.sampled_from([b"a", b"a.b", b"a-b", b"b", b"\xff", b"Z", b"aa"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=3), max_size=12)
WHO = Signature("A", "a@example.com", 1_700_000_000)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """One repository for all examples: objects do not get into each other's way."""
    with Repository.init(tmp_path_factory.mktemp("grafting")) as found:
        yield found


def _is_tree(files: dict[bytes, bytes]) -> bool:
    """Returns whether no path is a file and a folder at once."""
    return not any(one.startswith(other + b"/") for one in files for other in files)


def _spool(repository: Repository) -> ByteSpool:
    """Returns a spool that never spills."""
    return ByteSpool(repository.store.root / "unused", Files())


def _build(trees: TreeWriter, objects: ObjectWriter, files: dict[bytes, bytes]) -> ObjectId | None:
    builder = TreeBuilder(trees)
    # The order of a scan: depth first, by names.
    for path, data in sorted(files.items(), key=lambda item: item[0].split(b"/")):
        blob = objects.put_blob(data)
        name = path.rpartition(b"/")[2]
        builder.add(path, Row(DirectoryEntry(name, EntryKind.FILE, len(data), bytes(blob)), blob))
    return builder.finish()


def _store(
    repository: Repository, trees: TreeWriter, tree: ObjectId, objects: ObjectWriter
) -> None:
    new = trees.store(tree, objects, repository.source)
    repository.store.put_directories(trees.directories(new))
    objects.commit()


def _read(repository: Repository, tree: ObjectId) -> dict[bytes, bytes]:
    commit = Commit(ObjectId(bytes(20)), tree, (), WHO, WHO, "")
    snapshot = Snapshot(repository.source, commit)
    return {path: snapshot.read(path) for path, entry in snapshot.walk() if not entry.is_directory}


@given(FILES.filter(_is_tree), FILES.filter(_is_tree), st.booleans())
def test_overlay_is_the_union_of_dictionaries(
    repository: Repository, below: dict[bytes, bytes], above: dict[bytes, bytes], committed: bool
) -> None:
    """What is above wins; the same whether the tree below was just built or is committed."""
    assume(below and above and _is_tree(below | above))
    trees = TreeWriter(_spool(repository), time_ns=1)
    with repository.git.objects() as objects:
        base = _build(trees, objects, below)
        assert base is not None
        if committed:
            _store(repository, trees, base, objects)
            trees = TreeWriter(_spool(repository), time_ns=1)
        top = _build(trees, objects, above)
        assert top is not None
        tree = Grafter(repository.source, trees).overlay(base, top)
        _store(repository, trees, tree, objects)
    assert _read(repository, tree) == below | above


@given(FILES.filter(_is_tree))
def test_built_tree_holds_the_files(repository: Repository, files: dict[bytes, bytes]) -> None:
    """Nothing is lost between folders; nothing at all is no tree."""
    trees = TreeWriter(_spool(repository), time_ns=1)
    with repository.git.objects() as objects:
        tree = _build(trees, objects, files)
        if tree is not None:
            _store(repository, trees, tree, objects)
    assert (tree is None) == (not files)
    if tree is not None:
        assert _read(repository, tree) == files


@given(FILES.filter(_is_tree), FILES.filter(_is_tree), st.sets(PATHS, max_size=3))
def test_replaced_places_hold_only_what_is_new(
    repository: Repository,
    below: dict[bytes, bytes],
    above: dict[bytes, bytes],
    replaced: set[bytes],
) -> None:
    """What a replaced place held before is gone, whether anything new lands there or not."""
    kept = {
        path: data
        for path, data in below.items()
        if not any(path == place or path.startswith(place + b"/") for place in replaced)
    }
    assume(below and above and _is_tree(kept | above))
    # A folder that clashes is refused even if all that is in it is replaced.
    folders = {path[:end] for path in below for end in range(len(path)) if path[end:][:1] == b"/"}
    assume(not any(path in folders and path not in replaced for path in above))
    trees = TreeWriter(_spool(repository), time_ns=1)
    with repository.git.objects() as objects:
        base, top = _build(trees, objects, below), _build(trees, objects, above)
        assert base is not None
        assert top is not None
        tree = Grafter(repository.source, trees).overlay(base, top, replaced=frozenset(replaced))
        _store(repository, trees, tree, objects)
    assert _read(repository, tree) == kept | above
