"""A gateway in front of a writer that is late: what would only wait is not sent."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from application.commands import CancelOrder, Reply
from infrastructure.command_bus import UnixSocketBus
from tests.integration.test_command_bus import ACCOUNT, order, path, run, serving, taken

__all__ = ["path", "run"]


def test_gateway_holds_back_what_a_writer_that_is_late_would_let_wait(run: Any, path: Path) -> None:
    """While its last answer took too long an order is refused at once, and a cancel is sent; when
    nobody waits any more the next order tells how late it is now.
    """

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path, late=0.05)
            waiting = [bus.ask(order(f"o{i}"), "a", "t") for i in range(3)]
            await taken(writer, 3)
            await asyncio.sleep(0.1)
            writer.taken[0][1](Reply(1))
            await waiting[0]
            await asyncio.sleep(0.1)
            refused = await bus.send(order("o3"), "a", "t")
            assert ("QUEUE_FULL", 0) == (refused.refusal and refused.refusal.code, refused.position)
            waiting.append(bus.ask(CancelOrder(ACCOUNT, None, "o1", "c"), "a", "t"))
            await taken(writer, 4)
            for number in (1, 2, 3):
                writer.taken[number][1](Reply(number))
            await asyncio.gather(*waiting)
            writer.answering = True
            assert 5 == (await bus.send(order("o3"), "a", "t")).position
            assert 6 == (await bus.send(order("o4"), "a", "t")).position
            await bus.close()

    run(work())


def test_gateway_holds_nothing_back_after_a_moment_in_which_nothing_was_stored(
    run: Any, path: Path
) -> None:
    """As when the log goes to another store: an answer took long, and who waits now does not."""

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path, late=0.2)
            first = bus.ask(order("o1"), "a", "t")
            await taken(writer, 1)
            await asyncio.sleep(0.3)
            second = bus.ask(order("o2"), "a", "t")
            await taken(writer, 2)
            writer.taken[0][1](Reply(1))
            await first
            third = bus.ask(order("o3"), "a", "t")
            await taken(writer, 3)
            for number in (1, 2):
                writer.taken[number][1](Reply(number + 1))
            assert [2, 3] == [(await one).position for one in (second, third)]
            await bus.close()

    run(work())


def test_gateway_forgets_how_late_it_was_when_nobody_waited(run: Any, path: Path) -> None:
    """Two orders at once, long after one that was late: both are sent."""

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path, late=0.05)
            late = bus.ask(order("o1"), "a", "t")
            await taken(writer, 1)
            await asyncio.sleep(0.1)
            writer.taken[0][1](Reply(1))
            await late
            await asyncio.sleep(0.1)
            both = [bus.ask(order(f"o{n}"), "a", "t") for n in (2, 3)]
            await taken(writer, 3)
            for number in (1, 2):
                writer.taken[number][1](Reply(number + 1))
            assert [2, 3] == [(await one).position for one in both]
            await bus.close()

    run(work())


def test_gateway_waits_for_so_many_answers_and_no_more(run: Any, path: Path) -> None:
    """However long the writer is silent; a quarter on top is for what takes risk away."""

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path, most=8)
            asked = [bus.ask(order(f"o{i}"), "a", "t") for i in range(20)]
            asked += [
                bus.ask(CancelOrder(ACCOUNT, None, "o1", f"c{i}"), "a", "t") for i in range(5)
            ]
            await taken(writer, 10)
            assert 15 == sum(future.done() for future in asked)
            for number in range(10):
                writer.taken[number][1](Reply(number))
            replies = await asyncio.gather(*asked)
            codes = Counter(reply.refusal and reply.refusal.code for reply in replies)
            assert {None: 10, "QUEUE_FULL": 15} == codes
            await bus.close()

    run(work())
