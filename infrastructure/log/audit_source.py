"""A store as an auditor reads it: whole rows, at one moment, read ahead while they are judged."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString, Self, cast
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from application.audit.second_books.credentials import CredentialRow
from application.audit.snapshots import AggregateSnapshot
from application.audit.verify import StoredRow
from application.log.ports import DeskSnapshot, RequestKey
from domain.events import DomainEvent
from domain.upcasts import UPCASTS
from infrastructure.log.codec import decode_event, encode_event, typed_columns
from infrastructure.log.statements import INDEXES_ALONE, WHOLE_ROW, EventTable, Query, Wanted
from infrastructure.log.stores import Stores, leave_readers

PAGE = 10_000
SNAPSHOTS = 100
"""How many snapshots of aggregates are read at a time; an account's may be large."""


class StoredCodec:
    """The codec of the log as the audit needs it (`application.audit.verify.Codec`)."""

    def __init__(self) -> None:
        self._old = {name: msgspec.msgpack.Decoder(shape) for name, (shape, _) in UPCASTS.items()}

    def decode(self, topic: str, state: bytes) -> DomainEvent:
        """The event in a row, in today's shape."""
        return decode_event(topic, state)

    def encode_again(self, topic: str, state: bytes, event: DomainEvent) -> bytes:
        """The event's bytes in the shape it was stored in: an old topic's, or a new one's before
        fields were added at its end.
        """
        whole = encode_event(event if topic == event.TOPIC else self._old[topic].decode(state))
        if whole == state:
            return whole
        stored, fields = msgspec.msgpack.decode(state), msgspec.msgpack.decode(whole)
        return encode_event(fields[: len(stored)])

    def columns(self, event: DomainEvent) -> tuple[Any, ...]:
        """The typed columns of an event."""
        return typed_columns(event)


class PostgresAuditSource:
    """One partition's store, as it stood when this was opened (`audit.verify.AuditSource`).

    One transaction sees one state of all tables, so that what is written meanwhile is no error.
    """

    def __init__(self, dsn: str, schema: str, *, pinned: bool = False) -> None:
        self._conn, state = Stores(dsn, schema, pinned=pinned).connect_now(
            "nexus audit", reading=not pinned
        )
        self._conn.autocommit = False
        self._conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._conn.read_only = True
        self._schema = sql.Identifier(state.address.schema)
        self._events = EventTable(state.address.schema, state.layout)
        self._ahead = ThreadPoolExecutor(1, "read-ahead")
        if not pinned:
            # From this statement on the transaction sees what there was while this was the truth.
            self._conn.execute(*leave_readers(state.address))
        for setting in INDEXES_ALONE:
            self._conn.execute(sql.SQL("SET LOCAL {} TO off").format(sql.Identifier(setting)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the server."""
        self._ahead.shutdown()
        self._conn.close()

    def last_position(self) -> int:
        """The position of the newest row; 0 in an empty log."""
        return int(self._fetch(self._events.last())[0][0])

    def pages(self, after: int = 0) -> Iterator[Sequence[StoredRow]]:
        """Every row above a position; the next page is read while one is judged."""
        following = self._ahead.submit(self.page, after, PAGE)
        while rows := following.result():
            following = self._ahead.submit(self.page, rows[-1][0], PAGE)
            yield rows

    def page(self, after: int, limit: int) -> list[StoredRow]:
        """Rows above a position, in order."""
        return self._stored(Wanted(after=after, limit=limit))

    def stream(
        self, originator_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[StoredRow]:
        """The rows of one aggregate above a version, in order, at most `limit`."""
        wanted = Wanted(originator=originator_id, after_version=after_version or None, limit=limit)
        return [StoredRow._make(row) for row in self._stored(wanted)]

    def _stored(self, wanted: Wanted) -> list[StoredRow]:
        # Plain tuples in the order of StoredRow: naming the fields of each would cost as much
        # as judging it.
        return cast("list[StoredRow]", self._fetch(self._events.select(wanted, WHOLE_ROW)))

    def keys(
        self, wanted: Sequence[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], tuple[bytes, int]]:
        """The stored (fingerprint, position) of request keys."""
        rows = self._rows(
            "SELECT k.account_id, k.request_key, k.fingerprint, k.position"
            " FROM unnest(%s::uuid[], %s::text[]) AS w (account_id, request_key)"
            " CROSS JOIN LATERAL (SELECT * FROM {schema}.request_keys r WHERE"
            " r.account_id = w.account_id AND r.request_key = w.request_key) k",
            ([account for account, _ in wanted], [key for _, key in wanted]),
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def keys_named(self, key: str) -> list[RequestKey]:
        """Every account's request key of this name."""
        rows = self._rows(
            "SELECT account_id, request_key, fingerprint, position FROM {schema}.request_keys"
            " WHERE request_key = %s ORDER BY position",
            (key,),
        )
        return [RequestKey(*row) for row in rows]

    def key_count(self) -> int:
        """How many request keys are stored."""
        return int(self._rows("SELECT count(*) FROM {schema}.request_keys", ())[0][0])

    def credentials(self) -> Sequence[CredentialRow] | None:
        """Every key as it is stored; None where no writer has led yet, as after a log was brought
        back from an archive: the first one looks after the keys.
        """
        if not self._rows("SELECT FROM {schema}.writer_epoch WHERE epoch > 0", ()):
            return None
        rows = self._rows(
            "SELECT key_id, secret_sha256, account_id, role, scopes, label, expires_at, version,"
            " position, (extract(epoch FROM created_at) * 1000000)::bigint,"
            " COALESCE((extract(epoch FROM revoked_at) * 1000000)::bigint, 0)"
            " FROM {schema}.api_keys ORDER BY key_id",
            (),
        )
        return [CredentialRow._make(row)._replace(scopes=tuple(row[4])) for row in rows]

    def subjects(self) -> Sequence[UUID]:
        """Every person whose key is kept."""
        rows = self._rows("SELECT subject FROM {schema}.subjects WHERE key IS NOT NULL", ())
        return [row[0] for row in rows]

    def tracked(self) -> Sequence[tuple[str, int, int]]:
        """Every view's (name, version, position)."""
        rows = self._rows(
            "SELECT name, version, position FROM {schema}.projection_tracking ORDER BY 1, 2", ()
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def ledger_view(self) -> tuple[int, Mapping[tuple[UUID, int], int]] | None:
        """How far the view of the ledger is, and its amounts by party and ledger; None when
        there is no such view.
        """
        found = self._rows(
            "SELECT position FROM {schema}.projection_tracking"
            " WHERE name = 'ledger' AND state = 'active'",
            (),
        )
        if not found:
            return None
        rows = self._rows("SELECT party, ledger, amount FROM {schema}.ledger_balances", ())
        return int(found[0][0]), {(row[0], row[1]): int(row[2]) for row in rows}

    def desk_snapshots(self) -> Iterator[DeskSnapshot]:
        """Every desk snapshot by position, each read when it is asked for; one whose parts cannot
        be unpacked has no state.
        """
        kept = self._rows("SELECT DISTINCT position FROM {schema}.desk_snapshots ORDER BY 1", ())
        for (position,) in kept:
            parts = self._rows(
                "SELECT state_hash, state FROM {schema}.desk_snapshots WHERE position = %s"
                " ORDER BY part",
                (position,),
            )
            try:
                state = zlib.decompress(b"".join(bytes(part[1]) for part in parts))
            except zlib.error:
                state = b""
            yield DeskSnapshot(int(position), bytes(parts[0][0]), state)

    def aggregate_snapshots(self) -> Iterator[AggregateSnapshot]:
        """Every aggregate snapshot, ordered by id and version, a few at a time."""
        after = UUID(int=0), 0
        while rows := self._rows(
            "SELECT originator_id, originator_version, topic, state FROM {schema}.snapshots"
            " WHERE (originator_id, originator_version) > (%s, %s)"
            " ORDER BY originator_id, originator_version LIMIT %s",
            (*after, SNAPSHOTS),
        ):
            for row in rows:
                yield AggregateSnapshot(*row)
            after = rows[-1][0], rows[-1][1]

    def _rows(self, text: LiteralString, arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        query = sql.SQL(text).format(schema=self._schema)
        with self._conn.cursor(binary=True) as cursor:
            return cursor.execute(query, arguments).fetchall()

    def _fetch(self, query: Query) -> list[tuple[Any, ...]]:
        with self._conn.cursor(binary=True) as cursor:
            return cursor.execute(query.text, query.values).fetchall()
