"""Curves of equity and volumes of days count an option's multiplier, and its end."""

from __future__ import annotations

from uuid import UUID

from domain.terms import Right
from projections.daily_volume import DailyVolume, DailyVolumeRow
from projections.equity import MINUTE, Equity
from projections.equity_reads import CASH, HELD, UNSETTLED, Change, equities
from tests.model.expiring_desk import CALL, Expiring, expiring


def equity_of(desk: Expiring, account: UUID) -> int:
    """An account's equity at the end, in cents, from the view's rows alone."""
    view = Equity()
    for number, event in enumerate(desk.log, 1):
        handler = view.handlers.get(type(event))
        if handler is not None:
            handler(number, event)
    changes = [
        Change(row["minute"], None, kind, row[name])
        for row in view.money.puts.values()
        if row["account_id"] == account
        for kind, name in ((CASH, "cash"), (UNSETTLED, "unsettled"))
        if name in row
    ]
    changes += [
        Change(row["minute"], row["instrument_id"], HELD, row["qty"])
        for row in view.holdings.puts.values()
        if row["account_id"] == account
    ]
    changes += [
        Change(row["minute"], row["instrument_id"], row["kind"], row["level"])
        for row in view.prices.puts.values()
    ]
    changes.sort(key=lambda one: one.minute)
    return equities(changes, [desk.at // MINUTE + 1])[0]


def test_option_equity_is_a_hundred_times_its_price() -> None:
    """Before its end at its price, after it in the shares that it became."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 3, 2, CALL)
    desk.trade(long, short, 1, 3, CALL)

    # Three of four bought for 2.00 are worth 3.00.
    assert [1_000_300_00, 999_700_00] == [equity_of(desk, one) for one in (long, short)]

    desk.expiry(108)

    # For 900 in premiums, four hundred shares that are worth 8.00 more than was paid.
    assert [1_002_300_00, 997_700_00] == [equity_of(desk, one) for one in (long, short)]
    assert desk.desk.margin(long).long_value == 400 * 108_00
    desk.judge()


def test_option_volume_of_a_day_is_worth_its_multiplier() -> None:
    """Its average price is a price; its notional is money."""
    desk = expiring(Right.CALL)
    long, short = desk.person("long"), desk.person("short")
    desk.trade(long, short, 3, 2, CALL)
    bust = desk.trade(long, short, 1, "2.5", CALL)
    desk.bust(bust)
    view = DailyVolume()
    for number, event in enumerate(desk.log, 1):
        handler = view.handlers.get(type(event))
        if handler is not None:
            handler(number, event)
    [row] = view.days.puts.values()
    multiplier = desk.desk.markets.by_symbol[CALL].instrument.multiplier

    shown = DailyVolumeRow(
        row["instrument_id"],
        CALL,
        row["day"],
        row["price_decimals"],
        row["trades"] - row["undone_trades"],
        row["volume"] - row["undone_volume"],
        row["value"] - row["undone_value"],
        row["open"],
        row["high"],
        row["low"],
        row["close"],
        multiplier,
    )

    assert (600_00, "2.0000", 1) == (shown.notional, shown.vwap_text, shown.trades)
