"""A handful of orders worth looking at, each with what came of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from api.demo.clients import Trader
from api.demo.market import SYMBOLS, cents
from domain.money import rounded_text, to_usd


class Shown(NamedTuple):
    """One order and how it ended."""

    what: str
    outcome: str
    order_id: str


async def last_price(trader: Trader) -> int:
    """ACME's last price in cents, from the position that everybody has in it."""
    price = (await trader.read("/v2/positions/ACME"))["current_price"]
    return to_usd(rounded_text(Decimal(price), 2), "price") if price else SYMBOLS["ACME"]


class Notes:
    """What came of each order, in the order in which they were sent."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []

    def note(self, what: str, document: dict[str, Any]) -> str:
        """Keep the outcome of an order; returns its id, empty when it was refused."""
        refused = document.get("reason")
        outcome = (
            f"refused: {refused}"
            if refused
            else f"{document['status']}, filled {document['filled_qty']}"
        )
        order_id = str(document.get("id", ""))
        self.shown.append(Shown(what, outcome, order_id))
        return order_id


async def show(alice: Trader, bob: Trader, mid: int) -> list[Shown]:
    """Place them on ACME around its price in cents, far enough off to stand out."""
    notes = Notes()
    await _single_orders(notes, alice, bob, mid)
    await _linked_orders(notes, alice, bob, mid)
    return notes.shown


async def _single_orders(notes: Notes, alice: Trader, bob: Trader, mid: int) -> None:
    note = notes.note
    resting = note(
        "limit buy far below the market, rests",
        await alice.order(symbol="ACME", side="buy", qty="100", limit_price=cents(mid - 300)),
    )
    if resting:
        note(
            "the same order replaced: fewer shares, its place in the queue kept",
            await alice.replace(resting, qty="40"),
        )
    note(
        "stop sell, waits for its price",
        await alice.order(
            symbol="ACME", side="sell", qty="50", type="stop", stop_price=cents(mid - 350)
        ),
    )
    note(
        "fill-or-kill for more than there is",
        await bob.order(
            symbol="ACME",
            side="buy",
            qty="15000",
            limit_price=cents(mid + 60),
            time_in_force="fok",
        ),
    )
    note(
        "post-only that would trade",
        await bob.order(
            symbol="ACME", side="buy", qty="10", limit_price=cents(mid + 300), post_only=True
        ),
    )
    note(
        "limit sell for shares the account does not have",
        await bob.order(symbol="ACME", side="sell", qty="500000", limit_price=cents(mid)),
    )
    note(
        "market buy, takes what is offered",
        await bob.order(symbol="ACME", side="buy", qty="30", type="market", time_in_force="ioc"),
    )


async def _linked_orders(notes: Notes, alice: Trader, bob: Trader, mid: int) -> None:
    note = notes.note
    note(
        "bracket: market buy, with a take-profit above and a stop-loss below",
        await alice.order(
            symbol="ACME",
            side="buy",
            qty="20",
            type="market",
            order_class="bracket",
            take_profit={"limit_price": cents(mid + 200)},
            stop_loss={"stop_price": cents(mid - 200)},
        ),
    )
    note(
        "oco: the same two exits for shares held already",
        await bob.order(
            symbol="ACME",
            side="sell",
            qty="20",
            order_class="oco",
            take_profit={"limit_price": cents(mid + 250)},
            stop_loss={"stop_price": cents(mid - 250)},
        ),
    )
