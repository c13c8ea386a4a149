"""quickfix's own acceptor with its file store: it answers each order with a report, and no venue.

`python -m bench.fix_quickfix PORT HOME SESSIONS` serves until it is told to stop.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.fix_venue import free_port, until_listening
from bench.venue import plain_environment

_SETTINGS = """
[DEFAULT]
ConnectionType=acceptor
SocketAcceptPort={port}
SocketNodelay=Y
FileStorePath={home}
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=N
CheckLatency=N
ResetOnLogon=Y
"""
_SESSION = """
[SESSION]
BeginString=FIX.4.4
SenderCompID=NEXUS
TargetCompID={name}
"""


def installed() -> bool:
    """Whether quickfix is here to be measured beside."""
    return importlib.util.find_spec("quickfix") is not None


@contextmanager
def quickfix_process(home: Path, sessions: list[str]) -> Iterator[int]:
    """quickfix's acceptor as a process; yields its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.fix_quickfix", str(port), str(home), ",".join(sessions)],
        env=plain_environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        until_listening(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def serve(port: int, home: Path, sessions: list[str]) -> None:
    """Answer orders until told to stop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quickfix

    class Acceptor(quickfix.Application):  # type: ignore[misc]
        """Reports each order as new."""

        def onCreate(self, session_id: Any) -> None: ...
        def onLogon(self, session_id: Any) -> None: ...
        def onLogout(self, session_id: Any) -> None: ...
        def toAdmin(self, message: Any, session_id: Any) -> None: ...
        def fromAdmin(self, message: Any, session_id: Any) -> None: ...
        def toApp(self, message: Any, session_id: Any) -> None: ...

        def fromApp(self, message: Any, session_id: Any) -> None:
            """Say that an order is new."""
            report = quickfix.Message()
            report.getHeader().setField(quickfix.MsgType("8"))
            for tag in (11, 55, 54, 38):
                report.setField(quickfix.StringField(tag, message.getField(tag)))
            for tag, value in ((37, "1"), (17, "1"), (150, "0"), (39, "0"), (14, "0"), (6, "0")):
                report.setField(quickfix.StringField(tag, value))
            report.setField(quickfix.StringField(151, message.getField(38)))
            quickfix.Session.sendToTarget(report, session_id)

    file = home / "quickfix.cfg"
    named = "".join(_SESSION.format(name=name) for name in sessions)
    file.write_text(_SETTINGS.format(port=port, home=home) + named)
    settings = quickfix.SessionSettings(str(file))
    application, store = Acceptor(), quickfix.FileStoreFactory(settings)
    acceptor = quickfix.SocketAcceptor(application, store, settings)
    acceptor.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    acceptor.stop(True)


def main() -> None:
    """Serve as the command line says."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    port, home, sessions = sys.argv[1:]
    serve(int(port), Path(home), sessions.split(","))


if __name__ == "__main__":
    main()
