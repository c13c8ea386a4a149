"""The small parts of a FIX session: times, what waits, what is ahead, what has arrived."""

from __future__ import annotations

from itertools import pairwise

import pytest

from api.fix.ports import Body, Rate, Report, Source
from api.fix.session.arrivals import TESTS_MOST, Arrivals
from api.fix.session.gaps import AHEAD_MOST, Gap
from api.fix.session.pacing import RollingRate
from api.fix.session.registry import AcceptorLimits, Registry
from api.fix.session.times import SendingTimes
from api.fix.session.waiting import GROUP_REPORTS, Owed, Waiting
from tests.fix_session import NOON, SESSION, SetTimes, read, written


def test_times_are_read_to_the_microsecond() -> None:
    """With no fraction, or three, six or nine digits; a leap second is the next one."""
    read_time = SendingTimes().read

    assert NOON == read_time(b"20261130-12:00:00")
    assert NOON + 7_000 == read_time(b"20261130-12:00:00.007")
    assert NOON + 7 == read_time(b"20261130-12:00:00.000007")
    assert NOON + 7 == read_time(b"20261130-12:00:00.000007999")
    assert read_time(b"20170101-00:00:00") == read_time(b"20161231-23:59:60")
    assert read_time(b"20240229-00:00:00") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261130",
        "20261130 12:00:00",
        "20261130-12:00:00.",
        "20261130-12:00:00.12",
        "20261130-12:00:00.1234567890",
        "20261130-12:00:00x123",
        "20261130-24:00:00",
        "20261130-12:60:00",
        "20261131-12:00:00",
        "20260229-12:00:00",
        "20261330-12:00:00",
        "20260030-12:00:00",
        "-0261130-12:00:00",
        "2026113\xb9-12:00:00",
        "19691231-23:59:59",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    """Nothing that a client may write breaks it."""
    assert SendingTimes().read(text.encode("latin-1")) is None


def test_reports_are_cut_between_events_alone() -> None:
    """A piece is told whole or not at all: no event is half told after a crash."""
    reports = [Report(Source(1 + place // 7, place % 7), Body(b"8", ())) for place in range(2_000)]
    waiting = Waiting()
    waiting.owe(reports, 999, resent=False)

    pieces = [item for item in waiting.items if isinstance(item, Owed)]
    assert reports == [report for piece in pieces for report in piece.reports]
    assert len(pieces) >= 3
    for piece, after in pairwise(pieces):
        assert len(piece.reports) >= GROUP_REPORTS
        assert piece.up_to == piece.reports[-1].source.position
        assert piece.reports[-1].source.position != after.reports[0].source.position
    assert 999 == pieces[-1].up_to
    assert 2_000 == waiting.reports


def test_positions_without_reports_do_not_pile_up() -> None:
    """A session that waits for the store is told of the newest alone."""
    waiting = Waiting()
    for position in range(10):
        waiting.owe((), position, resent=False)

    assert [Owed((), 9, False)] == list(waiting.items)


def test_resend_that_waits_is_not_asked_for_twice() -> None:
    """The same range is sent once; so many different ones wait and no more."""
    waiting = Waiting()

    assert waiting.again(1, 0) and waiting.again(1, 0)
    assert 1 == waiting.resends
    assert all(waiting.again(place, 0) for place in range(2, 9))
    assert not waiting.again(9, 0)


def test_messages_ahead_are_kept_within_bounds() -> None:
    """What is beyond them is asked for when it is its turn."""
    gap, message = Gap(), read(written("35=0", 2, SetTimes()))
    for seq_num in range(3, 3 + AHEAD_MOST + 10):
        gap.keep(seq_num, message)

    assert gap.holds(2 + AHEAD_MOST)
    assert not gap.holds(3 + AHEAD_MOST)
    assert (2, 0) == gap.asks(2, 0, now=0.0)
    gap.passed(3 + AHEAD_MOST)
    gap.moved(3 + AHEAD_MOST, now=0.0)
    assert gap.asks(3 + AHEAD_MOST, 0, now=0.0) is None
    gap.moved(13 + AHEAD_MOST, now=0.0)
    assert not gap.open


def test_rate_holds_in_every_window() -> None:
    """No window of a second holds more than three, and what was refused does not count."""
    rate = RollingRate(Rate(3, 1.0))
    taken = [tenth for tenth in range(40) if rate.takes(tenth / 10)]

    assert [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32] == taken


def test_answer_to_a_question_says_what_has_arrived() -> None:
    """Everything before it; an answer to what was not asked says nothing."""
    arrivals = Arrivals(3, 5)
    arrivals.reported(7)
    arrivals.asked(b"A", 8)

    assert (arrivals.awaited, arrivals.in_step) == (True, False)
    arrivals.answered(b"B")
    assert 3 == arrivals.number
    arrivals.answered(b"A")
    assert (8, False, True) == (arrivals.number, arrivals.awaited, arrivals.in_step)
    for place in range(100):
        arrivals.asked(b"%d" % place, 10 + place)
    arrivals.answered(b"0")
    assert 8 == arrivals.number
    arrivals.answered(b"%d" % (100 - TESTS_MOST))
    assert 110 - TESTS_MOST == arrivals.number


def test_session_is_one_connections_until_it_leaves() -> None:
    """Whoever has it keeps it; the connections of one address that are not known are bounded."""
    registry = Registry[str](AcceptorLimits(unknown_of_an_address=2))

    assert ["", "", ""] == [
        registry.enter(one, where) for one, where in zip("abc", "112", strict=True)
    ]
    assert registry.enter("d", "1").startswith("2 connections of this address")
    registry.leave("d", None)
    assert registry.claim(SESSION, "a")
    assert not registry.claim(SESSION, "b")
    assert "a" == registry.holder(SESSION)
    registry.leave("a", SESSION)
    assert registry.claim(SESSION, "b")
