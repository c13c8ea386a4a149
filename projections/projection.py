"""What a view is: tables, a handler for each event it wants, and how a batch becomes rows.

A view folds a batch of events into changes by key and writes each table once: new or whole
rows by one upsert, changed columns of rows that stand by one update. It sets values, so doing
it twice is harmless; where it keeps a sum (`Merge.ADD`) the tracked position, which moves in
the same transaction, makes it happen once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple, TypeVar

from psycopg import sql
from psycopg.pq.abc import PGresult

from application.log.ports import Recorded
from domain.events import DomainEvent
from domain.upcasts import UPCASTS
from projections.columns import (
    COPY_END,
    COPY_SIGNATURE,
    ColumnType,
    Fields,
    copy_rows,
)
from projections.connections import Connection, Statement, ViewConnection

Row = dict[str, Any]
Key = Any
Handler = TypeVar("Handler", bound=Callable[..., None])


class Merge(Enum):
    """What an upsert does with a column of a row that stands already."""

    SET = "EXCLUDED.{c}"
    FILL = "COALESCE(EXCLUDED.{c}, {t}.{c})"
    FIRST = "COALESCE({t}.{c}, EXCLUDED.{c})"
    ADD = "{t}.{c} + EXCLUDED.{c}"
    GREATEST = "GREATEST({t}.{c}, EXCLUDED.{c})"
    LEAST = "LEAST({t}.{c}, EXCLUDED.{c})"


class Column(NamedTuple):
    """One column; `nullable` ones are unknown until an event says them."""

    name: str
    type: ColumnType
    nullable: bool = False
    merge: Merge = Merge.SET


class Index(NamedTuple):
    """A second way to find rows; `where` makes it partial."""

    name: str
    columns: tuple[str, ...]
    where: str = ""


class Table(NamedTuple):
    """One table of a view. The stable name that queries use is an SQL view of `name`.

    `fresh` says that a put always makes a new row, so that a first fill may COPY it.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    fillfactor: int = 100
    fresh: bool = False


class MissingRow(Exception):
    """A view was told to change a row that it does not have: it has missed an event."""

    def __init__(self, table: str, missing: int) -> None:
        super().__init__(f"{missing} changed rows of {table} do not stand there")


class Changes:
    """The changes of one table in one batch, by key."""

    __slots__ = ("patches", "puts", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.puts: dict[Key, Row] = {}
        self.patches: dict[Key, Row] = {}

    def put(self, key: Key, row: Row) -> None:
        """A whole row."""
        self.puts[key] = row

    def patch(self, key: Key, columns: Row) -> None:
        """Columns of a row that stands, with the key's own columns among them."""
        row = self.puts.get(key) or self.patches.get(key)
        if row is None:
            self.patches[key] = columns
        else:
            row.update(columns)

    def __len__(self) -> int:
        return len(self.puts) + len(self.patches)

    def clear(self) -> None:
        """Forget the batch."""
        self.puts = {}
        self.patches = {}


def on(*event_classes: type[DomainEvent]) -> Callable[[Handler], Handler]:
    """Mark the method of a view that handles these events: called with position and event."""

    def mark(method: Handler) -> Handler:
        method.handles = event_classes  # type: ignore[attr-defined]
        return method

    return mark


class Projection:
    """A view: derived from the log alone, thrown away and built again at will."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[Table, ...]]

    def __init__(self) -> None:
        self.changes = tuple(Changes(table) for table in self.tables)
        self.handlers: dict[type[DomainEvent], Callable[[int, Any], None]] = {}
        for attribute in dir(type(self)):
            method = getattr(self, attribute)
            for event_class in getattr(method, "handles", ()):
                self.handlers[event_class] = method

    @property
    def topics(self) -> tuple[str, ...]:
        """The stored topics it wants, with the old shapes that are read as them."""
        wanted = {event_class.TOPIC for event_class in self.handlers}
        stems = {_stem(topic) for topic in wanted}
        return tuple(sorted(wanted | {old for old in UPCASTS if _stem(old) in stems}))

    def clear(self) -> None:
        """Forget the batch before."""
        for changes in self.changes:
            changes.clear()

    def fold(self, batch: Iterable[Recorded]) -> None:
        """Turn a batch into changes, in place of those of the batch before."""
        Folding([self]).fold(batch)


class FoldFailed(Exception):
    """A view could not take an event; the cause is the error."""

    def __init__(self, view: Projection) -> None:
        super().__init__(view.name)
        self.view = view


class Folding:
    """Several views that take the same batches, each gone through once."""

    def __init__(self, views: Iterable[Projection]) -> None:
        self._views = tuple(views)
        self._handlers: dict[type[DomainEvent], tuple[Callable[[int, Any], None], ...]] = {}
        for view in self._views:
            for event_class, method in view.handlers.items():
                self._handlers[event_class] = (*self._handlers.get(event_class, ()), method)

    def fold(self, batch: Iterable[Recorded]) -> None:
        """Turn a batch into the changes of every view; raises FoldFailed."""
        for view in self._views:
            view.clear()
        wanted = self._handlers.get
        handler: Callable[[int, Any], None] | None = None
        try:
            for position, event in batch:
                for handler in wanted(type(event), ()):
                    handler(position, event)
        except Exception as error:
            assert handler is not None
            raise FoldFailed(handler.__self__) from error  # type: ignore[attr-defined]


def _stem(topic: str) -> str:
    """A topic without its version."""
    return topic.rpartition(".v")[0]


class TableWriter:
    """The statements of one table under one name: the one in use, or one that is being built."""

    def __init__(self, table: Table, relation: str) -> None:
        self.table = table
        self.relation = relation
        # Rendered once: composing costs more than sending.
        self._upsert = _upsert(table, relation).as_bytes(None)
        self._copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(relation), _names(column.name for column in table.columns)
        )
        self._updates: dict[tuple[str, ...], bytes] = {}

    def statements(self, changes: Changes) -> list[Statement]:
        """What writes the changes of one batch: an upsert, an update, both or nothing."""
        found = []
        if changes.puts:
            rows = changes.puts.values()
            arrays = [c.type.array_of(encode(c, rows)) for c in self.table.columns]
            found.append(Statement(self._upsert, arrays))
        if changes.patches:
            found.append(self._update(changes.patches.values()))
        return found

    async def fill(self, session: ViewConnection, changes: Changes) -> None:
        """Write the changes of a first fill, which copies rows that must be new."""
        if self.table.fresh and changes.puts:
            await self._copy_in(session.conn, changes.puts.values())
            changes.puts = {}
        if changes:
            await session.run(self.statements(changes))

    async def _copy_in(self, conn: Connection, rows: Iterable[Row]) -> None:
        fields = [encode(c, rows) for c in self.table.columns]
        async with conn.cursor() as cursor, cursor.copy(self._copy) as copy:
            await copy.write(COPY_SIGNATURE + copy_rows(fields) + COPY_END)

    def _update(self, rows: Collection[Row]) -> Statement:
        present: set[str] = set().union(*rows)
        columns = tuple(c for c in self.table.columns if c.name in present)
        names = tuple(c.name for c in columns)
        text = self._updates.get(names)
        if text is None:
            text = _update(self.table, self.relation, columns).as_bytes(None)
            self._updates[names] = text
        arrays = [
            c.type.array_of(c.type.encode([row.get(c.name) for row in rows])) for c in columns
        ]

        def all_stand(result: PGresult) -> None:
            if result.command_tuples != len(rows):
                raise MissingRow(self.relation, len(rows) - (result.command_tuples or 0))

        return Statement(text, arrays, all_stand)


def encode(column: Column, rows: Iterable[Row]) -> Fields:
    """A column of whole rows; what may be unknown may be left out of a row."""
    name = column.name
    if column.nullable:
        return column.type.encode([row.get(name) for row in rows])
    return column.type.encode(list(map(itemgetter(name), rows)))


def create_table(table: Table, relation: str) -> sql.Composed:
    """The table with its key; the other indexes come when it is filled."""
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(c.name),
            sql.SQL(c.type.ddl),
            sql.SQL("" if c.nullable else " NOT NULL"),
        )
        for c in table.columns
    ]
    key = sql.SQL("CONSTRAINT {} PRIMARY KEY ({})").format(
        sql.Identifier(f"{relation}_pkey"), _names(table.key)
    )
    return sql.SQL("CREATE TABLE {} ({}, {}) WITH (fillfactor = {})").format(
        sql.Identifier(relation),
        sql.SQL(", ").join(columns),
        key,
        sql.Literal(table.fillfactor),
    )


def create_indexes(table: Table, relation: str) -> list[sql.Composed]:
    """What finds rows otherwise than by key."""
    return [
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({}){}").format(
            sql.Identifier(f"{relation}_{index.name}"),
            sql.Identifier(relation),
            _names(index.columns),
            sql.SQL(f" WHERE {index.where}" if index.where else ""),
        )
        for index in table.indexes
    ]


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _unnested(columns: Iterable[Column]) -> sql.Composed:
    """Arrays taken apart side by side, as columns of what is selected: as a table each of them
    would be kept in a store of rows of its own first.
    """
    return sql.SQL(", ").join(
        sql.SQL(f"unnest(${number}::{column.type.array}) AS {{}}").format(
            sql.Identifier(column.name)
        )
        for number, column in enumerate(columns, 1)
    )


def _merged(column: Column, table: sql.Identifier, source: str) -> sql.Composed:
    expression = column.merge.value.replace("EXCLUDED", source)
    return sql.SQL(expression).format(c=sql.Identifier(column.name), t=table)


def _upsert(table: Table, relation: str) -> sql.Composed:
    target = sql.Identifier(relation)
    rest = [c for c in table.columns if c.name not in table.key]
    settings = [
        sql.SQL("{} = {}").format(sql.Identifier(c.name), _merged(c, target, "EXCLUDED"))
        for c in rest
    ]
    return sql.SQL("INSERT INTO {} ({}) SELECT {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        target,
        _names(c.name for c in table.columns),
        _unnested(table.columns),
        _names(table.key),
        sql.SQL(", ").join(settings),
    )


def _update(table: Table, relation: str, columns: Sequence[Column]) -> sql.Composed:
    """Set the named columns; a null says nothing, and a column keeps its own way to merge."""
    target = sql.Identifier(relation)
    settings = [
        sql.SQL("{} = {}").format(
            sql.Identifier(c.name),
            _merged(c if c.merge is not Merge.SET else c._replace(merge=Merge.FILL), target, "u"),
        )
        for c in columns
        if c.name not in table.key
    ]
    found = [
        sql.SQL("{}.{} = u.{}").format(target, sql.Identifier(name), sql.Identifier(name))
        for name in table.key
    ]
    return sql.SQL("UPDATE {} SET {} FROM (SELECT {}) AS u WHERE {}").format(
        target, sql.SQL(", ").join(settings), _unnested(columns), sql.SQL(" AND ").join(found)
    )
