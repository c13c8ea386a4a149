"""The commands about listed options, beside those of any instrument."""

from __future__ import annotations

from application.requests import Command, Int64, Text
from domain import units
from domain.terms import ExerciseStyle, Remainder, TriggerRule


class ListOptionChain(Command, frozen=True, array_like=True, tag="list_option_chain"):
    """List the options of an underlying: each expiry with each strike and right, all at once.

    A second call lists what is not there. `strikes` and `tick` are 1e-9 units; limits of 0 mean
    none.
    """

    SAME_TWICE = True

    underlying: Text[units.Symbol]
    expiries: tuple[Int64[units.Day], ...]
    strikes: tuple[Int64[units.WirePrice], ...]
    rights: tuple[Int64[units.RightCode], ...]
    tick: Int64[units.WirePrice]
    price_decimals: Int64[units.Decimals] = 2
    style: Int64[units.ExerciseStyleCode] = int(ExerciseStyle.AMERICAN)
    multiplier: Int64[units.Number] = 100
    trigger_rule: Int64[units.TriggerRuleCode] = int(TriggerRule.LAST_TRADE)
    collar_bps: Int64[units.Bps] = 9_999
    protection_bps: Int64[units.Bps] = 5_000
    remainder: Int64[units.RemainderCode] = int(Remainder.REST)
    max_order_qty: Int64[units.Qty] = 0
    max_order_notional: Int64[units.Cents] = 0
    position_limit: Int64[units.Qty] = 0
    initial_margin_bps: Int64[units.Bps] = 10_000
    maintenance_margin_bps: Int64[units.Bps] = 10_000
    settlement_cycle: Int64[units.Number] = 1


class ExpireOption(Command, frozen=True, array_like=True, tag="expire_option"):
    """Let an option end whose last day is over: its orders, and then what is held of it, a part
    each time. The reply says whether more remains for the same command again.
    """

    symbol: Text[units.Symbol]
    limit: Int64[units.Number] = 100
