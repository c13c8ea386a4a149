"""Every way an order is shown, side by side.

Answers to POST, PATCH and DELETE over HTTP and to messages over the socket, and to each of them
when it is repeated; reads by each of its names, flat and nested; lists, flat and nested, open and
closed; the writer's own word; the stream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from websockets.sync.client import ClientConnection, connect

from api.auth import Principal
from api.processes.gateway import Gateway
from api.trading import order_shown
from application.commands import ReadOrder
from application.requests import Command
from infrastructure.settings import Settings
from tests.venue import Trader, Venue, running, served

NEVER_TAKEN = {
    "symbol": "NOTHING",
    "side": "buy",
    "qty": "1",
    "type": "market",
    "time_in_force": "day",
}
DUPLICATE = "X-Nexus-Duplicate"
SECONDS = 20
Document = dict[str, Any]


class Sent(NamedTuple):
    """A request that was answered with an order, to be repeated, and that order's id then."""

    method: str
    path: str
    body: Document | None
    key: str | None
    order_id: str


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


class Ways:
    """All ways to see one trader's orders, and to compare them."""

    def __init__(
        self, opened: OpenVenue, trader: Trader, client: httpx.Client, stream: ClientConnection
    ) -> None:
        self.trader = trader
        self.events: set[str] = set()
        """What the stream told of."""
        self._opened = opened
        self._client = client
        self._stream = stream
        self.told: dict[str, Document] = {}
        self._position = 0
        self._barriers = 0
        self._sent: list[Sent] = []
        self._listen(stream)

    def _listen(self, stream: ClientConnection, **since: int) -> None:
        trader = self.trader
        key = {"key_id": trader.key_id, "secret_key": trader.secret}
        for message in (
            {"action": "authenticate", "data": key},
            {"action": "listen", "data": {"streams": ["trade_updates"], **since}},
        ):
            stream.send(json.dumps(message))
            stream.recv(SECONDS)

    def request(
        self, method: str, path: str, body: Document | None, key: str | None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self._client.request(method, path, json=body, headers=headers)

    def moved(self, answer: httpx.Response) -> None:
        assert answer.status_code in (200, 204), answer.text
        text = answer.headers.get("X-Nexus-Position")
        self._position = int(text) if text else answer.json()["position"]

    def agree(self, answer: Document | None = None) -> None:
        """Every way to see the trader's orders shows the same, member by member."""
        self._hear()
        listed = [order for order in self._listed("all") if not _is_barrier(order)]
        assert self.told.keys() == {order["id"] for order in listed}
        for order in listed:
            same("by id", order, self.get(f"/v2/orders/{order['id']}"))
            same("on the stream", order, self.told[order["id"]])
        for name, order in {order["client_order_id"]: order for order in listed}.items():
            path = "/v2/orders:by_client_order_id"
            same("by client id", order, self.get(path, client_order_id=name))
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
            same("by id after the answer", answer, self._shown_as(answer))
        flat = {order["id"]: order for order in listed}
        self._agree_nested(flat)
        for sent in self._sent:
            self._agree_repeated(sent, flat)

    def agree_with_a_stream_from_the_beginning(self) -> None:
        """Who is told all of it later is told of the same orders."""
        self.agree()
        last, told = f"barrier-{self._barriers}", dict[str, Document]()
        with connect(self._opened.venue.ws_url) as stream:
            self._listen(stream, since_position=0)
            while last not in {order["client_order_id"] for order in told.values()}:
                order = json.loads(stream.recv(SECONDS))["data"]["order"]
                told[order["id"]] = order
        listed = [order for order in self._listed("all") if not _is_barrier(order)]
        for order in listed:
            same("on a stream from the beginning", order, told[order["id"]])

    def _agree_nested(self, flat: dict[str, Document]) -> None:
        """Each order stands nested once, a leg's present revision beneath its parent's."""
        nested = [one for one in self._listed("all", nested=True) if not _is_barrier(one)]
        seen = []
        for order in nested:
            legs = order["legs"] or []
            seen += [order["id"], *(leg["id"] for leg in legs)]
            same("nested", flat[order["id"]] | {"legs": order["legs"]}, order)
            for leg in legs:
                same("nested in its parent", flat[leg["id"]], leg)
            same("by id, nested", order, self.get(f"/v2/orders/{order['id']}", nested=True))
        assert len(seen) == len(set(seen))
        missing = [order for name, order in flat.items() if name not in seen]
        # Former revisions of exits stand in no parent.
        assert all(order["leg"] and order["replaced_by"] for order in missing), missing

    def _agree_repeated(self, sent: Sent, flat: dict[str, Document]) -> None:
        """What is asked again is answered with the order as it is now."""
        answer = self.request(*sent[:4])
        assert (200, "true") == (answer.status_code, answer.headers[DUPLICATE]), answer.text
        newest = sent.order_id
        while flat[newest]["replaced_by"]:
            newest = flat[newest]["replaced_by"]
        repeated: Document = answer.json()
        assert newest == repeated["id"]
        same(f"repeated by {sent.method}", repeated, self._shown_as(repeated))

    def _shown_as(self, answer: Document) -> Document:
        """An order as it is read, nested where the answer is."""
        shown: Document = self.get(f"/v2/orders/{answer['id']}", nested=bool(answer["legs"]))
        return shown

    def order(self, order: Document) -> Document:
        """An order, or a revision of it, as it is shown now."""
        found: Document = self.get(f"/v2/orders/{order['id']}")
        return found

    def _hear(self) -> None:
        """Hear all that was told up to now: the refusal of an order that comes last."""
        self._barriers += 1
        name = f"barrier-{self._barriers}"
        body = NEVER_TAKEN | {"client_order_id": name}
        assert self._client.post("/v2/orders", json=body).status_code in (403, 422)
        while True:
            update = json.loads(self._stream.recv(SECONDS))["data"]
            if update["order"]["client_order_id"] == name:
                return
            self.take(update)

    def take(self, update: Document) -> None:
        self.events.add(update["exact_event"])
        self.told[update["order"]["id"]] = update["order"]

    @property
    def seen(self) -> dict[str, str]:
        return {"X-Nexus-Position": str(self._position)}

    def _listed(self, status: str, nested: bool = False) -> list[Document]:
        query = {"status": status, "limit": 500, "direction": "asc", "nested": nested}
        listed: list[Document] = self.get("/v2/orders", **query)
        return listed

    def get(self, path: str, **query: Any) -> Any:
        answer = self._client.get(path, params=query, headers=self.seen)
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
