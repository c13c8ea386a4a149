"""The books of what is due: trades added up by value date, settled once, quantity against cash."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple
from uuid import UUID

from application.audit.second_books.bookings import Bookings, Exercise
from application.audit.second_books.findings import Findings
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks
from application.audit.second_books.money import MoneyBooks
from application.audit.second_books.unsettled import Cents, Open, Part
from domain.events import (
    AccountSettled,
    OrderFillCorrected,
    PositionSettled,
    SettlementFailed,
    SettlementSettled,
    TradeBooked,
    TradeReversed,
)

BUY = 1


class Key(NamedTuple):
    """Trades of the same key settle together."""

    account_id: UUID
    instrument_id: UUID
    value_date: int


class Owed:
    """The trades of one key: what was bought and sold, what that takes and brings, and what is
    unpaid. `bought_for` and `sold_for` are cents of trades that are due as they were posted.

    `since` is when the first of them came.
    """

    __slots__ = (
        "bought", "bought_for", "exactly", "since", "sold", "sold_for", "unpaid", "unpaid_for",
    )  # fmt: skip

    def __init__(self, since: int) -> None:
        self.since = since
        self.bought = self.bought_for = self.sold = self.sold_for = 0
        self.unpaid = self.unpaid_for = 0
        self.exactly = Open()

    def add(self, event: TradeBooked | TradeReversed, sign: int, part: Part | None) -> None:
        """Take a trade in, or out."""
        bought = event.side == BUY
        if bought:
            self.bought += sign * event.qty
        else:
            self.sold += sign * event.qty
        if part is not None:
            self.exactly.add(part)
        elif bought:
            self.bought_for += sign * (event.notional + event.fee)
        else:
            self.sold_for += sign * (event.notional - event.fee)
        if event.unpaid_qty:
            self.unpaid += sign * event.unpaid_qty
            self.unpaid_for += sign * (event.notional + event.fee)

    @property
    def qty(self) -> int:
        """What is to be received."""
        return self.bought - self.sold


class Net:
    """What settles as one in an account and instrument, and what was there before."""

    def __init__(self, together: int, held: int, cash: int, pool: int) -> None:
        self.left = together
        self.held, self.cash, self.pool = held, cash, pool
        self.qty = self.amount = 0

    def add(self, owed: Owed, amount: int) -> None:
        """Take one value date in, and the cents that it moves."""
        self.left -= 1
        self.qty += owed.qty
        self.amount += amount


class Settling:
    """An obligation that this command settles, and which of its events are there."""

    def __init__(self, owed: Owed | None) -> None:
        self.owed = owed if owed is not None else Owed(0)
        self.ids: dict[str, UUID] = {}
        self.cents = Cents()


class SettlementBooks:
    """What is due by account, instrument and value date; and what the house has of each."""

    def __init__(
        self,
        findings: Findings,
        bookings: Bookings,
        money: MoneyBooks,
        holdings: HoldingBooks,
        instruments: InstrumentBooks,
    ) -> None:
        self._findings = findings
        self._bookings = bookings
        self._money = money
        self._holdings = holdings
        self._instruments = instruments
        self._owed: dict[Key, Owed] = {}
        self._pool: defaultdict[UUID, int] = defaultdict(int)
        self._attempts: dict[Key, SettlementFailed] = {}
        self._settling: dict[Key, Settling] = {}
        self._nets: dict[tuple[UUID, UUID], Net] = {}
        self._late: set[tuple[UUID, UUID]] = set()

    def booked(self, position: int, event: TradeBooked) -> None:
        """One side of a trade is due on its value date, which is its session's; one that is
        booked again, as what it replaces was.
        """
        key = (event.order_id, event.trade_id)
        fill = self._bookings.to_account.get(key)
        part = self._money.trade_booked(position, event, late=key in self._late)
        self._late.discard(key)
        corrected = self._bookings.undone.get(key)
        terms = self._instruments.of(event.instrument_id)
        if fill is not None and isinstance(fill.event, Exercise):
            # Its books judge when it is; the underlying may trade on by then.
            due = (fill.event.session_date, fill.event.value_date)
        elif corrected is None:
            due = (terms.session_date, terms.value_date)
        else:
            due = (event.session_date, corrected.value_date)
        said = (event.session_date, event.value_date, event.price_decimals, event.multiplier)
        what = "session, value date, price decimals and multiplier"
        own = (terms.decimals, terms.multiplier)
        self._findings.chain("obligations", position, what, said, (*due, *own))
        self._add(event, 1, part)

    def reversed(self, position: int, event: TradeReversed) -> None:
        """A trade is undone where it is due, or among today's when that has settled."""
        key = (event.order_id, event.trade_id)
        undoing = self._bookings.undoing.get(key)
        first = undoing.first if undoing is not None else None
        late = False
        if undoing is not None and first is not None:
            value_date, unpaid = first.value_date, first.unpaid_qty
            owed = self._owed.get(Key(event.originator_id, event.instrument_id, value_date))
            if owed is None or owed.since > first.at:
                # A correction that makes it more comes to it, anything else goes back.
                again = undoing.event if event.reason == "correct" else None
                late = not isinstance(again, OrderFillCorrected) or again.price < undoing.price
                if late and again is not None:
                    self._late.add(key)
                today = self._instruments.of(event.instrument_id).value_date
                value_date, unpaid = max(today, value_date), 0
            said = (event.value_date, event.unpaid_qty)
            due = (value_date, unpaid)
            self._findings.chain("obligations", position, "value date and unpaid", said, due)
        self._add(event, -1, self._money.trade_reversed(position, event, late=late))

    def _add(self, event: TradeBooked | TradeReversed, sign: int, part: Part | None) -> None:
        key = Key(event.originator_id, event.instrument_id, event.value_date)
        owed = self._owed.get(key)
        if owed is None:
            owed = self._owed[key] = Owed(event.at)
        owed.add(event, sign, part)

    def failed(self, position: int, event: SettlementFailed) -> None:
        """Nothing moved: something is short indeed, and it was not said before on this date."""
        key = Key(event.account_id, event.instrument_id, event.value_date)
        owed = self._owed.get(key)
        if owed is None:
            self._fail(position, "nothing is due")
            return
        would = _cents(owed, self._money.settles(key.account_id, owed.exactly))
        self._attempt(position, event, key, owed, would)
        net = self._net(key, 1)
        net.add(owed, would.cash)
        short = self._short(key, net)
        if event.reason != short:
            self._fail(position, f"failed for {event.reason}, short is {short or 'nothing'}")
        before = self._attempts.get(key)
        if before is not None and (before.run_date, before.reason) == (
            event.run_date,
            event.reason,
        ):
            self._fail(position, "the same failure is on record for this date")
        self._attempts[key] = event

    def settled(self, position: int, event: SettlementSettled) -> None:
        """Quantity and cash of an obligation move, once."""
        key = Key(event.account_id, event.instrument_id, event.value_date)
        settling = self._taken(position, key, "settlement", event.originator_id)
        owed = settling.owed
        net = self._net_of(event, key)
        cents = _cents(owed, self._money.settled(key.account_id, owed.exactly))
        settling.cents = cents
        self._attempt(position, event, key, owed, cents)
        said = (event.bought_qty, event.bought_amount, event.sold_qty, event.sold_amount)
        due = (owed.bought, -cents.payable, owed.sold, -cents.receivable)
        self._findings.chain("obligations", position, "bought and sold", said, due)
        self._judge_together(position, key, net, owed, cents.cash)
        pool = self._pool[key.instrument_id] - event.qty
        self._findings.chain("pool", position, "pool_after", event.pool_after, pool)
        if event.pool_after < 0:
            self._findings.fail("pool", position, f"the house has {event.pool_after}")
        self._pool[key.instrument_id] = event.pool_after
        self._attempts.pop(key, None)

    def _attempt(
        self,
        position: int,
        event: SettlementFailed | SettlementSettled,
        key: Key,
        owed: Owed,
        cents: Cents,
    ) -> None:
        before = self._attempts.get(key)
        said: tuple[Any, ...] = (event.qty, event.amount, event.attempts)
        due = (owed.qty, cents.cash, before.attempts + 1 if before is not None else 1)
        self._findings.chain("settlements", position, "quantity, amount and attempt", said, due)
        if before is not None and before.originator_id != event.originator_id:
            self._fail(position, "another settlement tried this before")
        if event.value_date > event.run_date:
            self._fail(position, f"due on {event.value_date}, run on {event.run_date}")

    def account_settled(self, position: int, event: AccountSettled) -> None:
        """What was due either way is cash."""
        key = Key(event.originator_id, event.instrument_id, event.value_date)
        settling = self._taken(position, key, "account", event.settlement_id)
        cents, books = settling.cents, self._money.account(event.originator_id)
        self._findings.chain("settlements", position, "amount", event.amount, cents.cash)
        self._money.follow(
            position,
            event,
            books.cash + cents.cash,
            books.receivable + cents.receivable,
            books.payable + cents.payable,
            books.unpaid - settling.owed.unpaid_for,
        )

    def position_settled(self, position: int, event: PositionSettled) -> None:
        """What was due is received or delivered."""
        key = Key(event.account_id, event.instrument_id, event.value_date)
        owed = self._taken(position, key, "position", event.settlement_id).owed
        books = self._holdings.of((event.account_id, event.instrument_id))
        self._findings.chain("settlements", position, "qty", event.qty, owed.qty)
        said = (event.settled_after, event.unpaid_after)
        due = (books.settled + owed.qty, books.unpaid - owed.unpaid)
        self._findings.chain("quantities", position, "settled and unpaid", said, due)
        books.settled, books.unpaid = said

    def _taken(self, position: int, key: Key, part: str, settlement_id: UUID) -> Settling:
        """The obligation that is settled, taken out of what is due; `part` is what settles it."""
        settling = self._settling.get(key)
        if settling is None:
            owed = self._owed.pop(key, None)
            if owed is None:
                self._fail(position, "nothing is due")
            settling = self._settling[key] = Settling(owed)
        if part in settling.ids:
            self._fail(position, f"the {part} settles twice")
        settling.ids[part] = settlement_id
        return settling

    def _net_of(self, event: SettlementSettled, key: Key) -> Net:
        """What settles as one with this."""
        place = key.account_id, key.instrument_id
        net = self._nets.get(place)
        if net is None:
            net = self._nets[place] = self._net(key, event.together)
        return net

    def _judge_together(self, position: int, key: Key, net: Net, owed: Owed, amount: int) -> None:
        """What settles as one is judged by what it comes to, once all of it is there."""
        net.add(owed, amount)
        if net.left <= 0:
            del self._nets[key.account_id, key.instrument_id]
            short = self._short(key, net)
            if short:
                self._fail(position, f"settled in want of {short}")

    def _net(self, key: Key, together: int) -> Net:
        held = self._holdings.of((key.account_id, key.instrument_id)).settled
        cash = self._money.account(key.account_id).cash
        return Net(together, held, cash, self._pool[key.instrument_id])

    def _short(self, key: Key, net: Net) -> str:
        """What keeps obligations from settling: a cash account neither borrows nor sells short,
        the house delivers what it has, and what it has is written down in 63 bits.
        """
        if not self._money.account(key.account_id).is_margin:
            if net.qty < 0 and net.held + net.qty < min(0, net.held):
                return "SECURITIES"
            if net.amount < 0 and net.cash + net.amount < min(0, net.cash):
                return "CASH"
        if net.qty > net.pool:
            return "AWAITING_DELIVERY"
        return "AWAITING_RECEIPT" if net.qty < 0 and net.pool - net.qty >= 2**63 else ""

    def end_command(self, position: int) -> None:
        """Judge whether what settled did so on all sides."""
        for settling in self._settling.values():
            if len(settling.ids) != 3 or len(set(settling.ids.values())) != 1:
                parts = ", ".join(sorted(settling.ids))
                self._fail(position, f"settled in part, or by several settlements: {parts}")
        self._settling.clear()
        for net in self._nets.values():
            self._fail(position, f"{net.left} more were to settle as one")
        self._nets.clear()

    def end(self, position: int) -> None:
        """What was delivered to the house and not received from it is what is still due."""
        due: defaultdict[UUID, int] = defaultdict(int)
        for key, owed in self._owed.items():
            due[key.instrument_id] += owed.qty
        for instrument_id in due.keys() | self._pool.keys():
            rest = due[instrument_id]
            self._findings.chain("pool", position, "pool", self._pool[instrument_id], rest)

    def _fail(self, position: int, message: str) -> None:
        self._findings.fail("settlements", position, message)


def _cents(owed: Owed, exactly: Cents) -> Cents:
    """What settles: the exact part, and what is due as it was posted."""
    return Cents(
        exactly.cash + owed.sold_for - owed.bought_for,
        exactly.receivable - owed.sold_for,
        exactly.payable - owed.bought_for,
    )
