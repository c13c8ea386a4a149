"""Questions to the store that many ask at once: one is under way, and the rest go with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from itertools import islice
from typing import Generic, TypeVar

from api.patience import patiently
from domain.errors import VenueUnavailable

MOST_AT_ONCE = 256
"""How many questions one statement asks."""

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """Asks for all that waits in one statement, and never in two at a time.

    `ask` gives the answers to some questions, and none to those that have none. `heard` is called
    with every answer, None where there is none. At most `most_waiting` questions wait.
    """

    def __init__(
        self,
        ask: Callable[[tuple[Question, ...]], Awaitable[Mapping[Question, Answer]]],
        heard: Callable[[Question, Answer | None], object] = lambda *_: None,
        most_waiting: int = 1_000_000,
    ) -> None:
        self._ask = ask
        self._heard = heard
        self._most_waiting = most_waiting
        self._asked: dict[Question, asyncio.Future[Answer | None]] = {}
        self._waiting: dict[Question, asyncio.Future[Answer | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, question: Question) -> Answer | None:
        """The answer to a question, which may be under way already; raises VenueUnavailable when
        the store is away, or at once when too many wait.
        """
        under_way = self._asked.get(question)
        return await (self.find_anew(question) if under_way is None else asyncio.shield(under_way))

    async def find_anew(self, question: Question) -> Answer | None:
        """The answer that the store gives from now on, to all who have asked before it is asked."""
        future = self._waiting.get(question)
        if future is None:
            if len(self._waiting) >= self._most_waiting:
                raise VenueUnavailable("too many ask this at once: try again shortly")
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(_heard_by_nobody)
            self._waiting[question] = future
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_on(), name="asking together")
        # Who gives up leaves the answer to the others.
        return await asyncio.shield(future)

    def forget(self, question: Question) -> None:
        """Hold what is being answered now for outdated: who waits for it is answered anew."""
        under_way = self._asked.pop(question, None)
        if under_way is not None:
            self._waiting.setdefault(question, under_way)

    async def _ask_on(self) -> None:
        while self._waiting:
            for question in list(islice(self._waiting, MOST_AT_ONCE)):
                self._asked[question] = self._waiting.pop(question)
            asked = tuple(self._asked)
            try:
                answers = await patiently(lambda asked=asked: self._ask(asked))  # type: ignore[misc]
            except Exception as error:
                self._fail(error)
                continue
            for question, future in self._asked.items():
                answer = answers.get(question)
                self._heard(question, answer)
                if not future.done():
                    future.set_result(answer)
            self._asked.clear()

    def _fail(self, error: Exception) -> None:
        """Tell all whom it concerns; of a store that is away also those who have yet to ask it."""
        told = [*self._asked.values()]
        self._asked.clear()
        if isinstance(error, VenueUnavailable):
            told += self._waiting.values()
            self._waiting.clear()
        for future in told:
            if not future.done():
                future.set_exception(error)


def _heard_by_nobody(future: asyncio.Future[Answer | None]) -> None:
    """Take an error note of, as all who asked may have left."""
    if not future.cancelled():
        future.exception()
