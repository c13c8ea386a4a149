"""A market that records itself as a LOBSTER archive does: only what the window shows is told."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

STEM = "TEST_2012-06-21_34200000_57600000"
BUY, SELL = 1, -1
_NONE = {BUY: "-9999999999,0", SELL: "9999999999,0"}


class RecordedDay:
    """Orders in price-time priority, told through a window of some levels; prices in cents."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.orders: dict[int, list[int]] = {}
        self.messages: list[str] = []
        self.rows: list[str] = []
        self.time_ns = 34_200 * 10**9
        self.next_id = 100

    def submit(self, side: int, cents: int, size: int) -> int:
        """A new order rests."""
        order_id = self.next_id
        self.next_id += 1
        before = self._window(side)
        self.orders[order_id] = [side, cents, size]
        self._tell(1, order_id, size, cents, side, before)
        return order_id

    def reduce(self, order_id: int, size: int) -> None:
        """An order becomes smaller and keeps its place."""
        side, cents, _ = self.orders[order_id]
        before = self._window(side)
        self.orders[order_id][2] -= size
        self._tell(2, order_id, size, cents, side, before)

    def delete(self, order_id: int) -> None:
        """An order leaves."""
        side, cents, size = self.orders[order_id]
        before = self._window(side)
        del self.orders[order_id]
        self._tell(3, order_id, size, cents, side, before)

    def execute(self, resting_side: int, size: int) -> None:
        """One aggressor takes the best orders of a side, all at one time."""
        self._tick()
        while size:
            order_id = self.queue(resting_side)[0]
            order = self.orders[order_id]
            taken = min(size, order[2])
            size -= taken
            before = self._window(resting_side)
            order[2] -= taken
            if not order[2]:
                del self.orders[order_id]
            self._tell(4, order_id, taken, order[1], resting_side, before, tick=False)

    def execute_hidden(self, side: int, units: int, size: int, *, tick: bool = True) -> None:
        """An order that nobody saw is executed, at a price in 1e-4 dollars."""
        if tick:
            self._tick()
        self._write(f"5,0,{size},{units},{side}")

    def halt(self, price: int) -> None:
        """Trading stops (-1), quoting resumes (0), trading resumes (1)."""
        self._tick()
        self._write(f"7,0,0,{price},-1")

    def queue(self, side: int) -> list[int]:
        """The ids of a side, first to trade first."""
        ids = [number for number, order in self.orders.items() if order[0] == side]
        return sorted(ids, key=lambda number: (-side * self.orders[number][1], number))

    def best(self, side: int) -> int | None:
        """The best price of a side."""
        queue = self.queue(side)
        return self.orders[queue[0]][1] if queue else None

    def save(self, directory: Path) -> Path:
        """Write the archive."""
        return save_archive(directory, self.levels, self.messages, self.rows)

    def _window(self, side: int) -> list[tuple[int, int]]:
        sizes: dict[int, int] = {}
        for number in self.queue(side):
            _, cents, size = self.orders[number]
            sizes[cents] = sizes.get(cents, 0) + size
        return list(sizes.items())[: self.levels]

    def _tell(
        self,
        kind: int,
        order_id: int,
        size: int,
        cents: int,
        side: int,
        before: list[tuple[int, int]],
        *,
        tick: bool = True,
    ) -> None:
        if tick:
            self._tick()
        if self._window(side) != before:
            self._write(f"{kind},{order_id},{size},{cents * 100},{side}")

    def _tick(self) -> None:
        self.time_ns += 1_000_000

    def _write(self, message: str) -> None:
        seconds, fraction = divmod(self.time_ns, 10**9)
        self.messages.append(f"{seconds}.{fraction:09d},{message}")
        asks, bids = self._window(SELL), self._window(BUY)
        cells = []
        for level in range(self.levels):
            for side, levels in ((SELL, asks), (BUY, bids)):
                if level < len(levels):
                    cells.append(f"{levels[level][0] * 100},{levels[level][1]}")
                else:
                    cells.append(_NONE[side])
        self.rows.append(",".join(cells))


def save_archive(directory: Path, levels: int, messages: list[str], rows: list[str]) -> Path:
    """An archive with these lines."""
    path = directory / "recorded.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{STEM}_message_{levels}.csv", "\r\n".join(messages) + "\r\n")
        archive.writestr(f"{STEM}_orderbook_{levels}.csv", "\r\n".join(rows) + "\r\n")
        archive.writestr("ReadMe.txt", "what the columns mean")
    return path


def seeded_day(levels: int, steps: int, seed: int) -> RecordedDay:
    """A day of random orders, cancels, reductions and executions around one price."""
    from random import Random

    random = Random(seed)
    day = RecordedDay(levels)
    for _ in range(steps):
        bid, ask = day.best(BUY) or 9_995, day.best(SELL) or 10_005
        chance = random.random()
        if chance < 0.55 or len(day.orders) < 12:
            side = random.choice((BUY, SELL))
            away = random.randint(0, 6)
            cents = min(ask - 1, bid + 1) - away if side == BUY else max(bid + 1, ask - 1) + away
            day.submit(side, cents, random.randint(1, 9) * 10)
        elif chance < 0.75:
            day.delete(random.choice(list(day.orders)))
        elif chance < 0.82:
            order_id = random.choice(list(day.orders))
            if day.orders[order_id][2] > 1:
                day.reduce(order_id, random.randint(1, day.orders[order_id][2] - 1))
        elif chance < 0.87:
            day.execute_hidden(random.choice((BUY, SELL)), (bid + ask) * 50, 5)
        else:
            side = random.choice((BUY, SELL))
            standing = sum(order[2] for order in day.orders.values() if order[0] == side)
            if standing > 1:
                day.execute(side, random.randint(1, min(standing, 200)))
    return day
