"""Market data takes numbers of a session like all else: none is stored, and none is sent again."""

from __future__ import annotations

from api.fix.ports import Body, SessionRules
from api.fix.session.outgoing import RESERVED, UNREAD_MOST
from tests.fix_session import SESSION
from tests.fix_stage import run, stage

MANY = 3 * RESERVED


def refresh(number: int, padding: int = 0) -> Body:
    """An incremental refresh, as far as its number says which."""
    return Body(b"X", ((262, b"q%d" % number), (58, b"-" * (padding + 1))))


def test_fix_market_data_is_numbered_ahead_a_thousand_at_a_time() -> None:
    """Every message has the next number, and the store is asked once for some hundreds."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            link, before = venue.application.links[SESSION], len(venue.store.saves)
            for number in range(MANY):
                link.answer(refresh(number))
                assert f"35=X|34={number + 2}|262=q{number}|58=-" == await client.shown()
            assert len(venue.store.saves) - before <= 2 * MANY / RESERVED + 1
            assert 0 == sum(rows for _, rows in venue.store.saves)

    run(scene)


def test_fix_market_data_asked_for_again_is_filled_over_and_reports_between_it_are_not() -> None:
    """What it said is old: a client is told the next number, and every report as it was."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            link = venue.application.links[SESSION]
            for number in range(MANY):
                link.answer(refresh(number))
                await client.next()
            client.send(2, "35=D|11=one")
            report = f"35=8|34={MANY + 2}|"
            assert report + "11=one|150=0" == await client.shown()
            link.answer(refresh(MANY))
            await client.next()

            client.send(3, "35=2|7=2|16=0")

            assert f"35=4|34=2|43=Y|36={MANY + 2}|123=Y" == await client.shown()
            assert report + "43=Y|11=one|150=0" == await client.shown()
            assert f"35=4|34={MANY + 3}|43=Y|36={MANY + 4}|123=Y" == await client.shown()

    run(scene)


def test_fix_market_data_waits_where_numbers_cannot_be_reserved() -> None:
    """A session says itself when the time is for what can wait: not while messages wait."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            link = venue.application.links[SESSION]
            venue.store.there.clear()
            sent = 0
            while link.clear():
                link.answer(refresh(sent))
                sent += 1
                assert sent <= 2 * RESERVED
            venue.store.there.set()
            for number in range(sent):
                assert f"262=q{number}" in await client.shown()
            assert link.clear()

    run(scene)


def test_fix_market_data_is_held_back_long_before_a_client_is_too_slow_for_its_reports() -> None:
    """What a client leaves unread of it is a small part of what reports may be: they come next."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            link, sent, piece = venue.application.links[SESSION], 0, 32_768
            assert UNREAD_MOST + piece < SessionRules(SESSION).high_water_bytes / 10
            while link.clear():
                link.answer(refresh(sent, piece))
                sent += 1
                assert sent < 2_000, "the kernel takes all"
            client.send(2, "35=D|11=one")
            for number in range(sent):
                assert f"262=q{number}" in await client.shown()
            assert "35=8" in await client.shown()
            assert link.clear()

    run(scene)
