"""A least-recently-used table bounded by cost.

Owns: the rule that decides what a bounded cache forgets.
Layer: workspace. Imports the standard library only.

Concurrency: safe from several threads; values are made outside the lock by the caller, so two
threads may make one value twice, and one of the two is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Values by key; the least recently used go first once the costs exceed the budget.

    The values used last are held whatever they cost: a folder that is larger than the whole budget
    would otherwise be read again for each name in it.
    """

    def __init__(self, budget: int, *, least: int = 1) -> None:
        """Makes an empty table.

        Args:
            budget: What the values may cost together.
            least: How many are held whatever they cost.
        """
        self._budget = budget
        self._least = least
        self._used = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used(self) -> int:
        """Sum of the costs of what is held."""
        return self._used

    def get(self, key: K) -> V | None:
        """Returns the value and marks it as used, or None."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Holds a value."""
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self._used -= old[1]
            self._entries[key] = (value, cost)
            self._used += cost
            while self._used > self._budget and len(self._entries) > self._least:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._used -= dropped

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()
            self._used = 0
