"""FIX sessions take turns: one that sends thousands of messages at once keeps no other waiting."""

from __future__ import annotations

from api.fix.ports import SessionId, SessionRules
from api.fix.session.connection import TURN_MESSAGES
from tests.fix_session import SESSION, VENUE, written
from tests.fix_stage import Stage, run, stage

OTHER = SessionId(VENUE, "OTHER")
MANY = 6 * TURN_MESSAGES + 7


def orders(venue: Stage) -> bytes:
    """Many orders of the flooding session, the first under number 2."""
    return b"".join(
        written(f"35=D|11=o{number}", number + 2, venue.times) for number in range(MANY)
    )


def rated() -> SessionRules:
    """A session that may send as much as it can."""
    return SessionRules(SESSION)


def test_session_that_floods_leaves_another_its_turn() -> None:
    """A question asked behind hundreds of orders of another session is answered among them."""

    async def scene() -> None:
        async with stage(rated()) as venue:
            venue.door.rules[OTHER] = SessionRules(OTHER)
            flooding, other = await venue.client(), await venue.client(OTHER)
            await flooding.logon()
            await other.logon()
            flooding.raw(orders(venue))
            other.send(2, "35=1|112=STILL THERE")
            assert "35=0|34=2|112=STILL THERE" == await other.shown()
            assert 0 < len(venue.application.received_bodies) < MANY

    run(scene)


def test_messages_that_come_at_once_are_taken_in_their_order() -> None:
    """All of them, also those that come while others wait for their turn."""

    async def scene() -> None:
        async with stage(rated()) as venue:
            flooding = await venue.client()
            await flooding.logon()
            data = orders(venue)
            flooding.raw(data[: len(data) // 2])
            await venue.settled()
            flooding.raw(data[len(data) // 2 :])
            for _ in range(MANY):
                await flooding.next()
            assert [b"o%d" % number for number in range(MANY)] == (
                venue.application.received_bodies
            )

    run(scene)


def test_messages_that_came_are_taken_though_the_client_is_gone() -> None:
    """Whoever sends and hangs up has sent: what had arrived is taken before the session ends."""

    async def scene() -> None:
        async with stage(rated()) as venue:
            flooding = await venue.client()
            await flooding.logon()
            flooding.raw(orders(venue))
            await flooding.close()
            await venue.gone()
            assert MANY == len(venue.application.received_bodies)

    run(scene)
