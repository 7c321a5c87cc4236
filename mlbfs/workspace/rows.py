"""The rows of a workspace's database, as values, and its schema.

Owns: what is stored of an inode and of a name.
Layer: workspace. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE inode(
  ino INTEGER PRIMARY KEY,
  mode INTEGER NOT NULL, nlink INTEGER NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, rdev INTEGER NOT NULL,
  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
  gen INTEGER NOT NULL,
  data INTEGER NOT NULL,
  parent INTEGER NOT NULL,
  base BLOB, base_size INTEGER NOT NULL,
  target BLOB,
  content BLOB
) STRICT;
CREATE INDEX inode_gen ON inode(gen);
CREATE TABLE entry(
  parent INTEGER NOT NULL, name BLOB NOT NULL,
  ino INTEGER NOT NULL,
  off INTEGER NOT NULL,
  gen INTEGER NOT NULL, born INTEGER NOT NULL,
  PRIMARY KEY(parent, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entry_off ON entry(parent, off);
CREATE INDEX entry_ino ON entry(ino) WHERE ino != 0;
CREATE INDEX entry_gen ON entry(gen);
CREATE TABLE extent(
  ino INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
  PRIMARY KEY(ino, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE xattr(
  ino INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY(ino, name)
) STRICT, WITHOUT ROWID;
"""

UNSYNCED = "CREATE TABLE IF NOT EXISTS unsynced(ino INTEGER PRIMARY KEY) STRICT;"
"""Files with bytes that were not synced yet; by itself, because older workspaces have none."""


@dataclass(slots=True)
class Node:
    """One materialized inode: a row of `inode`.

    Attributes:
        gen: Generation of the last change that a commit can keep.
        data: Version of the data file, 0 while there is none.
        parent: Of a directory; 0 otherwise.
        base: Of a directory, the tree it stands on; of a file, the content it stands on.
        base_size: Bytes of a file's base that still show where no extent covers them.
        target: Of a symbolic link.
        content: Of a file with a data file, the id under which its bytes are in the store; None
            once they change.
    """

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    atime: int
    mtime: int
    ctime: int
    gen: int
    data: int = 0
    parent: int = 0
    base: bytes | None = None
    base_size: int = 0
    target: bytes | None = None
    content: bytes | None = None


class Entry(NamedTuple):
    """One name: a row of `entry`."""

    parent: int
    name: bytes
    ino: int
    off: int
    gen: int
    born: int
