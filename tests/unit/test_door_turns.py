"""Turns of those who wait at a door: strangers by address, sockets by key."""

from __future__ import annotations

import asyncio

from api.door.acquaintances import Acquaintances
from api.door.door import Door
from api.door.limits import Limits
from api.door.turns import LoopTurns, StrangersTurns


class Crowd:
    """One of many who wait for their turn."""

    def __init__(self, address: str, served: list[Crowd]) -> None:
        self.address = address
        self._served = served
        self.gone = False

    def gives_its_turn_up(self) -> bool:
        return self.gone

    def turn_has_come(self) -> None:
        self._served.append(self)


def test_strangers_have_turns_by_address_and_the_last_that_came_first() -> None:
    """A crowd of one address does not keep another's from its turn, nor one that comes anew."""

    async def play() -> None:
        turns, served = StrangersTurns(200, 1, 2), list[Crowd]()
        crowd = [Crowd("1", served) for _ in range(20)]
        assert [True] + [False] * 19 == [turns.may_go_on(one) for one in crowd]
        other = Crowd("2", served)
        assert not turns.may_go_on(other)
        turns.leave(crowd[-1])
        while len(served) < 19:
            await asyncio.sleep(0.001)
        assert other in served[:2]
        assert crowd[-2:0:-1] == [one for one in served if one is not other]
        assert turns.may_go_on(served[0])

    asyncio.run(play())


def test_turns_of_one_loop_turn_are_dealt_out_by_key() -> None:
    """However many sockets one key has, another's waits for one of them."""

    async def play() -> None:
        turns, served = LoopTurns(2), list[Crowd]()
        many = [Crowd("1", served) for _ in range(10)]
        assert [True, True] + [False] * 8 == [turns.may_go_on(one, "many") for one in many]
        other = Crowd("1", served)
        assert not turns.may_go_on(other, "other")
        await asyncio.sleep(0)
        assert [many[2], other] == served
        assert turns.may_go_on(other, "other")
        assert not turns.may_go_on(other, "other")
        turns.leave(many[3], "many")
        await asyncio.sleep(0)
        assert [many[4], other] == served[2:]
        for _ in range(4):
            await asyncio.sleep(0)
        assert many[5:] == served[4:]
        assert turns.may_go_on(many[0], "many")

    asyncio.run(play())


def test_turns_of_strangers_are_so_many_a_second() -> None:
    """Whatever opens more than a turn's worth has the others wait the longer."""

    async def play() -> None:
        turns, served = StrangersTurns(100, 5, 5), list[Crowd]()
        assert all(turns.may_go_on(Crowd("1", served)) for _ in range(5))
        turns.charge(30)
        began = asyncio.get_running_loop().time()
        assert not turns.may_go_on(Crowd("1", served))
        while not served:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - began > 0.2

    asyncio.run(play())


def test_turns_that_were_saved_are_given_out_a_few_at_a_time() -> None:
    """A crowd that comes in one turn of the loop does not hold it up for who has a key."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        stands_still = loop.time()
        loop.time = lambda: stands_still  # type: ignore[method-assign]
        turns, served = StrangersTurns(1, 100, 2), list[Crowd]()
        crowd = [Crowd("1", served) for _ in range(50)]
        assert [True, True] + [False] * 48 == [turns.may_go_on(one) for one in crowd]
        del loop.time
        turns_of_the_loop = 0
        while len(served) < 48:
            await asyncio.sleep(0)
            turns_of_the_loop += 1
        assert turns_of_the_loop >= 24

    asyncio.run(play())


def test_what_costs_several_turns_takes_the_place_of_as_many_others() -> None:
    """Of openings fewer are begun in a millisecond than of short requests."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now  # type: ignore[method-assign]
        turns, served = StrangersTurns(1_000, 100, 2), list[Crowd]()
        opening, other = Crowd("1", served), Crowd("1", served)
        assert turns.may_go_on(opening)
        turns.charge(3)
        assert not turns.may_go_on(other)
        turns.leave(other)
        now += 0.001
        assert not turns.may_go_on(other)
        turns.leave(other)
        now += 0.001
        assert turns.may_go_on(other)

    asyncio.run(play())


def test_turn_of_who_has_left_is_the_next_ones() -> None:
    """A crowd that has gone does not have those wait that are there."""

    async def play() -> None:
        turns, served = StrangersTurns(20, 1, 2), list[Crowd]()
        crowd = [Crowd("1", served) for _ in range(1_000)]
        here = crowd[1]
        for one in crowd:
            turns.may_go_on(one)
            one.gone = one is not here
        began = asyncio.get_running_loop().time()
        while not served:
            await asyncio.sleep(0.001)
        assert [here] == served
        assert asyncio.get_running_loop().time() - began < 1

    asyncio.run(play())


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\napca-api-key-id: %b\r\nAPCA-API-Secret-Key:%b \r\n\r\n"


def shown(key_id: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a request that shows a key."""
    return [(b"apca-api-key-id", key_id), (b"apca-api-secret-key", b"s")]


def test_key_that_was_good_lately_is_an_acquaintance() -> None:
    """By key and secret together, however its headers are written; the oldest is forgotten."""
    known = Acquaintances(most=2)
    head = HEAD
    for key_id in (b"one", b"two", b"three"):
        known.met(key_id.decode(), shown(key_id))
    known.met("nobody", [(b"host", b"x")])

    assert known.knows(head % (b"three", b"s"))
    assert known.knows(head % (b"two", b"s"))
    assert not known.knows(head % (b"one", b"s"))
    assert not known.knows(head % (b"two", b"t"))
    assert not known.knows(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert ["three", None, None] == [
        known.key_of(headers) for headers in (shown(b"three"), shown(b"one"), [(b"host", b"x")])
    ]


def test_who_waits_with_a_key_that_is_let_in_meanwhile_waits_no_longer() -> None:
    """And nobody else goes on for it; who has left is not told."""

    async def play() -> None:
        limits = Limits(strangers_turns=1, strangers_turns_saved=1)
        door, served = Door(limits), list[Crowd]()
        crowd = [Crowd("1", served) for _ in range(6)]
        heads = [HEAD % (name, b"s") for name in (b"a", b"k", b"k", b"k", b"other", b"k")]
        went_on = [door.may_go_on(one, head) for one, head in zip(crowd, heads, strict=True)]
        assert [True] + [False] * 5 == went_on
        door.waits_no_more(crowd[2])
        # It has sent the rest of its head: it is the one that stands there now.
        assert not door.may_go_on(crowd[5], HEAD % (b"another", b"s"))
        door.met("k", shown(b"k"))
        assert [crowd[1], crowd[3]] == served
        assert door.may_go_on(crowd[1], heads[1])
        door.met("k", shown(b"k"))
        assert 2 == len(served)

    asyncio.run(play())
