"""Sizes and limits that more than one module must agree on. Sizes are bytes.

Owns: the numbers of the format and of resource use, each with its reason.
Layer: leaf. Imports nothing.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MIN_CHUNK_SIZE = 16 * KIB
"""No cut point before this, except at the end of a file. Part of the format."""

TARGET_CHUNK_SIZE = 64 * KIB
"""Where normalized chunking switches to the easier mask. Part of the format."""

MAX_CHUNK_SIZE = 256 * KIB
"""A cut is forced here. Part of the format; readers refuse a longer record."""

SMALL_TEXT_LIMIT = 128 * KIB
"""Valid text up to this size stays an ordinary Git blob. Default of `mlbfs.smallTextLimit`."""

PACK_TARGET_SIZE = 128 * MIB
"""A pack is finished once it is at least this long; between 64 and 256 MiB keeps both the number
of packs and the cost of rewriting one low."""

MAX_NAME_LENGTH = 255
"""Longest name of a directory entry, as on ext4."""

MAX_PATH_LENGTH = 4096
"""Longest path, as PATH_MAX on Linux."""

ZSTD_LEVEL = 3
"""Default compression level."""
