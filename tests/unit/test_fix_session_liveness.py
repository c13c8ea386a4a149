"""How a FIX session keeps time and ends: heartbeats, silence, Logout, rates, hours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.fix.ports import Rate, SessionRules, Window
from api.fix.session.state import Phase
from tests.fix_session import NOON, SESSION
from tests.fix_talk import Talk


@pytest.fixture
def talk() -> Talk:
    """A session that is logged on."""
    talk = Talk()
    talk.logon()
    return talk


def test_logout_is_answered_and_the_connection_closed(talk: Talk) -> None:
    """Whatever its number: what is missing is asked for at the next Logon."""
    assert ["35=5", "close: the client logged out"] == talk(7, "35=5")
    assert 2 == talk.state.next_in


def test_logout_of_ours_is_waited_for(talk: Talk) -> None:
    """What comes after it is not taken, and so is sent again at the next logon."""
    talk.state.log_out("closing time")

    assert ["35=5|58=closing time"] == talk.did()
    assert [] == talk(2, "35=D|11=a")
    assert ["close: closing time"] == talk(3, "35=5")
    assert 2 == talk.state.next_in


def test_logout_asks_what_has_arrived(talk: Talk) -> None:
    """Its answer does not say: the client may have logged out at the same moment. A Heartbeat that
    answers does, and LastMsgSeqNumProcessed where it is said.
    """
    talk.hands.has_unconfirmed = True
    talk.state.log_out("closing time")

    assert ["35=1|112=TEST1", "35=5|58=closing time"] == talk.did()
    assert ["confirmed TEST1"] == talk(2, "35=0|112=TEST1")
    assert ["expects 8", "close: closing time"] == talk(3, "35=5|369=7")
    assert 4 == talk.state.next_in


def test_logout_that_is_not_answered_ends_in_time(talk: Talk) -> None:
    """The connection is closed after the seconds of the template."""
    talk.state.log_out("closing time")
    talk.did()

    assert [] == talk.after(4.9)
    assert ["close: closing time"] == talk.after(0.2)


def test_resend_is_still_answered_before_both_part(talk: Talk) -> None:
    """Who misses something may ask for it between Logout and its answer."""
    talk.state.log_out("closing time")
    talk.did()

    assert ["again 1 to 0"] == talk(2, "35=2|7=1|16=0")
    assert ["close: closing time"] == talk(3, "35=5")
    assert 4 == talk.state.next_in


def test_heartbeat_goes_out_when_nothing_else_did(talk: Talk) -> None:
    """One interval after the last message."""
    talk.hands.last_sent = talk.times.seconds

    assert [] == talk.after(29)
    assert ["35=0"] == talk.after(1)


def test_silence_is_asked_after_and_then_ends_the_session(talk: Talk) -> None:
    """After 1.2 intervals a TestRequest, after 2.4 the end; any message ends the silence."""
    talk.hands.last_sent = talk.times.seconds + 10_000

    assert [] == talk.after(35.9)
    assert ["35=1|112=TEST1"] == talk.after(0.2)
    assert [] == talk.after(35)
    talk(2, "35=0")
    assert [] == talk.after(35)
    assert ["35=1|112=TEST2"] == talk.after(1.1)
    assert ["close: no message came for 72 seconds"] == talk.after(36)


def test_reports_that_are_not_confirmed_are_asked_after(talk: Talk) -> None:
    """A TestRequest tells what has arrived, at most once an interval."""
    talk.hands.last_sent = talk.times.seconds + 10_000
    talk.hands.has_unconfirmed = True

    assert [] == talk.after(29)
    assert ["35=1|112=TEST1"] == talk.after(1)
    talk(2, "35=0")
    assert [] == talk.after(29)


def test_messages_over_the_rate_are_refused_and_nothing_ends() -> None:
    """The window rolls: what is refused does not count, and session messages never do."""
    talk = Talk(replace(SessionRules(SESSION), rate=Rate(2, 1.0)))
    talk.logon()

    assert ["order 2"] == talk(2, "35=D|11=a")
    talk.times.forward(0.6)
    assert ["order 3"] == talk(3, "35=D|11=b")
    assert [
        "35=j|45=4|372=D|379=c|380=0|58=Over the session's rate of 2 messages in 1 seconds"
    ] == talk(4, "35=D|11=c")
    assert ["35=0|112=A"] == talk(5, "35=1|112=A")
    talk.times.forward(0.4)
    assert ["order 6"] == talk(6, "35=D|11=d")
    assert talk(7, "35=D|11=e")[0].startswith("35=j|")


def test_messages_over_the_rate_are_told_by_a_report_where_the_template_says_so() -> None:
    """What is behind the session knows how."""
    talk = Talk(replace(SessionRules(SESSION), rate=Rate(1, 1.0), rate_by_report=True))
    talk.logon()

    assert ["order 2"] == talk(2, "35=D")
    assert ["over rate 3"] == talk(3, "35=D")


def test_session_ends_with_its_time() -> None:
    """At the end of its window by the schedule the client is logged out."""
    talk = Talk(replace(SessionRules(SESSION), window=Window(0, NOON + 5_000_000)))
    talk.logon()

    assert [] == talk.after(4.9)
    assert ["35=5|58=The session's time is over"] == talk.after(0.1)
    assert Phase.LEAVING is talk.state.phase


def test_wall_clock_that_jumps_moves_no_deadline(talk: Talk) -> None:
    """Silence is measured by a clock that never jumps."""
    talk.hands.last_sent = talk.times.seconds
    talk.times.micros += 3_600_000_000

    assert [] == talk.after(1)
