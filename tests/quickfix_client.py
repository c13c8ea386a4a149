"""quickfix, as it comes from its authors, as a client: an engine with numbers and files of its own.

It judges what it is sent by its own dictionary of FIX 4.4, and what it refuses is kept.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    # Its wrapper makes types that Python 3.12 and later warn of.
    warnings.simplefilter("ignore")
    quickfix = pytest.importorskip("quickfix", reason="quickfix is no part of the test extra")

FIX44 = Path(sys.prefix) / "share" / "quickfix" / "FIX44.xml"
HEADER_TAGS = (35, 43, 97)
SETTINGS = """
[DEFAULT]
ConnectionType=initiator
ReconnectInterval=1
FileStorePath={home}
HeartBtInt={heartbeat}
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=Y
DataDictionary={dictionary}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketNodelay=Y
CheckLatency=N
ResetOnLogon={reset}
[SESSION]
BeginString=FIX.4.4
SenderCompID={sender}
TargetCompID={target}
"""

Fields = Mapping[int, str]


def fields_of(message: Any) -> dict[int, str]:
    """The first value of each tag of a message."""
    found: dict[int, str] = {}
    for part in message.toString().split("\x01")[:-1]:
        tag, _, value = part.partition("=")
        found.setdefault(int(tag), value)
    return found


class _Engine(quickfix.Application):  # type: ignore[misc]
    """What quickfix calls, in a thread of its own."""

    def __init__(self, client: QuickFixClient) -> None:
        super().__init__()
        self._client = client

    def onCreate(self, session_id: Any) -> None:
        """A session was made."""

    def onLogon(self, session_id: Any) -> None:
        """A logon was answered."""
        self._client.note("logons", {})

    def onLogout(self, session_id: Any) -> None:
        """The session ended, or was never begun."""
        self._client.note("logouts", {})

    def toAdmin(self, message: Any, session_id: Any) -> None:
        """A message of the session goes: the password is put into a logon."""
        fields = fields_of(message)
        if fields[35] == "A":
            message.setField(quickfix.StringField(554, self._client.password))
        if fields[35] == "3":
            self._client.note("refused", fields)

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        """A message of the session came."""
        self._client.note("session_messages", fields_of(message))

    def toApp(self, message: Any, session_id: Any) -> None:
        """A message of the application goes."""
        fields = fields_of(message)
        if fields[35] == "j":
            self._client.note("refused", fields)

    def fromApp(self, message: Any, session_id: Any) -> None:
        """A message of the application came, in its turn."""
        self._client.note("received", fields_of(message))


class QuickFixClient:
    """One session of quickfix; what came is kept in the order in which it came."""

    def __init__(
        self, home: Path, port: int, sender: str, password: str, *, target: str = "NEXUS"
    ) -> None:
        self.password = password
        self.received: list[dict[int, str]] = []
        self.session_messages: list[dict[int, str]] = []
        self.refused: list[dict[int, str]] = []
        self.logons: list[dict[int, str]] = []
        self.logouts: list[dict[int, str]] = []
        self._moved = threading.Condition()
        self._id = quickfix.SessionID("FIX.4.4", sender, target)
        self._file = home / f"{sender}.cfg"
        self._settings = SETTINGS.format(
            home=home,
            heartbeat=5,
            dictionary=FIX44,
            port=port,
            sender=sender,
            target=target,
            reset="{reset}",
        )
        self._initiator: Any = None
        self._parts: tuple[Any, ...] = ()

    def note(self, where: str, fields: dict[int, str]) -> None:
        """Keep what quickfix told, and wake who waits for it."""
        with self._moved:
            getattr(self, where).append(fields)
            self._moved.notify_all()

    def start(self, *, reset: bool = False) -> None:
        """Let quickfix connect, and again whenever it is cut off."""
        self._file.write_text(self._settings.format(reset="Y" if reset else "N"))
        settings = quickfix.SessionSettings(str(self._file))
        engine = _Engine(self)
        store = quickfix.FileStoreFactory(settings)
        self._initiator = quickfix.SocketInitiator(engine, store, settings)
        # quickfix does not keep what it was given alive.
        self._parts = (settings, engine, store)
        self._initiator.start()

    def log_on(self, *, reset: bool = False) -> None:
        """Connect, and wait for the logon to be answered; `reset` begins all numbers at 1."""
        before = len(self.logons)
        self.start(reset=reset)
        self.until(lambda: len(self.logons) > before)

    def log_off(self, *, in_order: bool = True) -> None:
        """Log out, or only cut the connection; the files stay."""
        if self._initiator is not None:
            self._initiator.stop(not in_order)
            self._initiator, self._parts = None, ()

    @property
    def session(self) -> Any:
        """The session of quickfix, whose numbers can be read and set."""
        return quickfix.Session.lookupSession(self._id)

    def send(self, msg_type: str, fields: Fields, group: tuple[int, Fields] | None = None) -> None:
        """Send a message, with one entry of a group if wanted; the rest is quickfix's."""
        message = quickfix.Message()
        message.getHeader().setField(quickfix.MsgType(msg_type))
        for tag, value in fields.items():
            where = message.getHeader() if tag in HEADER_TAGS else message
            where.setField(quickfix.StringField(tag, value))
        if group is not None:
            count, members = group
            entry = quickfix.Group(count, next(iter(members)))
            for tag, value in members.items():
                entry.setField(quickfix.StringField(tag, value))
            message.addGroup(entry)
        assert quickfix.Session.sendToTarget(message, self._id), "quickfix did not send it"

    def until(self, met: Callable[[], object], seconds: float = 20) -> None:
        """Return when something is met; fail with what came when it is not."""
        ends = time.monotonic() + seconds
        with self._moved:
            while not met():
                left = ends - time.monotonic()
                if left <= 0:
                    last = [*self.received[-3:], *self.session_messages[-3:]]
                    raise AssertionError(f"waited in vain; last came {last}")
                self._moved.wait(min(left, 0.2))

    def answer(
        self, wanted: Fields, *, of: Sequence[dict[int, str]] | None = None
    ) -> dict[int, str]:
        """The last message with these values, once it came."""
        among = self.received if of is None else of

        def found() -> list[dict[int, str]]:
            return [one for one in among if wanted.items() <= one.items()]

        self.until(found)
        return found()[-1]


def now() -> str:
    """This moment, as TransactTime."""
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]
