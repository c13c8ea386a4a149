"""The desk: all state the writer owns, kept only by deciding or by applying events."""

from __future__ import annotations

from collections import deque
from heapq import heappush
from uuid import UUID

from domain.account import Account
from domain.decision import Decision
from domain.errors import UnknownAccount, UnknownInstrument, UnknownOrder
from domain.events import OrderFilled
from domain.identifiers import VENUE, Instant
from domain.instrument import Instrument
from domain.margin import Holding, Margin, margin_of
from domain.matching.engine import Market
from domain.oco import Oco
from domain.order import Order
from domain.position import Position
from domain.settlement import Obligation, ObligationKey, Settlement
from domain.terms import Side
from domain.venue import Venue

_BUY = int(Side.BUY)
DONE_KEPT = 100_000
"""How many ended orders stay in memory, so that late cancels are answered without a look-up."""


def count_working(position: Position, side: int, qty: int) -> None:
    """Note how much of a side works for the account in the instrument, or no longer does."""
    if side == _BUY:
        position.working_buys += qty
    else:
        position.working_sells += qty


Reaction = tuple[str, Order | Position, int]
"""What happened, to what, and how much of it (filled), why (ended), or 0 (shrank)."""


class Desk:
    """Accounts, positions, markets and working orders of one partition.

    `position` is the log position of the newest event it holds, `last_at` that event's time,
    `command` the number of the command that made it; `sequence` is the newest priority number.
    `obligations` are the trades that are not settled, added up, `pool` what was delivered to
    the house and not yet received, by instrument. `reactions` is what the decision under way
    still has to follow up (`application.deciding.reactions`), empty between decisions.

    `corrected` is (price, notional, buyer's fee, seller's fee) of trades that were.

    `done` keeps recently ended orders, and `trades_found` what a look-up brought for the
    command that is about to be decided; neither is state.
    """

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self.position = 0
        self.last_at: Instant = 0
        self.command = 0
        self.sequence = 0
        self.accounts: dict[UUID, Account] = {}
        self.margin_accounts: list[Account] = []
        self.account_names: dict[str, Account] = {}
        self.owners: dict[str, int] = {}
        self.markets: dict[UUID, Market] = {}
        self.symbols: dict[str, Market] = {}
        self.positions: dict[tuple[UUID, UUID], Position] = {}
        self.orders: dict[UUID, Order] = {}
        self.revisions: dict[UUID, Order] = {}
        self.revisions_of: dict[UUID, list[UUID]] = {}
        self.by_sequence: dict[int, Order] = {}
        self.by_client: dict[tuple[UUID, str], Order] = {}
        self.account_orders: dict[UUID, dict[UUID, Order]] = {}
        self.market_orders: dict[UUID, dict[UUID, Order]] = {}
        self.expiries: list[tuple[Instant, int, UUID]] = []
        self.done: dict[UUID, Order] = {}
        self._done_in_order: deque[UUID] = deque()
        self.done_by_client: dict[tuple[UUID, str], Order] = {}
        self.done_revisions: dict[UUID, Order] = {}
        self.done_revisions_of: dict[UUID, list[UUID]] = {}
        self.groups: dict[UUID, Oco] = {}
        self.account_positions: dict[UUID, list[Position]] = {}
        self.obligations: dict[ObligationKey, Obligation] = {}
        self.settlements: dict[ObligationKey, Settlement] = {}
        self.pool: dict[UUID, int] = {}
        self.order_rates: dict[UUID, tuple[int, int]] = {}
        self.venue = Venue.blank(VENUE, 0)
        self.reactions: deque[Reaction] = deque()
        self.busted: set[UUID] = set()
        self.corrected: dict[UUID, tuple[int, int, int, int]] = {}
        self.trades_found: dict[UUID, tuple[OrderFilled, OrderFilled]] = {}

    def account(self, account_id: UUID) -> Account:
        """Raises UnknownAccount."""
        account = self.accounts.get(account_id)
        if account is None:
            raise UnknownAccount(account_id)
        return account

    def market(self, symbol: str) -> Market:
        """Raises UnknownInstrument."""
        market = self.symbols.get(symbol)
        if market is None:
            raise UnknownInstrument(symbol)
        return market

    def open_position(self, decision: Decision, account_id: UUID, instrument_id: UUID) -> Position:
        """The position of an account in an instrument, opened when this is the first touch."""
        position = self.positions.get((account_id, instrument_id))
        if position is None:
            position = Position.open(decision, decision.new_id(), account_id, instrument_id)
            self.add_position(position)
        return position

    def margin(self, account_id: UUID) -> Margin:
        """What the account's positions are worth, and bind, at the present marks."""
        holdings = []
        for position in self.account_positions.get(account_id, ()):
            if position.qty:
                market = self.markets[position.instrument_id]
                terms = market.instrument
                holdings.append(
                    Holding(
                        position.qty,
                        market.mark,
                        terms.price_decimals,
                        terms.initial_margin_bps,
                        terms.maintenance_margin_bps,
                    )
                )
        return margin_of(holdings)

    def next_sequence(self) -> int:
        """The next priority number; numbers only grow."""
        self.sequence += 1
        return self.sequence

    def find_working(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> Order:
        """A working order by any revision's id or by client order id.

        Raises UnknownOrder, or OrderNotWorking when it is among the ended ones in memory.
        """
        order = self.find_any(account_id, order_id, client_order_id)
        order.check_working()
        return order

    def knows(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> bool:
        """Whether memory can say all about this order."""
        if order_id is not None:
            return self._by_id(order_id) is not None or order_id in self.groups
        key = (account_id, client_order_id)
        return key in self.by_client or key in self.done_by_client

    def find_any(self, account_id: UUID, order_id: UUID | None, client_order_id: str) -> Order:
        """A working or remembered order; raises UnknownOrder."""
        if order_id is not None:
            order = self._by_id(order_id)
        else:
            key = (account_id, client_order_id)
            order = self.by_client.get(key) or self.done_by_client.get(key)
        if order is None or order.account_id != account_id:
            raise UnknownOrder(str(order_id or client_order_id))
        return order

    def _by_id(self, order_id: UUID) -> Order | None:
        return (
            self.orders.get(order_id)
            or self.revisions.get(order_id)
            or self.done.get(order_id)
            or self.done_revisions.get(order_id)
        )

    # What follows keeps the indexes; deciding and applying events both call it.

    def add_account(self, account: Account) -> None:
        """Index a new account."""
        self.accounts[account.id] = account
        if account.is_margin:
            self.margin_accounts.append(account)
        self.account_names[account.name] = account
        self.owners.setdefault(account.owner, account.owner_number)
        self.account_orders[account.id] = {}

    def add_instrument(self, instrument: Instrument) -> Market:
        """Give a new instrument its market."""
        market = Market(instrument)
        self.markets[instrument.id] = market
        self.symbols[instrument.symbol] = market
        self.market_orders[instrument.id] = {}
        return market

    def add_position(self, position: Position) -> None:
        """Index a new position."""
        self.positions[position.account_id, position.instrument_id] = position
        self.account_positions.setdefault(position.account_id, []).append(position)

    def owe(
        self,
        key: ObligationKey,
        side: int,
        trade: tuple[int, int, int],
        unpaid_qty: int,
        at: Instant,
    ) -> None:
        """Add one side of a trade, (qty, notional, fee), to what settles on its value date.

        All of it negative takes a trade out again.
        """
        obligation = self.obligations.get(key)
        if obligation is None:
            obligation = self.obligations[key] = Obligation(since=at)
        qty, notional, fee = trade
        obligation.add(side, qty, notional, fee)
        if unpaid_qty:
            obligation.unpaid_qty += unpaid_qty
            obligation.unpaid_amount += notional + fee

    def settled(self, settlement: Settlement, pool_after: int) -> None:
        """Take a settled obligation out."""
        del self.obligations[settlement.key]
        self.settlements.pop(settlement.key, None)
        if pool_after:
            self.pool[settlement.instrument_id] = pool_after
        else:
            self.pool.pop(settlement.instrument_id, None)

    def note_order(self, account: Account, at: Instant) -> None:
        """Count an order of an account that may send only so many in a second."""
        if account.max_orders_per_second:
            second = at // 1_000_000
            known, count = self.order_rates.get(account.id, (0, 0))
            self.order_rates[account.id] = (second, count + 1 if known == second else 1)

    def rename(self, market: Market, old_symbol: str) -> None:
        """Index a market under its new symbol."""
        if market.instrument.symbol != old_symbol:
            del self.symbols[old_symbol]
            self.symbols[market.instrument.symbol] = market

    def add_working(self, order: Order, position: Position) -> None:
        """Index an accepted order."""
        identifier = order.id
        self.orders[identifier] = order
        self.by_sequence[order.sequence] = order
        self.by_client[order.account_id, order.client_order_id] = order
        self.account_orders[order.account_id][identifier] = order
        self.market_orders[order.instrument_id][identifier] = order
        if not order.is_held:
            count_working(position, order.side, order.leaves)
        if order.expires_at:
            heappush(self.expiries, (order.expires_at, order.sequence, identifier))

    def adjusted(self, order: Order, position: Position, before: tuple[bool, int, int]) -> None:
        """Index an adjusted order; `before` is its (is held, leaves, sequence)."""
        was_held, leaves, sequence = before
        counted = 0 if was_held else leaves
        count_working(position, order.side, (0 if order.is_held else order.leaves) - counted)
        if order.sequence != sequence:
            self.resequence(order, sequence)

    def resequence(self, order: Order, old_sequence: int) -> None:
        """Index an order under its new priority number."""
        del self.by_sequence[old_sequence]
        self.by_sequence[order.sequence] = order

    def replaced(
        self, order: Order, position: Position, before: tuple[UUID, str, int, int]
    ) -> None:
        """Index a replaced order; `before` is its (revision, client id, sequence, leaves)."""
        _, client_order_id, sequence, leaves = before
        self.revisions[order.revision_id] = order
        self.revisions_of.setdefault(order.id, []).append(order.revision_id)
        if order.client_order_id != client_order_id:
            self.by_client.pop((order.account_id, client_order_id), None)
            self.by_client[order.account_id, order.client_order_id] = order
        if order.sequence != sequence:
            self.resequence(order, sequence)
        if not order.is_held:
            count_working(position, order.side, order.leaves - leaves)
        if order.expires_at:
            heappush(self.expiries, (order.expires_at, order.sequence, order.id))

    def ended(self, order: Order, position: Position, counted: int) -> None:
        """Take an order that ended out of the indexes; `counted` was working until then."""
        identifier = order.id
        del self.orders[identifier]
        del self.by_sequence[order.sequence]
        self.by_client.pop((order.account_id, order.client_order_id), None)
        del self.account_orders[order.account_id][identifier]
        del self.market_orders[order.instrument_id][identifier]
        count_working(position, order.side, -counted)
        revisions = self.revisions_of.pop(identifier, None)
        if revisions is not None:
            self.done_revisions_of[identifier] = revisions
            for revision in revisions:
                self.done_revisions[revision] = self.revisions.pop(revision)
        self.remember_done(order)

    def name_done(self, other_id: UUID, order_id: UUID) -> None:
        """Let an ended order be found by another id as well, as long as it is remembered."""
        order = self.done.get(order_id)
        if order is not None and other_id not in self.done_revisions:
            self.done_revisions[other_id] = order
            self.done_revisions_of.setdefault(order_id, []).append(other_id)

    def remember_done(self, order: Order) -> None:
        """Keep an ended order for a while."""
        done, identifier = self.done, order.id
        if identifier not in done:
            # Not by the dict's own order: finding its first key costs all that were taken out.
            self._done_in_order.append(identifier)
        done[identifier] = order
        self.done_by_client[order.account_id, order.client_order_id] = order
        if len(done) > DONE_KEPT:
            oldest = done.pop(self._done_in_order.popleft())
            self.done_by_client.pop((oldest.account_id, oldest.client_order_id), None)
            for revision in self.done_revisions_of.pop(oldest.id, ()):
                del self.done_revisions[revision]
