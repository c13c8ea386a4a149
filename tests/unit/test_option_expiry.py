"""Options end by themselves: what is in the money is exercised and assigned, the rest is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from application.commands import (
    BustTrade,
    ExpireOption,
    ListOptionChain,
    MarkInstrument,
    OpenInstrument,
    Refusal,
    SetAccountStatus,
    SetKillSwitch,
    TransferPosition,
)
from application.desk.state import dump, load, state_hash
from domain.events import (
    InstrumentExpired,
    OrderFilled,
    PositionTraded,
    TradeBooked,
)
from domain.identifiers import NO_ID, instant_of
from domain.terms import (
    AccountStatus,
    OptionEnd,
    Right,
)
from tests.model.desk_harness import code, shares, wire
from tests.model.expiring_desk import CALL, CLOSE, FRIDAY, MONDAY, OPEN, PUT, Expiring, expiring
from tests.model.timed_desk import kinds

EXPIRED, EXERCISED, ASSIGNED = map(int, OptionEnd)


@pytest.mark.parametrize(
    ("right", "price", "exercised"),
    [
        (Right.CALL, "100.01", True),
        (Right.CALL, "100.00", False),
        (Right.CALL, "99.99", False),
        (Right.CALL, "120", True),
        (Right.PUT, "99.99", True),
        (Right.PUT, "100.00", False),
        (Right.PUT, "100.01", False),
    ],
)
def test_option_is_exercised_when_it_is_a_cent_in_the_money(
    right: Right, price: str, exercised: bool
) -> None:
    """By the price at which its underlying closed; less than that is worth nothing."""
    desk = expiring(right)
    symbol = CALL if right == Right.CALL else PUT
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 3, 2, symbol)

    desk.expiry(price)

    how = (EXERCISED, ASSIGNED) if exercised else (EXPIRED, EXPIRED)
    assert [("long", how[0], 3), ("short", how[1], -3)] == desk.ended(symbol)
    bought = (300 if right == Right.CALL else -300) if exercised else 0
    assert (bought, -bought) == (desk.held(long), desk.held(short))
    assert (0, 0) == (desk.held(long, symbol), desk.held(short, symbol))
    desk.judge()


def test_option_that_is_exercised_becomes_shares_at_the_strike_on_their_value_date() -> None:
    """The premium is lost or won in the option; the shares cost the strike, and settle as any."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long", 20_000), desk.person("short")
    desk.hold(short, 100)
    desk.trade(long, short, 1, 2, CALL)

    desk.expiry(105)

    assert (100, 0) == (desk.held(long), desk.held(short))
    position = desk.desk.accounts.positions[
        long.int, desk.desk.markets.by_symbol["X"].instrument.id.int
    ]
    option = desk.desk.accounts.positions[
        long.int, desk.desk.markets.by_symbol[CALL].instrument.id.int
    ]
    assert (10_000_00, -200_00, 0) == (position.cost, option.realized, option.cost)
    booked = [e for e in desk.log if isinstance(e, TradeBooked) and e.order_id == NO_ID]
    assert [(1_000_000, 20261221, 100_0000)] * 2 == [
        (e.notional, e.value_date, e.price) for e in booked
    ]
    # The option itself settles on the day before that of its shares, or with them.
    desk.at_utc(*MONDAY)
    account = desk.desk.accounts.by_id[long.int]
    assert (20_000_00 - 200_00 - 10_000_00, 0) == (account.cash, account.unsettled)
    assert (100, 100) == desk.holds(long)
    assert (0, 0) == desk.holds(long, CALL)
    desk.judge()


def test_option_that_has_expired_opens_and_moves_no_more() -> None:
    """Neither by the timers nor by an operator."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    trade_id = desk.trade(long, short, 1, 2, CALL)
    desk.expiry(101)
    fills = [e for e in desk.log if isinstance(e, OrderFilled) and e.trade_id == trade_id]

    sent = desk.at_utc(*MONDAY)

    assert ["X"] == [one.symbol for one in sent if isinstance(one, OpenInstrument)]
    for command, why in (
        (OpenInstrument(CALL, 20261222, 20261223, desk.at, desk.at + 10), "WRONG_SESSION_STATE"),
        (MarkInstrument(CALL, wire(3)), "WRONG_SESSION_STATE"),
        (TransferPosition(long, CALL, shares(1), 0, "in"), "OPTION_EXPIRED"),
    ):
        assert why == code(desk.send(command)) or why in str(desk.events)
    for refused in (desk.close(CALL), desk.halt(CALL), desk.resume(CALL)):
        assert "WRONG_SESSION_STATE" == code(refused)
    desk.desk.trades_found[trade_id] = (fills[0], fills[1])
    assert "OPTION_EXPIRED" == code(desk.send(BustTrade(trade_id, 1, "late")))
    assert [] == desk.look()


def test_option_assignment_is_in_proportion_and_what_is_left_goes_to_the_oldest() -> None:
    """Contracts that left by transfer are exercised elsewhere: here fewer are than are short."""
    desk = expiring(Right.CALL)
    long = desk.account("long")
    shorts = [desk.person(name, 100_000) for name in ("first", "second", "third")]
    for who, qty in zip(shorts, (1, 4, 5), strict=True):
        desk.trade(long, who, qty, 2, CALL)
    desk.at_utc(2026, 12, 18, 14, 31)
    desk.run(FRIDAY)
    desk.ok(TransferPosition(long, CALL, shares(-3), 0, "out"))

    desk.expiry(101)

    # Seven of ten: 0.7, 2.8 and 3.5 are 0, 2 and 3, and the two that are left go by age.
    assert [
        ("long", EXERCISED, 7),
        ("first", ASSIGNED, -1),
        ("second", ASSIGNED, -3),
        ("second", EXPIRED, -1),
        ("third", ASSIGNED, -3),
        ("third", EXPIRED, -2),
    ] == desk.ended()
    assert [700, -100, -300, -300] == [desk.held(one) for one in (long, *shorts)]
    desk.judge()


def test_option_of_many_holders_ends_in_parts_and_a_restart_goes_on() -> None:
    """What each part comes to was fixed by the first, also when the desk is read back between."""
    desk = expiring(Right.CALL)
    desk.checked = False
    people = [desk.person(f"p{number}", 100_000) for number in range(8)]
    for number in range(4):
        desk.trade(people[number], people[7 - number], number + 1, 2, CALL)
    desk.at_utc(*OPEN)
    desk.trade(desk.a, desk.b, 1, 103)
    desk.refusing = (ExpireOption,)
    desk.refusal = code_of_busy()
    desk.at_utc(*CLOSE)
    assert [] == desk.ended()
    replies = []
    for _ in range(20):
        reply = desk.ok(ExpireOption(CALL, 3))
        assert reply.result is not None
        replies.append(reply.result["remaining"])
        desk.desk = load(dump(desk.desk))
        assert state_hash(desk.desk) == state_hash(desk.follower)
        if not replies[-1]:
            break

    assert [True, True, False] == replies
    assert [100, 200, 300, 400, -400, -300, -200, -100] == [desk.held(one) for one in people]
    assert desk.ok(ExpireOption(CALL)).duplicate
    desk.judge()


def code_of_busy() -> Any:
    """A writer that is busy: the timers ask again."""

    return Refusal("QUEUE_FULL", "busy", {})


def test_option_expiry_that_is_refused_for_a_busy_writer_holds_the_next_session_back() -> None:
    """Nobody trades the underlying before what is exercised is there."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 1, 2, CALL)
    desk.at_utc(*OPEN)
    desk.trade(desk.a, desk.b, 1, 103)
    desk.refusing, desk.refusal = (ExpireOption,), code_of_busy()
    desk.at_utc(*CLOSE)

    assert "OpenInstrument" not in kinds(desk.at_utc(*MONDAY))

    desk.refusal = None
    assert ["ExpireOption", "Settle", "OpenInstrument"] == kinds(desk.look())
    assert [("long", EXERCISED, 1), ("short", ASSIGNED, -1)] == desk.ended()
    desk.judge()


def test_option_that_nothing_was_traded_of_just_ends() -> None:
    """Once; and one that has no price of its underlying is worth nothing."""
    desk = expiring(Right.CALL)

    sent = desk.expiry(None)

    assert 1 == sent.count("ExpireOption")
    [expired] = [e for e in desk.log if isinstance(e, InstrumentExpired)]
    assert ("0", "0", NO_ID) == (expired.exercised, expired.written, expired.extra_until)
    assert wire(100) == expired.underlying_price
    assert [] == desk.look()
    desk.judge()


def test_option_whose_last_day_is_no_session_ends_when_that_day_is_over() -> None:
    """By the close of the last session before it."""
    desk = Expiring()
    desk.at = instant_of(datetime(2026, 12, 23, 15, tzinfo=UTC))
    desk.instrument(opened=False, calendar="XNYS", settlement_cycle=1, shortable=True)
    christmas = "X261225C00090000"
    desk.instrument(
        christmas,
        opened=False,
        asset_class="us_option",
        calendar="",
        price_decimals=2,
        reference_price=wire(2),
        settlement_cycle=1,
        multiplier=100,
        underlying="X",
        right=1,
        strike=wire(90),
        expiry=20261225,
    )
    desk.look()
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 1, 2, christmas)

    assert "ExpireOption" not in kinds(desk.at_utc(2026, 12, 24, 21, 5))
    assert "ExpireOption" not in kinds(desk.at_utc(2026, 12, 25, 21, 5))
    assert "ExpireOption" in kinds(desk.at_utc(2026, 12, 26, 0, 1))
    assert [("long", EXERCISED, 1), ("short", ASSIGNED, -1)] == desk.ended(christmas)
    desk.judge()


def test_option_is_not_ended_before_its_day_is_over() -> None:
    """Whoever asks."""
    desk = expiring(Right.CALL)

    early = desk.send(ExpireOption(CALL))
    none = desk.send(ExpireOption("X"))

    assert ("WRONG_SESSION_STATE", "INVALID_FIELD") == (code(early), code(none))


def test_cash_account_whose_option_is_exercised_owes_what_it_cannot_pay() -> None:
    """The right is not lost; the settlement waits for cash, or for a sale of the shares."""
    desk = expiring(Right.CALL)
    poor, short = desk.account("poor", 500), desk.person("short")
    desk.hold(short, 100)
    desk.trade(poor, short, 1, 2, CALL)
    desk.expiry(110)
    desk.at_utc(*MONDAY)

    assert 100 == desk.held(poor)
    assert [("poor", "CASH")] == desk.short(20261221)

    desk.trade(desk.a, poor, 100, 110)
    desk.at_utc(2026, 12, 22, 14, 31)

    assert [] == desk.short(20261222)
    assert 500_00 - 200_00 + 1_000_00 == desk.desk.accounts.by_id[poor.int].cash
    desk.judge()


def test_option_may_not_come_in_by_a_transfer() -> None:
    """Nobody here has written it, so nobody could be assigned."""
    desk = expiring(Right.CALL)

    desk.send(TransferPosition(desk.a, CALL, shares(1), 0, "in"))

    assert "INVALID_FIELD" == desk.events[0].code  # type: ignore[attr-defined]


def test_option_expiry_is_replayed_to_the_same_state() -> None:
    """As of any event: a desk that follows the log is the desk that decided."""
    desk = expiring(Right.CALL, Right.PUT)
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 2, 2, CALL)
    desk.trade(short, long, 5, 3, PUT)
    desk.expiry(97)

    assert [("long", EXPIRED, 2), ("short", EXPIRED, -2)] == desk.ended(CALL)
    assert [("long", ASSIGNED, -5), ("short", EXERCISED, 5)] == desk.ended(PUT)
    assert state_hash(desk.desk) == state_hash(desk.follower)
    assert all(
        e.order_id != NO_ID or e.price == 100_0000
        for e in desk.log
        if isinstance(e, PositionTraded)
    )
    desk.judge()


def test_option_expiry_leaves_other_contracts_as_they_are() -> None:
    """A later expiry of the same underlying trades on."""
    desk = expiring(Right.CALL)
    later = "X270115C00100000"
    desk.ok(ListOptionChain("X", (20270115,), (wire(100),), (int(Right.CALL),), wire("0.01")))
    desk.look()
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 2, 6, later)

    desk.expiry(105)
    sent = desk.at_utc(*MONDAY)

    assert ["X", later] == [one.symbol for one in sent if isinstance(one, OpenInstrument)]
    assert 2 == desk.held(long, later)
    assert [] == desk.ended(later)
    desk.judge()


def test_option_may_not_be_opened_for_a_day_after_its_last() -> None:
    """An operator who opens it by hand is told which field is wrong."""
    desk = expiring(Right.CALL, calendar="manual")

    reply = desk.send(OpenInstrument(CALL, 20261221, 20261222, desk.at, desk.at + 10**10))

    assert reply.refusal is not None
    assert ("INVALID_FIELD", "session_date") == (code(reply), reply.refusal.details["field"])


def test_option_on_a_calendar_of_operators_ends_when_they_close_its_underlying() -> None:
    """Also where the contract itself was left open: it closes with it."""
    desk = expiring(Right.CALL, calendar="manual")
    for symbol in ("X", CALL):
        desk.ok(OpenInstrument(symbol, FRIDAY, 20261221, desk.at, desk.at + 10**13))
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 1, 2, CALL)
    assert [] == desk.look()

    desk.close("X")

    assert ["ExpireOption"] == kinds(desk.look())
    assert [("long", EXPIRED, 1), ("short", EXPIRED, -1)] == desk.ended()
    desk.judge()


@pytest.mark.parametrize("right", list(Right))
def test_option_whose_underlying_has_no_price_is_worth_nothing(right: Right) -> None:
    """Neither a call nor a put: nobody can say what it would be exercised into."""
    desk = expiring(right, underlying_price=0)
    long, short = desk.person("long"), desk.person("short")
    symbol = CALL if right == Right.CALL else PUT
    desk.trade(long, short, 1, 2, symbol)

    desk.expiry(None)

    assert [("long", EXPIRED, 1), ("short", EXPIRED, -1)] == desk.ended(symbol)
    assert [0] == [e.underlying_price for e in desk.log if isinstance(e, InstrumentExpired)]
    desk.judge()


def test_option_of_an_account_that_is_stopped_is_exercised_all_the_same() -> None:
    """A kill switch ends what somebody asks for, and nobody asks for this."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 1, 2, CALL)
    desk.ok(SetKillSwitch(long, True))
    desk.ok(SetAccountStatus(short, int(AccountStatus.BLOCKED), "gone"))
    desk.at_utc(*OPEN)
    desk.trade(desk.a, desk.b, 1, 105)
    desk.ok(SetKillSwitch(None, True))

    desk.at_utc(*CLOSE)

    assert (100, -100) == (desk.held(long), desk.held(short))
    desk.judge()
