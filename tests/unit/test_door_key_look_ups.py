"""Keys are looked up together: strangers wait behind each other, and nobody behind them."""

import asyncio
from collections import Counter

import pytest

from api.auth import REMEMBERED_SECONDS, STRANGERS_WAITING, KeyRing
from api.door.together import MOST_AT_ONCE, Together
from api.refusals import NotAuthorized
from domain.errors import VenueUnavailable
from tests.conftest import Schema
from tests.keys import Ring
from tests.unit.test_api_auth import ACCOUNT, Time, with_ring


async def outcome(ring: KeyRing, key_id: str, secret: str) -> str:
    """What comes of a key that is shown."""
    try:
        return (await ring.principal(key_id, secret)).role
    except (NotAuthorized, VenueUnavailable) as refusal:
        return refusal.code


def test_one_key_is_looked_up_once_however_many_show_it(schema: Schema) -> None:
    """Five hundred who show a key at once ask the store one question."""

    async def use(ring: Ring, time: Time) -> None:
        key = await ring.issue(ACCOUNT)
        await ring.principal(key.key_id, key.secret)
        time.now += REMEMBERED_SECONDS
        before = ring._pool.get_stats()["requests_num"]

        who = await asyncio.gather(*(outcome(ring, *key[:2]) for _ in range(500)))

        assert {"trader"} == set(who)
        assert 1 == ring._pool.get_stats()["requests_num"] - before

    with_ring(schema, use)


def test_strangers_take_no_connections_and_nobody_waits_behind_them(schema: Schema) -> None:
    """Of a flood of ids that nobody has some are refused for now, and keys work meanwhile, with
    two questions to the store under way and no more.
    """
    flood = 3 * STRANGERS_WAITING

    async def use(ring: Ring, time: Time) -> None:
        keys = [await ring.issue(ACCOUNT) for _ in range(20)]
        for key in keys:
            await ring.principal(key.key_id, key.secret)
        time.now += REMEMBERED_SECONDS

        strangers = [asyncio.create_task(outcome(ring, f"S{n}", "s")) for n in range(flood)]
        known = await asyncio.gather(*(outcome(ring, *key[:2]) for key in keys))
        waiting = sum(not stranger.done() for stranger in strangers)
        said = Counter(await asyncio.gather(*strangers))

        assert {"trader"} == set(known)
        assert waiting > MOST_AT_ONCE
        assert {"NOT_AUTHORIZED", "VENUE_UNAVAILABLE"} == set(said)
        assert STRANGERS_WAITING <= said["NOT_AUTHORIZED"] <= flood - MOST_AT_ONCE
        assert 2 >= ring._pool.get_stats()["pool_size"]

    with_ring(schema, use)


def test_strangers_are_remembered_and_make_no_key_forgotten(schema: Schema) -> None:
    """An id that nobody has is asked for once, and however many come, keys stay known."""

    async def use(ring: Ring, _: Time) -> None:
        key = await ring.issue(ACCOUNT)
        await ring.principal(key.key_id, key.secret)
        for first in range(0, 12_000, STRANGERS_WAITING):
            ids = range(first, first + STRANGERS_WAITING)
            await asyncio.gather(*(outcome(ring, f"S{n}", "s") for n in ids))
        before = ring._pool.get_stats()["requests_num"]

        assert "trader" == await outcome(ring, *key[:2])
        assert "NOT_AUTHORIZED" == await outcome(ring, "S12000", "s")
        assert before == ring._pool.get_stats()["requests_num"]
        assert 10_000 == len(ring._strangers)

    with_ring(schema, use)


@pytest.mark.parametrize("key_id", ["\udc80", "NX\x00", "schl\xfcssel", "a\nb", "\u202enx"])
def test_an_id_that_no_key_has_spoils_nobody_elses_look_up(schema: Schema, key_id: str) -> None:
    """What the store could not even be asked is refused by itself."""

    async def use(ring: Ring, _: Time) -> None:
        key = await ring.issue(ACCOUNT)
        said = await asyncio.gather(outcome(ring, key_id, "s"), outcome(ring, *key[:2]))
        assert ["NOT_AUTHORIZED", "trader"] == said

    with_ring(schema, use)


class Store:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answers: asyncio.Queue[dict[str, int]] = asyncio.Queue()

    async def ask(self, questions: tuple[str, ...]) -> dict[str, int]:
        """Note the questions and wait for the answers."""
        self.asked.append(questions)
        return await self.answers.get()


async def turns(count: int = 5) -> None:
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_answer_that_was_on_its_way_when_a_key_ended_is_told_to_nobody() -> None:
    """Whoever waits for it is answered by the store as it is afterwards."""

    async def main() -> None:
        store = Store()
        heard: list[tuple[str, int | None]] = []
        together = Together(store.ask, lambda *told: heard.append(told))
        waiting = asyncio.create_task(together.find("key"))
        await turns()
        together.forget("key")
        later = asyncio.create_task(together.find("key"))
        await turns()
        store.answers.put_nowait({"key": 1})
        await turns()
        assert not waiting.done()
        assert [] == heard
        store.answers.put_nowait({"key": 2})

        assert [2, 2] == await asyncio.gather(waiting, later)
        assert [("key", 2)] == heard
        assert [("key",), ("key",)] == store.asked

    asyncio.run(main())


def test_who_gives_up_leaves_the_answer_to_the_others() -> None:
    """A client that hangs up takes nobody's answer along."""

    async def main() -> None:
        store = Store()
        together: Together[str, int] = Together(store.ask)
        gone, stays = (asyncio.create_task(together.find("key")) for _ in range(2))
        await turns()
        gone.cancel()
        await turns()
        store.answers.put_nowait({"key": 1})

        assert 1 == await stays
        assert gone.cancelled()

    asyncio.run(main())


def test_who_wants_to_know_it_anew_is_not_told_what_was_asked_before() -> None:
    """A question that began earlier may know too little: the next one is for all who came since."""

    async def main() -> None:
        store = Store()
        together: Together[str, int] = Together(store.ask)
        first = asyncio.create_task(together.find("end"))
        await turns()
        anew = [asyncio.create_task(together.find_anew("end")) for _ in range(100)]
        await turns()
        for answer in (1, 2):
            store.answers.put_nowait({"end": answer})

        assert 1 == await first
        assert [2] * 100 == await asyncio.gather(*anew)
        assert 2 == len(store.asked)

    asyncio.run(main())


def test_fault_of_one_question_is_told_to_those_who_asked_it() -> None:
    """What went wrong is raised where it was asked, and the next question is asked all the same."""

    async def main() -> None:
        asked: list[tuple[str, ...]] = []

        async def ask(questions: tuple[str, ...]) -> dict[str, int]:
            asked.append(questions)
            await asyncio.sleep(0)
            if len(asked) == 1:
                raise LookupError("broken")
            return {"b": 2}

        together = Together(ask)
        first = asyncio.create_task(together.find("a"))
        await turns(1)
        second = asyncio.create_task(together.find("b"))

        with pytest.raises(LookupError):
            await first
        assert 2 == await second
        assert [("a",), ("b",)] == asked

    asyncio.run(main())
