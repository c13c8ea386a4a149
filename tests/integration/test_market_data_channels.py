"""The market data channels of a whole venue: real sockets, real orders, and a feed that dies."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.processes.supervisor import Supervisor
from domain.matching.engine import Market
from infrastructure.settings import Settings
from projections.market_data.depth import MarketData
from projections.market_data.records import Kind, Record, quote_of, trade_of
from tests.homes import new_home
from tests.log_checks import read_log
from tests.model.naive_channel_client import ChannelBook, ChannelTape
from tests.order_driver import ADMIN_SECRET, SYMBOL, Driver, free_port

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "market-data.md"
SECONDS = 60
OTHER = "REST"


class Stage:
    """A venue with traders, and what its log says of the market."""

    def __init__(self, venue: Supervisor, driver: Driver) -> None:
        self.venue = venue
        self.driver = driver
        self.url = venue.base_url.replace("http://", "ws://")

    @property
    def headers(self) -> dict[str, str]:
        """A trader's key."""
        return self.driver.headers[0]

    def connect(self, channel: str, headers: dict[str, str] | None = None) -> connect:
        """A client whose key comes with the handshake."""
        headers = self.headers if headers is None else headers
        return connect(f"{self.url}/v2/{channel}", additional_headers=headers)

    async def trade(self, count: int, between: Callable[[], Awaitable[None]] | None = None) -> None:
        """Have so many more orders answered, twice when something is done between."""
        stop = asyncio.Event()
        trading = asyncio.create_task(self.driver.run(stop))
        await self.driver.acknowledged_more(trading, count)
        if between is not None:
            await between()
            await self.driver.acknowledged_more(trading, count)
        stop.set()
        await asyncio.wait_for(trading, SECONDS)
        assert [] == self.driver.wrong

    def market_data(self) -> tuple[MarketData, list[Record]]:
        """What follows from the whole log, read anew."""
        data, records = MarketData(), []
        recorded = read_log(self.venue.dsn, self.venue.settings.partition_schema).recorded
        for _, command in groupby(recorded, key=lambda one: one.event.correlation_id):
            records += data.apply(list(command))
        return data, records

    async def settled(self) -> tuple[MarketData, list[Record]]:
        """The same, from the loop."""
        return await asyncio.to_thread(self.market_data)


def market_in(data: MarketData) -> Market:
    """The market that is traded."""
    market = data.floor.markets.listed_as(SYMBOL)
    assert market is not None
    return market


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One venue for all tests of this file."""
    home = new_home()
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        market_data_throttle_ms=20,
        market_data_stale_ms=300,
    )
    try:
        with Supervisor(settings, say=lambda _: None, output=subprocess.DEVNULL) as venue:
            driver = Driver(venue, 11)
            driver.open(OTHER)
            yield Stage(venue, driver)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""

    async def within() -> None:
        async with asyncio.timeout(SECONDS):
            await scene()

    asyncio.run(within())


class Listener:
    """Messages of one connection, one by one."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self._left: list[Any] = []

    async def subscribe(self, *symbols: str, **asked: Any) -> Any:
        """Subscribe; the reply."""
        await self.ws.send(json.dumps({"action": "subscribe", "symbols": symbols, **asked}))
        return await self.hear("subscription", "error")

    async def hear(self, *kinds: str) -> Any:
        """The next message of some kinds."""
        while True:
            while self._left:
                message = self._left.pop(0)
                if message["T"] in kinds:
                    return message
            self._left = json.loads(await self.ws.recv())


def test_market_data_channels_tell_what_the_log_says(stage: Stage) -> None:
    """A book, a tape and best prices, taken from sockets while orders flow, are those that follow
    from the log; strangers and unknown symbols are refused by name.
    """

    async def scene() -> None:
        async with (
            stage.connect("book") as one,
            stage.connect("trades") as two,
            stage.connect("quotes") as three,
        ):
            books, trades, quotes = map(Listener, (one, two, three))
            assert 20 == (await books.subscribe(SYMBOL))["throttle_ms"]
            for listener in (trades, quotes):
                await listener.subscribe(SYMBOL, OTHER)
            book, tape = ChannelBook(SYMBOL), ChannelTape(SYMBOL)
            book.take(await books.hear("o"))
            first = await trades.hear("s")
            assert ("open", SYMBOL) == (first["phase"], first["S"])

            await stage.trade(150)
            data, records = await stage.settled()
            market, index = market_in(data), data.index_of(market_in(data).instrument.id)
            while not book.is_that_of(market):
                book.take(await books.hear("o"))
            assert book.updates > 3

            of_market = [record for record in records if record.instrument == index]
            prints = [trade_of(record) for record in of_market if record.kind == Kind.TRADE]
            assert prints
            for print_ in prints:
                message = await trades.hear("t")
                if not tape.sequence:
                    tape.begun = tape.sequence = message["previous"]
                tape.take(message)
                assert str(print_.trade_id) == message["i"]
            assert 0 == tape.dropped

            best = quote_of(next(r for r in reversed(of_market) if r.kind == Kind.QUOTE))
            scale = market.instrument.price_decimals
            while True:
                quote = await quotes.hear("q")
                shown = [
                    int(quote[name].replace(".", "")) if quote[name] else 0
                    for name in ("bp", "bs", "ap", "as")
                ]
                if quote["S"] == SYMBOL and shown == [*best]:
                    break
            assert quote["bp"] is None or len(quote["bp"].partition(".")[2]) == scale
            unknown = await books.subscribe("NOPE")
            assert (400, "UNKNOWN_INSTRUMENT") == (unknown["code"], unknown["reason"])
        async with stage.connect("book", headers={}) as ws:
            assert 401 == (await Listener(ws).subscribe(SYMBOL))["code"]
        wrong = {**stage.headers, "APCA-API-SECRET-KEY": "x"}
        async with stage.connect("book", headers=wrong) as ws:
            assert 402 == (await Listener(ws).hear("error"))["code"]

    run(scene)
    with httpx.Client(base_url=stage.venue.base_url, headers=stage.headers) as http:
        for channel in ("book", "trades", "quotes"):
            answer = http.get(f"/v2/{channel}")
            assert (426, "UPGRADE_REQUIRED") == (answer.status_code, answer.json()["reason"])


def client_of_the_document() -> dict[str, Any]:
    """The names that the document's client defines."""
    found = re.search(r"```python\n(.+?)```", DOCUMENT.read_text(), re.S)
    assert found
    names: dict[str, Any] = {}
    exec(compile(found[1], str(DOCUMENT), "exec"), names)
    return names


def test_market_data_client_of_the_document_has_the_book_through_a_kill(stage: Stage) -> None:
    """What the document prints runs as it stands: its book is the venue's in the end, though the
    market-data process was killed and the gateway's connection was renewed; its count never fell.
    """
    sequences: list[int] = []
    books: list[Any] = []

    def tell(book: Any) -> None:
        sequences.append(book.sequence)
        books[:] = [book]

    async def scene() -> None:
        key, secret = stage.headers["APCA-API-KEY-ID"], stage.headers["APCA-API-SECRET-KEY"]
        follow = client_of_the_document()["follow"]
        following = asyncio.create_task(follow(stage.url, key, secret, SYMBOL, tell))
        async with stage.connect("quotes") as ws:
            quotes = Listener(ws)
            await quotes.subscribe(SYMBOL)
            quoted: list[Any] = []

            async def hear_quotes() -> None:
                while True:
                    quoted.append(await quotes.hear("q"))

            hearing = asyncio.create_task(hear_quotes())

            async def kill() -> None:
                await asyncio.to_thread(stage.venue.kill, "market-data")
                async with stage.connect("quotes") as late:
                    # It was away when this client came, or is back: either way it is served.
                    assert [SYMBOL] == (await Listener(late).subscribe(SYMBOL))["symbols"]

            await stage.trade(60, kill)
            data, _ = await stage.settled()
            market, checked = market_in(data), ChannelBook(SYMBOL)
            while True:
                assert not following.done(), following.result()
                checked.bids = {p: (s, 0) for p, s in books[0].levels("b")} if books else {}
                checked.asks = {p: (s, 0) for p, s in books[0].levels("a")} if books else {}
                if checked.has_quantities_of(market):
                    break
                await asyncio.sleep(0.01)
            counts = [quote["sequence"] for quote in quoted]
            assert counts == sorted(counts) and any(quote["r"] for quote in quoted[1:])
            for task in (hearing, following):
                task.cancel()
            await asyncio.gather(hearing, following, return_exceptions=True)

    run(scene)
    assert sequences == sorted(sequences)
    assert len(sequences) > 2
