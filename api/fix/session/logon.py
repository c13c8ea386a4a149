"""What a Logon must say, once its client was let in."""

from __future__ import annotations

from typing import NamedTuple

from api.fix.ports import Numbers, Received, SessionRules
from api.fix.session.rejects import number
from api.fix.session.times import SendingTimes
from api.fix.session.words import YES, Tag


class Judged(NamedTuple):
    """What becomes of a Logon."""

    refusal: str = ""
    """Why it is refused; empty when it is not."""
    heartbeat: int = 0
    reset: bool = False
    """Whether the numbers begin anew with it."""


def judge_logon(message: Received, rules: SessionRules, numbers: Numbers, now: int) -> Judged:
    """Judge a Logon that is valid in itself, where its numbers stand."""
    if message.get(Tag.ENCRYPT_METHOD) != b"0":
        return Judged("EncryptMethod(98) must be 0")
    heartbeat = number(message.get(Tag.HEARTBEAT_SECONDS))
    if heartbeat is None or not rules.heartbeat_least <= heartbeat <= rules.heartbeat_most:
        return Judged(
            f"HeartBtInt(108) must be from {rules.heartbeat_least} to {rules.heartbeat_most}"
        )
    sent = SendingTimes().read(message.get(Tag.SENDING_TIME) or b"")
    if sent is None:
        return Judged("SendingTime(52) is missing or no time")
    if rules.latency_seconds and abs(sent - now) > rules.latency_seconds * 1_000_000:
        return Judged(f"SendingTime(52) is over {rules.latency_seconds} seconds from ours")
    if message.seq_num < 1:
        return Judged("MsgSeqNum(34) is missing or no number")
    asked = message.get(Tag.RESET_NUMBERS) == YES
    if asked and not rules.reset_by_client:
        return Judged("ResetSeqNumFlag(141) is not allowed")
    if asked and message.seq_num != 1:
        return Judged("MsgSeqNum(34) must be 1 with ResetSeqNumFlag(141)")
    reset = asked or rules.reset_on_logon or _before_its_time(rules, numbers)
    expected = 1 if reset else numbers.next_in
    if message.seq_num < expected:
        return Judged(f"MsgSeqNum too low, expecting {expected} but received {message.seq_num}")
    return _next_expected(message, numbers) or Judged("", heartbeat, reset)


def _next_expected(message: Received, numbers: Numbers) -> Judged | None:
    """What is wrong with the number that the client expects next, if it says one."""
    text = message.get(Tag.NEXT_EXPECTED)
    if text is None:
        return None
    expected, following = number(text), max(numbers.next_out, numbers.reserved)
    if not expected:
        return Judged("NextExpectedMsgSeqNum(789) is no number")
    if expected > following:
        return Judged(
            f"NextExpectedMsgSeqNum(789) is too high, expecting {following} but received {expected}"
        )
    return None


def _before_its_time(rules: SessionRules, numbers: Numbers) -> bool:
    """Whether the numbers began before the session's present time by its schedule."""
    return rules.window is not None and numbers.began < rules.window.begins
