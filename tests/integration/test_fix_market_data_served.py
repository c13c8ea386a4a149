"""Market data of a whole venue over FIX, through the end of its process, and marks from outside."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from api.fix.codec import Message
from api.fix.ports import Body
from api.processes.supervisor import Supervisor
from domain.events import InstrumentMarked
from infrastructure.price_sources import PriceSource
from infrastructure.settings import Settings
from projections.market_data.depth import MarketData
from tests.fix_client import Away, FixClient
from tests.fix_settings import CHEAP_HASH, PASSWORD
from tests.homes import new_home
from tests.log_checks import read_log
from tests.model.fix_market_venue import FixBook, Shown, asking, book_of
from tests.order_driver import ADMIN_SECRET, free_port

SEED = 20261201
ORDERS = 60
ADMIN = {"APCA-API-KEY-ID": "admin", "APCA-API-SECRET-KEY": ADMIN_SECRET}


class Stage(NamedTuple):
    """A venue with FIX sessions A and B, and a file of prices that mark."""

    venue: Supervisor
    prices: Path


class Trader(FixClient):
    """A client that keeps the books of MDX that it is told, by the request that it asked by."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(port, name, PASSWORD, on_message=self._note)
        self.books: dict[bytes, FixBook] = {}

    def _note(self, message: Message) -> None:
        if message.msg_type in (b"W", b"X"):
            book = self.books.setdefault(message.get(262) or b"", FixBook("MDX"))
            book.take(body_of(message))

    async def ask(self, name: str, **asked: Any) -> None:
        """Ask for market data, and wait for the first of it."""
        fields = asking(name, "MDX", **asked)
        self.send(b"V", [(tag, value.encode()) for tag, value in fields])
        await self.until(lambda: name.encode() in self.books)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One venue for all of them."""
    home = new_home()
    prices, config = home / "prices.jsonl", home / "fix.toml"
    said = f'[defaults]\nsender = "NEXUS"\npassword = "{CHEAP_HASH}"\n'
    blank = '[[session]]\ntarget = "A"\naccounts.MAIN = "00000000-0000-7000-8000-000000000000"\n'
    config.write_text(said + blank)
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        fix_port=free_port(),
        fix_config=config,
        admin_key=ADMIN_SECRET,
        reference_prices=(PriceSource(place=str(prices), marks=True, mark_ms=10),),
    )
    with Supervisor(settings, say=lambda _: None, output=subprocess.DEVNULL) as venue:
        with httpx.Client(base_url=venue.base_url, headers=ADMIN, timeout=30) as http:
            for name in "AB":
                said += f'[[session]]\ntarget = "{name}"\naccounts.MAIN = "{furnish(http, name)}"\n'
                said += "market_data.rate = 200\n"
        config.write_text(said)
        venue.kill("fix", signal.SIGHUP)
        yield Stage(venue, prices)
    shutil.rmtree(home, ignore_errors=True)


def furnish(http: httpx.Client, name: str) -> str:
    """An account with money and shares of two instruments, which are listed if they are not."""

    def post(path: str, **body: Any) -> Any:
        answer = http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    account = post("/admin/accounts", name=name)["account_id"]
    post(f"/admin/accounts/{account}/deposits", amount="10000000")
    for symbol, rule in (("MDX", "last_trade"), ("MARKED", "mark")):
        terms = {"tick": "0.01", "lot": "1", "reference_price": "100", "calendar": "manual"}
        post("/admin/instruments", symbol=symbol, name=symbol, trigger_rule=rule, **terms)
        http.post(
            f"/admin/instruments/{symbol}/open",
            json={
                "session_date": 20261120,
                "value_date": 20261124,
                "opens_at": "2026-11-20T00:00:00Z",
                "closes_at": "2100-01-01T00:00:00Z",
            },
        )
        post(f"/admin/accounts/{account}/positions", symbol=symbol, qty="10000", cost="0")
    return str(account)


def play(scene: Coroutine[Any, Any, None]) -> None:
    """A scene that must not take long."""
    asyncio.run(asyncio.wait_for(scene, 60))


async def logged_on(stage: Stage, name: str) -> Trader:
    """A client of a session, once the venue lets it in."""
    client = Trader(stage.venue.fix_port, name)
    while not client.connected:
        with suppress(Away):
            await client.log_on(reset=True)
    return client


def order(name: str, side: str, price: str, symbol: str = "MDX", **more: str) -> list[Any]:
    """A limit order."""
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    fields = {11: name, 55: symbol, 54: side, 60: now, 38: "7", 40: "2", 44: price, 59: "0"}
    fields |= {int(tag[1:]): value for tag, value in more.items()}
    return [(tag, value.encode()) for tag, value in fields.items() if value]


def body_of(message: Message) -> Body:
    """A message without the header and trailer of its session."""
    fields = list(zip(message.tags, message.values, strict=True))
    outer = (8, 9, 35, 34, 49, 56, 52, 10)
    return Body(message.msg_type, [one for one in fields if one[0] not in outer])


def of_the_log(stage: Stage, symbol: str = "MDX") -> Shown:
    """The book as the log alone gives it."""
    data = MarketData()
    log = read_log(stage.venue.dsn, stage.venue.settings.partition_schema)
    for _ in data.commands(log.recorded):
        pass
    market = data.floor.markets.listed_as(symbol)
    assert market is not None
    return book_of(market)


async def trade(clients: list[Trader], round_: str) -> None:
    """Orders of several sessions, until all are decided."""
    draw = random.Random(SEED)
    names: dict[Trader, set[bytes]] = {client: set() for client in clients}
    for number in range(ORDERS):
        name, client = f"{round_}-{number}", draw.choice(clients)
        names[client].add(name.encode())
        price = f"{100 + draw.randrange(-40, 40) / 10:.2f}"
        client.send(b"D", order(name, draw.choice("12"), price))
        if draw.random() < 0.1:
            await asyncio.sleep(0.02)
    for client, asked in names.items():
        await client.until(lambda: asked <= {m.get(11) for m in client.received}, 30)  # noqa: B023


async def agree(stage: Stage, client: Trader, *names: bytes) -> None:
    """Wait until all that a client knows by these requests is the book of the log."""
    expected = await asyncio.to_thread(of_the_log, stage)
    await client.until(lambda: all(client.books[n].shown() == expected for n in names), 20)
    assert [] == client.memory.wrong


@pytest.mark.crash
def test_fix_market_data_is_the_book_of_the_log_through_the_end_of_its_process(
    stage: Stage,
) -> None:
    """Told as it changes, and after a kill -9 of the feed by a snapshot anew; a session that asked
    for none is told none, and orders never wait for it.
    """

    async def scene() -> None:
        one, other = both = [await logged_on(stage, name) for name in "AB"]
        await other.ask("book", entries="012")
        await trade(both, "first")
        await agree(stage, other, b"book")
        assert await asyncio.to_thread(stage.venue.kill, "market-data")
        await trade(both, "second")
        await agree(stage, other, b"book")
        await other.ask("late", entries="012")
        await other.ask("top", depth="1")
        await trade(both, "third")
        await agree(stage, other, b"book", b"late")
        top = {side: levels[:1] for side, levels in other.books[b"late"].shown().items()}
        await other.until(lambda: other.books[b"top"].shown() == top)
        assert other.books[b"book"].begun > 1
        assert other.books[b"late"].trades
        assert not [m for m in one.received if m.msg_type in (b"W", b"X", b"Y")]
        other.send(b"2", [(7, b"1"), (16, b"0")])
        other.send(b"1", [(112, b"behind")])
        await other.until(lambda: [m for m in other.session_messages if m.get(112) == b"behind"])
        for client in both:
            await client.log_out()
            assert [] == client.memory.wrong

    play(scene())


def test_feed_price_from_outside_marks_and_elects_a_stop(stage: Stage) -> None:
    """A line in a file is an event of the log, and the stop that waits for it works."""

    async def scene() -> None:
        client, other = [await logged_on(stage, name) for name in "AB"]
        other.send(b"D", order("bid", "1", "89.5", "MARKED"))
        stop = order("stop", "2", "", "MARKED", t40="3", t99="90")
        client.send(b"D", stop)

        def told(name: bytes) -> list[bytes | None]:
            return [one.get(150) for one in client.reports(name)]

        await client.until(lambda: told(b"stop"))
        await other.until(lambda: other.reports(b"bid"))
        for price in ("95", "95", "89.99"):
            with stage.prices.open("a") as file:
                file.write(f'{{"symbol":"MARKED","price":{price}}}\n')
            await asyncio.sleep(0.3)
        await client.until(lambda: b"F" in told(b"stop"), 20)
        assert told(b"stop")[:2] == [b"0", b"D"]
        await client.log_out()
        await other.log_out()

    play(scene())
    log = read_log(stage.venue.dsn, stage.venue.settings.partition_schema)
    marked = [one for one in log.events if isinstance(one, InstrumentMarked)]

    assert [950_000, 899_900] == [one.price for one in marked]
