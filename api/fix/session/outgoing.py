"""What a session sends: everything gets its number here, and none before the store has it.

Reports are stored with their numbers before they are written. Other messages use numbers that were
reserved ahead, so that a session lives while the store is away; what of a reservation a crash
leaves unused is gap-filled when the client asks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol
from zlib import crc32

from api.fix.codec import Clock52, Head, frame, render
from api.fix.ports import (
    Numbered,
    Numbers,
    Report,
    SessionEnded,
    SessionId,
    SessionStore,
    Source,
)
from api.fix.session.arrivals import Arrivals
from api.fix.session.hands import Fields
from api.fix.session.resending import Rendered, Resending
from api.fix.session.waiting import Again, Owed, Pending, Said, Waiting
from api.fix.session.words import (
    HEARTBEAT,
    LOGOUT,
    SEQUENCE_RESET,
    SESSION_MESSAGES,
    TEST_REQUEST,
    YES,
    Tag,
)

RESERVED = 1_000
"""How many numbers are reserved ahead for what is no report."""
GROUP_MOST = 1_000
"""How many messages are stored in one transaction of a session."""
WAITING_MOST = 4_000
"""How many reports wait in memory for their numbers before the follower waits."""
QUEUE_MOST = 20_000
"""How many messages may wait at all: a client that asks on without reading is disconnected."""
SAVED_WITHIN_SECONDS = 5.0
"""How old the stored number of the next incoming message may become."""
UNREAD_MOST = 65_536
"""How many bytes a client may leave unread before it is not told what can wait."""
STALE_SECONDS = 1.0
"""How old a SendingTime may be when it is written at last."""

log = logging.getLogger("nexus.fix")


class Wire(Protocol):
    """The connection, as far as a session writes to it."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def blocked(self) -> bool:
        """Whether the client reads too slowly for more to be written now."""
        ...

    def unread(self) -> int:
        """How many bytes of what was written the client has not taken yet."""
        ...

    async def writable(self) -> None:
        """Return when the client has read enough, or is gone."""
        ...

    def finished(self, reason: str) -> None:
        """Close: all that was to be said is written."""
        ...

    def failed(self, reason: str) -> None:
        """Close at once."""
        ...


class Times(Protocol):
    """What time it is."""

    def now(self) -> int:
        """Microseconds since 1970; it may jump."""
        ...

    def steady(self) -> float:
        """Seconds that only go forward."""
        ...


_POSS_RESEND = ((Tag.POSS_RESEND, YES),)


class Outgoing:
    """The numbers of a session's own messages, and their way to the wire, in order."""

    def __init__(
        self,
        session_id: SessionId,
        numbers: Numbers,
        store: SessionStore,
        wire: Wire,
        times: Times,
        rendered: Rendered,
    ) -> None:
        self.session_id = session_id
        self.next_out = max(numbers.next_out, numbers.reserved)
        self.told = numbers.told
        self.began = numbers.began
        self.next_in: Callable[[], int] = lambda: numbers.next_in
        self.uncertain: Source | None = None
        """The last of the reports that are sent again because numbers were begun anew."""
        self.last_sent = times.steady()
        self.corked = False
        self._reserved = 0
        self._saved = numbers
        self._saved_at = times.steady()
        self._store, self._wire, self._times = store, wire, times
        self._resending = Resending(session_id, store, rendered, self._sending_time)
        self._sender, self._target = session_id.sender.encode(), session_id.target.encode()
        self._clock52 = Clock52()
        self._waiting = Waiting()
        self._out: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._pinned = False
        self._arrivals = Arrivals(numbers.arrived, self.next_out)
        self._parting = False
        self._closing: str | None = None
        self._over = False
        self._halting = False
        self._room = asyncio.Event()

    # What is to be sent

    @property
    def waiting(self) -> int:
        """How many messages, pieces of reports and resends wait."""
        return len(self._waiting.items)

    def say(self, msg_type: bytes, fields: Fields, header: Fields = ()) -> None:
        """Send a message of this moment; after a Logout the session alone has a say."""
        if self._over or (self._parting and msg_type not in SESSION_MESSAGES):
            return
        try:
            body = render(fields)
        except ValueError as error:
            log.error("%s: a message %r cannot be written: %s", self.session_id, msg_type, error)
            return
        test_id = b""
        if msg_type == TEST_REQUEST:
            test_id = fields[0][1]
        elif msg_type == LOGOUT:
            self._owe_no_more()
        self._waiting.say(Said(msg_type, body, header, test_id))
        if len(self._waiting.items) > QUEUE_MOST:
            self._wire.failed(
                f"{len(self._waiting.items)} messages wait for a client that does not read"
            )
        elif not self.corked:
            self.pump()

    def owe(self, reports: Sequence[Report], up_to: int, *, resent: bool) -> None:
        """Queue reports. Raises SessionEnded."""
        if self._over or self._parting:
            raise SessionEnded(str(self.session_id))
        self._waiting.owe(reports, up_to, resent=resent)
        if not self.corked:
            self.pump()

    async def room(self) -> None:
        """Return when more may be owed. Raises SessionEnded when there will be no more."""
        while not self._over and not self._parting:
            if self._waiting.reports <= WAITING_MOST and not self._wire.blocked():
                return
            self._room.clear()
            await self._room.wait()
        raise SessionEnded(str(self.session_id))

    def clear(self) -> bool:
        """Whether what was said is written, and the client takes it: what can wait, and may be
        replaced by something newer, is not to stand before what cannot.
        """
        if self._over or self._parting or self._waiting.said:
            return False
        return self._wire.unread() <= UNREAD_MOST

    def send_again(self, first: int, last: int) -> bool:
        """Queue a range of numbers to be sent again; False when too much waits already."""
        taken = self._waiting.again(first, last)
        if not self.corked:
            self.pump()
        return taken

    def close(self, reason: str) -> None:
        """Close the connection when all that was said is written."""
        self._owe_no_more()
        self._waiting.drop_resends()
        self._closing = reason
        if not self.corked:
            self.pump()

    def _owe_no_more(self) -> None:
        """Leave what has no number yet to be told at the next logon."""
        self._parting = True
        self._waiting.drop_reports()
        self._room.set()

    # What is known of the client

    def last_number(self) -> int:
        """The highest own number that was used."""
        return self.next_out - 1

    def unconfirmed(self) -> bool:
        """Whether reports were sent that are not known to have arrived."""
        return self._arrivals.awaited

    def confirmed(self, test_id: bytes) -> None:
        """Note that everything before a TestRequest has arrived, as the client answered it."""
        self._arrivals.answered(test_id)

    def expects(self, seq_num: int) -> None:
        """Note what the client said it expects next: all before it has arrived."""
        self._arrivals.upto(min(seq_num, self.next_out) - 1)

    # The way to the wire

    def pump(self) -> None:
        """Send what waits, as far as neither the store nor the client has to be waited for."""
        while (
            not self._pinned and not self._halting and not self._over and not self._wire.blocked()
        ):
            if not self._waiting.items:
                break
            item = self._waiting.items[0]
            if type(item) is Said:
                if self.next_out >= self._reserved:
                    self._start(self._reserve())
                    break
                self._waiting.take()
                self._use_number(item)
            elif self._task is not None:
                # Reports wait for the store; what has a number reserved does not wait with them.
                overtaking = self._waiting.overtaking() if self.next_out < self._reserved else None
                if overtaking is None:
                    break
                self._use_number(overtaking)
            elif type(item) is Again:
                self._waiting.take()
                self._start(self._send_range(item), pinned=True)
            elif item.reports:  # type: ignore[union-attr]
                self._start(self._store_group(), pinned=True)
            else:
                self._waiting.take()
                self.told = max(self.told, item.up_to)  # type: ignore[union-attr]
        self._flush()
        if self._over or self._pinned or self._halting:
            return
        if self._closing is not None and not self._waiting.items:
            self._wire.finished(self._closing)
        elif self._reserved - self.next_out < RESERVED // 2:
            self._start(self._reserve())

    def tick(self) -> None:
        """Save now and then where the session stands; send what the wire has room for again."""
        stands = (self._saved.next_in, self._saved.arrived, self._saved.told)
        if self._times.steady() - self._saved_at >= SAVED_WITHIN_SECONDS and stands != (
            self.next_in(),
            self._arrivals.number,
            self.told,
        ):
            self._start(self._reserve())
        self.pump()

    def unblocked(self) -> None:
        """Go on: the client has read what waited for it."""
        self.pump()
        self._room.set()

    def beat(self) -> None:
        """Send a Heartbeat, or what keeps the client content while no number can be used."""
        if self._wire.blocked() or self._halting:
            return
        if not self._pinned and self.next_out < self._reserved:
            self.say(HEARTBEAT, ())
        elif self._arrivals.in_step and not self._waiting.resends:
            self._stay_alive()

    def _stay_alive(self) -> None:
        """Send a message that uses no number and changes none: the next one is what it was.

        It goes only to a client that is known to have no gap, which it would close.
        """
        body = render(((Tag.NEW_SEQ_NO, b"%d" % self.next_out),))
        self._out.append(self._framed(Pending(self.next_out, SEQUENCE_RESET, body, ())))
        self._flush()

    def _use_number(self, item: Said) -> None:
        seq_num = self.next_out
        self.next_out = seq_num + 1
        if item.test_id:
            self._arrivals.asked(item.test_id, seq_num)
        self._out.append(self._framed(Pending(seq_num, item.msg_type, item.body, item.header)))

    def _framed(self, pending: Pending) -> bytes:
        seq_num, msg_type, body, header = pending
        head = Head(self._sender, self._target, seq_num, self._sending_time(), header)
        return frame(head, msg_type, body)

    def _flush(self) -> None:
        if self._out:
            data, self._out = b"".join(self._out), []
            self._wire.write(data)
            self.last_sent = self._times.steady()

    def _start(self, work: Coroutine[Any, Any, None], *, pinned: bool = False) -> None:
        if self._task is not None or self._over:
            work.close()
            return
        self._pinned = pinned
        self._task = asyncio.create_task(self._run(work), name=f"fix {self.session_id}")

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SessionEnded as ended:
            self._wire.failed(f"the session has another owner, or new numbers: {ended}")
        except Exception as error:
            log.exception("%s: what waits to be sent cannot be", self.session_id)
            self._wire.failed(f"it cannot be sent on: {error!r}")
        finally:
            self._task = None
            self._pinned = False
        self.pump()
        if not self._room.is_set() and not self._wire.blocked():
            self._room.set()

    # With the store

    def numbers(self, next_out: int, told: int, reserved: int) -> Numbers:
        """Where the session stands."""
        return Numbers(self.next_in(), next_out, self._arrivals.number, told, self.began, reserved)

    async def _save(self, numbers: Numbers, rows: Sequence[Numbered] = ()) -> None:
        await self._store.save(self.session_id, numbers, rows)
        self._saved, self._saved_at = numbers, self._times.steady()
        self._reserved = numbers.reserved

    async def _reserve(self) -> None:
        """Store where the session stands, with numbers ahead for what is no report."""
        await self._save(self.numbers(self.next_out, self.told, self.next_out + RESERVED))

    async def _store_group(self) -> None:
        """Number what waits up to a resend, store it, and write it."""
        pending: list[Pending] = []
        rows: list[Numbered] = []
        told, settles = self.told, False
        seq_num = self.next_out
        while (
            self._waiting.items
            and type(self._waiting.items[0]) is not Again
            and len(pending) < GROUP_MOST
        ):
            item = self._waiting.take()
            if type(item) is Said:
                if item.test_id:
                    self._arrivals.asked(item.test_id, seq_num)
                pending.append(Pending(seq_num, item.msg_type, item.body, item.header))
                seq_num += 1
            elif type(item) is Owed:
                for report in item.reports:
                    row = self._row(report, seq_num, pending, resent=item.resent)
                    if row is not None:
                        rows.append(row)
                        seq_num += 1
                told = max(told, item.up_to)
                settles = settles or self._settles(item)
        framed = [self._framed(one) for one in pending]
        began = self._times.steady()
        await self._save(self.numbers(seq_num, told, seq_num + RESERVED), rows)
        if self._times.steady() - began > STALE_SECONDS:
            framed = [self._framed(one) for one in pending]
        self.next_out, self.told = seq_num, told
        if rows:
            self._arrivals.reported(rows[-1].seq_num)
        self._out += framed
        self._flush()
        if settles:
            self.uncertain = None
            await self._store.settled(self.session_id)

    def _row(
        self, report: Report, seq_num: int, pending: list[Pending], *, resent: bool
    ) -> Numbered | None:
        """Give a report a number; None for one that cannot be written, which uses none."""
        try:
            body = render(report.body.fields)
        except ValueError as error:
            log.error("%s: %s cannot be written: %s", self.session_id, report.source, error)
            return None
        header = _POSS_RESEND if resent else ()
        pending.append(Pending(seq_num, report.body.msg_type, body, header))
        return Numbered(seq_num, report.source, crc32(body), resent)

    def _settles(self, owed: Owed) -> bool:
        """Whether what was uncertain before numbers were begun anew has been sent by now."""
        if self.uncertain is None:
            return False
        return not owed.resent or any(one.source == self.uncertain for one in owed.reports)

    async def _send_range(self, again: Again) -> None:
        """Send a range of numbers again, by and by; what is behind it waits."""
        last = self.next_out - 1
        if again.last:
            last = min(again.last, last)
        await self._resending.send(again.first, last, self._write_again)
        self._waiting.resends -= 1

    async def _write_again(self, pending: list[Pending]) -> bool:
        self._out += [self._framed(one) for one in pending]
        self._flush()
        await self._wire.writable()
        # Other sessions have their turn even when this one's client reads fast.
        await asyncio.sleep(0)
        return not self._over and self._closing is None

    def _sending_time(self) -> bytes:
        return self._clock52.text(self._times.now())

    # Numbers begun anew, and the end

    async def begin_anew(self) -> Waiting:
        """Begin the numbers at 1, and return what waits to be sent under new ones.

        Raises SessionEnded.
        """
        self._halting = True
        await self.idle()
        await self._store.save(
            self.session_id, self.numbers(self.next_out, self.told, self.next_out)
        )
        self.began = self._times.now()
        numbers = Numbers(told=self.told, began=self.began)
        await self._store.reset(self.session_id, numbers)
        waiting, self._waiting = self._waiting, Waiting()
        waiting.drop_resends()
        self.next_out, self._reserved = 1, 0
        self._arrivals = Arrivals(0, 1)
        self._saved = numbers
        self._halting = False
        return waiting

    def go_on(self, waiting: Waiting) -> None:
        """Send what waited while the numbers were begun anew."""
        self._waiting.go_on(waiting)
        self.pump()

    def end(self) -> None:
        """Send nothing more: the connection is gone."""
        self._over = True
        self._room.set()

    async def settle(self) -> None:
        """Store where the session stood in the end. Raises SessionEnded."""
        await self.idle()
        await self._store.save(
            self.session_id, self.numbers(self.next_out, self.told, self.next_out)
        )

    async def idle(self) -> None:
        """Return when nothing is under way with the store."""
        while self._task is not None:
            await asyncio.wait((self._task,))
