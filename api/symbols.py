"""What instruments are called now, for those who are told of orders by the log alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from application.log.ports import EventPages
from domain.events import DomainEvent, InstrumentTermsChanged
from projections.instruments import PresentSymbols

_PAGE = 1_000
_TOPICS = (InstrumentTermsChanged.TOPIC,)

log = logging.getLogger("nexus.stream")


class Symbols:
    """The present symbol of each instrument: the views are asked once, then the log tells."""

    def __init__(self, ask: Callable[[], Awaitable[PresentSymbols]] | None = None) -> None:
        self._ask = ask
        self._known: dict[UUID, str] = {}

    def of(self, instrument_id: UUID, told: str) -> str:
        """An instrument's symbol; what an order was `told` where nothing else is known."""
        return self._known.get(instrument_id, told)

    def note(self, event: DomainEvent) -> None:
        """Take a new symbol in."""
        if type(event) is InstrumentTermsChanged:
            self._known[event.originator_id] = event.symbol

    async def learn(self, source: EventPages, position: int) -> None:
        """Know the symbols as of a position of the log, from which on `note` is told.

        Without the views each order keeps the symbol it was placed by: what happened to it is
        told all the same.
        """
        if self._ask is None:
            return
        try:
            found = await self._ask()
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("the present symbols are not known: %s", error)
            return
        self._known |= found.symbols
        after = found.position
        while after < position:
            page = await source.read(after, _PAGE, topics=_TOPICS)
            for recorded in page:
                self.note(recorded.event)
            after = page[-1].position if len(page) == _PAGE else position
