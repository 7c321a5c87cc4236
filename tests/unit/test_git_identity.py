"""Who makes a commit, and when: no repository, no environment."""

from __future__ import annotations

import pytest

from mlbfs.errors import InvalidInputError, UserError
from mlbfs.git.commits import Identity, Signature, clean_identity, encode_signature
from mlbfs.git.identity import IdentityUnknownError, find_identity, find_signature, parse_date

CONFIG = {"user.name": "Ada", "user.email": "ada@x", "committer.email": "bot@x"}


@pytest.mark.parametrize(
    ("role", "env", "expected"),
    [
        ("author", {}, Identity("Ada", "ada@x")),
        ("committer", {}, Identity("Ada", "bot@x")),
        ("author", {"GIT_AUTHOR_NAME": "Env"}, Identity("Env", "ada@x")),
        ("committer", {"GIT_AUTHOR_NAME": "Env"}, Identity("Ada", "bot@x")),
    ],
)
def test_sources_are_asked_in_the_order_of_git(role, env, expected):
    """Variables win over `<role>.*`, which wins over `user.*`."""
    assert expected == find_identity(role, CONFIG.get, env)


@pytest.mark.parametrize(
    ("config", "word"), [({}, "user.name"), ({"user.name": "Ada"}, "user.email")]
)
def test_what_is_missing_is_named_with_the_command(config, word):
    """The hint is what to type."""
    with pytest.raises(IdentityUnknownError) as caught:
        find_identity("author", config.get, {})
    assert isinstance(caught.value, UserError)
    assert (caught.value.hint or "").startswith(f"git config --global {word} ")


def test_email_may_come_from_the_login():
    """`EMAIL` is the last resort, as in Git."""
    found = find_identity("author", {"user.name": "Ada"}.get, {"EMAIL": "e@x"})
    assert found == Identity("Ada", "e@x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000 +0130", (1_700_000_000, 90)),
        ("1700000000 -0800", (1_700_000_000, -480)),
        ("@12", (12, 0)),
        ("1700000000", (1_700_000_000, 0)),
        ("2023-11-14T22:13:20+00:00", (1_700_000_000, 0)),
        ("2023-11-14 23:13:20+01:00", (1_700_000_000, 60)),
        ("2023-11-14T22:13:20Z", (1_700_000_000, 0)),
    ],
)
def test_dates_of_git_are_read(text, expected):
    """Seconds with a zone, and ISO 8601."""
    assert expected == parse_date(text)
    signature = find_signature("author", CONFIG.get, {"GIT_AUTHOR_DATE": text})
    assert (signature.time, signature.offset) == expected


def test_a_bad_date_is_refused():
    """With the form that works as the hint."""
    with pytest.raises(InvalidInputError, match="'soon' is not a date"):
        parse_date("soon")


@pytest.mark.parametrize(
    ("name", "email", "expected"),
    [
        ("  Ada <x>\n", "<ada@x>", Identity("Ada x", "ada@x")),
        ("A. B. C.", "a@b", Identity("A. B. C", "a@b")),
        ("Zoë", "", Identity("Zoë", "")),
    ],
)
def test_names_lose_what_git_drops(name, email, expected):
    """Brackets, line ends, and punctuation at both ends."""
    assert expected == clean_identity(name, email)


@pytest.mark.parametrize(
    "signature",
    [
        Signature("", "a@b", 1),
        Signature(".,;", "a@b", 1),
        Signature("A", "a@b", -1),
        Signature("A", "a@b", 1, 6000),
        Signature("\udcff", "a@b", 1),
    ],
)
def test_what_git_cannot_keep_is_refused(signature):
    """No name, a time before 1970, an impossible zone, a name that is no text."""
    with pytest.raises(InvalidInputError):
        encode_signature(signature)
