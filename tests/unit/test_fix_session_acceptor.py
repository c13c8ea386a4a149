"""Who gets in over a real socket, who does not, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from api.fix.ports import SessionId, SessionRules
from api.fix.session.acceptor import AcceptorLimits
from tests.fix_session import SESSION, SetTimes, written
from tests.fix_stage import run, stage


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 4,
        b"\x00" * 20_000,
        written("35=0", 1, SetTimes()),
        written("35=A|98=0|108=30", 1, SetTimes(), sender="NOBODY"),
        written("35=A|98=0|108=30", 1, SetTimes(), target="NOBODY"),
        written("35=A|98=0|108=30|554=wrong", 1, SetTimes()),
        written("35=A|98=0|108=30", 1, SetTimes()).replace(b"FIX.4.4", b"FIX.4.2"),
    ],
)
def test_whoever_is_not_known_is_disconnected_without_a_word(first: bytes) -> None:
    """Noise, another message, another's name, a wrong password: nothing is told, nothing used."""

    async def scene() -> None:
        async with stage(limits=AcceptorLimits(tick_seconds=0.01)) as venue:
            client = await venue.client()
            client.raw(first)
            await venue.settled()
            await venue.after(11)
            assert [] == await client.ended()
            assert [] == venue.store.saves

    run(scene)


@pytest.mark.parametrize(
    ("text", "seq_num", "said"),
    [
        ("35=A|98=0|108=30|554=closed", 1, ["35=5|34=1|58=the session is closed"]),
        ("35=A|98=1|108=30", 1, ["35=5|34=1|58=EncryptMethod(98) must be 0"]),
        ("35=A|98=0|108=0", 1, ["35=5|34=1|58=HeartBtInt(108) must be from 1 to 3600"]),
        (
            "35=A|98=0",
            1,
            [
                "35=3|34=1|45=1|58=Required tag missing|371=108|372=A|373=1",
                "35=5|34=2|58=Required tag missing (tag 108)",
            ],
        ),
        (
            "35=A|98=0|108=30|52=20010101-00:00:00",
            1,
            ["35=5|34=1|58=SendingTime(52) is over 120 seconds from ours"],
        ),
        (
            "35=A|98=0|108=30|141=Y",
            5,
            ["35=5|34=1|58=MsgSeqNum(34) must be 1 with ResetSeqNumFlag(141)"],
        ),
        (
            "35=A|98=0|108=30|789=7",
            1,
            ["35=5|34=1|58=NextExpectedMsgSeqNum(789) is too high, expecting 1 but received 7"],
        ),
    ],
)
def test_logon_that_is_refused_says_why(text: str, seq_num: int, said: list[str]) -> None:
    """A client that was let in is told what is wrong with its Logon."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            client.send(seq_num, text)
            assert said == [await client.shown() for _ in said]
            await venue.after(3)
            assert [] == await client.ended()

    run(scene)


def test_session_that_is_connected_cannot_be_had_twice() -> None:
    """The second connection is closed; the first goes on."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            other = await venue.client()
            other.send(1, "35=A|98=0|108=30")
            assert [] == await other.ended()
            client.send(2, "35=1|112=A")
            assert "35=0|34=2|112=A" == await client.shown()

    run(scene)


def test_connections_that_do_not_log_on_are_bounded_in_number_and_time() -> None:
    """Beyond the bound the silent one makes room, those within are closed after their seconds."""

    async def scene() -> None:
        async with stage(limits=AcceptorLimits(unknown=2, tick_seconds=0)) as venue:
            first, second = await venue.client(), await venue.client()
            await venue.settled()
            third = await venue.client()
            assert [] == await first.ended()
            await venue.after(10)
            assert [] == await second.ended() + await third.ended()
            await venue.settled()
            client = await venue.client()
            assert "35=A|34=1|98=0|108=30" == await client.logon()

    run(scene)


def test_stop_logs_every_session_out() -> None:
    """Who answers is gone at once, and its numbers stand as they were."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            stopping = asyncio.create_task(venue.acceptor.stop("until tomorrow"))
            assert "35=5|34=2|58=until tomorrow" == await client.shown()
            client.send(2, "35=5")
            assert [] == await client.ended()
            await stopping
            numbers = await venue.store.open(SESSION)
            assert (3, 3) == (numbers.next_in, numbers.next_out)
            assert [SESSION] == venue.application.ended

    run(scene)


def test_client_that_does_not_read_is_disconnected_and_keeps_what_is_owed() -> None:
    """Above the high-water mark nothing more is numbered; after the deadline it is out."""

    async def scene() -> None:
        rules = replace(SessionRules(SESSION), high_water_bytes=20_000, slow_seconds=5)
        async with stage(rules) as venue:
            client = await venue.client()
            await client.logon()
            transport = client._reader._transport  # type: ignore[attr-defined]
            # Some kernels would take all of it in for a client that reads nothing.
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            transport.pause_reading()
            for place in range(5_000):
                venue.application.happen([(11, b"%d" % place), (58, b"x" * 4_000)])
            await venue.settled()
            for _ in range(7):
                await venue.after(1)
            await venue.gone()
            told = (await venue.store.open(SESSION)).told
            assert 0 < told < 5_000
            client._reader._transport.resume_reading()  # type: ignore[attr-defined]
            await client.close()

            client = await venue.client()
            numbers = await venue.store.open(SESSION)
            await client.logon(numbers.next_in)
            assert b"%d" % told == (await client.next()).get(11)

    run(scene)


def test_hundred_sessions_have_numbers_of_their_own() -> None:
    """Each is answered under its own numbers, all at once."""

    async def scene() -> None:
        ids = [SessionId("VENUE", f"C{place}") for place in range(100)]
        async with stage() as venue:
            venue.door.rules = {one: SessionRules(one) for one in ids}

            async def play(session_id: SessionId, orders: int) -> None:
                client = await venue.client(session_id)
                assert "35=A|34=1|98=0|108=30" == await client.logon()
                for place in range(orders):
                    client.send(2 + place, f"35=1|112={place}")
                for place in range(orders):
                    assert f"35=0|34={2 + place}|112={place}" == await client.shown()

            await asyncio.gather(*(play(one, 1 + n % 7) for n, one in enumerate(ids)))

    run(scene)


def test_client_that_asks_without_reading_is_not_listened_to() -> None:
    """What it asks waits on its side of the wire; once it reads, everything is answered."""

    async def scene() -> None:
        rules = replace(SessionRules(SESSION), high_water_bytes=20_000)
        async with stage(rules) as venue:
            client = await venue.client()
            await client.logon()
            client._reader._transport.pause_reading()  # type: ignore[attr-defined]
            many = 30_000
            for seq_num in range(2, 2 + many):
                client.send(seq_num, "35=1|112=AGAIN AND AGAIN AND AGAIN")
            for _ in range(20):
                await venue.settled()
            assert (SESSION,) == venue.acceptor.sessions()
            client._reader._transport.resume_reading()  # type: ignore[attr-defined]
            for seq_num in range(2, 2 + many):
                assert seq_num == (await client.next()).seq_num

    run(scene)


def test_client_that_comes_back_at_once_waits_for_the_end_of_its_former_connection() -> None:
    """It is not refused because what follows from the end is under way still."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            await venue.settled()
            venue.store.there.clear()
            client.send(2, "35=5")
            assert ["35=5|34=2"] == await client.ended()
            again = await venue.client()
            again.send(3, "35=A|98=0|108=30")
            await venue.settled()
            venue.store.there.set()
            assert "35=A|34=3|98=0|108=30" == await again.shown()

    run(scene)


def test_logon_that_came_is_not_too_late_however_long_it_is_looked_at() -> None:
    """Only who says nothing is disconnected in ten seconds."""

    async def scene() -> None:
        async with stage() as venue:
            venue.store.there.clear()
            client, silent = await venue.client(), await venue.client()
            client.send(1, "35=A|98=0|108=30")
            await venue.after(11)
            assert [] == await silent.ended()
            venue.store.there.set()
            assert "35=A|34=1|98=0|108=30" == await client.shown()

    run(scene)


def test_connection_that_is_dead_gives_its_session_up_in_seconds() -> None:
    """Who logs on anew is refused while the old connection stands; that one has five seconds to
    answer.
    """

    async def scene() -> None:
        async with stage() as venue:
            dead, client = await venue.client(), await venue.client()
            await dead.logon()
            client.send(2, "35=A|98=0|108=30")
            assert [] == await client.ended()
            await venue.after(0.1)
            assert "35=1|34=2|112=TEST1" == await dead.shown()
            await venue.after(4.5)
            assert (SESSION,) == venue.acceptor.sessions()
            await venue.after(0.5)
            await venue.gone()
            client = await venue.client()
            assert "35=A|34=3|98=0|108=30" == await client.logon(2)

    run(scene)


def test_what_is_counted_of_a_lost_connection_was_taken() -> None:
    """The number that is asked for next tells what was worked on, however the connection ends."""

    async def scene() -> None:
        async with stage() as venue:
            client = await venue.client()
            await client.logon()
            for seq_num in range(2, 502):
                client.send(seq_num, f"35=D|11={seq_num}")
            await client.close()
            await venue.gone()
            taken = len(venue.application.received_bodies)
            assert taken > 0
            assert taken + 2 == (await venue.store.open(SESSION)).next_in

    run(scene)
