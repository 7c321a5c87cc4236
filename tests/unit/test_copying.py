"""Copies from any commit to a branch: what lands where, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from mlbfs.workspace.copying import Copying, CopyRequest, CopySource
from mlbfs.workspace.testing import SIGNATURE, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = bytes(range(256)) * 40
RAW = {b"train/a": b"a\n", b"train/b": MODEL, b"model.pt": MODEL, b"README": b"raw\n"}
MAIN = {b"code.py": b"code\n", b"README": b"main\n", b"data/old": b"old\n"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "repository")
    bench.commit(MAIN)
    bench.commit(RAW, branch="raw")
    yield bench
    bench.close()


def copy(bench: Bench, *paths: bytes, to: bytes = b"", **words: object) -> dict[bytes, bytes]:
    """Copies paths of `raw` to `main`; returns what main has then."""
    raw = bench.head("raw")
    sources = [CopySource(raw, path, f"raw:{path.decode()}") for path in paths]
    request = CopyRequest(sources, "main", to, SIGNATURE, SIGNATURE, **words)
    Copying(bench.source, request).run()
    return {path: shape.data for path, shape in bench.committed(bench.head()).items()}


def test_files_and_folders_land_under_their_names(bench: Bench) -> None:
    """In the folder that is named, beside what is there; the trailers say where they come from."""
    held = copy(bench, b"train", b"model.pt", to=b"data/new")
    wanted = {b"data/new/train/a": b"a\n", b"data/new/train/b": MODEL, b"data/new/model.pt": MODEL}
    assert held == MAIN | wanted
    raw, commit = bench.head("raw").id.hex(), bench.head()
    assert commit.message == (
        "Copy raw:train, raw:model.pt to main:data/new\n\n"
        f"Copied-from: {raw} train\nCopied-from: {raw} model.pt\n"
    )
    assert len(commit.parents) == 1


def test_nothing_is_stored_but_trees(bench: Bench) -> None:
    """No byte of content: the packs are those that there were."""
    packs = sorted((bench.git.common_dir / "mlbfs" / "packs").iterdir())
    copy(bench, b"train", to=b"data")
    assert sorted((bench.git.common_dir / "mlbfs" / "packs").iterdir()) == packs


def test_what_is_there_already_is_no_commit(bench: Bench) -> None:
    """The second copy changes nothing."""
    copy(bench, b"train")
    head = bench.head().id
    copy(bench, b"train")
    assert bench.head().id == head


def test_what_is_in_the_way_is_refused_or_replaced(bench: Bench) -> None:
    """A folder that is replaced goes with all that is in it."""
    with pytest.raises(AlreadyExistsError, match="'README'"):
        copy(bench, b"README")
    assert copy(bench, b"README", replace=True)[b"README"] == b"raw\n"
    with pytest.raises(InvalidInputError, match="no folder"):
        copy(bench, b"train", to=b"code.py/below", replace=True)
    copy(bench, b"train")
    bench.commit(RAW | {b"train/c": b"c\n"}, branch="raw")
    held = copy(bench, b"train", replace=True)
    assert held[b"train/c"] == b"c\n"


def test_two_sources_for_one_place_are_refused(bench: Bench) -> None:
    """Else the one that came first would be gone without a word; the same twice is no harm."""
    bench.commit({b"README": b"other\n"}, branch="other")
    head, raw = bench.head(), bench.head("raw")
    sources = [
        CopySource(raw, b"README", "raw:README"),
        CopySource(bench.head("other"), b"", "other"),
    ]
    for replace in (False, True):
        request = CopyRequest(sources, "main", b"in", SIGNATURE, SIGNATURE, replace=replace)
        with pytest.raises(InvalidInputError, match="'in/README'"):
            Copying(bench.source, request).run()
    assert bench.head().id == head.id
    assert copy(bench, b"README", b"README", to=b"in")[b"in/README"] == b"raw\n"


def test_a_name_that_is_no_text_is_copied(bench: Bench) -> None:
    """The message shows it as far as it can be shown."""
    bench.commit({b"n\xff\n": b"x"}, branch="odd")
    source = CopySource(bench.head("odd"), b"n\xff\n", os.fsdecode(b"odd:n\xff\n"))
    request = CopyRequest([source], "main", b"", SIGNATURE, SIGNATURE)
    commit = Copying(bench.source, request).run()
    assert commit is not None
    subject, _, trailer = bench.git.read_commit(commit).message.splitlines()
    assert "xff" in subject
    assert trailer.startswith("Copied-from: ")


def test_a_whole_tree_lands_as_what_is_in_it(bench: Bench) -> None:
    """In a folder of its own, say."""
    held = copy(bench, b"", to=b"imported")
    assert held == MAIN | {b"imported/" + path: data for path, data in RAW.items()}


def test_what_is_not_there_is_named(bench: Bench) -> None:
    """A source, or the branch; nothing is committed."""
    head = bench.head().id
    with pytest.raises(NotFoundError, match="'nothing' does not exist"):
        copy(bench, b"train", b"nothing")
    assert bench.head().id == head
    source = CopySource(bench.head("raw"), b"train", "raw:train")
    request = CopyRequest([source], "nowhere", b"", SIGNATURE, SIGNATURE)
    with pytest.raises(NotFoundError, match="'nowhere'"):
        Copying(bench.source, request).run()
