"""What a message's header must say: whose it is, for whom, when it was sent."""

from __future__ import annotations

from typing import NamedTuple

from api.fix.codec import Message
from api.fix.ports import SessionRules
from api.fix.session.times import SendingTimes
from api.fix.session.words import SEQUENCE_RESET, Reason, Tag


class Wrong(NamedTuple):
    """What is wrong with a header."""

    reason: Reason
    tag: int
    ends: bool = False
    """Whether the session ends with it."""


class HeaderChecks:
    """Judges the headers of one session's messages."""

    def __init__(self, rules: SessionRules) -> None:
        self._client = rules.session_id.target.encode()
        self._venue = rules.session_id.sender.encode()
        self._latency = rules.latency_seconds * 1_000_000
        self._times = SendingTimes()
        self._steady_began = 0

    def begin(self, now: int, steady: float) -> None:
        """Note where the clock stands to the one that never jumps, as the client agreed with it."""
        self._steady_began = now - int(steady * 1_000_000)

    def wrong(self, message: Message, now: int, steady: float) -> Wrong | None:
        """What is wrong with comp ids or SendingTime, the number aside.

        A client whose clock goes on as it did at the logon is right although ours was set since.
        """
        if message.get(Tag.SENDER) != self._client or message.get(Tag.TARGET) != self._venue:
            return self._misaddressed(message)
        sending = message.get(Tag.SENDING_TIME)
        if not sending:
            return _absent(sending, Tag.SENDING_TIME)
        at = self._times.read(sending)
        if at is None:
            return Wrong(Reason.BAD_FORMAT, Tag.SENDING_TIME)
        if self._latency and not self._is_near(at, now):
            gone_on = self._steady_began + int(steady * 1_000_000)
            if not self._is_near(at, gone_on):
                return Wrong(Reason.SENDING_TIME, Tag.SENDING_TIME, ends=True)
        return None

    def _is_near(self, at: int, now: int) -> bool:
        return -self._latency <= at - now <= self._latency

    def _misaddressed(self, message: Message) -> Wrong | None:
        for tag, own in ((Tag.SENDER, self._client), (Tag.TARGET, self._venue)):
            value = message.get(tag)
            if not value:
                return _absent(value, tag)
            if value != own:
                return Wrong(Reason.COMP_ID, tag, ends=True)
        return None

    def wrong_duplicate(self, message: Message) -> Wrong | None:
        """What is wrong with a message that is sent again: it says when it was sent first."""
        if message.msg_type == SEQUENCE_RESET:
            return None
        first = message.get(Tag.ORIG_SENDING_TIME)
        if not first:
            return _absent(first, Tag.ORIG_SENDING_TIME)
        at = SendingTimes().read(first)
        if at is None:
            return Wrong(Reason.BAD_FORMAT, Tag.ORIG_SENDING_TIME)
        sent = self._times.read(message.get(Tag.SENDING_TIME) or b"")
        if sent is not None and at > sent:
            return Wrong(Reason.SENDING_TIME, Tag.ORIG_SENDING_TIME, ends=True)
        return None


def _absent(value: bytes | None, tag: int) -> Wrong:
    """A field that is not there, or is there and says nothing."""
    return Wrong(Reason.REQUIRED_TAG_MISSING if value is None else Reason.WITHOUT_VALUE, tag)
