"""The bookkeeper of the simulated day, on trades whose outcome anybody can work out."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from application.log.ports import Recorded
from application.rehearsal.simulated_day.exact_books import ExactBooks
from application.rehearsal.simulated_day.statements import Line, Statement, compare
from domain import events as e
from domain.events import DomainEvent
from domain.identifiers import HOUSE
from domain.terms import Liquidity, Side

ANN, BEN = UUID(int=101), UUID(int=102)
ACME = UUID(int=201)
SHARE = 10**8
TODAY, VALUE_DATE = 20261008, 20261013
PER_SHARE, BPS = 1, 2
BUY, SELL = Side.BUY, Side.SELL


class Books:
    """Writes raw facts down and asks the bookkeeper what they lead to."""

    def __init__(self) -> None:
        self.exact = ExactBooks()
        self._number = 0
        self.take(e.InstrumentOpened(*self._head(ACME), TODAY, VALUE_DATE, 0, 1, 0, 0))

    def _head(self, originator: UUID) -> tuple[UUID, int, int, int, str, str, UUID, int]:
        self._number += 1
        return originator, self._number, 0, 0, "", "", UUID(int=self._number), 0

    def take(self, event: DomainEvent) -> None:
        self.exact.take([Recorded(self._number, event)])

    def schedule(
        self, kind: int, *tiers: tuple[int, int, int], minimum: int = 0, cap_bps: int = 0
    ) -> None:
        """What Ann pays."""
        head = self._head(ANN)
        self.take(e.CommissionScheduleSet(*head, kind, tiers, minimum, cap_bps))

    def fill(
        self,
        side: Side,
        qty: int,
        price: int,
        *,
        trade: int = 1,
        order: int = 1,
        liquidity: Liquidity = Liquidity.REMOVED,
    ) -> None:
        """One side of a trade of Ann's; price in ten-thousandths."""
        self.take(
            e.OrderFilled(
                *self._head(UUID(int=1000 + order)),
                account_id=ANN,
                instrument_id=ACME,
                trade_id=UUID(int=2000 + trade),
                side=int(side),
                qty=qty,
                price=price,
                price_decimals=4,
                # What events say that they lead to is not believed.
                notional=-1,
                fee=-1,
                liquidity=int(liquidity),
                session_date=TODAY,
                value_date=VALUE_DATE,
                filled_after=-1,
                leaves_after=-1,
                value_after="-1",
                hold_after=-1,
                hold_qty_after=-1,
                status_after=-1,
            )
        )

    def bust(self, side: Side, qty: int, price: int, *, trade: int = 1, order: int = 1) -> None:
        """Undo it."""
        head = self._head(UUID(int=1000 + order))
        trade_id = UUID(int=2000 + trade)
        self.take(e.OrderFillBusted(*head, ANN, ACME, trade_id, int(side), qty, price, 4, -1, "-1"))

    def correct(
        self, side: Side, qty: int, price: int, old: int, *, trade: int = 1, order: int = 1
    ) -> None:
        """Give it another price."""
        head = self._head(UUID(int=1000 + order))
        trade_id = UUID(int=2000 + trade)
        self.take(
            e.OrderFillCorrected(
                *head, ANN, ACME, trade_id, int(side), qty, price, 4, old, -1, "-1"
            )
        )

    def settle(self) -> None:
        """Ann's obligation is settled."""
        head = self._head(UUID(int=3000))
        values = (VALUE_DATE, 0, 0, 1, 0, 0, 0, 0, 0, 1)
        self.take(e.SettlementSettled(*head, ANN, ACME, VALUE_DATE, *values))

    def of(self, *what: str) -> list[int | Fraction]:
        """Ann's lines: cents, or 1e-8 of a share."""
        lines = self.exact.statement().lines
        shares = {"qty", "settled", "cost", "realized"}
        return [lines[Line(ANN, ACME if name in shares else HOUSE, name)] for name in what]


def test_notional_rounding_is_half_even_once_a_trade() -> None:
    """3 shares at 33.3350 are 100.005: the even cent below; one at 0.0150 is the even one above."""
    books = Books()

    books.fill(BUY, 3 * SHARE, 333_350, trade=1)
    assert [10_000] == books.of("payable")

    books.fill(BUY, SHARE, 150, trade=2)
    assert [10_002, 4 * SHARE, 10_002] == books.of("payable", "qty", "cost")


def test_commission_rounding_carries_no_drift() -> None:
    """Three fills at a third of a cent each post one cent in all, not none."""
    books = Books()
    books.schedule(PER_SHARE, (0, 3_333_334, 3_333_334))

    for trade in range(3):
        books.fill(SELL, SHARE, 100_000, trade=trade, order=trade)

    assert [1, 3_000 - 1] == books.of("commissions", "receivable")


def test_commission_tier_is_crossed_inside_a_fill() -> None:
    """Of 10 shares the first 4 pay 50 cents each and the rest 10."""
    books = Books()
    books.schedule(PER_SHARE, (0, 0, 500_000_000), (4 * SHARE, 0, 100_000_000))

    books.fill(BUY, 10 * SHARE, 100_000)

    assert [4 * 50 + 6 * 10] == books.of("commissions")


def test_commission_minimum_and_cap_bound_the_order_not_the_fill() -> None:
    """Two fills of one order pay the minimum once, and the cap is of what both are worth."""
    books = Books()
    books.schedule(BPS, (0, 1_000, 1_000), minimum=100)
    books.fill(BUY, SHARE, 100_000, trade=1)
    books.fill(BUY, SHARE, 100_000, trade=2)
    assert [100] == books.of("commissions")

    books = Books()
    books.schedule(PER_SHARE, (0, 0, 10**9), cap_bps=100)
    books.fill(BUY, SHARE, 100_000, trade=1)
    assert [10] == books.of("commissions")


def test_maker_is_paid_a_rebate_to_the_exact_decimal() -> None:
    """A negative rate is income: half a cent a share for three shares rounds to two."""
    books = Books()
    books.schedule(PER_SHARE, (0, -5_000_000, 9_000_000))

    books.fill(SELL, 3 * SHARE, 100_000, liquidity=Liquidity.ADDED)

    assert [-2, 3_002] == books.of("commissions", "receivable")


def test_busted_trade_leaves_no_penny_behind() -> None:
    """Quantity, what is owed, the commission, and cost less profit are what they were."""
    books = Books()
    books.schedule(BPS, (0, 0, 12_345), minimum=7)
    books.fill(BUY, 7 * SHARE, 333_333, trade=1)
    before = books.of("payable", "commissions", "qty")
    [paid] = books.of("cost")

    books.fill(BUY, 13 * SHARE, 777_777, trade=2, order=2)
    books.bust(BUY, 13 * SHARE, 777_777, trade=2, order=2)

    assert before == books.of("payable", "commissions", "qty")
    cost, realized = books.of("cost", "realized")
    assert paid == cost - realized


def test_corrected_price_moves_a_proportional_commission_with_it() -> None:
    """1 % of 100.00 becomes 1 % of 200.00; a commission per share stays."""
    for kind, rate, due in ((BPS, 100_000, 200), (PER_SHARE, 10**9, 100)):
        books = Books()
        books.schedule(kind, (0, rate, rate))
        books.fill(BUY, SHARE, 1_000_000)

        books.correct(BUY, SHARE, 2_000_000, 1_000_000)

        assert [20_000 + due, due, 20_000] == books.of("payable", "commissions", "cost")


def test_corrected_trade_counts_once_in_its_month() -> None:
    """A new price is not more volume: the next fill still stands in the first tier."""
    books = Books()
    books.schedule(PER_SHARE, (0, 0, 10**9), (3 * SHARE, 0, 0))
    books.fill(BUY, 2 * SHARE, 100_000, trade=1)
    books.correct(BUY, 2 * SHARE, 110_000, 100_000, trade=1)

    books.fill(BUY, SHARE, 100_000, trade=2, order=2)

    assert [300] == books.of("commissions")


def test_closing_splits_the_exact_cost() -> None:
    """A third of a cost of 99.9999 is 33.3333; selling the rest brings the cost to nothing."""
    books = Books()
    books.fill(BUY, 3 * SHARE, 333_333, trade=1)
    cost = Fraction("9999.99")
    assert [cost] == books.of("cost")

    books.fill(SELL, SHARE, 400_000, trade=2, order=2)
    assert [cost * 2 / 3, 4_000 - cost / 3] == books.of("cost", "realized")

    books.fill(SELL, 2 * SHARE, 400_000, trade=3, order=3)
    assert [0, 12_000 - cost, 0] == books.of("cost", "realized", "qty")


def test_sale_through_zero_closes_and_opens() -> None:
    """Of 5 sold at 20.00 two close what cost 10.00 each; three open a short worth 60.00."""
    books = Books()
    books.fill(BUY, 2 * SHARE, 100_000, trade=1)

    books.fill(SELL, 5 * SHARE, 200_000, trade=2, order=2)

    assert [-3 * SHARE, -6_000, 2_000] == books.of("qty", "cost", "realized")


def test_settlement_turns_what_is_due_into_cash_and_shares() -> None:
    """Cash moves by the net, the quantity settles, and nothing is owed afterwards."""
    books = Books()
    books.fill(BUY, 3 * SHARE, 100_000, trade=1)
    books.fill(SELL, SHARE, 120_000, trade=2, order=2)
    assert [0, 3_000, 1_200, 0] == books.of("cash", "payable", "receivable", "settled")

    books.settle()

    assert [-1_800, 0, 0, 2 * SHARE] == books.of("cash", "payable", "receivable", "settled")


def test_settled_trade_is_undone_by_a_new_obligation() -> None:
    """A bust after settlement leaves cash alone until it settles in turn, to the penny."""
    books = Books()
    books.fill(BUY, 3 * SHARE, 333_333)
    books.settle()
    assert [-10_000] == books.of("cash")

    books.bust(BUY, 3 * SHARE, 333_333)
    assert [-10_000, 10_000, 3 * SHARE] == books.of("cash", "receivable", "settled")

    books.settle()
    assert [0, 0, 0] == books.of("cash", "payable", "settled")


def _statement(book: str, keeps: str, **lines: int | Fraction) -> Statement:
    return Statement(
        book, frozenset(keeps.split()), {Line(ANN, HOUSE, what): n for what, n in lines.items()}
    )


def test_penny_of_difference_is_named_with_both_books() -> None:
    """One cent more in one book is one difference, which says who has what."""
    lines, found = compare(
        [
            _statement("writer", "cash payable", cash=100, payable=7),
            _statement("views", "cash payable", cash=101, payable=7),
        ]
    )

    assert 2 == lines
    assert ["cash of 00000000-0000-0000-0000-000000000065: writer 100, views 101"] == [
        str(difference) for difference in found
    ]


def test_part_of_a_penny_is_a_difference_too() -> None:
    """Nothing is rounded away when books are compared."""
    third = Fraction(1, 3)

    _, found = compare(
        [_statement("writer", "cash", cash=100), _statement("raw", "cash", cash=100 + third)]
    )

    assert [(("writer", 100), ("raw", 100 + third))] == [difference.said for difference in found]


def test_missing_line_is_zero_and_a_line_not_kept_says_nothing() -> None:
    """A book without the line agrees with zero alone; one that keeps no such lines with all."""
    writer = _statement("writer", "cash payable", cash=0, payable=5)

    assert [] == compare([writer, _statement("ledger", "cash")])[1]
    assert 1 == len(compare([writer, _statement("ledger", "payable")])[1])
