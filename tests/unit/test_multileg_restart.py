"""Multi-leg orders through restarts: from a snapshot, from the log, and what only the log knows."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from application.commands import CancelOrder, ReplaceOrder, Reply
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import state_hash
from application.log.ports import Recorded
from application.requests import Command
from domain.events import MultiLegReplaced
from domain.identifiers import NO_ID
from domain.multileg import MultiLegOrder
from domain.terms import StrategyStatus, TimeInForce
from infrastructure.log.codec import encode_event
from tests.model.desk_harness import code, shares, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer
from tests.model.strategy_desk import PAIR, TURNED, StrategyDesk, buys, sells

Life = Callable[[StrategyDesk], None]


def in_parts(venue: StrategyDesk) -> None:
    """Filled in three parts by orders that come, replaced twice between them."""
    venue.bids("B", 50, 99)
    parent = venue.placed(venue.me, PAIR, 10, 2)
    venue.offers("A", 4, 101)
    venue.replace(venue.me, parent.id, qty=12)
    venue.offers("A", 3, 100)
    venue.replace(venue.me, parent.id, limit=3, client="again")
    venue.offers("A", 9, 102)


def against_each_other(venue: StrategyDesk) -> None:
    """Two that rest, one that meets both, and what is left of each is canceled."""
    legs, turned = (buys("A", 2), sells("B", 3)), (buys("B", 3), sells("A", 2))
    venue.placed(venue.me, legs, 4, -90)
    venue.placed(venue.other, legs, 4, -95)
    parent = venue.placed(venue.you, turned, 9, 100)
    venue.cancel_all(venue.me)
    venue.cancel(venue.you, parent.id)


def nights(venue: StrategyDesk) -> None:
    """A day order that expires beside one that stays, a halt, and the next day."""
    venue.placed(venue.me, PAIR, 3, 2, TimeInForce.DAY)
    venue.placed(venue.me, PAIR, 3, 1)
    venue.halt("B")
    venue.offers("A", 2, 99)
    venue.close("A")
    venue.expire("A")
    venue.open("A")
    venue.bids("B", 9, 99)
    venue.resume("B")


LIVES = [in_parts, against_each_other, nights]


def lived(life: Life, *, restarts: bool = False) -> StrategyDesk:
    """A venue after one of these lives."""
    venue = StrategyDesk(restarts=restarts)
    life(venue)
    return venue


@pytest.mark.parametrize("life", LIVES)
def test_multileg_restarted_before_every_command_lives_the_same_life(life: Life) -> None:
    """Killed between any two decisions it goes on to the same events, byte for byte."""
    straight, restarted = lived(life), lived(life, restarts=True)

    assert [encode_event(e) for e in straight.log] == [encode_event(e) for e in restarted.log]
    assert state_hash(straight.desk) == state_hash(restarted.desk)
    straight.audit()


@pytest.mark.parametrize("life", LIVES)
def test_multileg_state_followed_up_to_any_command_is_the_state_it_had(life: Life) -> None:
    """A standby that has followed so far, or a replay as of then, has the desk of that moment."""
    venue = StrategyDesk()
    seen: list[tuple[int, bytes]] = []
    check = venue.check

    def noted() -> None:
        check()
        seen.append((venue.desk.position, state_hash(venue.desk)))

    venue.check = noted  # type: ignore[method-assign]
    life(venue)

    standby, followed = Desk(), 0
    for position, live in seen:
        part = venue.log[followed:position]
        follow(standby, [Recorded(followed + n, event) for n, event in enumerate(part, 1)])
        followed = position
        assert live == state_hash(standby)


def ended() -> tuple[StrategyDesk, MultiLegOrder, UUID]:
    """One that was replaced twice, under another name the second time, and then canceled; with the
    id of its first revision.
    """
    venue = StrategyDesk()
    parent = venue.placed(venue.me, PAIR, 5, 2, client="first")
    venue.replace(venue.me, parent.id, limit=1)
    venue.replace(venue.me, parent.id, limit="1.50", client="second")
    venue.cancel(venue.me, parent.id)
    revisions = [event.revision_id for event in venue.log if isinstance(event, MultiLegReplaced)]
    return venue, parent, revisions[0]


@pytest.mark.parametrize("known", ["id", "revision", "name", "leg"])
def test_multileg_order_that_only_the_log_knows_is_not_working_any_more(known: str) -> None:
    """By any id that it had and by its name, in a cancel and in a replace; and nobody else's."""
    venue, parent, revision = ended()
    ids = {"id": parent.id, "revision": revision, "leg": parent.strategy[0].order_id}
    order_id, name = ids.get(known), "second" if known == "name" else ""

    async def scene(writer: MemoryWriter) -> None:
        asked: list[Command] = [
            CancelOrder(venue.me, order_id, name, "x"),
            ReplaceOrder(venue.me, order_id or NO_ID, "", "r", shares(9), name=name),
        ]
        assert ["ORDER_NOT_WORKING"] * 2 == await writer.codes(*asked)
        assert ["UNKNOWN_ORDER"] == await writer.codes(CancelOrder(venue.you, order_id, name, "y"))

    on_a_writer(logged(venue), scene)


def test_multileg_order_that_works_is_found_after_a_restart_by_an_older_id() -> None:
    """The ids of its revisions stand in the snapshot."""
    venue = StrategyDesk(restarts=True)
    parent = venue.placed(venue.me, PAIR, 5, 2)
    first = venue.replace(venue.me, parent.id, limit=1)
    assert first.result is not None
    venue.replace(venue.me, parent.id, limit="1.50")

    venue.ok(CancelOrder(venue.me, UUID(first.result["revision_id"]), "", "x"))

    assert StrategyStatus.CANCELED == venue.status(parent)


def test_multileg_request_that_comes_again_is_answered_with_what_became_of_it() -> None:
    """Also after a restart, when it has traded since; another body under its name is refused."""
    venue = StrategyDesk()
    command = venue.asked(venue.me, PAIR, 5, 2, client="once")
    venue.ok(command)
    venue.bids("B", 9, 99)
    venue.offers("A", 2, 101)
    other = venue.asked(venue.me, PAIR, 6, 2, client="once")
    turned = venue.asked(venue.you, TURNED, 1, -2, client="turned")

    async def scene(writer: MemoryWriter) -> None:
        again: Reply = await writer.send(command)
        assert again.duplicate and again.strategy is not None
        assert (shares(2), shares(3)) == (again.strategy.filled, again.strategy.leaves)
        assert [shares(2)] * 2 == [leg.filled for leg in again.legs]
        assert 1 == len(await writer.codes(other))
        assert "" != code(await writer.send(other))
        await writer.send(turned)
        later: Reply = await writer.send(command)
        assert later.strategy is not None
        assert wire(2) == later.strategy.net_price

    on_a_writer(logged(venue), scene)
