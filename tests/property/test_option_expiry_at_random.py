"""Any market in options ends as a short and slow retelling of the rule says, however it is cut."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from application.commands import ExpireOption, Refusal, TransferPosition
from application.desk.state import dump, load, state_hash
from domain.events import OrderFilled, PositionOpened
from domain.terms import Right, Side
from tests.model.desk_harness import shares, wire
from tests.model.expiring_desk import CALL, CLOSE, OPEN, PUT, Expiring, expiring

PEOPLE = 5
STRIKE, SIZE = 100, 100
SYMBOLS = (CALL, PUT)

WHO = st.integers(0, PEOPLE - 1)
ORDERS = st.tuples(
    st.just("order"),
    WHO,
    st.sampled_from(SYMBOLS),
    st.sampled_from(Side),
    st.integers(1, 9),
    st.integers(190, 210),
)
PAIRS = st.tuples(
    st.just("pair"),
    st.lists(WHO, min_size=2, max_size=2, unique=True),
    st.sampled_from(SYMBOLS),
    st.integers(1, 9),
)
MOVES = st.one_of(
    PAIRS,
    PAIRS,
    ORDERS,
    st.tuples(st.just("bust"), st.integers(0, 30)),
)
OUTS = st.tuples(st.just("out"), WHO, st.sampled_from(SYMBOLS), st.integers(1, 4))


class Ending(Expiring):
    """Random trades, transfers and busts of options, and then their end in parts."""

    people: list[UUID]

    def do(self, what: tuple[Any, ...]) -> None:
        """One move; what is refused changes nothing."""
        match what:
            case "order", who, symbol, side, qty, cents:
                price = Fraction(cents, 100)
                self.place(self.people[who], side, qty, price, symbol=symbol)
            case "pair", (buyer, seller), symbol, qty:
                self.place(self.people[seller], Side.SELL, qty, 2, symbol=symbol)
                self.place(self.people[buyer], Side.BUY, qty, 2, symbol=symbol)
            case "out", who, symbol, qty:
                held = self.contracts(symbol)
                longs = [one for one in self.people if held.get(one, 0) >= qty]
                if longs:
                    out, key = longs[who % len(longs)], f"out-{self.number}"
                    self.send(TransferPosition(out, symbol, shares(-qty), 0, key))
            case "bust", number:
                trades = {e.trade_id: None for e in self.log if isinstance(e, OrderFilled)}
                if trades:
                    self.bust_if_it_stands(list(trades)[number % len(trades)])

    def bust_if_it_stands(self, trade_id: UUID) -> None:
        """Undo a trade of options unless that was done."""
        if trade_id not in self.desk.trades.busted:
            self.bust(trade_id)

    def contracts(self, symbol: str) -> dict[UUID, int]:
        """What each holds of an option, the oldest position first."""
        instrument = self.desk.markets.by_symbol[symbol].instrument
        opened = [e for e in self.log if isinstance(e, PositionOpened)]
        positions = self.desk.accounts.positions
        return {
            e.account_id: positions[e.account_id.int, instrument.id.int].qty // 10**8
            for e in opened
            if e.instrument_id == instrument.id
        }

    def end(self, symbol: str, limit: int) -> None:
        """Let an option end, so much at a time; a writer that died between reads itself back."""
        while True:
            reply = self.ok(ExpireOption(symbol, limit))
            assert reply.result is not None
            self.desk = load(dump(self.desk))
            if not reply.result["remaining"]:
                return


def called(held: dict[UUID, int]) -> dict[UUID, int]:
    """Who exercises, and who is assigned how much: retold with fractions and a list of names."""
    longs = sum(qty for qty in held.values() if qty > 0)
    shorts = {who: -qty for who, qty in held.items() if qty < 0}
    written = sum(shorts.values())
    parts = {who: int(Fraction(longs * qty, written)) for who, qty in shorts.items()}
    for who in list(shorts)[: longs - sum(parts.values())]:
        parts[who] += 1
    return {
        **{who: qty for who, qty in held.items() if qty > 0},
        **{who: -qty for who, qty in parts.items()},
    }


def begun() -> Ending:
    """A call and a put on X at 100, and five with a million each."""
    desk = expiring(Right.CALL, Right.PUT, desk=Ending())
    assert isinstance(desk, Ending)
    desk.checked = False
    desk.people = [desk.person(f"p{number}") for number in range(PEOPLE)]
    return desk


@settings(max_examples=15, deadline=None)
@given(
    st.lists(MOVES, min_size=6, max_size=30),
    st.integers(9_000, 11_000),
    st.integers(1, 4),
    st.lists(OUTS, max_size=8),
)
def test_options_end_as_the_rule_is_retold(
    moves: list[tuple[Any, ...]], cents: int, limit: int, outs: list[tuple[Any, ...]]
) -> None:
    """Whatever was traded: each has what the rule gives him, in shares and in money, all orders
    are gone, both bookkeepers agree, and replay is the live state.
    """
    desk = begun()
    for move in moves:
        desk.do(move)
    desk.at_utc(*OPEN)
    for out in outs:
        desk.do(out)
    desk.trade(desk.a, desk.b, 1, Fraction(cents, 100))
    price = Fraction(cents, 100)
    held = {symbol: desk.contracts(symbol) for symbol in SYMBOLS}
    worth = {one: desk.desk.accounts.by_id[one.int].traded_value for one in desk.people}
    desk.refusing, desk.refusal = (ExpireOption,), Refusal("QUEUE_FULL", "busy", {})
    desk.at_utc(*CLOSE)

    for symbol in SYMBOLS:
        desk.end(symbol, limit)

    due: defaultdict[UUID, int] = defaultdict(int)
    if price >= STRIKE + Fraction(1, 100):
        for who, qty in called(held[CALL]).items():
            due[who] += qty * SIZE
    if price <= STRIKE - Fraction(1, 100):
        for who, qty in called(held[PUT]).items():
            due[who] -= qty * SIZE
    for one in desk.people:
        assert due[one] == desk.held(one)
        assert 0 == desk.held(one, CALL) == desk.held(one, PUT)
        account = desk.desk.accounts.by_id[one.int]
        assert worth[one] - due[one] * STRIKE * 10**24 == account.traded_value
        assert 0 == account.held
    assert not [o for o in desk.desk.orders.working.values() if o.symbol in SYMBOLS]
    assert state_hash(desk.desk) == state_hash(desk.follower)
    desk.judge()
    assert wire(price) == desk.desk.markets.by_symbol["X"].last_price * 10**5
