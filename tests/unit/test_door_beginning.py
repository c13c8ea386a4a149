"""Requests are begun a few in a turn, each key by turns, and what comes too late is refused."""

import asyncio
import time
from typing import Any

import pytest

from api.door.acquaintances import Acquaintances
from api.door.turns import LoopTurns
from api.http.beginning import Beginning
from api.http.late import WAITED, is_late, seconds_waited

OLDEST = 0.02
HEADERS = [(b"apca-api-key-id", b"shown"), (b"apca-api-secret-key", b"s")]


class Begun:
    """Requests of one connection, and when they were begun."""

    def __init__(self, turns: LoopTurns, key_id: str, begun: list[str]) -> None:
        known = Acquaintances()
        known.met("shown", HEADERS)
        self._beginning = Beginning(turns, known, OLDEST)
        self._key_id = key_id
        self._begun = begun
        self.scope: dict[str, Any] = {}

    def ask(self, asked: str = "POST /v2/orders", *, shows: bool = False) -> None:
        method, path = asked.split()
        self.scope = {"method": method, "path": path, "headers": HEADERS if shows else []}
        begin = lambda: self._begun.append(self._key_id)  # noqa: E731
        self._beginning.when_it_is_its_turn(self._key_id, self.scope, begin)

    def leave(self) -> None:
        self._beginning.leave()


def test_requests_of_a_crowd_of_connections_are_begun_a_few_in_a_turn() -> None:
    """Of five hundred that ask at once as of one: another key's is begun in the next turn, and
    who has left is asked for nothing.
    """

    async def play() -> None:
        turns, begun = LoopTurns(4), list[str]()
        crowd = [Begun(turns, "many", begun) for _ in range(500)]
        other = Begun(turns, "other", begun)
        for one in crowd:
            one.ask()
        other.ask()
        assert ["many"] * 4 == begun
        for one in crowd[4:100]:
            one.leave()
        await asyncio.sleep(0)
        assert "other" in begun[4:]
        assert 8 == len(begun)
        turned = 0
        while len(begun) < 405:
            await asyncio.sleep(0)
            turned += 1
        assert turned >= 99
        for _ in range(3):
            await asyncio.sleep(0)
        assert 405 == len(begun)
        other.ask()
        assert 406 == len(begun)

    asyncio.run(play())


def test_strangers_request_waits_for_no_crowd_and_one_that_shows_a_known_key_for_its_own() -> None:
    """A stranger's had its turn when it was read; a new connection of a known key has no more
    than those it has already.
    """

    async def play() -> None:
        turns, begun = LoopTurns(1), list[str]()
        for _ in range(5):
            Begun(turns, "shown", begun).ask()
        Begun(turns, "", begun).ask(shows=True)
        stranger = Begun(turns, "", begun)
        stranger.ask()
        assert ["shown", ""] == begun
        assert 0 == seconds_waited(stranger.scope)
        for _ in range(5):
            assert "" not in begun[2:]
            await asyncio.sleep(0)
        assert ["shown"] * 4 + [""] == begun[2:]

    asyncio.run(play())


@pytest.mark.parametrize(
    ("asked", "is_refused"),
    [
        ("POST /v2/orders", True),
        ("GET /v2/account", True),
        ("GET /v2/orders", True),
        ("DELETE /v2/orders/1", False),
        ("POST /admin/kill-switch", False),
        ("GET /healthz", False),
    ],
)
def test_what_comes_behind_one_that_waits_too_long_is_begun_at_once_as_late(
    asked: str, is_refused: bool
) -> None:
    """And is refused; what takes risk away is not, and keeps its turn, as do another key's."""

    async def play() -> None:
        turns, begun = LoopTurns(1), list[str]()
        first, second, behind = (Begun(turns, "many", begun) for _ in range(3))
        first.ask()
        second.ask()
        time.sleep(2 * OLDEST)
        behind.ask(asked)
        assert is_refused == (2 == len(begun))
        assert is_refused == is_late(behind.scope)
        other = Begun(turns, "other", begun)
        other.ask(asked)
        while len(begun) < 4:
            await asyncio.sleep(0)
        if is_refused:
            assert behind.scope[WAITED].alone
        assert not is_late(other.scope)
        # It has waited itself, and is refused in its turn.
        assert is_late(second.scope)
        assert not is_late(first.scope)

    asyncio.run(play())
