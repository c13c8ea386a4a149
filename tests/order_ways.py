"""Every way an order is shown, side by side: answers, reads, lists, the writer and the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx
from websockets.sync.client import ClientConnection, connect

from api.auth import Principal
from api.processes.gateway import Gateway
from api.trading import order_shown
from application.commands import ExpireOrders, ReadOrder
from application.requests import Command
from infrastructure.settings import Settings
from tests.venue import Trader, Venue, running, served

SECONDS = 20
Document = dict[str, Any]


class OpenVenue:
    """A served venue whose gateway can also be spoken to behind its doors."""

    def __init__(self) -> None:
        self.venue: Venue
        self.gateway: Gateway
        self._loop: asyncio.AbstractEventLoop

    @classmethod
    @contextmanager
    def on(cls, dsn: str) -> Iterator[OpenVenue]:
        """Serve one until the block ends."""
        made = cls()

        @asynccontextmanager
        async def kept(settings: Settings, dsn: str) -> AsyncIterator[Gateway]:
            async with running(settings, dsn) as gateway:
                made.gateway, made._loop = gateway, asyncio.get_running_loop()
                yield gateway

        with served(dsn, kept) as venue:
            made.venue = venue
            yield made

    def send(self, command: Command, trader: Trader | None = None) -> tuple[int, Document | None]:
        """Send a command past HTTP; where the log holds it, and the order that is its answer."""
        account_id = UUID(trader.account_id) if trader else None

        async def answered() -> tuple[int, Document | None]:
            reply = await self.gateway.send(command, Principal("behind", account_id, "trader"))
            order = reply.order
            shown = None if order is None else await order_shown(self.gateway, order)
            return reply.position, shown

        return asyncio.run_coroutine_threadsafe(answered(), self._loop).result(SECONDS)


class Life:
    """An instrument, a trader whose orders are looked at from all sides, and two others.

    Whatever is done, all ways to see the trader's orders are compared afterwards.
    """

    def __init__(self, opened: OpenVenue, client: httpx.Client, stream: ClientConnection) -> None:
        self._opened = opened
        self._client = client
        self._stream = stream
        self._venue = opened.venue
        self._told: dict[str, Document] = {}
        self._position = 0
        self._barriers = 0
        self.events: set[str] = set()
        """What the stream told of."""
        self.trader: Trader
        self.symbol: str
        self._others: list[httpx.Client] = []

    @classmethod
    @contextmanager
    def of(cls, opened: OpenVenue) -> Iterator[Life]:
        """Begin one; every trader holds fifty shares and a million."""
        venue = opened.venue
        symbol, traders = venue.instrument(), [venue.trader() for _ in range(3)]
        for trader in traders:
            venue.hold(trader, symbol, "50", "5000")
        first, *others = (venue.client(trader) for trader in traders)
        with connect(venue.ws_url) as stream, first, others[0], others[1]:
            life = cls(opened, first, stream)
            life.trader, life.symbol, life._others = traders[0], symbol, others
            life._listen()
            yield life

    def _listen(self) -> None:
        trader = self.trader
        key = {"key_id": trader.key_id, "secret_key": trader.secret}
        for message in (
            {"action": "authenticate", "data": key},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ):
            self._stream.send(json.dumps(message))
            self._stream.recv(SECONDS)

    # What is done

    def terms(self, side: str, qty: int, price: str | None = None, **terms: Any) -> Document:
        """An order's terms: limit and gtc where nothing else is said."""
        usual = {"symbol": self.symbol, "side": side, "qty": str(qty), "time_in_force": "gtc"}
        kind: Document = {"type": "market"} if price is None else {"type": "limit"}
        if price is not None:
            kind["limit_price"] = price
        return usual | kind | terms

    def place(self, side: str, qty: int, price: str | None = None, **terms: Any) -> Document:
        """The trader places an order or a group."""
        return self._answered("POST", "/v2/orders", self.terms(side, qty, price, **terms))

    def replace(self, order: Document, **terms: Any) -> Document:
        """The trader gives an order new terms."""
        return self._answered("PATCH", f"/v2/orders/{order['id']}", terms)

    def refused(self, side: str, qty: int, price: str | None = None, **terms: Any) -> None:
        """The trader places an order that is not taken."""
        answer = self._client.post("/v2/orders", json=self.terms(side, qty, price, **terms))
        assert answer.status_code >= 400, answer.text
        self.agree()

    def cancel(self, order: Document) -> None:
        """The trader cancels an order."""
        self._moved(self._client.delete(f"/v2/orders/{order['id']}"))
        self.agree()

    def meet(self, side: str, qty: int, price: str) -> None:
        """Somebody else places an order."""
        self._moved(self._others[0].post("/v2/orders", json=self.terms(side, qty, price)))
        self.agree()

    def trade(self, qty: int, price: str) -> None:
        """Two others trade with each other."""
        for client, side in zip(self._others, ("sell", "buy"), strict=True):
            self._moved(client.post("/v2/orders", json=self.terms(side, qty, price)))
        self.agree()

    def bust(self) -> None:
        """The venue undoes the newest trade."""
        self._of_last_trade("bust")

    def correct(self, price: str) -> None:
        """The venue gives the newest trade another price."""
        self._of_last_trade("correct", price=price)

    def close(self) -> None:
        """The session ends, and with it what was for the day."""
        self._moved(self._venue.admin.post(f"/admin/instruments/{self.symbol}/close"))
        self.expire()

    def expire(self) -> None:
        """What is due ends."""
        self._position, _ = self._opened.send(ExpireOrders(self.symbol))
        self.agree()

    def _of_last_trade(self, what: str, **terms: str) -> None:
        query = {"symbol": self.symbol}
        admin = self._venue.admin
        tape = admin.get("/admin/trades", params=query, headers=self._seen).json()
        path = f"/admin/trades/{tape[0]['trade_id']}/{what}"
        self._moved(admin.post(path, json={"reason": "a slip", **terms}))
        self.agree()

    def _answered(self, method: str, path: str, body: Document) -> Document:
        answer = self._client.request(method, path, json=body)
        self._moved(answer)
        document: Document = answer.json()
        self.agree(document)
        return document

    def _moved(self, answer: httpx.Response) -> None:
        assert answer.status_code in (200, 204), answer.text
        text = answer.headers.get("X-Nexus-Position")
        self._position = int(text) if text else answer.json()["position"]

    # How it is shown

    def agree(self, answer: Document | None = None) -> None:
        """Every way to see the trader's orders shows the same, member by member."""
        self._hear()
        listed = [order for order in self._listed("all") if not _is_barrier(order)]
        assert self._told.keys() == {order["id"] for order in listed}
        for order in listed:
            same("by id", order, self._get(f"/v2/orders/{order['id']}"))
            self._agree_with_stream(order)
        for name, order in {order["client_order_id"]: order for order in listed}.items():
            path = "/v2/orders:by_client_order_id"
            same("by client id", order, self._get(path, client_order_id=name))
        opened, closed = self._listed("open"), self._listed("closed")
        parts = [order for order in (*opened, *closed) if not _is_barrier(order)]
        assert {order["id"]: order for order in listed} == {order["id"]: order for order in parts}
        assert len(listed) == len(parts)
        for order in listed:
            if order["replaced_by"] is None:
                read = ReadOrder(UUID(self.trader.account_id), UUID(order["id"]))
                shown = self._opened.send(read, self.trader)[1] or {}
                if order["status"] == "rejected":
                    # What group it was to be, its event alone says.
                    shown["order_class"] = order["order_class"]
                same("by the writer", order, shown)
        if answer is not None:
            shown = self._get(f"/v2/orders/{answer['id']}", nested=bool(answer["legs"]))
            same("by id after the answer", answer, shown)

    def order(self, order: Document) -> Document:
        """An order, or a revision of it, as it is shown now."""
        found: Document = self._get(f"/v2/orders/{order['id']}")
        return found

    def _hear(self) -> None:
        """Hear all that was told up to now: the refusal of an order that comes last."""
        self._barriers += 1
        name = f"barrier-{self._barriers}"
        body = self.terms("buy", 1, "1", symbol="NOTHING", client_order_id=name)
        assert self._client.post("/v2/orders", json=body).status_code == 422
        while True:
            update = json.loads(self._stream.recv(SECONDS))["data"]
            order = update["order"]
            if order["client_order_id"] == name:
                return
            self.events.add(update["event"])
            self._told[order["id"]] = order

    def _agree_with_stream(self, order: Document) -> None:
        told = self._told[order["id"]]
        if told["updated_at"] != order["updated_at"]:
            # What is held for an order is the venue's own affair: the stream passes it over.
            events = self._get(f"/v2/orders/{order['id']}/events")
            since = [
                event["type"]
                for event in events
                if event["at"] > told["updated_at"] and event["originator_id"] in _ids(order)
            ]
            assert {"order.adjusted.v1"} == set(since)
            told = told | {"updated_at": order["updated_at"]}
        same("on the stream", order, told)

    @property
    def _seen(self) -> dict[str, str]:
        return {"X-Nexus-Position": str(self._position)}

    def _listed(self, status: str) -> list[Document]:
        listed: list[Document] = self._get("/v2/orders", status=status, limit=500, direction="asc")
        return listed

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._client.get(path, params=query, headers=self._seen)
        assert answer.status_code == 200, answer.text
        return answer.json()


def same(way: str, one: Document, other: Document) -> None:
    """Two documents of an order have the same members."""
    differing = {
        name: (one.get(name), other.get(name))
        for name in one.keys() | other.keys()
        if name not in one or name not in other or one[name] != other[name]
    }
    assert not differing, f"{way}: {differing}"


def _is_barrier(order: Document) -> bool:
    return str(order["client_order_id"]).startswith("barrier-")


def _ids(order: Document) -> tuple[Any, Any]:
    return order["id"], order["replaces"]
