"""`nexus fix`: what operators see of FIX sessions, and do to them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from api.cli.exit_codes import Exit
from api.cli.printing import Table, tell
from api.cli.reading import opened_store, print_whole, say
from api.fix.settings.template import Kind, SessionTemplate
from api.fix.settings.templates import config_of, read_settings
from application.fix_numbers import Numbered, SessionId
from domain.identifiers import instant_of, iso
from infrastructure.clock import SystemClock
from infrastructure.fix_overview import FixOverview, Standing
from infrastructure.log.reader import LogReader
from infrastructure.log.stores import Stores
from infrastructure.settings import Settings

if TYPE_CHECKING:
    from api.fix.ports import Body

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Look after FIX sessions: their numbers, what was sent, the file that describes them.\n\n"
        "Exit codes: 0 well, 1 there is no such session, 2 a setting or the file of the sessions "
        "is wrong, 3 no server, 4 the schema and this program do not fit."
    ),
)

Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]
Sender = Annotated[str, typer.Argument(help="The venue's comp id, as SenderCompID of its own.")]
Target = Annotated[str, typer.Argument(help="The client's comp id.")]


@app.command("sessions")
def sessions(as_json: Json = False) -> None:
    """Show where every session stands: numbers, gaps, what its client has seen.

    As it was saved last: a session that is connected may be a few numbers further.
    """
    settings = Settings.load()
    templates = _templates(settings, needed=False)
    with opened_store(settings) as dsn:
        with LogReader(dsn, settings.partition_schema) as log, _overview(dsn, settings) as store:
            last = log.last_position()
            standings = {found.session_id: found for found in store.standings()}
    names = sorted({*standings, *templates})
    rows = [_row(name, standings.get(name), templates.get(name), last) for name in names]
    if as_json:
        print(json.dumps({"last_position": last, "sessions": rows}))
        return
    table = Table(
        "session", "kind", "next in", "next out", "seen up to", "sent, not known to be seen"
    )
    for title in ("to be sent again", "told up to", "behind", "saved"):
        table.add_column(title)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    print_whole(table)


def _row(
    name: SessionId, standing: Standing | None, template: SessionTemplate | None, last: int
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "session": str(name),
        "kind": None if template is None else template.kind.value,
    }
    if standing is None:
        absent = ("next_in", "next_out", "arrived", "unconfirmed", "uncertain", "told", "behind")
        return found | dict.fromkeys((*absent, "saved_at"))
    numbers = standing.numbers
    return found | {
        "next_in": numbers.next_in,
        "next_out": numbers.next_out,
        "arrived": numbers.arrived,
        "unconfirmed": standing.unconfirmed,
        "uncertain": standing.uncertain,
        "told": numbers.told,
        "behind": max(0, last - numbers.told),
        "saved_at": iso(instant_of(standing.saved_at)),
    }


@app.command("reset")
def reset(
    sender: Sender,
    target: Target,
    told: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of a drop copy: tell it again what follows this log position.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Begin the numbers of a session at 1 on both sides; its client must do the same.

    What it is owed stays: reports not known to have arrived come again with PossResend. While it
    is connected it is ended with the next report that it is told, and logs on anew.
    """
    settings = Settings.load()
    name = SessionId(sender, target)
    if told is not None:
        template = _templates(settings, needed=True).get(name)
        if template is None or template.kind is not Kind.DROP_COPY:
            raise typer.BadParameter(f"{name} is no drop-copy session", param_hint="--told")
    with opened_store(settings) as dsn, _overview(dsn, settings) as store:
        done = store.begin_anew(name, SystemClock().now(), told)
    if not done:
        _unknown(name)
    tell(f"{name} begins with 1 on both sides")


@app.command("log")
def log(
    sender: Sender,
    target: Target,
    last: Annotated[int, typer.Option(help="So many of the last reports.", min=1, max=10_000)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One line a report.")] = False,
) -> None:
    """Show the last reports that a session was sent, as they are rendered from the log.

    Heartbeats, logons and what else is no event are not kept, and so no password is.
    """
    settings = Settings.load()
    name = SessionId(sender, target)
    template = _templates(settings, needed=True).get(name)
    if template is None:
        _unknown(name)
    with opened_store(settings) as dsn:
        with _overview(dsn, settings) as store:
            if name not in {found.session_id for found in store.standings()}:
                _unknown(name)
            messages = store.last_messages(name, last)
        bodies = asyncio.run(_rendered(dsn, settings, template, messages))
    for message, body in zip(messages, bodies, strict=True):
        _put(message, body, as_json)


def _put(message: Numbered, body: Body, as_json: bool) -> None:
    from api.fix.codec import body_checksum

    said = [(35, body.msg_type), (34, b"%d" % message.seq_num), *body.fields]
    text = "|".join(f"{tag}={value.decode('utf-8', 'backslashreplace')}" for tag, value in said)
    same = body_checksum(body.fields) == message.checksum
    if as_json:
        facts = {
            "seq_num": message.seq_num,
            "position": message.source.position,
            "poss_resend": message.poss_resend,
            "as_sent_first": same,
            "message": text,
        }
        print(json.dumps(facts))
    else:
        tell(f"{message.source.position:>9}  {text}" + ("" if same else "  (first sent otherwise)"))


async def _rendered(
    dsn: str, settings: Settings, template: SessionTemplate, messages: Sequence[Numbered]
) -> Sequence[Body]:
    from api.fix.application.rendering import Owed, Reports, rendered
    from api.fix.application.terms import SessionTerms, door_of
    from infrastructure.log.pool import StorePool
    from infrastructure.log.reads import PooledLog

    async with StorePool(Stores(dsn, settings.partition_schema)) as pool:
        log = PooledLog(pool)
        owed = Owed(door_of(template.session_id), SessionTerms.of(template))
        sources = [message.source for message in messages]
        return await rendered(log, Reports(log, len(messages)), owed, sources)


@app.command("password")
def password() -> None:
    """Ask for a password and print the argon2id hash that stands for it in the file.

    From a pipe its first line is the password: it is never an argument, which others could see.
    """
    from api.fix.logon.passwords import LONGEST_PASSWORD, hash_of

    if sys.stdin.isatty():
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret or len(secret.encode()) > LONGEST_PASSWORD or not secret.isprintable():
        say(f"a password is 1 to {LONGEST_PASSWORD} bytes of printable text")
        raise typer.Exit(Exit.USAGE)
    tell(hash_of(secret))


@app.command("check")
def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="Instead of NEXUS_FIX_CONFIG.", show_default=False),
    ] = None,
) -> None:
    """Read the file of the sessions as the gateway does, and say when each is open."""
    from api.fix.logon.certificates import server_context

    found = read_settings(file or config_of(Settings.load()))
    if found.gateway.tls is not None:
        server_context(found.gateway.tls)
    now = SystemClock().now()
    table = Table("session", "kind", "accounts", "proves itself by", "open")
    for name, template in sorted(found.sessions.items()):
        means = {
            "password": template.password,
            "certificate": template.certificate,
            "a key": template.keys or None,
        }
        table.add_row(
            str(name),
            template.kind.value,
            ", ".join(template.accounts),
            " and ".join(mean for mean, given in means.items() if given is not None),
            _hours(template, now),
        )
    print_whole(table)


def _hours(template: SessionTemplate, now: int) -> str:
    if template.schedule is None:
        return "always"
    span = template.schedule.span_at(now)
    if span is not None:
        return f"until {iso(span.ends)}"
    after = template.schedule.span_after(now)
    return "never" if after is None else f"from {iso(after.begins)}"


def _templates(settings: Settings, *, needed: bool) -> dict[SessionId, SessionTemplate]:
    if settings.fix_config is None and not needed:
        return {}
    return read_settings(config_of(settings)).sessions


@contextmanager
def _overview(dsn: str, settings: Settings) -> Iterator[FixOverview]:
    conn, state = Stores(dsn, settings.partition_schema).connect_now("nexus fix sessions")
    with conn:
        yield FixOverview(conn, state.address.schema)


def _unknown(name: SessionId) -> NoReturn:
    say(f"there is no session {name} yet; nexus fix sessions shows those that there are")
    raise typer.Exit(Exit.CHECK_FAILED)
