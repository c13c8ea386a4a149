"""An account valued from the views, by the formulas the writer itself decides with.

It is reckoned step by step: an account with thousands of holdings, or with options of hundreds of
underlyings, is valued while others are answered.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from operator import add
from typing import NamedTuple, TypeVar
from uuid import UUID

from application.turns import Turn
from domain.account import Account
from domain.family import Family, Underlying, rates_of
from domain.margin import Holding, Margin, equity, margin_of
from domain.means import Means, means_of
from domain.money import WIRE_PRICE_SCALE
from domain.pair_margin import Hedgeable, Pair, Saved, saved_by
from domain.strategy_margin import OptionHolding
from projections.balances import AccountRow, VenueSwitch
from projections.pair_margins import PairRow
from projections.positions import PositionRow


class Valued(NamedTuple):
    """What an account is worth, in cents, and its means."""

    margin: Margin
    equity: int
    means: Means


Done = TypeVar("Done")
Steps = Generator[None, None, Done]
"""Work that can be interrupted wherever it yields."""
HOLDINGS_OF_A_STEP = 64


def valued(
    row: AccountRow,
    positions: Sequence[PositionRow],
    venue: VenueSwitch,
    pairs: Sequence[PairRow] = (),
) -> Valued:
    """The account at the present marks; only a margin account is bound by requirements."""
    return at_once(valuing(row, positions, venue, pairs))


async def valued_by_turns(
    row: AccountRow,
    positions: Sequence[PositionRow],
    venue: VenueSwitch,
    pairs: Sequence[PairRow] = (),
) -> Valued:
    """The same, while others go on."""
    steps, turn = valuing(row, positions, venue, pairs), Turn()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        await turn.is_over()


def at_once(steps: Steps[Done]) -> Done:
    """What work comes to that nobody interrupts."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def valuing(
    row: AccountRow,
    positions: Sequence[PositionRow],
    venue: VenueSwitch,
    pairs: Sequence[PairRow],
) -> Steps[Valued]:
    """The account at the present marks, step by step."""
    account = account_of(row)
    held = [position for position in positions if position.qty]
    margin = yield from _margin(held, account)
    if pairs:
        initial = _saved(held, account, pairs, exiting=True).initial
        yield
        maintenance = _saved(held, account, pairs, exiting=False).maintenance
        yield
        margin = margin._replace(
            initial=margin.initial - initial, maintenance=margin.maintenance - maintenance
        )
    means = means_of(account, margin, stopped=venue.killed)
    worth = equity(account, margin)
    if not account.is_margin:
        margin = margin._replace(initial=0, maintenance=0)
    return Valued(margin, worth, means)


def account_of(row: AccountRow) -> Account:
    """The account's money as the writer keeps it."""
    account = Account.blank(row.account_id, row.opened_at)
    account.kind = row.kind
    account.status = row.status
    account.killed = row.killed
    account.margin_called = row.margin_called
    account.cash = row.cash
    account.unsettled = row.unsettled
    account.held = row.held
    account.receivable = row.receivable
    account.unpaid = row.unpaid
    account.use_unsettled = row.use_unsettled
    account.suspend_trade = row.suspend_trade
    account.no_shorting = row.no_shorting
    account.fractional_trading = row.fractional_trading
    account.max_margin_multiplier = row.max_margin_multiplier
    return account


def _margin(held: list[PositionRow], account: Account) -> Steps[Margin]:
    """What positions are worth, and bind, options with what they are for."""
    families: dict[UUID, list[PositionRow]] = {row.underlying_id: [] for row in held if row.expiry}
    margin = Margin(0, 0, 0, 0)
    for start in range(0, len(held), HOLDINGS_OF_A_STEP):
        holdings = []
        for row in held[start : start + HOLDINGS_OF_A_STEP]:
            holding = holding_of(row, account)
            key = row.underlying_id if row.expiry else row.instrument_id
            if key in families:
                families[key].append(row)
                holding = holding._replace(initial_bps=0, maintenance_bps=0)
            holdings.append(holding)
        margin = Margin(*map(add, margin, margin_of(holdings)))
        yield
    initial, maintenance = margin.initial, margin.maintenance
    rates = rates_of(account)
    for rows in families.values():
        family = _family(rows, account, exiting=False)
        exiting = _family(rows, account, exiting=True)
        within = family.initial(rates)
        yield
        initial += max(within, exiting.initial(rates))
        yield
        maintenance += family.maintenance()
        yield
    return margin._replace(initial=initial, maintenance=maintenance)


def _saved(
    held: list[PositionRow], account: Account, pairs: Sequence[PairRow], *, exiting: bool
) -> Saved:
    """What pairs save of shares without options; with `exiting` what is reserved hedges nothing."""
    families = {row.underlying_id for row in held if row.expiry}
    shares: dict[int, Hedgeable] = {}
    for row in held:
        if not row.expiry and row.instrument_id not in families:
            away = min(row.reserved - row.joined, abs(row.qty)) if exiting else 0
            left = row.qty - away if row.qty > 0 else row.qty + away
            shares[row.instrument_id.int] = Hedgeable(
                left * row.price * 10 ** (WIRE_PRICE_SCALE - row.price_decimals),
                account.initial_bps(row.initial_margin_bps),
                row.maintenance_margin_bps,
            )
    known = [Pair(pair.bps, pair.instrument_id.int, pair.other_id.int) for pair in pairs]
    return saved_by(known, shares)


def _family(rows: list[PositionRow], account: Account, *, exiting: bool) -> Family:
    """What is held of an underlying and its options; with `exiting` what is reserved covers
    nothing.
    """
    shares = shares_apart = apart = 0
    options: list[OptionHolding] = []
    underlying = Underlying(0, 0, 0)
    for row in rows:
        finer = 10 ** (WIRE_PRICE_SCALE - row.price_decimals)
        away = min(row.reserved - row.joined, abs(row.qty)) if exiting else 0
        if not row.expiry:
            shares, shares_apart = row.qty - away if row.qty > 0 else row.qty + away, away
            continue
        bps = account.initial_bps(row.underlying_initial_bps)
        price = row.underlying_price * 10 ** (WIRE_PRICE_SCALE - row.underlying_decimals)
        underlying = Underlying(price, bps, row.underlying_maintenance_bps)
        qty = row.qty
        if qty > 0:
            apart += row.price * finer * away * row.multiplier
            qty -= away
        if qty:
            terms = row.price, row.price_decimals, row.multiplier
            options.append(OptionHolding(row.right_code, row.strike, row.expiry, qty, *terms))
    return Family(underlying, shares, tuple(options), shares_apart, apart)


def holding_of(row: PositionRow, account: Account) -> Holding:
    """A position as margin sees it."""
    return Holding(
        row.qty * row.multiplier,
        row.price,
        row.price_decimals,
        account.initial_bps(row.initial_margin_bps),
        row.maintenance_margin_bps,
    )
