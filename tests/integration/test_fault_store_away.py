"""A store that goes away is waited for by a writer, which says so once, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.conftest import Schema
from tests.log_checks import check_replay, read_log
from tests.relay import Relay, relay_to
from tests.writer_process import BusClient, Partition, partition, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.soak]

GONE, BACK = "the store is away", "the store is back after"


@pytest.fixture
def venue(schema: Schema) -> Iterator[Partition]:
    """A partition without a writer yet."""
    with partition(schema.dsn, schema.schema) as made:
        yield made


@pytest.fixture
def relay(schema: Schema) -> Iterator[Relay]:
    """A way to the server that can be cut."""
    with relay_to(schema.dsn) as made:
        yield made


async def traded(client: BusClient, relay: Relay) -> tuple[float, float]:
    """Trade while the way to the store is cut, first for what is connected and then for all; how
    long orders waited for the one, and how long after the other.
    """
    await client.open()
    stop = asyncio.Event()
    trading = asyncio.gather(*[client.trade(stop, f"t{i}") for i in range(4)])
    loop = asyncio.get_running_loop()
    await client.answered_more(20)
    relay.drop_what_is_connected()
    began = loop.time()
    await client.answered_more(20)
    first = loop.time() - began
    relay.drop_everything()
    await asyncio.sleep(9)
    relay.forward()
    began = loop.time()
    await client.answered_more(20)
    second = loop.time() - began
    stop.set()
    await asyncio.wait_for(trading, 30)
    await client.bus.close()
    return first, second


def test_writer_whose_store_goes_silent_goes_on_and_says_so_once(
    venue: Partition, relay: Relay
) -> None:
    """Connections that die without a reset are missed within five seconds; what is not known to be
    stored is asked of the log, and every order is there once. A store that is away is one line.
    """
    writer = venue.start(dsn=relay.dsn)
    venue.leader()
    client = BusClient(venue.bus_path)
    first, second = asyncio.run(asyncio.wait_for(traded(client, relay), 100))
    assert first < 6, first
    assert second < 6, second
    log = read_log(venue.dsn, venue.schema)
    log.check()
    stored = log.orders_by_client_id()
    for key, reply in client.told.items():
        ((_, event),) = stored[key]
        assert reply.order is not None and event.originator_id == reply.order.order_id
    assert writer.said.count(GONE) <= 2, writer.said
    assert writer.said.count(GONE) == writer.said.count(BACK), writer.said
    check_replay(venue.dsn, venue.schema, venue.bus_path)


def test_standby_leads_when_only_the_leader_has_lost_the_store(
    venue: Partition, relay: Relay
) -> None:
    """The way of one machine to the store is cut for good: the writer of another leads, and the
    one that was cut off acknowledges nothing.
    """
    cut_off = venue.start(dsn=relay.dsn)
    venue.leader()
    standby = venue.start()
    standby.says("standing by")

    async def run() -> None:
        client = BusClient(venue.bus_path)
        await client.open()
        relay.drop_everything()
        await asyncio.to_thread(standby.says, "leads")
        stop = asyncio.Event()
        trading = asyncio.gather(*[client.trade(stop, f"t{i}") for i in range(2)])
        await client.answered_more(10)
        stop.set()
        await asyncio.wait_for(trading, 40)
        await client.bus.close()

    asyncio.run(asyncio.wait_for(run(), 90))
    wait_until(lambda: GONE in cut_off.said, "it to miss its store", lambda: cut_off.said)
    assert 1 == cut_off.said.count(GONE), cut_off.said
    relay.forward()
    cut_off.says("taken over")
    read_log(venue.dsn, venue.schema).check()
