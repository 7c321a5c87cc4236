"""Who makes a commit, and when.

Owns: the order in which Git's sources are asked, and dates in the form Git takes them.
Layer: git. Reads no environment: the caller hands in what it wants to be heeded.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from mlbfs.errors import InvalidInputError, UserError
from mlbfs.git.commits import Identity, Signature, clean_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Role = Literal["author", "committer"]


class IdentityUnknownError(UserError):
    """Git does not know who the user is."""


def find_identity(
    role: Role, config: Callable[[str], str | None], env: Mapping[str, str]
) -> Identity:
    """Returns the person for `role`: environment, then `<role>.*`, then `user.*`.

    Args:
        role: Author or committer.
        config: Looks a key up in the Git configuration.
        env: Environment to heed (`GIT_AUTHOR_NAME` and so on, `EMAIL`); may be empty.

    Raises:
        IdentityUnknownError: There is no name or no email.
    """
    prefix = f"GIT_{role.upper()}_"
    name = env.get(prefix + "NAME") or config(f"{role}.name") or config("user.name")
    email = env.get(prefix + "EMAIL") or config(f"{role}.email") or config("user.email")
    email = email or env.get("EMAIL")
    if not name:
        raise _unknown("name", "'Your Name'")
    if not email:
        raise _unknown("email", "you@example.com")
    return clean_identity(name, email)


def _unknown(key: str, example: str) -> IdentityUnknownError:
    return IdentityUnknownError(
        f"Git does not know your {key}", hint=f"git config --global user.{key} {example}"
    )


def find_signature(
    role: Role, config: Callable[[str], str | None], env: Mapping[str, str]
) -> Signature:
    """Returns the person for `role` and the moment: `GIT_<ROLE>_DATE` or now.

    Raises:
        IdentityUnknownError: There is no name or no email.
        InvalidInputError: The date cannot be parsed.
    """
    identity = find_identity(role, config, env)
    date = env.get(f"GIT_{role.upper()}_DATE")
    return signed_at(identity, parse_date(date)) if date else signed_now(identity)


def signed_now(identity: Identity) -> Signature:
    """Returns the person at this moment, in the local time zone."""
    return signed_at(identity, _local(int(time.time())))


def signed_at(identity: Identity, moment: tuple[int, int]) -> Signature:
    """Returns the person at a moment given as (seconds, minutes east of UTC)."""
    return Signature(identity.name, identity.email, *moment)


def _local(seconds: int) -> tuple[int, int]:
    return seconds, time.localtime(seconds).tm_gmtoff // 60


_RAW_DATE = re.compile(r"@?(\d+)(?: ([+-])(\d\d)(\d\d))?")


def parse_date(text: str) -> tuple[int, int]:
    """Parses `<seconds> <zone>`, `@<seconds>` or an ISO 8601 date to (seconds, minutes).

    Raises:
        InvalidInputError: It is neither.
    """
    raw = _RAW_DATE.fullmatch(text.strip())
    if raw is not None and (raw[2] or text.startswith("@") or len(raw[1]) > 8):
        minutes = int(raw[3]) * 60 + int(raw[4]) if raw[2] else 0
        return int(raw[1]), -minutes if raw[2] == "-" else minutes
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as err:
        raise InvalidInputError(
            f"{text!r} is not a date", hint="write it as 2026-01-31T12:00:00+01:00"
        ) from err
    if moment.tzinfo is None:
        moment = moment.astimezone()
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset is not None else 0
    return int(moment.astimezone(UTC).timestamp()), minutes
