"""Stock Git with `mlbfs install`: content, merges and diffs of a work tree and of clones."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import select
import shlex
import shutil
import sqlite3
import struct
import subprocess
import sys
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError
from mlbfs.git.pktline import PacketReader, PacketWriter
from mlbfs.git.pointers import encode_pointer, parse_pointer
from mlbfs.ids import FileId
from mlbfs.repository import Repository
from mlbfs.store.locks import FileLock, wait_for_lock
from mlbfs.workspace.nearby import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Git

pytestmark = [pytest.mark.git, pytest.mark.slow]

PROGRAMS = Path(sys.executable).parent
MODEL = bytes(range(256)) * 700
ATTRIBUTES = (
    "* filter=mlbfs\n*.json merge=json:key=id\n*.jsonl merge=jsonl\n*.db diff=mlbfs-sqlite\n"
)


class Work:
    """A work tree of stock Git, with mlbfs on PATH."""

    def __init__(self, git: Git) -> None:
        self.git = git
        self.place = git.where
        git.environment = git.environment | {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "HOME": str(git.where.parent),
        }

    def mlbfs(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Runs mlbfs in the work tree."""
        return subprocess.run(
            ["mlbfs", *words],
            cwd=self.place,
            env=self.git.environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def ok(self, *words: str) -> str:
        """Runs mlbfs, which must succeed."""
        done = self.mlbfs(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def fails(self, code: int, *words: str) -> str:
        """Runs mlbfs, which must end with `code`, one line and a hint."""
        done = self.mlbfs(*words)
        assert done.returncode == code, done
        lines = done.stderr.decode().splitlines()
        assert lines[0].startswith("mlbfs: ")
        assert len(lines) <= 2
        return done.stderr.decode()

    def write(self, name: str, data: bytes | str) -> None:
        """Writes a file."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    def read(self, name: str) -> bytes:
        """Reads a file."""
        return (self.place / name).read_bytes()

    def commit(self, message: str = "more") -> str:
        """Adds everything, commits it, and returns the commit."""
        self.git("add", ".")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def blob(self, name: str, rev: str = "HEAD") -> bytes:
        """Returns what Git keeps of a file."""
        done = self.git.run("cat-file", "blob", f"{rev}:{name}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def packs(self) -> list[str]:
        """Returns the packs of the chunk store."""
        return sorted(os.listdir(self.place / ".git/mlbfs/packs"))

    def waiting(self) -> list[Path]:
        """Returns the contents that have not become chunks yet, and whatever lies with them."""
        return [one for one in (self.place / ".git/mlbfs/waiting").rglob("*") if one.is_file()]

    def expire(self) -> None:
        """Makes what was stored lately as old as it takes for gc."""
        for note in (self.place / ".git/mlbfs/recent").iterdir():
            os.utime(note, (1, 1))


@pytest.fixture
def make(tmp_path: Path, git_in: Callable[[Path], Git]) -> Callable[..., Work]:
    """Makes a work tree, empty or from words for `git clone`."""

    def made(name: str, *clone: str) -> Work:
        place = tmp_path / name
        place.mkdir()
        work = Work(git_in(place))
        work.git(*(("clone", "-q", *clone, ".") if clone else ("init", "-q", "-b", "main")))
        return work

    return made


@pytest.fixture
def bare(make: Callable[..., Work]) -> Work:
    """A repository in which nothing was installed."""
    return make("plain")


@pytest.fixture
def work(make: Callable[..., Work]) -> Work:
    """A repository with everything installed, and one commit with the attributes."""
    made = make("work")
    made.write(".gitattributes", ATTRIBUTES)
    made.ok("install")
    made.commit("attributes")
    return made


def _pointer(data: bytes) -> bytes:
    return encode_pointer(FileId(hashlib.sha256(data).digest()), len(data))


def _records(*ids: int, **more: int) -> str:
    return json.dumps([{"id": one} | more for one in ids], indent=1) + "\n"


# Installing


def test_install_again_changes_nothing_and_remove_takes_all_of_it(bare: Work) -> None:
    """The configuration is byte for byte what it was, comments of the user included."""
    config = bare.place / ".git/config"
    config.write_bytes(config.read_bytes() + b'# mine\n[merge "other"]\n\tdriver = true\n')
    before = config.read_bytes()
    assert "0 were there already" in bare.ok("install")
    after = config.read_bytes()
    assert bare.ok("install").startswith("wrote 0 settings")
    assert config.read_bytes() == after
    assert bare.git("config", "filter.mlbfs.required") == "true"
    assert bare.git("config", "merge.json.driver") == "mlbfs merge-driver json %O %A %B %L %P"
    for builtin in ("text", "binary", "union"):
        assert bare.git.run("config", f"merge.{builtin}.driver").returncode == 1
    bare.ok("install", "--remove")
    assert config.read_bytes() == before
    assert bare.ok("install", "--remove") == "took away 0 settings\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("merge.ours.driver", "true"),
        ("merge.json.driver", "other %A %O %B"),
        ("filter.mlbfs.process", "evil filter-process"),
        ("filter.mlbfs.required", "false"),
        ("diff.mlbfs.textconv", "cat"),
    ],
)
def test_values_of_somebody_else_stay(bare: Work, key: str, value: str) -> None:
    """One line names the key; nothing at all is written, and nothing is taken away."""
    bare.git("config", key, value)
    before = (bare.place / ".git/config").read_bytes()
    assert key in bare.fails(1, "install")
    bare.ok("install", "--remove")
    assert (bare.place / ".git/config").read_bytes() == before


def test_values_of_the_user_are_not_hidden(bare: Work, tmp_path: Path) -> None:
    """A driver of that name in the user's own configuration counts as well."""
    mine = tmp_path / "gitconfig"
    bare.git.environment["GIT_CONFIG_GLOBAL"] = str(mine)
    bare.git("config", "--global", "merge.json.driver", "other %A")
    assert "merge.json.driver" in bare.fails(1, "install")


def test_mlbfs_at_another_place_is_followed(bare: Work) -> None:
    """What an mlbfs elsewhere has written is ours: it is replaced, and taken away."""
    bare.git("config", "filter.mlbfs.process", "'/old place/bin/mlbfs' filter-process")
    bare.git("config", "merge.jsonl.driver", "/x/python -m mlbfs merge-driver jsonl %O %A %B %L %P")
    bare.ok("install")
    assert bare.git("config", "filter.mlbfs.process") == "mlbfs filter-process"
    bare.git("config", "filter.mlbfs.process", "'/old place/bin/mlbfs' filter-process")
    bare.ok("install", "--remove")
    assert "mlbfs" not in (bare.place / ".git/config").read_text()


def test_global_has_to_be_said(bare: Work, tmp_path: Path) -> None:
    """Without a repository it is an error; with --global it is written for the user, and counts."""
    mine = tmp_path / "gitconfig"
    bare.git.environment["GIT_CONFIG_GLOBAL"] = str(mine)
    before = (bare.place / ".git/config").read_bytes()
    outside = subprocess.run(
        ["mlbfs", "-C", tmp_path, "install"], env=bare.git.environment, capture_output=True
    )
    assert outside.returncode == 1
    assert b"not in a Git repository" in outside.stderr
    assert not mine.exists()
    bare.ok("-C", str(tmp_path), "install", "--global")
    assert "filter-process" in mine.read_text()
    bare.write(".gitattributes", "* filter=mlbfs\n")
    bare.write("model.bin", MODEL)
    bare.commit()
    assert bare.blob("model.bin") == _pointer(MODEL)
    assert (bare.place / ".git/config").read_bytes() == before
    bare.ok("install", "--global", "--remove")
    assert mine.read_text() == ""


def test_worktree_has_settings_of_its_own(work: Work, tmp_path: Path) -> None:
    """--worktree writes for one work tree, where Git is told to keep such settings."""
    work.ok("install", "--remove")
    work.git("config", "extensions.worktreeConfig", "true")
    work.git("worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    work.ok("-C", str(tmp_path / "other"), "install", "--worktree")
    assert work.git.run("config", "filter.mlbfs.process").returncode == 1
    assert work.git("-C", str(tmp_path / "other"), "config", "filter.mlbfs.process")
    work.ok("-C", str(tmp_path / "other"), "install", "--worktree", "--remove")
    assert work.git.run("-C", str(tmp_path / "other"), "config", "filter.mlbfs.process").returncode


def test_values_with_options_are_found_everywhere(bare: Work) -> None:
    """In HEAD, below it, in the work tree and in info/attributes; run again for new ones."""
    bare.write("deep/down/.gitattributes", "*.json merge=json:key=deep\n")
    bare.commit()
    shutil.rmtree(bare.place / "deep")
    bare.write(".gitattributes", "[attr]metrics merge=json:key=macro\n*.j merge=jsonl:key=here\n")
    bare.write(".git/info/attributes", "*.x merge=overwrite:when-better:m.json:acc\n")
    bare.ok("install")
    for value in ("json:key=deep", "json:key=macro", "jsonl:key=here"):
        command = f"mlbfs merge-driver {value} %O %A %B %L %P"
        assert bare.git("config", f"merge.{value}.driver") == command
    bare.write("new/.gitattributes", "*.json merge=json:key=new\n")
    assert bare.ok("install").startswith("wrote 2 settings")
    bare.ok("install", "--remove")
    assert "mlbfs" not in (bare.place / ".git/config").read_text()


def test_who_removes_it_is_told_what_attributes_still_say(work: Work) -> None:
    """Without the filter Git takes content for its own, and nothing else would say so."""
    assert b"filter=mlbfs" in work.mlbfs("install", "--remove").stderr
    assert work.mlbfs("install", "--remove").stderr == b""


def test_a_repository_without_the_filter_is_told(bare: Work) -> None:
    """Installing does nothing for files that no attribute names, and says so."""
    assert b"no file has the filter yet" in bare.mlbfs("install").stderr
    bare.write(".gitattributes", "* filter=mlbfs\n")
    assert bare.mlbfs("install").stderr == b""


# Content


def test_content_goes_to_the_store_and_comes_back(work: Work) -> None:
    """Small text stays in Git, everything else is a pointer; the work tree is clean."""
    long = os.urandom(5_000_000)
    files = {
        "model.bin": MODEL,
        "long.bin": long,
        "folder/notes.txt": b"notes\n",
        "empty": b"",
        "wide.txt": b"text\n" * 40_000,
        "odd name;$(x)'\"\n.bin": MODEL[::-1],
    }
    for name, data in files.items():
        work.write(name, data)
    work.commit()
    assert work.git("status", "--porcelain") == ""
    for name, data in files.items():
        stays = name in ("folder/notes.txt", "empty")
        assert work.blob(name) == (data if stays else _pointer(data))
    for name in files:
        (work.place / name).unlink()
    work.git("checkout", "-q", ".")
    assert {name: work.read(name) for name in files} == files
    assert work.git("status", "--porcelain") == ""
    assert work.waiting() == []
    assert "sound" in work.ok("fsck")
    with Repository.open(work.place) as repository:
        assert repository.snapshot("main").read(b"long.bin") == long


def test_a_thousand_files_are_one_process_and_few_packs(work: Work) -> None:
    """Small contents wait together, and become one pack."""
    for number in range(1000):
        work.write(f"data/{number}", b"\0%d" % number * 100)
    work.git.environment["GIT_TRACE"] = str(work.place.parent / "trace")
    work.git("add", ".")
    trace = (work.place.parent / "trace").read_text()
    assert trace.count("run_command: 'mlbfs filter-process'") == 1
    assert len(work.packs()) == 1
    assert work.waiting() == []
    work.git("commit", "-qm", "many")
    shutil.rmtree(work.place / "data")
    work.git("checkout", "-q", ".")
    assert work.read("data/77") == b"\0" + b"77\0" * 99 + b"77"


def test_attributes_decide_what_stays_in_git(work: Work) -> None:
    """As for an import."""
    work.write(".gitattributes", ATTRIBUTES + "*.csv mlbfs\n*.raw -mlbfs\n*.none -filter\n")
    work.write("t.csv", "a,b\n")
    work.write("t.raw", MODEL)
    work.write("t.none", MODEL)
    work.commit()
    assert work.blob("t.csv") == _pointer(b"a,b\n")
    assert work.blob("t.raw") == work.blob("t.none") == MODEL


def test_a_work_tree_beside_the_repository_has_its_own_attributes(
    work: Work, tmp_path: Path
) -> None:
    """Where Git is told the repository alone, the folder that it runs in is the work tree."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / ".gitattributes").write_text("*.raw filter=mlbfs -mlbfs\n* filter=mlbfs\n")
    (beside / "a.raw").write_bytes(MODEL)
    (beside / "b.bin").write_bytes(MODEL)
    git_dir = f"--git-dir={work.place}/.git"
    work.git("-C", str(beside), git_dir, "add", "a.raw", "b.bin")
    done = work.git.run("cat-file", "blob", ":a.raw")
    assert done.stdout == MODEL
    assert work.git("show", ":b.bin").encode() + b"\n" == _pointer(MODEL)


def test_the_filter_of_one_file(work: Work) -> None:
    """A Git that knows no long-running filter starts one for each file."""
    work.git("config", "--unset", "filter.mlbfs.process")
    for name in ("a.bin", "-dash.bin", "it's $(touch pwned).bin"):
        work.write(name, MODEL + name.encode())
    work.commit()
    assert work.blob("a.bin") == _pointer(MODEL + b"a.bin")
    work.git("rm", "-qr", "--cached", ".")
    work.git("reset", "-q", "--hard")
    assert work.read("-dash.bin") == MODEL + b"-dash.bin"
    assert not list(work.place.parent.rglob("pwned"))


def test_the_text_of_a_pointer_is_what_it_was(work: Work) -> None:
    """As a file of a clone without filter it stays a pointer; as a content it comes back as one."""
    foreign = _pointer(b"content of somebody else")
    work.write("unfetched.bin", foreign)
    work.commit()
    assert work.blob("unfetched.bin") == foreign
    with Repository.open(work.place) as repository, repository.store.writer() as writer:
        writer.put_bytes(_pointer(MODEL))
        writer.commit()
    work.write("about.txt", _pointer(MODEL))
    work.git("add", "about.txt")
    work.git("commit", "-qm", "a text about a pointer")
    assert work.blob("about.txt") == _pointer(_pointer(MODEL))
    (work.place / "about.txt").unlink()
    work.git("checkout", "-q", "about.txt")
    assert work.read("about.txt") == _pointer(MODEL)
    assert work.git("status", "--porcelain") == ""


def test_line_ends_of_git_harm_no_pointer(work: Work) -> None:
    """Git changes line ends between its blobs and the filter; a text with such ends is itself."""
    text = _pointer(MODEL).replace(b"\n", b"\r\n")
    work.git("config", "core.autocrlf", "true")
    work.write("model.bin", MODEL)
    work.write("about.bin", text)
    work.write("notes.txt", b"one\r\ntwo\r\n")
    work.commit()
    assert work.blob("model.bin") == _pointer(MODEL)
    assert work.blob("about.bin") == _pointer(text)
    assert work.blob("notes.txt") == b"one\ntwo\n"
    work.git("rm", "-qr", "--cached", ".")
    work.git("reset", "-q", "--hard")
    assert work.read("model.bin") == MODEL
    assert work.read("about.bin") == text
    assert work.read("notes.txt") == b"one\r\ntwo\r\n"


def test_text_in_another_encoding_is_left_to_git(work: Work) -> None:
    """Git puts what the filter answers into UTF-8, and a pointer is in no other encoding."""
    attributes = "*.u16 text working-tree-encoding=UTF-16\n*.id ident\n"
    work.write(".gitattributes", ATTRIBUTES + attributes)
    text = "héllo\n".encode("utf-16")
    work.write("a.u16", text)
    work.write("b.id", "$Id$\n")
    work.commit()
    assert work.blob("a.u16") == "héllo\n".encode()
    (work.place / "a.u16").unlink()
    (work.place / "b.id").unlink()
    work.git("checkout", "-q", ".")
    assert work.read("a.u16").decode("utf-16") == "héllo\n"
    assert work.read("b.id").startswith(b"$Id: ")
    assert work.git("status", "--porcelain") == ""


def test_stash_and_switch(work: Work) -> None:
    """Contents follow whatever Git does with the work tree."""
    work.write("model.bin", MODEL)
    work.commit()
    work.write("model.bin", MODEL[::-1])
    work.git("stash")
    assert work.read("model.bin") == MODEL
    work.git("switch", "-qc", "side")
    work.git("stash", "pop")
    assert work.read("model.bin") == MODEL[::-1]
    work.commit()
    work.git("switch", "-q", "main")
    assert work.read("model.bin") == MODEL
    work.git("switch", "-q", "side")
    assert work.read("model.bin") == MODEL[::-1]


# Clones


def test_a_clone_by_path_has_what_it_checked_out(work: Work, make: Callable[..., Work]) -> None:
    """Content is read from the origin, and stays when the origin goes."""
    work.write("model.bin", MODEL)
    work.write("long.bin", MODEL * 50)
    work.commit()
    clone = make("clone", "--no-checkout", str(work.place))
    clone.ok("install")
    clone.git("checkout", "-q", "main")
    assert clone.read("model.bin") == MODEL
    assert clone.read("long.bin") == MODEL * 50
    second = make("second", "-n", "--shared", str(clone.place))
    second.ok("install")
    shutil.rmtree(work.place)
    (clone.place / "model.bin").unlink()
    clone.git("checkout", "-q", ".")
    assert clone.read("model.bin") == MODEL
    second.git("checkout", "-q", "main")
    assert second.read("model.bin") == MODEL
    clone.ok("fsck")


@pytest.mark.parametrize("kind", ["blob:none", "tree:0"])
def test_a_partial_clone(work: Work, make: Callable[..., Work], kind: str) -> None:
    """Attributes of HEAD are not here before the checkout; what they ask for comes with it."""
    work.write("model.bin", MODEL)
    work.write("folder/model.bin", MODEL[::-1])
    work.commit()
    work.git("config", "uploadpack.allowFilter", "true")
    work.git("config", "uploadpack.allowAnySHA1InWant", "true")
    url = f"file://{work.place}"
    clone = make("clone", "--no-checkout", "--no-local", f"--filter={kind}", url)
    clone.ok("install")
    clone.git("checkout", "-q", "main")
    assert clone.read("model.bin") == MODEL
    assert clone.read("folder/model.bin") == MODEL[::-1]
    clone.ok("install")
    assert clone.git("config", "merge.json:key=id.driver")
    clone.write("new.bin", MODEL[1:])
    clone.commit()
    clone.git("push", "-q", "origin", "HEAD:refs/heads/pushed")
    work.git("checkout", "-q", "pushed")
    assert work.read("new.bin") == MODEL[1:]


def test_content_that_is_missing_is_named(work: Work, make: Callable[..., Work]) -> None:
    """Git stops and names the file; no pointer is put in its place, and text is there."""
    work.write("model.bin", MODEL)
    work.write("notes.txt", "notes\n")
    work.commit()
    clone = make("clone", "--no-checkout", str(work.place))
    clone.ok("install")
    shutil.rmtree(work.place)
    clone.git("reset", "-q")
    done = clone.git.run("checkout", "-q", "--", "model.bin")
    assert done.returncode == 128
    assert b"mlbfs: model.bin: content" in done.stderr
    assert b"smudge filter mlbfs failed" in done.stderr
    assert not (clone.place / "model.bin").exists()
    clone.git("checkout", "-q", "--", "notes.txt")
    assert clone.read("notes.txt") == b"notes\n"


def test_pointers_for_what_is_missing_have_to_be_asked_for(
    work: Work, make: Callable[..., Work]
) -> None:
    """Then everything else is there, the work tree is clean, and content that comes is found."""
    work.write("model.bin", MODEL)
    work.write("notes.txt", "notes\n")
    work.commit()
    clone = make("clone", "--no-checkout", str(work.place))
    clone.ok("install")
    moved = work.place.rename(work.place.with_name("moved"))
    clone.git.environment = clone.git.environment | {"MLBFS_ALLOW_MISSING": "1"}
    clone.git("checkout", "-q", "main")
    assert clone.read("model.bin") == _pointer(MODEL)
    assert clone.read("notes.txt") == b"notes\n"
    clone.git("add", "--renormalize", ".")
    assert clone.git("status", "--porcelain") == ""
    assert "oid sha256" in clone.git("log", "-p", "--no-textconv")
    moved.rename(work.place)
    clone.git("rm", "-rq", "--cached", ".")
    clone.git("reset", "-q", "--hard")
    assert clone.read("model.bin") == MODEL


def test_damaged_content_is_never_checked_out(work: Work) -> None:
    """Wrong bytes are an error for Git, at whatever place of a file they are."""
    data = os.urandom(3_000_000)
    work.write("model.bin", data)
    work.commit()
    (pack,) = (work.place / ".git/mlbfs/packs").iterdir()
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"wrong")
    (work.place / "model.bin").unlink()
    done = work.git.run("checkout", "-q", "model.bin")
    assert done.returncode == 128
    assert b"mlbfs: model.bin" in done.stderr
    assert not (work.place / "model.bin").exists()


def test_a_push_by_path_takes_content_along(work: Work, make: Callable[..., Work]) -> None:
    """New content is in the other store before the refs move, and nobody needs the clone after."""
    work.write("model.bin", MODEL)
    work.commit()
    clone = make("clone", "--no-checkout", str(work.place))
    clone.ok("install")
    clone.git("checkout", "-qb", "side", "origin/main")
    newer, image = MODEL[::-1], os.urandom(3_000_000)
    clone.write("folder/newer.bin", newer)
    clone.commit()
    clone.write("folder/newer.bin", image)
    clone.write("copy.bin", MODEL)
    clone.commit()
    clone.git("tag", "-a", "-m", "one", "v1", "HEAD~")
    done = clone.git.run("push", "origin", "v1")
    assert done.returncode == 0, done.stderr
    assert b"mlbfs: brought 1 content, 179.2 kB, to origin" in done.stderr
    done = clone.git.run("push", "origin", "side", "v1")
    assert b"mlbfs: brought 1 content, 3.0 MB, to origin" in done.stderr
    assert b"brought" not in clone.git.run("push", "origin", "side:other", ":v1").stderr
    shutil.rmtree(clone.place)
    work.expire()
    work.ok("gc")
    work.ok("fsck")
    with Repository.open(work.place) as repository:
        assert repository.snapshot("side~").read(b"folder/newer.bin") == newer
        assert repository.snapshot("other").read(b"folder/newer.bin") == image


def test_a_push_into_a_plain_repository_gives_it_a_store(
    work: Work, tmp_path: Path, make: Callable[..., Work]
) -> None:
    """So that a clone of that one finds content, whoever made it."""
    work.git("init", "-q", "--bare", "-b", "main", str(tmp_path / "plain.git"))
    work.write("model.bin", MODEL)
    work.commit()
    work.git("remote", "add", "plain", "file://" + str(tmp_path / "plain.git"))
    work.git("push", "-q", "plain", "main")
    shutil.rmtree(work.place)
    clone = make("clone", "-n", str(tmp_path / "plain"))
    clone.ok("install")
    clone.git("checkout", "-q", "main")
    assert clone.read("model.bin") == MODEL


def test_a_push_without_its_content_is_stopped(work: Work, make: Callable[..., Work]) -> None:
    """Nothing moves, and the line names the file."""
    clone = make("clone", "--no-checkout", str(work.place))
    clone.ok("install")
    clone.git("checkout", "-qb", "side", "origin/main")
    clone.write("lost.bin", _pointer(b"lost"))
    clone.commit()
    done = clone.git.run("push", "origin", "side")
    assert done.returncode == 1
    assert b"mlbfs: 'lost.bin': content" in done.stderr
    assert work.git("branch", "--list", "side") == ""


def _pushed(work: Work, line: str, remote: str = "origin") -> tuple[int, str]:
    """Runs the hook for a push to another machine; returns its code and what it said."""
    done = subprocess.run(
        ["mlbfs", "pre-push", remote, "host:project" if remote == "origin" else remote],
        cwd=work.place,
        env=work.git.environment,
        input=line.encode(),
        capture_output=True,
    )
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


def test_a_push_to_another_machine_says_what_stays(work: Work) -> None:
    """New contents are counted, with the way to send them; the push goes on."""
    work.write(".gitattributes", ATTRIBUTES + "*.lfs filter=lfs\n")
    work.commit()
    nothing = "0" * 40
    first = work.git("rev-parse", "HEAD")
    assert _pushed(work, f"refs/heads/main {first} refs/heads/main {nothing}\n") == (0, "")
    work.write("a.bin", MODEL)
    work.write("again.bin", MODEL)
    work.write("notes.txt", "text\n")
    work.git("update-index", "--add", "--cacheinfo", "100644", _blob(work, MODEL[1:]), "sent.lfs")
    work.commit()
    head = work.git("rev-parse", "HEAD")
    for there in (first, nothing):
        code, said = _pushed(work, f"refs/heads/main {head} refs/heads/main {there}\n")
        assert code == 0
        assert said == (
            "mlbfs: origin is on another machine and gets pointers only: 1 content, 179.2 kB, not "
            "sent\nhint: Git LFS can send them: mlbfs lfs-fetch main && git lfs push origin main\n"
        )
    line = f"refs/heads/main {head} refs/heads/main {nothing}\n"
    _, said = _pushed(work, line, "https://me:secret@host/project")
    assert said.startswith("mlbfs: https://host/project is on another machine")
    assert "secret" not in said
    work.git("update-ref", "refs/remotes/origin/main", head)
    assert _pushed(work, f"refs/heads/side {head} refs/heads/side {nothing}\n") == (0, "")
    assert _pushed(work, f"(delete) {nothing} refs/heads/side {head}\n\n") == (0, "")
    work.git("remote", "add", "origin", "host:project")
    assert "origin is on another machine" in work.mlbfs("doctor").stdout.decode()


def _blob(work: Work, data: bytes) -> str:
    """Makes a blob of the pointer of a content that is not here; returns its id."""
    return work.git("hash-object", "-w", "--stdin", "--no-filters", data=_pointer(data))


def test_a_push_of_text_makes_no_store(work: Work, tmp_path: Path) -> None:
    """A repository that needs no content is left as it is."""
    work.git("init", "-q", "--bare", str(tmp_path / "plain.git"))
    work.git("push", "-q", str(tmp_path / "plain.git"), "main")
    assert not (tmp_path / "plain.git/mlbfs").exists()


def test_a_clone_of_a_user_who_installed_globally_pushes_content(
    work: Work, make: Callable[..., Work], tmp_path: Path
) -> None:
    """Nobody runs install there, so the filter writes the hook, where there is none."""
    user = tmp_path / "gitconfig"
    work.git("switch", "-qc", "side")
    work.git.environment["GIT_CONFIG_GLOBAL"] = str(user)
    work.ok("install", "--global")
    clone = make("clone")
    shutil.rmtree(clone.place)
    clone.git.environment["GIT_CONFIG_GLOBAL"] = str(user)
    work.git("clone", "-q", "-b", "main", str(work.place), str(clone.place))
    clone.write("model.bin", MODEL)
    clone.commit()
    clone.git("push", "-q", "origin", "main")
    shutil.rmtree(clone.place)
    work.git("checkout", "-q", "main")
    assert work.read("model.bin") == MODEL


def test_a_hook_of_git_lfs_can_have_both(work: Work, make: Callable[..., Work]) -> None:
    """As docs/git.md shows it: both read what Git writes; doctor tells of a hook that does not."""
    clone = make("clone", "-n", f"file://{work.place}")
    clone.git("lfs", "install", "--local")
    assert b"docs/git.md" in clone.mlbfs("install").stderr
    assert "pre-push hook does not start mlbfs" in clone.mlbfs("doctor").stdout.decode()
    hook = clone.place / ".git/hooks/pre-push"
    page = (Path(__file__).parents[2] / "docs/git.md").read_text()
    hook.write_text(page.partition("```sh\n")[2].partition("```")[0])
    assert "does not start mlbfs" not in clone.mlbfs("doctor").stdout.decode()
    clone.git("checkout", "-qb", "side", "origin/main")
    assert clone.git.run("push", "origin", "side").returncode == 0
    clone.write("model.bin", MODEL)
    clone.commit()
    clone.ok("lfs-fetch", "side")
    done = clone.git.run("push", "origin", "side")
    assert done.returncode == 0, done.stderr
    assert b"brought 1 content" in done.stderr


def test_the_hook_stays_while_another_scope_has_the_filter(work: Work) -> None:
    """It is of the repository, whichever work tree has installed what."""
    work.git("config", "extensions.worktreeConfig", "true")
    work.ok("install", "--worktree")
    work.ok("install", "--worktree", "--remove")
    assert (work.place / ".git/hooks/pre-push").exists()
    work.ok("install", "--remove")
    assert not (work.place / ".git/hooks/pre-push").exists()


def test_hooks_of_somebody_else_stay(bare: Work) -> None:
    """The user is told what to add; the hook of ours comes and goes."""
    hook = bare.place / ".git/hooks/pre-push"
    bare.ok("install")
    assert 'exec mlbfs pre-push "$@"' in hook.read_text()
    bare.ok("install", "--remove")
    assert not hook.exists()
    hook.write_text("#!/bin/sh\nexit 0\n")
    assert b'mlbfs pre-push "$@"' in bare.mlbfs("install").stderr
    bare.ok("install", "--remove")
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"
    hook.unlink()
    bare.git("config", "core.hooksPath", str(bare.place / "shared"))
    assert b'mlbfs pre-push "$@"' in bare.mlbfs("install").stderr
    assert not (bare.place / "shared").exists()
    assert not hook.exists()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/x/y", "/x/y"),
        ("../y", "/base/../y"),
        ("file:///x/a%20b", "/x/a b"),
        ("host:y", None),
        ("me@host:y/z", None),
        ("https://host/y", None),
        ("./odd:name", "/base/odd:name"),
        ("ext::sh -c true", None),
        ("", None),
    ],
)
def test_which_urls_are_of_this_machine(url: str, path: str | None) -> None:
    """As Git reads them."""
    found = local_path(url, Path("/base"))
    assert found == (None if path is None else Path(path))


# Diffs


def test_diff_shows_what_is_in_a_file(work: Work) -> None:
    """Tables of a database and tensors of a model, not pointers; and from a cache the next time."""
    work.write(".gitattributes", ATTRIBUTES + "*.safetensors diff=mlbfs\n")
    for shape, rows in (([2, 3], 1), ([2, 4], 2)):
        header = json.dumps({"w": {"dtype": "F32", "shape": shape}}).encode()
        work.write("m.safetensors", struct.pack("<Q", len(header)) + header + bytes(4096))
        (work.place / "runs.db").unlink(missing_ok=True)
        database = sqlite3.connect(work.place / "runs.db")
        database.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO runs VALUES (?)", [(row,) for row in range(rows)])
        database.commit()
        database.close()
        work.commit()
    for _ in range(2):
        shown = work.git("diff", "HEAD~", "HEAD")
        assert "\n-w: F32 [2, 3]" in shown
        assert "\n+w: F32 [2, 4]" in shown
        assert "-table runs: 1 row\n+table runs: 2 rows" in shown
    assert work.git("notes", "--ref", "textconv/mlbfs", "list")
    work.write("m.safetensors", b"\0")
    assert "+safetensors, 1 byte," in work.git("diff")
    assert "oid sha256:" in work.git("diff", "--no-textconv", "HEAD~", "HEAD")
    work.ok("gc")
    work.ok("fsck")


def test_a_pointer_is_summarized_as_its_content(work: Work) -> None:
    """Also where no filter stands between, and with a clear error where the content is missing."""
    database = sqlite3.connect(work.place / "runs.db")
    database.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY)")
    database.commit()
    database.close()
    work.commit()
    work.write("pointer", work.blob("runs.db"))
    assert "table runs: 0 rows" in work.ok("textconv", "pointer")
    work.write("pointer", _pointer(b"nowhere"))
    assert work.ok("textconv", "pointer").startswith("not here: 7 bytes, sha256 ")


def _real_files(place: Path, more: int) -> None:
    """Writes a file of every kind of which there are summaries, by the library that it is of."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    rows = 3 + more
    table = {
        "id": pa.array(range(rows), pa.int64()),
        "when": pa.array([0] * rows, pa.timestamp("us", "UTC")),
        "tags": pa.array([["a", "b"]] * rows),
        "odd\nname": pa.array([{"x": 1.0}] * rows),
    }
    pq.write_table(pa.table(table), place / "t.parquet", row_group_size=2)
    save_file({"w": np.zeros((rows, 4), np.float32)}, place / "m.safetensors", {"format": "np"})
    np.save(place / "a.npy", np.zeros((rows, 2), np.int16))
    np.savez(place / "s.npz", x=np.zeros(rows), y=np.ones((1, rows), bool))
    np.savez_compressed(place / "c.npz", x=np.zeros(rows))
    (place / "r.sqlite").unlink(missing_ok=True)
    with closing(sqlite3.connect(place / "r.sqlite")) as database:
        database.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, note TEXT)")
        database.executemany("INSERT INTO runs VALUES (?, 'x')", [(row,) for row in range(rows)])
        database.commit()
    (place / "m.pkl").write_bytes(pickle.dumps({"coefficients": list(range(rows))}))
    header = struct.pack(">II5B", 2, rows, 8, 0, 0, 0, 0)
    lines = zlib.compress(b"\0\xff\xff" * rows)
    chunks = [(b"IHDR", header), (b"IDAT", lines), (b"IEND", b"")]
    (place / "i.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )


REAL = [
    "-rows: 3, groups of rows: 2",
    "+rows: 4, groups of rows: 2",
    " when: timestamp[us, tz=UTC]",
    " odd\\u000aname: struct<x: double>",
    " metadata format: np",
    "-w: F32 [3, 4]",
    "+w: F32 [4, 4]",
    "-array: <i2 [3, 2]",
    "+array: <i2 [4, 2]",
    "-x: <f8 [3]",
    "+x: <f8 [4]",
    "-y: |b1 [1, 3]",
    "+y: |b1 [1, 4]",
    "-table runs: 3 rows",
    "+table runs: 4 rows",
]


def test_real_files_of_every_kind(work: Work) -> None:
    """As the libraries write them: readable, the same again, and from a cache as without one."""
    work.write(".gitattributes", ATTRIBUTES + "* diff=mlbfs\n.gitattributes !diff\n")
    for more in (0, 1):
        _real_files(work.place, more)
        work.commit()
    shown = work.git("diff", "-U9", "HEAD~", "HEAD")
    for line in REAL:
        assert f"\n{line}\n" in shown + "\n", shown
    for kind in ("model", "binary file", "Parquet file", "NumPy archive", "SQLite database"):
        assert f"\n+{kind}, " in shown
    assert "\n tags: list<" in shown
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) < 700
    assert work.git("diff", "-U9", "HEAD~", "HEAD") == shown
    assert shown in work.git("log", "-p", "-U9")
    for ref in work.git("for-each-ref", "--format=%(refname)", "refs/notes").split():
        work.git("update-ref", "-d", ref)
    assert work.git("diff", "-U9", "HEAD~", "HEAD") == shown


def test_a_long_content_is_summarized_from_its_pointer(work: Work) -> None:
    """Git does not have all of it written out to show its shape: the same summary either way."""
    work.write(".gitattributes", ATTRIBUTES + "*.npy diff=mlbfs\n")
    for rows in (700_000, 800_000):
        import numpy as np

        np.save(work.place / "a.npy", np.zeros((rows, 2), np.float32))
        work.commit()
    shown = work.git("show", "--format=")
    assert "-array: <f4 [700000, 2]" in shown
    assert "+array: <f4 [800000, 2]" in shown
    assert work.ok("textconv", "a.npy").splitlines()[0] in shown
    work.write("sizes.sh", "#!/bin/sh\nwc -c < $2\nwc -c < $5\n")
    (work.place / "sizes.sh").chmod(0o755)
    sizes = ["5600128", "6400128"]
    words = ("diff", "HEAD~", "HEAD", "--", "a.npy")
    assert work.git("-c", "diff.external=./sizes.sh", *words).split() == sizes
    work.git.environment["GIT_EXTERNAL_DIFF"] = "./sizes.sh"
    assert work.git(*words).split() == sizes
    del work.git.environment["GIT_EXTERNAL_DIFF"]
    work.git("checkout", "-q", "HEAD~", "--", "a.npy")
    assert (work.place / "a.npy").stat().st_size > 5_600_000


def _settled(work: Work) -> None:
    """Waits until nothing of ours waits for a Git that has ended."""
    for lock in (work.place / ".git/mlbfs").glob("summaries-*.lock"):
        with suppress(FileNotFoundError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def test_a_log_goes_on_where_content_is_missing(work: Work, make: Callable[..., Work]) -> None:
    """One line says so; when the content has come, Git does not believe it any more."""
    work.write(".gitattributes", ATTRIBUTES + "*.bin diff=mlbfs\n")
    for data in (MODEL, MODEL[::-1]):
        work.write("model.bin", data)
        work.commit()
    clone = make("clone", "--no-checkout", str(work.place))
    clone.ok("install")
    moved = work.place.rename(work.place.with_name("moved"))
    clone.git("reset", "-q")
    clone.git("checkout", "-q", "--", ".gitattributes")
    clone.git("config", "alias.changes", "log -p")
    digest = hashlib.sha256(MODEL).hexdigest()
    for words in (("log", "-p"), ("changes",), ("-c", "core.quotePath=false", "log", "-p")):
        shown = clone.git(*words, "--", "model.bin")
        assert f"-not here: {len(MODEL):,} bytes, sha256 {digest}; fetch it" in shown
        assert shown.count("\n+not here: ") == 2
        _settled(clone)
        assert clone.git("for-each-ref", "refs/notes") == ""
    assert clone.git.run("checkout", "-q", "--", "model.bin").returncode == 128
    moved.rename(work.place)
    shown = clone.git("log", "-p", "--", "model.bin")
    assert shown.count("\n+binary file, ") == 2
    assert "not here" not in shown
    cached = clone.git("for-each-ref", "refs/notes")
    assert cached
    work.place.rename(moved)
    clone.write("other.bin", _pointer(b"nowhere"))
    clone.git("add", "other.bin")
    clone.git("commit", "-qm", "nowhere")
    assert "+not here: 7 bytes" in clone.git("log", "-p")
    _settled(clone)
    assert clone.git("for-each-ref", "refs/notes") == cached


# Merges


def _diverge(work: Work, files: dict[str, tuple[bytes | str, bytes | str, bytes | str]]) -> None:
    """Commits a base, ours on `main` and theirs on `dev`."""
    for place, message in enumerate(("base", "ours", "theirs")):
        if place:
            work.git("switch", "-q", *(("-c", "dev", "HEAD~") if place == 2 else ("main",)))
        for name, versions in files.items():
            work.write(name, versions[place])
        work.commit(message)
    work.git("switch", "-q", "main")


LISTS = (_records(1, 2), _records(1, 2, 4), _records(1, 2, 3))
LINES = ('{"a":1}\n', '{"a":1}\n{"c":1}\n', '{"a":1}\n{"b":1}\n')
LONG = tuple(
    "".join(f'{{"n":{n}}}\n' for n in range(30_000)) + more
    for more in ("", '{"c":1}\n', '{"b":1}\n')
)


def _check_merged(work: Work, *, ours_first: bool = True) -> None:
    first, second = (4, 3) if ours_first else (3, 4)
    assert [one["id"] for one in json.loads(work.read("runs.json"))] == [1, 2, first, second]
    tail = [b'{"c":1}', b'{"b":1}'][:: 1 if ours_first else -1]
    assert work.read("log.jsonl").splitlines() == [b'{"a":1}', *tail]
    assert work.read("long.jsonl").splitlines()[-2:] == tail
    assert parse_pointer(work.blob("long.jsonl")) is not None
    assert work.git("status", "--porcelain") == ""


def test_merge_uses_the_drivers(work: Work) -> None:
    """JSON by key, records appended, in small texts and in pointers alike."""
    _diverge(work, {"runs.json": LISTS, "log.jsonl": LINES, "long.jsonl": LONG})
    work.git("merge", "-q", "-m", "merged", "dev")
    _check_merged(work)
    work.expire()
    work.ok("gc")
    work.ok("fsck")


def test_tables_and_databases_merge(work: Work, tmp_path: Path) -> None:
    """Rows of both sides, in a text and in a database."""

    def database(*ids: int) -> bytes:
        path = tmp_path / "made.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT)")
            made.executemany("INSERT INTO runs VALUES (?, ?)", [(one, f"run {one}") for one in ids])
        return path.read_bytes()

    more = "*.csv merge=csv\n*.db merge=sqlite\n"
    work.write(".gitattributes", ATTRIBUTES + more)
    work.commit()
    tables = ("n,v\n1,1\n", "n,v\n1,1\n2,2\n", "n,v\n1,1\n3,3\n")
    databases = (database(1), database(1, 2), database(1, 3))
    _diverge(work, {"t.csv": tables, "runs.db": databases})
    work.git("merge", "-q", "-m", "merged", "dev")
    assert work.read("t.csv").split() == [b"n,v", b"1,1", b"2,2", b"3,3"]
    with closing(sqlite3.connect(work.place / "runs.db")) as merged:
        rows = merged.execute("SELECT id, name FROM runs ORDER BY id").fetchall()
    assert rows == [(1, "run 1"), (2, "run 2"), (3, "run 3")]
    assert parse_pointer(work.blob("runs.db")) is not None
    assert work.git("status", "--porcelain") == ""


def test_rebase_and_cherry_pick_use_the_drivers(work: Work) -> None:
    """What is picked comes in as theirs."""
    _diverge(work, {"runs.json": LISTS, "log.jsonl": LINES, "long.jsonl": LONG})
    work.git("branch", "kept")
    work.git("rebase", "-q", "dev")
    _check_merged(work, ours_first=False)
    work.git("switch", "-q", "kept")
    work.git("cherry-pick", "dev")
    _check_merged(work)


def test_a_merge_without_the_filter_stays_without(work: Work) -> None:
    """Files that are not filtered are merged as they are; no pointer appears."""
    work.write(".gitattributes", "*.jsonl merge=jsonl\n")
    work.commit()
    _diverge(work, {"long.jsonl": LONG})
    work.git("merge", "-q", "-m", "merged", "dev")
    assert work.blob("long.jsonl") == work.read("long.jsonl")
    assert work.read("long.jsonl").splitlines()[-2:] == [b'{"c":1}', b'{"b":1}']


def test_conflicts_are_git_conflicts(work: Work) -> None:
    """Git has all three versions; each conflict is told in one line; ours is in the work tree."""
    versions = tuple(_records(1, 2, loss=loss) for loss in (1, 2, 3))
    _diverge(work, {"runs.json": versions, "bad.json": ("[]", "[1]", "[")})
    done = work.git.run("merge", "dev")
    assert done.returncode == 1
    assert b"value: runs.json at $[id=1].loss" in done.stderr
    assert b"malformed: bad.json" in done.stderr
    assert work.git("status", "--porcelain").splitlines() == ["UU bad.json", "UU runs.json"]
    for stage, version in enumerate(versions, 1):
        assert work.git("show", f":{stage}:runs.json") + "\n" == version
    assert json.loads(work.read("runs.json")) == json.loads(versions[1])
    assert work.read("bad.json") == b"[1]"
    work.git("merge", "--abort")
    assert work.git("status", "--porcelain") == ""


@pytest.mark.parametrize("driver", ["json:key=id", "newest"])
def test_crossed_histories_keep_their_conflict(work: Work, driver: str) -> None:
    """Git merges the merge bases first; what they disagree about is decided by neither of them.

    Each branch has merged the other and kept its own value; the last merge must not take one.
    """
    work.write(".gitattributes", f"* filter=mlbfs\n*.json merge=json:key=id\n*.x merge={driver}\n")
    work.ok("install")
    work.commit()
    values = tuple(_records(1, 2, v=v) for v in range(3))
    _diverge(work, {"runs.json": values, "other.x": ("[0]", "[1]", "[2]")})
    for branch, other in (("main", "dev"), ("dev", "main~")):
        work.git("switch", "-q", branch)
        work.git.run("merge", "--no-ff", "-m", "crossed", other)
        work.git("checkout", "HEAD", "--", "runs.json", "other.x")
        work.commit("crossed")
    for branch, ids in (("main", (1, 2, 5)), ("dev", (1, 2, 6))):
        work.git("switch", "-q", branch)
        work.write("runs.json", _records(*ids, v=1 if branch == "main" else 2))
        work.commit()
    work.git("switch", "-q", "main")
    done = work.git.run("merge", "-m", "last", "dev")
    assert done.returncode == 1
    assert b"value: runs.json at $[id=1].v" in done.stderr
    assert json.loads(work.git("show", ":1:runs.json")) == json.loads(values[0])


def test_longer_markers_are_no_crossed_history(work: Work) -> None:
    """Where they are asked for, a conflict leaves ours in the work tree as anywhere."""
    work.write(".gitattributes", "*.json merge=json:key=id conflict-marker-size=20\n")
    work.commit()
    _diverge(work, {"runs.json": tuple(_records(1, 2, v=v) for v in range(3))})
    assert work.git.run("merge", "dev").returncode == 1
    assert json.loads(work.read("runs.json"))[0]["v"] == 1


def test_a_file_that_each_side_moved_elsewhere_keeps_what_was_merged(work: Work) -> None:
    """Git asks for one more character of markers then, and has nothing but the answer for both."""
    long = [{"id": number, "v": 0, "note": "x" * 20} for number in range(30)]
    work.write("runs.json", json.dumps(long, indent=1))
    work.commit()
    for branch, value in (("dev", 2), ("main", 1)):
        work.git("switch", "-q", *(("-c", "dev") if branch == "dev" else ("main",)))
        work.git("mv", "runs.json", f"{branch}.json")
        changed = [long[0] | {"v": value}, *long[1:], {"id": branch}]
        work.write(f"{branch}.json", json.dumps(changed, indent=1))
        work.commit()
    done = work.git.run("merge", "dev")
    assert done.returncode == 1
    assert b"each side moved it elsewhere" in done.stderr
    assert json.loads(work.git("show", "MERGE_HEAD:dev.json"))[0]["v"] == 2
    for branch in ("main", "dev"):
        merged = json.loads(work.read(f"{branch}.json"))
        assert merged[0]["v"] == 1
        assert [one["id"] for one in merged[-2:]] == ["main", "dev"]


def test_a_path_is_no_option(work: Work) -> None:
    """Git hands over a path as it stands; were it taken for an option, theirs would be lost."""
    work.write(".gitattributes", "* merge=json:key=id\n")
    work.commit()
    names = ("--help", "-x.json", "--", "--no-such=1")
    _diverge(work, dict.fromkeys(names, LISTS))
    work.git("merge", "-q", "-m", "merged", "dev")
    for name in names:
        assert [one["id"] for one in json.loads(work.read(name))] == [1, 2, 4, 3]


def test_a_file_like_an_option_is_compared(work: Work) -> None:
    """In a diff Git hands over the file of the work tree by its name."""
    work.write(".gitattributes", "* diff=mlbfs\n")
    for text in ("one\n", "two\n"):
        work.write("--help", text)
        if text == "one\n":
            work.commit()
    assert "+two" in work.git("diff")


def test_drivers_that_ask_for_commits(work: Work) -> None:
    """Git says what a merge brings in; what is picked or rebased is found by what it changed."""
    work.write(
        ".gitattributes",
        "* filter=mlbfs\n*.new merge=newest\n*.pt merge=overwrite:when-better:metrics.json:acc\n",
    )
    work.ok("install")
    work.commit()
    work.git.environment["GIT_COMMITTER_DATE"] = "2026-01-01T00:00:00Z"
    files = {
        "a.new": (b"\0base", b"\0ours", b"\0theirs"),
        "m.pt": (b"\0base", b"\0ours", b"\0theirs"),
    }
    _diverge(work, files)
    work.git("switch", "-q", "dev")
    work.git.environment["GIT_COMMITTER_DATE"] = "2026-01-02T00:00:00Z"
    work.write("metrics.json", '{"acc": 2}')
    work.write("a.new", b"\0newer")
    work.write("m.pt", b"\0better")
    work.commit()
    work.git("switch", "-q", "main")
    for branch in ("picked", "unknown"):
        work.git("branch", branch)
    work.git("merge", "-q", "-m", "merged", "dev")
    work.git("switch", "-q", "picked")
    work.git("tag", "tree", "dev^{tree}")  # leads to no commit
    work.git("cherry-pick", "dev")
    for branch in ("main", "picked"):
        work.git("switch", "-q", branch)
        assert work.read("a.new") == b"\0newer"
        assert work.read("m.pt") == b"\0better"
    work.git("switch", "-q", "--detach", "dev")
    work.write("a.new", b"\0on no branch")
    hidden = work.commit()
    work.git("switch", "-q", "unknown")
    work.write("a.new", b"\0ours again")
    work.commit()
    done = work.git.run("cherry-pick", hidden)
    assert done.returncode != 0
    assert b"Git does not say which commit is theirs" in done.stderr
    assert work.read("a.new") == b"\0ours again"


def test_keep_both_is_a_conflict(work: Work) -> None:
    """A driver of Git can give one file only, so nothing is put into the work tree unasked."""
    work.write(".gitattributes", "* filter=mlbfs merge=keep-both\n")
    work.commit()
    _diverge(work, {"m.pt": (b"\0base", b"\0ours", b"\0theirs")})
    done = work.git.run("merge", "dev")
    assert done.returncode == 1
    assert b"mlbfs merge" in done.stderr
    assert work.git("status", "--porcelain") == "UU m.pt"
    work.git("checkout", "--theirs", "m.pt")
    assert work.read("m.pt") == b"\0theirs"


def test_both_added_a_file(work: Work) -> None:
    """Without a base, lists of both are joined."""
    for branch, ids in (("main", (1, 2)), ("dev", (1, 3))):
        if branch == "dev":
            work.git("switch", "-qc", "dev", "HEAD~")
        work.write("runs.json", _records(*ids))
        work.commit()
    work.git("switch", "-q", "main")
    work.git("merge", "-q", "-m", "merged", "dev")
    assert [one["id"] for one in json.loads(work.read("runs.json"))] == [1, 2, 3]


def test_merge_driver_that_cannot_work_says_so(work: Work) -> None:
    """Its exit code is one that stops Git, and the file of ours is as it was."""
    for name in ("base", "ours", "theirs"):
        work.write(name, _pointer(name.encode()))
    for driver in ("json", "none", "json:what", ":"):
        done = work.mlbfs("merge-driver", driver, "base", "ours", "theirs", "7", "x.json")
        assert done.returncode == 129
        first, *_, last = done.stderr.decode().splitlines()
        assert first.startswith("mlbfs: ")
        assert last.startswith("NOT MERGED: x.json.")
        assert work.read("ours") == _pointer(b"ours")


def test_a_driver_that_fails_leaves_both_sides(work: Work) -> None:
    """Git before 2.42 takes it for a conflict: ours in the file, theirs to be had, and it is told.

    A newer Git stops, and nothing has changed.
    """
    work.write(".gitattributes", ATTRIBUTES + "*.list merge=json:what\n")
    work.ok("install")
    work.commit()
    _diverge(work, {"it's a.list": LISTS})
    ours = work.read("it's a.list")
    theirs = work.git("show", "dev:it's a.list")
    done = work.git.run("merge", "dev")
    assert done.returncode
    told = done.stderr.decode()
    assert "does not know 'what'" in told
    assert "NOT MERGED: it's a.list." in told
    assert work.read("it's a.list") == ours
    if work.git("ls-files", "-u"):
        assert work.git("status", "--porcelain") == 'UU "it\'s a.list"'
        assert f"git show {shlex.quote(':3:it' + chr(39) + 's a.list')}" in told
        assert work.git("show", ":3:it's a.list") == theirs
        assert work.git.run("commit", "-qm", "merged").returncode
        work.git("checkout", "--theirs", "--", "it's a.list")
        assert work.read("it's a.list").decode() == theirs + "\n"


ASKING = """
import shutil, subprocess, sys
from mlbfs.cli.mergeclient import ask

def words(driver):
    shutil.copy("ours", "result")
    return [driver, "base", "result", "theirs", "7", "x.json"]

def show(code):
    print(code, open("result").read().strip(), flush=True)

show(ask(words("json:key=id")))
for driver in ("json:key=id", "json:key=id", "json:what", "json:key=id"):
    show(subprocess.run(["mlbfs", "merge-driver", *words(driver)]).returncode)
    show(ask(words("json:key=id")))
"""


def test_the_first_merge_leaves_a_helper_for_the_next(work: Work) -> None:
    """It merges as the command does, ends after an error, and ends with Git."""
    for name, data in (("base", "[]"), ("ours", '[{"id":1}]'), ("theirs", '[{"id":2}]')):
        work.write(name, data)
    work.write("asking.py", ASKING)
    alias = f"alias.asking=!'{sys.executable}' asking.py"
    git = subprocess.Popen(
        ["git", "-c", alias, "asking"],
        cwd=work.place,
        env=work.git.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = git.communicate()
    merged, kept = '[{"id":1}, {"id":2}]', '[{"id":1}]'
    assert out.splitlines() == [
        f"None {kept}",  # nobody is there, and nothing was done
        *[f"0 {merged}"] * 4,
        f"129 {kept}",
        f"None {kept}",
        *[f"0 {merged}"] * 2,
    ]
    assert err.count("does not know 'what'") == 1
    assert err.count("NOT MERGED") == 1
    for place in Path("/proc").iterdir():
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if b"mergehelper" in b"".join(words) and b"%d" % git.pid in words:
                select.select([os.pidfd_open(int(place.name))], [], [])


def test_what_a_helper_says_reaches_the_caller(work: Work) -> None:
    """Every conflict of many files is told, whoever has merged the file."""
    versions = tuple(json.dumps([{"id": 1, "v": value}]) for value in ("b", "o", "t"))
    _diverge(work, {f"{number}.json": versions for number in range(5)})
    done = work.git.run("merge", "dev")
    assert done.returncode == 1
    for number in range(5):
        assert f"{number}.json at".encode() in done.stderr
    assert len(work.git("diff", "--name-only", "--diff-filter=U").split()) == 5


HOSTILE = [
    "x;touch${IFS}pwned",
    "json:key=$(touch${IFS}pwned)",
    "json:key=`touch${IFS}pwned`",
    "json:key=';touch${IFS}pwned;'",
    'json:key=";touch${IFS}pwned;"',
    "json:key=\\';touch${IFS}pwned",
    "json:key=%P",
    "json:key='%P'",
    "json:key=%A;touch${IFS}pwned",
    "json:key=|touch${IFS}pwned",
    "json:key=a&touch${IFS}pwned",
    "json:key=#",
    "json:key=\x01",
    'json:key="]',
]


def test_hostile_attributes_run_nothing(work: Work) -> None:
    """Neither what a value says nor what a path says reaches a shell."""
    lines = [f"*.{number} merge={value} diff={value}" for number, value in enumerate(HOSTILE)]
    work.write(".gitattributes", "\n".join(["* filter=mlbfs", *lines, ""]))
    done = work.mlbfs("install")
    assert done.returncode == 0
    assert rb"left out merge='json:key=\x01'" in done.stderr
    installed = work.git("config", "--list", "--local", "--name-only")
    for value in HOSTILE:
        is_taken = value.startswith("json:") and value.isprintable()
        assert (f"merge.{value}.driver" in installed) is is_taken
    work.commit()
    names = [f"a';touch pwned;'$(touch pwned).{number}" for number in range(len(HOSTILE))]
    _diverge(work, dict.fromkeys(names, LISTS))
    done = work.git.run("merge", "-m", "merged", "dev")
    assert b"merge-driver: not found" not in done.stderr
    work.git.run("diff", "HEAD~")
    assert not list(work.place.parent.rglob("pwned"))
    work.ok("install", "--remove")
    assert "mlbfs" not in (work.place / ".git/config").read_text()


def test_an_odd_value_reaches_its_driver(work: Work) -> None:
    """Quoting changes nothing: a key with marks of the shell is that key."""
    key = "it's%P$(x)"
    work.write(".gitattributes", f"*.json merge=json:key={key}\n")
    work.ok("install")
    work.commit()
    versions = ([{key: 1}], [{key: 1}, {key: 2, "v": 1}], [{key: 1, "v": 2}])
    _diverge(work, {"runs.json": tuple(json.dumps(one) for one in versions)})
    work.git("merge", "-q", "-m", "merged", "dev")
    assert json.loads(work.read("runs.json")) == [{key: 1, "v": 2}, {key: 2, "v": 1}]


# Kills, gc, and others at work


class Filter:
    """A filter process, talked to as Git does."""

    def __init__(self, work: Work) -> None:
        self.process = subprocess.Popen(
            ["mlbfs", "filter-process"],
            cwd=work.place,
            env=work.git.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.writer = PacketWriter(self.process.stdin)
        self.reader = PacketReader(self.process.stdout)
        self.writer.write_list([b"git-filter-client", b"version=2"])
        assert self.reader.read_list() == [b"git-filter-server", b"version=2"]
        self.writer.write_list([b"capability=clean", b"capability=smudge"])
        assert self.reader.read_list() == [b"capability=clean", b"capability=smudge"]

    def ask(self, command: bytes, data: bytes) -> bytes | None:
        """Returns the answer, or None for a refusal."""
        self.writer.write_list([b"command=" + command, b"pathname=some/file.bin"])
        self.writer.write_content(data)
        self.writer.flush()
        if self.reader.read_list() != [b"status=success"]:
            return None
        answer = b"".join(self.reader.read_content())
        return answer if self.reader.read_list() == [] else None

    def close(self) -> str:
        """Ends it as Git does; returns what it had to say."""
        _, err = self.process.communicate()
        assert self.process.returncode == 0, err
        return err.decode()


@pytest.fixture
def start(work: Work) -> Iterator[Callable[[], Filter]]:
    """Starts filter processes in the work tree; none outlives the test."""
    started: list[Filter] = []

    def begin() -> Filter:
        started.append(Filter(work))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.communicate()


def test_a_kill_loses_nothing(work: Work, start: Callable[[], Filter]) -> None:
    """What was answered is there, whenever the process is killed."""
    contents = [b"\0%d" % number * 1000 for number in range(5)] + [os.urandom(5_000_000)]
    for count in range(1, len(contents) + 1):
        killed = start()
        pointers = [killed.ask(b"clean", data) for data in contents[:count]]
        killed.process.kill()
        killed.process.wait()
        assert pointers == [_pointer(data) for data in contents[:count]]
        work.ok("gc")
        after = start()
        for pointer, data in zip(pointers, contents, strict=False):
            assert pointer is not None
            assert after.ask(b"smudge", pointer) == data
        assert after.close() == ""
    assert "sound" in work.ok("fsck")


def test_what_a_kill_has_left_becomes_chunks(work: Work, start: Callable[[], Filter]) -> None:
    """By the next process that stores for Git, or by gc; a damaged one stays, and is told of."""
    for finish in ("filter", "gc"):
        data = finish.encode() + MODEL
        killed = start()
        assert killed.ask(b"clean", data) == _pointer(data)
        killed.process.kill()
        killed.process.wait()
        assert len(work.waiting()) == 1
        if finish == "gc":
            work.ok("gc")
        else:
            assert start().close() == ""
        assert work.waiting() == []
        assert start().ask(b"smudge", _pointer(data)) == data
    killed = start()
    for data in (MODEL, MODEL[::-1]):
        killed.ask(b"clean", data)
    killed.process.kill()
    killed.process.wait()
    damaged = next(one for one in work.waiting() if one.read_bytes() == MODEL)
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    assert damaged.name in work.fails(3, "gc")
    assert work.waiting() == [damaged]
    again = start()
    assert again.ask(b"clean", MODEL) == _pointer(MODEL)
    again.close()
    assert work.waiting() == []
    assert start().ask(b"smudge", _pointer(MODEL)) == MODEL


def test_a_kill_of_git_add_loses_nothing(work: Work) -> None:
    """Git, killed with its filter at some moment, can do it again."""
    for number in range(300):
        work.write(f"data/{number}", b"\0%d" % number * 3000)
    for delay in (0.3, 0.5, 0.8):
        process = subprocess.Popen(
            ["git", "add", "."],
            cwd=work.place,
            env=work.git.environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        (work.place / ".git/index.lock").unlink(missing_ok=True)
    work.commit()
    shutil.rmtree(work.place / "data")
    work.git("checkout", "-q", ".")
    for number in range(300):
        assert work.read(f"data/{number}") == b"\0%d" % number * 3000
    work.ok("fsck")


def test_gc_stays_away_while_content_comes_in(work: Work, start: Callable[[], Filter]) -> None:
    """It is refused with a clear line, and takes nothing."""
    one = start()
    assert one.ask(b"clean", MODEL) == _pointer(MODEL)
    assert "in use by" in work.fails(1, "gc")
    assert one.close() == ""


def test_adding_waits_for_gc(work: Work, tmp_path: Path) -> None:
    """`git add` says so and goes on once gc is done; text, checkouts and diffs do not wait."""
    work.write("model.bin", MODEL)
    # A file as new as the index is read again by the next command, whatever that is about.
    os.utime(work.place / "model.bin", (10**9, 10**9))
    work.commit()
    work.write("new.bin", MODEL[::-1])
    lock = FileLock(work.place / ".git/mlbfs/lock", exclusive=True)
    work.write("notes.txt", "notes\n")
    work.git("add", "notes.txt")
    (work.place / "model.bin").unlink()
    work.git("checkout", "-q", "model.bin")
    adding = subprocess.Popen(
        ["git", "add", "new.bin"],
        cwd=work.place,
        env=work.git.environment,
        stderr=subprocess.PIPE,
    )
    assert adding.stderr is not None
    assert adding.stderr.readline().startswith(b"mlbfs: waiting for gc")
    assert adding.poll() is None
    lock.release()
    assert adding.communicate()[1] == b""
    assert adding.returncode == 0
    assert work.git("show", ":new.bin").encode() + b"\n" == _pointer(MODEL[::-1])
    assert work.waiting() == []


def test_gc_is_not_waited_for_without_an_end(work: Work) -> None:
    """Then adding is refused with a clear line, and nothing is half done."""
    with FileLock(work.place / ".git/mlbfs/lock", exclusive=True):
        path, told = work.place / ".git/mlbfs/lock", []
        with pytest.raises(ConflictError, match="in use by gc"):
            wait_for_lock(path, seconds=0.1, waiting=lambda: told.append(1))
        assert told == [1]


def test_gc_keeps_what_is_staged_and_what_is_recent(work: Work) -> None:
    """For as long as an index names it, and two weeks besides; then it goes."""
    work.write("model.bin", MODEL)
    work.git("add", ".")
    work.expire()
    work.ok("gc")
    (work.place / "model.bin").unlink()
    work.git("checkout", "-q", "model.bin")
    assert work.read("model.bin") == MODEL
    pointer = work.git("show", ":model.bin") + "\n"
    work.git("add", "--renormalize", ".")  # notes it again
    work.git("reset", "-q", "--hard")
    work.ok("gc")
    work.write("pointer", pointer)
    assert len(work.ok("textconv", "pointer")) < 200
    work.expire()
    work.ok("gc")
    assert work.ok("textconv", "pointer").startswith("not here: ")
    assert list((work.place / ".git/mlbfs/recent").iterdir()) == []


def test_gc_keeps_what_git_has_put_aside(work: Work) -> None:
    """Unsaved work that a stopped rebase or merge brings back at its end, however late."""
    work.write("model.bin", MODEL)
    work.write("notes.txt", "base\n")
    work.commit()
    for branch in ("side", "main"):
        work.git("switch", "-q", *(("-c", "side") if branch == "side" else ("main",)))
        work.write("notes.txt", f"{branch}\n")
        work.commit()
    for words in (("rebase", "side"), ("merge", "side")):
        work.write("model.bin", MODEL[::-1])
        assert work.git.run(words[0], "--autostash", words[1]).returncode == 1
        assert work.read("model.bin") == MODEL
        work.expire()
        work.ok("gc")
        work.git(words[0], "--abort")
        assert work.read("model.bin") == MODEL[::-1]
        work.git("checkout", "-q", "model.bin")


def test_gc_keeps_the_refs_of_a_linked_work_tree(work: Work, tmp_path: Path) -> None:
    """Some of its refs are its own, and lie with it."""
    other = str(tmp_path / "other")
    work.git("worktree", "add", "-q", "--detach", other)
    work.write("../other/model.bin", MODEL)
    work.git("-C", other, "add", ".")
    work.git("-C", other, "commit", "-qm", "model")
    work.git("-C", other, "update-ref", "refs/worktree/kept", "HEAD")
    work.git("-C", other, "checkout", "-q", "--detach", "main")
    (work.place / ".git/worktrees/other/logs/HEAD").unlink()
    (work.place / ".git/worktrees/other/ORIG_HEAD").unlink(missing_ok=True)
    work.expire()
    work.ok("gc")
    work.git("-C", other, "checkout", "-q", "refs/worktree/kept")
    assert work.read("../other/model.bin") == MODEL


def test_an_index_that_cannot_be_read_stops_gc(work: Work) -> None:
    """What it names is unknown, so nothing is removed."""
    work.write("model.bin", MODEL)
    work.git("add", ".")
    (work.place / ".git/index").write_bytes(b"no index")
    assert "Git index" in work.fails(2, "gc")


def test_many_at_once(work: Work, tmp_path: Path) -> None:
    """Work trees of one repository that add the same and other files at the same time."""
    places = []
    for number in range(4):
        work.git("worktree", "add", "-q", str(tmp_path / f"tree{number}"), "-b", f"b{number}")
        places.append(tmp_path / f"tree{number}")
        for name in range(60):
            (places[-1] / f"same{name}").write_bytes(b"\0%d" % name * 500)
            (places[-1] / f"own{name}").write_bytes(b"\0%d,%d" % (number, name) * 500)
    processes = [
        subprocess.Popen(["git", "-C", place, "add", "."], env=work.git.environment)
        for place in places
    ]
    assert [process.wait() for process in processes] == [0] * 4
    for place in places:
        work.git("-C", str(place), "commit", "-qm", "many")
    assert work.waiting() == []
    work.expire()
    work.ok("gc")
    with Repository.open(work.place) as repository:
        for number in range(4):
            snapshot = repository.snapshot(f"b{number}")
            for name in range(60):
                assert snapshot.read(b"same%d" % name) == b"\0%d" % name * 500
                assert snapshot.read(b"own%d" % name) == b"\0%d,%d" % (number, name) * 500


def test_content_of_a_git_lfs_client_is_left_to_it(work: Work, start: Callable[[], Filter]) -> None:
    """What lies there already is relied on when it is sound, and stays; damaged, it is not."""
    file_id = hashlib.sha256(MODEL).hexdigest()
    theirs = work.place / ".git/lfs/objects" / file_id[:2] / file_id[2:4] / file_id
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(MODEL)
    one = start()
    assert one.ask(b"clean", MODEL) == _pointer(MODEL)
    assert one.close() == ""
    assert theirs.read_bytes() == MODEL
    assert not (work.place / ".git/mlbfs/packs").exists() or work.packs() == []
    theirs.write_bytes(MODEL[::-1])
    two = start()
    assert two.ask(b"clean", MODEL) == _pointer(MODEL)
    assert two.ask(b"smudge", _pointer(MODEL)) == MODEL
    assert two.close() == ""
    assert len(work.packs()) == 1


def test_git_lfs_keeps_what_it_relies_on(work: Work) -> None:
    """The same content under both filters: what Git LFS finds is not taken from it."""
    work.write(".gitattributes", ATTRIBUTES + "*.lfs filter=lfs\n")
    work.git("lfs", "install", "--local", "--skip-repo")
    work.git("add", ".gitattributes")
    work.write("a.bin", MODEL)
    work.write("b.lfs", MODEL)
    for name in ("a.bin", "b.lfs"):
        os.utime(work.place / name, (1, 1))  # so that Git asks once
    work.git("add", ".")
    assert work.git("show", ":a.bin") == work.git("show", ":b.lfs")
    (work.place / "b.lfs").unlink()
    work.git("checkout", "b.lfs")
    assert work.read("b.lfs") == MODEL
    assert work.git("lfs", "fsck") == "Git LFS fsck OK"


def test_who_is_not_git_is_told(work: Work) -> None:
    """A person that types the hidden command, or a broken stream, gets one line."""
    for data in (b"", b"hello", b"0000", b"fff9zzzz"):
        done = subprocess.run(
            ["mlbfs", "filter-process"],
            cwd=work.place,
            env=work.git.environment,
            input=data,
            capture_output=True,
        )
        assert done.returncode == 3
        assert done.stderr.startswith(b"mlbfs: ")
        assert b"Traceback" not in done.stderr
    assert b"exclude" in work.mlbfs("filter-process", "--clean", "a", "--smudge", "b").stderr
