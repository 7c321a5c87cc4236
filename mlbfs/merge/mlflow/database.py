"""Makes the copies of an MLflow database ready for a merge by row.

Owns: which tables hold ids that MLflow gives by counting, and which values two sides set
differently without disagreeing.
Layer: merge.

An experiment is told by its name, and a version of a model by when and by which run it was made,
never by their numbers: base and theirs are brought to the numbers of ours (matching.py), with all
that refers to them. Then rows that have one key are one thing, and `mlbfs/merge/sqlite` does the
rest. Where artifacts lie is not changed: no folder is moved.

Of what both sides set, these are no disagreement: when a thing was made (the earlier), when it was
last changed (the later), the latest value of a metric (the later by MLflow's order), and where the
artifacts of an experiment go that both made (ours; each run says where its own are).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.merge.drivers.sqlite import Prepared
from mlbfs.merge.mlflow.matching import Known, match
from mlbfs.merge.sqlite.opening import open_database
from mlbfs.merge.sqlite.sqltext import quote
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    import apsw

_EXPERIMENT = "experiment_id"
_AWAY = 1 << 61
"""Is added to numbers for a moment, so that two may be swapped where they are unique."""

_WORKSPACE = "'default'"
"""What MLflow takes a row for that is older than workspaces."""

_VERSIONED = ("model_versions", "model_version_tags", "registered_model_aliases")
"""Tables with the name and version of a model."""

_EARLIER = ("creation_time", "creation_timestamp_ms")
_LATER = ("last_update_time", "last_updated_time", "last_updated_timestamp_ms", "deleted_time")
_TIMED = {
    "experiments": (_EXPERIMENT,),
    "runs": ("run_uuid",),
    "registered_models": ("workspace", "name"),
    "model_versions": ("workspace", "name", "version"),
    "logged_models": ("model_id",),
}
"""Tables with times that settle by themselves, and what tells their rows apart."""

_LATEST = ("step", "timestamp", "value")
"""By these MLflow tells which value of a metric is the latest."""


def prepare_database(paths: Mapping[Side, Path]) -> Prepared:
    """Brings base and theirs to the numbers of ours, and sides to one where they do not disagree.

    Args:
        paths: Copies of the versions, which are changed; an empty file is a database of nothing.

    Raises:
        apsw.Error: A version cannot be read, or breaks its own rules.
        ValueError: A text is no UTF-8.
    """
    told = [_align_experiments(paths), _align_models(paths)]
    with _opened(paths[Side.OURS]) as database:
        for side in (Side.BASE, Side.THEIRS):
            database.execute(f"ATTACH ? AS {side}", (str(paths[side]),)).fetchall()
        with database:
            changed = _settle(database)
    return Prepared(changed, ", ".join(one for one in told if one))


def counted(count: int, thing: str) -> str:
    """Returns how many things of theirs got new numbers, as words; "" for none."""
    if count < 2:
        return f"1 {thing} of theirs got a new number" if count else ""
    return f"{count} {thing}s of theirs got new numbers"


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    database = open_database(path)
    try:
        yield database
    finally:
        database.close()


def _columns(database: apsw.Connection, table: str, schema: str = "main") -> set[str]:
    """Returns the columns of a table in lower case; none if there is no such table."""
    rows = database.execute(f"PRAGMA {schema}.table_info({quote(table)})").fetchall()
    return {str(row[1]).lower() for row in rows}


# Experiments


def _align_experiments(paths: Mapping[Side, Path]) -> str:
    base, ours, theirs = (_experiments(paths[side]) for side in Side)
    found = match(base, ours, theirs, _next_number)
    for side, numbers in ((Side.BASE, found.base), (Side.THEIRS, found.theirs)):
        if numbers:
            with _opened(paths[side]) as database, database:
                _renumber_experiments(database, numbers)
    return counted(found.given, "experiment")


def _next_number(known: Known, taken: Collection[int]) -> int:
    del known  # a database counts
    return max(taken) + 1


def _experiments(path: Path) -> dict[int, Known]:
    with _opened(path) as database:
        there = _columns(database, "experiments")
        if not {_EXPERIMENT, "name"} <= there:
            return {}
        workspace = "workspace" if "workspace" in there else _WORKSPACE
        made = "creation_time" if "creation_time" in there else "NULL"
        rows = database.execute(
            f"SELECT {_EXPERIMENT}, name, {workspace}, {made} FROM experiments "
            f"WHERE typeof({_EXPERIMENT}) = 'integer'"
        ).fetchall()
    return {int(str(number)): Known((space, name), at) for number, name, space, at in rows}


def _renumber_experiments(database: apsw.Connection, numbers: Mapping[int, int]) -> None:
    """Gives experiments other numbers, in every table that has them, declared or not."""
    _make_map(database, numbers)
    tables = database.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall()
    for (name,) in tables:
        if _EXPERIMENT not in _columns(database, str(name)):
            continue
        table = quote(str(name))
        database.execute(
            f"UPDATE {table} SET {_EXPERIMENT} = m.new + {_AWAY} FROM temp.moved AS m "
            f"WHERE m.old = {_EXPERIMENT}"
        ).fetchall()
        database.execute(
            f"UPDATE {table} SET {_EXPERIMENT} = {_EXPERIMENT} - {_AWAY} "
            f"WHERE {_EXPERIMENT} > {_AWAY >> 1}"
        ).fetchall()
    for end in ("source", "destination"):
        if f"{end}_id" in _columns(database, "entity_associations"):
            _renumber_associations(database, end)
    database.execute("DROP TABLE temp.moved").fetchall()


def _renumber_associations(database: apsw.Connection, end: str) -> None:
    """Gives experiments other numbers where they are written as text."""
    is_one = f"{end}_type = 'experiment'"
    database.execute(
        f"UPDATE entity_associations SET {end}_id = 'to ' || m.new FROM temp.moved AS m "
        f"WHERE {is_one} AND {end}_id = CAST(m.old AS TEXT)"
    ).fetchall()
    database.execute(
        f"UPDATE entity_associations SET {end}_id = substr({end}_id, 4) "
        f"WHERE {is_one} AND {end}_id LIKE 'to %'"
    ).fetchall()


def _make_map(database: apsw.Connection, numbers: Mapping[int, int]) -> None:
    database.execute("CREATE TEMP TABLE moved (old INTEGER PRIMARY KEY, new INT)").fetchall()
    for pair in numbers.items():
        database.execute("INSERT INTO temp.moved VALUES (?, ?)", pair).fetchall()


# Versions of registered models


class _Model(NamedTuple):
    workspace: str
    name: str


def _align_models(paths: Mapping[Side, Path]) -> str:
    base, ours, theirs = (_versions(paths[side]) for side in Side)
    given = 0
    for model in sorted({*base, *theirs} & ours.keys(), key=str):
        old, other = base.get(model, {}), theirs.get(model, {})
        found = match(old, ours[model], other, _next_number)
        for side, numbers in ((Side.BASE, found.base), (Side.THEIRS, found.theirs)):
            if numbers:
                with _opened(paths[side]) as database, database:
                    _renumber_versions(database, model, numbers)
        given += found.given
    return counted(given, "model version")


def _versions(path: Path) -> dict[_Model, dict[int, Known]]:
    """Returns the versions of each model, told by when and by which run they were made."""
    found: dict[_Model, dict[int, Known]] = {}
    with _opened(path) as database:
        there = _columns(database, "model_versions")
        if not {"name", "version", "creation_time", "run_id"} <= there:
            return {}
        workspace = "workspace" if "workspace" in there else _WORKSPACE
        rows = database.execute(
            f"SELECT {workspace}, name, version, creation_time, run_id FROM model_versions "
            "WHERE typeof(version) = 'integer'"
        ).fetchall()
    for space, name, version, made, run in rows:
        model = _Model(str(space), str(name))
        found.setdefault(model, {})[int(str(version))] = Known((made, run), (made, run))
    return found


def _renumber_versions(
    database: apsw.Connection, model: _Model, numbers: Mapping[int, int]
) -> None:
    _make_map(database, numbers)
    for table in _VERSIONED:
        there = _columns(database, table)
        if not {"name", "version"} <= there:
            continue
        where = "name = :name"
        if "workspace" in there:
            where += " AND workspace IS :workspace"
        database.execute(
            f"UPDATE {table} SET version = m.new + {_AWAY} FROM temp.moved AS m "
            f"WHERE m.old = version AND {where}",
            model._asdict(),
        ).fetchall()
        database.execute(
            f"UPDATE {table} SET version = version - {_AWAY} "
            f"WHERE version > {_AWAY >> 1} AND {where}",
            model._asdict(),
        ).fetchall()
    database.execute("DROP TABLE temp.moved").fetchall()


# What settles by itself


def _settle(database: apsw.Connection) -> bool:
    """Sets ours and theirs to one value where they do not disagree; True if ours was changed."""
    before = database.total_changes()
    for table, key in _TIMED.items():
        for column in (*_EARLIER, *_LATER):
            _settle_time(database, table, key, column)
    _settle_latest(database)
    changed = database.total_changes() > before  # where theirs is set, ours is
    _take_locations(database)
    return changed


class _Join(NamedTuple):
    """Rows of ours and theirs that are one.

    Attributes:
        table: Their table; `o` and `t` are its rows.
        same: The condition that two rows are one.
        known: The same for a row `b` of the base, or None where the base has no such column.
    """

    table: str
    same: str
    known: str | None

    def rows(self) -> str:
        """Returns what to select from."""
        return f"main.{self.table} AS o, theirs.{self.table} AS t WHERE {self.same}"

    def unless(self, condition: str) -> str:
        """Returns the condition that no row of the base fulfils one."""
        if self.known is None:
            return "1"
        found = f"SELECT 1 FROM base.{self.table} AS b WHERE {self.known} AND ({condition})"
        return f"NOT EXISTS ({found})"


def _join(
    database: apsw.Connection, table: str, key: tuple[str, ...], columns: tuple[str, ...]
) -> _Join | None:
    """Returns how rows of ours and theirs meet; None if a side has no such table."""
    ours, theirs, base = (_columns(database, table, name) for name in ("main", "theirs", "base"))
    key = tuple(one for one in key if one in ours & theirs)
    if not key or not {*key, *columns} <= ours & theirs:
        return None
    same = " AND ".join(f"o.{one} IS t.{one}" for one in key)
    known = " AND ".join(f"b.{one} IS o.{one}" for one in key if one in base)
    return _Join(table, same, known if {*columns} <= base and known else None)


def _settle_time(database: apsw.Connection, table: str, key: tuple[str, ...], column: str) -> None:
    join = _join(database, table, key, (column,))
    if join is None:
        return
    pick = "min" if column in _EARLIER else "max"
    best = f"coalesce({pick}(o.{column}, t.{column}), o.{column}, t.{column})"
    own = join.unless(f"b.{column} IS o.{column} OR b.{column} IS t.{column}")
    query = f"{join.rows()} AND o.{column} IS NOT t.{column} AND {own}"
    _set_both(database, table, {column: best}, query)


def _settle_latest(database: apsw.Connection) -> None:
    """Takes the later value where both sides logged a metric of one run."""
    table, columns = "latest_metrics", (*_LATEST, "is_nan")
    join = _join(database, table, ("key", "run_uuid"), columns)
    if join is None:
        return
    base, ours, theirs = (", ".join(f"{one}.{name}" for name in columns) for one in "bot")
    own = join.unless(f"({base}) IS ({ours}) OR ({base}) IS ({theirs})")
    best = {name: f"iif(({ours}) >= ({theirs}), o.{name}, t.{name})" for name in columns}
    _set_both(database, table, best, f"{join.rows()} AND ({ours}) IS NOT ({theirs}) AND {own}")


def _set_both(database: apsw.Connection, table: str, best: Mapping[str, str], query: str) -> None:
    """Sets columns of rows `o` and `t` that a query finds to one value."""
    listed = ", ".join(f"v{at}" for at in range(len(best)))
    values = ", ".join(best.values())
    database.execute(f"CREATE TEMP TABLE best (o, t, {listed})").fetchall()
    database.execute(
        f"INSERT INTO temp.best SELECT o.rowid, t.rowid, {values} FROM {query}"
    ).fetchall()
    values = ", ".join(f"{name} = x.v{at}" for at, name in enumerate(best))
    for schema, row in (("main", "o"), ("theirs", "t")):
        database.execute(
            f"UPDATE {schema}.{table} AS r SET {values} FROM temp.best AS x WHERE r.rowid = x.{row}"
        ).fetchall()
    database.execute("DROP TABLE temp.best").fetchall()


def _take_locations(database: apsw.Connection) -> None:
    """Gives experiments that both made the place for artifacts that ours has."""
    column = "artifact_location"
    join = _join(database, "experiments", (_EXPERIMENT,), (column,))
    if join is not None:
        database.execute(
            f"UPDATE theirs.experiments AS t SET {column} = o.{column} FROM main.experiments AS o "
            f"WHERE {join.same} AND {join.unless('1')}"
        ).fetchall()
