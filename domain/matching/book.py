# cython: language_level=3, overflowcheck=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, auto_pickle=False
# mypy: disable-error-code="import-untyped,untyped-decorator,no-any-return"
"""The order book of one instrument: price-time priority over integers, in memory, without I/O."""

# Orders and levels are rows of flat arrays and point at each other by row number. Each side has
# one vector of its levels sorted by rank (the price, negated for sells), the best level last, so
# that work near the touch moves nothing; each level is a doubly linked FIFO, so that a cancel in
# its middle costs the same as at its ends. The same file runs interpreted and compiled.
#
# Bounds. A price and a quantity are below 10**17, the largest amount there is (docs/money.md), in
# ticks and lots of one unit, and are checked at the door. Prices are compared and never added or
# multiplied; what an incoming order has left only falls. Only sums of lots grow, and 93 of the
# largest leave 64 bits: the sum of a level is two numbers, the lots below 2**62 and how often 2**62
# was passed. Before it is brought below again the first is less than 2**62 + 10**17, under 2**63;
# of at most 2**29 orders in a book the second is below 2**24. Sums over levels stop at the quantity
# that asks for them, or are Python's integers, as an auction can afford. Nothing leaves 64 bits.
#
# Room is made before the first change, by doubling: ahead by `make_room` while nobody waits, and
# only in a book that fills faster while an order comes in.
#
# Bounds of the arrays are not checked at run time: every row number comes out of the free lists,
# the vectors and the index, all of which hold only numbers below the capacity they were made for.

from __future__ import annotations

from array import array
from typing import Any, Final

import cython

from domain.matching.auction import best_price, crosses

if cython.compiled:
    from cython.cimports.cpython.long import PyLong_AsLongLongAndOverflow

BUY: Final = 1
SELL: Final = 2

STP_NONE: Final = 0
STP_CANCEL_NEWEST: Final = 1
STP_CANCEL_OLDEST: Final = 2
STP_CANCEL_BOTH: Final = 3

FILL: Final = 0
STP_CANCELLED: Final = 1

MAX_TICKS: Final = 10**17 - 1
MAX_LOTS: Final = 10**17 - 1
MAX_ORDERS: Final = 2**29

BATCH_ADD: Final = 0
BATCH_EXECUTE: Final = 1
BATCH_CANCEL: Final = 2
BATCH_REPLACE: Final = 3
BATCH_WIDTH: Final = 8
ROW_WIDTH: Final = 6

# The same constants where the hot code can reach them without a dictionary look-up.
_NEWEST = cython.declare(cython.int, STP_CANCEL_NEWEST)
_OLDEST = cython.declare(cython.int, STP_CANCEL_OLDEST)
_LIMIT = cython.declare(cython.longlong, MAX_TICKS)
_LOWEST = cython.declare(cython.longlong, -(10**17))
_WRAP = cython.declare(cython.longlong, 2**62)
_NEAR = cython.declare(cython.int, 8)
_GOLDEN = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
_WORD = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)

# Under its own name Cython would turn a float argument into an integer by cutting it.
Whole = int

Row = tuple[int, int, int, int, int]
PlanRow = tuple[int, int, int, int]
Plan = tuple[list[PlanRow], int, bool]


def implementation() -> str:
    """Which form of this file runs: 'compiled' or 'interpreted'."""
    return "compiled" if cython.compiled else "interpreted"


@cython.cfunc
@cython.inline
@cython.exceptval(-1, check=True)
def _int64(value: Any) -> cython.longlong:
    """A caller's integer as a 64-bit one, or ValueError."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not an integer")
    if cython.compiled:
        beyond: cython.int = 0
        number: cython.longlong = PyLong_AsLongLongAndOverflow(value, cython.address(beyond))
        if beyond == 0:
            return number
    elif -(2**63) <= value < 2**63:
        return value
    raise ValueError(f"{value} does not fit 64 bits")


@cython.cfunc
@cython.inline
@cython.exceptval(-1, check=True)
def _side(value: Any) -> cython.int:
    """The place of a side in the arrays: 0 for buys, 1 for sells."""
    side: cython.longlong = _int64(value)
    if side != 1 and side != 2:
        raise ValueError(f"side is {side}, not 1 (buy) or 2 (sell)")
    return 0 if side == 1 else 1


@cython.cfunc
@cython.inline
@cython.exceptval(-1, check=True)
def _positive(value: Any) -> cython.longlong:
    """A price in ticks or a quantity in lots, inside the bounds the arithmetic rests on."""
    number: cython.longlong = _int64(value)
    if number < 1 or number > _LIMIT:
        raise ValueError(f"{number} is not between 1 and 10**17 - 1")
    return number


@cython.cfunc
@cython.inline
@cython.exceptval(-1, check=True)
def _prevention(value: Any) -> cython.int:
    """A self-trade prevention instruction."""
    stp: cython.longlong = _int64(value)
    if stp < 0 or stp > 3:
        raise ValueError(f"self-trade prevention is {stp}, not 0 to 3")
    return 0 if stp == 0 else 1 if stp == 1 else 2 if stp == 2 else 3


@cython.cfunc
def _grown(code: str, old: Any, size: cython.longlong) -> Any:
    """A longer copy of an array, zero beyond what it held."""
    longer = array(code, [0]) * size
    kept = memoryview(old).cast("B")
    memoryview(longer).cast("B")[: len(kept)] = kept
    return longer


@cython.final
@cython.cclass
class Book:
    """Resting orders of one instrument, and the only place where they trade."""

    # One row an order; a free row is chained through _next.
    _key: cython.longlong[::1]
    _owner: cython.longlong[::1]
    _qty: cython.longlong[::1]
    _next: cython.int[::1]
    _prev: cython.int[::1]
    _level: cython.int[::1]
    _capacity: cython.int
    _free: cython.int
    # One row a level; a free row is chained through _head.
    _price: cython.longlong[::1]
    _side_of: cython.int[::1]
    _lots: cython.longlong[::1]
    _wraps: cython.int[::1]
    _count: cython.int[::1]
    _head: cython.int[::1]
    _tail: cython.int[::1]
    _level_capacity: cython.int
    _free_level: cython.int
    # Two vectors of levels in one array: buys from 0, sells from _level_capacity.
    _rank: cython.longlong[::1]
    _level_at: cython.int[::1]
    _levels: cython.int[::1]
    _orders: cython.int[::1]
    # The index: open addressing over row numbers, -1 where empty.
    _index: cython.int[::1]
    _mask: cython.int
    _shift: cython.int
    # What happened, six numbers a row: kind, resting key, lots, ticks, leaves, incoming key.
    _rows: cython.longlong[::1]
    _row_capacity: cython.longlong
    _row_count: cython.longlong
    last_remainder = cython.declare(cython.longlong, visibility="readonly")
    last_incoming_cancelled = cython.declare(cython.bint, visibility="readonly")

    def __init__(self, capacity: Whole = 1024) -> None:
        wanted = _positive(capacity)
        size: cython.longlong = 16
        while size < wanted:
            size *= 2
        self._key = self._owner = self._qty = array("q")
        self._next = self._prev = self._level = array("i")
        self._price = self._lots = self._rank = array("q")
        self._side_of = self._wraps = self._count = array("i")
        self._head = self._tail = self._level_at = array("i")
        self._levels = array("i", [0, 0])
        self._orders = array("i", [0, 0])
        self._capacity = self._level_capacity = 0
        self._rows = array("q", [0]) * (256 * ROW_WIDTH)
        self._row_capacity, self._row_count = 256, 0
        self._free = self._free_level = -1
        self.last_remainder = 0
        self.last_incoming_cancelled = False
        self._grow_orders(size)
        self._grow_levels(64)

    # -- what a caller may ask -------------------------------------------------------------

    def __len__(self) -> int:
        return self._orders[0] + self._orders[1]

    def __contains__(self, key: object) -> bool:
        return self._index[self._bucket(_int64(key))] >= 0

    def leaves(self, key: Whole) -> int:
        """The lots an order has left, 0 when it does not rest here."""
        slot: cython.int = self._index[self._bucket(_int64(key))]
        return 0 if slot < 0 else self._qty[slot]

    def best(self, side: Whole) -> int:
        """The best price of a side, 0 when it is empty."""
        level: cython.int = self._best_level(_side(side))
        return 0 if level < 0 else self._price[level]

    def best_qty(self, side: Whole) -> int:
        """The lots that rest at the best price of a side."""
        level: cython.int = self._best_level(_side(side))
        return 0 if level < 0 else self._lots_at(level)

    def depth(self, side: Whole, levels: Whole) -> list[tuple[int, int, int]]:
        """The best levels of a side as (ticks, lots, orders), best first."""
        return self._levels_within(_side(side), _LOWEST, _int64(levels))

    def orders(self, side: Whole) -> list[tuple[int, int, int, int]]:
        """Every order of a side as (key, ticks, lots, owner), in strict priority."""
        return self._orders_within(_side(side), _LOWEST)

    def state_rows(self) -> list[tuple[int, int, int, int]]:
        """All there is to know of the book: adding these rows in order builds it again."""
        return self.orders(BUY) + self.orders(SELL)

    def memory_bytes(self) -> int:
        """The bytes of all arrays, free rows included."""
        of_orders = (3 * 8 + 3 * 4 + 2 * 4) * self._capacity
        of_levels = (2 * 8 + 5 * 4 + 2 * (8 + 4)) * self._level_capacity
        return of_orders + of_levels + 8 * ROW_WIDTH * self._row_capacity

    def anatomy(self) -> dict[str, list[int]]:
        """Every array of orders and levels as it is, for who checks that they agree."""
        arrays = {
            **{"key": self._key, "owner": self._owner, "qty": self._qty, "next": self._next},
            **{"prev": self._prev, "level": self._level, "index": self._index},
            **{"price": self._price, "side_of": self._side_of, "lots": self._lots},
            **{"wraps": self._wraps, "count": self._count, "head": self._head, "tail": self._tail},
            **{"rank": self._rank, "level_at": self._level_at, "levels": self._levels},
            **{"free": array("i", [self._free]), "free_level": array("i", [self._free_level])},
        }
        return {name: memoryview(held).tolist() for name, held in arrays.items()}

    # -- resting orders --------------------------------------------------------------------

    def add(
        self, key: Whole, side: Whole, price_ticks: Whole, qty_lots: Whole, owner: Whole
    ) -> None:
        """Rest an order behind all others at its price, without matching."""
        k: cython.longlong = _int64(key)
        s: cython.int = _side(side)
        price: cython.longlong = _positive(price_ticks)
        qty: cython.longlong = _positive(qty_lots)
        holder: cython.longlong = _int64(owner)
        if self._index[self._bucket(k)] >= 0:
            raise KeyError(k)
        if self._free < 0 or self._free_level < 0:
            self._make_room(s, price, 0, 0)
        self._rest(k, s, price, qty, holder)

    def cancel(self, key: Whole) -> int:
        """Take an order out and say how many lots it had left, 0 when it was not there."""
        slot: cython.int = self._index[self._bucket(_int64(key))]
        if slot < 0:
            return 0
        lots: cython.longlong = self._qty[slot]
        self._remove(slot)
        return lots

    def reduce(self, key: Whole, new_lots: Whole) -> None:
        """Make an order smaller; it keeps its place in the queue."""
        slot: cython.int = self._index[self._bucket(_int64(key))]
        if slot < 0:
            raise KeyError(key)
        lots: cython.longlong = _positive(new_lots)
        if lots >= self._qty[slot]:
            raise ValueError(f"{lots} lots is not less than the {self._qty[slot]} it has")
        self._take(slot, self._qty[slot] - lots)

    def make_room(self, orders: Whole = 0) -> bool:
        """Grow ahead of need, so that no order has to wait for it; says whether anything grew.

        Afterwards so many more orders have room, and a quarter of all rows is free.
        """
        more: cython.longlong = _int64(orders)
        if more < 0 or more > MAX_ORDERS:
            raise ValueError(f"{more} is not between 0 and {MAX_ORDERS}")
        used: cython.longlong = self._orders[0] + self._orders[1]
        size: cython.longlong = self._capacity
        # Never beyond the most there may be: the order that would need that is refused.
        while size < MAX_ORDERS and (used + more > size or 4 * used > 3 * size):
            size *= 2
        before: cython.longlong = self._capacity + self._level_capacity
        if size > self._capacity:
            self._grow_orders(size)
        if 4 * (self._levels[0] + self._levels[1]) > 3 * self._level_capacity:
            self._grow_levels(2 * self._level_capacity)
        return self._capacity + self._level_capacity > before

    def clear(self) -> None:
        """Forget every order; the memory stays."""
        s: cython.int
        for s in range(2):
            while self._levels[s] > 0:
                self._remove(self._head[self._best_level(s)])

    # -- incoming orders -------------------------------------------------------------------

    def plan(
        self, side: Whole, limit_ticks: Whole, qty_lots: Whole, owner: Whole, stp: Whole
    ) -> Plan:
        """Say what execute would do, and change nothing.

        The answer is (rows, lots left, whether prevention would end the incoming order); a row is
        (kind, resting key, lots, ticks), in the order it would happen.
        """
        s: cython.int = _side(side)
        limit: cython.longlong = _positive(limit_ticks)
        left: cython.longlong = _positive(qty_lots)
        holder: cython.longlong = _int64(owner)
        prevention: cython.int = _prevention(stp)
        opposite: cython.int = 1 - s
        limit_rank: cython.longlong = limit if opposite == 0 else -limit
        base: cython.int = opposite * self._level_capacity
        at: cython.int = base + self._levels[opposite] - 1
        lots: cython.longlong
        price: cython.longlong
        ended: cython.bint = False
        own: cython.bint
        slot: cython.int
        rows: list[PlanRow] = []
        while left > 0 and not ended and at >= base and self._rank[at] >= limit_rank:
            price = self._price[self._level_at[at]]
            slot = self._head[self._level_at[at]]
            while slot >= 0 and left > 0:
                lots = self._qty[slot]
                own = prevention != 0 and self._owner[slot] == holder
                if own and prevention == _NEWEST:
                    ended = True
                    break
                if not own and lots > left:
                    lots = left
                rows.append((1 if own else 0, self._key[slot], lots, price))
                if not own:
                    left -= lots
                elif prevention != _OLDEST:
                    ended = True
                    break
                slot = self._next[slot]
            at -= 1
        return (rows, left, ended)

    def fill(self, key: Whole, qty_lots: Whole) -> bool:
        """Take traded lots from an order, if it rests here; says whether it does."""
        slot: cython.int = self._index[self._bucket(_int64(key))]
        if slot < 0:
            return False
        lots: cython.longlong = _positive(qty_lots)
        if lots > self._qty[slot]:
            raise ValueError(f"{lots} lots are more than the {self._qty[slot]} it has")
        self._take(slot, lots)
        return True

    def execute(
        self,
        key: Whole,
        side: Whole,
        limit_ticks: Whole,
        qty_lots: Whole,
        owner: Whole,
        stp: Whole,
        rest: bool,
    ) -> list[Row]:
        """Match an incoming order and rest what is left of it when asked to.

        Rows are (kind, resting key, lots, ticks, what the resting order has left), in the order
        they happened; trades are at the resting order's price.
        """
        k: cython.longlong = _int64(key)
        s: cython.int = _side(side)
        limit: cython.longlong = _positive(limit_ticks)
        qty: cython.longlong = _positive(qty_lots)
        holder: cython.longlong = _int64(owner)
        prevention: cython.int = _prevention(stp)
        if self._index[self._bucket(k)] >= 0:
            raise KeyError(k)
        self._row_count = 0
        if self._lacks_room(s, limit, qty, prevention) != 0:
            self._make_room(s, limit, qty, prevention)
        # From here nothing can fail.
        self._execute(k, s, limit, qty, holder, prevention, rest)
        return self._happened()

    def replace(self, key: Whole, price_ticks: Whole, qty_lots: Whole, stp: Whole) -> list[Row]:
        """Give a resting order another price and quantity, and say what happened, as execute does.

        It keeps its place when only the quantity falls. Else it leaves it and comes in anew: it
        trades with what it meets, and what is left rests behind all others at its price.
        """
        slot: cython.int = self._index[self._bucket(_int64(key))]
        price: cython.longlong = _positive(price_ticks)
        qty: cython.longlong = _positive(qty_lots)
        prevention: cython.int = _prevention(stp)
        if slot < 0:
            raise KeyError(key)
        self._row_count = 0
        if self._lacks_room(self._side_of[self._level[slot]], price, qty, prevention) != 0:
            self._make_room(self._side_of[self._level[slot]], price, qty, prevention)
        self._replace(slot, price, qty, prevention)
        return self._happened()

    def run_batch(self, ops: array[int] | memoryview) -> int:
        """Run many operations in one call and say how many rows they wrote.

        Eight numbers an operation: what (0 add, 1 execute, 2 cancel, 3 replace), key, side, price,
        quantity, owner, self-trade prevention, whether the remainder rests. All are checked before
        the first is run; where a call would raise KeyError the batch stops, what came before it
        stands. No other thread may touch the book meanwhile: the interpreter lock is let go.
        """
        table: cython.longlong[::1] = ops
        size: cython.longlong = len(ops)
        if size % 8 != 0:
            raise ValueError(f"{size} numbers are not rows of eight")
        at: cython.longlong = self._first_wrong(table, size)
        if at < size:
            raise ValueError(f"operation {at // 8} is out of bounds: {list(table[at : at + 8])}")
        self._row_count = 0
        with cython.nogil:
            at = self._run(table, size)
        if at < size:
            raise KeyError(table[at + 1])
        return self._row_count

    def batch_rows(self) -> array[int]:
        """What the last batch wrote, six numbers a row: those of execute, then the incoming key."""
        size: cython.longlong = self._row_count * ROW_WIDTH * 8
        return array("q", memoryview(self._rows).cast("B")[:size].tobytes())

    # -- auction ---------------------------------------------------------------------------

    def uncross_price(self, reference_ticks: Whole) -> tuple[int, int, int]:
        """The price an auction would trade at, its volume and its imbalance: see `best_price`."""
        reference: cython.longlong = _int64(reference_ticks)
        if reference < 0 or reference > _LIMIT:
            raise ValueError(f"reference {reference} is not between 0 and 10**17 - 1")
        bid: cython.int = self._best_level(0)
        ask: cython.int = self._best_level(1)
        if bid < 0 or ask < 0:
            return (0, 0, 0)
        bids = self._levels_within(0, self._price[ask], self._levels[0])
        asks = self._levels_within(1, -self._price[bid], self._levels[1])
        return best_price(bids, asks, reference)

    def plan_uncross(self, price_ticks: Whole) -> list[tuple[int, int, int]]:
        """Say what would trade at one price, in priority order, and change nothing.

        Rows are (buy key, sell key, lots). A price of less than the most volume, which would leave
        the book crossed, is a ValueError. Nobody comes in whose self-trade prevention could govern.
        """
        price: cython.longlong = _positive(price_ticks)
        trades = crosses(self._orders_within(0, price), self._orders_within(1, -price))
        volume = sum([lots for _, _, lots in trades])
        if volume < self.uncross_price(price)[1]:
            raise ValueError(f"more than {volume} lots would trade at another price than {price}")
        return trades

    # -- the core: no Python object is touched below, except to grow -------------------------

    @cython.cfunc
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(-1, check=False)
    def _first_wrong(self, table: cython.longlong[::1], size: cython.longlong) -> cython.longlong:
        """The place of the first operation that a call of its own would refuse, or the size."""
        at: cython.longlong = 0
        while at < size:
            if table[at] != 2 and not (
                0 <= table[at] <= 3
                and (table[at + 2] == 1 or table[at + 2] == 2 or table[at] == 3)
                and 0 < table[at + 3] <= _LIMIT
                and 0 < table[at + 4] <= _LIMIT
                and 0 <= table[at + 6] <= 3
            ):
                return at
            at += 8
        return at

    @cython.cfunc
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(-2, check=False)
    def _run(self, table: cython.longlong[::1], size: cython.longlong) -> cython.longlong:
        """Run checked operations; the place of the first that cannot be run, or the size."""
        at: cython.longlong = 0
        key: cython.longlong
        price: cython.longlong
        qty: cython.longlong
        slot: cython.int
        s: cython.int
        stp: cython.int
        while at < size:
            key = table[at + 1]
            slot = self._index[self._bucket(key)]
            if table[at] == 2:
                if slot >= 0:
                    self._remove(slot)
                at += 8
                continue
            if (slot >= 0) != (table[at] == 3):
                return at
            s = self._side_of[self._level[slot]] if slot >= 0 else table[at + 2] - 1
            price = table[at + 3]
            qty = table[at + 4]
            stp = table[at + 6]
            if self._lacks_room(s, price, qty, stp) != 0:
                with cython.gil:
                    self._make_room(s, price, qty, stp)
            if table[at] == 0:
                self._rest(key, s, price, qty, table[at + 5])
            elif table[at] == 1:
                self._execute(key, s, price, qty, table[at + 5], stp, table[at + 7] != 0)
            else:
                self._replace(slot, price, qty, stp)
            at += 8
        return at

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _execute(
        self,
        key: cython.longlong,
        s: cython.int,
        limit: cython.longlong,
        qty: cython.longlong,
        owner: cython.longlong,
        stp: cython.int,
        rests: cython.bint,
    ) -> cython.int:
        """Match, write a row for each thing that happens, and rest the remainder."""
        opposite: cython.int = 1 - s
        limit_rank: cython.longlong = limit if opposite == 0 else -limit
        base: cython.int = opposite * self._level_capacity
        ended: cython.bint = False
        left: cython.longlong = qty
        row: cython.longlong = self._row_count * 6
        lots: cython.longlong
        at: cython.int
        slot: cython.int
        own: cython.bint
        while left > 0 and self._levels[opposite] > 0:
            at = base + self._levels[opposite] - 1
            if self._rank[at] < limit_rank:
                break
            slot = self._head[self._level_at[at]]
            lots = self._qty[slot]
            own = stp != 0 and self._owner[slot] == owner
            if own and stp == _NEWEST:
                ended = True
                break
            if not own and lots > left:
                lots = left
            self._rows[row] = 1 if own else 0
            self._rows[row + 1] = self._key[slot]
            self._rows[row + 2] = lots
            self._rows[row + 3] = self._price[self._level_at[at]]
            self._rows[row + 4] = self._qty[slot] - lots
            self._rows[row + 5] = key
            row += 6
            self._row_count += 1
            self._take(slot, lots)
            if not own:
                left -= lots
            elif stp != _OLDEST:
                ended = True
                break
        self.last_remainder = left
        self.last_incoming_cancelled = ended
        if left > 0 and rests and not ended:
            self._rest(key, s, limit, left, owner)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _replace(
        self, slot: cython.int, price: cython.longlong, qty: cython.longlong, stp: cython.int
    ) -> cython.int:
        """Make an order smaller where it stands, or let it come in anew; room was made before."""
        key: cython.longlong = self._key[slot]
        owner: cython.longlong = self._owner[slot]
        level: cython.int = self._level[slot]
        s: cython.int = self._side_of[level]
        if price == self._price[level] and qty <= self._qty[slot]:
            self._less(level, self._qty[slot] - qty)
            self._qty[slot] = qty
            self.last_remainder = qty
            self.last_incoming_cancelled = False
            return 0
        self._remove(slot)
        return self._execute(key, s, price, qty, owner, stp, True)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _rest(
        self,
        key: cython.longlong,
        s: cython.int,
        price: cython.longlong,
        qty: cython.longlong,
        owner: cython.longlong,
    ) -> cython.int:
        """Put an order behind all others at its price; room was made before."""
        slot: cython.int = self._free
        level: cython.int = self._level_of(s, price)
        tail: cython.int = self._tail[level]
        self._free = self._next[slot]
        self._key[slot] = key
        self._owner[slot] = owner
        self._qty[slot] = qty
        self._level[slot] = level
        self._prev[slot] = tail
        self._next[slot] = -1
        if tail < 0:
            self._head[level] = slot
        else:
            self._next[tail] = slot
        self._tail[level] = slot
        self._lots[level] += qty
        if self._lots[level] >= _WRAP:
            self._lots[level] -= _WRAP
            self._wraps[level] += 1
        self._count[level] += 1
        self._orders[s] += 1
        self._index[self._bucket(key)] = slot
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _less(self, level: cython.int, lots: cython.longlong) -> cython.int:
        """Take lots off the sum of a level."""
        self._lots[level] -= lots
        if self._lots[level] < 0:
            self._lots[level] += _WRAP
            self._wraps[level] -= 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _take(self, slot: cython.int, lots: cython.longlong) -> cython.int:
        """Take lots from an order; it leaves the book when none are left."""
        if lots == self._qty[slot]:
            return self._remove(slot)
        self._less(self._level[slot], lots)
        self._qty[slot] -= lots
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _remove(self, slot: cython.int) -> cython.int:
        """Take an order out of its queue, its level, the index."""
        level: cython.int = self._level[slot]
        before: cython.int = self._prev[slot]
        after: cython.int = self._next[slot]
        if before < 0:
            self._head[level] = after
        else:
            self._next[before] = after
        if after < 0:
            self._tail[level] = before
        else:
            self._prev[after] = before
        self._less(level, self._qty[slot])
        self._count[level] -= 1
        self._orders[self._side_of[level]] -= 1
        if self._count[level] == 0:
            self._drop_level(level)
        self._forget(slot)
        self._next[slot] = self._free
        self._free = slot
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(-1, check=False)
    def _seek(self, s: cython.int, rank: cython.longlong) -> cython.int:
        """The place of a rank in its vector: the few best levels first, then where it should be."""
        low: cython.int = s * self._level_capacity
        high: cython.int = low + self._levels[s]
        near: cython.int = high - _NEAR
        middle: cython.int
        while high > low and high > near:
            if self._rank[high - 1] < rank:
                return high
            high -= 1
        # So many ticks worse is at most so many levels down, and just so many where every tick has
        # a level: from there upwards, by growing steps.
        if high > low and self._rank[high] - rank < high - low:
            low = high - (self._rank[high] - rank)
        step: cython.int = 1
        middle = low
        while middle < high and self._rank[middle] < rank:
            low = middle + 1
            middle += step
            step += step
        high = min(high, middle)
        while low < high:
            middle = (low + high) >> 1
            if self._rank[middle] < rank:
                low = middle + 1
            else:
                high = middle
        return low

    @cython.cfunc
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(-1, check=False)
    def _level_of(self, s: cython.int, price: cython.longlong) -> cython.int:
        """The level of a price, opened when there is none."""
        rank: cython.longlong = price if s == 0 else -price
        place: cython.int = self._seek(s, rank)
        end: cython.int = s * self._level_capacity + self._levels[s]
        if place < end and self._rank[place] == rank:
            return self._level_at[place]
        while end > place:
            self._rank[end] = self._rank[end - 1]
            self._level_at[end] = self._level_at[end - 1]
            end -= 1
        level: cython.int = self._free_level
        self._free_level = self._head[level]
        self._rank[place] = rank
        self._level_at[place] = level
        self._levels[s] += 1
        self._price[level] = price
        self._side_of[level] = s
        self._lots[level] = 0
        self._wraps[level] = 0
        self._count[level] = 0
        self._head[level] = -1
        self._tail[level] = -1
        return level

    @cython.cfunc
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(-1, check=False)
    def _drop_level(self, level: cython.int) -> cython.int:
        """Close an empty level."""
        s: cython.int = self._side_of[level]
        price: cython.longlong = self._price[level]
        place: cython.int = self._seek(s, price if s == 0 else -price)
        end: cython.int = s * self._level_capacity + self._levels[s] - 1
        while place < end:
            self._rank[place] = self._rank[place + 1]
            self._level_at[place] = self._level_at[place + 1]
            place += 1
        self._levels[s] -= 1
        self._head[level] = self._free_level
        self._free_level = level
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-2, check=False)
    def _best_level(self, s: cython.int) -> cython.int:
        """The row of a side's best level, -1 when the side is empty."""
        if self._levels[s] == 0:
            return -1
        return self._level_at[s * self._level_capacity + self._levels[s] - 1]

    @cython.cfunc
    def _lots_at(self, level: cython.int) -> Any:
        """The lots of a level, however many."""
        lots: Any = self._lots[level]
        wraps: Any = self._wraps[level]
        return lots + (wraps << 62)

    @cython.cfunc
    def _levels_within(
        self, s: cython.int, limit_rank: cython.longlong, most: cython.longlong
    ) -> list[tuple[int, int, int]]:
        """The levels of a side at a rank or better, at most so many, best first."""
        base: cython.int = s * self._level_capacity
        at: cython.int = base + self._levels[s] - 1
        level: cython.int
        found = []
        while at >= base and most > 0 and self._rank[at] >= limit_rank:
            level = self._level_at[at]
            found.append((self._price[level], self._lots_at(level), self._count[level]))
            at -= 1
            most -= 1
        return found

    @cython.cfunc
    def _orders_within(
        self, s: cython.int, limit_rank: cython.longlong
    ) -> list[tuple[int, int, int, int]]:
        """The orders of a side at a rank or better, in strict priority."""
        base: cython.int = s * self._level_capacity
        at: cython.int = base + self._levels[s] - 1
        level: cython.int
        slot: cython.int
        found = []
        while at >= base and self._rank[at] >= limit_rank:
            level = self._level_at[at]
            slot = self._head[level]
            while slot >= 0:
                found.append(
                    (self._key[slot], self._price[level], self._qty[slot], self._owner[slot])
                )
                slot = self._next[slot]
            at -= 1
        return found

    @cython.cfunc
    @cython.overflowcheck(False)
    def _happened(self) -> list[Row]:
        """The rows of one operation, without the incoming key that its caller knows."""
        happened: list[Row] = []
        if self._row_count == 0:
            return happened
        rows: cython.longlong[::1] = self._rows
        at: cython.longlong
        for at in range(0, self._row_count * 6, 6):
            happened.append((rows[at], rows[at + 1], rows[at + 2], rows[at + 3], rows[at + 4]))
        return happened

    # -- the index: deleting shifts back what follows, so that churn leaves no graves ---------

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(check=False)
    def _home(self, key: cython.longlong) -> cython.int:
        """Where a key would stand alone: the top bits of a product meant to wrap."""
        mixed: cython.ulonglong = key
        return ((mixed * _GOLDEN) & _WORD) >> self._shift

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(check=False)
    def _bucket(self, key: cython.longlong) -> cython.int:
        """Where a key stands, or the empty place where it would."""
        at: cython.int = self._home(key)
        slot: cython.int = self._index[at]
        while slot >= 0 and self._key[slot] != key:
            at = (at + 1) & self._mask
            slot = self._index[at]
        return at

    @cython.cfunc
    @cython.nogil
    @cython.overflowcheck(False)
    @cython.exceptval(check=False)
    def _forget(self, slot: cython.int) -> cython.void:
        """Take an order out of the index and close the gap."""
        gap: cython.int = self._bucket(self._key[slot])
        at: cython.int = (gap + 1) & self._mask
        moved: cython.int = self._index[at]
        while moved >= 0:
            # It may move only if its home does not lie between the gap and where it stands.
            if ((at - self._home(self._key[moved])) & self._mask) >= ((at - gap) & self._mask):
                self._index[gap] = moved
                gap = at
            at = (at + 1) & self._mask
            moved = self._index[at]
        self._index[gap] = -1

    # -- room: made before the first change, so that no change can fail half way --------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _rows_needed(
        self, s: cython.int, limit: cython.longlong, qty: cython.longlong, stp: cython.int
    ) -> cython.longlong:
        """At most so many rows an incoming order can write: one for every order it may meet."""
        opposite: cython.int = 1 - s
        limit_rank: cython.longlong = limit if opposite == 0 else -limit
        base: cython.int = opposite * self._level_capacity
        at: cython.int = base + self._levels[opposite] - 1
        rows: cython.longlong = 0
        lots: cython.longlong = 0
        wrapped: cython.bint
        # Orders that prevention takes out use up none of the incoming lots.
        while at >= base and self._rank[at] >= limit_rank and (lots < qty or stp == _OLDEST):
            if lots < qty:
                wrapped = self._wraps[self._level_at[at]] != 0
                lots = _WRAP if wrapped else lots + self._lots[self._level_at[at]]
            rows += self._count[self._level_at[at]]
            at -= 1
        return rows

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _lacks_room(
        self, s: cython.int, limit: cython.longlong, qty: cython.longlong, stp: cython.int
    ) -> cython.int:
        """Whether the arrays must grow before an order may come in."""
        room: cython.longlong = self._row_capacity - self._row_count
        if self._free < 0 or self._free_level < 0:
            return 1
        if self._orders[1 - s] <= room:
            return 0
        return 1 if self._rows_needed(s, limit, qty, stp) > room else 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _make_room(
        self, s: cython.int, limit: cython.longlong, qty: cython.longlong, stp: cython.int
    ) -> cython.int:
        """Room for one more order, one more level, and all the rows that may be written."""
        if self._free < 0:
            self._grow_orders(2 * self._capacity)
        if self._free_level < 0:
            self._grow_levels(2 * self._level_capacity)
        rows: cython.longlong = self._row_count + self._rows_needed(s, limit, qty, stp)
        if rows > self._row_capacity:
            rows = max(rows, 2 * self._row_capacity)
            self._rows = _grown("q", self._rows, rows * ROW_WIDTH)
            self._row_capacity = rows
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _grow_orders(self, size: cython.longlong) -> cython.int:
        """Lengthen the order arrays and index what rests anew."""
        if size > MAX_ORDERS:
            raise MemoryError(f"a book holds at most {MAX_ORDERS} orders")
        old: cython.int = self._capacity
        slot: cython.int = self._free
        empty = array("i", [-1]) * (2 * size)
        self._key = _grown("q", self._key, size)
        self._owner = _grown("q", self._owner, size)
        self._qty = _grown("q", self._qty, size)
        self._next = _grown("i", self._next, size)
        self._prev = _grown("i", self._prev, size)
        self._level = _grown("i", self._level, size)
        self._index = empty
        self._mask = 2 * size - 1
        self._shift = 64 - int(size).bit_length()
        # Free rows keep what they held, until here.
        while slot >= 0:
            self._qty[slot] = 0
            slot = self._next[slot]
        for slot in range(old):
            if self._qty[slot] > 0:
                self._index[self._bucket(self._key[slot])] = slot
        self._capacity = size
        for slot in range(old, self._capacity):
            self._next[slot] = slot + 1 if slot + 1 < self._capacity else self._free
        self._free = old
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _grow_levels(self, size: cython.longlong) -> cython.int:
        """Lengthen the level arrays and move the sells' vector behind the longer buys' one."""
        old: cython.int = self._level_capacity
        level: cython.int
        at: cython.int
        self._price = _grown("q", self._price, size)
        self._side_of = _grown("i", self._side_of, size)
        self._lots = _grown("q", self._lots, size)
        self._wraps = _grown("i", self._wraps, size)
        self._count = _grown("i", self._count, size)
        self._head = _grown("i", self._head, size)
        self._tail = _grown("i", self._tail, size)
        self._rank = _grown("q", self._rank, 2 * size)
        self._level_at = _grown("i", self._level_at, 2 * size)
        self._level_capacity = size
        for at in range(self._levels[1]):
            self._rank[self._level_capacity + at] = self._rank[old + at]
            self._level_at[self._level_capacity + at] = self._level_at[old + at]
        for level in range(old, self._level_capacity):
            self._head[level] = level + 1 if level + 1 < self._level_capacity else self._free_level
        self._free_level = old
        return 0
