"""What every recorder keeps to that is appended to: whole batches that go on, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest

from application.log.ports import Batch, RequestKey
from domain.events import AccountLimitsSet, DomainEvent
from infrastructure.log.layouts import Layout
from infrastructure.log.memory import MemoryLog
from tests.conftest import dsn_of
from tests.stores import Store, leading_in, pair_of, same, say, store_of

EMPTY = ["memory", "plain", "native", "both"]


@pytest.fixture(params=[*EMPTY, pytest.param("timescale", marks=pytest.mark.timescale)])
def writer(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A recorder of each kind with nothing in it; in mode both it has a follower."""
    kind = str(request.param)
    if kind == "memory":
        yield MemoryLog()
        return
    with ExitStack() as stack:
        if kind == "both":
            pair = pair_of(dsn_of(request, Layout.PLAIN), Layout.PLAIN, Layout.NATIVE)
            truth, follower = stack.enter_context(pair)
        else:
            layout = Layout(kind)
            truth, follower = stack.enter_context(store_of(dsn_of(request, layout), layout)), None
        yield Led(truth, follower)


class Led:
    """A log that leads within each call of a test's coroutine."""

    def __init__(self, store: Store, follower: Store | None) -> None:
        self.store = store
        self.follower = follower


def of_a_stream(first: int, versions: Sequence[int], stream: int = 1) -> Batch:
    """A batch of one stream's events."""
    made: list[DomainEvent] = [
        AccountLimitsSet(
            UUID(int=stream), version, 10**15 + n, 0, "tester", "test", UUID(int=n), 0, version
        )
        for n, version in enumerate(versions, first)
    ]
    key = RequestKey(UUID(int=9), f"key {first}", b"12345678", first)
    return Batch(first, made, [key])


def test_event_store_contract_appends_whole_batches_or_nothing(
    writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on is stored, also in several statements; a doubled position, version or key is
    refused with all of its batch, and the next batch is as good as if it had never been.
    """
    monkeypatch.setattr("infrastructure.log.appending.STATEMENT_EVENTS", 40)

    def write_both() -> None:
        if isinstance(writer, Led) and writer.follower is not None:
            say(writer.store, "both", writer.follower)

    async def work(recorder: Any) -> None:
        write_both()
        await recorder.append(of_a_stream(1, range(1, 4)))
        await recorder.append(of_a_stream(4, range(4, 104)))
        other = of_a_stream(104, (1, 2), stream=2)
        doubled = other._replace(keys=[RequestKey(UUID(int=9), "key 1", b"12345678", 104)])
        for wrong in (
            of_a_stream(104, (103,)),
            of_a_stream(104, (104, 104)),
            Batch(104, [*other.events, *of_a_stream(106, (1,)).events], []),
            of_a_stream(104, [*range(104, 190), 1]),
            doubled,
        ):
            with pytest.raises((ValueError, AssertionError)):
                await recorder.append(wrong)
            # Where both stores refuse it may be the follower that said so, and was left behind.
            write_both()
        assert 103 == await recorder.last_position()
        assert None is await recorder.find_key(UUID(int=9), "key 104")
        await recorder.append(other)
        found = await recorder.read(0, 1_000)
        assert list(range(1, 106)) == [one.position for one in found]
        assert list(other.events) == [one.event for one in found[-2:]]
        assert other.keys[0] == await recorder.find_key(UUID(int=9), "key 104")

    async def refuse_position(recorder: Any) -> None:
        with pytest.raises((ValueError, AssertionError)):
            await recorder.append(of_a_stream(105, (1,), stream=3))
        assert 105 == await recorder.last_position()

    if isinstance(writer, MemoryLog):
        asyncio.run(work(writer))
        asyncio.run(refuse_position(writer))
        return

    async def led() -> None:
        async with leading_in(writer.store) as recorder:
            await work(recorder)
            if writer.follower is not None:
                assert "both" == writer.store.mode()
                assert same(writer.store, writer.follower)
            await refuse_position(recorder)

    asyncio.run(led())
