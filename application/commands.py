"""The commands the writer decides, and the replies it gives.

Commands travel as tagged msgpack arrays. Quantities are 1e-8 units, amounts USD cents, prices
1e-9 units (`domain.money.WIRE_PRICE_SCALE`): the writer brings them to the instrument's
scale and refuses what does not fit. Every command of a client carries a request key: same
key and body give what the first came to, an order as it is now, and another body is refused.
What operators ask about an account has keys of their own, apart from those of its traders.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

import msgspec

from application.keys import AdoptKeys, EnsureOperator, IssueKey, RevokeKey, RotateKey
from application.multileg import PassTurns, PlaceMultiLeg, StrategyView
from application.options import ExpireOption, ListOptionChain
from application.orders import (
    CancelAll,
    CancelOrder,
    CloseAllPositions,
    ClosePosition,
    OrderView,
    PlaceGroup,
    PlaceOrder,
    ReadOrder,
    ReplaceOrder,
)
from application.requests import (
    Command,
    Int64,
    OfAccount,
    OfOperator,
    Sealed,
    SentTier,
    Text,
    Words,
    all_below,
)
from application.watchlists import ChangeWatchlist, CreateWatchlist, DeleteWatchlist
from domain import units
from domain.identifiers import (
    AccountId,
    Instant,
    TradeId,
)
from domain.terms import ExerciseStyle, Remainder, Right, TriggerRule

__all__ = [
    "AdoptKeys",
    "CancelAll",
    "CancelOrder",
    "ChangeWatchlist",
    "CloseAllPositions",
    "ClosePosition",
    "CreateWatchlist",
    "DeleteWatchlist",
    "EnsureOperator",
    "ExpireOption",
    "IssueKey",
    "ListOptionChain",
    "PassTurns",
    "PlaceGroup",
    "PlaceMultiLeg",
    "PlaceOrder",
    "ReadOrder",
    "ReplaceOrder",
    "RevokeKey",
    "RotateKey",
]


class OpenAccount(Command, frozen=True, array_like=True, tag="open_account"):
    """Open an account; a second call with the same name and terms gives the first result.

    A door seals the owner's name before it sends it (`domain.sealed_name`).
    """

    SAME_TWICE = True

    name: Text[str]
    owner: Sealed[str]
    kind: Int64[units.AccountKindCode]
    max_order_notional: Int64[units.Cents] = 0


class ForgetOwner(OfAccount, frozen=True, array_like=True, tag="forget_owner"):
    """Throw the key away that opens the name of an account's owner, for all accounts of his."""

    SAME_TWICE = True
    KEEPS_BESIDE = True

    reason: Words[str] = ""


class SetAccountStatus(OfAccount, frozen=True, array_like=True, tag="set_account_status"):
    """Say what an account may do."""

    SAME_TWICE = True
    TAKES_RISK_AWAY = True

    status: Int64[units.AccountStatusCode]
    reason: Words[str]


class SetAccountLimits(OfAccount, frozen=True, array_like=True, tag="set_account_limits"):
    """Set the account's own limits (0: none)."""

    SAME_TWICE = True

    max_order_notional: Int64[units.Cents]
    max_orders_per_second: Int64[units.Number] = 0


class SetAccountPolicy(OfAccount, frozen=True, array_like=True, tag="set_account_policy"):
    """Say whether unsettled proceeds may buy."""

    SAME_TWICE = True

    use_unsettled: bool


class ConfigureAccount(OfAccount, frozen=True, array_like=True, tag="configure_account"):
    """Set how the account's owner wants it to trade; None keeps a member as it is.

    The members of `domain.configuration.Configuration`.
    """

    SAME_TWICE = True

    suspend_trade: bool | None = None
    no_shorting: bool | None = None
    fractional_trading: bool | None = None
    max_margin_multiplier: Int64[units.Number] | None = None


class SetCommissionSchedule(OfAccount, frozen=True, array_like=True, tag="set_commission_schedule"):
    """Say what trades cost; the fields of `domain.commission.Schedule`."""

    SAME_TWICE = True

    kind: Int64[units.CommissionKindCode]
    tiers: tuple[SentTier, ...] = ()
    minimum: Int64[units.Cents] = 0
    cap_bps: Int64[units.Bps] = 0


class SetPairMargin(Command, frozen=True, array_like=True, tag="set_pair_margin"):
    """Let two shares hedge each other at a rate of margin, or no more at 0."""

    SAME_TWICE = True

    symbol: Text[units.Symbol]
    other_symbol: Text[units.Symbol]
    bps: Int64[units.Bps]


class SetKillSwitch(Command, frozen=True, array_like=True, tag="set_kill_switch"):
    """Engage or release the kill switch of an account, or of the venue when None."""

    SAME_TWICE = True
    TAKES_RISK_AWAY = True

    account_id: AccountId | None
    engaged: bool
    reason: Words[str] = ""

    def scope(self) -> UUID | None:
        """Name the account; None when the switch is the venue's."""
        return self.account_id


class CheckMargins(Command, frozen=True, array_like=True, tag="check_margins"):
    """Call, and clear calls of, up to `limit` margin accounts whose state has changed.

    Only these accounts are looked at, or all when none is named.
    """

    limit: Int64[units.Number] = 200
    account_ids: tuple[AccountId, ...] = ()


class Settle(Command, frozen=True, array_like=True, tag="settle"):
    """Settle up to `limit` obligations due on or before a date that this run has not tried."""

    run_date: Int64[units.Day]
    limit: Int64[units.Number] = 200


class CloseDay(Command, frozen=True, array_like=True, tag="close_day"):
    """Mark what some accounts hold of sessions that were over by an instant, and close the days
    of those whose own is over; at most so many events in one decision.
    """

    until: Int64[Instant]
    account_ids: tuple[AccountId, ...]
    limit: Int64[units.Number] = 200


class Deposit(OfOperator, frozen=True, array_like=True, tag="deposit"):
    """Bring cash in."""

    amount: Int64[units.Cents]
    request_key: Text[units.Key]
    description: Words[str] = ""


class Withdraw(OfOperator, frozen=True, array_like=True, tag="withdraw"):
    """Take free, settled cash out."""

    amount: Int64[units.Cents]
    request_key: Text[units.Key]
    description: Words[str] = ""


class ChargeFee(OfOperator, frozen=True, array_like=True, tag="charge_fee"):
    """Let the house take a fee."""

    amount: Int64[units.Cents]
    request_key: Text[units.Key]
    description: Words[str] = ""


class TransferPosition(OfOperator, frozen=True, array_like=True, tag="transfer_position"):
    """Bring settled quantity in (positive) or out (negative) with its cost basis."""

    symbol: Text[units.Symbol]
    qty: Int64[units.Qty]
    cost: Int64[units.Cents]
    request_key: Text[units.Key]
    description: Words[str] = ""


class ListInstrument(Command, frozen=True, array_like=True, tag="list_instrument"):
    """List an instrument; the same symbol and terms again give the first result.

    `tick` and `reference_price` are 1e-9 units; limits of 0 mean none. One with an `underlying`
    is an option; its other terms follow that.
    """

    SAME_TWICE = True

    symbol: Text[units.Symbol]
    name: Text[str]
    asset_class: Text[str]
    calendar: Text[str]
    price_decimals: Int64[units.Decimals]
    tick: Int64[units.WirePrice]
    lot: Int64[units.Qty]
    trigger_rule: Int64[units.TriggerRuleCode] = int(TriggerRule.LAST_TRADE)
    collar_bps: Int64[units.Bps] = 1000
    max_order_qty: Int64[units.Qty] = 0
    max_order_notional: Int64[units.Cents] = 0
    position_limit: Int64[units.Qty] = 0
    reference_price: Int64[units.WirePrice] = 0
    initial_margin_bps: Int64[units.Bps] = 5000
    maintenance_margin_bps: Int64[units.Bps] = 2500
    shortable: bool = False
    settlement_cycle: Int64[units.Number] = 2
    protection_bps: Int64[units.Bps] = 100
    remainder: Int64[units.RemainderCode] = int(Remainder.REST)
    multiplier: Int64[units.Number] = 1
    underlying: Text[units.Symbol] = ""
    right: Int64[units.RightCode] = int(Right.PUT)
    strike: Int64[units.WirePrice] = 0
    expiry: Int64[units.Day] = 0
    style: Int64[units.ExerciseStyleCode] = int(ExerciseStyle.EUROPEAN)


class ChangeInstrument(Command, frozen=True, array_like=True, tag="change_instrument"):
    """Change an instrument's changeable terms; None keeps one."""

    symbol: Text[units.Symbol]
    new_symbol: Text[units.Symbol] | None = None
    name: Text[str] | None = None
    trigger_rule: Int64[units.TriggerRuleCode] | None = None
    collar_bps: Int64[units.Bps] | None = None
    max_order_qty: Int64[units.Qty] | None = None
    max_order_notional: Int64[units.Cents] | None = None
    position_limit: Int64[units.Qty] | None = None
    initial_margin_bps: Int64[units.Bps] | None = None
    maintenance_margin_bps: Int64[units.Bps] | None = None
    shortable: bool | None = None
    settlement_cycle: Int64[units.Number] | None = None
    protection_bps: Int64[units.Bps] | None = None
    remainder: Int64[units.RemainderCode] | None = None

    def is_repeatable(self) -> bool:
        """Terms are set as they shall be; a second renaming may find who took the old symbol."""
        return self.new_symbol is None or self.new_symbol == self.symbol


class OpenInstrument(Command, frozen=True, array_like=True, tag="open_instrument"):
    """Begin a session: uncross at one price, then trade continuously."""

    symbol: Text[units.Symbol]
    session_date: Int64[units.Day]
    value_date: Int64[units.Day]
    opens_at: Int64[Instant]
    closes_at: Int64[Instant]


class CloseInstrument(Command, frozen=True, array_like=True, tag="close_instrument"):
    """End the session."""

    TAKES_RISK_AWAY = True

    symbol: Text[units.Symbol]


class HaltInstrument(Command, frozen=True, array_like=True, tag="halt_instrument"):
    """Stop trading inside a session."""

    TAKES_RISK_AWAY = True

    symbol: Text[units.Symbol]
    reason: Words[str]


class ResumeInstrument(Command, frozen=True, array_like=True, tag="resume_instrument"):
    """Trade on after a halt: uncross at one price first."""

    symbol: Text[units.Symbol]


class MarkInstrument(Command, frozen=True, array_like=True, tag="mark_instrument"):
    """Set the mark price, in 1e-9 units; it elects stops where the rule is the mark.

    A price is of its moment: sent again later it would elect stops that came in between.
    """

    symbol: Text[units.Symbol]
    price: Int64[units.WirePrice]


class ExpireOrders(Command, frozen=True, array_like=True, tag="expire_orders"):
    """Expire up to 200 orders of an instrument that are due; sent by the timer until none is."""

    symbol: Text[units.Symbol]
    limit: Int64[units.Number] = 200


class BustTrade(Command, frozen=True, array_like=True, tag="bust_trade"):
    """Undo a trade by new postings. `position` is where the log holds one of its fills."""

    LOOKS_BACK = True

    trade_id: TradeId
    position: Int64[units.LogPosition]
    reason: Words[str]


class CorrectTrade(Command, frozen=True, array_like=True, tag="correct_trade"):
    """Give a trade another price (1e-9 units) by new postings."""

    LOOKS_BACK = True

    trade_id: TradeId
    position: Int64[units.LogPosition]
    price: Int64[units.WirePrice]
    reason: Words[str]


class ReadState(Command, frozen=True, array_like=True, tag="read_state"):
    """Read the writer's position and counters; `hashed` the hash of all its state too, for which
    every order waits.
    """

    READS = True

    hashed: bool = False


COMMANDS: dict[str, type[Command]] = {
    str(kind.__struct_config__.tag): kind for kind in all_below(Command)
}
"""Every command by its tag."""


class Refusal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why a command was refused."""

    code: str
    message: str
    details: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to one command, given only after its events are committed.

    `position` is the log position of the command's last event (0 when it made none);
    exactly one of `refusal`, `order`, `strategy` and `result` is set on most; `duplicate` says
    that an earlier identical request was done and this is what it came to: an order as it is
    now, at the position at which it is shown, or else the first result; `legs` are the other
    orders of a group whose parent is `order`, or those of a `strategy`, `closing` those of a
    `result` that closes positions.
    """

    position: int
    refusal: Refusal | None = None
    order: OrderView | None = None
    result: dict[str, Any] | None = None
    duplicate: bool = False
    legs: tuple[OrderView, ...] = ()
    closing: tuple[OrderView, ...] = ()
    strategy: StrategyView | None = None


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command under way: who asks, through which gateway, and the command's own bytes."""

    actor: str
    gateway: str
    body: msgspec.Raw


ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(reduce(or_, COMMANDS.values()))


def encode_command(command: Command) -> bytes:
    """The command's bytes, the same for equal commands."""
    return ENCODER.encode(command)


def decode_command(body: bytes | msgspec.Raw) -> Any:
    """The command in these bytes; raises msgspec.ValidationError when there is none."""
    return _DECODER.decode(body)
