"""Who is let in: by password, certificate, address and hour, and how often one may try."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from api.fix.logon.attempts import REMEMBERED_ADDRESSES, FailedLogons
from api.fix.logon.checks import LogonChecks
from api.fix.logon.passwords import (
    Passwords,
    TooManyLogons,
    Verify,
    hash_of,
    verify_password,
)
from api.fix.ports import NotAdmitted, Peer, PeerCertificate, SessionId, SessionRules, Window
from api.fix.settings.gateway import GatewaySettings
from api.fix.settings.template import SessionTemplate
from domain.identifiers import instant_of
from tests.fix_settings import CHEAP_HASH, PASSWORD, session

NOON = instant_of(datetime(2026, 11, 20, 12, tzinfo=UTC))
HOME = Peer("192.0.2.1")
SIGNED = PeerCertificate("CN=alpha,O=Alpha Ltd", "alpha", "ab" * 32)


class Logon:
    """A Logon as the codec reads it."""

    msg_type = b"A"
    seq_num = 1

    def __init__(self, **fields: bytes) -> None:
        self._fields = {int(name[1:]): value for name, value in fields.items()}
        self.tags: Sequence[int] = list(self._fields)
        self.values: Sequence[bytes] = list(self._fields.values())

    def get(self, tag: int) -> bytes | None:
        """The value of a tag."""
        return self._fields.get(tag)


def logon(password: bytes | None = PASSWORD.encode(), **fields: bytes) -> Logon:
    """What ALPHA sends."""
    said = {"t49": b"ALPHA", "t56": b"NEXUS", **fields}
    return Logon(**said) if password is None else Logon(**said, t554=password)


class Monotonic:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def checks(
    clock: Monotonic | None = None, verify: Verify = verify_password, **said: Any
) -> LogonChecks:
    """The checks of a gateway with ALPHA alone."""
    template = SessionTemplate.model_validate(session(**said))
    return LogonChecks(
        {template.session_id: template},
        GatewaySettings(failed_logons=3),
        monotonic=clock or Monotonic(),
        verify=verify,
    )


def admitted(
    door: LogonChecks, message: Logon, peer: Peer = HOME, now: int = NOON
) -> SessionRules | NotAdmitted:
    """What the doorkeeper says."""
    return asyncio.run(door.admit(message, peer, now))


def test_client_with_its_password_is_let_in() -> None:
    """With the rules of its own session."""
    rules = admitted(checks(username="ann"), logon(t553=b"ann"))

    assert isinstance(rules, SessionRules)
    assert SessionId("NEXUS", "ALPHA") == rules.session_id


@pytest.mark.parametrize(
    ("said", "message", "peer", "why"),
    [
        ({}, logon(b"wrong"), HOME, "wrong password"),
        ({}, logon(None), HOME, "wrong password"),
        ({}, logon(PASSWORD.encode() + b"\x00"), HOME, "wrong password"),
        ({}, logon(b"x" * 1_000_000), HOME, "wrong password"),
        ({"username": "ann"}, logon(t553=b"bob"), HOME, "wrong username"),
        ({"username": "ann"}, logon(), HOME, "wrong username"),
        ({}, logon(t49=b"BETA"), HOME, "no such session"),
        ({}, logon(t49=b"NEXUS", t56=b"ALPHA"), HOME, "no such session"),
        ({}, logon(t49=b"\xff\n\x1b[2J"), HOME, "no such session"),
        ({}, Logon(), HOME, "no such session"),
        ({"addresses": ["10.0.0.0/8"]}, logon(), HOME, "not from one of its networks"),
        ({"certificate": {"subject": "alpha"}}, logon(), HOME, "without its certificate"),
        (
            {"certificate": {"subject": "beta"}},
            logon(),
            Peer("192.0.2.1", SIGNED),
            "not its certificate",
        ),
        (
            {"certificate": {"subject": "alpha", "fingerprint": "cd" * 32}},
            logon(),
            Peer("192.0.2.1", SIGNED),
            "not its certificate",
        ),
    ],
)
def test_client_is_refused_without_a_word(
    said: dict[str, Any],
    message: Logon,
    peer: Peer,
    why: str,
) -> None:
    """Why is for the log of the process, one line of printable text without a password."""
    answer = admitted(checks(**said), message, peer)

    assert isinstance(answer, NotAdmitted)
    assert "" == answer.told and answer.reason.endswith(why)
    assert answer.reason.isprintable() and len(answer.reason) < 300
    assert PASSWORD not in answer.reason and CHEAP_HASH not in answer.reason


@pytest.mark.parametrize(
    "certificate",
    [
        {"subject": "alpha"},
        {"subject": "CN=alpha,O=Alpha Ltd"},
        {"fingerprint": ":".join(["AB"] * 32)},
        {"subject": "alpha", "fingerprint": "ab" * 32},
    ],
)
def test_client_with_its_certificate_needs_no_password(certificate: dict[str, str]) -> None:
    """Known by whose it is, or by which one; a session that has both needs both."""
    peer = Peer("192.0.2.1", SIGNED)

    assert isinstance(
        admitted(checks(password=None, certificate=certificate), logon(None), peer), SessionRules
    )
    assert isinstance(admitted(checks(certificate=certificate), logon(None), peer), NotAdmitted)


def test_client_that_comes_too_early_is_told_when() -> None:
    """Only one that has shown who it is; and it has not failed."""
    door = checks(schedule={"begins": "13:00", "ends": "14:00"})

    for _ in range(5):
        early = admitted(door, logon())
        assert isinstance(early, NotAdmitted)
        assert "the session is closed until 2026-11-20T13:00:00.000000Z" == early.told
    hour = 3_600_000_000
    later = admitted(door, logon(), now=NOON + hour)

    assert isinstance(later, SessionRules)
    assert Window(NOON + hour, NOON + 2 * hour) == later.window


def test_address_whose_logons_fail_is_not_listened_to_for_a_while() -> None:
    """Not even with the right password, until the window has passed; others are."""
    clock = Monotonic()
    door = checks(clock)
    reasons = []
    for _ in range(5):
        answer = admitted(door, logon(b"wrong"))
        assert isinstance(answer, NotAdmitted)
        reasons.append(answer.reason)
        clock.now += 1

    # The last that is listened to says so, and a flood after it is no flood of lines.
    assert ["", ""] == reasons[3:] and reasons[2].endswith("listened to for a while")
    assert isinstance(admitted(door, logon()), NotAdmitted)
    assert isinstance(admitted(door, logon(), Peer("192.0.2.2")), SessionRules)
    clock.now += 57
    assert isinstance(admitted(door, logon()), SessionRules)


def test_guesses_that_come_all_at_once_are_not_all_looked_at() -> None:
    """Who waits for its turn finds the door shut by those before it."""
    asked: list[bytes] = []

    def counted(password: bytes, hashed: str) -> bool:
        asked.append(password)
        return verify_password(password, hashed)

    async def guess() -> None:
        door = checks(verify=counted)
        await asyncio.gather(*(door.admit(logon(b"%d" % n), HOME, NOON) for n in range(100)))

    asyncio.run(guess())

    assert 3 <= len(asked) <= 3 + GatewaySettings().passwords_at_once


def test_loop_goes_on_while_a_password_is_compared() -> None:
    """It is compared in a thread: heartbeats of others do not wait for argon2."""
    hashed = hash_of(PASSWORD)

    async def compare() -> tuple[bool, int]:
        turns = 0
        comparing = asyncio.ensure_future(
            Passwords(1, 1).fits(PASSWORD.encode(), hashed, lambda: True)
        )
        while not comparing.done():
            turns += 1
            await asyncio.sleep(0)
        return comparing.result(), turns

    fits, turns = asyncio.run(compare())

    assert fits and turns > 20


def test_passwords_are_compared_a_few_at_a_time() -> None:
    """However many come at once; beyond what may wait they are told to come again."""
    present, most = 0, 0
    lock = threading.Lock()

    def slowly(password: bytes, hashed: str) -> bool:
        nonlocal present, most
        with lock:
            present += 1
            most = max(most, present)
        time.sleep(0.002)
        with lock:
            present -= 1
        return True

    async def compare() -> list[Any]:
        few = Passwords(2, 8, slowly)
        return await asyncio.gather(
            *(few.fits(b"", "", lambda: True) for _ in range(20)), return_exceptions=True
        )

    answers = asyncio.run(compare())

    assert 2 == most
    assert [True] * 10 == [answer for answer in answers if answer is True]
    assert 10 == sum(isinstance(answer, TooManyLogons) for answer in answers)


def test_client_that_hangs_up_takes_its_turn_with_it() -> None:
    """Who connects and leaves a thousand times does not fill the queue for others."""
    held = threading.Event()

    async def leave() -> bool:
        few = Passwords(1, 2, lambda *_: held.wait(5))
        try:
            for _ in range(1_000):
                waiting = asyncio.ensure_future(few.fits(b"", "", lambda: True))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
        finally:
            held.set()
        return await few.fits(b"", "", lambda: True)

    assert asyncio.run(leave())


def test_addresses_are_remembered_in_bounded_memory() -> None:
    """A client with a million addresses pushes out the oldest; a /64 of IPv6 is one client."""
    clock = Monotonic()
    failed = FailedLogons(2, 60, clock)
    for n in range(REMEMBERED_ADDRESSES + 10):
        failed.note(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    for n in range(2):
        failed.note(f"2001:db8::{n + 1}")

    assert REMEMBERED_ADDRESSES == len(failed._failed)
    assert not failed.may_try("2001:db8::77") and failed.may_try("2001:db8:0:1::1")
    assert failed.may_try("no address")


def test_hash_that_the_command_makes_is_one_that_a_template_takes() -> None:
    """And it is the password's."""
    made = hash_of(PASSWORD)

    assert isinstance(admitted(checks(password=made), logon()), SessionRules)
    assert isinstance(admitted(checks(password=made), logon(b"other")), NotAdmitted)
