"""Numbers of MLflow are matched by what they stand for, whatever the sides call them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlbfs.merge.mlflow.matching import Known, match

NAMES = st.sampled_from("abcdef")


@st.composite
def versions(draw: st.DrawFn) -> dict[int, Known]:
    """Things with numbers of their own and names that no other has."""
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    numbers = draw(
        st.lists(st.integers(0, 6), unique=True, min_size=len(names), max_size=len(names))
    )
    return {number: Known(name, ord(name)) for number, name in zip(numbers, names, strict=True)}


def fresh(known: Known, taken: object) -> int:
    assert isinstance(taken, set)
    return max(taken) + 1


@given(versions(), versions(), versions())
def test_one_name_has_one_number_and_one_number_one_name(base, ours, theirs) -> None:
    """After it, a number stands for one name in all versions; ours keeps all of its own."""
    found = match(base, ours, theirs, fresh)
    meaning = {number: known.name for number, known in ours.items()}
    for side, numbers in ((base, found.base), (theirs, found.theirs)):
        moved = {numbers.get(old, old): known.name for old, known in side.items()}
        assert len(moved) == len(side)
        for number, name in moved.items():
            assert meaning.setdefault(number, name) == name
    assert len(set(meaning.values())) == len(meaning)


@given(versions(), versions())
def test_what_is_as_the_base_stays_so(base, ours) -> None:
    """Theirs that did nothing has the numbers of the base, so that a merge of it does nothing."""
    found = match(base, ours, base, fresh)
    assert found.base == found.theirs
    assert found.given == 0


def test_another_name_is_the_same_thing() -> None:
    """An experiment that one side renamed keeps its number; one made at another time is another."""
    base = {1: Known("a", 10)}
    assert match(base, base, {1: Known("b", 10)}, fresh).theirs == {}
    assert match(base, base, {1: Known("b", 11)}, fresh).theirs == {1: 2}


def test_a_branch_that_goes_on_meets_its_own_things() -> None:
    """Theirs was merged once, and one thing of it got another number; it is found again."""
    before = {1: Known("theirs", 10)}
    ours = {1: Known("ours", 11), 2: Known("theirs", 10)}
    now = before | {2: Known("later", 12)}
    found = match(before, ours, now, fresh)
    assert found.base == {1: 2}
    assert found.theirs == {1: 2, 2: 3}
