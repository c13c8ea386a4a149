"""A session without a socket: its state alone, with what it does written down; a line in memory."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from api.fix.ports import Received, SessionRules
from api.fix.session.state import SessionState
from tests.fix_session import SESSION, SetTimes, read, written


class Fault(NamedTuple):
    """What validation finds."""

    reason: int
    tag: int
    text: str
    kind: str = "reject"


class Recorder:
    """Writes down what a session does."""

    def __init__(self, sent: int = 0) -> None:
        self.did: list[str] = []
        self.last_sent = 1_000.0
        self.sent = sent
        self.has_unconfirmed = False

    def say(self, msg_type: bytes, fields, header=()) -> None:  # type: ignore[no-untyped-def]
        self.sent += 1
        texts = [f"{tag}={value.decode()}" for tag, value in (*header, *fields)]
        self.did.append("|".join([f"35={msg_type.decode()}", *texts]))

    def beat(self) -> None:
        self.say(b"0", ())

    def send_again(self, first: int, last: int) -> bool:
        self.did.append(f"again {first} to {last}")
        return len(self.did) < 20

    def last_number(self) -> int:
        return self.sent

    def unconfirmed(self) -> bool:
        return self.has_unconfirmed

    def confirmed(self, test_id: bytes) -> None:
        self.did.append(f"confirmed {test_id.decode()}")

    def expects(self, seq_num: int) -> None:
        self.did.append(f"expects {seq_num}")

    def close(self, reason: str) -> None:
        self.did.append(f"close: {reason}")

    def hand_over(self, message: Received) -> None:
        self.did.append(f"order {message.seq_num}")

    def over_rate(self, message: Received) -> None:
        self.did.append(f"over rate {message.seq_num}")

    def restart(self, logon: Received) -> None:
        self.did.append("restart")


def validate(message: Received) -> Fault | None:
    """Find nothing wrong but a field 40 that says w."""
    return Fault(5, 40, "Value is incorrect") if message.get(40) == b"w" else None


class Talk:
    """A session that is logged on, and what it did since it was last asked."""

    def __init__(self, rules: SessionRules | None = None, next_in: int = 1) -> None:
        self.times = SetTimes()
        self.hands = Recorder()
        self.state = SessionState(
            rules or SessionRules(SESSION), self.hands, self.hands, validate, next_in
        )

    def logon(self, text: str = "35=A|98=0|108=30", seq_num: int | None = None) -> list[str]:
        self._at()
        message = read(written(text, seq_num or self.state.next_in, self.times))
        self.state.begin(message, 30, reset=False)
        return self.did()

    def __call__(self, seq_num: int, text: str, **ids: str) -> list[str]:
        return self.take(written(text, seq_num, self.times, **ids))

    def take(self, data: bytes) -> list[str]:
        self._at()
        self.state.receive(read(data))
        return self.did()

    def after(self, seconds: float) -> list[str]:
        self.times.forward(seconds)
        self._at()
        self.state.tick()
        return self.did()

    def _at(self) -> None:
        self.state.now, self.state.steady = self.times.now(), self.times.steady()

    def did(self) -> list[str]:
        did, self.hands.did = self.hands.did, []
        return did


class MemoryLine:
    """A connection in memory: what was written and not read yet may be lost."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = ""
        self._fast = asyncio.Event()
        self._fast.set()

    def slow(self) -> None:
        """Have the client read nothing for a while."""
        self._fast.clear()

    def fast(self) -> None:
        """Have the client read again."""
        self._fast.set()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def blocked(self) -> bool:
        return not self._fast.is_set()

    def unread(self) -> int:
        return 1 << 20 if self.blocked() else 0

    async def writable(self) -> None:
        await self._fast.wait()

    def finished(self, reason: str) -> None:
        self.closed = self.closed or reason

    def failed(self, reason: str) -> None:
        self.closed = self.closed or f"failed: {reason}"

    def pause(self, why: str = "session") -> None:
        pass

    def resume(self, why: str = "session") -> None:
        pass
