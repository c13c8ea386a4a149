"""What must hold of every log, whatever happened to the processes that wrote it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from application.commands import ReadState
from application.desk.desk import Desk
from application.desk.state import state_hash
from application.log.ports import Recorded
from application.writer.loading import load_desk
from application.writer.request_keys import key_of_event
from domain.events import (
    DomainEvent,
    GroupEnded,
    GroupPlaced,
    GroupResized,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from domain.terms import Leg
from infrastructure.command_bus import UnixSocketBus
from infrastructure.log.memory import MemorySnapshots
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.writing import PostgresEventLog


class CheckedLog:
    """A whole log, read once; each check raises AssertionError with what is wrong."""

    def __init__(self, dsn: str, schema: str, recorded: Sequence[Recorded]) -> None:
        self.dsn = dsn
        self.schema = schema
        self.recorded = recorded

    @property
    def events(self) -> list[DomainEvent]:
        """The events alone."""
        return [event for _, event in self.recorded]

    def check(self) -> None:
        """Everything that one look at the rows can tell."""
        assert list(range(1, len(self.recorded) + 1)) == [p for p, _ in self.recorded]
        versions: Counter[UUID] = Counter()
        for position, event in self.recorded:
            versions[event.originator_id] += 1
            assert versions[event.originator_id] == event.originator_version, position
        self._check_commands_are_whole()
        self._check_ledger()
        self._check_keys()
        self.check_groups()

    def _check_commands_are_whole(self) -> None:
        seen: set[UUID] = set()
        last = None
        for position, event in self.recorded:
            if event.correlation_id != last:
                last = event.correlation_id
                assert last not in seen, f"command {last} goes on at {position}"
                seen.add(last)

    def _check_ledger(self) -> None:
        total = 0
        for position, event in self.recorded:
            postings = getattr(event, "postings", ())
            assert 0 == sum(amount for _, _, amount in postings), position
            total += len(postings)
        assert total or not any(isinstance(e, OrderAccepted) for e in self.events)

    def _check_keys(self) -> None:
        """Each request key once, kept where its first event is."""
        of_events = {}
        for position, event in self.recorded:
            key = key_of_event(event, position)
            if key is not None:
                assert (key.account_id, key.key) not in of_events, f"{key.key} at {position}"
                of_events[key.account_id, key.key] = (bytes(key.fingerprint), position)
        with psycopg.connect(self.dsn) as conn:
            rows = conn.execute(
                sql.SQL("SELECT account_id, request_key, fingerprint, position FROM {}.{}").format(
                    sql.Identifier(self.schema), sql.Identifier("request_keys")
                )
            ).fetchall()
        stored = {(row[0], row[1]): bytes(row[2]) for row in rows}
        assert {key: found[0] for key, found in of_events.items()} == stored

    def check_groups(self) -> int:
        """No exit outlives its group, no group its legs, and none trades more than it may.

        Returns how many groups there were.
        """
        groups: dict[UUID, GroupPlaced] = {}
        over: set[UUID] = set()
        exit_qty: dict[UUID, int] = {}
        traded: Counter[UUID] = Counter()
        working: dict[UUID, set[UUID]] = {}
        for position, event in self.recorded:
            if isinstance(event, GroupPlaced):
                groups[event.originator_id] = event
                working[event.originator_id] = set()
                exit_qty[event.originator_id] = event.qty
            elif isinstance(event, GroupEnded):
                assert event.originator_id not in over, position
                over.add(event.originator_id)
            elif isinstance(event, GroupResized):
                exit_qty[event.originator_id] = max(
                    exit_qty[event.originator_id], event.exit_qty_after
                )
            elif isinstance(event, OrderEvent) and getattr(event, "leg", 0):
                self._follow_leg(event, working, traded)
        for group_id in groups:
            assert bool(working[group_id]) != (group_id in over), group_id
            assert traded[group_id] <= exit_qty[group_id], group_id
        return len(groups)

    @staticmethod
    def _follow_leg(event: Any, working: dict[UUID, set[UUID]], traded: Counter[UUID]) -> None:
        legs = working[event.group_id]
        if isinstance(event, OrderAccepted):
            legs.add(event.originator_id)
        elif isinstance(event, OrderFilled):
            assert event.originator_id in legs
            traded[event.group_id] += event.qty if event.leg != Leg.ENTRY else 0
            if not event.leaves_after:
                legs.remove(event.originator_id)
        elif isinstance(event, OrderCanceled | OrderExpired):
            legs.remove(event.originator_id)

    def orders_by_client_id(self) -> dict[str, list[tuple[int, OrderAccepted | OrderRejected]]]:
        """Where the log says what became of each client order id."""
        found: dict[str, list[tuple[int, OrderAccepted | OrderRejected]]] = {}
        for position, event in self.recorded:
            if isinstance(event, OrderAccepted | OrderRejected):
                if event.client_order_id == str(event.originator_id):
                    # A nested leg: its parent carries the client's id.
                    continue
                found.setdefault(event.client_order_id, []).append((position, event))
        return found


def read_log(dsn: str, schema: str) -> CheckedLog:
    """Read the whole log."""

    async def read() -> list[Recorded]:
        async with PostgresEventSource(dsn, schema) as source:
            return list(await source.read(0, 10_000_000))

    return CheckedLog(dsn, schema, asyncio.run(read()))


def replayed(dsn: str, schema: str, *, with_snapshots: bool) -> Desk:
    """The desk from the first event on, or from the newest snapshot on."""

    async def load() -> Desk:
        log = PostgresEventLog(dsn, schema, 0)
        try:
            if with_snapshots:
                return (await load_desk(log, PostgresSnapshots(dsn, schema), 0))[0]
            return (await load_desk(log, MemorySnapshots(), 0))[0]
        finally:
            await log.close()

    return asyncio.run(load())


def writers_state(path: Path) -> tuple[int, str]:
    """Position and state hash of the writer that leads."""

    async def read() -> tuple[int, str]:
        bus = UnixSocketBus(path)
        try:
            reply = await bus.send(ReadState(hashed=True), "tester", "test")
        finally:
            await bus.close()
        assert reply.result is not None
        return reply.result["position"], reply.result["state_hash"]

    return asyncio.run(read())


def check_replay(dsn: str, schema: str, bus: Path) -> None:
    """The live writer, a full replay and the newest snapshot with its tail are one state."""
    position, live = writers_state(bus)
    for with_snapshots in (False, True):
        desk = replayed(dsn, schema, with_snapshots=with_snapshots)
        assert (position, live) == (desk.position, state_hash(desk).hex())
