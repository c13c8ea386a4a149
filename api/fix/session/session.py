"""A session that is connected: its state, what it sends, and the application behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from api.fix.codec import Garbled, Message
from api.fix.ports import (
    Application,
    Body,
    Numbers,
    Received,
    Report,
    SessionEnded,
    SessionRules,
    SessionStore,
)
from api.fix.session.hands import Validate
from api.fix.session.logon import judge_logon
from api.fix.session.outgoing import Outgoing, Times, Wire
from api.fix.session.resending import AT_ONCE
from api.fix.session.state import Phase, SessionState

CLOSING_SECONDS = 5.0
"""How long last words may wait for the store or a client that does not read."""
TOO_MUCH = "under way"
"""Why a client is not read that has too much under way."""
NOT_AVAILABLE = 4
"""BusinessRejectReason(380) of what failed behind the session."""

log = logging.getLogger("nexus.fix")


class Line(Wire, Protocol):
    """The connection of a session."""

    def pause(self, why: str = ...) -> None:
        """Read no more for now."""
        ...

    def resume(self, why: str = ...) -> None:
        """Read on, when nothing else is in the way."""
        ...


class Session:
    """One client that was let in, until its connection ends; a `Link` to the application."""

    def __init__(
        self,
        rules: SessionRules,
        numbers: Numbers,
        store: SessionStore,
        line: Line,
        times: Times,
        application: Application,
        validate: Validate,
    ) -> None:
        self.session_id = rules.session_id
        self.outgoing = Outgoing(rules.session_id, numbers, store, line, times, application.render)
        self.state = SessionState(rules, self.outgoing, self, validate, numbers.next_in)
        self.outgoing.next_in = self._done_up_to
        self._rules, self._numbers, self._store = rules, numbers, store
        self._line, self._times, self._application = line, times, application
        self._validate = validate
        self._held: list[Message | Garbled] | None = []
        self._restarting: asyncio.Task[None] | None = None
        self._known = False
        self._closing_since: float | None = None

    def _done_up_to(self) -> int:
        """The number to go on from after a crash: all before it is decided, or was no order."""
        undecided = self._application.undecided(self)
        return min(undecided, self.state.next_in) if undecided else self.state.next_in

    # The connection

    async def begin(self, logon: Message) -> None:
        """Answer the Logon of a client that was let in, and have its reports begin.

        Raises SessionEnded.
        """
        self._at()
        fault = self._validate(logon)
        if fault is not None:
            self.state.reject(logon, fault.reason, fault.text, tag=fault.tag)
            self.state.condemn(f"{fault.text} (tag {fault.tag})")
            return self._release()
        judged = judge_logon(logon, self._rules, self._numbers, self._times.now())
        if judged.refusal:
            log.warning("%s: logon refused: %s", self.session_id, judged.refusal)
            self.state.condemn(judged.refusal)
            return self._release()
        if judged.reset:
            await self.outgoing.begin_anew()
            self.state.renumber(1)
        self._at()
        self.state.begin(logon, judged.heartbeat, reset=logon.get(141) == b"Y")
        uncertain = await self._store.uncertain(self.session_id)
        self.outgoing.uncertain = uncertain[-1] if uncertain else None
        self._known = True
        await self._application.logged_on(self, self.outgoing.told, uncertain)
        self._release()

    def turn_away(self, text: str) -> None:
        """Tell a client that was not let in why."""
        self._at()
        self.state.condemn(text)
        self._release()

    def receive(self, items: Sequence[Message | Garbled]) -> None:
        """Take what came, and send what it leads to in one piece."""
        if self._held is not None:
            self._held += items
            return
        self._at()
        self.outgoing.corked = True
        for place, item in enumerate(items):
            if type(item) is Garbled:
                log.warning("%s: garbled message ignored: %s", self.session_id, item.why)
                continue
            self.state.receive(item)  # type: ignore[arg-type]
            if self._held is not None:
                self._held += items[place + 1 :]
                break
        self.outgoing.corked = False
        self.outgoing.pump()

    def tick(self) -> None:
        """Do what is due by now."""
        self._at()
        self.state.tick()
        self.outgoing.tick()
        if self.state.phase is Phase.OVER:
            self._closing_since = self._closing_since or self._times.steady()
            if self._times.steady() - self._closing_since >= CLOSING_SECONDS:
                self._line.failed("the last words could not be sent")

    def log_out(self, text: str) -> None:
        """Have the session end with a Logout."""
        self._at()
        self.state.log_out(text)

    def heard(self) -> None:
        """Count the client as heard: it is not listened to for now."""
        self.state.liveness.heard(self._times.steady())

    def suspect(self) -> None:
        """Ask whether the client is there still, as it seems to be elsewhere, too."""
        self.state.liveness.suspect(self._times.steady())

    async def over(self) -> None:
        """Tell the application, and store where the session stood, after the connection's end."""
        logged_out = self.state.phase is Phase.OVER
        self.state.phase = Phase.OVER
        self.outgoing.end()
        if self._restarting is not None:
            await asyncio.wait((self._restarting,))
        if self._known:
            try:
                await self._application.logged_off(self)
            except Exception:
                log.exception("%s: the application could not be told of its end", self.session_id)
        try:
            await self.outgoing.settle()
            if self._rules.reset_on_disconnect or (logged_out and self._rules.reset_on_logout):
                await self.outgoing.begin_anew()
        except SessionEnded:
            log.info("%s: another has the session by now", self.session_id)

    def _at(self) -> None:
        self.state.now, self.state.steady = self._times.now(), self._times.steady()

    def _release(self) -> None:
        """Take what came while the session could not."""
        held, self._held = self._held, None
        if held:
            self.receive(held)
        if self._held is None:
            self._line.resume()

    # What is behind the session

    def hand_over(self, message: Received) -> None:
        """Give an application message to what is behind the session."""
        try:
            self._application.received(self, message)
        except Exception:
            log.exception("%s: message %d failed", self.session_id, message.seq_num)
            self.refuse(message, NOT_AVAILABLE, "The message could not be worked on")

    def hold(self, held: bool) -> None:
        """Read no more while too much is under way; then read on."""
        if held:
            self._line.pause(TOO_MUCH)
        else:
            self._line.resume(TOO_MUCH)

    def over_rate(self, message: Received) -> None:
        """Have a message over the rate answered by a report."""
        try:
            self._application.over_rate(self, message)
        except Exception:
            log.exception("%s: message %d failed", self.session_id, message.seq_num)
            self.refuse(message, NOT_AVAILABLE, "Over the session's rate")

    def restart(self, logon: Message) -> None:
        """Begin the numbers anew, as a Logon within the session asks."""
        judged = judge_logon(logon, self._rules, self._numbers, self._times.now())
        if judged.refusal:
            self.state.condemn(judged.refusal)
            return
        self._held = []
        self._line.pause()
        self._restarting = asyncio.create_task(self._restart(logon, judged.heartbeat))

    async def _restart(self, logon: Message, heartbeat: int) -> None:
        try:
            waiting = await self.outgoing.begin_anew()
            self._at()
            self.state.renumber(1)
            self.state.begin(logon, heartbeat, reset=True)
            uncertain = await self._store.uncertain(self.session_id)
            self.outgoing.uncertain = uncertain[-1] if uncertain else None
            for start in range(0, len(uncertain), AT_ONCE):
                some = uncertain[start : start + AT_ONCE]
                bodies = await self._application.render(self.session_id, some)
                reports = [Report(*said) for said in zip(some, bodies, strict=True)]
                self.outgoing.owe(reports, self.outgoing.told, resent=True)
            self.outgoing.go_on(waiting)
            self._release()
        except SessionEnded as ended:
            self._line.failed(f"the session has another owner: {ended}")
        except Exception as error:
            log.exception("%s: numbers could not be begun anew", self.session_id)
            self._line.failed(f"numbers could not be begun anew: {error!r}")

    # Link

    def answer(self, body: Body) -> None:
        """Send what is no event and is gap-filled when it is asked for again."""
        self.outgoing.say(body.msg_type, body.fields)

    def clear(self) -> bool:
        """Whether all that was answered is written, and the client takes it."""
        return self.outgoing.clear()

    def refuse(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Send a BusinessMessageReject of a message."""
        self.state.refuse(message, reason, text, tag=tag)

    def reject(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Send a session-level Reject of a message."""
        self.state.reject(message, reason, text, tag=tag)

    async def deliver(self, reports: Sequence[Report], up_to: int, *, resent: bool = False) -> None:
        """Have reports numbered, stored and sent; wait while the client reads too slowly."""
        self.outgoing.owe(reports, up_to, resent=resent)
        await self.outgoing.room()
