"""The books of cash, kept a second time from the events alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from uuid import UUID

from application.audit.second_books.bookings import Bookings, Exercise, Fill, Moves
from application.audit.second_books.commissions import NOTHING, Rates, posted, told
from application.audit.second_books.findings import Findings
from application.audit.second_books.postings import PostingRules
from application.audit.second_books.unsettled import Cents, Open, Part, cents_of, way_of
from application.audit.second_books.values import ValueBooks
from domain.events import (
    AccountOpened,
    AccountPolicySet,
    CashMoved,
    CommissionScheduleSet,
    MarginReleased,
    MarginReserved,
    OrderFillCorrected,
    OrderFilled,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import HOUSE

CASH, RECEIVABLE, CLEARING, PAYABLE, COMMISSION, ROUNDING = 1, 2, 3, 6, 11, 12
BUY = 1
MARGIN_KIND = 2
_ENTRY = 1
_MONTH_MOST = 2**62


class Cash:
    """An account's amounts, and the holds of its working orders.

    `commission` is what all its trades cost, exactly, `charged` what of that is posted. `still`
    is what of its trades has not settled, exactly, and `told` the cents that all of them are.
    """

    __slots__ = (
        "called",
        "cash",
        "charged",
        "closed_day",
        "closing",
        "commission",
        "covers_all",
        "held",
        "is_margin",
        "killed",
        "long_only",
        "month",
        "month_qty",
        "order_holds",
        "owner",
        "payable",
        "rates",
        "receivable",
        "still",
        "suspended",
        "told",
        "unpaid",
        "uses_unsettled",
        "whole_only",
    )

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.is_margin = self.uses_unsettled = False
        self.killed = self.called = self.closing = False
        self.suspended = self.long_only = self.whole_only = self.covers_all = False
        self.cash = self.receivable = self.payable = self.unpaid = 0
        self.held = self.order_holds = 0
        self.rates: Rates | None = None
        self.commission = NOTHING
        self.still, self.told = Open(), Cents()
        self.charged = self.month = self.month_qty = self.closed_day = 0

    @property
    def unsettled(self) -> int:
        """What trades still bring, net."""
        return self.receivable - self.payable

    @property
    def own_cash(self) -> int:
        """Settled cash less all that trades take of it; what they bring does not count."""
        return self.cash - max(self.payable, 0) + min(self.receivable, 0)


class MoneyBooks:
    """Accounts and the ledger; `end_command` judges what a command touched."""

    def __init__(self, findings: Findings, bookings: Bookings) -> None:
        self._findings = findings
        self._bookings = bookings
        self._moves = Moves(findings, "holds")
        self._values = ValueBooks(findings)
        self._postings = PostingRules(findings)
        self.accounts: dict[UUID, Cash] = {}
        self.ledger: dict[tuple[UUID, int], int] = {}
        self._touched: set[UUID] = set()
        self._exact_before = False

    def account(self, account_id: UUID) -> Cash:
        """Find an account's books; one that was never opened begins empty."""
        books = self.accounts.get(account_id)
        if books is None:
            books = self.accounts[account_id] = Cash("")
        return books

    def hold_moved(self, order_id: UUID, account_id: UUID, delta: int, used: bool) -> None:
        """The hold of a working order changed; unless a trade used it, the account must say so."""
        self.account(account_id).order_holds += delta
        self._touched.add(account_id)
        if not used:
            self._moves.due(order_id, delta)

    def opened(self, position: int, event: AccountOpened) -> None:
        """Open the books of a new account."""
        books = self.account(event.originator_id)
        books.owner = event.owner
        books.is_margin = event.kind == MARGIN_KIND

    def policy_set(self, position: int, event: AccountPolicySet) -> None:
        """Note whether unsettled proceeds may buy."""
        self.account(event.originator_id).uses_unsettled = event.use_unsettled

    def schedule_set(self, position: int, event: CommissionScheduleSet) -> None:
        """Note what trades cost from now on."""
        rates = Rates(event.kind, event.tiers, event.minimum, event.cap_bps)
        self.account(event.originator_id).rates = rates if rates.kind else None

    def cash_moved(self, position: int, event: CashMoved) -> None:
        """Book a deposit, a withdrawal or a fee."""
        books = self.account(event.originator_id)
        self._findings.chain(
            "cash", position, "cash_after", event.cash_after, books.cash + event.amount
        )
        books.cash = event.cash_after
        self.post(position, event)

    def margin_reserved(self, position: int, event: MarginReserved) -> None:
        """Hold cash."""
        self._held(position, event, event.amount)

    def margin_released(self, position: int, event: MarginReleased) -> None:
        """Free held cash."""
        self._held(position, event, -event.amount)

    def _held(self, position: int, event: MarginReserved | MarginReleased, delta: int) -> None:
        books = self.account(event.originator_id)
        self._findings.chain("holds", position, "held_after", event.held_after, books.held + delta)
        books.held = event.held_after
        self._moves.done(event.order_id, delta)
        self._touched.add(event.originator_id)

    def trade_booked(self, position: int, event: TradeBooked, *, late: bool) -> Part | None:
        """Book one side of a trade; returns what it takes or brings, unless it is due as posted."""
        books = self.account(event.originator_id)
        value, cost = self._values.of(event.originator_id), books.commission
        key = (event.order_id, event.trade_id)
        fill = self._bookings.to_account.pop(key, None)
        used, extra = 0, NOTHING
        self._bookings.booked[key] = event
        if fill is None:
            self._bookings.fail(position, f"no fill of trade {event.trade_id}")
        else:
            used, extra = fill.hold_used, fill.commission
            fields = ["side", "qty", "price", "price_decimals", "multiplier", "fee"]
            if not isinstance(fill.event, OrderFillCorrected):
                fields += ["session_date", "value_date"]
            self._bookings.same(position, "the fill", event, fill.event, fields)
            if fill.event.account_id != event.originator_id:
                self._bookings.fail(position, "booked in another account")
            self._marked_unpaid(position, event, fill, books)
        self._findings.chain("holds", position, "released", event.released, used)
        self._findings.chain("holds", position, "held_after", event.held_after, books.held - used)
        self._values.booked(position, event, None if fill is None else fill.event)
        self._charged(position, event, books, extra)
        month, due = event.session_date // 100, books.month_qty
        if fill is not None and not isinstance(fill.event, OrderFilled):
            # It was counted when it was made; what is exercised is none of what was traded.
            month = books.month
        else:
            due = min((due if books.month == month else 0) + event.qty, _MONTH_MOST)
        self._findings.chain("commissions", position, "month_after", event.month_after, month)
        self._findings.chain("commissions", position, "month_qty_after", event.month_qty_after, due)
        books.held = event.held_after
        books.month, books.month_qty = month, event.month_qty_after
        bought = event.side == BUY
        amount = event.notional + event.fee if bought else event.notional - event.fee
        value = self._values.of(event.originator_id) - value
        part = Part(way_of(event.side, late=late), value, books.commission - cost)
        return self._owed(position, event, books, amount, part)

    def _marked_unpaid(self, position: int, event: TradeBooked, fill: Fill, books: Cash) -> None:
        """A purchase that settled funds do not cover is unpaid, in an account with proceeds or
        the right to use them.
        """
        self._findings.looked["unpaid"] += 1
        if isinstance(fill.event, OrderFillCorrected):
            undone = self._bookings.undone.get((event.order_id, event.trade_id))
            due = undone.unpaid_qty if undone is not None else 0
        elif isinstance(fill.event, Exercise):
            due = 0
        else:
            due = 0
            may = books.uses_unsettled or books.receivable > 0
            if may and event.side == BUY and not books.is_margin:
                settled = books.own_cash + books.unpaid - books.held
                # The entry of a group comes before all that other orders hold.
                own = books.held if fill.event.leg == _ENTRY else fill.hold_before
                covered = event.notional + event.fee <= settled + own
                due = 0 if covered else event.qty
            if fill.event.unpaid_qty != due:
                self._findings.fail(
                    "unpaid", position, f"the fill marks {fill.event.unpaid_qty}, it is {due}"
                )
        if event.unpaid_qty != due:
            self._findings.fail("unpaid", position, f"{event.unpaid_qty} is marked, it is {due}")

    def trade_reversed(self, position: int, event: TradeReversed, *, late: bool) -> Part | None:
        """Book one side of a trade that was undone; returns what that takes or brings."""
        books = self.account(event.originator_id)
        value, cost = self._values.of(event.originator_id), books.commission
        key = (event.order_id, event.trade_id)
        undoing = self._bookings.undoing.get(key)
        back = NOTHING
        if undoing is None:
            self._bookings.fail(position, f"no fill of {event.trade_id} is undone")
        else:
            self._findings.looked["bookings"] += 1
            said = (event.side, event.qty, event.price, event.multiplier)
            undone = undoing.event
            due = (undone.side, undone.qty, undoing.price, undone.multiplier)
            if said != due:
                self._bookings.fail(position, f"{said} is reversed, booked was {due}")
            back = undoing.commission
        self._values.reversed(position, event, undoing)
        self._charged(position, event, books, -back)
        self._bookings.undone[key] = self._bookings.to_reverse[key] = event
        bought = event.side == BUY
        amount = event.notional + event.fee if bought else event.notional - event.fee
        value = self._values.of(event.originator_id) - value
        part = Part(way_of(event.side, late=late), value, books.commission - cost)
        return self._owed(position, event, books, -amount, part)

    def _charged(
        self, position: int, event: TradeBooked | TradeReversed, books: Cash, extra: Fraction
    ) -> None:
        """Work out the exact running total, and the cents by which the rounded one moves."""
        fee = event.fee if isinstance(event, TradeBooked) else -event.fee
        exact = books.commission + extra if extra else books.commission
        charged = posted(exact) if exact else 0
        self._findings.chain("commissions", position, "fee", fee, charged - books.charged)
        said = event.commissions_after
        self._findings.chain("commissions", position, "commissions_after", said, charged)
        if exact or event.commission_after != "0":
            after = told(event.commission_after)
            self._findings.chain("commissions", position, "commission_after", after, exact)
            exact = after
        books.commission = exact
        books.charged = said

    def _owed(
        self,
        position: int,
        event: TradeBooked | TradeReversed,
        books: Cash,
        amount: int,
        part: Part,
    ) -> Part | None:
        receivable, payable, unpaid = books.receivable, books.payable, books.unpaid
        if event.side == BUY and event.unpaid_qty:
            unpaid += amount
        if event.due:
            self._exact_before = True
            said = (event.due, told(event.traded_value), told(event.commission))
            cost = part.cost if isinstance(event, TradeBooked) else -part.cost
            due = (part.way, abs(part.value), cost)
            self._findings.chain("obligations", position, "way, value and commission", said, due)
            books.still.add(part)
            moved = self._moved(event.originator_id, books)
            receivable, payable = receivable + moved.receivable, payable + moved.payable
        elif self._exact_before:
            self._findings.fail("obligations", position, "a trade is due as posted, after others")
        elif event.side == BUY:
            payable += amount
        else:
            receivable += amount
        if not event.due:
            self._moved(event.originator_id, books)
        self.follow(position, event, books.cash, receivable, payable, unpaid)
        return part if event.due else None

    def _moved(self, account_id: UUID, books: Cash) -> Cents:
        """By how much the cents of an account's trades moved since they were last looked at."""
        before = books.told
        books.told = cents_of(self._values.of(account_id), books.commission, books.still)
        return books.told.less(before)

    def settles(self, account_id: UUID, settling: Open) -> Cents:
        """What would move if so much settled now; nothing does."""
        books = self.account(account_id)
        still = books.still.less(settling)
        return cents_of(self._values.of(account_id), books.commission, still).less(books.told)

    def settled(self, account_id: UUID, settling: Open) -> Cents:
        """What moves when so much settles."""
        books = self.account(account_id)
        books.still = books.still.less(settling)
        return self._moved(account_id, books)

    def follow(
        self, position: int, event: Any, cash: int, receivable: int, payable: int, unpaid: int
    ) -> None:
        """Compare an account's amounts after an event with those due, and go on from the event."""
        books = self.account(event.originator_id)
        said = (
            event.cash_after, event.receivable_after, event.unsettled_after, event.unpaid_after,
        )  # fmt: skip
        due = (cash, receivable, receivable - payable, unpaid)
        self._findings.looked["cash"] += 1
        if said != due:
            self._findings.fail(
                "cash", position, f"cash, receivable, unsettled, unpaid: {said}, they are {due}"
            )
        books.cash, books.receivable, books.unpaid = said[0], said[1], said[3]
        books.payable = said[1] - said[2]
        self.post(position, event)

    def post(self, position: int, event: Any) -> None:
        """Enter an event's postings into the ledger."""
        self._postings.judge(position, event)
        ledger = self.ledger
        for party, name, amount in event.postings:
            ledger[party, name] = ledger.get((party, name), 0) + amount
        self._touched.add(event.originator_id)

    def end_command(self, position: int) -> None:
        """Judge what the command that ended at a position has touched."""
        self._moves.end_command(position)
        for account_id in self._touched:
            self._judge(position, account_id)
        self._touched.clear()

    def _judge(self, position: int, account_id: UUID) -> None:
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
        for name, said in (
            (CASH, account.cash),
            (RECEIVABLE, account.receivable),
            (PAYABLE, -account.payable),
        ):
            entered = self.ledger.get((account_id, name), 0)
            if said != entered:
                findings.fail(
                    "balances",
                    position,
                    f"account {account_id} ledger {name} says {said}, its postings {entered}",
                )

    def end(self, position: int) -> None:
        """Judge the whole ledger."""
        self._findings.looked["ledger"] += len(self.ledger)
        total = sum(self.ledger.values())
        if total:
            self._findings.fail("ledger", position, f"all parties together have {total}")
        charged = sum(account.charged for account in self.accounts.values())
        earned = self.ledger.get((HOUSE, COMMISSION), 0)
        self._findings.chain("commissions", position, "what the house earned", earned, charged)
        cleared, rounded = (self.ledger.get((HOUSE, name), 0) for name in (CLEARING, ROUNDING))
        due = (0, self._values.house())
        said = (cleared, rounded)
        self._findings.chain("fill_values", position, "clearing and rounding", said, due)
