"""Who trades in the demo: makers that quote around a moving price, and takers that cross."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from api.demo.clients import DemoFailed, Operator, Tally, Trader

SYMBOLS = {"ACME": 5_000, "NOVA": 12_000, "ZETA": 850}
"""Symbol to its first price in cents; all trade around the clock."""

MAKERS = ("maker-1", "maker-2", "maker-3")
TAKERS = ("taker-1", "taker-2", "taker-3", "taker-4")
CLIENTS = ("alice", "bob")
COMMISSION = {"kind": "per_share", "rate": "0.0035", "minimum": "0.35", "cap_bps": 100}
"""What takers pay; makers and clients trade free."""

SECONDS_TO_OPEN = 20.0


def cents(amount: int) -> str:
    """Cents as a decimal text."""
    return f"{amount // 100}.{amount % 100:02d}"


@dataclass
class Prices:
    """Where each symbol's price is, in cents; one seeded walk for all makers."""

    mid: dict[str, int]
    random: Random

    def step(self, symbol: str) -> int:
        """Move a price by a few cents and tell it."""
        first = SYMBOLS[symbol]
        pull = 1 if self.mid[symbol] < first else -1
        self.mid[symbol] += self.random.choice((-2, -1, -1, 0, 0, 1, 1, 2)) + (
            pull if self.random.random() < 0.1 else 0
        )
        return self.mid[symbol]


async def furnish(operator: Operator, base_url: str, tally: Tally) -> dict[str, Trader]:
    """Instruments, accounts, cash and first holdings; what is there already stays."""
    for symbol, first in SYMBOLS.items():
        await operator.post(
            "/admin/instruments",
            {
                "symbol": symbol,
                "name": f"{symbol.title()} Incorporated (demo)",
                "calendar": "24/7",
                "tick": "0.01",
                "lot": "1",
                "reference_price": cents(first),
            },
        )
    traders = {}
    for name in (*MAKERS, *TAKERS, *CLIENTS):
        opened = await operator.post("/admin/accounts", {"name": name, "rotate": True})
        account = f"/admin/accounts/{opened['account_id']}"
        await operator.post(
            f"{account}/deposits", {"amount": "1000000.00", "request_key": "demo cash"}
        )
        if name in TAKERS:
            await operator.put(f"{account}/commission", COMMISSION)
        for symbol, first in SYMBOLS.items():
            await operator.post(
                f"{account}/positions",
                {
                    "symbol": symbol,
                    "qty": "10000",
                    "cost": cents(first * 10_000),
                    "request_key": f"demo {symbol}",
                },
            )
        traders[name] = Trader(name, base_url, opened, tally)
    return traders


async def wait_until_open(trader: Trader) -> None:
    """Return when every instrument trades; the venue's timer opens them."""
    waited = 0.0
    for symbol in SYMBOLS:
        while True:
            document = await trader.read(f"/v2/assets/{symbol}")
            if document.get("phase") == "open":
                break
            if waited > SECONDS_TO_OPEN:
                raise DemoFailed(f"{symbol} does not open")
            await asyncio.sleep(0.1)
            waited += 0.1


async def make(trader: Trader, prices: Prices, rounds: int, seed: int) -> None:
    """Quote both sides around the price; take the older quotes back."""
    random = Random(seed)
    quotes: list[str] = []
    for _ in range(rounds):
        symbol = random.choice(tuple(SYMBOLS))
        mid = prices.step(symbol)
        for side, sign in (("buy", -1), ("sell", 1)):
            price = mid + sign * random.randint(1, 6)
            placed = await trader.order(
                symbol=symbol,
                side=side,
                qty=str(random.randint(1, 20) * 10),
                limit_price=cents(price),
            )
            if "id" in placed:
                quotes.append(placed["id"])
        while len(quotes) > 12:
            await trader.cancel(quotes.pop(0))


async def take(trader: Trader, prices: Prices, rounds: int, seed: int) -> None:
    """Cross the spread now and then: market orders, and limits that do not wait."""
    random = Random(seed)
    for _ in range(rounds):
        symbol = random.choice(tuple(SYMBOLS))
        side = random.choice(("buy", "sell"))
        qty = str(random.randint(1, 15) * 10)
        if random.random() < 0.5:
            await trader.order(
                symbol=symbol, side=side, qty=qty, type="market", time_in_force="ioc"
            )
        else:
            limit = prices.mid[symbol] + (8 if side == "buy" else -8)
            await trader.order(
                symbol=symbol,
                side=side,
                qty=qty,
                limit_price=cents(limit),
                time_in_force="ioc",
            )


async def trade(traders: dict[str, Trader], seed: int, rounds: int) -> None:
    """Let everybody trade at once; one taker does so over its stream."""
    prices = Prices(dict(SYMBOLS), Random(seed))
    await traders[TAKERS[0]].listen()
    await asyncio.gather(
        *(make(traders[name], prices, rounds, seed + n) for n, name in enumerate(MAKERS, 1)),
        *(take(traders[name], prices, rounds, seed - n) for n, name in enumerate(TAKERS, 1)),
    )
