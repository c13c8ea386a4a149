"""Reads the log by whole commands: nobody sees a decision by halves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple
from uuid import UUID

from application.log.ports import AccountPages, EventPages, EventSource, Recorded

PAGE = 1_000
SMALL_PAGE = 16
STRETCH = 50_000
"""How many events the store looks at for one account's, which it finds by no index."""
WAIT_SECONDS = 1.0


class Commands(NamedTuple):
    """The events of whole commands, and whether the log holds no more for now."""

    events: Sequence[Recorded]
    caught_up: bool


def before_last_command(page: Sequence[Recorded]) -> int:
    """How many events of a page come before its last command, which may go on beyond it."""
    last = page[-1].event.correlation_id
    end = len(page)
    while end and page[end - 1].event.correlation_id == last:
        end -= 1
    return end


def whole_commands(page: Sequence[Recorded], limit: int) -> Sequence[Recorded]:
    """The page without a last command that a full read may have cut through.

    A command that fills the page alone stays in it, cut or not.
    """
    if len(page) < limit:
        return page
    return page[: before_last_command(page)] or page


def first_command(page: Sequence[Recorded]) -> Sequence[Recorded]:
    """The events at the beginning of a page that are of one command."""
    first = page[0].event.correlation_id if page else None
    for number, recorded in enumerate(page):
        if recorded.event.correlation_id != first:
            return page[:number]
    return page


async def read_commands(
    log: EventPages, after: int, limit: int, *, topics: Sequence[str] = ()
) -> Commands:
    """The next whole commands above a position: at most `limit` events, or more where the first
    command alone is as large.
    """
    while True:
        page = await log.read(after, limit, topics=topics)
        if len(page) < limit:
            return Commands(page, caught_up=True)
        if end := before_last_command(page):
            return Commands(page[:end], caught_up=False)
        limit *= 2


async def read_command(log: EventPages, first_position: int) -> Sequence[Recorded]:
    """All events of the command whose first one stands at a position."""
    # Most are an order and its fills, and whoever repeats a request waits for this.
    limit = SMALL_PAGE
    while True:
        page = await log.read(first_position - 1, limit)
        found = first_command(page)
        if len(found) < len(page) or len(page) < limit:
            return found
        limit *= 8


class Stretch(NamedTuple):
    """Events of whole commands, and the position up to which they are all that is wanted."""

    events: Sequence[Recorded]
    reached: int


async def read_stretch(
    log: AccountPages, account_id: UUID, wanted: range, limit: int, topics: Sequence[str]
) -> Stretch:
    """The next whole commands of an account: those of a stretch that can be looked through at
    once, and no more than `limit` events but where the first command alone has more.

    `wanted` are positions; the last of them ends a command.
    """
    after, end = wanted.start - 1, wanted.stop - 1
    up_to = min(end, after + STRETCH)
    while True:
        page = await log.read_of_account(account_id, after, up_to, limit, topics)
        if len(page) < limit and not (
            page and up_to < end and await _goes_on(log, page[-1], up_to)
        ):
            return Stretch(page, up_to)
        if whole := before_last_command(page):
            return Stretch(page[:whole], page[whole - 1].position)
        limit *= 2
        up_to = min(end, up_to + STRETCH)


async def _goes_on(log: EventPages, recorded: Recorded, position: int) -> bool:
    """Whether the command of an event has events beyond a position."""
    beyond = await log.read(position, 1)
    return bool(beyond) and beyond[0].event.correlation_id == recorded.event.correlation_id


async def follow(
    source: EventSource, after: int, *, limit: int = PAGE, topics: Sequence[str] = ()
) -> AsyncIterator[Sequence[Recorded]]:
    """Give whole commands above a position as they are committed, for ever; those without an event
    of these topics are passed over.
    """
    while True:
        # Asked first: what is read afterwards holds all up to there that is of these topics.
        end = await source.last_position() if topics else 0
        events, caught_up = await read_commands(source, after, limit, topics=topics)
        if events:
            after = events[-1].position
            yield events
        if caught_up:
            after = max(after, end)
            if not events:
                await source.wait(WAIT_SECONDS)
