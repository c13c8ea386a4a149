"""What every reader of the log in PostgreSQL can be asked, whatever its patience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from application.log.ports import Recorded, RequestKey
from application.turns import Turn
from infrastructure.log.codec import recorded
from infrastructure.log.pool import StorePool
from infrastructure.log.statements import Ask, EventTable, Subqueries, Wanted

ROWS_AT_ONCE = 64
"""So many rows are read and decoded before others have their turn, where they wait for one."""


class EventReads:
    """Reads the committed events of a partition; a subclass says how, and where, it is asked."""

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events with positions above `after`, in order, at most `limit`."""
        return await self._recorded(Wanted(after=after, topics=list(topics) or (), limit=limit))

    async def read_range(
        self, after: int, up_to: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events above `after` and up to a position; other topics never leave the server.

        It is for rebuilds: how far it has read is known whatever the topics left out.
        """
        return await self._recorded(Wanted(after=after, up_to=up_to, topics=list(topics) or ()))

    async def read_of_account(
        self, account_id: UUID, after: int, up_to: int, limit: int, topics: Sequence[str]
    ) -> Sequence[Recorded]:
        """The committed events of an account above `after` and up to a position that are of these
        topics, in order, at most `limit`. The server looks at every event of the range.
        """
        return await self._recorded(
            Wanted(
                after=after,
                up_to=up_to,
                topics=list(topics) or (),
                account=account_id,
                limit=limit,
            )
        )

    async def read_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The committed events at these positions, in order."""
        return await self._recorded(Wanted(positions=list(positions))) if positions else ()

    async def stream(
        self, originator_id: UUID, after_version: int = 0, up_to_version: int | None = None
    ) -> Sequence[Recorded]:
        """The events of one aggregate above a version, at most up to another, in order."""
        return await self._recorded(
            Wanted(
                originator=originator_id, after_version=after_version, up_to_version=up_to_version
            )
        )

    async def first_events(self, originator_ids: Sequence[UUID]) -> Sequence[Recorded]:
        """The first event of each of these aggregates, in no order."""
        return recorded(await self._fetch(lambda table: table.firsts(originator_ids)))

    async def lives(
        self, originator_ids: Sequence[UUID], *, after: int, limit: int
    ) -> Sequence[Recorded]:
        """The events of several aggregates together that stand above a position, in log order,
        at most `limit`.
        """
        found: list[Recorded] = []
        for originator_id in originator_ids:
            # Each by the index of its versions, which are in log order: one statement for all of
            # them would read every event of every one to sort them.
            found += await self._recorded(
                Wanted(originator=originator_id, after=after, limit=limit)
            )
        return sorted(found, key=lambda recorded: recorded.position)[:limit]

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        """The stored request key, however old."""
        for whose, found, fingerprint, position in await self._fetch(
            lambda table: table.key(account_id, key)
        ):
            return RequestKey(whose, found, bytes(fingerprint), position)
        return None

    async def last_position(self) -> int:
        """The position of the newest committed event; 0 in an empty log."""
        return int((await self._fetch(EventTable.last))[0][0])

    async def _recorded(self, wanted: Wanted) -> list[Recorded]:
        rows = await self._fetch(lambda table: table.select(wanted))
        # Whoever else this loop serves goes on meanwhile.
        turn, found = Turn(), list[Recorded]()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            found += recorded(rows[start : start + ROWS_AT_ONCE])
            await turn.is_over()
        return found

    async def _fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """Put a question to the event table of the store that is read."""
        raise NotImplementedError


class PooledLog(EventReads):
    """The log through a pool of connections, for those who answer requests: at once or not at all
    (`application.log.ports.EventLookUps`).
    """

    subqueries = Subqueries()

    def __init__(self, pool: StorePool) -> None:
        self._pool = pool

    async def _fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as conn, conn.cursor(binary=True) as cursor:
            query = ask(self._pool.events_of(conn))
            await cursor.execute(query.text, query.values)
            turn, rows = Turn(), list[tuple[Any, ...]]()
            while some := await cursor.fetchmany(ROWS_AT_ONCE):
                rows += some
                await turn.is_over()
            return rows
