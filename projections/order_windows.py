"""Which of an account's orders are asked for: what they must be, and when they were submitted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple, Protocol, Self, TypeVar
from uuid import UUID

from psycopg import sql

from domain.identifiers import NO_ID, Instant, uuid7
from projections.instruments import named_by

Status = Literal["open", "closed", "all"]
Direction = Literal["asc", "desc"]

_OF_CLASS = "instrument_id IN (SELECT instrument_id FROM instruments WHERE asset_class = ANY({}))"
_NAMED_BY = (
    f"(instrument_id IN {named_by('ANY({0})')} OR instrument_id = {{1}} AND symbol = ANY({{0}}))"
)
_IS_PARENT = (
    "(leg = 0 OR EXISTS (SELECT FROM order_groups g"
    " WHERE g.group_id = orders.group_id AND g.parent_id = orders.order_id))"
)
_FIRST_ID = UUID(int=0)
_LAST_ID = UUID(int=2**128 - 1)


class Window(NamedTuple):
    """A span of revisions by their ids, which tell when each was submitted; `end` is outside."""

    first: UUID
    end: UUID

    @classmethod
    def of(
        cls, after: Instant | None, until: Instant | None, after_id: UUID | None, end: UUID | None
    ) -> Self:
        """The span between two times and two ids, all of them outside."""
        first = UUID(int=after_id.int + 1) if after_id is not None else _FIRST_ID
        if after is not None:
            first = max(first, _first_id_at(after + 1))
        end = end or _LAST_ID
        return cls(first, min(end, _first_id_at(until)) if until is not None else end)

    def beyond(self, place: UUID, at: Instant, direction: Direction) -> Self:
        """What of the span lies beyond a place, at the place's own instant."""
        if direction == "desc":
            return self._replace(first=max(self.first, _first_id_at(at)), end=place)
        first = UUID(int=place.int + 1)
        return self._replace(first=first, end=min(self.end, _first_id_at(at + 1)))

    def of_key(self, key: str) -> sql.Composed:
        """The condition that a column lies within."""
        return sql.SQL(f"{key} >= {{}} AND {key} < {{}}").format(self.first, self.end)


class Wanted(NamedTuple):
    """Which of an account's orders are asked for."""

    status: Status
    direction: Direction
    side: int | None
    symbols: Sequence[str]
    asset_classes: Sequence[str]
    nested: bool

    def conditions(self, account_id: UUID) -> list[sql.Composable]:
        """What orders must be, whatever their revisions."""
        wanted: list[sql.Composable] = [sql.SQL("account_id = {}").format(account_id)]
        if self.nested:
            wanted.append(sql.SQL(_IS_PARENT))
        if self.side is not None:
            wanted.append(sql.SQL("side = {}").format(self.side))
        if self.symbols:
            wanted.append(sql.SQL(_NAMED_BY).format(list(self.symbols), NO_ID))
        if self.asset_classes:
            wanted.append(sql.SQL(_OF_CLASS).format(list(self.asset_classes)))
        return wanted


def page_of(
    select: str,
    conditions: list[sql.Composable],
    window: Window,
    key: str,
    order_and_limit: sql.Composable,
) -> sql.Composed:
    """The first rows of a selection by a key that tells when something was submitted."""
    return sql.SQL("{} WHERE {} AND {} ORDER BY {} {}").format(
        sql.SQL(select),
        sql.SQL(" AND ").join(conditions),
        window.of_key(key),
        sql.SQL(key),
        order_and_limit,
    )


def _first_id_at(at: Instant) -> UUID:
    """The smallest id that can be drawn at an instant."""
    return uuid7(max(at, 0), 0, 0, 0)


LARGEST_INSTANT = 500
"""So many orders beside those of a page may come of one instant."""


class Submitted(Protocol):
    """A revision of an order of any kind, submitted once."""

    @property
    def order_id(self) -> UUID:
        """The order."""
        ...

    @property
    def revision_id(self) -> UUID:
        """The revision."""
        ...

    @property
    def replaces(self) -> UUID:
        """The revision before; nil of the first one."""
        ...

    @property
    def submitted_at(self) -> Instant:
        """When it was submitted."""
        ...


Row = TypeVar("Row", bound=Submitted)


async def whole_page(
    read: Callable[[Window, int], Awaitable[list[Row]]],
    window: Window,
    limit: int,
    direction: Direction,
) -> list[Row]:
    """A page, and beyond its limit what was submitted at the instant in which it would end."""
    rows = await read(window, limit + 1)
    page = rows[:limit]
    if len(rows) > limit and rows[limit].submitted_at == page[-1].submitted_at:
        last = page[-1]
        beside = window.beyond(submission(last), last.submitted_at, direction)
        page += await read(beside, LARGEST_INSTANT)
    return page


def submission(row: Submitted) -> UUID:
    """The id that was drawn when a revision was submitted."""
    return row.revision_id if row.replaces.int else row.order_id
