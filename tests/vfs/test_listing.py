"""Listings: complete, stable while the directory changes, cheap for large directories."""

from __future__ import annotations

from itertools import islice

import pytest

from mlbfs.workspace.testing import Bench, Paths


@pytest.fixture
def crowd(tmp_path):
    """A workspace with a directory of 400 committed files."""
    bench = Bench(tmp_path / "repository")
    bench.commit({b"d/%04d" % number: b"%d\n" % number for number in range(400)})
    with bench.open() as workspace:
        yield Paths(workspace)
    bench.close()


def test_a_listing_in_steps_is_the_listing_at_once(crowd):
    """Any offset goes on exactly behind its entry."""
    folder = crowd.inode(b"d")
    crowd.create(b"d/new-1")
    crowd.unlink(b"d/0007")
    crowd.create(b"d/new-2")
    whole = list(crowd.workspace.readdir(folder))
    assert len(whole) == len({item.name for item in whole}) == 401
    offset, seen = 0, []
    while batch := list(islice(crowd.workspace.readdir(folder, offset), 3)):
        seen += batch
        offset = batch[-1].next_offset
    assert seen == whole


def test_what_stays_is_listed_once_while_others_come_and_go(crowd):
    """Deleting what was listed, and what comes next, skips and repeats nothing (S5)."""
    folder = crowd.inode(b"d")
    crowd.create(b"d/zz-made-before")
    offset, names, step = 0, [], 0
    while True:
        batch = list(islice(crowd.workspace.readdir(folder, offset), 7))
        if not batch:
            break
        names += [item.name for item in batch]
        offset = batch[-1].next_offset
        crowd.unlink(b"d/" + batch[0].name)
        if step < 60:
            crowd.create(b"d/during-%d" % step)
        if batch[-1].name < b"0390":
            number = int(batch[-1].name) + 2
            crowd.rename(b"d/%04d" % number, b"d/moved-%d" % step)
        step += 1
        assert step < 200
    originals = [name for name in names if name.isdigit()]
    assert len(names) == len(set(names))
    gone = {b"%04d" % number for number in range(400)} - set(originals)
    assert all(not crowd.exists(b"d/" + name) for name in gone)
    assert b"zz-made-before" in names


def test_listing_attributes_are_those_of_lookup(crowd):
    """A listing fills the kernel's caches, so it must tell the truth."""
    crowd.write(b"d/0001", 0, b"changed")
    folder = crowd.inode(b"d")
    for name, seen, _ in crowd.workspace.readdir(folder):
        assert seen == crowd.workspace.lookup(folder, name)


def test_renaming_a_large_directory_touches_one_row(crowd):
    """Its files are not materialized (S6)."""
    crowd.rename(b"d", b"elsewhere")
    assert len(crowd.names(b"elsewhere")) == 400
    assert crowd.read(b"elsewhere/0123") == b"123\n"
    overlay = crowd.workspace._core.overlay
    assert len(overlay.nodes()) == 2


def test_empty_directories_list_nothing(crowd):
    """Made here or emptied."""
    crowd.mkdir(b"empty")
    assert list(crowd.workspace.readdir(crowd.inode(b"empty"))) == []
