"""What a process has refused, counted by door and reason."""

from __future__ import annotations

from api.door.refusals import FIX, HTTP, KEPT, NO_LOGON, Refusals, SinceLast, refusals_of
from tests.fix_session import SetTimes, written
from tests.fix_stage import run, stage


def test_door_refusals_are_told_by_door_and_reason() -> None:
    """In an order that stays, so that two looks can be compared."""
    refusals = Refusals()
    for reason in ("B", "A", "B"):
        refusals.count(HTTP, reason)
    refusals.count(FIX, "B")

    assert [("fix", "B", 1), ("http", "A", 1), ("http", "B", 2)] == [*refusals]


def test_door_refusals_since_the_last_look_are_no_others() -> None:
    """Each is told once; where there is nothing new nothing is told."""
    refusals = Refusals()
    since_last = SinceLast(refusals)
    refusals.count(FIX, NO_LOGON)
    refusals.count(FIX, NO_LOGON)
    assert [("fix", NO_LOGON, 2)] == since_last.news()
    assert [] == since_last.news()
    refusals.count(FIX, NO_LOGON)
    assert [("fix", NO_LOGON, 1)] == since_last.news()


def test_door_refusals_of_an_application_are_those_that_it_keeps() -> None:
    """One that keeps none has nowhere to count, and works all the same."""

    class Keeping:
        def __init__(self, **state: object) -> None:
            self.state = state

    kept = Refusals()
    assert kept is refusals_of(Keeping(**{KEPT: kept}))
    for app in (Keeping(), object()):
        refusals_of(app).count(HTTP, "X")
    assert [] == [*kept]


def test_door_of_fix_counts_whom_it_does_not_serve() -> None:
    """Noise, silence, a logon that is not good: by reason."""

    found: dict[str, int] = {}

    async def scene() -> None:
        async with stage() as venue:
            noise, wrong = await venue.client(), await venue.client()
            noise.raw(b"GET / HTTP/1.1\r\n\r\n" * 2_000)
            wrong.raw(written("35=A|98=0|108=30|554=wrong", 1, SetTimes()))
            await venue.client()
            await venue.settled()
            await venue.after(11)
            for one in (noise, wrong):
                await one.ended()
            found.update({one.reason: one.times for one in venue.acceptor.refusals})

    run(scene)
    assert {"NO_LOGON": 1, "NOT_ADMITTED": 1, "LOGON_TIMEOUT": 1} == found
