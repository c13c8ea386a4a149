"""Turns of those who wait at a door: strangers by address, sockets by key."""

from __future__ import annotations

import asyncio

from api.door.turns import LoopTurns, StrangersTurns


class Crowd:
    """One of many who wait for their turn."""

    def __init__(self, address: str, served: list[Crowd]) -> None:
        self.address = address
        self._served = served

    def turn_has_come(self) -> None:
        self._served.append(self)


def test_strangers_have_turns_by_address_and_the_last_that_came_first() -> None:
    """A crowd of one address does not keep another's from its turn, nor one that comes anew."""

    async def play() -> None:
        turns, served = StrangersTurns(2_000, 1), list[Crowd]()
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
        turns, served = StrangersTurns(1_000, 5), list[Crowd]()
        assert all(turns.may_go_on(Crowd("1", served)) for _ in range(5))
        turns.charge(40)
        began = asyncio.get_running_loop().time()
        assert not turns.may_go_on(Crowd("1", served))
        while not served:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - began > 0.03

    asyncio.run(play())
