"""A FIX engine for tests: keeps its own numbers as a client does, resumes, asks for what it missed.

It knows nothing of the venue's sessions but their bytes. What it was sent under each number it
remembers, so that a number that is used for two contents is found.
"""

from __future__ import annotations

import asyncio
import ssl as tls
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from api.fix.codec import Clock52, Decoder, Garbled, Head, Message, encode

Fields = Sequence[tuple[int, bytes]]

MSG_SEQ_NUM, POSS_DUP, POSS_RESEND, ORIG_SENDING_TIME, SENDING_TIME = 34, 43, 97, 122, 52
NEW_SEQ_NO, GAP_FILL = 36, 123
OF_ONE_SENDING = (9, 10, POSS_DUP, ORIG_SENDING_TIME, SENDING_TIME)
"""What tells two sendings of one message apart."""
SESSION_TYPES = (b"0", b"1", b"2", b"3", b"4", b"5", b"A")


@dataclass
class Memory:
    """What a client's engine keeps over connections."""

    next_in: int = 1
    next_out: int = 1
    sent: dict[int, tuple[bytes, Fields, bytes, Fields]] = field(default_factory=dict)
    seen: dict[int, tuple[tuple[int, bytes], ...]] = field(default_factory=dict)
    """Each number's application message, as it was received first."""
    wrong: list[str] = field(default_factory=list)


class Away(Exception):
    """The venue is not there, or has ended the connection."""


class FixClient:
    """One session of one client; `received` has its application messages in the order of their
    numbers, each once.
    """

    def __init__(
        self,
        port: int,
        target: str,
        password: str,
        *,
        sender: str = "NEXUS",
        heartbeat: int = 5,
        memory: Memory | None = None,
        ssl: tls.SSLContext | None = None,
        on_message: Callable[[Message], object] | None = None,
    ) -> None:
        self._port = port
        self._names = (target.encode(), sender.encode())
        self._password = password.encode()
        self._heartbeat = heartbeat
        self._ssl = ssl
        self._on_message = on_message
        self.memory = memory or Memory()
        self.received: list[Message] = []
        self.session_messages: list[Message] = []
        self._clock = Clock52()
        self._moved = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._open = False
        self._ahead: dict[int, Message] = {}
        self._asked_to = 0

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._open

    async def log_on(self, *, reset: bool = False, seconds: float = 10, **fields: bytes) -> Message:
        """Connect and log on; returns the venue's Logon. Raises Away."""
        await self.hang_up()
        try:
            reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._ssl
            )
        except OSError as error:
            raise Away(str(error)) from None
        if reset:
            self.memory = Memory(wrong=self.memory.wrong)
        self._ahead.clear()
        self._asked_to = 0
        self.session_messages = []
        self._open = True
        self._reading = asyncio.create_task(self._read(reader, self._writer))
        self._beating = asyncio.create_task(self._beat())
        logon = [(98, b"0"), (108, b"%d" % self._heartbeat)]
        logon += [(141, b"Y")] if reset else []
        logon += [(554, self._password)] if self._password else []
        logon += [(int(name[1:]), value) for name, value in fields.items()]
        self.send(b"A", logon)
        await self.until(lambda: self._said(b"A") is not None, seconds)
        answer = self._said(b"A")
        assert answer is not None
        return answer

    def send(self, msg_type: bytes, fields: Fields, header: Fields = ()) -> int:
        """Send a message under the next number, which is returned; it is kept when it is lost."""
        number = self.memory.next_out
        self.memory.next_out += 1
        now = self._clock.text(time.time_ns() // 1_000)
        self.memory.sent[number] = (msg_type, list(fields), now, header)
        self._write(number, msg_type, fields, now, header)
        return number

    async def until(self, met: Callable[[], object], seconds: float = 10) -> None:
        """Return when something is met; raises Away when the connection ends before, and
        TimeoutError.
        """
        async with asyncio.timeout(seconds):
            while not met():
                if not self.connected:
                    raise Away("the connection has ended")
                await self._moved.wait()

    async def log_out(self) -> None:
        """Leave in order."""
        if not self.connected:
            return
        self.send(b"5", [])
        assert self._reading is not None
        await asyncio.wait((self._reading,), timeout=10)
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close the connection without a word."""
        for task in (self._beating, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._reading = self._beating = None
        if self._writer is not None:
            # One that has ended already cannot be, over TLS.
            if not self._writer.transport.is_closing():
                self._writer.transport.abort()
            self._writer = None

    def reports(self, cl_ord_id: bytes) -> list[Message]:
        """The reports of an order by its ClOrdID."""
        return [one for one in self.received if one.get(11) == cl_ord_id]

    # What comes

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        try:
            while data := await reader.read(65_536):
                for message in decoder.feed(data):
                    if isinstance(message, Garbled):
                        self.memory.wrong.append(f"garbled: {message}")
                    else:
                        self._take(message)
                self._wake()
        except OSError:
            pass
        finally:
            self._open = False
            writer.close()
            self._wake()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            self.send(b"0", [])

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _take(self, message: Message) -> None:
        number, memory = message.seq_num, self.memory
        self._remember(message)
        if message.msg_type == b"4" and message.get(GAP_FILL) != b"Y":
            memory.next_in = int(message.get(NEW_SEQ_NO) or 0)
            return
        if message.msg_type == b"A" and message.get(141) == b"Y":
            memory.next_in = number
        if number > memory.next_in:
            if message.msg_type in (b"A", b"2"):
                self._answer(message)
            if message.msg_type != b"2":
                self._ahead[number] = message
            self._ask(number)
            return
        if number < memory.next_in:
            if message.get(POSS_DUP) != b"Y":
                memory.wrong.append(f"number {number} again, {memory.next_in} was expected")
            return
        self._in_turn(message)
        while (waiting := self._ahead.pop(memory.next_in, None)) is not None:
            self._in_turn(waiting, answered=waiting.msg_type == b"A")
        for passed in [one for one in self._ahead if one < memory.next_in]:
            del self._ahead[passed]

    def _in_turn(self, message: Message, *, answered: bool = False) -> None:
        memory = self.memory
        if message.msg_type == b"4":
            memory.next_in = max(memory.next_in + 1, int(message.get(NEW_SEQ_NO) or 0))
            return
        memory.next_in += 1
        if message.msg_type in SESSION_TYPES:
            if not answered:
                self._answer(message)
            return
        self.received.append(message)
        if self._on_message is not None:
            self._on_message(message)

    def _answer(self, message: Message) -> None:
        self.session_messages.append(message)
        if message.msg_type == b"1":
            self.send(b"0", [(112, message.get(112) or b"")])
        elif message.msg_type == b"2":
            self._resend(int(message.get(7) or 0), int(message.get(16) or 0))

    def _said(self, msg_type: bytes) -> Message | None:
        said = [one for one in self.session_messages if one.msg_type == msg_type]
        return said[-1] if said else None

    def _ask(self, number: int) -> None:
        if self._asked_to >= number:
            return
        self._asked_to = number
        self.send(b"2", [(7, b"%d" % self.memory.next_in), (16, b"0")])

    def _remember(self, message: Message) -> None:
        """Hold what a number was used for against what it was used for before."""
        if message.msg_type in SESSION_TYPES:
            return
        said = tuple(
            (tag, value)
            for tag, value in zip(message.tags, message.values, strict=True)
            if tag not in OF_ONE_SENDING
        )
        before = self.memory.seen.setdefault(message.seq_num, said)
        if before != said:
            self.memory.wrong.append(f"number {message.seq_num} has two contents: {before} {said}")

    # What goes

    def _resend(self, first: int, last: int) -> None:
        """Send again what the venue has not got; what is no order is gap-filled."""
        last = last or self.memory.next_out - 1
        number = first
        while number <= last:
            msg_type, fields, sent_at, header = self.memory.sent[number]
            now = self._clock.text(time.time_ns() // 1_000)
            if msg_type not in SESSION_TYPES:
                again = ((POSS_DUP, b"Y"), *header, (ORIG_SENDING_TIME, sent_at))
                self._write(number, msg_type, fields, now, again)
                number += 1
                continue
            until = number
            while until <= last and self.memory.sent[until][0] in SESSION_TYPES:
                until += 1
            fill = [(GAP_FILL, b"Y"), (NEW_SEQ_NO, b"%d" % until)]
            self._write(number, b"4", fill, now, ((POSS_DUP, b"Y"), (ORIG_SENDING_TIME, now)))
            number = until

    def _write(
        self, number: int, msg_type: bytes, fields: Fields, now: bytes, extra: Fields = ()
    ) -> None:
        if self._writer is None or self._writer.is_closing():
            return
        target, sender = self._names
        self._writer.write(encode(Head(target, sender, number, now, extra), msg_type, fields))
