"""What a FIX session asks of the views and of the log of a whole venue on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from api.fix.codec import Message
from infrastructure.database import EmbeddedServer
from tests.fix_client import FixClient
from tests.fix_served import FixDoor, fix_served, play
from tests.fix_settings import PASSWORD

Fields = list[tuple[int, bytes]]


@pytest.fixture(scope="module")
def door(postgres: EmbeddedServer) -> Iterator[FixDoor]:
    """One venue for all of them."""
    with fix_served(postgres.dsn()) as served:
        served.venue.instrument("FXR")
        yield served


def order(name: bytes, price: bytes, side: bytes = b"1") -> Fields:
    """A limit order of ten FXR."""
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()).encode()
    terms = [(38, b"10"), (40, b"2"), (44, price), (59, b"1")]
    return [(11, name), (55, b"FXR"), (54, side), (60, now), *terms]


def told(messages: list[Message], kind: bytes) -> list[Message]:
    """The messages of a type."""
    return [message for message in messages if message.msg_type == kind]


def named(messages: list[Message], exec_type: bytes) -> list[bytes | None]:
    """ClOrdID of the reports of a type."""
    return [one.get(11) for one in told(messages, b"8") if one.get(150) == exec_type]


def test_requests_are_answered_from_the_views_as_of_all_that_was_sent(door: FixDoor) -> None:
    """Statuses, securities, trades of the day and a mass cancel, each behind what came before."""
    maker, taker = door.venue.trader(), door.venue.trader()
    door.venue.hold(taker, "FXR", "100")
    door.agree("ASKS", maker)
    door.agree("SELLS", taker)

    async def scene() -> list[Message]:
        one = FixClient(door.port, "ASKS", PASSWORD)
        other = FixClient(door.port, "SELLS", PASSWORD)
        await one.log_on()
        await other.log_on()
        for name in (b"a", b"b", b"c"):
            one.send(b"D", order(name, b"90"))
        one.send(b"D", order(b"d", b"100"))
        await one.until(lambda: len(one.received) == 4)
        other.send(b"D", order(b"s", b"100", b"2"))
        await one.until(lambda: named(one.received, b"F"))
        day = next(m for m in one.received if m.get(150) == b"F").get(75)
        assert day is not None
        one.send(b"AF", [(584, b"all"), (585, b"7")])
        one.send(b"x", [(320, b"what"), (559, b"0"), (55, b"FXR")])
        one.send(b"AD", [(568, b"day"), (569, b"1"), (580, b"1"), (75, day)])
        await one.until(lambda: told(one.received, b"AE") and told(one.received, b"y"))
        await one.until(lambda: len(named(one.received, b"I")) == 3)
        one.send(b"q", [(11, b"end"), (530, b"7"), (60, b"20261120-12:00:00")])
        await one.until(lambda: told(one.received, b"r"))
        await one.until(lambda: len(named(one.received, b"4")) == 3)
        await one.log_out()
        await other.log_out()
        assert [] == one.memory.wrong + other.memory.wrong
        return one.received

    received = play(scene())

    assert [b"a", b"b", b"c"] == named(received, b"I")
    (trade,) = told(received, b"AE")
    (fill,) = [one for one in told(received, b"8") if one.get(150) == b"F"]
    assert (b"d", b"10", b"100", fill.get(17)) == tuple(trade.get(tag) for tag in (11, 32, 31, 17))
    (listed,) = told(received, b"y")
    assert (b"0", b"FXR", b"1") == tuple(listed.get(tag) for tag in (560, 55, 561))
    (canceled,) = told(received, b"r")
    assert b"3" == canceled.get(533)


def test_name_is_known_after_the_gateway_was_started_anew(door: FixDoor) -> None:
    """By the log: refused, or with PossResend how its order stands."""
    door.agree("TWICE", door.venue.trader())
    again = order(b"once", b"90")

    async def come(one: FixClient) -> None:
        await one.log_on()
        one.send(b"D", again)
        await one.until(lambda: len(one.received) == 1)
        await one.hang_up()

    async def come_back(one: FixClient) -> None:
        await one.log_on()
        one.send(b"D", again)
        await one.until(lambda: len(one.received) == 2)
        one.send(b"D", again, [(97, b"Y")])
        await one.until(lambda: len(one.received) == 3)
        await one.log_out()

    one = FixClient(door.port, "TWICE", PASSWORD)
    play(come(one))
    door.restart()
    play(come_back(one))
    _, refused, status = one.received

    assert (b"8", b"6") == (refused.get(39), refused.get(103))
    assert (b"I", b"0", b"once") == (status.get(150), status.get(39), status.get(11))


def test_orders_of_a_client_that_is_gone_are_canceled(door: FixDoor) -> None:
    """Where its template says so; it is told when it comes back."""
    trader = door.venue.trader()
    door.agree("LEAVES", trader, cancel_on_disconnect=True)

    async def go(one: FixClient) -> None:
        await one.log_on()
        for name in (b"a", b"b"):
            one.send(b"D", order(name, b"90"))
        await one.until(lambda: len(one.received) == 2)
        await one.hang_up()

    async def come_back(one: FixClient) -> None:
        await one.log_on()
        await one.until(lambda: len(one.received) == 4)
        await one.log_out()

    one = FixClient(door.port, "LEAVES", PASSWORD)
    play(go(one))
    with door.venue.client(trader) as http:
        ends = time.monotonic() + 10
        while http.get("/v2/orders", params={"status": "open"}).json():
            assert time.monotonic() < ends, "orders are left open"
    play(come_back(one))

    assert [b"a", b"b"] == named(one.received, b"4")
    assert [] == one.memory.wrong
