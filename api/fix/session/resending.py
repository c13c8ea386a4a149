"""Messages that are sent again: rendered from the log, what was no report filled over."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from zlib import crc32

from api.fix.codec import render
from api.fix.ports import Body, Numbered, SessionId, SessionStore, Source
from api.fix.session.waiting import Pending
from api.fix.session.words import SEQUENCE_RESET, YES, Tag
from application.turns import Turn

AT_ONCE = 500
"""How many reports are rendered and written at a time."""
SPAN_MOST = 16_000
"""How many numbers are looked up at a time where few of them are reports."""

log = logging.getLogger("nexus.fix")

Rendered = Callable[[SessionId, Sequence[Source]], Awaitable[Sequence[Body]]]


Write = Callable[[list[Pending]], Awaitable[bool]]
"""Writes messages and waits until more may be written; False when there is nobody to read them."""


class Resending:
    """Sends ranges of a session's numbers again."""

    def __init__(
        self,
        session_id: SessionId,
        store: SessionStore,
        rendered: Rendered,
        sending_time: Callable[[], bytes],
    ) -> None:
        self._session_id = session_id
        self._store = store
        self._rendered = rendered
        self._sending_time = sending_time

    async def send(self, first: int, last: int, write: Write) -> None:
        """Send a range again in pieces, reports as they were and all else filled over."""
        following, at, span = first, first, AT_ONCE
        turn = Turn()
        while at <= last:
            until = min(at + span - 1, last)
            rows = await self._store.sent(self._session_id, at, until)
            for start in range(0, len(rows), AT_ONCE):
                some = rows[start : start + AT_ONCE]
                pending = await self._again(some, following, turn)
                following = some[-1].seq_num + 1
                if not await write(pending):
                    return
            if len(rows) < AT_ONCE // 2:
                span = min(2 * span, SPAN_MOST)
            at = until + 1
        if following <= last:
            await write([self._fill(following, last + 1)])

    async def _again(self, rows: Sequence[Numbered], following: int, turn: Turn) -> list[Pending]:
        """Some reports as they were sent first, with what was between them filled over."""
        bodies = await self._rendered(self._session_id, [row.source for row in rows])
        pending: list[Pending] = []
        header = self._header()
        for row, said in zip(rows, bodies, strict=True):
            await turn.is_over()
            body = render(said.fields)
            if crc32(body) != row.checksum:
                log.warning(
                    "%s: message %d is not as it was sent first: the log is right",
                    self._session_id,
                    row.seq_num,
                )
            if row.seq_num > following:
                pending.append(self._fill(following, row.seq_num))
            following = row.seq_num + 1
            more = (*header, (Tag.POSS_RESEND, YES)) if row.poss_resend else header
            pending.append(Pending(row.seq_num, said.msg_type, body, more))
        return pending

    def _fill(self, first: int, following: int) -> Pending:
        """What stands for numbers of no report: the next number after them."""
        body = render(((Tag.NEW_SEQ_NO, b"%d" % following), (Tag.GAP_FILL, YES)))
        return Pending(first, SEQUENCE_RESET, body, self._header())

    def _header(self) -> tuple[tuple[int, bytes], ...]:
        # When it was sent first is kept nowhere; FIX has the present time stand for that.
        return (Tag.POSS_DUP, YES), (Tag.ORIG_SENDING_TIME, self._sending_time())
