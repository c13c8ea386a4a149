"""One session's side of the conversation: a message in, what to do about it out.

It does no I/O and reads no clock. What it decides it tells its `Hands`, and what is behind it is
given what is meant for the application; what time it is stands in
`now` (the wall clock, in microseconds) and `steady` (seconds that never jump).
"""

from __future__ import annotations

from enum import Enum

from api.fix.codec import BEGIN_STRING, Message
from api.fix.ports import Received, SessionRules
from api.fix.session.gaps import Gap
from api.fix.session.hands import Behind, Hands, Validate
from api.fix.session.header import HeaderChecks, Wrong
from api.fix.session.liveness import Liveness
from api.fix.session.pacing import RollingRate
from api.fix.session.rejects import number, refusal_fields, reject_fields, way_back, words
from api.fix.session.words import (
    BUSINESS_OTHER,
    BUSINESS_REJECT,
    HEARTBEAT,
    LOGON,
    LOGOUT,
    MOST_NUMBER,
    REASON_TEXT,
    REJECT,
    RESEND_REQUEST,
    SEQUENCE_RESET,
    TEST_REQUEST,
    YES,
    Reason,
    Tag,
)

SPARED_SECONDS = 5.0
"""Of how many seconds' worth the messages that a crash had us ask for again are not counted."""
CONDEMNED_SECONDS = 2.0
"""How long a client that was told of its error may take to close the connection itself."""


class Phase(Enum):
    """Where a session stands in its life."""

    OPEN = "open"
    LEAVING = "leaving"
    """A Logout of ours waits for its answer: what comes is not taken, and so is sent again."""
    CONDEMNED = "condemned"
    """The client was told what it did: nothing of it is listened to."""
    OVER = "over"


class SessionState:
    """A session from its accepted Logon on."""

    def __init__(
        self,
        rules: SessionRules,
        hands: Hands,
        behind: Behind,
        validate: Validate,
        next_in: int,
    ) -> None:
        self.rules = rules
        self.next_in = next_in
        self.phase = Phase.OPEN
        self.liveness = Liveness()
        self.now = 0
        self.steady = 0.0
        self._hands, self._behind = hands, behind
        self._validate = validate
        self._header = HeaderChecks(rules)
        self._gap = Gap()
        self._rate = RollingRate(rules.rate) if rules.rate is not None else None
        self._spared = 0
        self._tests = 0
        self._deadline = 0.0
        self._leaving = ""
        self._in_turn = {
            HEARTBEAT: self._heartbeat,
            TEST_REQUEST: self._test_request,
            RESEND_REQUEST: self._resend_request,
            REJECT: self._rejected,
            SEQUENCE_RESET: self._gap_fill,
            LOGON: self._logon_again,
        }

    # Beginning and end

    def begin(self, logon: Message, heartbeat: int, *, reset: bool) -> None:
        """Answer a Logon that was judged good; `reset` tells the client that numbers are new."""
        self.liveness.begin(heartbeat, self.steady)
        self._header.begin(self.now, self.steady)
        in_turn = logon.seq_num == self.next_in
        if in_turn:
            self.next_in += 1
        fields = [
            (Tag.ENCRYPT_METHOD, b"0"),
            (Tag.HEARTBEAT_SECONDS, b"%d" % heartbeat),
        ]
        if reset:
            fields.append((Tag.RESET_NUMBERS, YES))
        expected = number(logon.get(Tag.NEXT_EXPECTED))
        if expected is not None:
            fields.append((Tag.NEXT_EXPECTED, b"%d" % self.next_in))
        before = self._hands.last_number()
        if expected is not None and not reset:
            self._hands.expects(expected)
        self._hands.say(LOGON, fields)
        if expected is not None and not reset and expected <= before:
            self._hands.send_again(expected, before)
        if not in_turn:
            rate = self.rules.rate
            if rate is not None:
                seconds = max(SPARED_SECONDS, rate.seconds)
                self._spared = int(rate.messages * seconds / rate.seconds)
            self._gap.keep(logon.seq_num, None)
            if expected is not None:
                # It was told what is expected, and sends that by itself.
                self._gap.asked(logon.seq_num - 1, self.steady)
            else:
                self._ask()

    def renumber(self, next_in: int) -> None:
        """Go on with numbers that were begun anew."""
        self.next_in = next_in
        self._gap = Gap()

    def log_out(self, text: str) -> None:
        """Ask the client to part."""
        if self.phase is Phase.OPEN:
            self.phase = Phase.LEAVING
            self._leaving = text
            self._deadline = self.steady + self.rules.logout_seconds
            if self._hands.unconfirmed():
                # A Logout that comes now may be no answer to ours: both may part at once.
                self._test()
            self._hands.say(LOGOUT, ((Tag.TEXT, words(text)),))

    def condemn(self, text: str) -> None:
        """Tell the client what ends the session, and wait a little for it to go."""
        if self.phase in (Phase.OPEN, Phase.LEAVING):
            self.phase = Phase.CONDEMNED
            self._leaving = text
            self._deadline = self.steady + CONDEMNED_SECONDS
            self._hands.say(LOGOUT, ((Tag.TEXT, words(text)),))

    def close(self, reason: str) -> None:
        """Be over."""
        if self.phase is not Phase.OVER:
            self.phase = Phase.OVER
            self._hands.close(reason)

    # What time asks for

    def tick(self) -> None:
        """Do what is due by now."""
        if self.phase in (Phase.LEAVING, Phase.CONDEMNED):
            if self.steady >= self._deadline:
                self.close(self._leaving)
            return
        if self.phase is Phase.OVER:
            return
        window = self.rules.window
        if window is not None and self.now >= window.ends:
            self.log_out("The session's time is over")
            return
        if self.liveness.gone(self.steady):
            self.close(f"no message came for {self.liveness.silence(self.steady):.0f} seconds")
            return
        if self.liveness.beats(self.steady, self._hands.last_sent):
            self._hands.beat()
        if self.liveness.tests(self.steady, unconfirmed=self._hands.unconfirmed()):
            self._test()
        if self._gap.overdue(self.steady) and self.phase is Phase.OPEN:
            if self._gap.hopeless():
                self.log_out(f"Message {self.next_in} did not come though it was asked for")
            else:
                self._ask()

    def _test(self) -> None:
        self._tests += 1
        self._hands.say(TEST_REQUEST, ((Tag.TEST_REQ_ID, b"TEST%d" % self._tests),))

    # What came

    def receive(self, message: Message) -> None:
        """Take a message that came whole."""
        if self.phase is not Phase.OPEN:
            self._receive_late(message)
            return
        self.liveness.heard(self.steady)
        if message.begin_string != BEGIN_STRING:
            self.condemn("Incorrect BeginString")
        elif message.seq_num < 0 or message.seq_num > MOST_NUMBER:
            self.condemn("MsgSeqNum(34) is missing or no number")
        elif wrong := self._header.wrong(message, self.now, self.steady):
            if message.seq_num == self.next_in:
                self.next_in += 1
            self._reject_header(message, wrong)
        else:
            self._by_number(message)

    def _receive_late(self, message: Message) -> None:
        """Take a message after a Logout of ours."""
        if self.phase is Phase.OVER or message.begin_string != BEGIN_STRING:
            return
        kind, leaving = message.msg_type, self.phase is Phase.LEAVING
        taken = (LOGOUT, HEARTBEAT, RESEND_REQUEST) if leaving else (LOGOUT,)
        if kind not in taken:
            return
        if leaving and message.seq_num == self.next_in:
            self.next_in += 1
        if kind == LOGOUT:
            self._processed(message)
            self.close(self._leaving)
        elif kind == HEARTBEAT:
            self._heartbeat(message)
        else:
            # It is asked for before the client agrees to part, as it should be.
            self._deadline = self.steady + self.rules.logout_seconds
            self._resend_request(message)

    def _by_number(self, message: Message) -> None:
        """Take a message in its turn, or do what its number asks for."""
        kind = message.msg_type
        if kind == LOGOUT:
            self._logged_out(message)
            return
        if kind == SEQUENCE_RESET and message.get(Tag.GAP_FILL) != YES:
            self._reset(message)
            return
        if kind == LOGON and message.get(Tag.RESET_NUMBERS) == YES and self._restarts(message):
            return
        if message.seq_num == self.next_in:
            self._turn(message)
            if self._gap.open:
                self._go_on()
        elif message.seq_num > self.next_in:
            self._ahead(message)
        elif message.get(Tag.POSS_DUP) == YES:
            self._says_when(message)
        elif kind == RESEND_REQUEST:
            # Whoever asks under a number that was used lacks something all the same.
            if self._valid(message):
                self._resend_request(message)
        else:
            self.condemn(
                f"MsgSeqNum too low, expecting {self.next_in} but received {message.seq_num}"
            )

    def _go_on(self) -> None:
        """Take what came ahead and has its turn now, and ask for what is missing still."""
        self._gap.moved(self.next_in, self.steady)
        while self.phase is Phase.OPEN and self._gap.holds(self.next_in):
            waiting = self._gap.take(self.next_in)
            if waiting is None:
                self.next_in += 1
            else:
                self._turn(waiting)
            self._gap.moved(self.next_in, self.steady)
        if self.phase is Phase.OPEN:
            self._ask()

    def _ahead(self, message: Message) -> None:
        """Keep what came ahead of its turn, and ask for what is missing."""
        kept: Message | None = message
        if message.msg_type == RESEND_REQUEST:
            # Both may have asked: who waits for the other's answer first waits for ever.
            if self._valid(message):
                self._resend_request(message)
            kept = None
        self._gap.keep(message.seq_num, kept)
        self._ask()

    def _ask(self) -> None:
        asked = self._gap.asks(self.next_in, self.rules.resend_most, self.steady)
        if asked is not None:
            first, last = asked
            self._hands.say(
                RESEND_REQUEST,
                ((Tag.BEGIN_SEQ_NO, b"%d" % first), (Tag.END_SEQ_NO, b"%d" % last)),
            )

    def _says_when(self, message: Message) -> bool:
        """Whether a message that is sent again says when it was sent first, as it must."""
        wrong = self._header.wrong_duplicate(message)
        if wrong is not None:
            self._reject_header(message, wrong)
        return wrong is None

    def _turn(self, message: Message) -> None:
        """Take a message whose turn it is."""
        self.next_in = message.seq_num + 1
        if message.get(Tag.POSS_DUP) == YES and not self._says_when(message):
            return
        if not self._valid(message):
            return
        taken = self._in_turn.get(message.msg_type)
        if taken is not None:
            taken(message)
        elif self._rate is None or self._rate.takes(self.steady) or self._spares(message):
            self._behind.hand_over(message)
        elif self.rules.rate_by_report:
            self._behind.over_rate(message)
        else:
            rate = self.rules.rate
            assert rate is not None
            self.refuse(
                message,
                BUSINESS_OTHER,
                f"Over the session's rate of {rate.messages} messages in {rate.seconds:g} seconds",
            )

    def _spares(self, message: Message) -> bool:
        """Whether a message over the rate is one that was asked for at the logon: it was within
        the rate when it was sent first, and may be an order that stands.
        """
        if not self._spared or message.get(Tag.POSS_DUP) != YES:
            return False
        self._spared -= 1
        return True

    def _valid(self, message: Message) -> bool:
        fault = self._validate(message)
        if fault is None:
            return True
        if fault.kind == "business":
            self.refuse(message, fault.reason, fault.text, tag=fault.tag)
        else:
            self.reject(message, fault.reason, fault.text, tag=fault.tag)
        return False

    # Session messages, each in its turn unless its number does not count

    def _heartbeat(self, message: Message) -> None:
        test_id = message.get(Tag.TEST_REQ_ID)
        if test_id is not None:
            self._hands.confirmed(test_id)
        self._processed(message)

    def _processed(self, message: Message) -> None:
        """Note what the client says it has read, where it does."""
        last = number(message.get(Tag.LAST_PROCESSED))
        if last is not None:
            self._hands.expects(last + 1)

    def _test_request(self, message: Message) -> None:
        test_id = message.get(Tag.TEST_REQ_ID)
        self._hands.say(HEARTBEAT, ((Tag.TEST_REQ_ID, test_id),) if test_id else ())

    def _rejected(self, message: Message) -> None:
        """A client that rejects what it was sent has had it; there is no more to be done."""

    def _resend_request(self, message: Message) -> None:
        first = number(message.get(Tag.BEGIN_SEQ_NO))
        last = number(message.get(Tag.END_SEQ_NO))
        newest = self._hands.last_number()
        if first is None or not 1 <= first <= newest:
            self.reject(
                message,
                Reason.VALUE_INCORRECT,
                f"BeginSeqNo(7) is not from 1 to {newest}, the last that was sent",
                tag=Tag.BEGIN_SEQ_NO,
            )
        elif last is None or (last and last < first):
            self.reject(
                message,
                Reason.VALUE_INCORRECT,
                f"EndSeqNo(16) is neither 0 nor at least {first}",
                tag=Tag.END_SEQ_NO,
            )
        elif not self._hands.send_again(first, last):
            self.reject(
                message,
                Reason.OTHER,
                "Too many ResendRequests wait to be answered",
                tag=Tag.BEGIN_SEQ_NO,
            )

    def _gap_fill(self, message: Message) -> None:
        following = number(message.get(Tag.NEW_SEQ_NO))
        if following is None or not message.seq_num < following <= MOST_NUMBER:
            said = (message.get(Tag.NEW_SEQ_NO) or b"")[:20].decode("latin-1")
            self.reject(
                message,
                Reason.VALUE_INCORRECT,
                f"Attempt to lower sequence number, invalid value NewSeqNo(36)={said}",
                tag=Tag.NEW_SEQ_NO,
            )
            return
        self.next_in = following
        self._gap.passed(following)

    def _reset(self, message: Message) -> None:
        """Go on where the client says, whatever the number of the message is."""
        if not self._valid(message):
            return
        following = number(message.get(Tag.NEW_SEQ_NO))
        if following is None or not self.next_in <= following <= MOST_NUMBER:
            self.reject(message, Reason.VALUE_INCORRECT, "", tag=Tag.NEW_SEQ_NO)
            return
        self.next_in = following
        self._gap.passed(following)
        if self._gap.open:
            self._go_on()

    def _logged_out(self, message: Message) -> None:
        """Answer a Logout, whatever its number: what is missing is asked for at the next Logon."""
        if message.seq_num == self.next_in:
            self.next_in += 1
        if not self._valid(message):
            self.condemn("Logout was not understood")
            return
        self._processed(message)
        self._hands.say(LOGOUT, ())
        self.close("the client logged out")

    def _restarts(self, message: Message) -> bool:
        """Begin the numbers anew for a Logon within the session that asks for it."""
        if message.seq_num != 1 or not self.rules.reset_by_client:
            return False
        if not self._valid(message):
            return True
        self._behind.restart(message)
        return True

    def _logon_again(self, message: Message) -> None:
        self.reject(message, Reason.OTHER, "The session is logged on", tag=Tag.MSG_TYPE)

    # Rejects

    def reject(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Send a session-level Reject of a message."""
        self._hands.say(REJECT, reject_fields(message, reason, text, tag), way_back(message))

    def _reject_header(self, message: Message, wrong: Wrong) -> None:
        self.reject(message, wrong.reason, "", tag=wrong.tag)
        if wrong.ends:
            self.condemn(REASON_TEXT[wrong.reason])

    def refuse(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Send a BusinessMessageReject of a message."""
        fields = refusal_fields(message, reason, text, tag)
        self._hands.say(BUSINESS_REJECT, fields, way_back(message))
