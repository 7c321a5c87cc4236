"""mlbfs: Git branches as mounted directories, with content in a deduplicating chunk store."""

from __future__ import annotations

__version__ = "0.1.0"
