"""Reads the log by whole commands: nobody sees a decision by halves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from application.log.ports import EventPages, EventSource, Recorded

PAGE = 1_000
SMALL_PAGE = 16
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
