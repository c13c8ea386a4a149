"""The FIX gateway process: sessions on one side; the bus, the log and the views on the other."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from api.cli import leaving
from api.door.refusals import SinceLast
from api.fix.application.beginning import position_before
from api.fix.application.behind import Behind
from api.fix.application.gateway import FixApplication
from api.fix.application.terms import SessionTerms
from api.fix.application.views import GatewayViews
from api.fix.logon.certificates import server_context
from api.fix.logon.checks import LogonChecks
from api.fix.ports import Received, SessionId
from api.fix.session.acceptor import Acceptor
from api.fix.session.registry import AcceptorLimits
from api.fix.session.times import MachineTimes
from api.fix.settings.gateway import GatewaySettings
from api.fix.settings.template import Validation
from api.fix.settings.templates import FixSettingsError, Templates, config_of, read_settings
from api.fix.validation import Fault, validate
from api.patience import AWAY
from api.processes.gateway import Gateway
from api.processes.standby import Say
from api.processes.tidying import collect_little_at_a_time
from api.wiring import open_gateway
from application.log.ports import EventReads
from domain.identifiers import instant_of
from infrastructure.fix_numbers import PostgresSessionStore
from infrastructure.log_lines import say as say_line
from infrastructure.settings import Settings

AGAIN_SECONDS = 0.5
"""How soon a store that is away is asked again."""
TOLD_SECONDS = 60.0
"""How often is said who was not served."""
FINISH_SECONDS = 0.7
"""How long what was begun for clients may take once they are logged out."""


def say_on_stdout(text: str) -> None:
    """Print one line at once; a reader that went away is no reason to stop."""
    with suppress(OSError, ValueError):
        say_line(f"fix {text}")


def files_of(config: Path) -> list[Path]:
    """The file of the sessions and those that it names; it alone when it cannot be read."""
    try:
        tls = read_settings(config).gateway.tls
    except FixSettingsError:
        return [config]
    named = () if tls is None else (tls.certificate, tls.key, tls.clients)
    return [config, *(path for path in named if path is not None)]


def run_fix(settings: Settings, *, say: Say = say_on_stdout) -> None:
    """Serve FIX clients until told to leave; log them out, and return.

    Raises FixSettingsError, before anybody is served, when the file of the sessions is wrong.
    """
    read_settings(config_of(settings))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, say))


async def _serve(settings: Settings, say: Say) -> None:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    leaving.call_in_loop(loop, leave.set)
    path = config_of(settings)
    found = read_settings(path)
    templates = Templates(found.sessions)
    tls = found.gateway.tls
    context = None if tls is None else server_context(tls)
    loop.add_signal_handler(signal.SIGHUP, _read_again, path, templates, say)
    async with open_gateway(settings, "fix") as gateway:
        async with serving(gateway, templates, found.gateway, say) as acceptor:
            host = settings.fix_host or settings.host
            port = await acceptor.listen(host, settings.fix_port)
            said = f"listens on {host}:{port}"
            if tls is not None:
                await acceptor.listen(host, tls.port, ssl=context)
                said += f", with TLS on {host}:{tls.port}"
            say(f"{said} for the sessions of {path}")
            gc.collect()
            collect_little_at_a_time()
            telling = asyncio.create_task(_tell_refusals(SinceLast(acceptor.refusals), say))
            await leave.wait()
            telling.cancel()
            say("logs its sessions out")
    say("left")


async def _tell_refusals(since_last: SinceLast, say: Say) -> None:
    """Say each minute who was not served, where somebody was not."""
    while True:
        await asyncio.sleep(TOLD_SECONDS)
        news = [f"{one.reason} {one.times:,}" for one in since_last.news()]
        if news:
            say(f"has not served, in {TOLD_SECONDS:.0f} s: {', '.join(news)}")


@asynccontextmanager
async def serving(
    gateway: Gateway, templates: Templates, limits: GatewaySettings, say: Say
) -> AsyncIterator[Acceptor]:
    """An acceptor for these sessions on a gateway's ways to the venue; it listens nowhere yet.
    At the end every session is logged out, and what was begun is finished.
    """
    application = FixApplication(
        lambda session_id: SessionTerms.of(templates.last_known(session_id)),
        Behind(gateway.bus, gateway.log, GatewayViews(gateway), gateway.clock, gateway.market),
        gateway.source,
    )

    async def beginning(session_id: SessionId) -> int:
        return await _persist(
            lambda: beginning_of(gateway.log, templates.last_known(session_id).begins_at)
        )

    store = PostgresSessionStore(*gateway.pool.stores.entry, gateway.clock, beginning, say=say)
    gateway.when_moved.append(store.moved)
    checks = LogonChecks(templates, limits, keys=gateway.keys)
    acceptor = Acceptor(
        checks,
        store,
        application,
        validate=_judged,
        times=MachineTimes(gateway.clock),
        limits=AcceptorLimits(
            connections=limits.connections,
            unknown=limits.strangers,
            logon_seconds=limits.logon_seconds,
        ),
    )
    try:
        yield acceptor
    finally:
        await acceptor.stop()
        checks.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await application.stop()
        gateway.when_moved.remove(store.moved)
        await store.close()


def _judged(message: Received, toggles: object) -> Fault | None:
    assert isinstance(toggles, Validation)
    return validate(message, toggles)


async def beginning_of(log: EventReads, begins_at: str | None) -> int:
    """After which position a session is told that begins: the end of the log, or where its
    template says, a position or a time.
    """
    last = await log.last_position()
    if begins_at is None:
        return last
    if begins_at.isdigit():
        return min(int(begins_at), last)
    moment = datetime.fromisoformat(begins_at)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return await position_before(log, instant_of(moment))


def _read_again(path: Path, templates: Templates, say: Say) -> None:
    """Go on with the sessions as the file has them now; a file that is wrong changes nothing."""
    try:
        found = read_settings(path)
    except FixSettingsError as error:
        say(f"goes on with the sessions as they were: {error}")
        return
    templates.take(found.sessions)
    say(f"has read {path} again: sessions are as they are there from their next logon on")


async def _persist(ask: Callable[[], Awaitable[int]]) -> int:
    while True:
        try:
            return await ask()
        except AWAY:
            await asyncio.sleep(AGAIN_SECONDS)
