"""`nexus replay-market`: a recorded trading day through the venue, compared and audited."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
import uvloop
from psycopg import sql
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.exit_codes import Exit
from api.cli.printing import Table, warn
from application.audit.verify import Report, verify
from application.desk.state import state_hash
from application.log.ports import Fenced
from application.rehearsal.recorded_day.foresight import LookAhead
from application.rehearsal.recorded_day.judge import Score
from application.rehearsal.recorded_day.lobster import LobsterError, Recording, read_recording
from application.rehearsal.recorded_day.replay import MarketReplay, RecordedClock, ReplayFailed
from application.writer.loading import load_desk
from application.writer.sequencer import Sequencer
from infrastructure.database import open_database
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from infrastructure.settings import Settings
from migrations.runner import migrate

MARK = "made by nexus replay-market"
_NANOSECONDS = 10**9


class SchemaTaken(Exception):
    """The schema is there and may not be dropped."""


def command(
    file: Annotated[
        Path,
        typer.Argument(
            help="A LOBSTER archive: SYMBOL_DATE_START_END_message_LEVELS.csv and its orderbook."
        ),
    ],
    speed: Annotated[
        str | None,
        typer.Option(help="How many times faster than it was; as fast as it goes without."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only so many messages.", min=1, show_default=False)
    ] = None,
    schema: Annotated[
        str | None, typer.Option(help="Instead of replay_SYMBOL_DATE_LEVELS.", show_default=False)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="End rather than drop an earlier replay's schema.")
    ] = False,
    look_ahead: Annotated[
        LookAhead,
        typer.Option(help="For which orders later messages may tell that they stand."),
    ] = LookAhead.UNANNOUNCED,
    as_json: Annotated[bool, typer.Option("--json", help="One line for machines.")] = False,
) -> None:
    """Send a recorded day as real commands through risk, matching and store, then audit it.

    Every message becomes a command on the recording's clock. The executions of one moment
    become one aggressing order of their side, price and size; counted is whether it met the
    same resting orders for the same sizes, and whether best bid and ask are the recorded
    ones before anything is repaired.

    Exit codes: 0 well, 1 the audit found something, 2 the file or an option is wrong, 3 no
    server or one that could lose data, 130 interrupted: what was sent stands.
    """
    pace = _speed(speed)
    try:
        recording = read_recording(file, limit)
    except LobsterError as error:
        _say(str(error))
        raise typer.Exit(Exit.USAGE) from error
    name = schema or _schema_of(recording)
    settings = Settings.load(partition_schema=name)
    if name == Settings.load().partition_schema:
        _say(f"{name} is the venue's own schema: name another with --schema")
        raise typer.Exit(Exit.USAGE)
    facts = _played(settings, keep, recording, look_ahead, pace, as_json)
    facts = {"file": file.name, "schema": name, **facts}
    if as_json:
        print(json.dumps(facts))
    else:
        _print(facts)
    if not facts["audit"]["ok"]:
        raise typer.Exit(Exit.CHECK_FAILED)


def _played(
    settings: Settings,
    keep: bool,
    recording: Recording,
    look_ahead: LookAhead,
    pace: Decimal | None,
    as_json: bool,
) -> dict[str, Any]:
    """Play the recording into a schema of its own; ends the command when that fails."""
    name = settings.partition_schema
    with open_database(settings, on_message=_say) as database:
        try:
            _make_schema(database.dsn, name, keep)
        except SchemaTaken as error:
            _say(str(error))
            raise typer.Exit(Exit.USAGE) from error
        gc.freeze()
        gc.disable()
        try:
            return uvloop.run(_replay(database.dsn, name, recording, look_ahead, pace, as_json))
        except KeyboardInterrupt:
            _say(f"interrupted; schema {name} holds what was sent")
            raise typer.Exit(Exit.INTERRUPTED) from None
        except ReplayFailed as error:
            _say(str(error))
            raise typer.Exit(Exit.CHECK_FAILED) from error
        finally:
            gc.enable()


async def _replay(
    dsn: str,
    schema: str,
    recording: Recording,
    look_ahead: LookAhead,
    speed: Decimal | None,
    quiet: bool,
) -> dict[str, Any]:
    log = PostgresEventLog(dsn, schema, 0)
    clock = RecordedClock(recording.instant(recording.messages[0].time_ns))
    snapshots = PostgresSnapshots(dsn, schema)
    sequencer = Sequencer(log, snapshots, clock, say=_say)
    writing = asyncio.ensure_future(sequencer.run())
    try:
        with _Bar(len(recording.messages), quiet) as show:
            replay = MarketReplay(
                recording,
                sequencer.submit,
                log,
                clock,
                look_ahead=look_ahead,
                pace=None if speed is None else _Pace(recording, speed).wait,
                progress=show,
            )
            began = time.perf_counter_ns()
            score = await _while_writing(writing, _run(sequencer, replay))
            took_ns = time.perf_counter_ns() - began
        _say("audit: verifying the log")
        report = await asyncio.to_thread(_verify, dsn, schema)
        replayed, _ = await load_desk(log, snapshots, 0)
        hashes = state_hash(sequencer.desk).hex(), state_hash(replayed).hex()
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await log.close()
    return {
        "look_ahead": str(look_ahead),
        **_facts(recording, score),
        "commands": replay.commands,
        "events": report.events,
        "seconds": round(took_ns / _NANOSECONDS, 2),
        "orders_per_s": replay.commands * _NANOSECONDS // max(1, took_ns),
        "audit": _audited(report, hashes),
    }


async def _run(sequencer: Sequencer, replay: MarketReplay) -> Score:
    await sequencer.ready.wait()
    return await replay.run()


async def _while_writing(writing: asyncio.Future[None], work: Coroutine[Any, Any, Score]) -> Score:
    """The work's result; a writer that ends first ends the work too."""
    task = asyncio.ensure_future(work)
    try:
        either: set[asyncio.Future[Any]] = {task, writing}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
        return await task
    except Fenced as error:
        raise ReplayFailed("another writer took the schema over") from error
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Pace:
    """Holds every message back until its time has come, `speed` times faster than recorded."""

    def __init__(self, recording: Recording, speed: Decimal) -> None:
        self._first_ns = recording.messages[0].time_ns
        self._speed = speed
        self._began_ns = time.monotonic_ns()

    async def wait(self, time_ns: int) -> None:
        """Return when the message of this time is due."""
        due_ns = self._began_ns + int((time_ns - self._first_ns) / self._speed)
        ahead_ns = due_ns - time.monotonic_ns()
        if ahead_ns > 0:
            await asyncio.sleep(ahead_ns / _NANOSECONDS)


class _Bar:
    """A bar on stderr, unless nobody looks."""

    def __init__(self, total: int, quiet: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("executions {task.fields[executions]}"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("messages", total=total, executions=0)

    def __enter__(self) -> Callable[[Score], object]:
        self._bar.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _show(self, score: Score) -> None:
        self._bar.update(self._task, completed=score.messages, executions=score.executions)


def _make_schema(dsn: str, schema: str, keep: bool) -> None:
    """A schema that holds nothing yet; only one that an earlier replay made is dropped."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s",
            (schema,),
        ).fetchone()
        if row is not None:
            if row[0] != MARK:
                raise SchemaTaken(f"schema {schema} was made by something else: name another")
            if keep:
                raise SchemaTaken(f"schema {schema} is kept: name another with --schema")
            _say(f"dropping schema {schema} of an earlier replay")
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        migrate(dsn, schema)
        conn.execute(
            sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(MARK))
        )


def _schema_of(recording: Recording) -> str:
    symbol = "".join(c if c.isalnum() else "_" for c in recording.symbol.lower())
    return f"replay_{symbol}_{recording.day:%Y%m%d}_{recording.levels}"


def _speed(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        speed = Decimal(text)
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or speed <= 0:
        _say(f"--speed {text}: is not a positive number")
        raise typer.Exit(Exit.USAGE)
    return speed


def _verify(dsn: str, schema: str) -> Report:
    with PostgresAuditSource(dsn, schema) as source:
        return verify(source, StoredCodec())


def _audited(report: Report, hashes: tuple[str, str]) -> dict[str, Any]:
    """What the second bookkeeper found, and whether the log replays to the live state."""
    live, replayed = hashes
    return {
        "ok": report.ok and live == replayed,
        "checks": len(report.checks),
        "violations": [f"{v.check} at {v.position}: {v.message}" for v in report.violations],
        "replay_equals_live": live == replayed,
        "state_hash": live,
    }


def _facts(recording: Recording, score: Score) -> dict[str, Any]:
    unseen = score.executions - score.announced_executions
    unseen_reproduced = score.executions_reproduced - score.announced_reproduced
    return {
        "symbol": recording.symbol,
        "date": recording.day.isoformat(),
        "levels": recording.levels,
        "messages": score.messages,
        "executions": score.executions,
        "executions_reproduced": score.executions_reproduced,
        "executions_reproduced_pct": _percent(score.executions_reproduced, score.executions),
        "of_announced_orders_pct": _percent(score.announced_reproduced, score.announced_executions),
        "of_unannounced_orders_pct": _percent(unseen_reproduced, unseen),
        "touch_rows": score.touch_rows,
        "touch_equal_pct": _percent(score.touch_equal, score.touch_rows),
        "touch_price_equal_pct": _percent(score.touch_price_equal, score.touch_rows),
        "hidden": score.hidden,
        "repairs": dict(sorted(score.repairs.items())),
        "crossings": score.crossings,
        "unplanned_fills": score.unplanned_fills,
        "refused": dict(sorted(score.refused.items())),
    }


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole else None


def _print(facts: dict[str, Any]) -> None:
    table = Table("", "", title=f"{facts['symbol']} of {facts['date']}", box=None)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _text(value))
    Console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(of)}" for key, of in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(value) or "none"
    return "-" if value is None else f"{value}"


def _say(message: str) -> None:
    """Progress goes to stderr, so that --json stays one line."""
    warn(message)
