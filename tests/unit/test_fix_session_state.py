"""The rules of a FIX session, a message at a time: what it says, which number comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.fix.ports import SessionRules
from tests.fix_session import NOON, SESSION, SetTimes, written
from tests.fix_talk import Talk


@pytest.fixture
def talk() -> Talk:
    """A session that is logged on."""
    talk = Talk()
    talk.logon()
    return talk


def test_logon_is_answered_with_the_interval_that_was_asked_for() -> None:
    """The answer says 98=0 and the client's own HeartBtInt; its number was the one expected."""
    talk = Talk()

    assert ["35=A|98=0|108=30"] == talk.logon()
    assert 2 == talk.state.next_in


def test_logon_with_a_number_too_high_is_answered_and_what_is_missing_asked_for() -> None:
    """The client is logged on; its Logon counts once the gap before it is filled."""
    talk = Talk()

    assert ["35=A|98=0|108=30", "35=2|7=1|16=0"] == talk.logon(seq_num=5)
    assert [] == talk(1, "35=4|36=6|123=Y|43=Y|122=20261130-12:00:00")
    assert ["35=0|112=A"] == talk(6, "35=1|112=A")


def test_logon_that_says_what_it_expects_is_sent_that_and_told_what_is_expected() -> None:
    """With 789 neither side has to ask: both say it in the Logon, and send by themselves."""
    talk = Talk()
    talk.hands.sent = 9

    assert ["expects 4", "35=A|98=0|108=30|789=1", "again 4 to 9"] == talk.logon(
        "35=A|98=0|108=30|789=4", seq_num=3
    )


def test_messages_in_turn_are_taken_once_each(talk: Talk) -> None:
    """An order is handed on; a TestRequest is answered with its own words."""
    assert ["order 2"] == talk(2, "35=D|11=a")
    assert ["35=0|112=HELLO"] == talk(3, "35=1|112=HELLO")
    assert [] == talk(4, "35=0")
    assert ["confirmed TEST1"] == talk(5, "35=0|112=TEST1")
    assert 6 == talk.state.next_in


def test_gap_is_asked_for_once_and_what_came_ahead_is_taken_in_its_turn(talk: Talk) -> None:
    """However many messages come ahead, one ResendRequest is out; nothing is taken out of turn."""
    assert ["35=2|7=2|16=0"] == talk(4, "35=D|11=c")
    assert [] == talk(5, "35=D|11=d")
    assert ["order 2"] == talk(2, "35=D|11=a|43=Y|122=20261130-12:00:00")
    assert ["order 3", "order 4", "order 5"] == talk(3, "35=D|11=b|43=Y|122=20261130-12:00:00")
    assert 6 == talk.state.next_in


def test_second_gap_behind_the_first_is_asked_for_when_it_is_its_turn(talk: Talk) -> None:
    """What was missing beyond the range that was asked for is asked for after it."""
    assert ["35=2|7=2|16=0"] == talk(3, "35=D|11=b")
    assert [] == talk(6, "35=D|11=e")
    assert ["order 2", "order 3", "35=2|7=4|16=0"] == talk(2, "35=D|11=a")
    assert [] == talk(4, "35=4|36=6|123=Y")[1:]


def test_gap_is_asked_for_in_pieces_where_the_template_says_so() -> None:
    """The next piece is asked for when the last has come."""
    talk = Talk(replace(SessionRules(SESSION), resend_most=2))
    talk.logon()

    assert ["35=2|7=2|16=3"] == talk(7, "35=0")
    assert [] == talk(2, "35=0")
    assert ["35=2|7=4|16=5"] == talk(3, "35=0")
    assert ["35=2|7=6|16=6"] == talk(4, "35=4|123=Y|36=6|43=Y")
    assert [] == talk(6, "35=0")
    assert 8 == talk.state.next_in


def test_gap_that_does_not_come_is_asked_for_again_and_then_given_up(talk: Talk) -> None:
    """A client that answers nothing keeps the session from going on: it is told so."""
    talk(9, "35=0")
    said = []
    for _ in range(8):
        talk(10, "35=0")
        said += [text for text in talk.after(16) if not text.startswith("35=0")]

    assert ["35=2|7=2|16=0", "35=2|7=2|16=0"] == said[:2]
    assert said[2].startswith("35=5|58=Message 2 did not come")


def test_resend_requests_that_cross_are_both_answered(talk: Talk) -> None:
    """Who asks out of turn is answered at once: both would wait for ever."""
    talk.hands.sent = 5

    assert ["again 2 to 3", "35=2|7=2|16=0"] == talk(4, "35=2|7=2|16=3")
    assert [] == talk(2, "35=4|36=4|123=Y|43=Y")
    assert ["35=0|112=A"] == talk(5, "35=1|112=A")


def test_number_too_low_ends_the_session_with_both_numbers(talk: Talk) -> None:
    """Without PossDup it is a serious error: a Logout says what was expected."""
    talk(2, "35=0")

    assert ["35=5|58=MsgSeqNum too low, expecting 3 but received 2"] == talk(2, "35=0")
    assert [] == talk(3, "35=D|11=a")
    assert [] == talk.after(1.9)
    assert ["close: MsgSeqNum too low, expecting 3 but received 2"] == talk.after(0.2)


def test_possible_duplicate_that_came_is_ignored(talk: Talk) -> None:
    """It says when it was sent first and is not worked on twice."""
    talk(2, "35=D|11=a")

    assert [] == talk(2, "35=D|11=a|43=Y|122=20261130-11:59:00")
    assert 3 == talk.state.next_in


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("43=Y", ["35=3|45=2|58=Required tag missing|371=122|372=D|373=1"]),
        (
            "43=Y|122=yesterday",
            ["35=3|45=2|58=Incorrect data format for value|371=122|372=D|373=6"],
        ),
        (
            "43=Y|122=20261130-12:00:10",
            [
                "35=3|45=2|58=SendingTime accuracy problem|371=122|372=D|373=10",
                "35=5|58=SendingTime accuracy problem",
            ],
        ),
    ],
)
def test_possible_duplicate_says_when_it_was_sent_first(
    talk: Talk, header: str, said: list[str]
) -> None:
    """OrigSendingTime is there and not after SendingTime, whether the number was used or not."""
    assert said == talk(2, f"35=D|11=a|{header}")
    if len(said) == 1:
        assert said == talk(2, f"35=D|11=a|{header}")


@pytest.mark.parametrize(("ids", "tag"), [({"sender": "WRONG"}, 49), ({"target": "WRONG"}, 56)])
def test_wrong_comp_id_is_rejected_and_ends_the_session(
    talk: Talk, ids: dict[str, str], tag: int
) -> None:
    """The number is used; a Reject names the field, a Logout follows."""
    assert [
        f"35=3|45=2|58=CompID problem|371={tag}|372=0|373=9",
        "35=5|58=CompID problem",
    ] == talk(2, "35=0", **ids)
    assert 3 == talk.state.next_in


@pytest.mark.parametrize("seconds", [-121, 121])
def test_sending_time_out_of_the_window_is_rejected_and_ends_the_session(
    talk: Talk, seconds: int
) -> None:
    """A message that is minutes old is not worked on; within the window it is."""
    late = SetTimes(NOON + seconds * 1_000_000)

    assert [
        "35=3|45=2|58=SendingTime accuracy problem|371=52|372=D|373=10",
        "35=5|58=SendingTime accuracy problem",
    ] == talk.take(written("35=D|11=a", 2, late))
    assert 3 == talk.state.next_in


def test_sending_time_may_be_at_the_end_of_its_window(talk: Talk) -> None:
    """Two minutes to the second are within two minutes."""
    assert ["order 2"] == talk.take(written("35=D", 2, SetTimes(NOON - 120_000_000)))


def test_sending_time_that_is_none_is_rejected(talk: Talk) -> None:
    """The message is not worked on, its number is used."""
    assert ["35=3|45=2|58=Incorrect data format for value|371=52|372=D|373=6"] == talk(
        2, "35=D|52=noon"
    )
    assert 3 == talk.state.next_in


def test_wrong_begin_string_ends_the_session(talk: Talk) -> None:
    """Whoever speaks another version is told so."""
    other = written("35=0", 2, talk.times).replace(b"8=FIX.4.4", b"8=FIX.4.1")
    fixed = other[:-7] + b"10=%03d\x01" % (sum(other[:-7]) % 256)

    assert ["35=5|58=Incorrect BeginString"] == talk.take(fixed)


def test_message_that_is_not_valid_is_rejected_and_its_number_used(talk: Talk) -> None:
    """Reject says which message, field and reason; a reject goes the way the message came."""
    assert ["35=3|45=2|58=Value is incorrect|371=40|372=D|373=5"] == talk(2, "35=D|40=w")
    assert ["35=3|128=JCD|129=CS|45=3|58=Value is incorrect|371=40|372=D|373=5"] == talk(
        3, "35=D|115=JCD|116=CS|40=w"
    )
    assert ["order 4"] == talk(4, "35=D")


def test_gap_fill_moves_the_number_on(talk: Talk) -> None:
    """What is filled over is not missed."""
    assert [] == talk(2, "35=4|36=20|123=Y")
    assert ["35=0|112=A"] == talk(20, "35=1|112=A")


@pytest.mark.parametrize("following", ["2", "1", "0", "-5", "1" + "0" * 15 + "1"])
def test_gap_fill_to_a_number_that_is_not_above_is_rejected(talk: Talk, following: str) -> None:
    """An attempt to lower the number is told with what was said; the number of it is used."""
    assert [
        "35=3|45=2|58=Attempt to lower sequence number, invalid value NewSeqNo(36)="
        f"{following}|371=36|372=4|373=5"
    ] == talk(2, f"35=4|36={following}|123=Y")
    assert 3 == talk.state.next_in


def test_gap_fill_ahead_of_its_turn_waits_for_it(talk: Talk) -> None:
    """It is a message like others: what is missing before it is asked for."""
    assert ["35=2|7=2|16=0"] == talk(10, "35=4|36=20|123=Y")
    assert [] == talk(2, "35=4|36=10|123=Y|43=Y")
    assert 20 == talk.state.next_in


def test_gap_fill_that_came_is_ignored_as_a_possible_duplicate_and_ends_the_session_without(
    talk: Talk,
) -> None:
    """It needs no OrigSendingTime, unlike others."""
    talk(2, "35=0")

    assert [] == talk(2, "35=4|36=9|123=Y|43=Y")
    assert 3 == talk.state.next_in
    assert ["35=5|58=MsgSeqNum too low, expecting 3 but received 2"] == talk(2, "35=4|36=9|123=Y")


@pytest.mark.parametrize("flag", ["", "|123=N"])
def test_reset_goes_on_where_it_says_whatever_its_own_number(talk: Talk, flag: str) -> None:
    """Higher is gone on from, the same changes nothing, lower is rejected and changes nothing."""
    assert [] == talk(1, f"35=4|36=25{flag}")
    assert [] == talk(999, f"35=4|36=25{flag}")
    assert [
        "35=3|45=0|58=Value is incorrect (out of range) for this tag|371=36|372=4|373=5"
    ] == talk(0, f"35=4|36=24{flag}")
    assert ["35=0|112=A"] == talk(25, "35=1|112=A")


@pytest.mark.parametrize(
    ("asked", "tag"),
    [("7=0|16=0", 7), ("7=9|16=0", 7), ("7=x|16=0", 7), ("7=3|16=2", 16), ("7=1|16=-1", 16)],
)
def test_resend_request_for_what_cannot_be_is_rejected(talk: Talk, asked: str, tag: int) -> None:
    """BeginSeqNo was used and EndSeqNo is 0 or not below it."""
    talk.hands.sent = 5

    (said,) = talk(2, f"35=2|{asked}")

    assert said.startswith("35=3|45=2|") and said.endswith(f"|371={tag}|372=2|373=5")


def test_resend_request_may_be_open_or_closed(talk: Talk) -> None:
    """0 means to the newest; a closed range may end beyond what was sent."""
    talk.hands.sent = 5

    assert ["again 2 to 0"] == talk(2, "35=2|7=2|16=0")
    assert ["again 2 to 99"] == talk(3, "35=2|7=2|16=99")


def test_logon_within_the_session_is_rejected_but_for_one_that_begins_anew(talk: Talk) -> None:
    """With ResetSeqNumFlag and number 1 the numbers begin anew; otherwise nothing changes."""
    assert ["35=3|45=2|58=The session is logged on|371=35|372=A|373=99"] == talk(
        2, "35=A|98=0|108=30"
    )
    assert ["restart"] == talk(1, "35=A|98=0|108=30|141=Y")
