"""All books of the second bookkeeper, and which of them judges which event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.audit.second_books.auctions import AuctionBooks
from application.audit.second_books.bookings import Bookings
from application.audit.second_books.closings import ClosingBooks
from application.audit.second_books.credentials import CredentialBooks
from application.audit.second_books.day_ends import DayBooks
from application.audit.second_books.expiries import ExpiryBooks
from application.audit.second_books.findings import Findings
from application.audit.second_books.groups import GroupBooks
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks
from application.audit.second_books.market import MarketBooks
from application.audit.second_books.money import MoneyBooks
from application.audit.second_books.multileg_turns import TurnBooks
from application.audit.second_books.multilegs import MultiLegBooks
from application.audit.second_books.notionals import NotionalBooks
from application.audit.second_books.orders import History, OrderBooks
from application.audit.second_books.permits import Permits
from application.audit.second_books.protections import ProtectionBooks
from application.audit.second_books.settlements import SettlementBooks
from application.audit.second_books.trails import TrailBooks
from application.audit.second_books.watchlists import WatchlistBooks
from domain import events as e
from domain.events import DomainEvent

Judge = Callable[[int, Any], None]


def _each(*books: Judge) -> Judge:
    """Several books that judge an event, one after the other."""

    def judge(position: int, event: Any) -> None:
        for book in books:
            book(position, event)

    return judge


class Books:
    """Takes every event of a log once, in order, and is told where commands end."""

    def __init__(self, findings: Findings, history: History) -> None:
        self._findings = findings
        self._bookings = bookings = Bookings(findings)
        self._instruments = InstrumentBooks()
        self.money = MoneyBooks(findings, bookings)
        self.holdings = HoldingBooks(findings, bookings)
        self._permits = Permits(findings, self.money, self.holdings, self._instruments)
        self._market = MarketBooks(findings, self.money, self._instruments)
        self._orders = OrderBooks(
            findings, bookings, self.money, self.holdings, self._market, self._permits, history
        )
        self._groups = GroupBooks(findings, self._orders)
        self._notionals = NotionalBooks(
            findings,
            self._instruments,
            self.money,
            self.holdings,
            self._permits,
            self._market,
            self._orders,
        )
        self._auctions = AuctionBooks(findings, self._market, self._orders)
        self._protections = ProtectionBooks(
            findings, self._instruments, self._market, self._orders, self._groups
        )
        self._multilegs = MultiLegBooks(
            findings, self.money, self._permits, self._protections, self._orders
        )
        self._turns = TurnBooks(findings, self._multilegs)
        self._multilegs.on_executed = self._turns.executed
        self._closings = ClosingBooks(findings, self.holdings)
        self._trails = TrailBooks(
            findings, self._instruments, self._market, self._protections, self._orders
        )
        self._settlements = SettlementBooks(
            findings, bookings, self.money, self.holdings, self._instruments
        )
        self._expiries = ExpiryBooks(findings, bookings, self.holdings, self._instruments)
        self._watchlists = WatchlistBooks(findings)
        self.credentials = credentials = CredentialBooks(findings)
        self._days = DayBooks(findings, self.money, self.holdings, self._instruments)
        self.judges: dict[type[DomainEvent], Judge] = {
            **self._of_instruments(),
            **self._of_accounts(),
            **self._of_positions(),
            **self._of_orders(),
            **self._of_multilegs(),
            e.WatchlistCreated: self._watchlists.created,
            e.WatchlistChanged: self._watchlists.changed,
            e.WatchlistDeleted: self._watchlists.deleted,
            e.KeyIssued: credentials.issued,
            e.KeyRotated: credentials.rotated,
            e.KeyRevoked: credentials.revoked,
            e.AccountOwnerForgotten: credentials.forgotten,
        }

    def _of_instruments(self) -> dict[type[DomainEvent], Judge]:
        books, days, begins = self._instruments, self._days, self._auctions.begins
        trails = self._trails
        return {
            e.InstrumentListed: self._listed,
            e.InstrumentTermsChanged: _each(books.changed, trails.looked_again),
            e.InstrumentOpened: _each(begins, days.session_opened, trails.looked_again),
            e.InstrumentClosing: begins,
            e.InstrumentClosed: _each(self._auctions.closed, days.session_closed),
            e.InstrumentExpired: self._expiries.expired,
            e.InstrumentHalted: books.stopped,
            e.InstrumentResumed: _each(begins, books.resumed, trails.looked_again),
            e.InstrumentMarked: _each(books.marked, trails.looked_again),
        }

    def _listed(self, position: int, event: e.InstrumentListed) -> None:
        self._instruments.listed(position, event)
        self._watchlists.listed(event)

    def _of_accounts(self) -> dict[type[DomainEvent], Judge]:
        money, permits, settlements = self.money, self._permits, self._settlements
        return {
            e.AccountOpened: _each(money.opened, lambda _, event: self.credentials.opened(event)),
            e.AccountPolicySet: money.policy_set,
            e.CommissionScheduleSet: money.schedule_set,
            e.AccountStatusChanged: permits.status,
            e.AccountConfigured: permits.configured,
            e.CloseAllTaken: self._closings.taken,
            e.AccountKillSwitched: permits.killed,
            e.VenueKillSwitched: permits.all_killed,
            e.PairMarginSet: permits.pairs.paired,
            e.MarginCalled: permits.called,
            e.MarginCallMet: permits.call_met,
            e.CashDeposited: money.cash_moved,
            e.CashWithdrawn: money.cash_moved,
            e.FeeCharged: money.cash_moved,
            e.MarginReserved: money.margin_reserved,
            e.MarginReleased: money.margin_released,
            e.TradeBooked: settlements.booked,
            e.TradeReversed: settlements.reversed,
            e.AccountDayClosed: self._days.day_closed,
            e.AccountSettled: settlements.account_settled,
            e.SettlementFailed: settlements.failed,
            e.SettlementSettled: settlements.settled,
        }

    def _of_positions(self) -> dict[type[DomainEvent], Judge]:
        holdings = self.holdings
        return {
            e.QuantityReserved: holdings.reserved,
            e.QuantityReleased: holdings.released,
            e.PositionTraded: holdings.traded,
            e.PositionMarked: self._days.marked,
            e.PositionReversed: holdings.reversed,
            e.PositionExpired: self._expiries.ended,
            e.PositionTransferred: self._transferred,
            e.PositionSettled: self._settlements.position_settled,
        }

    def _transferred(self, position: int, event: e.PositionTransferred) -> None:
        terms = self._instruments.of(event.instrument_id)
        # Older ones did not say it.
        if event.mark:
            said = (event.mark, event.price_decimals, event.multiplier)
            due = (terms.mark, terms.decimals, terms.multiplier)
            self._findings.chain("quantities", position, "mark", said, due)
        self.holdings.transferred(position, event)

    def _of_orders(self) -> dict[type[DomainEvent], Judge]:
        orders, groups, protections = self._orders, self._groups, self._protections
        auctions, notionals, closings = self._auctions, self._notionals, self._closings
        trails, multilegs = self._trails, self._multilegs
        return {
            e.OrderAccepted: _each(
                auctions.accepted,
                notionals.accepted,
                closings.accepted,
                multilegs.leg_accepted,
                trails.accepted,
            ),
            e.OrderRejected: _each(closings.rejected, orders.rejected),
            e.OrderTrailed: trails.trailed,
            e.OrderTriggered: protections.triggered,
            e.OrderFilled: _each(
                auctions.filled,
                multilegs.leg_filled,
                self._turns.filled,
                notionals.filled,
                trails.filled,
            ),
            e.OrderAdjusted: _each(multilegs.leg_adjusted, protections.adjusted),
            e.OrderReplaced: trails.replaced,
            e.OrderCanceled: _each(notionals.canceled, closings.canceled, protections.canceled),
            e.OrderExpired: orders.ended,
            e.OrderFillBusted: _each(self._turns.revised, orders.revised),
            e.OrderFillCorrected: _each(self._turns.revised, orders.revised),
            e.GroupPlaced: groups.placed,
            e.GroupEntryFilled: groups.entry_filled,
            e.GroupLegFilled: groups.leg_filled,
            e.GroupStopTriggered: groups.stop_triggered,
            e.GroupResized: groups.resized,
            e.GroupEnded: groups.ended,
        }

    def _of_multilegs(self) -> dict[type[DomainEvent], Judge]:
        books = self._multilegs
        return {
            e.MultiLegPlaced: books.placed,
            e.MultiLegRejected: books.rejected,
            e.MultiLegExecuted: books.executed,
            e.MultiLegReplaced: books.replaced,
            e.MultiLegCanceled: books.canceled,
            e.MultiLegExpired: books.expired,
            e.MultiLegTurned: self._turns.turned,
            e.MultiLegUnwinding: self._turns.unwinding,
            e.MultiLegClosed: self._turns.closed,
            e.MultiLegUnwound: self._turns.unwound,
        }

    def end_command(self, position: int) -> None:
        """Judge what the command that ended at a position has left behind."""
        self._closings.end_command(position)
        if self._orders.groups_touched:
            self._groups.end_command(position)
        self._auctions.end_command(position)
        self._notionals.end_command(position)
        self._turns.end_command(position)
        self._multilegs.end_command(position)
        self._orders.end_command()
        self._trails.end_command(position)
        self._market.end_command(position)
        self._bookings.end_command(position)
        self._settlements.end_command(position)
        self.money.end_command(position)
        self.holdings.end_command(position)

    def end(self, position: int) -> None:
        """Judge the whole."""
        self.money.end(position)
        self._settlements.end(position)
