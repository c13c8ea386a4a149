"""Prices from outside: read from files, published beside the venue's own, as old as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from application.log.ports import Recorded
from application.reference_prices import Received, ReferencePrice
from infrastructure.reference_prices import FilePrices
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.freshness import Bounded, Freshness, TooOld
from projections.market_data.records import Kind, Reference, reference_of
from projections.market_data.references import References
from tests.model.desk_harness import NOON, DeskHarness

WIRE = 10**9
OUTSIDE = 1
REFERENCE = int(Kind.REFERENCE)


class SetClock:
    """A clock that stands where it is set."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        """The set moment."""
        return self.at


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""

    async def within() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(within())


class Placed:
    """A feed of two instruments, one of four places and one of two."""

    def __init__(self) -> None:
        venue = DeskHarness(checked=False)
        venue.instrument("X")
        venue.instrument("Y", price_decimals=2)
        self.data = MarketData()
        for _ in self.data.commands([Recorded(n, one) for n, one in enumerate(venue.log, 1)]):
            pass
        self.steady, self.day = SetClock(77), SetClock(NOON)
        self.fanout = Fanout(records=64, instruments=4, subscribers=4)
        self.freshness = Freshness(self.steady)
        self.references = References(OUTSIDE, self.data, self.fanout, self.freshness, self.day)
        self.bounded = Bounded(self.fanout, self.freshness, source=OUTSIDE)


def test_feed_of_reference_prices_is_another_source_of_the_same_ring():
    """At the instrument's places, rounded half to even, with a count of its own and no position."""
    feed = Placed()
    prices = [
        ReferencePrice("X", 100_00005 * 10**4, 99 * WIRE, 101 * WIRE, NOON - 3),
        ReferencePrice("Y", 100_005 * 10**6),
        ReferencePrice("Z", 1 * WIRE),
        ReferencePrice("X", 102 * WIRE),
    ]

    feed.references.publish(Received(prices, new=True))

    one, two = feed.bounded.read(0, REFERENCE).record, feed.bounded.read(1, REFERENCE).record
    assert one is not None and two is not None
    assert Reference(1_020_000, 0, 0, 0) == reference_of(one)
    assert 10_000 == reference_of(two).price
    assert (OUTSIDE, 0, NOON) == (one.source, one.position, one.at)
    assert (NOON + 2, NOON + 1) == (one.sequence, two.sequence)
    assert 1 == feed.references.unknown


def test_feed_of_reference_prices_is_as_old_as_they_say_they_are():
    """A price that was quoted a second ago is not fresh because it came now."""
    feed = Placed()
    old = ReferencePrice("X", WIRE, quoted_at=NOON - 1_000_000)

    feed.references.publish(Received([old], new=True))
    with pytest.raises(TooOld):
        feed.bounded.read(0, REFERENCE)
    feed.references.publish(Received([old._replace(quoted_at=NOON + 5)], new=True))
    assert 0 == feed.bounded.read(0, REFERENCE).age


def test_feed_of_reference_prices_that_stood_there_before_is_of_unknown_age():
    """What a file held when it was opened may be of last week."""
    feed = Placed()

    feed.references.publish(Received([ReferencePrice("X", WIRE)], new=False))
    with pytest.raises(TooOld):
        feed.bounded.read(0, REFERENCE)
    feed.references.publish(Received([ReferencePrice("X", WIRE)], new=True))

    assert 0 == feed.bounded.read(0, REFERENCE).age


def test_feed_source_from_outside_is_not_the_log():
    """Nothing that is in no log may pass for what is."""
    feed = Placed()
    with pytest.raises(ValueError, match="source is 0"):
        References(0, feed.data, feed.fanout, feed.freshness, feed.day)


def quiet(path: Path) -> tuple[FilePrices, list[str]]:
    """A reader, and what it said."""
    said: list[str] = []
    return FilePrices(path, say=said.append, poll_seconds=0.001), said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'symbol,price,bid,ask,at\nX,1.5,,,\n"Y",2,1.9,2.1,7\n'),
        (
            "a.jsonl",
            '{"symbol":"X","price":1.5}\n\n'
            '{"symbol":"Y","price":"2","bid":"1.9","ask":2.1,"at":7}\n',
        ),
    ],
)
def test_feed_reads_reference_prices_exactly_from_either_format(tmp_path, name, text):
    """Numbers digit for digit, what is not said as 0."""
    path = tmp_path / name
    path.write_text(text)

    async def scene() -> None:
        prices, said = quiet(path)
        received = await prices.receive()
        assert [
            ReferencePrice("X", 1_500_000_000),
            ReferencePrice("Y", 2 * WIRE, 1_900_000_000, 2_100_000_000, 7),
        ] == received.prices
        assert not received.new
        assert [] == said

    run(scene)


def test_feed_follows_a_file_of_reference_prices_as_it_grows_and_is_replaced(tmp_path):
    """Half a line waits for its end; a new file under the name is read from its beginning."""
    path = tmp_path / "a.jsonl"

    async def scene() -> None:
        prices, _ = quiet(path)
        receiving = asyncio.create_task(prices.receive())
        await asyncio.sleep(0.01)
        assert not receiving.done()
        with path.open("w") as file:
            file.write('{"symbol":"X","price":1}\n{"symbol":"X",')
            file.flush()
            assert [WIRE] == [one.price for one in (await receiving).prices]
            receiving = asyncio.create_task(prices.receive())
            await asyncio.sleep(0.01)
            assert not receiving.done()
            file.write('"price":2}\n')
            file.flush()
            received = await receiving
            assert ([2 * WIRE], True) == ([one.price for one in received.prices], received.new)
        other = tmp_path / "b.jsonl"
        other.write_text('{"symbol":"X","price":3.00}\n')
        other.replace(path)
        assert [3 * WIRE] == [one.price for one in (await prices.receive()).prices]
        path.write_text('{"symbol":"X","price":4}\n')
        assert [4 * WIRE] == [one.price for one in (await prices.receive()).prices]

    run(scene)


WRONG = [
    ('{"symbol":"X"}', "says no price"),
    ('{"price":1}', "says no symbol"),
    ('{"symbol":7,"price":1}', "says no symbol"),
    ('{"symbol":"X","price":NaN}', "is no JSON"),
    ('{"symbol":"X","price":true}', "says no number as price"),
    ('{"symbol":"X","price":-1}', "not above 0"),
    ('{"symbol":"X","price":1e400}', "price"),
    ('{"symbol":"X","price":"1e5"}', "price"),
    ('{"symbol":"X","price":0.0000000001}', "price"),
    ('{"symbol":"X","price":1,"bid":"x"}', "bid"),
    ('{"symbol":"X","price":1,"at":1.5}', "says no instant as at"),
    ('{"symbol":"X","price":1,"at":-1}', "says no instant as at"),
    ("[1]", "is no JSON object"),
    ('{"symbol":"X","price":1', "is no JSON"),
    ("x" * 70_000, "has more than 65536 bytes"),
    ("x" * 700_000, "has more than 65536 bytes"),
]


@pytest.mark.parametrize(("line", "why"), WRONG, ids=[why + line[:30] for line, why in WRONG])
def test_feed_passes_over_a_wrong_line_of_reference_prices_and_names_it(tmp_path, line, why):
    """With its number and the field; those before and after it are told."""
    path = tmp_path / "a.jsonl"
    good = '{"symbol":"X","price":1}\n'
    path.write_text(f"{good}{line}\n{good}")

    async def scene() -> None:
        prices, said = quiet(path)
        found = 0
        while found < 2:
            found += len((await prices.receive()).prices)
        assert 1 == len(said) == prices.refused
        assert "line 2 " in said[0] and why in said[0], said

    run(scene)


def test_feed_of_a_csv_without_its_columns_says_which(tmp_path):
    """A header that lacks one, and a row of another length."""
    path = tmp_path / "a.csv"
    path.write_text("symbol,last\nX,1\nX,1,2\n")

    async def scene() -> None:
        prices, said = quiet(path)
        receiving = asyncio.create_task(prices.receive())
        while len(said) < 3:
            await asyncio.sleep(0.001)
        receiving.cancel()
        assert "line 1 is the header and has no column price" in said[0]
        assert "line 2 says no price" in said[1]
        assert "line 3 has 3 columns, and the header 2" in said[2]

    run(scene)


def test_feed_of_an_unknown_format_is_refused():
    """Before anything is read."""
    with pytest.raises(ValueError, match=r"neither \.csv nor \.jsonl"):
        FilePrices(Path("prices.txt"))
