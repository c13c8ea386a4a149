"""The order rate: what exceeds it is refused at the door, and leaves nothing behind."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.commands import (
    CancelAll,
    CancelOrder,
    Deposit,
    PlaceGroup,
    PlaceOrder,
    ReadOrder,
    ReplaceOrder,
    Reply,
    SetAccountLimits,
    SetKillSwitch,
)
from application.log.ports import Batch, OutcomeUnknown
from application.writer.order_rates import OrderRates
from domain.identifiers import uuid7
from domain.request_errors import OrderRateExceeded
from domain.terms import OrderClass, Side
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.desk_harness import DeskHarness, shares, trading_desk, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer

BUY, SELL = int(Side.BUY), int(Side.SELL)
RATE = "ORDER_RATE_EXCEEDED"
SECOND = 10**9


@pytest.fixture
def venue() -> DeskHarness:
    """An open market, and an account `a` that may send two orders in a second."""
    venue = trading_desk()
    venue.ok(SetAccountLimits(venue.a, 0, 2))
    return venue


def order(venue: DeskHarness, client: str, price: Any = 90, qty: int = 1) -> PlaceOrder:
    """A limit order of `a`."""
    return PlaceOrder(venue.a, "X", BUY, 2, 1, shares(qty), wire(price), 0, client)


def refused(venue: DeskHarness, client: str) -> PlaceOrder:
    """An order of `a` that the checks refuse: off the tick."""
    return order(venue, client, "9.999")


def test_order_beyond_the_rate_leaves_nothing_behind_and_is_taken_a_second_later(venue):
    """No event, no number, no key: the client's own retry, with the same id, is a new order."""
    log = logged(venue)

    async def scene(writer: MemoryWriter) -> None:
        assert ["", ""] == await writer.codes(order(venue, "1"), order(venue, "2"))
        rows, keys, number = len(log.rows), len(log.keys), writer.sequencer.desk.command
        reply = await writer.send(order(venue, "3"))
        assert reply.refusal is not None
        assert (RATE, 2) == (reply.refusal.code, reply.refusal.details["limit"])
        assert (0, False) == (reply.position, reply.duplicate)
        assert (rows, keys) == (len(log.rows), len(log.keys))
        assert number == writer.sequencer.desk.command

        writer.passes(1)

        again = await writer.send(order(venue, "3"))
        assert again.order is not None and not again.duplicate
        assert number + 1 == writer.sequencer.desk.command

    on_a_writer(log, scene)


def test_what_is_refused_for_the_rate_does_not_count(venue):
    """A client that never pauses is served at its rate, and not locked out for ever."""

    async def scene(writer: MemoryWriter) -> None:
        taken = 0
        for number in range(100):
            reply = await writer.send(order(venue, f"{number}"))
            taken += reply.refusal is None
            writer.passes(0.1)
        assert 20 == taken

    on_a_writer(logged(venue), scene)


def test_refused_orders_count(venue):
    """Two hundred wrong orders in a second leave two events, and not two hundred."""
    log = logged(venue)

    async def scene(writer: MemoryWriter) -> None:
        before = len(log.rows)
        codes = await writer.codes(*(refused(venue, f"{n}") for n in range(200)))
        assert ["TICK_VIOLATION"] * 2 + [RATE] * 198 == codes
        assert before + 2 == len(log.rows)

    on_a_writer(log, scene)


def test_cancels_of_what_does_not_work_count(venue):
    """An order that ended, one of somebody else, one that never was: by any id."""
    ended = venue.place(venue.a, BUY, 1, 90, client="ended").order
    venue.cancel(venue.a, ended.order_id)
    other = venue.place(venue.b, BUY, 1, 90).order
    asked = [(ended.order_id, ""), (None, "ended"), (other.order_id, ""), (uuid7(1, 0, 1, 9), "")]
    for order_id, client in asked:
        log = logged(venue)

        async def scene(writer: MemoryWriter, order_id=order_id, client=client, log=log) -> None:
            before = len(log.rows)
            codes = await writer.codes(
                *(CancelOrder(venue.a, order_id, client, f"k{n}") for n in range(200))
            )
            assert RATE not in codes[:2] and "" not in codes[:2]
            assert [RATE] * 198 == codes[2:]
            assert before + 2 == len(log.rows)

        on_a_writer(log, scene)


def test_a_cancel_of_a_working_order_is_always_taken(venue):
    """By each of its ids, whatever else was sent; the second cancel of it counts."""
    one, two, three = (venue.place(venue.a, BUY, 1, 90, client=c).order for c in ("a", "b", "c"))
    revision = venue.replace(venue.a, two.order_id, limit=91).order.revision_id

    async def scene(writer: MemoryWriter) -> None:
        await writer.codes(*(order(venue, f"{n}") for n in range(2)))
        cancels = (
            CancelOrder(venue.a, one.order_id, "", "k1"),
            CancelOrder(venue.a, revision, "", "k2"),
            CancelOrder(venue.a, None, "c", "k3"),
        )
        assert [""] * 3 == await writer.codes(*cancels)
        assert [RATE] == await writer.codes(CancelOrder(venue.a, one.order_id, "", "k4"))
        assert three.order_id.int not in writer.sequencer.desk.orders.working

    on_a_writer(logged(venue), scene)


def test_what_is_no_order_of_a_trader_is_always_taken(venue):
    """Mass cancels, reads, money, limits and kill switches must get through a runaway's orders."""

    async def scene(writer: MemoryWriter) -> None:
        await writer.codes(*(order(venue, f"{n}") for n in range(3)))
        others = (
            ReadOrder(venue.a, None, "1"),
            Deposit(venue.a, 5, "cash"),
            CancelAll(venue.a),
            CancelAll(venue.a),
            SetKillSwitch(venue.a, True, "a runaway"),
            SetAccountLimits(venue.a, 0, 1),
        )
        assert [""] * 6 == await writer.codes(*others)

    on_a_writer(logged(venue), scene)


def test_a_replace_counts_as_an_order(venue):
    """Taken or refused: a changed order is a new message to the book."""
    kept = venue.place(venue.a, BUY, 1, 90).order.order_id

    async def scene(writer: MemoryWriter) -> None:
        replaces = [
            ReplaceOrder(venue.a, kept, "", f"r{n}", limit_price=wire(price))
            for n, price in enumerate((91, 9_999, 92))
        ]
        assert ["", "PRICE_OUTSIDE_COLLAR", RATE] == await writer.codes(*replaces)

    on_a_writer(logged(venue), scene)


GROUPS = {
    "oco": (OrderClass.OCO, 0, 110, 90, 2),
    "bracket": (OrderClass.BRACKET, 90, 110, 80, 3),
    "oto": (OrderClass.OTO, 90, 0, 80, 2),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_counts_as_its_legs(venue, name):
    """Each is an order; alone in its second a group is taken whatever the limit, for 429 ends."""
    kind, limit, profit, stop, legs = GROUPS[name]
    venue.hold(venue.a, 10)
    side = SELL if kind == OrderClass.OCO else BUY

    def group(client: str) -> PlaceGroup:
        return PlaceGroup(
            venue.a,
            "X",
            int(kind),
            side,
            2,
            1,
            shares(1),
            wire(limit),
            0,
            client,
            take_profit_price=wire(profit),
            stop_loss_price=wire(stop),
        )

    async def scene(writer: MemoryWriter) -> None:
        for limit in range(1, 5):
            await writer.send(SetAccountLimits(venue.a, 0, limit))
            writer.passes(1)
            assert [""] == await writer.codes(group(f"alone {limit}"))
            left = max(0, limit - legs)
            codes = await writer.codes(*(order(venue, f"{limit} {n}") for n in range(left + 1)))
            assert [""] * left + [RATE] == codes
            writer.passes(1)
            first = "" if limit > legs else RATE
            codes = await writer.codes(order(venue, f"{limit} first"), group(f"then {limit}"))
            assert ["", first] == codes

    on_a_writer(logged(venue), scene)


def test_repeats_are_answered_and_do_not_count(venue):
    """Who asks what became of an order sends none."""

    async def scene(writer: MemoryWriter) -> None:
        assert [""] == await writer.codes(order(venue, "1"))
        for _ in range(10):
            assert (await writer.send(order(venue, "1"))).duplicate
        assert ["", RATE] == await writer.codes(order(venue, "2"), order(venue, "3"))
        assert (await writer.send(order(venue, "1"))).duplicate

    on_a_writer(logged(venue), scene)


def test_a_refused_repeat_counts_and_is_told_why(venue):
    """Another body, or the id of a refused order, is a refused request like any other."""

    async def scene(writer: MemoryWriter) -> None:
        taken = order(venue, "1")
        assert ["", "REQUEST_KEY_REUSED", RATE] == await writer.codes(
            taken, order(venue, "1", qty=2), order(venue, "2")
        )
        assert ["REQUEST_KEY_REUSED"] == await writer.codes(order(venue, "1", qty=2))
        writer.passes(1)
        wrong = refused(venue, "3")
        assert ["TICK_VIOLATION", "CLIENT_ORDER_ID_SPENT", RATE] == await writer.codes(
            wrong, wrong, order(venue, "4")
        )

    on_a_writer(logged(venue), scene)


def test_rate_follows_the_clock_that_never_goes_back(venue):
    """The clock of the day may jump back an hour or ahead a day: neither opens nor shuts."""

    async def scene(writer: MemoryWriter) -> None:
        await writer.codes(order(venue, "1"), order(venue, "2"))
        for jump in (-3_600, 86_400):
            writer.clock.at += jump * 10**6
            assert [RATE] == await writer.codes(order(venue, "3"))
        writer.passes(1)
        writer.clock.at -= 10 * 10**6
        assert [""] == await writer.codes(order(venue, "3"))

    on_a_writer(logged(venue), scene)


def test_an_account_without_a_limit_is_not_counted(venue):
    """None of its orders is too many, nor are they when it gets a limit again."""

    async def scene(writer: MemoryWriter) -> None:
        await writer.codes(order(venue, "1"), order(venue, "2"))
        assert [""] == await writer.codes(SetAccountLimits(venue.a, 0, 0))
        assert [""] * 50 == await writer.codes(*(order(venue, f"free {n}") for n in range(50)))
        writer.passes(1)
        assert [""] * 9 == await writer.codes(*(order(venue, f"more {n}") for n in range(9)))
        assert [""] == await writer.codes(SetAccountLimits(venue.a, 0, 1))
        assert ["", RATE] == await writer.codes(order(venue, "3"), order(venue, "4"))

    on_a_writer(logged(venue), scene)


def test_accounts_are_counted_each_by_itself(venue):
    """One's runaway takes nothing from another."""
    venue.ok(SetAccountLimits(venue.b, 0, 2))

    async def scene(writer: MemoryWriter) -> None:
        assert ["", "", RATE] == await writer.codes(*(order(venue, f"{n}") for n in range(3)))
        of_b = PlaceOrder(venue.b, "X", BUY, 2, 1, shares(1), wire(90), 0, "b")
        assert [""] == await writer.codes(of_b)

    on_a_writer(logged(venue), scene)


def test_the_next_writer_counts_from_nothing(venue):
    """What a writer counted is not in the log: who leads after it begins anew."""
    log = logged(venue)

    async def fill_up(writer: MemoryWriter) -> None:
        assert ["", "", RATE] == await writer.codes(*(order(venue, f"{n}") for n in range(3)))

    async def go_on(writer: MemoryWriter) -> None:
        assert ["", "", RATE] == await writer.codes(*(order(venue, f"b{n}") for n in range(3)))

    on_a_writer(log, fill_up)
    on_a_writer(log, go_on)


class LogThatLosesOnce(MemoryLog):
    """The next commit after `lose` breaks before anything is stored."""

    lose = False

    async def append(self, batch: Batch) -> None:
        if self.lose:
            self.lose = False
            raise OutcomeUnknown("the connection broke before the statement went out")
        await super().append(batch)


def test_what_was_taken_before_a_lost_commit_is_not_counted_again(venue):
    """A command that is decided anew was within the rate, and stays so."""
    log = LogThatLosesOnce()
    log.load(*_contents(venue))

    async def scene() -> list[Reply]:
        writer = MemoryWriter(log, MemorySnapshots())
        running = asyncio.create_task(writer.sequencer.run())
        await writer.sequencer.ready.wait()
        log.lose = True
        under_way = [writer.begin(order(venue, f"{n}")) for n in range(3)]
        replies = await asyncio.wait_for(asyncio.gather(*under_way), 10)
        replies.append(await writer.send(order(venue, "late")))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return replies

    replies = asyncio.run(scene())

    assert not log.lose
    assert ["", "", RATE, RATE] == [r.refusal.code if r.refusal else "" for r in replies]


def _contents(venue: DeskHarness) -> tuple[Any, Any]:
    log = logged(venue)
    return asyncio.run(log.read(0, len(log.rows))), list(log.keys.values())


@given(
    limit=st.integers(1, 6),
    gaps=st.lists(st.sampled_from([0, 1, SECOND // 3, SECOND - 1, SECOND]), max_size=60),
)
def test_in_no_second_more_is_taken_than_the_limit(limit, gaps):
    """Wherever the second begins; and after a second without orders the whole limit is free."""
    venue = trading_desk()
    venue.ok(SetAccountLimits(venue.a, 0, limit))
    rates = OrderRates(int)
    now, taken = 0, []
    for number, gap in enumerate(gaps):
        now += gap
        within = [at for at in taken if at > now - SECOND]
        try:
            rates.take(venue.desk, venue.a, order(venue, f"{number}"), now)
        except OrderRateExceeded:
            assert limit == len(within)
        else:
            assert len(within) < limit
            taken.append(now)
