"""Clients that keep trading while processes die: they retry, and note what was acknowledged."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from api.processes.supervisor import Supervisor

ADMIN_SECRET = "the-operator's-own-secret-of-many-letters"
SYMBOL = "CRSH"
THROUGH = "STOP_ALREADY_THROUGH"
AGAIN = (408, 429, 503, 504)
"""Answers that ask for another try; the outcome may be unknown."""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Acknowledged:
    """What a client was told of one of its orders."""

    order_id: str
    status: str
    answers: int = 1


@dataclass
class Driver:
    """Several clients of one venue. Every request that changes something carries a key."""

    venue: Supervisor
    seed: int
    clients: int = 4
    orders: dict[str, Acknowledged] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    canceled: set[str] = field(default_factory=set)
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: int = 0
    retries: int = 0
    wrong: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    accounts: list[UUID] = field(default_factory=list)

    def open(self, *others: str) -> None:
        """An instrument, and clients with cash and stock; other instruments that nobody has."""
        admin = {"APCA-API-KEY-ID": "admin", "APCA-API-SECRET-KEY": ADMIN_SECRET}
        with httpx.Client(base_url=self.venue.base_url, headers=admin, timeout=30) as http:

            def post(path: str, **body: Any) -> dict[str, Any]:
                answer = http.post(path, json=body)
                assert answer.status_code == 200, answer.text
                made: dict[str, Any] = answer.json()
                return made

            for symbol in (SYMBOL, *others):
                post(
                    "/admin/instruments",
                    symbol=symbol,
                    name="Crash Incorporated",
                    tick="0.01",
                    lot="1",
                    reference_price="100",
                    calendar="manual",
                )
                post(
                    f"/admin/instruments/{symbol}/open",
                    session_date=20261120,
                    value_date=20261124,
                    opens_at="2026-11-20T00:00:00Z",
                    closes_at="2100-01-01T00:00:00Z",
                )
            for number in range(self.clients):
                made = post("/admin/accounts", name=f"client-{number}")
                of_account = f"/admin/accounts/{made['account_id']}"
                post(of_account + "/deposits", amount="10000000")
                post(of_account + "/positions", symbol=SYMBOL, qty="100000", cost="0")
                self.accounts.append(UUID(made["account_id"]))
                self.headers.append(
                    {
                        "APCA-API-KEY-ID": made["key_id"],
                        "APCA-API-SECRET-KEY": made["secret_key"],
                    }
                )

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until told to stop; what is under way then is finished."""
        await asyncio.gather(*[self._trade(number, stop) for number in range(self.clients)])

    async def acknowledged_more(self, trading: asyncio.Task[None], count: int) -> None:
        """Wait until clients were told of more."""
        wanted = self.acknowledged + count
        deadline = time.monotonic() + 60
        while self.acknowledged < wanted:
            if trading.done():
                trading.result()
            assert time.monotonic() < deadline, "the venue does not serve again"
            await asyncio.sleep(0.01)

    async def _trade(self, number: int, stop: asyncio.Event) -> None:
        chance = random.Random(self.seed * 1_000 + number)
        mine: list[str] = []
        count = 0
        async with httpx.AsyncClient(
            base_url=self.venue.base_url, headers=self.headers[number], timeout=15
        ) as http:
            while not stop.is_set():
                dice = chance.random()
                if mine and dice < 0.2:
                    await self._cancel(http, chance.choice(mine[-20:]))
                elif mine and dice < 0.3:
                    await self._place(http, chance.choice(mine[-50:]))
                else:
                    count += 1
                    key = f"{number}-{count}"
                    self.sent[key] = _order(chance, key)
                    await self._place(http, key)
                    if key in self.orders:
                        mine.append(key)

    async def _place(self, http: httpx.AsyncClient, key: str) -> None:
        answer = await self._until_answered(http, "POST", "/v2/orders", json=self.sent[key])
        if answer.status_code == 422 and _why(answer) == THROUGH:
            self.acknowledged += 1
            self.refused.add(key)
            return
        if answer.status_code != 200:
            self.wrong.append(f"{key}: {answer.status_code} {answer.text}")
            return
        body = answer.json()
        self.acknowledged += 1
        known = self.orders.setdefault(key, Acknowledged(body["id"], body["status"], 0))
        known.answers += 1
        if (known.order_id, key) != (body["id"], body["client_order_id"]):
            self.wrong.append(f"{key}: {known.order_id} became {body['id']}")

    async def _cancel(self, http: httpx.AsyncClient, key: str) -> None:
        order_id = self.orders[key].order_id
        answer = await self._until_answered(
            http, "DELETE", f"/v2/orders/{order_id}", headers={"Idempotency-Key": f"c{key}"}
        )
        if answer.status_code == 204:
            self.acknowledged += 1
            self.canceled.add(order_id)
        elif answer.status_code != 422:
            self.wrong.append(f"cancel {key}: {answer.status_code} {answer.text}")

    async def _until_answered(
        self, http: httpx.AsyncClient, method: str, path: str, **request: Any
    ) -> httpx.Response:
        """Send the same request until somebody says what became of it."""
        while True:
            try:
                answer = await http.request(method, path, **request)
                if answer.status_code not in AGAIN:
                    return answer
            except httpx.TransportError:
                pass
            self.retries += 1
            await asyncio.sleep(0.02)


def _why(answer: httpx.Response) -> str:
    """Why an order was refused, also when this answer is to a repeat of it."""
    said = answer.json()
    reason: str = (said.get("first_refusal") or said).get("reason", "")
    return reason


def _order(chance: random.Random, key: str) -> dict[str, Any]:
    dice = chance.random()
    if dice < 0.15:
        return _bracket(chance, key)
    if dice < 0.25:
        return _oco(chance, key)
    marketable = chance.random() < 0.3
    side = chance.choice(("buy", "sell"))
    away = chance.randint(1, 20)
    cents = 10_000 + away * (1 if (side == "buy") == marketable else -1)
    return {
        "symbol": SYMBOL,
        "qty": str(chance.randint(1, 9)),
        "side": side,
        "type": "limit",
        "time_in_force": chance.choice(("gtc", "day", "ioc")) if marketable else "gtc",
        "limit_price": _text(cents),
        "client_order_id": key,
    }


def _bracket(chance: random.Random, key: str) -> dict[str, Any]:
    """A buy near the market whose exits are close enough to be reached."""
    entry = 10_000 + chance.randint(-5, 10)
    return {
        "symbol": SYMBOL,
        "qty": str(chance.randint(2, 9)),
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": _text(entry),
        "order_class": "bracket",
        "take_profit": {"limit_price": _text(entry + chance.randint(1, 10))},
        "stop_loss": {"stop_price": _text(entry - chance.randint(1, 10))},
        "client_order_id": key,
    }


def _oco(chance: random.Random, key: str) -> dict[str, Any]:
    """Exits for shares held already; the stop may be through the market, and is refused then."""
    middle = 10_000 + chance.randint(-3, 3)
    return {
        "symbol": SYMBOL,
        "qty": str(chance.randint(2, 9)),
        "side": "sell",
        "type": "limit",
        "time_in_force": "gtc",
        "order_class": "oco",
        "take_profit": {"limit_price": _text(middle + chance.randint(1, 10))},
        "stop_loss": {"stop_price": _text(middle - chance.randint(5, 15))},
        "client_order_id": key,
    }


def _text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
