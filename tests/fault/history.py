"""What may be there after a power cut, by what was there after each operation and what was synced.

Names and attributes are those of one moment since the last fsync or commit returned. A file has the
bytes that were last synced, by fsync or by a commit; where it was written since, those or newer.
"""

from __future__ import annotations

from itertools import pairwise

import operations
from performing import NOTHING


def _short(operation):
    return [len(word) if len(word) > 40 else word for word in map(str, operation)]


class History:
    """What was there after each operation, and what of it is durable."""

    def __init__(self, model):
        self.operations = []
        self.states = [model.copy()]
        self.first = 0
        self.synced = dict.fromkeys(model.things, 0)
        self.commits = []

    def note(self, operation, model, answer):
        """Adds an operation; `answer` is None for the one that was under way."""
        self.operations.append(operation)
        self.states.append(model.copy())
        here = len(self.states) - 1
        if answer is None:
            return
        if operation[0] == "fsync":
            self.first = here
            self.synced[model.names[operation[1]]] = here
        if operation[0] == "commit" and answer != NOTHING:
            self.first = here
            self.synced = dict.fromkeys(model.things, here)
            self.commits.append((answer, model.files()))

    def find(self, seen):
        """Returns the model of what is there, or None if it cannot come from a power cut."""
        for place in range(len(self.states) - 1, self.first - 1, -1):
            if not self._differs(place, seen):
                return operations.learned(self.states[place], seen)
        return None

    def explain(self, seen):
        """Returns for the likeliest moment what is not as it may be."""
        found = [
            (len(self._differs(place, seen)), -place, self._differs(place, seen))
            for place in range(self.first, len(self.states))
        ]
        _, place, words = min(found)
        done = [_short(one) for one in self.operations[self.first : -place + 1]]
        return f"at {-place} of {self.first}-{len(self.states) - 1}: {words} {done}"

    def _differs(self, place, seen):
        """Returns what cannot be, if names and attributes are those of a moment."""
        state = self.states[place].copy()
        words = []
        for path in state.names.keys() & seen.keys():
            number, thing = state.names[path], state.at(path)
            thing.mtime = None
            if thing.kind == operations.FILE:
                if not self._may_hold(number, seen[path].data):
                    words.append(f"{path!r}: {self._content_of(number, seen[path].data)}")
                thing.data = seen[path].data
        return words + operations.differences(state, seen)

    def _content_of(self, number, data):
        """Describes what is wrong: where, and what was done to the file."""
        begin = self.synced.get(number)
        versions = [(at, state.things.get(number)) for at, state in enumerate(self.states)]
        known = [(at, thing.data) for at, thing in versions if thing is not None]
        last = known[-1][1]
        wrong = [at for at, byte in enumerate(data) if at >= len(last) or byte != last[at]]
        span = f"{wrong[0]} to {wrong[-1]}" if wrong else "none"
        changes = [(at, len(new)) for (at, new), (_, old) in pairwise(known[::-1]) if new != old]
        done = [(at, self.operations[at - 1][0], length) for at, length in changes[::-1]]
        return f"{len(data)} bytes, not the last ones: {span}; synced at {begin}, done {done}"

    def _may_hold(self, number, data):
        """Returns whether a file may have these bytes."""
        begin = self.synced.get(number)
        versions = [
            state.things[number].data
            for state in self.states[begin or 0 :]
            if number in state.things
        ]
        lengths = [len(version) for version in versions]
        if begin is None:
            versions.append(b"")
            lengths.append(0)
        if not min(lengths) <= len(data) <= max(lengths):
            return False
        if data in versions:
            return True
        kept = len(versions[0]) if begin is not None else 0
        return all(
            byte in {version[at] for version in versions if at < len(version)}
            or (byte == 0 and at >= kept)
            for at, byte in enumerate(data)
        )
