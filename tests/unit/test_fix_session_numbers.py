"""Numbers of a session: stored before they are used, resent as they were, begun anew."""

from __future__ import annotations

import asyncio

import pytest

from api.fix.ports import Body, Report, Source
from api.fix.session.memory import MemorySessionStore
from tests.fix_session import SESSION
from tests.fix_stage import run, stage


def test_order_is_reported_under_a_number_that_was_stored_first() -> None:
    """Logon, order, report, Logout: and what stands in the store says the same."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            assert "35=A|34=1|98=0|108=30" == await client.logon()
            client.send(2, "35=D|11=one")
            assert "35=8|34=2|11=one|150=0" == await client.shown()
            client.send(3, "35=5")
            assert ["35=5|34=3"] == await client.ended()
            await venue.gone()

            numbers = await venue.store.open(SESSION)
            assert (4, 4, 1) == (numbers.next_in, numbers.next_out, numbers.told)
            assert [2] == [row.seq_num for row in await venue.store.sent(SESSION, 1, 9)]

    run(scene)


def test_report_owed_while_the_client_was_away_comes_with_a_new_number() -> None:
    """Nothing is numbered without a client; nothing is lost either."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            await client.close()
            await venue.gone()
            venue.application.happen([(11, b"away")])

            client = await venue.client()
            assert "35=A|34=2|98=0|108=30" == await client.logon(2)
            assert "35=8|34=3|11=away" == await client.shown()

    run(scene)


def test_resend_fills_over_session_messages_and_repeats_reports() -> None:
    """A closed range, an open one, and one that ends beyond what was sent."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            for seq_num, text in enumerate(("35=1|112=A", "35=D|11=a", "35=D|11=b"), 2):
                client.send(seq_num, text)
                await client.shown()
            client.send(5, "35=1|112=B")
            assert "35=0|34=5|112=B" == await client.shown()

            first, second = "35=8|34=3|43=Y|11=a|150=0", "35=8|34=4|43=Y|11=b|150=0"
            begin, end = "35=4|34=1|43=Y|36=3|123=Y", "35=4|34=5|43=Y|36=6|123=Y"
            asked = {"7=1|16=0": [begin, first, second, end], "7=4|16=4": [second]}
            asked["7=2|16=3"] = ["35=4|34=2|43=Y|36=3|123=Y", first]
            asked["7=5|16=99"] = [end]
            for seq_num, (which, said) in enumerate(asked.items(), 6):
                client.send(seq_num, f"35=2|{which}")
                assert said == [await client.shown() for _ in said]
            client.send(10, "35=1|112=C")
            assert "35=0|34=6|112=C" == await client.shown()

    run(scene)


def test_numbers_of_session_messages_are_reserved_ahead_and_a_crash_leaves_a_gap_to_fill() -> None:
    """After a crash the session goes on above what may have been used; the gap is filled."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            client.send(2, "35=D|11=one")
            await client.shown()
            crashed = venue.store.saves[-1][0]
            assert 3 == crashed.next_out
            assert crashed.reserved > 500
            await client.close()
            await venue.gone()
            await MemorySessionStore.save(venue.store, SESSION, crashed)

            client = await venue.client()
            answer = await client.logon(3)
            assert f"35=A|34={crashed.reserved}|98=0|108=30" == answer
            client.send(4, "35=2|7=3|16=0")
            assert f"35=4|34=3|43=Y|36={crashed.reserved + 1}|123=Y" == await client.shown()
            client.send(5, "35=1|112=A")
            assert f"35=0|34={crashed.reserved + 1}|112=A" == await client.shown()

    run(scene)


def test_what_is_not_decided_yet_is_asked_for_again_after_a_crash() -> None:
    """What this process passed on may be lost with it: its number is not stored as taken."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            for seq_num in (2, 3, 4):
                client.send(seq_num, f"35=D|11={seq_num}")
                await client.shown()
                venue.application.first_undecided = 3
            await client.close()
            await venue.gone()

            assert 3 == (await venue.store.open(SESSION)).next_in

    run(scene)


def test_session_answers_while_the_store_is_away_and_reports_wait_for_it() -> None:
    """Reserved numbers keep it alive; a report has none before it is stored."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            await venue.settled()
            venue.store.there.clear()
            client.send(2, "35=1|112=A")
            assert "35=0|34=2|112=A" == await client.shown()
            await venue.after(30)
            assert "35=0|34=3" == await client.shown()
            client.send(3, "35=D|11=one")
            client.send(4, "35=1|112=B")
            await venue.settled()
            venue.store.there.set()
            assert {"35=0|34=4|112=B", "35=8|34=5|11=one|150=0"} == {
                await client.shown(),
                await client.shown(),
            }

    run(scene)


def test_heartbeats_overtake_reports_that_wait_for_the_store() -> None:
    """A report without a number holds nothing up: it gets the next one when the store is back."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            client.send(2, "35=0")
            await venue.settled()
            venue.store.there.clear()
            await venue.after(6)
            venue.application.happen([(11, b"late")])
            client.send(3, "35=1|112=A")
            assert "35=0|34=2|112=A" == await client.shown()
            await venue.after(30)
            assert "35=0|34=3" == await client.shown()
            venue.store.there.set()
            assert "35=8|34=4|11=late" == await client.shown()

    run(scene)


def test_client_is_kept_content_while_a_report_waits_for_the_store() -> None:
    """A number that may be stored for the report is used for nothing else: the next number is told
    again, to a client that is known to have no gap.
    """

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            client.send(2, "35=D|11=one")
            await client.shown()
            await venue.after(30)
            assert "35=0|34=3" == await client.shown()
            assert "35=1|34=4|112=TEST1" == await client.shown()
            client.send(3, "35=0|112=TEST1")
            await venue.settled()
            venue.store.there.clear()
            client.send(4, "35=D|11=two")
            await venue.after(30)
            assert "35=4|34=5|36=5" == await client.shown()
            venue.store.there.set()
            assert "35=8|34=5|11=two|150=0" == await client.shown()

    run(scene)


def test_numbers_begun_anew_repeat_what_is_not_known_to_have_arrived() -> None:
    """What a TestRequest confirmed is not repeated; what is repeated says PossResend, and keeps
    it when it is asked for again.
    """

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            client.send(2, "35=D|11=one")
            await client.shown()
            await venue.after(30)
            await client.shown()
            assert "35=1|34=4|112=TEST1" == await client.shown()
            client.send(3, "35=0|112=TEST1")
            client.send(4, "35=D|11=two")
            await client.shown()
            await client.close()
            await venue.gone()

            client = await venue.client()
            assert "35=A|34=1|98=0|108=30|141=Y" == await client.logon(1, "|141=Y")
            assert "35=8|34=2|97=Y|11=two|150=0" == await client.shown()
            client.send(2, "35=2|7=2|16=2")
            assert "35=8|34=2|43=Y|97=Y|11=two|150=0" == await client.shown()
            assert [] == list(await venue.store.uncertain(SESSION))

    run(scene)


def test_numbers_are_begun_anew_within_a_session() -> None:
    """A Logon with ResetSeqNumFlag is answered under number 1, and all goes on from there."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            client.send(2, "35=D|11=one")
            await client.shown()
            client.send(1, "35=A|98=0|108=30|141=Y")
            client.send(2, "35=1|112=A")
            assert "35=A|34=1|98=0|108=30|141=Y" == await client.shown()
            assert {"35=8|34=2|97=Y|11=one|150=0", "35=0|34=3|112=A"} == {
                await client.shown(),
                await client.shown(),
            }

    run(scene)


@pytest.mark.parametrize("many", [20_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_long_resend_is_paced_and_what_happens_meanwhile_follows_it(many: int) -> None:
    """So many reports again, in order, and the newest after them with the next number."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            link = venue.application.links[SESSION]
            venue.application.events = [
                (SESSION, Body(b"8", ((11, b"%d" % place),))) for place in range(many)
            ]
            reports = [
                Report(Source(place), body)
                for place, (_, body) in enumerate(venue.application.events, 1)
            ]
            delivering = asyncio.create_task(link.deliver(reports, len(reports)))
            for seq_num in range(2, many + 2):
                assert seq_num == (await client.next()).seq_num
            await delivering
            client.send(2, "35=2|7=1|16=0")
            assert "35=4|34=1|43=Y|36=2|123=Y" == await client.shown()
            venue.application.happen([(11, b"new")])
            for seq_num in range(2, many + 2):
                message = await client.next()
                assert (seq_num, b"Y") == (message.seq_num, message.get(43))
            assert f"35=8|34={many + 2}|11=new" == await client.shown()

    run(scene)
