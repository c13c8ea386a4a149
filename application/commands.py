"""The commands the writer decides, and the replies it gives.

Commands travel as tagged msgpack arrays. Quantities are 1e-8 units, amounts USD cents, prices
1e-9 units (`domain.money.WIRE_PRICE_SCALE`): the writer brings them to the instrument's
scale and refuses what does not fit. Every command of a client carries a request key: same
key and body give the first result again, another body is refused.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec

from domain.identifiers import HOUSE
from domain.money import WIRE_PRICE_SCALE
from domain.order_terms import Terms
from domain.terms import SelfTrade

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What every store and every other language can keep."""

Text = Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^\x00]*\Z")]
"""Short text without the zero character, which PostgreSQL cannot keep."""


class Command(msgspec.Struct, frozen=True, array_like=True, tag=True, omit_defaults=True):
    """Something the venue is asked to do."""


class PlaceOrder(Command, frozen=True, array_like=True, tag="place_order"):
    """Place one order. The request key is `client_order_id`."""

    account_id: UUID
    symbol: Text
    side: Int64
    order_type: Int64
    time_in_force: Int64
    qty: Int64
    limit_price: Int64
    stop_price: Int64
    client_order_id: Text
    expires_at: Int64 = 0
    post_only: bool = False
    self_trade: Int64 = int(SelfTrade.CANCEL_NEWEST)
    locate: bool = False

    @property
    def terms(self) -> Terms:
        """What it asks for, prices on the wire's scale."""
        return Terms(
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            time_in_force=self.time_in_force,
            qty=self.qty,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            price_decimals=WIRE_PRICE_SCALE,
            expires_at=self.expires_at,
            post_only=self.post_only,
            self_trade=self.self_trade,
            locate=self.locate,
        )


class PlaceGroup(Command, frozen=True, array_like=True, tag="place_group"):
    """Place an oco, bracket or oto group. The request key is `client_order_id`.

    `side` is the entry's, or the exits' of an oco; an oco's `order_type` is limit. Exits are
    opposite to an entry. A price of 0 says that a leg, or its limit, is not there;
    `stop_loss_qty` of 0 is `qty`. `client_order_id` names the parent, which is the entry, or
    the take-profit of an oco.
    """

    account_id: UUID
    symbol: Text
    order_class: Int64
    side: Int64
    order_type: Int64
    time_in_force: Int64
    qty: Int64
    limit_price: Int64
    stop_price: Int64
    client_order_id: Text
    take_profit_price: Int64 = 0
    stop_loss_price: Int64 = 0
    stop_loss_limit_price: Int64 = 0
    stop_loss_qty: Int64 = 0
    expires_at: Int64 = 0
    self_trade: Int64 = int(SelfTrade.CANCEL_NEWEST)
    locate: bool = False

    @property
    def terms(self) -> Terms:
        """What its entry asks for, prices on the wire's scale; exits share all but the prices."""
        return Terms(
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            time_in_force=self.time_in_force,
            qty=self.qty,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            price_decimals=WIRE_PRICE_SCALE,
            expires_at=self.expires_at,
            self_trade=self.self_trade,
            locate=self.locate,
        )


class CancelOrder(Command, frozen=True, array_like=True, tag="cancel_order"):
    """Cancel one working order, found by any of its revisions' ids or by client order id, or
    a whole group by the group's id.
    """

    account_id: UUID
    order_id: UUID | None
    client_order_id: Text
    request_key: Text


class ReplaceOrder(Command, frozen=True, array_like=True, tag="replace_order"):
    """New terms for a working order; None keeps a term. `qty` is the new total.

    `client_order_id` is the new revision's and the request key; empty lets the id stay.
    """

    account_id: UUID
    order_id: UUID
    client_order_id: Text
    request_key: Text
    qty: Int64 | None = None
    limit_price: Int64 | None = None
    stop_price: Int64 | None = None
    time_in_force: Int64 | None = None
    expires_at: Int64 | None = None


class CancelAll(Command, frozen=True, array_like=True, tag="cancel_all"):
    """Cancel the account's working orders, of one symbol or all, in chunks of 200 decisions."""

    account_id: UUID
    symbol: Text = ""
    side: Int64 = 0


class OpenAccount(Command, frozen=True, array_like=True, tag="open_account"):
    """Open an account; a second call with the same name and terms gives the first result."""

    name: Text
    owner: Text
    kind: Int64
    max_order_notional: Int64 = 0


class SetAccountStatus(Command, frozen=True, array_like=True, tag="set_account_status"):
    """Say what an account may do."""

    account_id: UUID
    status: Int64
    reason: Text


class SetAccountLimits(Command, frozen=True, array_like=True, tag="set_account_limits"):
    """Set the account's own limits (0: none)."""

    account_id: UUID
    max_order_notional: Int64
    max_orders_per_second: Int64 = 0


class SetAccountPolicy(Command, frozen=True, array_like=True, tag="set_account_policy"):
    """Say whether unsettled proceeds may buy."""

    account_id: UUID
    use_unsettled: bool


class SetCommissionSchedule(Command, frozen=True, array_like=True, tag="set_commission_schedule"):
    """Say what trades cost; the fields of `domain.commission.Schedule`."""

    account_id: UUID
    kind: Int64
    tiers: tuple[tuple[Int64, Int64, Int64], ...] = ()
    minimum: Int64 = 0
    cap_bps: Int64 = 0


class SetKillSwitch(Command, frozen=True, array_like=True, tag="set_kill_switch"):
    """Engage or release the kill switch of an account, or of the venue when None."""

    account_id: UUID | None
    engaged: bool
    reason: Text = ""


class CheckMargins(Command, frozen=True, array_like=True, tag="check_margins"):
    """Call, and clear calls of, up to `limit` margin accounts whose state has changed.

    Only these accounts are looked at, or all when none is named.
    """

    limit: Int64 = 200
    account_ids: tuple[UUID, ...] = ()


class Settle(Command, frozen=True, array_like=True, tag="settle"):
    """Settle up to `limit` obligations due on or before a date that this run has not tried."""

    run_date: Int64
    limit: Int64 = 200


class Deposit(Command, frozen=True, array_like=True, tag="deposit"):
    """Bring cash in."""

    account_id: UUID
    amount: Int64
    request_key: Text
    description: Text = ""


class Withdraw(Command, frozen=True, array_like=True, tag="withdraw"):
    """Take free, settled cash out."""

    account_id: UUID
    amount: Int64
    request_key: Text
    description: Text = ""


class ChargeFee(Command, frozen=True, array_like=True, tag="charge_fee"):
    """Let the house take a fee."""

    account_id: UUID
    amount: Int64
    request_key: Text
    description: Text = ""


class TransferPosition(Command, frozen=True, array_like=True, tag="transfer_position"):
    """Bring settled quantity in (positive) or out (negative) with its cost basis."""

    account_id: UUID
    symbol: Text
    qty: Int64
    cost: Int64
    request_key: Text
    description: Text = ""


class ListInstrument(Command, frozen=True, array_like=True, tag="list_instrument"):
    """List an instrument; the same symbol and terms again give the first result.

    `tick` and `reference_price` are 1e-9 units; limits of 0 mean none.
    """

    symbol: Text
    name: Text
    asset_class: Text
    calendar: Text
    price_decimals: Int64
    tick: Int64
    lot: Int64
    trigger_rule: Int64 = 1
    collar_bps: Int64 = 1000
    max_order_qty: Int64 = 0
    max_order_notional: Int64 = 0
    position_limit: Int64 = 0
    reference_price: Int64 = 0
    initial_margin_bps: Int64 = 5000
    maintenance_margin_bps: Int64 = 2500
    shortable: bool = False
    settlement_cycle: Int64 = 2


class ChangeInstrument(Command, frozen=True, array_like=True, tag="change_instrument"):
    """Change an instrument's changeable terms; None keeps one."""

    symbol: Text
    new_symbol: Text | None = None
    name: Text | None = None
    trigger_rule: Int64 | None = None
    collar_bps: Int64 | None = None
    max_order_qty: Int64 | None = None
    max_order_notional: Int64 | None = None
    position_limit: Int64 | None = None
    initial_margin_bps: Int64 | None = None
    maintenance_margin_bps: Int64 | None = None
    shortable: bool | None = None
    settlement_cycle: Int64 | None = None


class OpenInstrument(Command, frozen=True, array_like=True, tag="open_instrument"):
    """Begin a session: uncross at one price, then trade continuously."""

    symbol: Text
    session_date: Int64
    value_date: Int64
    opens_at: Int64
    closes_at: Int64


class CloseInstrument(Command, frozen=True, array_like=True, tag="close_instrument"):
    """End the session."""

    symbol: Text


class HaltInstrument(Command, frozen=True, array_like=True, tag="halt_instrument"):
    """Stop trading inside a session."""

    symbol: Text
    reason: Text


class ResumeInstrument(Command, frozen=True, array_like=True, tag="resume_instrument"):
    """Trade on after a halt: uncross at one price first."""

    symbol: Text


class MarkInstrument(Command, frozen=True, array_like=True, tag="mark_instrument"):
    """Set the mark price, in 1e-9 units; it elects stops where the rule is the mark."""

    symbol: Text
    price: Int64


class ExpireOrders(Command, frozen=True, array_like=True, tag="expire_orders"):
    """Expire up to 200 orders of an instrument that are due; sent by the timer until none is."""

    symbol: Text
    limit: Int64 = 200


class BustTrade(Command, frozen=True, array_like=True, tag="bust_trade"):
    """Undo a trade by new postings. `position` is where the log holds one of its fills."""

    trade_id: UUID
    position: Int64
    reason: Text


class CorrectTrade(Command, frozen=True, array_like=True, tag="correct_trade"):
    """Give a trade another price (1e-9 units) by new postings."""

    trade_id: UUID
    position: Int64
    price: Int64
    reason: Text


class ReadOrder(Command, frozen=True, array_like=True, tag="read_order"):
    """Read a working or recent order as the writer has it (FIX order status)."""

    account_id: UUID
    order_id: UUID | None
    client_order_id: Text = ""


class ReadState(Command, frozen=True, array_like=True, tag="read_state"):
    """Read the writer's position, state hash and counters."""


AnyCommand = (
    PlaceOrder
    | PlaceGroup
    | CancelOrder
    | ReplaceOrder
    | CancelAll
    | OpenAccount
    | SetAccountStatus
    | SetAccountLimits
    | SetAccountPolicy
    | SetCommissionSchedule
    | SetKillSwitch
    | CheckMargins
    | Settle
    | Deposit
    | Withdraw
    | ChargeFee
    | TransferPosition
    | ListInstrument
    | ChangeInstrument
    | OpenInstrument
    | CloseInstrument
    | HaltInstrument
    | ResumeInstrument
    | MarkInstrument
    | ExpireOrders
    | BustTrade
    | CorrectTrade
    | ReadOrder
    | ReadState
)


def request_key(command: Any) -> tuple[UUID, str] | None:
    """Whose and which key makes this request unique; None when it carries none.

    A replace that names a new client order id is known by it: ids of orders are never
    given twice.
    """
    kind = type(command)
    if kind is PlaceOrder or kind is PlaceGroup:
        key = command.client_order_id
    elif kind is ReplaceOrder:
        key = command.client_order_id or command.request_key
    elif kind in _KEYED:
        key = command.request_key
    else:
        return None
    return (command.account_id, key) if key else None


_KEYED = frozenset({CancelOrder, Deposit, Withdraw, ChargeFee, TransferPosition})


class OrderView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One order as a client sees it; units as in the events, `limit_price_wire` where the
    order was refused before its instrument was known.
    """

    order_id: UUID
    revision_id: UUID
    account_id: UUID
    instrument_id: UUID
    symbol: str
    client_order_id: str
    side: int
    order_type: int
    time_in_force: int
    qty: int
    filled: int
    value: str
    limit_price: int
    stop_price: int
    price_decimals: int
    expires_at: int
    post_only: bool
    status: int
    submitted_at: int
    updated_at: int
    filled_at: int = 0
    ended_at: int = 0
    triggered_at: int = 0
    replaced_at: int = 0
    replaces: UUID | None = None
    group_id: UUID = HOUSE
    leg: int = 0


class Refusal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why a command was refused."""

    code: str
    message: str
    details: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to one command, given only after its events are committed.

    `position` is the log position of the command's last event (0 when it made none);
    exactly one of `refusal`, `order` and `result` is set on most replies; `duplicate` says
    that this is the first result of an earlier identical request; `legs` are the other
    orders of a group whose parent is `order`.
    """

    position: int
    refusal: Refusal | None = None
    order: OrderView | None = None
    result: dict[str, Any] | None = None
    duplicate: bool = False
    legs: tuple[OrderView, ...] = ()


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command under way: who asks, through which gateway, and the command's own bytes."""

    actor: str
    gateway: str
    body: msgspec.Raw


ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyCommand)


def encode_command(command: Command) -> bytes:
    """The command's bytes, the same for equal commands."""
    return ENCODER.encode(command)


def decode_command(body: bytes | msgspec.Raw) -> Any:
    """The command in these bytes; raises msgspec.ValidationError when there is none."""
    return _DECODER.decode(body)
