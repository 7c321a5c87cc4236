"""What comes out differently on a mount than on ext4, and why; docs/semantics.md says the same.

An exception that explains nothing any more fails the full run.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Exception_(NamedTuple):  # noqa: N801 - the plain word is taken
    """One kind of difference that is allowed.

    Attributes:
        name: Short, unique.
        promise: Number of the sentence in docs/semantics.md that says so.
        step: The steps it is about.
        answers: On the mount and on ext4; None where the answers are alike, but not what they did.
        reason: Why it cannot be, or should not be, as on ext4.
    """

    name: str
    promise: str
    step: re.Pattern[str]
    answers: tuple[str, str] | None
    reason: str


def _table() -> tuple[Exception_, ...]:
    rows = (
        ("fallocate", "S70", "fallocate .*", ("ENOTSUP", "ok"), _NO_HANDLER),
        ("tmpfile", "S70", "open .*tmpfile.*", ("ENOTSUP", "ok"), _NO_HANDLER),
        ("seek data", "S70", "seek .* (data|hole)", None, _NO_HANDLER),
        (
            "seek beyond",
            "S71",
            "seek @a 7e set",
            ("8070450532247928832", "EINVAL"),
            "The kernel lets a position in a FUSE file be anything; ext4 ends at 16 TiB.",
        ),
        (
            "whiteout",
            "S70",
            "renameat2 .*whiteout",
            ("EINVAL", "ok"),
            "The kernel does not pass this flag on to FUSE.",
        ),
        (
            "device",
            "S33",
            "open c?d? .*",
            ("EACCES", "ok"),
            "A mount has `nodev`: a device node in somebody's repository must not open a device.",
        ),
        (
            "set attribute",
            "S60",
            "l?setx .* (security|trusted)\\..*",
            ("ENOTSUP", "ok"),
            _USER_ONLY,
        ),
        (
            "get attribute",
            "S60",
            "getx .* (security|system)\\..*",
            ("ENOTSUP", "ENODATA"),
            _USER_ONLY,
        ),
        (
            "long attribute",
            "S61",
            "setx .* user.a 64k\\*v",
            ("ok", "ENOSPC"),
            "ext4 has room for a block; the overlay takes what Linux allows.",
        ),
        (
            "far future",
            "S42",
            "utime f 15032385535 15032385536",
            ("ok", "ok"),
            "Times are kept as nanoseconds in 64 bits, which end in 2262; those of ext4 in 2446.",
        ),
        (
            "set-group-id of data",
            "S35",
            "(write|chown) .*",
            None,
            "Without the execute bit of the group, set-group-id lends nothing. The kernel says"
            " nothing of it before a write or an empty chown over FUSE.",
        ),
    )
    return tuple(Exception_(row[0], row[1], re.compile(row[2]), row[3], row[4]) for row in rows)


_NO_HANDLER = "pyfuse3 has no handler for it; programs fall back."
_USER_ONLY = "Only `user.*` is kept: the other names are the kernel's, which asks for them often."

EXCEPTIONS = _table()
