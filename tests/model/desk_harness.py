"""A desk driven by its real handlers on a set clock, its books checked after every command."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec

from application.commands import (
    BustTrade,
    CancelAll,
    CancelOrder,
    CloseInstrument,
    CorrectTrade,
    Deposit,
    ExpireOrders,
    HaltInstrument,
    ListInstrument,
    MarkInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Refusal,
    ReplaceOrder,
    Reply,
    ResumeInstrument,
    SetAccountPolicy,
    TransferPosition,
    decode_command,
    encode_command,
)
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, load, state_hash, state_hash_of
from application.log.ports import Recorded
from application.writer.replies import render
from application.writer.request_keys import fingerprint
from domain.errors import Rejection
from domain.events import DomainEvent, OrderAccepted, OrderFilled, OrderTriggered
from domain.identifiers import HOUSE
from domain.matching.engine import Market
from domain.order import Order
from domain.terms import (
    AccountKind,
    OrderType,
    Phase,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)
from infrastructure.log.codec import decode_event, encode_event
from tests.model.second_books import SecondBooks

NOON = 1_795_262_400_000_000
"""Where the clock of a harness begins: 2026-11-21T12:00:00Z."""

SESSION, VALUE_DATE = 20261121, 20261124

Amount = Fraction | Decimal | int | str


def shares(qty: Amount) -> int:
    """A quantity in the commands' units."""
    return int(Fraction(qty) * 10**8)


def wire(price: Amount | None) -> int:
    """A price in the commands' units, 0 for none."""
    return 0 if price is None else int(Fraction(price) * 10**9)


def cents(amount: Amount) -> int:
    """An amount in the commands' units."""
    return int(Fraction(amount) * 100)


class DeskHarness:
    """Commands in, events out; no store, no sequencer, no clock but `at`.

    A second desk follows the events as they would come back from the store and must stay
    equal. With `checked` off nothing is compared until `check` is called.
    """

    def __init__(self, *, checked: bool = True) -> None:
        self.desk = Desk()
        self.follower = Desk()
        self.at = NOON
        self.number = 0
        self.checked = checked
        self.log: list[DomainEvent] = []
        self.books = SecondBooks()
        self.versions: defaultdict[UUID, int] = defaultdict(int)
        self.labels: dict[UUID, str] = {}
        self.events: list[DomainEvent] = []
        self.a = self.b = HOUSE

    # -- commands --------------------------------------------------------------------------

    def send(self, command: Any) -> Reply:
        """Decide one command as the sequencer would, and check all there is to check."""
        body = encode_command(command)
        command = decode_command(body)
        self.at += 1
        self.number += 1
        desk = self.desk
        step = Step(desk, self.at, self.number, "tester", "test", fingerprint(body))
        try:
            reply = HANDLERS[type(command)](step, command)
            if reply is None:
                orders = desk.orders
                reply = render(step.events, step.last_position(), at_hand=orders.remembered)
                assert reply == render(step.events, step.last_position())
        except Rejection as refusal:
            assert not step.events, "a refusal that is raised leaves nothing behind"
            reply = Reply(0, Refusal(refusal.code, refusal.message, refusal.document()))
        self.events = step.events
        if step.events:
            desk.moved_to(desk.position + len(step.events), self.at, self.number)
            self._keep(step)
        if self.checked:
            self.check()
        return reply

    def ok(self, command: Any) -> Reply:
        """Send a command that must not be refused."""
        reply = self.send(command)
        assert reply.refusal is None, reply.refusal
        return reply

    def _keep(self, step: Step) -> None:
        for event in step.events:
            self.versions[event.originator_id] += 1
            assert event.originator_version == self.versions[event.originator_id]
            self.books.take(event)
            if isinstance(event, OrderAccepted):
                self.labels[event.originator_id] = event.client_order_id
            stored = decode_event(event.TOPIC, encode_event(event))
            assert stored == event
            self.log.append(event)
            follow(self.follower, [Recorded(len(self.log), stored)])

    def account(
        self,
        name: str,
        cash: Amount = 1_000_000,
        owner: str = "",
        *,
        kind: AccountKind = AccountKind.CASH,
        use_unsettled: bool = False,
    ) -> UUID:
        """A new account with money in it."""
        reply = self.ok(OpenAccount(name, owner, int(kind)))
        assert reply.result is not None
        identifier = UUID(reply.result["account_id"])
        if cents(cash):
            self.ok(Deposit(identifier, cents(cash), f"cash-{name}"))
        if use_unsettled:
            self.ok(SetAccountPolicy(identifier, True))
        return identifier

    def listing(self, symbol: str, **terms: Any) -> ListInstrument:
        """An instrument's terms: tick 0.01, lot 1, collar and protection half of 100."""
        values: dict[str, Any] = {
            "name": symbol,
            "asset_class": "us_equity",
            "calendar": "24/7",
            "price_decimals": 4,
            "tick": wire("0.01"),
            "lot": shares(1),
            "trigger_rule": int(TriggerRule.LAST_TRADE),
            "collar_bps": 5_000,
            "protection_bps": 5_000,
            "reference_price": wire(100),
        }
        return ListInstrument(symbol, **{**values, **terms})

    def instrument(self, symbol: str = "X", *, opened: bool = True, **terms: Any) -> None:
        """A new instrument of these terms."""
        self.ok(self.listing(symbol, **terms))
        if opened:
            self.open(symbol)

    def hold(self, account: UUID, qty: Amount, symbol: str = "X") -> None:
        """Give an account a settled holding."""
        key = f"hold-{self.number}"
        self.ok(TransferPosition(account, symbol, shares(qty), 0, key))

    def place(
        self,
        account: UUID,
        side: Side,
        qty: Amount,
        limit: Amount | None = None,
        *,
        stop: Amount | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        client: str | None = None,
        symbol: str = "X",
        expires_at: int = 0,
        post_only: bool = False,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
        locate: bool = False,
        trail: Amount | None = None,
        percent: Amount | None = None,
    ) -> Reply:
        """Place an order; its type follows from the prices given."""
        if trail is not None or percent is not None:
            kind = OrderType.TRAILING_STOP
        elif stop is None:
            kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        else:
            kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
        return self.send(
            PlaceOrder(
                account,
                symbol,
                int(side),
                int(kind),
                int(tif),
                shares(qty),
                wire(limit),
                wire(stop),
                client or f"c{self.number + 1}",
                expires_at,
                post_only,
                int(self_trade),
                locate,
                0,
                wire(trail),
                int(Fraction(percent or 0) * 1_000),
            )
        )

    def spend(
        self,
        account: UUID,
        side: Side,
        notional: Amount,
        *,
        client: str | None = None,
        symbol: str = "X",
        **terms: Any,
    ) -> Reply:
        """Place a market order for an amount; `terms` are other terms than its own."""
        label = client or f"c{self.number + 1}"
        order = PlaceOrder(account, symbol, int(side), 1, 0, 0, 0, 0, label)
        return self.send(msgspec.structs.replace(order, notional=cents(notional), **terms))

    def replace(self, account: UUID, order_id: UUID, **terms: Any) -> Reply:
        """Replace an order: `qty`, `limit`, `stop`, `tif`, `expires_at`, `client`, `trail`."""
        return self.send(
            ReplaceOrder(
                account,
                order_id,
                terms.get("client", ""),
                f"r{self.number + 1}",
                shares(terms["qty"]) if "qty" in terms else None,
                wire(terms["limit"]) if "limit" in terms else None,
                wire(terms["stop"]) if "stop" in terms else None,
                int(terms["tif"]) if "tif" in terms else None,
                terms.get("expires_at"),
                wire(terms["trail"]) if "trail" in terms else None,
            )
        )

    def cancel(self, account: UUID, order_id: UUID) -> Reply:
        """Cancel one order."""
        return self.send(CancelOrder(account, order_id, "", f"x{self.number + 1}"))

    def cancel_all(self, account: UUID, symbol: str = "") -> Reply:
        """Cancel one chunk of an account's orders."""
        return self.send(CancelAll(account, symbol))

    def open(self, symbol: str = "X") -> Reply:
        """Begin a session."""
        return self.send(OpenInstrument(symbol, SESSION, VALUE_DATE, self.at, self.at + 10**12))

    def close(self, symbol: str = "X") -> Reply:
        """End the session."""
        return self.send(CloseInstrument(symbol))

    def halt(self, symbol: str = "X") -> Reply:
        """Stop trading."""
        return self.send(HaltInstrument(symbol, "news"))

    def resume(self, symbol: str = "X") -> Reply:
        """Trade on."""
        return self.send(ResumeInstrument(symbol))

    def mark(self, price: Amount, symbol: str = "X") -> Reply:
        """Set the mark."""
        return self.send(MarkInstrument(symbol, wire(price)))

    def expire(self, symbol: str = "X") -> int:
        """Expire everything that is due; how many orders that were."""
        expired = 0
        while True:
            result = self.ok(ExpireOrders(symbol)).result
            assert result is not None
            assert 0 <= result["expired"] <= 200
            expired += result["expired"]
            if not result["remaining"]:
                return expired

    def bust_last(self) -> Reply:
        """Undo the newest trade."""
        return self.send(BustTrade(self._found_last_trade(), 1, "erroneous"))

    def correct_last(self, price: Amount) -> Reply:
        """Give the newest trade another price."""
        return self.send(CorrectTrade(self._found_last_trade(), 1, wire(price), "mispriced"))

    def _found_last_trade(self) -> UUID:
        """Bring the newest trade's fills to the desk, as a look-up in the log would."""
        fills = [event for event in self.log if isinstance(event, OrderFilled)][-2:]
        trade_id = fills[0].trade_id
        self.desk.trades_found[trade_id] = (fills[0], fills[1])
        return trade_id

    @property
    def ledger(self) -> Mapping[tuple[UUID, int], int]:
        """What every party has in every ledger, by the postings."""
        return self.books.ledger

    # -- what happened ---------------------------------------------------------------------

    def happened(self, *kinds: type[DomainEvent]) -> list[Any]:
        """The latest command's events of these kinds."""
        return [event for event in self.events if isinstance(event, kinds)]

    def trades(self) -> list[tuple[str, str, int, int]]:
        """The latest command's trades as (buyer's, seller's client id, qty, price)."""
        fills = self.happened(OrderFilled)
        found = []
        for one, other in zip(fills[::2], fills[1::2], strict=True):
            assert (one.trade_id, one.qty, one.price) == (other.trade_id, other.qty, other.price)
            buy, sell = (one, other) if one.side == Side.BUY else (other, one)
            assert (int(Side.BUY), int(Side.SELL)) == (buy.side, sell.side)
            found.append((self.label(buy), self.label(sell), one.qty, one.price))
        return found

    def elections(self) -> list[tuple[str, int, int]]:
        """The latest command's elected stops as (client id, rule, price seen)."""
        return [(self.label(e), e.rule, e.seen_price) for e in self.happened(OrderTriggered)]

    def label(self, event: Any) -> str:
        """The client id under which the order of an event was placed."""
        return self.labels[event.originator_id]

    def order(self, order_id: UUID) -> Order:
        """A working or recently ended order."""
        return (
            self.desk.orders.working.get(order_id.int) or self.desk.orders.ended.by_id[order_id.int]
        )

    def book(self, side: Side, symbol: str = "X") -> list[tuple[str, int, int]]:
        """A side of the book as (client id, price, leaves), in strict priority."""
        market = self.desk.markets.by_symbol[symbol]
        instrument = market.instrument
        return [
            (
                self.labels[self.desk.orders.by_sequence[key].id],
                t * instrument.tick,
                n * instrument.lot,
            )
            for key, t, n, _ in market.book.orders(int(side))
        ]

    # -- the second bookkeeper --------------------------------------------------------------

    def check(self) -> None:
        """Everything that must hold between two commands."""
        self.books.check(self.desk)
        for market in self.desk.markets.by_id.values():
            self._check_market(market)
        state = dump(self.desk)
        loaded = load(state)
        assert state_hash_of(state) == state_hash(self.follower) == state_hash(loaded)
        for twin in (self.follower, loaded):
            assert working_of(self.desk) == working_of(twin)

    def _check_market(self, market: Any) -> None:
        desk, instrument = self.desk, market.instrument
        mine = [o for o in desk.orders.working.values() if o.instrument_id == instrument.id]
        waiting = [o for o in mine if o.is_waiting_stop]
        for side in (Side.BUY, Side.SELL):
            live = [o for o in mine if o.side == side and o.armed and not o.is_waiting_stop]
            way = -1 if side == Side.BUY else 1
            live.sort(key=lambda o: (way * o.working_price, o.sequence))
            assert market.book.orders(int(side)) == [
                (
                    o.sequence,
                    o.working_price // instrument.tick,
                    o.leaves // instrument.lot,
                    desk.accounts.by_id[o.account_id.int].owner_number,
                )
                for o in live
            ]
        assert waiting_in(market) == sorted((o.side, o.stop_price, o.sequence) for o in waiting)
        if instrument.phase != Phase.OPEN:
            return
        bid, ask = (market.book.best(int(side)) for side in (Side.BUY, Side.SELL))
        assert not bid or not ask or bid < ask, "an open book stands crossed"
        if instrument.trigger_rule == TriggerRule.BID_ASK:
            below, above = bid * instrument.tick, ask * instrument.tick
        elif instrument.trigger_rule == TriggerRule.MARK:
            below = above = instrument.mark_price
        else:
            return
        for stop in waiting:
            if stop.side == Side.BUY:
                assert not above or stop.stop_price > above, "a stop was passed over"
            else:
                assert not below or stop.stop_price < below, "a stop was passed over"


def waiting_in(market: Market) -> list[tuple[int, int, int]]:
    """Every waiting stop of a market as (side, price, sequence)."""
    return sorted([*market.stops.rows(), *(row[:3] for row in market.stops.trailing.rows())])


def working_of(desk: Desk) -> list[tuple[int, int, int]]:
    """What works for every position; the state itself does not say it."""
    return [(p.working_buys, p.working_sells, p.joined) for p in desk.accounts.positions.values()]


def trading_desk(**terms: Any) -> DeskHarness:
    """One open instrument X, and two accounts `a` and `b` with a million and 1000 shares each."""
    desk = DeskHarness()
    desk.instrument(**terms)
    desk.a, desk.b = desk.account("a"), desk.account("b")
    for account in (desk.a, desk.b):
        desk.hold(account, 1000)
    return desk


def code(reply: Reply) -> str:
    """The code of a refusal, or nothing."""
    return "" if reply.refusal is None else reply.refusal.code
