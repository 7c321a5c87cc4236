"""A tree that was edited is the tree that would have been built from nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace import treeedit, treesplice
from mlbfs.workspace.diff import ChangeKind, diff_trees
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.testing import Bench, Shape, file, new_entry
from mlbfs.workspace.treeedit import TreeEdit

NAMES = st.sampled_from([b"a", b"b", b"c", b"a.b", b"a0"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
SHAPES = st.sampled_from(
    [file(b"x"), file(b"y"), file(b"x", executable=True), file(bytes(5000)),
     Shape(EntryKind.SYMLINK, b"t")]
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PATHS, SHAPES),
        st.tuples(st.just("remove"), PATHS),
        st.tuples(st.just("clear"), PATHS),
        st.tuples(st.just("graft"), PATHS),
    ),
    max_size=12,
)
GRAFTED = {b"g1": file(b"g"), b"a/g2": file(bytes(9000))}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("treeedit") / "repository")
    yield bench
    bench.close()


def build(bench, shapes, base=None):
    """Writes a tree and makes its indexes known."""
    edit = TreeEdit(bench.source, base)
    with bench.store.writer() as writer, bench.git.objects() as objects:
        for path, shape in shapes.items():
            edit.put(path, new_entry(shape, writer, objects))
        tree = edit.write(objects, time_ns=1)
        writer.commit(edit.directories)
        objects.commit()
    return tree


def drop(model, path):
    for known in list(model):
        if known == path or known.startswith(path + b"/"):
            del model[known]


def put(model, path, shape):
    """Puts a file: what was at the path, and files on the way, are gone."""
    drop(model, path)
    parts = path.split(b"/")
    for count in range(1, len(parts)):
        model.pop(b"/".join(parts[:count]), None)
    model[path] = shape


def apply(model, step, edit, tree, writer, objects):
    kind, path, *rest = step
    if kind == "put":
        edit.put(path, new_entry(rest[0], writer, objects))
        put(model, path, rest[0])
    elif kind == "remove":
        edit.remove(path)
        drop(model, path)
    else:
        drop(model, path)
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            model.pop(b"/".join(parts[:count]), None)
        if kind == "clear":
            edit.clear(path)
        else:
            edit.graft(path, tree)
            model.update({path + b"/" + below: shape for below, shape in GRAFTED.items()})


@pytest.fixture(scope="module", params=["in any way", "spliced from one entry on"])
def spliced(request):
    """Small folders are taken apart unless told otherwise, large ones are spliced."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "in any way":
            patch.setattr(treeedit, "WORTH_IT", 1)
            patch.setattr(treesplice, "WORTH_IT", 1)
        yield


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS, SHAPES, max_size=10), STEPS)
def test_an_edit_equals_building_from_nothing(bench, spliced, start, steps):
    """For any mix of changes; the difference of the two trees names what changed."""
    model = {}
    for path, shape in start.items():
        put(model, path, shape)
    before = dict(model)
    base, grafted = build(bench, model), build(bench, GRAFTED)
    edit = TreeEdit(bench.source, base)
    with bench.store.writer() as writer, bench.git.objects() as objects:
        for step in steps:
            apply(model, step, edit, grafted, writer, objects)
        tree = edit.write(objects, time_ns=1)
        writer.commit(edit.directories)
        objects.commit()
    assert tree == build(bench, model)
    seen = {change.path: change.kind for change in diff_trees(bench.source, base, tree)}
    assert seen.keys() == {p for p in before.keys() | model.keys() if before.get(p) != model.get(p)}
    for path, kind in seen.items():
        assert (kind is ChangeKind.ADDED) == (path not in before)
        assert (kind is ChangeKind.DELETED) == (path not in model)


def test_an_edit_reads_only_what_is_on_the_way(bench):
    """One change in a wide and deep tree reads one tree per level."""
    wide = {
        b"%d/%d/%d/f" % (i, j, k): file(b"x") for i in range(4) for j in range(4) for k in range(4)
    }
    edit = TreeEdit(bench.source, build(bench, wide))
    with bench.git.objects() as objects:
        edit.remove(b"1/2/3/f")
        edit.write(objects, time_ns=1)
    assert edit.trees_read == 4
    assert len(edit.directories) == 3
    assert edit.dropped_empty == [b"1/2/3"]


def test_a_diff_reads_only_what_differs(bench, monkeypatch):
    """Folders with one id are passed over."""
    wide = {b"%d/%d/f" % (i, j): file(b"x") for i in range(6) for j in range(6)}
    old = build(bench, wide)
    new = build(bench, {b"3/4/f": file(b"changed")}, old)
    read = []
    directory = bench.source.directory
    monkeypatch.setattr(
        bench.source,
        "directory",
        lambda tree, **rest: read.append(tree) or directory(tree, **rest),
    )
    assert [change.path for change in diff_trees(bench.source, old, new)] == [b"3/4/f"]
    assert len(read) == 6


def test_a_tree_made_by_git_alone_is_read_the_same(bench):
    """An index that is lost, or was never made, is built from Git."""
    commit = bench.commit(
        {b"d/f": file(bytes(7000)), b"d/t": file(b"text"), b"l": Shape(EntryKind.SYMLINK, b"t")}
    )
    snapshot = Snapshot(bench.source, commit)
    for path, entry in snapshot.walk():
        if entry.is_directory:
            index = bench.source.directory(entry.content, time_ns=1)
            built = bench.source._build(entry.content, index.time_ns)
            assert list(index) == list(type(index)(built)), path
    assert snapshot.read(b"d/t") == b"text"
    assert snapshot.readlink(b"l") == b"t"
    assert [entry.name for entry in snapshot.list(b"d")] == [b"f", b"t"]
