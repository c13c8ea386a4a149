"""The books of cash and holdings, kept a second time from the events alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.second_books.findings import Findings
from domain.events import (
    AccountOpened,
    CashMoved,
    MarginReleased,
    MarginReserved,
    OrderFillCorrected,
    OrderFilled,
    PositionReversed,
    PositionTraded,
    PositionTransferred,
    QuantityReleased,
    QuantityReserved,
    TradeBooked,
    TradeReversed,
)

CASH, RECEIVABLE, PAYABLE = 1, 2, 6
Fill = OrderFilled | OrderFillCorrected


class Cash:
    """An account's amounts, and the holds of its working orders."""

    __slots__ = ("cash", "held", "order_holds", "owner", "unsettled")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.cash = self.unsettled = self.held = self.order_holds = 0


class Holding:
    """A position's amounts, and the reserves of its working orders."""

    __slots__ = ("cost", "order_reserves", "qty", "realized", "reserved", "settled")

    def __init__(self) -> None:
        self.qty = self.settled = self.reserved = self.cost = self.realized = 0
        self.order_reserves = 0


class Due(list[Any]):
    """A fill that must be booked in this command: [fill, hold used, reserve used]."""


class MoneyBooks:
    """Accounts, positions and the ledger; `end_command` judges what a command touched."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.accounts: dict[UUID, Cash] = {}
        self.holdings: dict[tuple[UUID, UUID], Holding] = {}
        self.ledger: dict[tuple[UUID, int], int] = {}
        self._to_account: dict[tuple[UUID, UUID], Due] = {}
        self._to_position: dict[tuple[UUID, UUID], Due] = {}
        self._reversed: dict[tuple[UUID, UUID], TradeReversed] = {}
        self._to_hold: dict[tuple[UUID, bool], int] = {}
        self._to_reserve: dict[tuple[UUID, bool], int] = {}
        self._accounts_touched: set[UUID] = set()
        self._holdings_touched: set[tuple[UUID, UUID]] = set()

    # What the orders' book says

    def hold_moved(self, order_id: UUID, account_id: UUID, delta: int, used: bool) -> None:
        """The hold of a working order changed; unless a trade used it, the account must say so."""
        self.account(account_id).order_holds += delta
        self._accounts_touched.add(account_id)
        if not used:
            _add(self._to_hold, order_id, delta, delta)

    def reserve_moved(self, order_id: UUID, key: tuple[UUID, UUID], delta: int, used: bool) -> None:
        """The reserve of a working order changed; as with holds."""
        self.holding(key).order_reserves += delta
        self._holdings_touched.add(key)
        if not used:
            _add(self._to_reserve, order_id, delta, delta)

    def expect(self, fill: Fill, hold_used: int, reserve_used: int) -> None:
        """A fill that this command must book in the account and in the position."""
        key = (fill.originator_id, fill.trade_id)
        self._to_account[key] = self._to_position[key] = Due((fill, hold_used, reserve_used))

    def account(self, account_id: UUID) -> Cash:
        """An account's books; one that was never opened begins empty."""
        books = self.accounts.get(account_id)
        if books is None:
            books = self.accounts[account_id] = Cash("")
        return books

    def holding(self, key: tuple[UUID, UUID]) -> Holding:
        """A position's books by (account, instrument)."""
        books = self.holdings.get(key)
        if books is None:
            books = self.holdings[key] = Holding()
        return books

    # Events of accounts

    def opened(self, position: int, event: AccountOpened) -> None:
        """A new account."""
        self.account(event.originator_id).owner = event.owner

    def cash_moved(self, position: int, event: CashMoved) -> None:
        """A deposit, a withdrawal or a fee."""
        books = self.account(event.originator_id)
        self._chain("cash", position, "cash_after", event.cash_after, books.cash + event.amount)
        books.cash = event.cash_after
        self._post(position, event)

    def margin_reserved(self, position: int, event: MarginReserved) -> None:
        """Cash is held."""
        self._held(position, event, event.amount)

    def margin_released(self, position: int, event: MarginReleased) -> None:
        """Held cash is free."""
        self._held(position, event, -event.amount)

    def _held(self, position: int, event: MarginReserved | MarginReleased, delta: int) -> None:
        books = self.account(event.originator_id)
        self._chain("holds", position, "held_after", event.held_after, books.held + delta)
        books.held = event.held_after
        _add(self._to_hold, event.order_id, delta, -delta)
        self._accounts_touched.add(event.originator_id)

    def trade_booked(self, position: int, event: TradeBooked) -> None:
        """One side of a trade."""
        books = self.account(event.originator_id)
        due = self._to_account.pop((event.order_id, event.trade_id), None)
        used = 0
        if due is None:
            self._findings.fail("bookings", position, f"no fill of trade {event.trade_id}")
        else:
            fill, used, _ = due
            self._same(position, "the fill", event, fill, ("side", "qty", "price", "notional"))
            if fill.account_id != event.originator_id:
                self._findings.fail("bookings", position, "booked in another account")
        owed = -event.notional if event.side == 1 else event.notional
        self._cash(position, event, books.cash - event.fee, books.unsettled + owed)
        self._chain("holds", position, "held_after", event.held_after, books.held - used)
        books.held = event.held_after
        self._post(position, event)

    def trade_reversed(self, position: int, event: TradeReversed) -> None:
        """One side of a trade undone."""
        books = self.account(event.originator_id)
        owed = event.notional if event.side == 1 else -event.notional
        self._cash(position, event, books.cash + event.fee, books.unsettled + owed)
        self._reversed[event.order_id, event.trade_id] = event
        self._post(position, event)

    def _cash(
        self, position: int, event: TradeBooked | TradeReversed, cash: int, unsettled: int
    ) -> None:
        books = self.account(event.originator_id)
        self._chain("cash", position, "cash_after", event.cash_after, cash)
        self._chain("cash", position, "unsettled_after", event.unsettled_after, unsettled)
        books.cash, books.unsettled = event.cash_after, event.unsettled_after

    def _post(self, position: int, event: CashMoved | TradeBooked | TradeReversed) -> None:
        total = 0
        ledger = self.ledger
        for party, name, amount in event.postings:
            total += amount
            ledger[party, name] = ledger.get((party, name), 0) + amount
        self._findings.looked["postings"] += 1
        if total:
            self._findings.fail("postings", position, f"the postings sum to {total}")
        self._accounts_touched.add(event.originator_id)

    # Events of positions

    def reserved(self, position: int, event: QuantityReserved) -> None:
        """Quantity is set aside."""
        self._reserved(position, event, event.qty)

    def released(self, position: int, event: QuantityReleased) -> None:
        """Reserved quantity is free."""
        self._reserved(position, event, -event.qty)

    def _reserved(
        self, position: int, event: QuantityReserved | QuantityReleased, delta: int
    ) -> None:
        key = (event.account_id, event.instrument_id)
        books = self.holding(key)
        after = event.reserved_after
        self._chain("reserves", position, "reserved_after", after, books.reserved + delta)
        books.reserved = after
        _add(self._to_reserve, event.order_id, delta, -delta)
        self._holdings_touched.add(key)

    def traded(self, position: int, event: PositionTraded) -> None:
        """One side of a trade in a position."""
        key = (event.account_id, event.instrument_id)
        books = self.holding(key)
        due = self._to_position.pop((event.order_id, event.trade_id), None)
        used, paid = 0, None
        if due is None:
            self._findings.fail("bookings", position, f"no fill of trade {event.trade_id}")
        else:
            fill, _, used = due
            self._same(position, "the fill", event, fill, ("side", "qty", "price", "account_id"))
            paid = fill.notional if event.side == 1 else -fill.notional
        signed = event.qty if event.side == 1 else -event.qty
        after = event.reserved_after
        self._chain("reserves", position, "reserved_after", after, books.reserved - used)
        books.reserved = after
        self._moved(position, event, books.qty + signed, books.settled, paid)
        self._holdings_touched.add(key)

    def reversed(self, position: int, event: PositionReversed) -> None:
        """A traded quantity undone."""
        books = self.holding((event.account_id, event.instrument_id))
        undone = self._reversed.pop((event.order_id, event.trade_id), None)
        paid = None
        if undone is None:
            self._findings.fail("bookings", position, f"no reversal of trade {event.trade_id}")
        else:
            self._same(position, "the account's reversal", event, undone, ("side", "qty"))
            paid = -undone.notional if event.side == 1 else undone.notional
        signed = -event.qty if event.side == 1 else event.qty
        self._moved(position, event, books.qty + signed, books.settled, paid)

    def transferred(self, position: int, event: PositionTransferred) -> None:
        """Quantity that came or went without a trade."""
        books = self.holding((event.account_id, event.instrument_id))
        moved, settled = books.qty + event.qty, books.settled + event.qty
        self._chain("quantities", position, "qty_after", event.qty_after, moved)
        self._chain("quantities", position, "settled_after", event.settled_after, settled)
        self._chain("quantities", position, "cost_after", event.cost_after, books.cost + event.cost)
        books.qty, books.settled = event.qty_after, event.settled_after
        books.cost = event.cost_after

    def _moved(
        self,
        position: int,
        event: PositionTraded | PositionReversed,
        qty: int,
        settled: int,
        paid: int | None,
    ) -> None:
        books = self.holding((event.account_id, event.instrument_id))
        realized = books.realized + event.realized
        self._chain("quantities", position, "qty_after", event.qty_after, qty)
        self._chain("quantities", position, "settled_after", event.settled_after, settled)
        self._chain("quantities", position, "realized_after", event.realized_after, realized)
        if paid is not None:
            cost = books.cost + paid + event.realized
            self._chain("quantities", position, "cost_after", event.cost_after, cost)
        books.qty, books.settled = event.qty_after, event.settled_after
        books.cost, books.realized = event.cost_after, event.realized_after

    # Judgement

    def _chain(self, check: str, position: int, field: str, said: int, due: int) -> None:
        self._findings.looked[check] += 1
        if said != due:
            self._findings.fail(check, position, f"{field} is {said}, from before it is {due}")

    def _same(
        self, position: int, what: str, event: Any, other: Any, fields: tuple[str, ...]
    ) -> None:
        self._findings.looked["bookings"] += 1
        for field in fields:
            said, due = getattr(event, field), getattr(other, field)
            if said != due:
                self._findings.fail("bookings", position, f"{field} is {said}, {what} says {due}")

    def end_command(self, position: int) -> None:
        """Judge what the command that ended at a position has touched."""
        findings = self._findings
        for due in (*self._to_account.values(), *self._to_position.values()):
            findings.fail("bookings", position, f"trade {due[0].trade_id} is not booked whole")
        for undone in self._reversed.values():
            findings.fail("bookings", position, f"trade {undone.trade_id} is not reversed whole")
        for check, pending in (("holds", self._to_hold), ("reserves", self._to_reserve)):
            for (order_id, _), rest in pending.items():
                if rest:
                    findings.fail(check, position, f"order {order_id}: {rest} is not booked")
            pending.clear()
        for account_id in self._accounts_touched:
            self._judge_account(position, account_id)
        for key in self._holdings_touched:
            holding = self.holdings[key]
            findings.looked["reserves"] += 1
            if holding.reserved != holding.order_reserves or holding.reserved < 0:
                findings.fail(
                    "reserves",
                    position,
                    f"account {key[0]} reserves {holding.reserved} of {key[1]}, its working"
                    f" orders {holding.order_reserves}",
                )
        self._to_account.clear()
        self._to_position.clear()
        self._reversed.clear()
        self._accounts_touched.clear()
        self._holdings_touched.clear()

    def _judge_account(self, position: int, account_id: UUID) -> None:
        findings = self._findings
        account = self.accounts[account_id]
        findings.looked["holds"] += 1
        findings.looked["balances"] += 1
        if account.held != account.order_holds or account.held < 0:
            findings.fail(
                "holds",
                position,
                f"account {account_id} holds {account.held}, its working orders"
                f" {account.order_holds}",
            )
        for name, said in ((CASH, account.cash), (UNSETTLED, account.unsettled)):
            posted = self.ledger.get((account_id, name), 0)
            if said != posted:
                findings.fail(
                    "balances",
                    position,
                    f"account {account_id} ledger {name} says {said}, its postings {posted}",
                )

    def end(self, position: int) -> None:
        """Judge the whole ledger."""
        self._findings.looked["ledger"] += len(self.ledger)
        total = sum(self.ledger.values())
        if total:
            self._findings.fail("ledger", position, f"all parties together have {total}")


def _add(pending: dict[tuple[UUID, bool], int], order_id: UUID, delta: int, amount: int) -> None:
    """More and less are told apart: an order that comes and goes in one command has both."""
    key = (order_id, delta > 0)
    pending[key] = pending.get(key, 0) + amount
