"""What befalls one trader's orders, after each step of which all ways to see them are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.sync.client import connect

from application.commands import ExpireOrders
from tests.order_ways import SECONDS, Document, OpenVenue, Sent, Ways
from tests.venue import YEAR_2100


class Life(Ways):
    """An instrument, a trader whose orders are looked at from all sides, and two others."""

    symbol: str
    _others: list[httpx.Client]
    _named = 0

    @classmethod
    @contextmanager
    def of(cls, opened: OpenVenue, **terms: Any) -> Iterator[Life]:
        """Begin one; every trader holds fifty shares and a million. `terms` are the instrument's,
        and `kind` the kind of the traders' accounts.
        """
        venue, kind = opened.venue, terms.pop("kind", "cash")
        symbol = venue.instrument(**terms)
        traders = [venue.trader(kind=kind) for _ in range(3)]
        for trader in traders:
            venue.hold(trader, symbol, "50", "5000")
        first, *others = (venue.client(trader) for trader in traders)
        with connect(venue.ws_url) as stream, first, others[0], others[1]:
            life = cls(opened, traders[0], first, stream)
            life.symbol, life._others = symbol, others
            yield life

    def terms(self, side: str, qty: int | str, price: str | None = None, **terms: Any) -> Document:
        """An order's terms: limit and gtc where nothing else is said."""
        usual = {"symbol": self.symbol, "side": side, "qty": str(qty), "time_in_force": "gtc"}
        kind: Document = {"type": "market"} if price is None else {"type": "limit"}
        if price is not None:
            kind["limit_price"] = price
        if "notional" in terms:
            del usual["qty"]
        return usual | kind | terms

    def place(self, side: str, qty: int | str, price: str | None = None, **terms: Any) -> Document:
        """The trader places an order or a group."""
        body = {"client_order_id": self._name("mine"), **self.terms(side, qty, price, **terms)}
        return self._answered("POST", "/v2/orders", body)

    def replace(self, order: Document, **terms: Any) -> Document:
        """The trader gives an order new terms, under a name of the new revision or a key."""
        path = f"/v2/orders/{order['id']}"
        key = None if "client_order_id" in terms else self._name("replace")
        return self._answered("PATCH", path, terms, key)

    def close_position(self, **part: str) -> Document:
        """The trader closes the position, or a part of it."""
        query = "&".join(f"{name}={value}" for name, value in part.items())
        path = f"/v2/positions/{self.symbol}?{query}"
        return self._answered("DELETE", path, None, self._name("close"))

    def say(self, action: str, **data: Any) -> Document:
        """The trader says something over the socket, which is answered with an order."""
        self._stream.send(json.dumps({"action": action, "id": 1, "data": data}))
        while (message := json.loads(self._stream.recv(SECONDS)))["stream"] != "orders":
            self.take(message["data"])
        answer = message["data"]
        assert answer["status"] == 200, answer
        self._position = answer["position"]
        document: Document = answer["body"]
        self.agree(document)
        return document

    def refused(self, side: str, qty: int, price: str | None = None, **terms: Any) -> None:
        """The trader places an order that is not taken."""
        answer = self._client.post("/v2/orders", json=self.terms(side, qty, price, **terms))
        assert answer.status_code >= 400, answer.text
        self.agree()

    def cancel(self, order: Document) -> None:
        """The trader cancels an order."""
        self.moved(self._client.delete(f"/v2/orders/{order['id']}"))
        self.agree()

    def meet(self, side: str, qty: int, price: str) -> None:
        """Somebody else places an order."""
        self.moved(self._others[0].post("/v2/orders", json=self.terms(side, qty, price)))
        self.agree()

    def trade(self, qty: int, price: str) -> None:
        """Two others trade with each other."""
        for client, side in zip(self._others, ("sell", "buy"), strict=True):
            self.moved(client.post("/v2/orders", json=self.terms(side, qty, price)))
        self.agree()

    def bust(self, before_last: int = 0) -> None:
        """The venue undoes the newest trade, or one so many before it."""
        self._of_last_trade("bust", before_last)

    def correct(self, price: str) -> None:
        """The venue gives the newest trade another price."""
        self._of_last_trade("correct", price=price)

    def operate(self, what: str, method: str = "POST", **body: Any) -> None:
        """The venue's operator does something with the instrument; `what` follows its path."""
        path = f"/admin/instruments/{self.symbol}{what}"
        self.moved(self._admin.request(method, path, json=body or None))
        self.agree()

    def stop(self) -> None:
        """The venue's operator stops the account and cancels what works."""
        path = f"/admin/accounts/{self.trader.account_id}/kill-switch"
        body = {"engaged": True, "reason": "a test", "cancel_orders": True}
        self.moved(self._admin.put(path, json=body))
        self.agree()

    def open(self) -> None:
        """A session begins, after the auction of what is queued."""
        body = {"session_date": 20261123, "value_date": 20261124}
        self.operate("/open", **body, opens_at="2026-11-23T00:00:00Z", closes_at=YEAR_2100)

    def rename(self, symbol: str) -> None:
        """The instrument takes another symbol."""
        path = f"/admin/instruments/{self.symbol}"
        self.moved(self._admin.patch(path, json={"new_symbol": symbol}))
        self.symbol = symbol
        for order in self.told.values():
            # What was told of an order kept the symbol of its time.
            order["symbol"] = symbol
        self.agree()

    def close(self) -> None:
        """The session ends, and with it what was for the day."""
        self.moved(self._admin.post(f"/admin/instruments/{self.symbol}/close"))
        self.expire()

    def expire(self) -> None:
        """What is due ends."""
        self._position, _ = self._opened.send(ExpireOrders(self.symbol))
        self.agree()

    def _of_last_trade(self, what: str, before_last: int = 0, **terms: str) -> None:
        query = {"symbol": self.symbol}
        tape = self._admin.get("/admin/trades", params=query, headers=self.seen).json()
        path = f"/admin/trades/{tape[before_last]['trade_id']}/{what}"
        self.moved(self._admin.post(path, json={"reason": "a slip", **terms}))
        self.agree()

    @property
    def _admin(self) -> httpx.Client:
        return self._opened.venue.admin

    def _name(self, word: str) -> str:
        self._named += 1
        return f"{word}-{self._named}"

    def _answered(
        self, method: str, path: str, body: Document | None, key: str | None = None
    ) -> Document:
        answer = self.request(method, path, body, key)
        self.moved(answer)
        document: Document = answer.json()
        self.agree(document)
        self._sent.append(Sent(method, path, body, key, document["id"]))
        return document
