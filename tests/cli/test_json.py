"""Every command that prints facts has --json; its keys are a promise to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

pytestmark = pytest.mark.slow


def _keys(value: object) -> set[str]:
    entry = value[0] if isinstance(value, list) else value
    assert isinstance(entry, dict)
    return set(entry)


CHANGE = {"path", "change", "old", "new"}
MOUNT = {"id", "pid", "directory", "ref", "kind", "commit", "read_only", "started", "git_dir"}
MOUNT |= {"workspace", "recovery"}
MOUNTED = {"state", "tip", "behind", "followed"}

SCHEMAS: dict[tuple[str, ...], set[str]] = {
    ("init", "--json"): {"git_dir", "created", "branches", "attributes"},
    ("branch", "--json"): {"name", "commit", "time", "subject", "mounted"},
    ("branch", "other", "v1", "--json"): {"name", "commit"},
    ("tag", "--json"): {"name", "commit", "time", "message"},
    ("branch", "--delete", "other", "--json"): {"name", "commit", "deleted"},
    ("tag", "v9", "v1", "--json"): {"name", "commit", "message"},
    ("tag", "--delete", "v9", "--json"): {"name", "object", "deleted"},
    ("log", "v1", "--json"): {"commit", "tree", "parents", "author", "time", "message", "refs"},
    ("ls", "v1", "--json"): {"path", "kind", "size", "sha256", "object"},
    ("diff", "empty", "v1", "--json"): CHANGE,
    ("stats", "--json"): {
        "files",
        "bytes",
        "unique_bytes",
        "chunk_bytes",
        "git_bytes",
        "stored_bytes",
        "saved_by_deduplication",
        "saved_by_compression",
        "store",
        "disk",
        "branches",
    },
    ("fsck", "--json"): {"sound", "findings", "packs", "pack_bytes", "files"},
    ("gc", "--json"): {
        "dry_run",
        "freed_bytes",
        "removed_packs",
        "repacked_packs",
        "live_bytes",
        "dead_bytes",
        "removed_files",
        "missing_files",
    },
    ("doctor", "--json"): {"check", "state", "text", "hint"},
    ("export", "v1", "../out", "--json"): {"files", "symlinks", "bytes", "submodules", "seconds"},
    ("lfs-fetch", "v1", "--json"): {"files", "bytes", "present"},
    ("import", "../data", "-b", "data/raw", "--to", "again", "--json"): {
        "branch",
        "commit",
        "created",
        "attributes",
        "files",
        "text_files",
        "symlinks",
        "bytes",
        "new_bytes",
        "stored_bytes",
        "skipped",
        "seconds",
    },
}


def test_commands_without_a_mount(cli: Cli, repository: Path) -> None:
    """One document on standard output, with these keys."""
    cli.ok("import", "../data/run.sh", "-b", "empty", cwd=repository)
    for command, keys in SCHEMAS.items():
        assert _keys(cli.ok(*command, cwd=repository).json) == keys, command


@pytest.mark.fuse
def test_commands_about_a_mount(cli: Cli, repository: Path) -> None:
    """The same for what needs a mount."""
    point = cli.work / "mnt"
    point.mkdir()
    assert cli.ok("mounts", "--json", cwd=repository).json == []
    assert _keys(cli.ok("mount", "data/raw", point, "--json", cwd=repository).json) == MOUNT
    assert _keys(cli.ok("mounts", "--json", cwd=repository).json) == MOUNT | MOUNTED
    (point / "new").write_text("new\n")
    status = cli.ok("status", point, "--json").json
    assert _keys(status) == {
        "branch",
        "base",
        "behind",
        "directory",
        "clean",
        "changes",
        "empty_directories",
        "special",
        "refused",
        "ignored",
    }
    assert _keys(status["changes"]) == CHANGE
    assert _keys(cli.ok("diff", point, "--json").json) == CHANGE
    assert _keys(cli.ok("commit", point, "-m", "New", "--json").json) == {
        "commit",
        "tag",
        "added",
        "modified",
        "deleted",
        "new_bytes",
        "skipped_empty",
        "skipped_special",
        "skipped_refused",
        "hardlinks_split",
        "carried_from",
    }
    (point / "new").write_text("newer\n")
    put_back = {"restored", "kept", "savepoint"}
    assert _keys(cli.ok("restore", point, "--json").json) == put_back
    inside = {"cwd": point}
    assert _keys(cli.ok("undo", "--json", **inside).json) == {
        "number",
        "commit",
        "base",
        "time",
        "changes",
    }
    assert _keys(cli.ok("undo", "1", "--json", **inside).json) == put_back | {"undone_to"}
    assert _keys(cli.ok("workspaces", "--json", **inside).json) == {
        "workspace",
        "branch",
        "base",
        "in_use",
        "holds_work",
        "directory",
    }
    switched = cli.ok("switch", "--create", "more", "--json", **inside).json
    assert _keys(switched) == {"branch", "commit", "carried"}
    assert _keys(cli.ok("umount", point, "--json").json) == {
        "directory",
        "ref",
        "was_stale",
        "unsaved",
    }
