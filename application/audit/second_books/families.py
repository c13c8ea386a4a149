"""The books of what options and their underlyings bind of an account together."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import NamedTuple
from uuid import UUID

from application.audit.second_books.holdings import HoldingBooks
from application.audit.second_books.instruments import InstrumentBooks, Terms
from application.audit.second_books.money import Cash
from application.audit.second_books.option_margin import CALL, Contract, Lot, Options

NO_LOT = Lot(Fraction(0), Fraction(0), protected=False)
_UNIT = 10**8


class Sold(NamedTuple):
    """A sale of an option beside what is held, and the price that it is taken to have."""

    instrument_id: UUID
    qty: int
    mark: int


class Set(NamedTuple):
    """What an account has of a family; `apart` are dollars of longs that cover nothing."""

    contracts: list[Contract]
    shares: Fraction
    shares_apart: Fraction
    apart: Fraction


class FamilyBooks:
    """What is held of each underlying and of the options on it."""

    def __init__(self, holdings: HoldingBooks, instruments: InstrumentBooks) -> None:
        self._holdings = holdings
        self._instruments = instruments

    def of_account(self, account_id: UUID) -> set[UUID]:
        """Find the underlyings whose options an account holds."""
        found = set()
        for instrument_id, holding in self._holdings.of_account(account_id):
            terms = self._instruments.of(instrument_id)
            if terms.expiry and holding.qty:
                found.add(terms.underlying_id)
        return found

    def initial(self, account_id: UUID, account: Cash, underlying_id: UUID) -> int:
        """The cents that a family binds, with what working exits close or without it."""
        seen = (account_id, account, underlying_id)
        return ceil(max(self.bound(*seen, exits=False), self.bound(*seen)) * 100)

    def maintenance(self, account_id: UUID, account: Cash, underlying_id: UUID) -> int:
        """The cents that keep a family."""
        held = self._set(account_id, underlying_id, exits=False)
        rate = Fraction(self._instruments.of(underlying_id).maintenance, 10_000)
        lot = Lot(held.shares, rate, protected=True)
        price = self._price(underlying_id)
        return ceil(Options(price, held.contracts, lot).bound() * 100)

    def bound(
        self,
        account_id: UUID,
        account: Cash,
        underlying_id: UUID,
        *,
        exits: bool = True,
        sold: Sold | None = None,
    ) -> Fraction:
        """The dollars of an initial requirement; with `exits` what these close covers nothing."""
        held = self._set(account_id, underlying_id, exits=exits, sold=sold)
        rate = self._rate(account, underlying_id)
        lot = Lot(held.shares, rate, protected=False)
        apart = held.apart + held.shares_apart * rate * self._price(underlying_id)
        return apart + self.options(account, underlying_id, held.contracts, lot).bound()

    def options(
        self, account: Cash, underlying_id: UUID, contracts: list[Contract], lot: Lot
    ) -> Options:
        """Options of an account at the underlying's present price."""
        return Options(self._price(underlying_id), contracts, lot, whole=account.covers_all)

    def contract(self, terms: Terms, qty: int, mark: int) -> Contract:
        """A quantity of an option, by the share and in dollars."""
        return Contract(
            terms.right == CALL,
            Fraction(terms.strike, 10**9),
            terms.expiry,
            Fraction(qty * terms.multiplier, _UNIT),
            Fraction(mark, 10**terms.decimals),
        )

    def _price(self, underlying_id: UUID) -> Fraction:
        terms = self._instruments.of(underlying_id)
        return Fraction(terms.mark, 10**terms.decimals)

    def _rate(self, account: Cash, underlying_id: UUID) -> Fraction:
        initial = self._instruments.of(underlying_id).initial
        return Fraction(max(initial, 10_000) if account.covers_all else initial, 10_000)

    def _set(
        self, account_id: UUID, underlying_id: UUID, *, exits: bool, sold: Sold | None = None
    ) -> Set:
        contracts = []
        shares = shares_apart = apart = Fraction(0)
        more = sold
        for instrument_id, holding in self._holdings.of_account(account_id):
            terms, qty = self._instruments.of(instrument_id), holding.qty
            away = min(holding.reserved - holding.joined, abs(qty)) if exits else 0
            if instrument_id == underlying_id:
                shares = Fraction(qty - away if qty > 0 else qty + away, _UNIT)
                shares_apart = Fraction(away, _UNIT)
            if terms.underlying_id != underlying_id or not terms.expiry:
                continue
            mark = terms.mark
            if more is not None and more.instrument_id == instrument_id:
                # All that is held goes before anything is opened.
                away, mark = max(qty, 0), more.mark
            if qty > 0:
                gone = self.contract(terms, away, mark)
                apart += gone.shares * gone.mark
                qty -= away
            if more is not None and more.instrument_id == instrument_id:
                qty, more = qty - more.qty, None
            if qty:
                contracts.append(self.contract(terms, qty, mark))
        if more is not None and more.qty:
            terms = self._instruments.of(more.instrument_id)
            contracts.append(self.contract(terms, -more.qty, more.mark))
        return Set(contracts, shares, shares_apart, apart)
