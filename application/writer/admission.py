"""Admits commands: bounded, decoded, repeats answered, and nothing decided on half a memory.

What a command needs and memory does not hold is looked up in the store first; only the
commands of the same account wait for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

import msgspec

from application.commands import Envelope, Reply, decode_command
from application.desk.desk import Desk
from application.log.ports import EventLog, RequestKey
from application.writer.committing import Committing
from application.writer.gathering import Answer, Limits, Pending, check_storable, refused
from application.writer.loading import warm_filter
from application.writer.look_ups import Finding, answered_again, missing
from application.writer.order_rates import OrderRates
from application.writer.parking import Parking
from application.writer.reads import by_present_symbol
from application.writer.request_keys import RequestKeys, fingerprint, is_repeat
from domain.errors import InvalidField, QueueFull, Rejection
from domain.request_errors import ClientOrderIdSpent, OrderRateExceeded, RequestKeyReused

KEPT_PART = 4
"""Which part of the queue comes on top, for what takes risk away."""


class Admission:
    """What stands between a command's arrival and its decision.

    `decide` decides a command that is admitted; it is called in order of arrival within each
    account. `failed` takes a command whose look-up broke. While admission is closed commands
    wait in line.
    """

    def __init__(
        self,
        log: EventLog,
        committing: Committing,
        limits: Limits,
        desk: Callable[[], Desk],
        decide: Callable[[Pending], None],
        failed: Callable[[Pending, Exception], Awaitable[None]],
        say: Callable[[str], object],
        rates: OrderRates,
    ) -> None:
        self._log = log
        self._committing = committing
        self._queue = limits.queue
        self._oldest = limits.oldest_ms * 1_000_000
        self._opened = 0
        self._desk = desk
        self._decide = decide
        self._rates = rates
        self._keys = RequestKeys()
        self._line: deque[Pending] = deque()
        self._parking = Parking(committing.flush, self.admit_in_order, failed, say)
        self.is_open = False

    def submit(self, envelope: Envelope, answer: Answer) -> None:
        """Take a command in, or refuse it at once when too many have no answer yet, or when one
        waits for its answer for too long.
        """
        now = self._rates.elapsed()
        if self._is_busy(now) and not self._is_taken_all_the_same(envelope):
            answer(refused(QueueFull()))
        else:
            self._take(Pending(envelope, answer, now))

    def take(self, envelope: Envelope, answer: Answer) -> None:
        """Take a command of the writer's own in, however busy it is."""
        self._take(Pending(envelope, answer, self._rates.elapsed()))

    def _is_busy(self, now: int) -> bool:
        """Whether more would only wait longer than anybody has use for.

        While the desk is built again nobody is behind: what waits is decided at once afterwards.
        """
        if self._committing.unanswered >= self._queue:
            return True
        if not self._oldest or not self.is_open:
            return False
        if self._log.is_held:
            # Nor while the log goes to another store: what waits is stored at once afterwards.
            self._opened = now
            return False
        since = self._committing.waits_since()
        return since > 0 and now - max(since, self._opened) > self._oldest

    def _is_taken_all_the_same(self, envelope: Envelope) -> bool:
        """Whether a command only ends something, or asks: a part of the queue is kept for these."""
        if self._committing.unanswered >= self._queue + self._queue // KEPT_PART:
            return False
        try:
            command = decode_command(bytes(envelope.body))
        except msgspec.MsgspecError:
            return False
        return bool(command.TAKES_RISK_AWAY or command.READS)

    def _take(self, pending: Pending) -> None:
        self._committing.unanswered += 1
        if self.is_open:
            self.admit(pending)
        else:
            self._line.append(pending)

    def admit(self, pending: Pending) -> None:
        """Have a command decided now, or park it behind a look-up of its account."""
        if pending.command is None and not self._decode(pending):
            return
        account_id = pending.command.scope()
        if self._parking.holds(account_id):
            self._parking.add(account_id, pending)
            return
        key = pending.key
        if key is not None:
            known = self._keys.recent(key)
            if known is not None:
                self._repeat(pending, known[0])
                return
            if pending.key_known_to is not self._keys and self._keys.needs_look_up(key):
                self._parking.park(account_id, pending, partial(self._look_up_key, pending, key))
                return
        if not pending.counted and account_id is not None:
            pending.counted = True
            if self._exceeds_rate(pending, account_id):
                return
        if pending.command.LOOKS_BACK and pending.target_known_to is not self._desk():
            find = missing(self._log, self._desk(), self._keys, pending.command)
            if find is not None:
                self._parking.park(account_id, pending, partial(self._look_up, pending, find))
                return
        self._decide(pending)

    def _decode(self, pending: Pending) -> bool:
        """Read the command, once; false when there is none that could be stored."""
        try:
            body = bytes(pending.envelope.body)
            command = decode_command(body)
            pending.body = fingerprint(body)
            pending.key = command.key()
            check_storable(pending, command)
            # Not before: what is refused here is looked at anew when its group is.
            pending.command = command
        except msgspec.MsgspecError as error:
            self._committing.attach(pending, refused(InvalidField("command", str(error))))
            return False
        except Rejection as refusal:
            self._committing.attach(pending, refused(refusal))
            return False
        return True

    def _exceeds_rate(self, pending: Pending, account_id: UUID) -> bool:
        """Refuse a command at once when its account sends too many; says whether it did."""
        try:
            self._rates.take(self._desk(), account_id, pending.command, pending.arrived)
        except OrderRateExceeded as refusal:
            # Nothing was decided that this answer could tell of: it need not wait.
            self._committing.answer(pending, refused(refusal))
            return True
        return False

    def admit_in_order(self, waiting: Sequence[Pending]) -> None:
        """Admit commands that waited; while admission is closed they stay before newer ones."""
        left = deque(waiting)
        while left and self.is_open:
            self.admit(left.popleft())
        self._line.extendleft(reversed(left))

    def spend_key(self, pending: Pending, position: int) -> RequestKey | None:
        """Remember the key of a request whose first event has this position."""
        key = pending.key
        if key is None:
            return None
        self._keys.add(key, pending.body, position)
        return RequestKey(*key, pending.body, position)

    # More than memory

    def _repeat(self, pending: Pending, body: bytes) -> None:
        """Answer a repeated request with what it came to, or refuse another body."""
        if not pending.command.names_order() and not _is_same(pending, body):
            self._refuse_reuse(pending)
            return
        self._parking.look_up(pending, partial(self._answer_again, pending))

    def _refuse_reuse(self, pending: Pending) -> None:
        assert pending.key is not None
        field = pending.command.key_field()
        self._refuse_repeat(pending, refused(RequestKeyReused(field, pending.key[1])))

    def _refuse_repeat(self, pending: Pending, reply: Reply) -> None:
        """Refuse a request whose key was used; it counts as one that was refused."""
        assert pending.key is not None
        self._rates.note(self._desk(), pending.key[0], pending.arrived)
        self._committing.attach(pending, reply)

    async def _answer_again(self, pending: Pending) -> None:
        assert pending.key is not None
        # Only now: a recovery may have decided the first request anew, elsewhere or not at all.
        found = await self._log.find_key(*pending.key)
        reply = None if found is None else await answered_again(self._log, self._desk, found)
        if found is None or reply is None or not self.is_open:
            self.admit_in_order([pending])
            return
        same = _is_same(pending, found.fingerprint)
        first = reply.refusal
        if first is not None and pending.command.names_order():
            spent = ClientOrderIdSpent(pending.key[1], first.code, first.message, first.details)
            self._refuse_repeat(pending, refused(spent, position=reply.position, duplicate=same))
        elif not same:
            self._refuse_reuse(pending)
        else:
            # It may show what is not committed yet.
            self._committing.attach(pending, by_present_symbol(self._desk(), reply))

    async def _look_up_key(self, pending: Pending, key: tuple[UUID, str]) -> None:
        keys = self._keys
        found = await self._log.find_key(*key)
        if found is not None:
            keys.add(key, found.fingerprint, found.position)
        # A recovery may have put other keys in their place meanwhile: they have not got it.
        pending.key_known_to = keys

    async def _look_up(self, pending: Pending, find: Finding) -> None:
        desk = self._desk()
        await find(desk)
        pending.target_known_to = desk

    @property
    def is_looking_up(self) -> bool:
        """Whether commands are parked."""
        return bool(self._parking.accounts())

    # Closing and opening

    def close(self) -> None:
        """Decide nothing more; what comes waits in line."""
        self.is_open = False

    def open(self, keys: RequestKeys) -> None:
        """Decide again, on a desk that has these request keys."""
        self._keys = keys
        self._opened = self._rates.elapsed()
        self.is_open = True
        if keys.warming:
            self._parking.spawn(warm_filter(self._log, keys))

    def admit_line(self) -> None:
        """Admit what waited in line while admission was closed."""
        while self._line and self.is_open:
            self.admit(self._line.popleft())

    def readmit(self, before: Sequence[Pending], settle: Callable[[Pending], bool]) -> None:
        """Admit commands that were admitted before, in their first order.

        They go before the commands in line, and before those parked of the same account.
        `settle` answers a command that needs no decision, and says whether it did.
        """
        parked = self._parking.accounts()
        older: list[tuple[UUID | None, Pending]] = []
        left: list[Pending] = []
        for pending in before:
            if settle(pending):
                continue
            account_id = pending.scope()
            pending.correlation_id = None
            if not self.is_open:
                left.append(pending)
            elif account_id in parked:
                older.append((account_id, pending))
            else:
                self.admit(pending)
        for account_id, pending in reversed(older):
            self._parking.add_before(account_id, pending)
        self._line.extendleft(reversed(left))

    def put_first(self, pendings: Sequence[Pending]) -> None:
        """Let commands wait before all others in line."""
        self._line.extendleft(reversed(pendings))

    def take_all(self) -> list[Pending]:
        """Every command that waits to be decided; none waits afterwards."""
        taken = [*self._line, *self._parking.take_all()]
        self._line.clear()
        return taken

    def cancel_look_ups(self) -> None:
        """End every look-up."""
        self._parking.cancel()


def _is_same(pending: Pending, stored: bytes) -> bool:
    """Whether a command's key was used by the same command."""
    return stored == pending.body or is_repeat(pending.command, stored)
