"""Where a gateway's ports meet what stands behind them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.key_issuing import keep_ensuring
from api.key_news import KeyNews
from api.market_data.mirror import Mirror
from api.metrics import OF_CHANNELS, OF_CLOCK, OF_FEED, counted_by, this_process
from api.processes.gateway import Gateway
from api.processes.lifeline import beat_in_loop
from api.view_progress import ViewProgress
from api.ws.market_data.hub import Hub, Manners
from api.ws.market_data.paces import step_at_least
from application.ports import CommandBus
from infrastructure.calendar_source import Calendars
from infrastructure.clock import SteadyClock, VenueClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.database import open_database
from infrastructure.log.pool import StorePool
from infrastructure.log.reads import PooledLog
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.stores import Stores
from infrastructure.settings import Settings

log = logging.getLogger(__name__)

POOL_LEAST = 1
POOL_MOST = 8
KEY_POOL_MOST = 2
POOL_WAIT_SECONDS = 5.0
OPERATOR_SECONDS = 2.0
"""How long a gateway waits at its start for the operator's key to be good."""


@asynccontextmanager
async def open_gateway(settings: Settings, process: str = "gateway") -> AsyncIterator[Gateway]:
    """A gateway of its own process: the store and the writer's socket as the settings say."""
    beat_in_loop()
    database = await asyncio.to_thread(open_database, settings, process=process)
    try:
        bus = bus_of(settings)
        try:
            async with join(settings, database.dsn, bus) as gateway:
                yield gateway
        finally:
            await bus.close()
    finally:
        await asyncio.to_thread(database.stop)


def bus_of(settings: Settings) -> UnixSocketBus:
    """The way to the writer for clients' commands, as many of them and as old as the settings
    take.
    """
    return UnixSocketBus(
        settings.bus_socket, most=settings.queue_limit, late=settings.queue_age_ms / 1000
    )


@asynccontextmanager
async def join(settings: Settings, dsn: str, bus: CommandBus) -> AsyncIterator[Gateway]:
    """A gateway on a store and a way to the writer that are there already."""
    schema = settings.partition_schema
    stores = Stores(dsn, schema)
    pool, key_pool = (
        StorePool(stores, min_size=POOL_LEAST, max_size=most, timeout=POOL_WAIT_SECONDS)
        for most in (POOL_MOST, KEY_POOL_MOST)
    )
    source = PostgresEventSource(dsn, schema)
    progress = ViewProgress(pool)
    clock = VenueClock.of(settings, log.warning)
    async with pool, key_pool:
        market = Mirror(settings.feed_socket, SteadyClock())
        gateway = Gateway(
            *(settings, bus, pool, PooledLog(pool), source, progress, clock, Calendars()),
            market=market,
            key_pool=key_pool,
        )
        gateway.when_moved += [source.moved, key_pool.moved]
        news = KeyNews(stores, gateway.keys.changed)
        gateway.when_moved.append(news.moved)
        await news.start()
        operator = await _see_to_operator(settings, bus)
        told = counted_by("market-data", "nexus_feed", OF_FEED, lambda: market.metrics)
        gateway.metrics.more.append(told)
        own = counted_by(this_process(), "nexus_clock", OF_CLOCK, lambda: gateway.heart.clock)
        gateway.metrics.more.append(own)
        market.start()
        gateway.channels = Hub(market, SteadyClock(), clock, _manners(settings))
        gateway.channels.start()
        counts = gateway.channels.counts
        channels = counted_by(this_process(), "nexus_channels", OF_CHANNELS, lambda: counts)
        gateway.metrics.more.append(channels)
        await progress.start()
        watching = asyncio.create_task(pool.stores.watch(gateway.moved), name="where the log is")
        try:
            yield gateway
        finally:
            for task in (watching, operator):
                task.cancel()
            await asyncio.gather(watching, operator, return_exceptions=True)
            await news.stop()
            await gateway.updates.stop()
            await gateway.snapshots.stop()
            await gateway.channels.stop()
            await market.stop()
            await progress.stop()
            await source.close()


def _manners(settings: Settings) -> Manners:
    """How clients of market data are told, as the settings have it."""
    return Manners(
        throttle_ms=step_at_least(settings.market_data_throttle_ms),
        heartbeat_ms=settings.market_data_heartbeat_ms,
        stale_ms=settings.market_data_stale_ms,
        slow_ms=settings.market_data_slow_ms,
    )


async def _see_to_operator(settings: Settings, bus: CommandBus) -> asyncio.Task[str | None]:
    """Have NEXUS_ADMIN_KEY let an operator in, where this process was given it; a writer that is
    away is waited for, and not by whoever asks for something else.
    """
    if settings.admin_key is None:
        return asyncio.create_task(asyncio.sleep(0), name="no operator's key")
    ensuring = asyncio.create_task(keep_ensuring(bus, settings, log.warning), name="operator's key")
    await asyncio.wait((ensuring,), timeout=OPERATOR_SECONDS)
    return ensuring
