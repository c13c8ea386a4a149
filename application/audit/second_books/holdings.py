"""The books of holdings: quantity, cost, profit, and what is reserved for exits."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from application.audit.second_books.bookings import Bookings, Moves
from application.audit.second_books.commissions import NOTHING, posted, told
from application.audit.second_books.findings import Findings
from application.audit.second_books.values import worth_of
from domain.events import (
    PositionExpired,
    PositionReversed,
    PositionTraded,
    PositionTransferred,
    QuantityReleased,
    QuantityReserved,
)
from domain.identifiers import NO_ID

BUY = 1
_HALF = Fraction(1, 2)
Key = tuple[UUID, UUID]
"""Account and instrument."""


class Holding:
    """A position's amounts, and the reserves of its working orders.

    `exact_cost` and `exact_realized` are dollars, `cost` and `realized` their cents as posted;
    `identifier` is the position's id, as its events have it. `joined` of what is reserved are legs
    of multi-leg orders.
    """

    __slots__ = (
        "carried",
        "cost",
        "exact_cost",
        "exact_realized",
        "identifier",
        "joined",
        "marked_day",
        "order_reserves",
        "qty",
        "realized",
        "reserved",
        "settled",
        "unpaid",
    )

    def __init__(self) -> None:
        self.qty = self.settled = self.reserved = self.cost = self.realized = 0
        self.joined = self.unpaid = self.order_reserves = self.marked_day = self.carried = 0
        self.exact_cost = self.exact_realized = NOTHING
        self.identifier = NO_ID

    def carried_to(self, qty: int) -> int:
        """What is left, in 1e-24 dollars, of the last day's profit when so much is held."""
        if self.qty * qty <= 0:
            return 0
        return round(self.carried * min(Fraction(qty, self.qty), Fraction(1)))

    def free(self, side: int) -> int:
        """What an order of this side could reduce that no other order reduces already."""
        held = -self.qty if side == BUY else self.qty - self.unpaid
        return max(0, held - self.reserved)


class HoldingBooks:
    """Positions by account and instrument; `end_command` judges what a command touched."""

    def __init__(self, findings: Findings, bookings: Bookings) -> None:
        self._findings = findings
        self._bookings = bookings
        self._moves = Moves(findings, "reserves")
        self._holdings: dict[Key, Holding] = {}
        self._of_account: dict[UUID, list[tuple[UUID, Holding]]] = {}
        self._of_instrument: dict[UUID, list[tuple[UUID, Holding]]] = {}
        self._touched: set[Key] = set()

    def of(self, key: Key) -> Holding:
        """Find a position's books."""
        books = self._holdings.get(key)
        if books is None:
            books = self._holdings[key] = Holding()
            self._of_account.setdefault(key[0], []).append((key[1], books))
            self._of_instrument.setdefault(key[1], []).append((key[0], books))
        return books

    def of_instrument(self, instrument_id: UUID) -> list[tuple[UUID, Holding]]:
        """Find the books of all positions in an instrument, by account."""
        return self._of_instrument.get(instrument_id, [])

    def of_account(self, account_id: UUID) -> list[tuple[UUID, Holding]]:
        """Find the books of all positions of an account, by instrument."""
        return self._of_account.get(account_id, [])

    def reserve_moved(self, order_id: UUID, key: Key, delta: int, used: bool) -> None:
        """The reserve of a working order changed; unless a trade used it, the position must
        say so.
        """
        self.of(key).order_reserves += delta
        self._touched.add(key)
        if not used:
            self._moves.due(order_id, delta)

    def reserved(self, position: int, event: QuantityReserved) -> None:
        """Set quantity aside."""
        self._reserved(position, event, event.qty)

    def released(self, position: int, event: QuantityReleased) -> None:
        """Free reserved quantity."""
        self._reserved(position, event, -event.qty)

    def _reserved(
        self, position: int, event: QuantityReserved | QuantityReleased, delta: int
    ) -> None:
        key = (event.account_id, event.instrument_id)
        books = self.of(key)
        after = event.reserved_after
        self._findings.chain("reserves", position, "reserved_after", after, books.reserved + delta)
        books.reserved = after
        self._moves.done(event.order_id, delta)
        self._touched.add(key)

    def traded(self, position: int, event: PositionTraded) -> None:
        """Book one side of a trade in a position."""
        key = (event.account_id, event.instrument_id)
        books = self.of(key)
        trade = (event.order_id, event.trade_id)
        fill = self._bookings.to_position.pop(trade, None)
        booked = self._bookings.booked.pop(trade, None)
        used, paid = 0, None
        worth = worth_of(event.price, event.qty, event.price_decimals, event.multiplier)
        if fill is None:
            self._bookings.fail(position, f"no fill of trade {event.trade_id}")
        else:
            fields = ("side", "qty", "price", "account_id", "multiplier")
            self._bookings.same(position, "the fill", event, fill.event, fields)
            used = fill.reserve_used
            paid = worth if fill.event.exact else Fraction(fill.event.notional, 100)
            paid = paid if event.side == BUY else -paid
        signed = event.qty if event.side == BUY else -event.qty
        after = event.reserved_after
        self._findings.chain("reserves", position, "reserved_after", after, books.reserved - used)
        books.reserved = after
        self._moved(position, event, books, signed, paid, booked.unpaid_qty if booked else 0)

    def reversed(self, position: int, event: PositionReversed) -> None:
        """Book a traded quantity that was undone."""
        books = self.of((event.account_id, event.instrument_id))
        undone = self._bookings.to_reverse.pop((event.order_id, event.trade_id), None)
        paid, unpaid = None, 0
        if undone is None:
            self._bookings.fail(position, f"no reversal of trade {event.trade_id}")
        else:
            self._bookings.same(position, "the account's reversal", event, undone, ("side", "qty"))
            undoing = self._bookings.undoing.get((event.order_id, event.trade_id))
            if undoing is not None:
                paid = -undoing.worth if event.side == BUY else undoing.worth
            unpaid = undone.unpaid_qty
        signed = -event.qty if event.side == BUY else event.qty
        self._moved(position, event, books, signed, paid, -unpaid)

    def transferred(self, position: int, event: PositionTransferred) -> None:
        """Book quantity that came or went without a trade."""
        key = (event.account_id, event.instrument_id)
        books = self.of(key)
        said = (event.qty_after, event.settled_after, event.cost_after)
        due = (books.qty + event.qty, books.settled + event.qty, books.cost + event.cost)
        self._findings.chain("quantities", position, "quantity, settled and cost", said, due)
        self._carried(position, event, books)
        books.qty, books.settled, books.cost = said
        books.exact_cost += Fraction(event.cost, 100)
        self._touched.add(key)

    def _moved(
        self,
        position: int,
        event: PositionTraded | PositionReversed,
        books: Holding,
        signed: int,
        paid: Fraction | None,
        unpaid: int,
    ) -> None:
        self._findings.chain(
            "unpaid", position, "unpaid_after", event.unpaid_after, books.unpaid + unpaid
        )
        books.unpaid = event.unpaid_after
        self._priced(position, event, books, signed, books.settled, paid)

    def expired(self, position: int, event: PositionExpired) -> None:
        """Book contracts that left for nothing; what of them was to settle still does."""
        books = self.of((event.account_id, event.instrument_id))
        settled = books.settled - event.qty
        self._priced(position, event, books, -event.qty, settled, NOTHING)

    def _priced(
        self,
        position: int,
        event: PositionTraded | PositionReversed | PositionExpired,
        books: Holding,
        signed: int,
        settled: int,
        paid: Fraction | None,
    ) -> None:
        """What a quantity that comes or goes makes of cost and profit."""
        after = event.cost_after
        said = (event.qty_after, event.settled_after, event.realized_after)
        due = (books.qty + signed, settled, books.realized + event.realized)
        self._findings.chain("quantities", position, "quantity, settled and profit", said, due)
        exact = Fraction(after, 100) + told(event.cost_rest_after)
        realized = Fraction(event.realized_after, 100) + told(event.realized_rest_after)
        if paid is not None:
            profit = realized - books.exact_realized
            cost = books.exact_cost + paid + profit
            self._findings.chain("quantities", position, "exact cost", exact, cost)
            moved = after - books.cost - event.realized - posted(paid)
            self._findings.chain("quantities", position, "rounded", event.rounded, moved)
        for what, cents, whole in (
            ("cost_after", after, exact),
            ("realized_after", event.realized_after, realized),
        ):
            self._findings.looked["quantities"] += 1
            if abs(whole * 100 - cents) > _HALF:
                self._findings.fail("quantities", position, f"{what} is {cents} of {whole}")
        books.exact_cost, books.exact_realized = exact, realized
        self._carried(position, event, books)
        books.qty, books.settled, books.realized = said
        books.cost, books.identifier = after, event.originator_id
        self._touched.add((event.account_id, event.instrument_id))

    def _carried(
        self,
        position: int,
        event: PositionTraded | PositionReversed | PositionTransferred | PositionExpired,
        books: Holding,
    ) -> None:
        """What the last day's end found leaves with what is closed; nothing else moves it."""
        if books.carried or event.carried_after != "0":
            due = books.carried_to(event.qty_after)
            said = int(event.carried_after)
            self._findings.chain("quantities", position, "carried_after", said, due)
            books.carried = said

    def end_command(self, position: int) -> None:
        """Judge what the command that ended at a position has touched."""
        self._moves.end_command(position)
        for key in self._touched:
            self._judge(position, key)
        self._touched.clear()

    def _judge(self, position: int, key: tuple[UUID, UUID]) -> None:
        holding = self._holdings[key]
        self._findings.looked["reserves"] += 1
        self._findings.looked["exits"] += 1
        if holding.reserved != holding.order_reserves or holding.reserved < 0:
            self._findings.fail(
                "reserves",
                position,
                f"account {key[0]} reserves {holding.reserved} of {key[1]}, its working"
                f" orders {holding.order_reserves}",
            )
        if holding.reserved > max(0, holding.qty - holding.unpaid, -holding.qty):
            self._findings.fail(
                "exits",
                position,
                f"account {key[0]} reserves {holding.reserved} of {key[1]} and holds {holding.qty}",
            )
