"""What a document shows is what the writer grants: that much, and not a cent or a share more."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    BustTrade,
    CheckMargins,
    Deposit,
    PlaceOrder,
    Reply,
    SetAccountPolicy,
    SetAccountStatus,
    SetKillSwitch,
    TransferPosition,
    Withdraw,
)
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.state import dump, load
from application.requests import Command
from application.writer.request_keys import fingerprint
from domain.errors import Rejection
from domain.events import OrderFilled, OrderRejected, RequestRefused
from domain.terms import AccountKind, AccountStatus, OrderType, SelfTrade, Side, TimeInForce
from tests.model.desk_harness import DeskHarness, cents, shares, wire
from tests.model.shown import Shown

ACTIVE, CLOSING_ONLY, BLOCKED = map(int, AccountStatus)
PENNY = "PENNY"
"""A cent a share, at an initial rate of one half: an order of it is worth its number of cents."""


class Refused:
    """Why a command was refused, in its own words; `code` is empty when it was not."""

    def __init__(self, code: str = "", details: dict[str, Any] | None = None) -> None:
        self.code = code
        self.details = details or {}


class Accounts:
    """Accounts of every kind that trade at random, and what would be granted to each."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.desk = DeskHarness(checked=False)
        self.desk.instrument("X", shortable=True)
        self.desk.instrument("Y", shortable=True, initial_margin_bps=3_000)
        self.desk.instrument("HARD", initial_margin_bps=2_500, maintenance_margin_bps=9_000)
        self.desk.instrument(PENNY, reference_price=wire("0.01"))
        self.symbols = ("X", "Y", "HARD")
        self.accounts = [
            self.desk.account(f"cash {number}", 20_000, use_unsettled=number % 2 == 1)
            for number in range(3)
        ]
        self.accounts += [
            self.desk.account(f"margin {number}", 3_000, kind=AccountKind.MARGIN)
            for number in range(3)
        ]
        for account in self.accounts[1:-1]:
            self.desk.hold(account, self.pick.choice((1, 10, 30)), "X")
            self.desk.hold(account, 5, "HARD")
        maker = self.desk.account("maker", 1_000_000)
        self.desk.hold(maker, 1_000, "X")
        if seed % 3 == 0:
            self.owe(self.accounts[0], maker)
        if seed % 3 == 1:
            self.borrow(self.accounts[-1], maker)

    def trade(self, buyer: UUID, seller: UUID, qty: int) -> None:
        """Shares of X change hands at 100."""
        self.desk.place(seller, Side.SELL, qty, 100)
        self.desk.place(buyer, Side.BUY, qty, 100)
        assert self.desk.trades()

    def owe(self, account: UUID, maker: UUID) -> None:
        """Sell what a bust takes away afterwards."""
        self.trade(account, maker, 10)
        bought = self.desk.happened(OrderFilled)[0].trade_id
        self.trade(maker, account, 10)
        self.bust(bought)

    def borrow(self, account: UUID, maker: UUID) -> None:
        """Buy with twice what is there, and see it fall."""
        self.trade(account, maker, 58)
        self.shock("X", 55)
        self.desk.ok(CheckMargins())

    def act(self) -> None:
        """One thing that changes what somebody can do."""
        pick, desk = self.pick, self.desk
        who, symbol = pick.choice(self.accounts), pick.choice(self.symbols)
        luck = pick.random()
        if luck < 0.62:
            price = 100 + pick.randint(-3, 3)
            side = pick.choice((Side.BUY, Side.SELL))
            desk.place(who, side, pick.randint(1, 60), price, symbol=symbol, locate=True)
        elif luck < 0.66:
            desk.send(Withdraw(who, cents(pick.randint(1, 9_000)), f"w{desk.number}"))
        elif luck < 0.70:
            desk.ok(Deposit(who, cents(pick.randint(1, 3_000)), f"d{desk.number}"))
        elif luck < 0.74:
            fills = [event for event in desk.log if isinstance(event, OrderFilled)]
            if fills:
                self.bust(pick.choice(fills).trade_id)
        elif luck < 0.78:
            desk.ok(SetAccountPolicy(who, pick.random() < 0.5))
        elif luck < 0.83:
            desk.cancel_all(who)
        elif luck < 0.86:
            qty = shares(pick.randint(-20, 20))
            desk.send(TransferPosition(who, symbol, qty, 0, f"t{desk.number}"))
        elif luck < 0.90:
            status = pick.choice((ACTIVE, ACTIVE, CLOSING_ONLY, BLOCKED))
            desk.ok(SetAccountStatus(who, status, "a review"))
        elif luck < 0.93:
            whose = pick.choice((who, None))
            desk.ok(SetKillSwitch(whose, pick.random() < (0.5 if whose else 0.2), "a drill"))
        elif luck < 0.97:
            self.shock(symbol, pick.choice((55, 80, 120, 145)))
        else:
            desk.ok(CheckMargins())

    def bust(self, trade_id: UUID) -> None:
        """Undo a trade, however old."""
        fills = [event for event in self.desk.log if isinstance(event, OrderFilled)]
        one, other = (fill for fill in fills if fill.trade_id == trade_id)
        self.desk.desk.trades_found[trade_id] = (one, other)
        self.desk.send(BustTrade(trade_id, 1, "erroneous"))

    def shock(self, symbol: str, price: int) -> None:
        """Two strangers trade far away, so that all holdings are worth something else."""
        one, other = (
            self.desk.account(f"stranger {self.desk.number} {name}", 100_000) for name in "ab"
        )
        self.desk.hold(one, 1, symbol)
        terms: dict[str, Any] = {"symbol": symbol, "self_trade": SelfTrade.CANCEL_OLDEST}
        self.desk.place(one, Side.SELL, 1, price, **terms)
        self.desk.place(other, Side.BUY, 1, price, **terms)
        self.desk.cancel_all(one)
        self.desk.cancel_all(other)

    def asked(self, command: Command) -> Refused:
        """What the writer would answer; nothing comes of it."""
        desk = load(dump(self.desk.desk))
        step = Step(desk, self.desk.at + 1, self.desk.number + 1, "t", "t", fingerprint(b"x"))
        try:
            reply: Reply | None = HANDLERS[type(command)](step, command)
        except Rejection as refusal:
            return Refused(refusal.code, refusal.document())
        assert reply is None
        for event in step.events:
            if isinstance(event, OrderRejected | RequestRefused):
                return Refused(event.code, event.details)
        return Refused()

    def order(
        self, account: UUID, symbol: str, side: Side, qty: int, price: int, **more: Any
    ) -> Refused:
        """The answer to a limit order."""
        kind, tif = int(OrderType.LIMIT), int(TimeInForce.GTC)
        return self.asked(
            PlaceOrder(account, symbol, int(side), kind, tif, qty, price, 0, "promised", **more)
        )

    def limit(self, symbol: str, side: Side) -> int:
        """A price that is inside the collar and meets nobody, on the wire's scale."""
        market = self.desk.desk.markets.by_symbol[symbol]
        low, high = market.collar(market.reference_price)
        return (high if side == Side.SELL else low) * 10**5


def in_cents(text: str) -> int:
    """Dollars of a document."""
    return int(Decimal(text) * 100)


def in_units(text: str) -> int:
    """A quantity of a document."""
    return int(Decimal(text) * 10**8)


def withdrawable_is_granted(venue: Accounts, shown: Shown, account: UUID) -> None:
    """All of it leaves, and not a cent more; the refusal names it."""
    document = shown.account(account)
    free = in_cents(document["cash_withdrawable"])
    if free:
        assert "" == venue.asked(Withdraw(account, free, "promised")).code
    refused = venue.asked(Withdraw(account, free + 1, "promised"))
    blocked = document["transfers_blocked"]
    assert ("ACCOUNT_NOT_ACTIVE" if blocked else "INSUFFICIENT_CASH") == refused.code
    if not blocked:
        assert document["cash_withdrawable"] == refused.details["available"]


def buying_power_is_granted(venue: Accounts, shown: Shown, account: UUID) -> None:
    """So much may be bought where half is to be covered, and not a cent more."""
    document = shown.account(account)
    power = in_cents(document["buying_power"])
    assert document["regt_buying_power"] == document["buying_power"]
    cent = wire("0.01")
    if power:
        assert "" == venue.order(account, PENNY, Side.BUY, power * 10**8, cent).code
    refused = venue.order(account, PENNY, Side.BUY, (power + 1) * 10**8, cent)
    assert refused.code
    if refused.code == "INSUFFICIENT_BUYING_POWER":
        assert document["buying_power"] == refused.details["available"]
    elif refused.code == "LIQUIDATION_ONLY":
        called = document["margin_called"]
        assert ("has a margin call" if called else "is closing_only") == refused.details["why"]
    if not (document["trading_blocked"] or document["status"] == "LIMITED"):
        assert "INSUFFICIENT_BUYING_POWER" == refused.code


def holdings_are_granted(venue: Accounts, shown: Shown, account: UUID) -> None:
    """What is available of each holding may be closed, and no share more be sold from cash."""
    document = shown.account(account)
    for symbol, held in shown.positions(account).items():
        free = in_units(held["qty_available"])
        side = Side.SELL if held["side"] == "long" else Side.BUY
        price = venue.limit(symbol, side)
        one_more = venue.order(account, symbol, side, abs(free) + 10**8, price)
        cash = document["kind"] == "cash"
        if document["trading_blocked"]:
            assert 0 == free
            assert one_more.code
        elif cash and side == Side.SELL:
            expected = ("INSUFFICIENT_QTY", "FREE_RIDING")
            if document["status"] == "LIMITED":
                expected = ("LIQUIDATION_ONLY", "LIQUIDATION_ONLY")
            assert one_more.code in expected
            if one_more.code == "INSUFFICIENT_QTY":
                assert held["qty_available"] == one_more.details["available"]
        elif document["status"] == "LIMITED":
            assert "LIQUIDATION_ONLY" == one_more.code
        if free:
            granted = venue.order(account, symbol, side, abs(free), price).code
            # What a bust left a cash account owing it buys back with money.
            paid = ("", "INSUFFICIENT_BUYING_POWER") if cash and side == Side.BUY else ("",)
            assert granted in paid


@pytest.mark.parametrize("seed", range(24))
def test_a_document_promises_what_the_writer_grants(seed: int) -> None:
    """Cash and margin, long, short, unsettled, held, called, stopped: always to the cent."""
    venue = Accounts(seed)
    for number in range(1, 61):
        venue.act()
        if number % 12:
            continue
        shown = Shown(venue.desk.log)
        for account in venue.accounts:
            withdrawable_is_granted(venue, shown, account)
            buying_power_is_granted(venue, shown, account)
            holdings_are_granted(venue, shown, account)


def test_every_state_of_an_account_is_among_those_that_promise() -> None:
    """What is drawn at random holds calls, stops, shorts, holds and proceeds to come."""
    seen: Counter[str] = Counter()
    for seed in range(24):
        venue = Accounts(seed)
        for _ in range(60):
            venue.act()
        shown = Shown(venue.desk.log)
        for account in venue.accounts:
            document = shown.account(account)
            seen["called"] += document["margin_called"]
            seen["stopped"] += document["trading_blocked"]
            seen["limited"] += document["status"] == "LIMITED" and not document["margin_called"]
            seen["held"] += document["held_for_orders"] != "0.00"
            seen["coming"] += document["unsettled_receivable"] != "0.00"
            seen["negative"] += document["free_margin"].startswith("-")
            seen["withdrawable"] += document["cash_withdrawable"] != "0.00"
            seen["power"] += document["buying_power"] != "0.00"
            sides = [held["side"] for held in shown.positions(account).values()]
            seen["short"] += "short" in sides
            seen["owing"] += "short" in sides and document["kind"] == "cash"
    assert all(seen.values()), seen
