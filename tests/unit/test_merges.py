"""Merges into branches: what is committed, what waits for a person, and what never is lost."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError, ErrorKind, FormatError, InvalidInputError, NotFoundError
from mlbfs.git.commits import Signature
from mlbfs.git.refs import RefMovedError
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.driver import DriverChoice, DriverError
from mlbfs.merge.versions import Side
from mlbfs.repository import Author, Repository
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.merges import Merges
from mlbfs.workspace.mergestate import write_state
from mlbfs.workspace.merging import MergeRequest, Merging, Outcome, Verb
from mlbfs.workspace.testing import SIGNATURE, Bench, Shape, file
from mlbfs.workspace.treemerge import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlbfs.workspace.merging import Merged

LATER = Signature("A Merger", "merger@example.org", 1_700_000_600, 0)
LINES = b"".join(b"line %d\n" % number for number in range(12))
MODEL = bytes(range(256)) * 40
BASE = {b"code.py": LINES, b"model.pt": MODEL, b"runs.json": b"[1]\n", b"d/e/f": b"f\n"}


class Lab:
    """A repository with a branch `main`, and another that begins there."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(root)
        self.merges = Merges(self.bench.source)
        self.root = self.bench.commit(BASE)
        self.branch("dev")

    def branch(self, name: str, start: str = "main") -> None:
        head = self.bench.head(start).id
        ref = f"refs/heads/{name}"
        self.bench.git.refs.compare_and_swap(ref, None, head, identity=SIGNATURE, message="test")

    def change(self, branch: str, files: Mapping[bytes, bytes], *, gone: bytes = b"") -> None:
        """Commits files to a branch, on top of what it has; `gone` is taken away."""
        held = self.bench.committed(self.bench.head(branch))
        held.pop(gone, None)
        self.bench.commit(held | {path: file(data) for path, data in files.items()}, branch=branch)

    def request(self, source: str = "dev", branch: str = "main", **words: object) -> MergeRequest:
        head = self.bench.head(source)
        return MergeRequest(branch, head, source, SIGNATURE, LATER, **words)

    def merge(self, source: str = "dev", branch: str = "main", **words: object) -> Merged:
        return self.merges.begin(self.request(source, branch, **words))

    def held(self, branch: str = "main") -> dict[bytes, bytes]:
        found = self.bench.committed(self.bench.head(branch))
        return {path: shape.data for path, shape in found.items()}

    def resume(self, branch: str = "main") -> Merged:
        return self.merges.resume(branch, author=SIGNATURE, committer=LATER)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "repository")
    yield lab
    lab.bench.close()


def diverge(lab: Lab) -> None:
    """Both sides change other things, and one list that both append to."""
    lab.change(
        "main", {b"code.py": LINES.replace(b"line 1\n", b"ONE\n"), b"runs.json": b"[1, 2]\n"}
    )
    lab.change(
        "dev",
        {
            b"code.py": LINES.replace(b"line 9\n", b"NINE\n"),
            b"runs.json": b"[1, 3]\n",
            b"new/deep/file": b"new\n",
        },
        gone=b"d/e/f",
    )


def test_a_branch_that_has_all_is_left_alone(lab: Lab) -> None:
    """Nothing is committed, and the branch does not move."""
    head = lab.bench.head().id
    assert lab.merge().outcome is Outcome.UP_TO_DATE
    assert lab.bench.head().id == head


def test_a_branch_without_work_of_its_own_moves(lab: Lab) -> None:
    """Fast-forward, unless a commit is asked for."""
    lab.change("dev", {b"new": b"new\n"})
    merged = lab.merge(no_ff=True)
    assert merged.outcome is Outcome.MERGED
    assert merged.commit.parents == (merged.ours.id, merged.theirs.id)
    assert lab.merge(branch="dev", source="main").outcome is Outcome.FAST_FORWARD
    assert lab.bench.head("dev").id == lab.bench.head().id


def test_both_sides_are_there_afterwards(lab: Lab) -> None:
    """Lines merge, lists append, what one side added or took away is so; the message tells how."""
    diverge(lab)
    merged = lab.merge()
    assert merged.outcome is Outcome.MERGED
    held = lab.held()
    assert held[b"code.py"] == LINES.replace(b"line 1\n", b"ONE\n").replace(b"line 9\n", b"NINE\n")
    assert held[b"runs.json"] == b"[1, 2, 3]\n"
    assert held[b"new/deep/file"] == b"new\n"
    assert b"d/e/f" not in held
    assert held[b"model.pt"] == MODEL
    commit = lab.bench.head()
    assert commit.parents == (merged.ours.id, merged.theirs.id)
    assert commit.message == "Merge dev into main\n\ncode.py: text\nruns.json: json\n"
    assert (commit.author, commit.committer) == (SIGNATURE, LATER)
    assert lab.merge().outcome is Outcome.UP_TO_DATE


def test_a_look_keeps_nothing(lab: Lab) -> None:
    """It tells the same, and no object, pack or ref is new."""
    diverge(lab)
    lab.merges.look(lab.request())  # a lock that merges share stays
    files = sorted(path for path in lab.bench.git.common_dir.rglob("*") if path.is_file())
    seen = lab.merges.look(lab.request())
    assert seen.outcome is Outcome.MERGED
    assert [found.path for found in seen.tree.settled] == [b"code.py", b"runs.json"]
    assert files == sorted(p for p in lab.bench.git.common_dir.rglob("*") if p.is_file())


def test_a_squash_has_one_parent(lab: Lab) -> None:
    """And a later merge brings what was squashed once more, without a conflict."""
    diverge(lab)
    merged = lab.merge(squash=True, message="all of dev")
    assert merged.commit.parents == (merged.ours.id,)
    assert merged.commit.message.startswith("all of dev\n")
    again = lab.merge()
    assert (again.outcome, lab.held()[b"runs.json"]) == (Outcome.MERGED, b"[1, 2, 3]\n")


def test_only_some_paths_are_merged(lab: Lab) -> None:
    """One parent, so that a later merge still brings the rest."""
    diverge(lab)
    merged = lab.merge(only=[b"runs.json", b"new/deep"])
    held = lab.held()
    assert (held[b"runs.json"], held[b"new/deep/file"]) == (b"[1, 2, 3]\n", b"new\n")
    assert (b"NINE" in held[b"code.py"], b"d/e/f" in held) == (False, True)
    assert merged.commit.parents == (merged.ours.id,)
    assert merged.commit.subject == "Merge runs.json new/deep of dev into main"
    lab.merge()
    held = lab.held()
    assert (b"NINE" in held[b"code.py"], b"d/e/f" in held) == (True, False)


def test_a_path_that_is_nowhere_is_refused(lab: Lab) -> None:
    """A mistyped one is not taken for one that needs nothing."""
    diverge(lab)
    with pytest.raises(NotFoundError, match="neither side"):
        lab.merge(only=[b"runs.jsn"])


def test_a_named_driver_comes_before_the_kind(lab: Lab) -> None:
    """The command line first, then `.gitattributes`, then what the file is."""
    diverge(lab)
    lab.change("main", {b".gitattributes": b"*.json merge=theirs\n*.py merge=ours\n"})
    lab.merge(overrides=[(b"*.py", DriverChoice("theirs"))])
    assert lab.held()[b"runs.json"] == b"[1, 3]\n"
    assert lab.held()[b"code.py"] == LINES.replace(b"line 9\n", b"NINE\n")


# Conflicts


def tensors(seeds: list[int]) -> bytes:
    """Returns a model whose tensors do not repeat: a megabyte for each seed."""
    names = {
        f"layer{number}": {
            "dtype": "U8",
            "shape": [1 << 20],
            "data_offsets": [number << 20, (number + 1) << 20],
        }
        for number in range(len(seeds))
    }
    text = json.dumps(names).encode()
    body = b"".join(random.Random(seed).randbytes(1 << 20) for seed in seeds)
    return len(text).to_bytes(8, "little") + text + body


def test_tensors_of_both_sides_are_put_in_their_places(lab: Lab) -> None:
    """Whichever side most of the file is as, and where the header becomes another."""
    by_tensor = ((b"*.safetensors", DriverChoice("tensors")),)
    old = {b"m.safetensors": tensors([1, 2, 3, 4]), b"n.safetensors": tensors([1])}
    lab.change("main", old)
    lab.branch("tuned")
    ours = {b"m.safetensors": tensors([1, 2, 3, 40]), b"n.safetensors": tensors([10])}
    lab.change("main", ours)
    lab.change(
        "tuned", {b"m.safetensors": tensors([10, 2, 30, 4]), b"n.safetensors": tensors([1, 2])}
    )
    found = lab.merge("tuned", overrides=by_tensor)
    assert found.outcome is Outcome.MERGED
    held = lab.held()
    assert held[b"m.safetensors"] == tensors([10, 2, 30, 40])
    for seed in (10, 2):
        assert random.Random(seed).randbytes(1 << 20) in held[b"n.safetensors"]


def clash(lab: Lab) -> Merged:
    """Both sides change one line, a model is of no kind that merges, and a file goes."""
    lab.change("main", {b"code.py": b"ours\n", b"raw.bin": b"\0ours", b"d/e/f": b"changed\n"})
    lab.change("dev", {b"code.py": b"theirs\n", b"raw.bin": b"\0theirs"}, gone=b"d/e/f")
    return lab.merge()


def test_conflicts_leave_the_branch_and_wait(lab: Lab) -> None:
    """All of them are told, and another merge is refused until they are settled or dropped."""
    head = lab.bench.head().id
    merged = clash(lab)
    assert merged.outcome is Outcome.CONFLICTS
    assert {found.path: found.kind for found in merged.conflicts} == {
        b"code.py": ConflictKind.CONTENT,
        b"raw.bin": ConflictKind.ADDED_TWICE,
        b"d/e/f": ConflictKind.DELETED_MODIFIED,
    }
    assert lab.bench.head().id == merged.ours.id != head
    with pytest.raises(ConflictError) as caught:
        lab.merge()
    assert caught.value.kind is ErrorKind.MERGE_IN_PROGRESS
    with pytest.raises(ConflictError) as caught:
        lab.resume()
    assert caught.value.kind is ErrorKind.MERGE_CONFLICTS
    assert lab.merges.state("main").open_paths == [b"code.py", b"d/e/f", b"raw.bin"]


def test_settled_conflicts_go_into_the_commit(lab: Lab, tmp_path: Path) -> None:
    """A side, a driver and a file that was merged by hand; also in another process."""
    clash(lab)
    by_hand = tmp_path / "by-hand"
    by_hand.write_bytes(MODEL)
    lab.merges.resolve("main", b"code.py", who=LATER, choice=DriverChoice("union"))
    lab.merges.resolve("main", b"d/e/f", who=LATER, side=Side.THEIRS)
    lab.merges.resolve("main", b"raw.bin", who=LATER, file=by_hand)
    assert Merges(lab.bench.source).state("main").open_paths == []
    merged = lab.resume()
    assert merged.outcome is Outcome.MERGED
    held = lab.held()
    assert (held[b"code.py"], held[b"raw.bin"]) == (b"ours\ntheirs\n", MODEL)
    assert b"d/e/f" not in held
    assert lab.merges.state("main") is None
    assert "d/e/f: resolved: theirs" in merged.commit.message


def test_an_aborted_merge_leaves_nothing(lab: Lab) -> None:
    """The branch is as it was, and the next merge begins anew."""
    clash(lab)
    head = lab.bench.head().id
    lab.merges.abort("main", LATER)
    assert lab.bench.head().id == head
    assert list(lab.bench.git.refs.iter("refs/mlbfs/merge/")) == []
    for call in (lab.resume, lambda: lab.merges.abort("main", LATER)):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.kind is ErrorKind.NO_MERGE_IN_PROGRESS


def test_a_resolution_is_for_the_versions_that_were_seen(lab: Lab) -> None:
    """When the branch changes one of them meanwhile, the path is in conflict again."""
    clash(lab)
    for path in (b"code.py", b"raw.bin", b"d/e/f"):
        lab.merges.resolve("main", path, who=LATER, side=Side.THEIRS)
    lab.change("main", {b"code.py": b"ours again\n"})
    merged = lab.resume()
    assert merged.outcome is Outcome.CONFLICTS
    assert lab.merges.state("main").open_paths == [b"code.py"]
    lab.merges.resolve("main", b"code.py", who=LATER, side=Side.OURS)
    assert lab.resume().outcome is Outcome.MERGED
    assert lab.held()[b"code.py"] == b"ours again\n"
    assert lab.held()[b"raw.bin"] == b"\0theirs"


def test_only_contested_paths_can_be_settled(lab: Lab) -> None:
    """A path that was mistyped is not taken for one."""
    clash(lab)
    with pytest.raises(InvalidInputError, match="not contested"):
        lab.merges.resolve("main", b"code.pie", who=LATER, side=Side.OURS)


def test_a_base_that_there_is_not_cannot_be_taken(lab: Lab) -> None:
    """It would take away what both sides added."""
    lab.change("main", {b"new": b"ours\n"})
    lab.change("dev", {b"new": b"theirs\n"})
    assert lab.merge().outcome is Outcome.CONFLICTS
    with pytest.raises(InvalidInputError, match="no base"):
        lab.merges.resolve("main", b"new", who=LATER, side=Side.BASE)
    lab.merges.resolve("main", b"new", who=LATER, side=Side.THEIRS)
    lab.resume()
    assert lab.held()[b"new"] == b"theirs\n"


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_file_takes_the_place_of_what_is_none(lab: Lab, tmp_path: Path, kind: str) -> None:
    """Of a folder or a link that one side has; the tree is sound and the file is a file."""
    link = {b"x": Shape(EntryKind.SYMLINK, b"target")}
    held = lab.bench.committed(lab.bench.head())
    lab.bench.commit(held | (link if kind == "link" else {b"x/y": file(b"y\n")}))
    lab.change("dev", {b"x": b"file\n"})
    assert lab.merge().outcome is Outcome.CONFLICTS
    (tmp_path / "by hand").write_bytes(b"by hand\n")
    lab.merges.resolve("main", b"x", who=LATER, file=tmp_path / "by hand")
    lab.resume()
    shown = lab.bench.committed(lab.bench.head())
    assert shown[b"x"] == file(b"by hand\n")
    assert b"x/y" not in shown


@pytest.mark.parametrize("side", [Side.OURS, Side.THEIRS])
def test_what_else_is_contested_at_a_new_place_is_decided_there(lab: Lab, side: Side) -> None:
    """One side moved a file to where the other added another: two conflicts, and no file lost."""
    lab.change("main", {b"x": LINES, b"y": b"ours\n"}, gone=b"code.py")
    lab.change("dev", {b"y": LINES}, gone=b"code.py")
    assert {found.path for found in lab.merge().conflicts} == {b"code.py", b"y"}
    lab.merges.resolve("main", b"code.py", who=LATER, side=side)
    lab.merges.resolve("main", b"y", who=LATER, side=Side.OURS)
    lab.resume()
    assert lab.held().get(b"y") == b"ours\n"
    assert lab.held().get(b"x") == (LINES if side is Side.OURS else None)


def test_two_at_once_lose_no_resolution(lab: Lab, tmp_path: Path) -> None:
    """What another process settled, began or dropped in the middle is not written over."""
    for name, data in (("main", b"1\n"), ("dev", b"2\n")):
        lab.change(name, {b"a": data, b"b": data})
    lab.merge()
    seen = lab.merges.state("main")
    lab.merges.resolve("main", b"a", who=LATER, side=Side.OURS)
    made = Resolution(seen.contested[b"b"].ours, seen.contested[b"b"].theirs, Side.OURS)
    with pytest.raises(RefMovedError):
        write_state(lab.bench.git, seen.resolve(b"b", made), LATER)
    with pytest.raises(RefMovedError):
        write_state(lab.bench.git, replace(seen, kept_in=None), LATER)
    state = lab.merges.resolve("main", b"b", who=LATER, side=Side.THEIRS)
    assert state.open_paths == []
    lab.resume()
    assert (lab.held()[b"a"], lab.held()[b"b"]) == (b"1\n", b"2\n")
    assert lab.merges.state("main") is None


def test_what_cannot_be_read_can_be_dropped(lab: Lab) -> None:
    """An unfinished merge of another version is in nobody's way."""
    head = lab.bench.head().id
    ref = "refs/mlbfs/merge/main"
    lab.bench.git.refs.compare_and_swap(ref, None, head, identity=SIGNATURE, message="test")
    with pytest.raises(FormatError):
        lab.merges.state("main")
    lab.merges.abort("main", LATER)
    assert lab.merges.state("main") is None


def test_a_branch_goes_with_the_merge_that_waits_in_it(lab: Lab) -> None:
    """Only by force; and what a kill in between has left can be dropped without the branch."""
    lab.change("main", {b"code.py": b"ours\n"})
    lab.change("dev", {b"code.py": b"theirs\n"})
    lab.merge("main", "dev")
    with Repository.open(lab.bench.git.common_dir) as repository:
        author = Author(SIGNATURE, SIGNATURE)
        with pytest.raises(ConflictError) as caught:
            repository.delete_branch("dev", author=author)
        assert caught.value.kind is ErrorKind.MERGE_IN_PROGRESS
        repository.delete_branch("dev", author=author, force=True)
    assert lab.bench.git.refs.read("refs/mlbfs/merge/dev") is None


def test_a_preview_of_nothing_is_the_branch(lab: Lab) -> None:
    """Where what comes in changes nothing, there is something to look at all the same."""
    lab.change("main", {b"code.py": b"new\n"})
    lab.change("dev", {b"code.py": b"new\n"})
    for words in ({"only": [b"code.py"]}, {"squash": True}):
        assert lab.merges.preview(lab.request(**words)).commit == lab.bench.head()


def test_what_waits_is_kept_from_git_and_gc(lab: Lab) -> None:
    """The commit that comes in may be on no branch any more."""
    clash(lab)
    theirs = lab.bench.head("dev").id
    refs = lab.bench.git.refs
    refs.compare_and_swap("refs/heads/dev", theirs, None, identity=SIGNATURE, message="test")
    (state,) = [oid for _, oid in refs.iter("refs/mlbfs/merge/")]
    assert theirs in lab.bench.git.read_commit(state).parents
    lab.merges.resolve("main", b"code.py", who=LATER, side=Side.THEIRS)
    lab.merges.resolve("main", b"raw.bin", who=LATER, side=Side.THEIRS)
    lab.merges.resolve("main", b"d/e/f", who=LATER, side=Side.BASE)
    assert lab.resume().outcome is Outcome.MERGED
    assert lab.held()[b"d/e/f"] == b"f\n"


def test_a_preview_shows_conflicts_beside_their_paths(lab: Lab) -> None:
    """In a commit that no ref leads to."""
    clash(lab)
    lab.merges.abort("main", LATER)
    seen = lab.merges.preview(lab.request())
    held = {path: shape.data for path, shape in lab.bench.committed(seen.commit).items()}
    assert (held[b"code.py.ours"], held[b"code.py.theirs"]) == (b"ours\n", b"theirs\n")
    assert held[b"code.py.base"] == LINES
    assert held[b"code.py"].startswith(b"<<<<<<< main\n")
    assert (held[b"d/e/f.base"], held[b"d/e/f.ours"]) == (b"f\n", b"changed\n")
    assert b"d/e/f.theirs" not in held
    assert seen.commit.id not in {oid for _, oid in lab.bench.git.refs.iter()}


# Failures


def test_a_driver_that_fails_stops_the_merge(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its name and the path; nothing is committed and nothing waits."""
    from mlbfs.merge.drivers.text import Text

    diverge(lab)
    head = lab.bench.head().id
    for answer in ("a crash", None):

        def bad(self: Text, call: object, answer: str | None = answer) -> object:
            if answer is None:
                return b"not a result"
            raise ZeroDivisionError(answer)

        monkeypatch.setattr(Text, "merge", bad)
        with pytest.raises(DriverError, match=r"'text' failed on 'code\.py'"):
            lab.merge()
    assert lab.bench.head().id == head
    assert lab.merges.state("main") is None


def test_a_branch_that_moves_meanwhile_is_merged_into_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else committed between reading and moving is in the merge."""
    diverge(lab)
    settings, moved = Merging._settings, []

    def meanwhile(self: Merging, ours: object) -> object:
        if not moved:
            moved.append(True)
            lab.change("main", {b"meanwhile": b"committed\n"})
        return settings(self, ours)

    monkeypatch.setattr(Merging, "_settings", meanwhile)
    assert lab.merge().outcome is Outcome.MERGED
    assert lab.held()[b"meanwhile"] == b"committed\n"
    assert lab.held()[b"runs.json"] == b"[1, 2, 3]\n"


# Other verbs


def test_one_commit_is_picked(lab: Lab) -> None:
    """Only what it changed; with its author and its words."""
    lab.change("dev", {b"one": b"1\n"})
    lab.change("dev", {b"code.py": LINES.replace(b"line 9\n", b"NINE\n")})
    merged = lab.merge(verb=Verb.CHERRY_PICK)
    assert (b"one" in lab.held(), b"NINE" in lab.held()[b"code.py"]) == (False, True)
    assert merged.commit.parents == (merged.ours.id,)
    assert f"(cherry picked from commit {merged.theirs.id.hex()})" in merged.commit.message


def test_one_commit_is_reverted(lab: Lab) -> None:
    """What came after it stays; the first commit of all takes away what it brought."""
    lab.change("main", {b"bad": b"bad\n", b"code.py": LINES.replace(b"line 1\n", b"BAD\n")})
    bad = lab.bench.head()
    lab.change("main", {b"later": b"later\n"})
    request = MergeRequest("main", bad, "bad", SIGNATURE, LATER, verb=Verb.REVERT)
    merged = lab.merges.begin(request)
    held = lab.held()
    assert (held[b"code.py"], b"bad" in held, b"later" in held) == (LINES, False, True)
    assert f"This reverts commit {bad.id.hex()}." in merged.commit.message
    first = MergeRequest("main", lab.root, "first", SIGNATURE, LATER, verb=Verb.REVERT)
    assert lab.merges.begin(first).outcome is Outcome.MERGED
    assert lab.held() == {b"later": b"later\n"}


def test_a_merge_is_not_picked(lab: Lab) -> None:
    """It has two parents, and so no one change."""
    diverge(lab)
    lab.merge()
    with pytest.raises(InvalidInputError, match="is a merge"):
        lab.merge(source="main", branch="dev", verb=Verb.CHERRY_PICK)


def test_crossed_histories_have_their_bases_merged(lab: Lab) -> None:
    """Two branches that merged each other at the same time: no false conflict."""
    lab.change("main", {b"code.py": LINES.replace(b"line 1\n", b"ONE\n")})
    lab.change("dev", {b"code.py": LINES.replace(b"line 9\n", b"NINE\n")})
    lab.branch("old-main")
    lab.branch("old-dev", "dev")
    lab.merge("old-dev", "main")
    lab.merge("old-main", "dev")
    both = LINES.replace(b"line 1\n", b"ONE\n").replace(b"line 9\n", b"NINE\n")
    lab.change("main", {b"code.py": both.replace(b"line 1\n", b"").replace(b"ONE\n", b"UNO\n")})
    lab.change("dev", {b"code.py": both.replace(b"line 5\n", b"FIVE\n")})
    assert len(lab.bench.git.merge_bases(lab.bench.head().id, lab.bench.head("dev").id)) == 2
    assert lab.merge().outcome is Outcome.MERGED
    assert lab.held()[b"code.py"] == both.replace(b"ONE\n", b"UNO\n").replace(
        b"line 5\n", b"FIVE\n"
    )


def test_histories_that_have_nothing_in_common_merge(lab: Lab) -> None:
    """What only one has is there; what both have with other content is in conflict."""
    lab.bench.commit({b"raw/a": b"a\n", b"model.pt": MODEL}, branch="raw")
    assert lab.merge("raw").outcome is Outcome.MERGED
    assert lab.held()[b"raw/a"] == b"a\n"
    assert lab.held()[b"code.py"] == LINES


FOLDER = {b"r/.keep": b"", b"r/gone": b"1\n", b"r/used": b"1\n", b"r/a.json": b"[1]\n"}
FOLDER |= {b"r/notes": b"a\n", b"r/model.pt": MODEL, b"r/raw": b"\0", b"r/clash": b"x\n"}


@pytest.fixture
def folder(lab: Lab) -> Lab:
    """Branches whose folder `r` is named `union`."""
    lab.change("main", FOLDER | {b".gitattributes": b"r/** merge=union\n"})
    lab.merge("main", "dev")
    return lab


def test_a_union_of_folders_has_the_files_of_both(folder: Lab) -> None:
    """One name with other content goes to the driver of its kind; a text has all lines."""
    new = {b"r/theirs/x": b"x\n", b"r/a.json": b"[1, 3]\n", b"r/notes": b"a\nc\n"}
    folder.change("dev", new | {b"r/model.pt": MODEL[1:]})
    new = {b"r/ours/x": b"x\n", b"r/a.json": b"[1, 2]\n", b"r/notes": b"a\nb\n"}
    folder.change("main", new | {b"r/model.pt": MODEL[2:]})
    assert folder.merge().outcome is Outcome.MERGED
    held = folder.held()
    assert {b"r/theirs/x", b"r/ours/x", *FOLDER} <= held.keys()
    assert held[b"r/a.json"] == b"[1, 2, 3]\n"
    assert held[b"r/notes"] == b"a\nb\nc\n"
    assert held[b"r/model.pt"] == MODEL[1:]
    assert "r/a.json: union (json" in folder.bench.head().message
    assert folder.merge().outcome is Outcome.UP_TO_DATE


@pytest.mark.parametrize(("deletes", "changes"), [("main", "dev"), ("dev", "main")])
def test_a_deletion_in_a_union_counts_unless_the_other_changed_the_file(
    folder: Lab, deletes: str, changes: str
) -> None:
    """On whichever side it was."""
    for gone in (b"r/gone", b"r/used"):
        folder.change(deletes, {}, gone=gone)
    folder.change(changes, {b"r/used": b"2\n"})
    assert folder.merge().outcome is Outcome.MERGED
    held = folder.held()
    assert b"r/gone" not in held
    assert held[b"r/used"] == b"2\n"


@pytest.mark.parametrize(("one", "other"), [("main", "dev"), ("dev", "main")])
def test_a_union_of_a_file_and_a_folder_is_a_conflict(folder: Lab, one: str, other: str) -> None:
    """No tree has both; the branch stays as it is, and so is what neither can merge."""
    folder.change(one, {b"r/clash": b"y\n", b"r/raw": b"\0a"})
    folder.change(other, {b"r/clash/x": b"new\n", b"r/raw": b"\0b"}, gone=b"r/clash")
    head = folder.bench.head().id
    merged = folder.merge()
    assert merged.outcome is Outcome.CONFLICTS
    told = {found.path: found.kind for found in merged.tree.open_conflicts}
    assert told == {b"r/clash": ConflictKind.FILE_FOLDER, b"r/raw": ConflictKind.BINARY}
    assert folder.bench.head().id == head
