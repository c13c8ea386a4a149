"""Whether an order was allowed to be taken: kill switches, margin calls, and what was free."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any, NamedTuple
from uuid import UUID

from application.audit.second_books.commissions import most
from application.audit.second_books.families import NO_LOT, FamilyBooks, Sold
from application.audit.second_books.findings import Findings, within
from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks, Terms
from application.audit.second_books.money import Cash, MoneyBooks
from application.audit.second_books.pairs import Hedged, PairBooks, Spared
from domain.events import (
    AccountConfigured,
    AccountKillSwitched,
    AccountStatusChanged,
    MarginCalled,
    MarginCallMet,
    OrderAccepted,
    OrderReplaced,
    VenueKillSwitched,
)

BUY = 1
CLOSING_ONLY = 1
CENT = 1
"""What a cash account's order holds besides its price and commission."""

_BPS = 10_000
_SHARE = 10**8


class Worth(NamedTuple):
    """An account's holdings at the marks, in cents."""

    longs: int
    shorts: int
    initial: int
    maintenance: int


class Permits:
    """What accounts may do and hold, judged when they do it."""

    def __init__(
        self,
        findings: Findings,
        money: MoneyBooks,
        holdings: HoldingBooks,
        instruments: InstrumentBooks,
    ) -> None:
        self._findings = findings
        self._money = money
        self._holdings = holdings
        self._instruments = instruments
        self._families = FamilyBooks(holdings, instruments)
        self.pairs = PairBooks(findings, instruments)
        self._all_killed = False

    def killed(self, position: int, event: AccountKillSwitched) -> None:
        """Note an account's kill switch."""
        self._money.account(event.originator_id).killed = event.engaged

    def all_killed(self, position: int, event: VenueKillSwitched) -> None:
        """Note the kill switch of all accounts."""
        self._all_killed = event.engaged

    def configured(self, position: int, event: AccountConfigured) -> None:
        """Note what an account's owner has set."""
        account = self._money.account(event.originator_id)
        account.suspended, account.long_only = event.suspend_trade, event.no_shorting
        account.whole_only = not event.fractional_trading
        account.covers_all = event.max_margin_multiplier == 1

    def status(self, position: int, event: AccountStatusChanged) -> None:
        """Note what an account may do."""
        self._money.account(event.originator_id).closing = event.status == CLOSING_ONLY

    def called(self, position: int, event: MarginCalled) -> None:
        """Judge a margin call: equity fell below maintenance."""
        self._call(position, event, begins=True)

    def call_met(self, position: int, event: MarginCallMet) -> None:
        """Judge the end of a margin call: equity covers maintenance again."""
        self._call(position, event, begins=False)

    def _call(self, position: int, event: MarginCalled | MarginCallMet, *, begins: bool) -> None:
        account = self._money.account(event.originator_id)
        worth = self._worth(event.originator_id)
        said = (event.equity, event.maintenance)
        due = (_equity(account, worth), worth.maintenance)
        told = tuple(map(within, due))
        self._findings.chain("margin_calls", position, "equity and maintenance", said, told)
        short = due[0] < due[1]
        if short != begins or account.called == begins or not account.is_margin:
            self._findings.fail("margin_calls", position, f"equity and maintenance are {due}")
        account.called = begins

    def taken(
        self,
        position: int,
        event: OrderAccepted | OrderReplaced,
        *,
        more_held: int,
        opens: bool,
        sized: bool = True,
    ) -> None:
        """Judge an order, or other terms of one, that hold so much more and may open a position;
        terms that are not `sized` leave the quantity as it was.
        """
        account = self._money.account(event.account_id)
        findings = self._findings
        self.not_stopped(position, event.account_id)
        if account.long_only and opens and event.side != BUY:
            findings.fail("kill_switches", position, "an order sells short, and may not")
        if account.whole_only and sized:
            self._whole(position, event)
        if account.called or account.closing:
            findings.looked["margin_calls"] += 1
            if opens and not self._buys_back(event, account):
                findings.fail("margin_calls", position, "an order opens what may only be closed")
        self.covered(position, event.account_id, more_held)

    def not_stopped(self, position: int, account_id: UUID) -> None:
        """Judge that an account may ask for anything that trades."""
        account, findings = self._money.account(account_id), self._findings
        findings.looked["kill_switches"] += 1
        if account.killed or self._all_killed:
            findings.fail("kill_switches", position, "an order was taken while killed")
        if account.suspended:
            findings.fail("kill_switches", position, "an order was taken while suspended")

    def opens(self, position: int, account_id: UUID, side: int) -> None:
        """Judge that an account may open more by a leg that grows: it sells short on margin alone,
        and nothing while it may only close.
        """
        account, findings = self._money.account(account_id), self._findings
        findings.looked["kill_switches"] += 1
        if side != BUY and (account.long_only or not account.is_margin):
            findings.fail("kill_switches", position, "a leg sells short, and may not")
        if account.called or account.closing:
            findings.fail("margin_calls", position, "a leg opens what may only be closed")

    def _whole(self, position: int, event: OrderAccepted | OrderReplaced) -> None:
        """Judge whether an order opens whole shares, or has opened them with what is left."""
        if isinstance(event, OrderAccepted):
            opened = {event.qty - event.hold_qty}
        else:
            opened = {event.qty - event.hold_qty_after, event.leaves_after - event.hold_qty_after}
        coin = self._instruments.of(event.instrument_id).has_no_shares
        if not coin and all(qty % _SHARE for qty in opened):
            text = f"an order opens {sorted(opened)}, no whole shares"
            self._findings.fail("kill_switches", position, text)

    def _buys_back(self, event: OrderAccepted | OrderReplaced, account: Cash) -> bool:
        """A cash account that owes shares pays for them as for any other."""
        left = event.qty if isinstance(event, OrderAccepted) else event.leaves_after
        held = self._holdings.of((event.account_id, event.instrument_id)).qty
        return event.side == BUY and not account.is_margin and left <= -held

    def covered(self, position: int, account_id: UUID, more_held: int) -> None:
        """Judge whether what an order comes to hold was free."""
        if more_held <= 0:
            return
        self._findings.looked["buying_power"] += 1
        free = self._free(account_id, self._money.account(account_id))
        if more_held > free:
            text = f"the order holds {more_held} more, {free} is free"
            self._findings.fail("buying_power", position, text)

    def hold(
        self, account_id: UUID, instrument_id: UUID, side: int, opening: int, price: int
    ) -> int:
        """What the opening part of an order holds: its price or margin, and its commission."""
        if not opening:
            return 0
        account, terms = self._money.account(account_id), self._instruments.of(instrument_id)
        cost = most(account.rates, opening, price * terms.multiplier, terms.decimals)
        if not account.is_margin:
            # The cent is for what all trades of the account together may round to.
            value = price * opening * terms.multiplier
            return cost + _up(value, 10 ** (terms.decimals + 6)) + CENT
        if terms.expiry:
            lost = self._unpaired(account_id, terms.underlying_id)
            return cost + lost + self._option_hold(account, terms, side, opening, price)
        if side != BUY:
            price = max(price, terms.mark)
        return cost + self.margin(account_id, instrument_id, opening, price)

    def _option_hold(self, account: Cash, terms: Terms, side: int, opening: int, price: int) -> int:
        """What an option binds by itself: what it costs, or what whoever writes it must have and
        loses by selling below the mark.
        """
        cent, units = 10 ** (terms.decimals + 6), opening * terms.multiplier
        if side == BUY:
            return _up(price * units, cent)
        short = self._families.contract(terms, -opening, max(price, terms.mark))
        naked = self._families.options(account, terms.underlying_id, [short], NO_LOT).bound()
        return ceil(naked * 100) + _up(max(0, terms.mark - price) * units, cent)

    def fees(self, account_id: UUID, instrument_id: UUID, opening: int, price: int) -> int:
        """What of a hold is for the commission and for rounding."""
        account, terms = self._money.account(account_id), self._instruments.of(instrument_id)
        cost = most(account.rates, opening, price * terms.multiplier, terms.decimals)
        return cost if account.is_margin else cost + CENT

    def stands_apart(self, account_id: UUID, instrument_id: UUID) -> bool:
        """Whether what an account has of an instrument binds it whatever options it has."""
        terms, optioned = self._instruments.of(instrument_id), self._instruments.optioned
        is_margin = self._money.account(account_id).is_margin
        return not is_margin or not (terms.expiry or instrument_id in optioned)

    def multiplier(self, instrument_id: UUID) -> int:
        """Units of the underlying that one is for."""
        return self._instruments.of(instrument_id).multiplier

    def became(self, account_id: UUID, instrument_id: UUID, side: int, qty: int, price: int) -> int:
        """What an exit holds more for what it opens now, after all."""
        if self._instruments.of(instrument_id).expiry:
            return self.hold(account_id, instrument_id, side, qty, price)
        return self.margin(account_id, instrument_id, qty, price)

    def between(self, said: int, due: int, *asked: Any) -> int:
        """What is held where a written option may hold less than by itself, as far as what stands
        beside it covers it; `asked` as of `hold`.
        """
        least = self._least(*asked)
        return said if least is not None and least <= said <= due else due

    def _least(
        self, account_id: UUID, instrument_id: UUID, side: int, opening: int, price: int
    ) -> int | None:
        """By how much more an account is bound when an option is sold alone, working exits gone;
        None for what is no such sale.
        """
        account, terms = self._money.account(account_id), self._instruments.of(instrument_id)
        if not terms.expiry or side == BUY or not account.is_margin or not opening:
            return None
        seen = (account_id, account, terms.underlying_id)
        mark = max(price, terms.mark)
        before = self._families.bound(*seen, sold=Sold(instrument_id, 0, mark))
        after = self._families.bound(*seen, sold=Sold(instrument_id, opening, mark))
        units = opening * terms.multiplier
        loss = _up(max(0, terms.mark - price) * units, 10 ** (terms.decimals + 6))
        cost = most(account.rates, opening, price * terms.multiplier, terms.decimals)
        # Both are rounded up to a cent by who holds.
        lost = self._unpaired(account_id, terms.underlying_id)
        return max(0, ceil((after - before) * 100) - 1) + loss + cost + lost

    def margin(self, account_id: UUID, instrument_id: UUID, qty: int, price: int) -> int:
        """The initial requirement that an account has of a quantity at a price."""
        terms = self._instruments.of(instrument_id)
        rate = _rate(self._money.account(account_id), terms.initial)
        return _up(price * qty * terms.multiplier * rate, _BPS * 10 ** (terms.decimals + 6))

    def mark(self, instrument_id: UUID) -> int:
        """What an instrument is valued at."""
        return self._instruments.of(instrument_id).mark

    def free(self, account_id: UUID) -> int:
        """What an account may still hold."""
        return self._free(account_id, self._money.account(account_id))

    def cost(self, account_id: UUID, instrument_id: UUID, value: int) -> int:
        """What must be free to open so much, in prices times quantities, fees apart."""
        terms, account = self._instruments.of(instrument_id), self._money.account(account_id)
        unit = 10 ** (terms.decimals + 6)
        if not account.is_margin:
            return _up(value, unit)
        return _up(value * terms.initial, _BPS * unit)

    def _free(self, account_id: UUID, account: Cash) -> int:
        counted = account.cash + account.unsettled - account.held
        if not account.is_margin:
            return counted if account.uses_unsettled else account.own_cash - account.held
        worth = self._worth(account_id)
        counted += worth.longs - worth.shorts - worth.initial
        if not account.uses_unsettled:
            # Net: what the account owes itself pays for as much of what it is owed.
            counted -= max(0, account.unsettled - worth.shorts)
        return counted

    def _worth(self, account_id: UUID) -> Worth:
        """Longs at the mark rounded down, shorts and requirements up."""
        account = self._money.account(account_id)
        longs = shorts = initial = maintenance = 0
        families = self._families.of_account(account_id)
        for instrument_id, holding in self._holdings.of_account(account_id):
            if not holding.qty:
                continue
            terms = self._instruments.of(instrument_id)
            units = abs(holding.qty) * terms.multiplier
            value, unit = terms.mark * units, 10 ** (terms.decimals + 6)
            if holding.qty > 0:
                longs += value // unit
            else:
                shorts += _up(value, unit)
            if instrument_id in families or terms.underlying_id in families:
                continue
            initial += _up(value * _rate(account, terms.initial), _BPS * unit)
            maintenance += _up(value * terms.maintenance, _BPS * unit)
        for underlying_id in families:
            seen = (account_id, account, underlying_id)
            initial += self._families.initial(*seen)
            maintenance += self._families.maintenance(*seen)
        if self.pairs.declared:
            initial -= floor(self._spared(account_id, families, exits=True).initial * 100)
            spared = self._spared(account_id, families, exits=False).maintenance
            maintenance -= floor(spared * 100)
        return Worth(longs, shorts, initial, maintenance)

    def _unpaired(self, account_id: UUID, underlying_id: UUID) -> int:
        """What pairs spare no more with the first option on one of their shares."""
        families = self._families.of_account(account_id)
        if not self.pairs.declared or underlying_id in families:
            return 0
        now = floor(self._spared(account_id, families, exits=True).initial * 100)
        then = self._spared(account_id, families | {underlying_id}, exits=True).initial
        return max(0, now - floor(then * 100))

    def _spared(self, account_id: UUID, families: set[UUID], *, exits: bool) -> Spared:
        """What pairs spare of shares without options; exits that work hedge nothing."""
        account = self._money.account(account_id)
        held: dict[UUID, Hedged] = {}
        for instrument_id, holding in self._holdings.of_account(account_id):
            terms, qty = self._instruments.of(instrument_id), holding.qty
            if terms.expiry or instrument_id in families or not qty:
                continue
            away = min(holding.reserved - holding.joined, abs(qty)) if exits else 0
            left = qty - away if qty > 0 else qty + away
            held[instrument_id] = Hedged(
                Fraction(left * terms.mark, 10 ** (terms.decimals + 8)),
                Fraction(_rate(account, terms.initial), _BPS),
                Fraction(terms.maintenance, _BPS),
            )
        return self.pairs.spared(held)


def _equity(account: Cash, worth: Worth) -> int:
    return account.cash + account.unsettled + worth.longs - worth.shorts


def _rate(account: Cash, initial: int) -> int:
    """What of a position must be the account's own: all of it, where its owner wants no more."""
    return _BPS if account.covers_all and initial < _BPS else initial


def _up(numerator: int, unit: int) -> int:
    return -(-numerator // unit)
